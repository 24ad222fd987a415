package check

import "time"

// warmEvery is the shortest time between two steps of a slow start.
const warmEvery = time.Second

// warm gives a server that came up its share, and sets the date of the next step.
func (c *Checker) warm(s *subject) {
	state := s.backend.State
	gone := time.Duration(c.clock.Now().Sub(s.upSince)) * time.Millisecond
	if !s.up || gone >= s.slowStart {
		state.Throttle(s.server, 100)
		return
	}
	state.Throttle(s.server, slowStartShare(gone, s.slowStart))
	c.timers.Schedule(s.warmID, c.clock.Now().Add(max(warmEvery, s.slowStart/20)))
}

// slowStartShare is the percentage that a server has after so much of its slow start. It counts in whole seconds.
func slowStartShare(gone, all time.Duration) int {
	return min(int(100*gone.Truncate(time.Second)/all), 99)
}
