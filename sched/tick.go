package sched

import "time"

// Tick is a date in milliseconds on a circle of 2^32: it wraps every 49.7 days. Two dates compare
// by the sign of their difference and so must lie less than 2^31 ms (24.8 days) apart. The value
// zero is no date but Never.
type Tick uint32

// Never is the date that does not come.
const Never Tick = 0

// maxDelay is the longest delay that Add takes, in milliseconds.
const maxDelay = 1<<31 - 2

// Before reports whether t comes earlier than u. Neither may be Never, which has no place on the
// circle; Earliest knows Never.
func (t Tick) Before(u Tick) bool { return int32(t-u) < 0 }

// Add returns the date that comes d after t, with d rounded up to a whole millisecond and held
// between 0 and 2^31-2 ms. The result is never Never: where the circle passes zero, the date is
// one millisecond later.
func (t Tick) Add(d time.Duration) Tick {
	ms := int64(0)
	if d > 0 {
		ms = min((int64(d)-1)/int64(time.Millisecond)+1, maxDelay)
	}
	t += Tick(ms)
	if t == Never {
		t++
	}
	return t
}

// Sub returns the milliseconds from u to t, negative when t comes earlier.
func (t Tick) Sub(u Tick) int32 { return int32(t - u) }

// Earliest returns the one of two dates that comes first; Never comes after everything.
func Earliest(a, b Tick) Tick {
	if a == Never {
		return b
	}
	if b == Never || !b.Before(a) {
		return a
	}
	return b
}
