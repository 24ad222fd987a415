package check

import (
	"fmt"
	"time"

	"github.com/penstock/penstock/internal/logging"
)

// A demotion ends sessions at once, always: to spare them would be to let them write to the wrong server. So it is not the
// ends that are limited but the beginnings: a server that lost its role flapMost times within flapSpan is not taken
// back before flapSpan has passed since the first of these losses. Hence at most flapMost times in flapSpan the sessions of a
// server are ended for its role.
const (
	flapMost = 3
	flapSpan = time.Minute
)

// flaps remembers when a server lost its role. The zero value remembers nothing.
type flaps struct {
	lost [flapMost]int64 // dates of the monotonic clock, ns; a ring
	at   int             // the oldest
	told bool            // that the server has to wait
}

// lose notes a loss at a date.
func (f *flaps) lose(now int64) {
	f.lost[f.at] = now
	f.at = (f.at + 1) % flapMost
	f.told = false
}

// wait is how long the server has to stay down yet.
func (f *flaps) wait(now int64) time.Duration {
	oldest := f.lost[f.at]
	if oldest == 0 {
		return 0
	}
	return max(flapSpan-time.Duration(now-oldest), 0)
}

// demote takes note that a server told another role than the one that it should have; k.mu is held. It reports
// whether the server was up.
func (c *Checker) demote(k *Check) bool {
	wasUp := k.state.Health.Up()
	k.state.Health.Value = 0
	if wasUp {
		k.flaps.lose(c.clock.MonoNs())
	}
	return wasUp
}

// promote counts a success, but not the one that would bring up a server that has to wait; k.mu is held.
func (c *Checker) promote(k *Check) bool {
	h := k.state.Health
	changed := k.state.Health.Succeed()
	if h.Up() || !k.state.Health.Up() {
		return changed
	}
	wait := k.flaps.wait(c.clock.MonoNs())
	if wait == 0 {
		return changed
	}
	k.state.Health = h
	if !k.flaps.told {
		k.flaps.told = true
		c.report(k.subject, logging.LevelWarning, fmt.Sprintf("Server %s/%s lost its role %d times within %v: it stays DOWN for another %v.",
			k.backend.Name, k.name, flapMost, flapSpan, wait.Round(time.Second)))
	}
	return false
}

// evict ends what sessions there are on a server that is down and tells another role again: those that a former
// process handed over after the server went down, for instance.
func (c *Checker) evict(k *Check) {
	if k.onDown && k.backend.State.Server(k.server).Served() > 0 {
		c.opt.Shutdown(k.backend, k.server)
	}
}
