package check

import (
	"time"

	"github.com/penstock/penstock/internal/backend"
	"github.com/penstock/penstock/internal/logging"
	"github.com/penstock/penstock/netio"
)

// The state of a server has two parts, and each is handed on to those that track it.
//
//	administrators   ready <──> drain, maintenance: forced on the server itself, inherited from the one it tracks
//	operation        Running <──> Stopping <──> Stopped: by checks, or by order; Starting before Running, see rise
//
// In maintenance a server is Stopped and no check is made. When it leaves that, it begins like a server never checked,
// and its first check comes at once. Everything here runs on the checker's goroutine, as the checks do, so that
// lines come in the order of what they tell.

// do has the checker's own goroutine run f, and waits. It reports false when the checker has ended.
func (c *Checker) do(f func()) bool {
	if !c.started.Load() {
		f()
		return true
	}
	ran := make(chan struct{})
	ok := c.post(func() {
		f()
		close(ran)
	})
	if ok {
		<-ran
	}
	return ok
}

// post is do without waiting, while the checker runs.
func (c *Checker) post(f func()) bool {
	c.orders.Lock()
	defer c.orders.Unlock()
	if c.orders.ended {
		return false
	}
	c.orders.list = append(c.orders.list, f)
	c.waker.Wake()
	return true
}

// obey does what others asked for.
func (c *Checker) obey() {
	c.orders.Lock()
	list := c.orders.list
	c.orders.list = nil
	c.orders.Unlock()
	for _, f := range list {
		f()
	}
}

// endOrders does what was asked for so far, and takes no more.
func (c *Checker) endOrders() {
	c.orders.Lock()
	c.orders.ended = true
	c.orders.Unlock()
	c.obey()
}

// order runs f for a server. It reports false when there is no such server or the checker has ended.
func (c *Checker) order(backendID, server int, f func(*subject)) bool {
	found := false
	return c.do(func() {
		s := c.subjects[serverID{backendID, server}]
		if found = s != nil; found {
			f(s)
		}
	}) && found
}

// find is a server for those who are not the checker's goroutine.
func (c *Checker) find(backendID, server int) *subject {
	c.known.RLock()
	defer c.known.RUnlock()
	return c.subjects[serverID{backendID, server}]
}

// SetMaintenance puts a server into maintenance. Like all orders it reports false when the server is unknown or
// the checker has ended.
func (c *Checker) SetMaintenance(backendID, server int) bool {
	return c.order(backendID, server, c.forceMaintenance)
}

func (c *Checker) forceMaintenance(s *subject) {
	c.set(s, backend.ForcedMaint)
	c.clear(s, backend.ForcedDrain)
}

// SetDrain keeps new sessions from a server.
func (c *Checker) SetDrain(backendID, server int) bool {
	return c.order(backendID, server, c.forceDrain)
}

func (c *Checker) forceDrain(s *subject) {
	c.set(s, backend.ForcedDrain)
	c.clear(s, backend.ForcedMaint)
}

// SetReady takes SetMaintenance and SetDrain back. What the server inherits remains.
func (c *Checker) SetReady(backendID, server int) bool {
	return c.order(backendID, server, c.makeReady)
}

func (c *Checker) makeReady(s *subject) {
	c.clear(s, backend.ForcedDrain)
	c.clear(s, backend.ForcedMaint)
}

// SetWeight sets the weight of a server as words ask for it, see backend.RequestWeight. It reports false when the server is
// unknown or the checker has ended.
func (c *Checker) SetWeight(backendID, server int, text string) (complaint string, ok bool) {
	ok = c.order(backendID, server, func(s *subject) { complaint = c.reweigh(s, text) })
	return complaint, ok
}

// reweigh sets a weight. With 0 the last server may be lost.
func (c *Checker) reweigh(s *subject, text string) (complaint string) {
	c.losing(s, false, func() { complaint = s.backend.State.RequestWeight(s.server, text) })
	return complaint
}

// Tracks reports whether a server takes its state from another one.
func (c *Checker) Tracks(backendID, server int) bool {
	s := c.find(backendID, server)
	return s != nil && s.of != nil
}

// SetOperation says how a server works, until its next checks say otherwise. In maintenance that changes nothing but
// what checks begin with. why is for the log; empty: none.
func (c *Checker) SetOperation(backendID, server int, to backend.Operation, why string) bool {
	return c.order(backendID, server, func(s *subject) {
		if k := s.check; k != nil {
			k.mu.Lock()
			k.state.Health.Value = k.state.Health.most()
			if to == backend.Stopped {
				k.state.Health.Value = 0
			}
			k.mu.Unlock()
		}
		switch to {
		case backend.Stopped:
			c.goDown(s, why)
		case backend.Stopping:
			c.goStopping(s, why)
		default:
			c.comeUp(s, why)
		}
	})
}

// SetChecking says whether a server is checked. It reports false too when the server was not to be checked.
func (c *Checker) SetChecking(backendID, server int, on bool) bool {
	checked := false
	return c.order(backendID, server, func(s *subject) {
		if checked = s.check != nil; checked && s.check.off.Swap(!on) && on {
			c.checkNow(s.check)
		}
	}) && checked
}

