package check

import (
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

// The states that a server goes through; + is a success, - a failure.
func TestHealth(t *testing.T) {
	for _, c := range []struct {
		name       string
		rise, fall int
		init       string
		checks     string
		want       string
	}{
		{"a first failure", 2, 3, "", "-", "UP 1/3, DOWN"},
		{"a first success", 2, 3, "", "+", "UP 1/3, UP"},
		{"up to down", 2, 3, "", "+---", "UP 1/3, UP, UP 2/3, UP 1/3, DOWN"},
		{"down to up", 2, 3, "", "-++", "UP 1/3, DOWN, DOWN 1/2, UP"},
		{"a success on the way down", 2, 3, "", "+-+--", "UP 1/3, UP, UP 2/3, UP, UP 2/3, UP 1/3"},
		{"a failure on the way up", 3, 1, "", "-++-+++", "UP, DOWN, DOWN 1/3, DOWN 2/3, DOWN, DOWN 1/3, DOWN 2/3, UP"},
		{"at the ends", 1, 1, "", "++--", "UP, UP, UP, DOWN, DOWN"},
		{"fully up", 2, 3, "fully-up", "--", "UP, UP 2/3, UP 1/3"},
		{"down", 3, 2, "down", "+", "DOWN 2/3, UP"},
		{"down, fails", 3, 2, "down", "-", "DOWN 2/3, DOWN"},
		{"down, rise 1", 1, 2, "down", "+", "DOWN, UP"},
		{"fully down", 2, 2, "fully-down", "+", "DOWN, DOWN 1/2"},
		{"none", 2, 3, "none", "", "UP 1/3"},
	} {
		t.Run(c.name, func(t *testing.T) {
			h := NewHealth(c.rise, c.fall, c.init)
			got := []string{h.String()}
			for _, mark := range c.checks {
				before := h.Value
				changed := false
				if mark == '+' {
					changed = h.Succeed()
				} else {
					changed = h.Fail()
				}
				if changed != (h.Value != before) {
					t.Errorf("%c from %d to %d says changed: %v", mark, before, h.Value, changed)
				}
				got = append(got, h.String())
			}
			if s := strings.Join(got, ", "); s != c.want {
				t.Errorf("got  %s\nwant %s", s, c.want)
			}
		})
	}
}

func TestInterval(t *testing.T) {
	all := Intervals{Inter: 4, Fast: 1, Down: 9}
	for _, c := range []struct {
		name  string
		value int
		in    Intervals
		want  time.Duration
	}{
		{"up", 4, all, 4},
		{"going down", 3, all, 1},
		{"not checked yet", 2, all, 1},
		{"going up", 1, all, 1},
		{"down", 0, all, 9},
		{"going down, no fastinter", 3, Intervals{Inter: 4, Down: 9}, 4},
		{"down, no downinter", 0, Intervals{Inter: 4, Fast: 1}, 4},
	} {
		h := Health{Rise: 2, Fall: 3, Value: c.value}
		if got := h.Interval(c.in); got != c.want {
			t.Errorf("%s: %d, want %d", c.name, got, c.want)
		}
	}
}

func TestFirstChecks(t *testing.T) {
	half := func() float64 { return 0.5 }
	s := time.Second
	for _, c := range []struct {
		name    string
		in      []time.Duration
		spread  int
		longest time.Duration
		random  func() float64
		want    []time.Duration
	}{
		{"one", []time.Duration{2 * s}, 0, 0, half, []time.Duration{0}},
		{"four", []time.Duration{2 * s, 2 * s, 2 * s, 2 * s}, 0, 0, half, []time.Duration{0, s / 2, s, 3 * s / 2}},
		{"the shortest counts", []time.Duration{4 * s, 2 * s}, 0, 0, half, []time.Duration{0, s}},
		{"a longer one takes its own", []time.Duration{2 * s, 4 * s}, 0, 0, half, []time.Duration{0, 2 * s}},
		{"below a second nothing is spread over it", []time.Duration{s / 10, s / 10}, 0, 0, half, []time.Duration{0, s / 20}},
		{"at most so long", []time.Duration{8 * s, 8 * s}, 0, s, half, []time.Duration{0, s / 2}},
		{"longest jitter", []time.Duration{2 * s, 2 * s}, 50, 0, func() float64 { return 0 }, []time.Duration{0, 3 * s / 2}},
		{"no jitter in the middle", []time.Duration{2 * s, 2 * s}, 50, 0, half, []time.Duration{0, s}},
		{"none", nil, 0, 0, half, []time.Duration{}},
	} {
		if diff := cmp.Diff(c.want, firstChecks(c.in, c.spread, c.longest, c.random)); diff != "" {
			t.Errorf("%s (-want +got):\n%s", c.name, diff)
		}
	}
}

func TestStatus(t *testing.T) {
	// The numbers are those of "show servers state".
	if Initial != 1 || L4Con != 8 || L7Sts != 17 {
		t.Error("the numbers of the statuses changed")
	}
	for s := Status(0); s < 40; s++ {
		if s.String() == "" || s.Text() == "" {
			t.Errorf("status %d has no name", s)
		}
		if got := statusOf(s.String(), Unknown); got != s && s.String() != "UNK" {
			t.Errorf("%s is status %d, want %d", s, got, s)
		}
	}
}
