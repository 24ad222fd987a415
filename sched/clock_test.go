package sched

import (
	"testing"
	"time"
)

func TestClockStandsStillBetweenUpdates(t *testing.T) {
	c := NewClock()
	tick, mono, wall := c.Now(), c.MonoNs(), c.WallNs()
	for start := time.Now(); time.Since(start) < 3*time.Millisecond; {
	}
	if c.Now() != tick || c.MonoNs() != mono || c.WallNs() != wall {
		t.Error("the clock moved without Update")
	}
	c.Update()
	if passed := c.MonoNs() - mono; passed < int64(3*time.Millisecond) {
		t.Errorf("after 3 ms Update moved the clock by %d ns", passed)
	}
	if ms, want := c.Now().Sub(tick), int32((c.MonoNs()-mono)/1e6); ms < want || ms > want+1 {
		t.Errorf("the tick moved by %d, the nanoseconds by %d ms", ms, want)
	}
	if c.WallNs()-wall < int64(2*time.Millisecond) {
		t.Errorf("the wall clock moved by %d ns in 3 ms", c.WallNs()-wall)
	}
}

func TestClockFollowsTheSystem(t *testing.T) {
	c := NewClock()
	before := time.Now()
	c.Update()
	after := time.Now()
	const slew = int64(time.Second) // the wall clock is carried on and may be set meanwhile
	if w := c.WallNs(); w < before.UnixNano()-slew || w > after.UnixNano()+slew {
		t.Errorf("the wall clock shows %d, the system between %d and %d", w, before.UnixNano(), after.UnixNano())
	}
	if m := c.MonoNs(); m < int64(before.Sub(epoch)) || m > int64(after.Sub(epoch)) {
		t.Errorf("MonoNs = %d, the system between %d and %d", m, before.Sub(epoch), after.Sub(epoch))
	}
}

// TestClockSeesAStep plays a step of the wall clock by bending what the clock has kept of it.
func TestClockSeesAStep(t *testing.T) {
	for _, step := range []time.Duration{time.Hour, -time.Hour} {
		c := NewClock()
		c.wallBase += int64(step)
		c.readAt -= wallEvery
		mono := c.MonoNs()
		c.Update()
		if off := time.Duration(c.WallNs() - time.Now().UnixNano()).Abs(); off > time.Minute {
			t.Errorf("100 ms after a step of %v the wall clock is off by %v", step, off)
		}
		if c.MonoNs() < mono {
			t.Errorf("a step of %v moved the monotonic clock from %d to %d", step, mono, c.MonoNs())
		}
	}
}

func TestClocksAgree(t *testing.T) {
	a := NewClock()
	b := NewClock()
	a.Update()
	if b.MonoNs() > a.MonoNs() || a.Now().Before(b.Now()) {
		t.Errorf("a later Update shows %d ns, tick %d, after %d ns, tick %d", a.MonoNs(), a.Now(), b.MonoNs(), b.Now())
	}
}

func TestClockAcrossTheWrap(t *testing.T) {
	if c := NewClockAt(Never); c.Now() != 1 {
		t.Errorf("a clock started at Never shows %d, want 1", c.Now())
	}
	c := NewClockAt(1<<32 - 2)
	start, last := c.MonoNs(), c.Now()
	if last != 1<<32-2 {
		t.Fatalf("a clock started at %d shows %d", Tick(1<<32-2), last)
	}
	for c.MonoNs()-start < int64(5*time.Millisecond) {
		c.Update()
		if c.Now() == Never {
			t.Fatal("the clock shows Never")
		}
		if c.Now().Before(last) {
			t.Fatalf("the clock went from %d back to %d", last, c.Now())
		}
		last = c.Now()
	}
	if last >= 1<<31 {
		t.Errorf("5 ms after %d the clock shows %d, not past the wrap", Tick(1<<32-2), last)
	}
}
