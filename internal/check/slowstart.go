package check

import (
	"time"

	"github.com/penstock/penstock/internal/backend"
	"github.com/penstock/penstock/internal/logging"
)

// warmEvery is the shortest time between two steps of a slow start.
const warmEvery = time.Second

// A slow start has a state of its own:
//
//	Stopped, Stopping, maintenance ──> Starting ──> Running
//
// A server that leaves it too early gets its full share back, for the next time it comes up at once. Its start
// begins anew when it is drained meanwhile, or ceases to be.

// rise says how a server works that comes up, which is about to be set, and begins its slow start.
func (c *Checker) rise(s *subject) backend.Operation {
	if s.slowStart == 0 || !c.started.Load() {
		return backend.Running
	}
	c.anew(s)
	return backend.Starting
}

// anew begins a slow start.
func (c *Checker) anew(s *subject) {
	s.upSince, s.gone = c.clock.Now(), 0
	c.step(s, 0)
}

// warm goes on with the slow start of a server.
func (c *Checker) warm(s *subject) {
	state := s.backend.State
	gone := s.gone + time.Duration(c.clock.Now().Sub(s.upSince))*time.Millisecond
	switch starting := s.shared().Operation() == backend.Starting; {
	case starting && gone < s.slowStart:
		c.step(s, gone)
	case starting:
		state.Throttle(s.server, 100)
		requeued := state.SetRunning(s.server, true)
		c.reportState(s, logging.LevelNotice, " is UP"+s.via(), requeued)
	default:
		state.Throttle(s.server, 100)
	}
}

// step gives a server its share, and sets the date of the next step.
func (c *Checker) step(s *subject, gone time.Duration) {
	state := s.backend.State
	state.Throttle(s.server, slowStartShare(gone, s.slowStart))
	c.timers.Schedule(s.warmID, c.clock.Now().Add(max(warmEvery, s.slowStart/20)))
}

// slowStartShare is the percentage that a server has after so much of its slow start. It counts in whole seconds.
func slowStartShare(gone, all time.Duration) int {
	return min(int(100*gone.Truncate(time.Second)/all), 99)
}