// Target is where a server's checks go, and false when it is not checked.
func (c *Checker) Target(backendID, server int) (to netio.Sockaddr, ok bool) {
	c.order(backendID, server, func(s *subject) {
		if ok = s.check != nil; ok {
			to = s.check.target.Addr
		}
	})
	return to, ok
}

// SetTarget sends the checks of a server elsewhere, from the next one on.
func (c *Checker) SetTarget(backendID, server int, to netio.Sockaddr) bool {
	return c.order(backendID, server, func(s *subject) {
		if s.check != nil {
			s.check.target.Addr = to
		}
	})
}

// Former is what another process knew of a server.
type Former struct {
	Admin      backend.Admin // only what was forced counts
	Operation  backend.Operation
	Health     int
	Status     Status
	Checked    bool
	Off        bool          // no check was made, by order
	Agent      bool          // it had an agent
	AgentOff   bool          // which was not asked, by order
	AgentDown  bool          // which had taken the server down
	Weightless bool          // its line said weight 0
	Since      time.Duration // its last change
}

// Restore gives a server the state that it had in another process; before Start only. The configuration wins: a
// server whose line says disabled now and did not then, or the other way round, is as the line says. say, which may be
// nil, gets a line for what changes. A server that has to tell its role has to do so again: it may have changed.
func (c *Checker) Restore(backendID, server int, f Former, say func(line string)) {
	s := c.subjects[serverID{backendID, server}]
	if s == nil {
		return
	}
	c.starting = true
	c.restored = say
	defer func() { c.starting, c.restored = false, nil }()
	const why = ", changed from server-state after a reload"
	untold := s.check != nil && s.check.program().roles && !f.Off
	if k := s.check; k != nil {
		k.state.Status = f.Status
		k.off.Store(f.Off)
	}
	agentDown := f.AgentDown && s.agent != nil && !f.AgentOff
	if k := s.agent; k != nil {
		k.off.Store(f.AgentOff)
		if agentDown {
			k.state.Health.Value = 0
		}
	}
	if k := s.check; k != nil && !untold {
		h := &k.state.Health
		h.Value = h.most()
		switch {
		case agentDown: // the check was content
		case f.Operation == backend.Stopped:
			h.Value = 0
		case f.Operation == backend.Stopping && f.Health >= h.Rise:
			h.Value = min(f.Health, h.most())
		case f.Operation == backend.Stopping:
			h.Value = h.Rise
		}
	}
	switch {
	case untold:
	case s.of != nil && !agentDown, (f.Checked || f.Agent) && s.check == nil && s.agent == nil: // as the server that it tracks; nobody would raise it again
	case f.Operation == backend.Stopped:
		c.goDown(s, why)
	case f.Operation == backend.Stopping:
		c.goStopping(s, why)
	default:
		c.comeUp(s, "")
	}
	if f.Operation == backend.Starting && s.shared().Operation() == backend.Running && f.Since < s.slowStart && !untold {
		s.gone = f.Since // Start goes on with it
		s.backend.State.Throttle(s.server, slowStartShare(s.gone, s.slowStart))
		s.backend.State.SetOperation(s.server, backend.Starting)
	}
	configured := s.shared().Admin() & backend.Configured
	maintained := f.Admin&backend.ForcedMaint != 0
	if f.Admin&backend.Configured != configured {
		maintained = configured != 0
	}
	if maintained {
		c.set(s, backend.ForcedMaint)
		c.clear(s, backend.ForcedDrain)
		if s.check != nil {
			s.check.state.Health.Value = 0
		}
	} else {
		c.clear(s, backend.ForcedMaint)
	}
	// A server that had no weight in the configuration and has one now was turned on again.
	if !maintained && f.Admin&backend.ForcedDrain != 0 && (!f.Weightless || s.shared().InitialWeight() == 0) {
		c.set(s, backend.ForcedDrain)
	}
}

// goStopping keeps new sessions from a server, and from those that track it, because it says that it will stop.
func (c *Checker) goStopping(s *subject, why string) {
	if o := s.shared(); !o.Enabled() || o.Operation() == backend.Stopping {
		return
	}
	c.leave(s, backend.Stopping, " is stopping"+why+s.via(), logging.LevelNotice)
	for _, t := range s.trackers {
		c.goStopping(t, "")
	}
}

// set sets a bit of a server and has those that track it inherit it, unless they have its like already.
func (c *Checker) set(s *subject, bit backend.Admin) {
	now := s.shared().Admin()
	if now&bit != 0 {
		return
	}
	c.apply(s, now, now|bit)
	if now&alike(bit) != 0 {
		return
	}
	for _, t := range s.trackers {
		c.set(t, inherited(bit))
	}
}

// clear takes set back.
func (c *Checker) clear(s *subject, bit backend.Admin) {
	now := s.shared().Admin()
	if now&bit == 0 {
		return
	}
	c.apply(s, now, now&^bit)
	if now&^bit&alike(bit) != 0 {
		return
	}
	for _, t := range s.trackers {
		c.clear(t, inherited(bit))
	}
}

