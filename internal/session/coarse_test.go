package session

import (
	"testing"

	"github.com/penstock/penstock/sched"
)

// The node comes due at the expiry or less than 16 ms later, one later still where the circle passes zero, and
// exactly then when the expiry is near.
func TestCoarse(t *testing.T) {
	for _, now := range []sched.Tick{1, 7, 16, 123_456_789, 1 << 31, 1<<32 - 60_000, 1<<32 - 1000, 1<<32 - 1} {
		for _, ms := range []uint32{1, 15, 999, 1000, 1001, 1016, 30_000, 59_990, 60_000, 60_001, 3_600_000, 24 * 24 * 3600 * 1000} {
			at := addMs(now, ms)
			got := coarse(now, at)
			late := got.Sub(at)
			switch {
			case got == sched.Never:
				t.Errorf("%d ms from %d: no date", ms, now)
			case at.Sub(now) < 1000 && late != 0:
				t.Errorf("%d ms from %d: %d ms late", ms, now, late)
			case late < 0, late > 15 && got != 1, late > 16:
				t.Errorf("%d ms from %d: %d ms late", ms, now, late)
			case at.Sub(now) >= 1000 && got%16 != 0 && got != 1:
				t.Errorf("%d ms from %d: node at %d", ms, now, got)
			}
		}
	}
}

// A rounded node never ends a session early: what comes due before the expiry is moved, and the last
// second is exact.
func TestCoarseNodeMoves(t *testing.T) {
	clock := sched.NewClockAt(1<<32 - 500)
	tb := &Table{
		Shared: &Shared{Proxies: []*Proxy{{ClientMs: 2000}}},
		Clock:  clock,
		timers: sched.NewTimers(),
	}
	tb.timers.Grow(1)
	s := &Session{state: stateRelay}
	start := clock.Now()
	s.side[client].last, s.side[server].last = start, start

	tb.arm(0, s)
	first, ok := tb.timers.Next()
	if late := first.Sub(addMs(start, 2000)); !ok || late < 0 || late > 15 {
		t.Fatalf("node %t %d ms late", ok, late)
	}

	s.side[client].last = start + 700 // activity moves the expiry, not the node
	tb.arm(0, s)
	if at, _ := tb.timers.Next(); at != first {
		t.Errorf("activity moved the node from %d to %d", first, at)
	}

	// The clock of the table stands still, so the expiry lies ahead when the node is taken out.
	tb.timers.Cancel(0)
	tb.expire(0, s)
	want := coarse(clock.Now(), addMs(start+700, 2000))
	if at, ok := tb.timers.Next(); !ok || at != want || s.term[0] != 0 {
		t.Errorf("node at %d %t, want %d; cause %q", at, ok, want, s.term)
	}

	s.side[client].last = start - 1500 // 500 ms are left
	tb.timers.Cancel(0)
	tb.expire(0, s)
	if at, _ := tb.timers.Next(); at != addMs(start-1500, 2000) {
		t.Errorf("node at %d, want the expiry at %d", at, addMs(start-1500, 2000))
	}
}
