package process

import (
	"os"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/sys/unix"
)

// However the kernel delivers them, a process that was paused and resumed listens in the end.
func TestSignalsInOrder(t *testing.T) {
	for _, c := range []struct {
		name      string
		delivered []os.Signal
		want      []Event
	}{
		{"one after the other", []os.Signal{unix.SIGTTOU, unix.SIGTTIN}, []Event{Pause, Resume}},
		{"the lower one first", []os.Signal{unix.SIGTTIN, unix.SIGTTOU}, []Event{Pause, Resume}},
		{"paused before", []os.Signal{unix.SIGTTOU, unix.SIGTTIN, unix.SIGTTOU}, []Event{Pause, Pause, Resume}},
		{"resumed only", []os.Signal{unix.SIGTTIN}, []Event{Resume}},
		{"others", []os.Signal{unix.SIGTTIN, unix.SIGHUP, unix.SIGUSR1}, []Event{Resume, Dump, SoftStop}},
	} {
		t.Run(c.name, func(t *testing.T) {
			out := make(chan Request)
			s := &Signals{C: out, events: events, arrived: make(chan os.Signal, 64), done: make(chan struct{}), ended: make(chan struct{})}
			for _, sig := range c.delivered {
				s.arrived <- sig
			}
			go s.forward(out)
			var got []Event
			for range c.want {
				got = append(got, (<-s.C).Event)
			}
			if diff := cmp.Diff(c.want, got); diff != "" {
				t.Error(diff)
			}
			close(s.done)
			<-s.ended
		})
	}
}

// What was taken from the kernel and by nobody else is left for the next program.
func TestSignalsAreLeftInOrder(t *testing.T) {
	s := &Signals{events: events, arrived: make(chan os.Signal, 64), done: make(chan struct{}), ended: make(chan struct{})}
	s.arrived <- unix.SIGTTIN
	s.arrived <- unix.SIGTTOU
	go s.forward(make(chan Request))
	for len(s.arrived) > 0 {
		time.Sleep(time.Millisecond)
	}
	close(s.done)
	<-s.ended
	want := []Request{{Pause, unix.SIGTTOU}, {Resume, unix.SIGTTIN}}
	if diff := cmp.Diff(want, s.pending); diff != "" {
		t.Error(diff)
	}
}

func TestIsPending(t *testing.T) {
	for status, want := range map[string]bool{
		"Name:\tx\nSigPnd:\t0000000000200000\nShdPnd:\t0000000000000000\n": false,
		"Name:\tx\nSigPnd:\t0000000000000000\nShdPnd:\t0000000000200000\n": true,
		"Name:\tx\nShdPnd:\t0000000000100000\n":                            false,
		"ShdPnd:\tx\n":                                                     false,
		"":                                                                 false,
	} {
		if got := isPending(status, unix.SIGTTOU); got != want {
			t.Errorf("%q: %v", status, got)
		}
	}
	if waits(os.Getpid(), unix.SIGTTOU) || waits(1<<30, unix.SIGTTOU) {
		t.Error("a signal waits that nobody sent")
	}
}
