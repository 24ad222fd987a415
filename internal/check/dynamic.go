package check

import (
	"slices"

	"github.com/penstock/penstock/internal/backend"
)

// Servers that come and go while the checker runs. Its own goroutine takes them in and lets go of them, as it does
// everything, so that no check is under way and no state is being handed on meanwhile. Timers and sockets know their
// server by the number of an owner, which is used again.

// owner is whose a timer or a socket is: that of a check, of a slow start, or of a program.
type owner struct {
	check   *Check
	starts  *subject
	program *program
}

// owners deals out numbers.
type owners struct {
	list []owner
	free []uint32
}

func (o *owners) add(who owner) uint32 {
	if n := len(o.free); n > 0 {
		id := o.free[n-1]
		o.free = o.free[:n-1]
		o.list[id] = who
		return id
	}
	o.list = append(o.list, who)
	return uint32(len(o.list) - 1)
}

func (o *owners) remove(id uint32) {
	o.list[id] = owner{}
	o.free = append(o.free, id)
}

func (o *owners) number() uint32 { return uint32(len(o.list)) }

// Arrival is a server that comes at run time, in maintenance.
type Arrival struct {
	Server
	Of      *Backend // where the server is that it tracks; nil: it tracks none
	OfIndex int
	Agent   Target // where its agent is, if its line has one
}

// Add takes a server in. Its checks begin on order (SetChecking). It inherits the state of the server that it tracks. It
// reports false when that one is not there, or the checker has ended.
func (c *Checker) Add(a Arrival) (ok bool) {
	return c.do(func() { ok = c.add(&a) }) && ok
}

func (c *Checker) add(a *Arrival) bool {
	var s *subject
	if a.Config.Check.Enabled {
		k := newCheck(&a.Server)
		k.off.Store(true)
		s = k.subject
	} else {
		s = newSubject(a.Backend, a.Index, a.Config)
	}
	if a.Of != nil {
		of := c.subjects[serverID{a.Of.State.ID, a.OfIndex}]
		if of == nil {
			return false
		}
		s.of = of
	}
	c.known.Lock()
	c.subjects[serverID{a.Backend.State.ID, a.Index}] = s
	c.known.Unlock()
	if s.slowStart > 0 {
		s.warmID = c.owners.add(owner{starts: s})
		c.starts = append(c.starts, s)
	}
	if k := s.check; k != nil {
		k.id = c.owners.add(owner{check: k})
		c.checks = append(c.checks, k)
	}
	if a.Config.Agent.Enabled {
		c.addAgent(s, a.Config, a.Agent)
		s.agent.off.Store(true)
	}
	if c.started.Load() {
		c.timers.Grow(c.owners.number())
		for _, k := range [...]*Check{s.check, s.agent} {
			if k != nil {
				k.next = c.clock.Now().Add(k.intervals.Inter)
				c.schedule(k, k.next)
			}
		}
	}
	if s.of != nil {
		c.follow(s)
	}
	return true
}

// follow has a server inherit the state of the one that it tracks from now on.
func (c *Checker) follow(s *subject) {
	s.of.trackers = slices.Insert(s.of.trackers, 0, s)
	from, inherits := s.of.shared(), backend.Admin(0)
	if from.Admin()&backend.Maint != 0 {
		inherits |= backend.InheritedMaint
	}
	if from.Admin()&backend.Drain != 0 {
		inherits |= backend.InheritedDrain
	}
	s.backend.State.SetOperation(s.server, from.Operation())
	c.setAdmin(s, s.shared().Admin()|inherits)
}

// Tracked reports whether other servers take their state from this one.
func (c *Checker) Tracked(backendID, server int) (tracked bool) {
	c.order(backendID, server, func(s *subject) { tracked = len(s.trackers) > 0 })
	return tracked
}

// Remove lets go of a server, which must not be tracked by others. A check that is under way ends without a result.
func (c *Checker) Remove(backendID, server int) bool {
	return c.order(backendID, server, func(s *subject) {
		c.known.Lock()
		delete(c.subjects, serverID{backendID, server})
		c.known.Unlock()
		if s.of != nil {
			s.of.trackers = slices.DeleteFunc(s.of.trackers, func(t *subject) bool { return t == s })
		}
		if s.slowStart > 0 {
			c.starts = slices.DeleteFunc(c.starts, func(t *subject) bool { return t == s })
			c.release(s.warmID)
		}
		for _, k := range [...]*Check{s.check, s.agent} {
			if k != nil {
				c.removeCheck(k)
			}
		}
	})
}

func (c *Checker) removeCheck(k *Check) {
	c.hangUp(k)
	c.abandon(k)
	if k.run.in != nil {
		c.free = append(c.free, k.run.in[:0])
	}
	k.running = false
	c.checks = slices.DeleteFunc(c.checks, func(other *Check) bool { return other == k })
	c.release(k.id)
}

func (c *Checker) release(id uint32) {
	if c.started.Load() {
		c.timers.Cancel(id)
	}
	c.owners.remove(id)
}
