package sched

import "time"

// epoch is the zero of MonoNs for every Clock of the process, so that what two workers measure can
// be compared.
var epoch = time.Now()

// firstTick is what the ticks of an ordinary Clock start from, at the process's start: twenty
// seconds before the wrap. A mistake about the wrap then shows in the first minute of any test
// and not on the fiftieth day in service.
const firstTick Tick = 1<<32 - 20_000

// wallEvery is how long, in nanoseconds, the wall clock is carried on by the monotonic one before
// it is read again. A step of the wall clock is seen at most this much later.
const wallEvery = int64(100 * time.Millisecond)

// Clock is the time as one loop sees it: read once per round by Update, and standing still between
// two Updates, so that reading it costs a load. The monotonic clock alone is read by most Updates;
// the wall clock is added when its last reading is 100 ms old. A Clock belongs to one goroutine.
type Clock struct {
	mono  int64 // ns since epoch
	wall  int64 // Unix ns
	tick  Tick
	first Tick // the tick at epoch

	readAt   int64 // mono of the last reading of the wall clock
	wallBase int64 // wall minus mono at that reading
}

// NewClock returns an updated Clock. The ticks of all clocks made by NewClock in a process agree.
func NewClock() *Clock {
	c := &Clock{first: firstTick}
	c.readWall()
	c.set(c.readAt)
	return c
}

// NewClockAt returns an updated Clock whose Now is start, or one later if start is Never. It lets a
// test stand right before the wrap.
func NewClockAt(start Tick) *Clock {
	c := NewClock()
	c.first = start - Tick(c.mono/int64(time.Millisecond))
	c.set(c.mono)
	return c
}

// Update reads the clock of the system.
func (c *Clock) Update() {
	mono := int64(time.Since(epoch))
	if mono-c.readAt >= wallEvery {
		c.readWall()
		mono = c.readAt
	}
	c.set(mono)
}

// Now returns the tick of the last Update, in milliseconds rounded down. It is never Never: the
// millisecond in which the circle passes zero counts as the next one.
func (c *Clock) Now() Tick { return c.tick }

// MonoNs returns the monotonic time of the last Update in nanoseconds since the process started.
// It can be compared between the clocks of a process.
func (c *Clock) MonoNs() int64 { return c.mono }

// WallNs returns the wall clock of the last Update in nanoseconds since 1970. It follows a step of
// the system's wall clock, forward or backward, within 100 ms of updates.
func (c *Clock) WallNs() int64 { return c.wall }

func (c *Clock) readWall() {
	now := time.Now()
	c.readAt = int64(now.Sub(epoch))
	c.wallBase = now.UnixNano() - c.readAt
}

func (c *Clock) set(mono int64) {
	c.mono = mono
	c.wall = c.wallBase + mono
	c.tick = c.first + Tick(mono/int64(time.Millisecond))
	if c.tick == Never {
		c.tick++
	}
}
