package engine

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

func TestUsage(t *testing.T) {
	var u usage
	begin := time.Now()
	type told struct {
		Idle int
		Rate uint64
	}
	for _, step := range []struct {
		at    time.Duration
		busy  time.Duration // of each of two workers
		bytes uint64
		want  told
	}{
		{0, time.Second, 1000, told{100, 0}},
		{999 * time.Millisecond, 2 * time.Second, 9000, told{100, 0}}, // too soon
		{2 * time.Second, 2 * time.Second, 5000, told{50, 4000}},
		{2500 * time.Millisecond, 9 * time.Second, 9000, told{50, 4000}},
		{3 * time.Second, 9 * time.Second, 5000, told{0, 0}}, // more than there was time for
		{4 * time.Second, 0, 0, told{100, 0}},                // the workers have ended
	} {
		idle, rate := u.measure(begin.Add(step.at), []Load{{Busy: step.busy, BytesOut: step.bytes}, {Busy: step.busy, BytesOut: step.bytes}})
		if diff := cmp.Diff(step.want, told{idle, rate}); diff != "" {
			t.Errorf("at %v: %s", step.at, diff)
		}
	}
}
