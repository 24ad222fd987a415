package session

import "testing"

// A rate lets a small burst through and then one event for each share of a second; it asks those who
// come too early to wait until there is room, and a pause earns no more than the burst.
func TestRate(t *testing.T) {
	var r Rate
	r.SetMax(100) // one in 10 ms, a burst of 100 ms
	now := int64(1e12)
	events := func(until int64) (n int) {
		for now < until {
			if d := r.delayMs(now); d > 0 {
				now += int64(d) * nsPerMs
				continue
			}
			r.count(now)
			n++
		}
		return n
	}
	if n := events(now + nsPerSecond); n < 100 || n > 111 {
		t.Errorf("%d events in the first second, want 100 and a burst of 10", n)
	}
	if n := events(now + nsPerSecond); n < 99 || n > 101 {
		t.Errorf("%d events in the next second, want 100", n)
	}
	now += 60 * nsPerSecond
	if n := events(now + nsPerSecond); n < 100 || n > 111 {
		t.Errorf("%d events in the second after a pause, want 100 and a burst of 10", n)
	}
}

func TestRateWithoutLimit(t *testing.T) {
	var r Rate
	for range 1000 {
		if d := r.delayMs(1); d != 0 {
			t.Fatalf("delay %d ms without a limit", d)
		}
		r.count(1)
	}
}

// Streams are told from conversations by the chunks they move, and move smaller ones while there is talk.
func TestPoliteStreams(t *testing.T) {
	r := mustRig(t, rigOptions{})
	tb := r.table
	if tb.talked = tb.Clock.Now() - politeMs; tb.polite() || tb.pieceBytes() != tb.pipes.Size() {
		t.Errorf("long after the last talk: polite %v, pieces of %d bytes", tb.polite(), tb.pieceBytes())
	}
	if tb.talked = tb.Clock.Now(); !tb.polite() || tb.pieceBytes() != politePieceBytes {
		t.Errorf("right after talk: polite %v, pieces of %d bytes", tb.polite(), tb.pieceBytes())
	}
	for _, test := range []struct {
		flow flow
		want bool
	}{
		{flow{mode: modeCopy}, false},
		{flow{mode: modeForceSplice}, false},
		{flow{mode: modeSplice}, true},
		{flow{mode: modeForceSplice, heavy: true}, true},
	} {
		s := Session{flow: [2]flow{server: test.flow}}
		if got := s.streams(); got != test.want {
			t.Errorf("a session with %+v is a stream: %v, want %v", test.flow, got, test.want)
		}
	}
}
