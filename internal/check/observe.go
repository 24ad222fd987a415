package check

import "fmt"

// observation is what sessions saw of a server.
type observation struct {
	id     serverID
	errors int
}

// Observe tells that so many sessions in a row could not connect to a server. It does not block, and may be called by
// any goroutine at any time; before the start and after the stop it does nothing.
func (c *Checker) Observe(backendID, server, errors int) {
	c.observed.Lock()
	defer c.observed.Unlock()
	if !c.observed.open {
		return
	}
	c.observed.list = append(c.observed.list, observation{serverID{backendID, server}, errors})
	if len(c.observed.list) == 1 {
		c.waker.Wake()
	}
}

func (c *Checker) takeObserved() {
	c.observed.Lock()
	list := c.observed.list
	c.observed.list = nil
	c.observed.Unlock()
	for _, o := range list {
		if s := c.subjects[o.id]; s != nil && s.check != nil && s.shared().Enabled() && !s.check.off.Load() {
			c.observe(s.check, o.errors)
		}
	}
}

// observe obeys on-error. In any case the next check comes soon.
func (c *Checker) observe(k *Check, errors int) {
	k.fast = true
	k.mu.Lock()
	k.state.Observed++
	switch h := &k.state.Health; k.onError {
	case "sudden-death": // the next failure is the last
		if h.Value > h.Rise {
			h.Value = h.Rise + 1
		}
	case "mark-down":
		h.Value = min(h.Value, h.Rise)
	}
	k.mu.Unlock()
	if k.onError != "fastinter" {
		c.settle(k, result{
			status: Analyze, duration: -1,
			info: fmt.Sprintf("Detected %d consecutive errors, last one was: L4 unsuccessful connection", errors),
		})
	}
	if k.running {
		return
	}
	if soon := c.clock.Now().Add(k.interval()); soon.Before(k.next) {
		k.fast = false
		k.next = soon
		c.schedule(k, k.next)
	}
}
