package check

import (
	"fmt"
	"time"
)

// Health counts successes and failures as HAProxy does.
//
//	value      0    1  …  rise-1    rise  …  rise+fall-2    rise+fall-1
//	state    DOWN  DOWN, going up   UP, going down           UP
//
// A success adds one, and at rise the server is up and its value jumps to the end. A failure takes one away, and
// below rise the server is down and its value drops to 0. So rise successes in a row raise a server that is down, and
// fall failures in a row bring down one that is up. A server that was never checked stands at rise: it is up, one
// failure brings it down and one success makes it fully up.
type Health struct {
	Rise, Fall int // above 0
	Value      int // 0 … Rise+Fall-1
}

// NewHealth is the health of a server that was not checked yet; state is init-state, or empty.
func NewHealth(rise, fall int, state string) Health {
	h := Health{Rise: rise, Fall: fall, Value: rise}
	switch state {
	case "fully-up":
		h.Value = h.most()
	case "down":
		h.Value = rise - 1
	case "fully-down":
		h.Value = 0
	}
	return h
}

func (h Health) most() int { return h.Rise + h.Fall - 1 }

// Succeed counts a success, and reports whether that changed anything.
func (h *Health) Succeed() bool {
	if h.Value >= h.most() {
		return false
	}
	h.Value++
	if h.Value >= h.Rise {
		h.Value = h.most()
	}
	return true
}

// Fail counts a failure, and reports whether that changed anything.
func (h *Health) Fail() bool {
	if h.Value <= 0 {
		return false
	}
	h.Value--
	if h.Value < h.Rise {
		h.Value = 0
	}
	return true
}

// Up reports whether the server is up.
func (h Health) Up() bool { return h.Value >= h.Rise }

// Progress is how far the server is on its way: n of so many failures that are left to it while it is up, of so many
// successes that it has while it is down.
func (h Health) Progress() (n, of int) {
	if h.Up() {
		return h.Value - h.Rise + 1, h.Fall
	}
	return h.Value, h.Rise
}

// String is the state as in status of "show stat".
func (h Health) String() string {
	n, of := h.Progress()
	switch {
	case h.Value == h.most():
		return "UP"
	case h.Up():
		return fmt.Sprintf("UP %d/%d", n, of)
	case h.Value == 0:
		return "DOWN"
	}
	return fmt.Sprintf("DOWN %d/%d", n, of)
}

// Intervals are the times between the checks of a server.
type Intervals struct {
	Inter time.Duration // settled
	Fast  time.Duration // on its way; 0: Inter
	Down  time.Duration // down; 0: Inter
}

// Interval is how long after a check the next one comes.
func (h Health) Interval(i Intervals) time.Duration {
	d := i.Fast
	switch h.Value {
	case h.most():
		return i.Inter
	case 0:
		d = i.Down
	}
	if d == 0 {
		return i.Inter
	}
	return d
}

// spreadFrom is the shortest interval over which first checks are spread.
const spreadFrom = time.Second

// firstChecks says when each server is checked for the first time: as far from each other as the shortest interval
// allows, one after the other. random gives numbers in [0,1); spread is in percent; longest 0 means no limit.
func firstChecks(intervals []time.Duration, spread int, longest time.Duration, random func() float64) []time.Duration {
	least := time.Duration(0)
	for _, d := range intervals {
		if d >= spreadFrom && (least == 0 || d < least) {
			least = d
		}
	}
	delays := make([]time.Duration, len(intervals))
	for i, d := range intervals {
		over := max(least, d)
		over += jitter(d, spread, random)
		if longest > 0 {
			over = min(over, longest)
		}
		delays[i] = over * time.Duration(i) / time.Duration(len(intervals))
	}
	return delays
}

// jitter is a random part of an interval, at most spread percent of it, longer or shorter.
func jitter(d time.Duration, spread int, random func() float64) time.Duration {
	if spread <= 0 {
		return 0
	}
	most := d * time.Duration(spread) / 100
	return most - time.Duration(2*float64(most)*random())
}