// alike are the bits with the same effect.
func alike(bit backend.Admin) backend.Admin {
	if bit&backend.Maint != 0 {
		return backend.Maint
	}
	return backend.Drain
}

func inherited(bit backend.Admin) backend.Admin {
	if bit&backend.Maint != 0 {
		return backend.InheritedMaint
	}
	return backend.InheritedDrain
}

// apply changes what administrators want of a server, and tells what became of it.
func (c *Checker) apply(s *subject, was, is backend.Admin) {
	switch {
	case is&backend.Maint != 0:
		if was&backend.Maint == 0 {
			c.enterMaintenance(s, is)
		} else {
			c.remainInMaintenance(s, was, is)
		}
		return
	case was&backend.Maint != 0:
		c.leaveMaintenance(s, was, is)
	}
	switch drained := is&backend.Drain != 0; {
	case drained && was&backend.Drain == 0:
		c.enterDrain(s, is)
	case drained && is&backend.ForcedDrain != 0:
		c.setAdmin(s, is)
		c.report(s, logging.LevelNotice, s.title()+" remains in forced drain mode.")
	case drained:
		c.setAdmin(s, is)
		c.report(s, logging.LevelNotice, s.title()+" is leaving forced drain but remains in drain mode"+s.via()+".")
	case was&backend.Drain != 0:
		c.setAdmin(s, is)
		c.report(s, logging.LevelNotice, s.title()+" is "+word(s)+" (leaving forced drain).")
	}
	if (was^is)&backend.Drain != 0 && c.started.Load() && s.shared().Operation() == backend.Starting {
		c.anew(s)
	}
}

func (c *Checker) setAdmin(s *subject, is backend.Admin) int {
	return s.backend.State.SetAdmin(s.server, is)
}

// word is UP or DOWN.
func word(s *subject) string {
	if s.shared().Up() {
		return "UP"
	}
	return "DOWN"
}

// by names the server that one tracks, unless the order was for it itself.
func by(s *subject, forced bool) string {
	if forced {
		return ""
	}
	return s.via()
}

func (c *Checker) enterMaintenance(s *subject, is backend.Admin) {
	via := by(s, is&backend.ForcedMaint != 0)
	level := c.lostLevel(s)
	wasUp := s.shared().Up()
	if k := s.check; k != nil {
		k.mu.Lock()
		k.state.Health.Value = 0
		k.mu.Unlock()
	}
	if !wasUp {
		c.setAdmin(s, is)
		if !c.starting {
			c.report(s, logging.LevelNotice, s.title()+" was DOWN and now enters maintenance"+via+".")
		}
		return
	}
	c.losing(s, true, func() {
		requeued := c.setAdmin(s, is)
		if !c.starting {
			c.reportState(s, level, " is going DOWN for maintenance"+via, requeued)
		}
	})
}

func (c *Checker) remainInMaintenance(s *subject, was, is backend.Admin) {
	c.setAdmin(s, is)
	switch {
	case was&backend.ForcedMaint != 0 && is&backend.ForcedMaint == 0:
		c.report(s, logging.LevelNotice, s.title()+" is leaving forced maintenance but remains in maintenance"+s.via()+".")
	case was&backend.ForcedMaint == 0 && is&backend.ForcedMaint != 0:
		c.report(s, logging.LevelNotice, s.title()+" remains in forced maintenance.")
	}
}

// leaveMaintenance decides how a server works from now on: like the one that it tracks, or as if it was never
// checked.
func (c *Checker) leaveMaintenance(s *subject, was, is backend.Admin) {
	to := backend.Running
	if s.of != nil {
		to = s.of.shared().Operation()
	}
	if k := s.check; k != nil {
		k.mu.Lock()
		h := &k.state.Health
		*h = NewHealth(h.Rise, h.Fall, k.initState)
		if !h.Up() {
			to = backend.Stopped
		}
		k.mu.Unlock()
		c.checkNow(k)
	}
	if a := s.agent; a != nil && !a.off.Load() && !a.state.Health.Up() {
		to = backend.Stopped
	}
	if to == backend.Running || to == backend.Starting {
		to = c.rise(s)
	}
	s.backend.State.SetOperation(s.server, to)
	c.setAdmin(s, is)
	readiness, how := "READY", "leaving maintenance"
	if is&backend.Drain != 0 {
		readiness = "DRAIN"
	}
	if was&backend.ForcedMaint != 0 {
		how = "leaving forced maintenance"
	}
	c.report(s, logging.LevelNotice, s.title()+" is "+word(s)+"/"+readiness+" ("+how+").")
	c.endBackups(s)
}

func (c *Checker) enterDrain(s *subject, is backend.Admin) {
	c.losing(s, false, func() {
		requeued := c.setAdmin(s, is)
		if !c.starting {
			c.reportState(s, logging.LevelNotice, " enters drain state"+by(s, is&backend.ForcedDrain != 0), requeued)
		}
	})
}

// checkNow has the next check come at once.
func (c *Checker) checkNow(k *Check) {
	if !c.started.Load() || k.running {
		return
	}
	k.next = c.clock.Now()
	c.schedule(k, k.next)
}
