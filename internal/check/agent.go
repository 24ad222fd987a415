package check

import (
	"bytes"
	"strings"

	"github.com/penstock/penstock/internal/backend"
	"github.com/penstock/penstock/internal/config"
	"github.com/penstock/penstock/internal/logging"
	"github.com/penstock/penstock/netio"
)

// An agent is a program beside a server that tells how the server is: one line of words for each connection. It is
// asked by a check of its own, which has the socket, the timers and the counters of any other, and goes on in
// maintenance, so that what an agent ordered it can take back.
//
//	up                      the server may work           ┐
//	down, stopped, fail     it does not                   ├ joined with its health check: both must agree that it is up
//	ready, drain, maint     as administrators say it      ┘ to bring it up, one is enough to take it down
//	50%, weight:7           its weight, of the configured one or by itself
//	maxconn:30              its limit
//	# text                  why, behind the words
//
// Words come in any order, the last of each kind counts, and those that are missing change nothing. An agent that cannot be
// reached, or that is silent, changes nothing either.

// agentAnswer is the line of an agent, taken apart. Empty and nil fields were not in it.
type agentAnswer struct {
	health  string // the word as it was written
	up      bool
	admin   string // ready, drain or maint
	weight  *string
	maxConn *string
	unknown string // the first word that means nothing
	note    string
}

const agentBlanks = " \t"

// parseAgent reads the line of an agent, without its end.
func parseAgent(line string) (a agentAnswer) {
	for {
		line = strings.TrimLeft(line, agentBlanks+",")
		if note, ok := strings.CutPrefix(line, "#"); ok {
			a.note = strings.TrimLeft(note, agentBlanks)
			return a
		}
		if line == "" {
			return a
		}
		end := strings.IndexAny(line, agentBlanks+",")
		if end < 0 {
			end = len(line)
		}
		a.take(line[:end])
		line = line[end:]
	}
}

// take reads one word.
func (a *agentAnswer) take(text string) {
	word := strings.ToLower(text)
	switch word {
	case "up", "down", "stopped", "fail":
		a.health, a.up = text, word == "up"
		return
	case "ready", "drain", "maint":
		a.admin = word
		return
	}
	if limit, ok := strings.CutPrefix(word, "maxconn:"); ok {
		a.maxConn = &limit
		return
	}
	weight, named := strings.CutPrefix(word, "weight:")
	switch {
	case named, text[0] >= '0' && text[0] <= '9' && strings.Contains(text, "%"):
		a.weight = &weight
	case a.unknown == "":
		a.unknown = text
	}
}

// result is what the answer means for the health of the server; warning is what was wrong with its numbers.
func (a *agentAnswer) result(warning string) (status Status, info string) {
	odd := a.unknown
	if odd == "" {
		odd = warning
	}
	switch {
	case a.health == "" && a.unknown != "":
		return Checked, "agent reports an error : " + a.unknown
	case a.health == "" && warning != "":
		return Checked, "agent warns : " + warning
	case a.health == "":
		return Checked, ""
	}
	status = L7Sts
	if a.up {
		status = L7OK
	}
	note := a.note
	if odd != "" && (a.up || note == "") {
		note = odd
	}
	info = "via agent : " + a.health
	if note != "" {
		info += " (" + note + ")"
	}
	return status, info
}

// newAgentProgram makes what is done to ask an agent.
func newAgentProgram(send string) *Program {
	p := &Program{steps: []step{{action: config.CheckConnect}}}
	if send != "" {
		p.send([]byte(send))
	}
	p.custom(judgeAgent)
	p.steps[len(p.steps)-1].number = 2 // as HAProxy counts
	p.findHeads()
	return p
}

// judgeAgent waits for the end of the line, which stands at the end of its info. A line without an end gives no info.
func judgeAgent(in []byte, last bool) verdict {
	end := bytes.IndexAny(in, "\r\n\x00")
	switch {
	case end >= 0 && in[end] != 0:
		return verdict{outcome: passed, info: string(in[:end+1])}
	case last:
		return verdict{outcome: passed}
	}
	return verdict{}
}

// addAgents gives a second check to every server that has an agent.
func (c *Checker) addAgents() {
	for i := range c.opt.Agents {
		a := &c.opt.Agents[i]
		if s := c.subjects[serverID{a.Backend.State.ID, a.Index}]; s != nil {
			c.addAgent(s, a.Config, a.Target)
		}
	}
}

// addAgent gives a second check to a server.
func (c *Checker) addAgent(s *subject, cfg *config.Server, to Target) {
	k := &Check{
		subject: s, target: to, run: run{fd: -1}, checking: &config.ServerCheck{},
		intervals: Intervals{Inter: cfg.AgentInterval()}, asking: newAgentProgram(cfg.Agent.Send),
	}
	k.asks = k.asking
	k.state = State{Status: Initial, Health: NewHealth(1, 1, "")}
	k.id = c.owners.add(owner{check: k})
	s.agent = k
	c.checks = append(c.checks, k)
}

// isAgent tells the check by the agent from the health check.
func (k *Check) isAgent() bool { return k.asks != nil }

// agrees reports whether nothing speaks against the server being up: what it tracks, its health check, its agent.
func (s *subject) agrees() bool {
	for _, k := range [...]*Check{s.check, s.agent} {
		if k != nil && !k.off.Load() && !k.state.Health.Up() {
			return false
		}
	}
	return s.of == nil || s.of.shared().Operation() != backend.Stopped
}

// settleAgent does what an agent said, and takes note of it.
func (c *Checker) settleAgent(k *Check, r result) {
	if k.off.Load() { // by an order that came meanwhile
		return
	}
	var a agentAnswer
	switch {
	case r.status == L7OK && r.info != "":
		a = parseAgent(strings.TrimRight(r.info, "\r\n"))
		r.status, r.info = a.result(c.obeyAgent(k.subject, &a))
	case r.status == L7OK:
		r.info = "Ignoring incomplete line from agent"
		if k.state.Status != Initial {
			r.status = k.state.Status
		}
	}
	k.mu.Lock()
	report := r.status != k.state.Status
	k.state.Status, k.state.Code, k.state.Info, k.state.Duration = r.status, 0, clip(r.info), r.duration
	h := &k.state.Health
	switch {
	case a.up:
		h.Value = h.most()
	case a.health != "":
		h.Value = 0
	case r.status == Checked:
		report = false
	case r.status.Passed():
		report = h.Succeed() || report
	case r.status == L7Sts:
		report = h.Fail() || report
	}
	state := k.state
	k.mu.Unlock()

	why := reason(&state)
	if k.backend.LogChecks {
		if report {
			c.report(k.subject, logging.LevelNotice, healthLine(k, &state))
		}
		why = ""
	}
	switch {
	case r.status == L7Sts && state.Health.Value == 0:
		c.goDown(k.subject, why)
	case r.status.Passed() && k.agrees() && k.shared().Operation() != backend.Stopping:
		c.comeUp(k.subject, why)
	}
}

// obeyAgent does what the agent wants besides the health. It returns the first thing that was wrong.
func (c *Checker) obeyAgent(s *subject, a *agentAnswer) (warning string) {
	switch a.admin {
	case "drain":
		c.forceDrain(s)
	case "maint":
		c.forceMaintenance(s)
	case "ready":
		c.makeReady(s)
	}
	if a.weight != nil {
		warning = c.reweigh(s, *a.weight)
	}
	if a.maxConn != nil {
		if w := s.backend.State.RequestMaxConn(s.server, *a.maxConn); warning == "" {
			warning = w
		}
	}
	return warning
}

// AgentState is what is known of a server's agent, false when it has none. Its Health is what the agent said last.
func (c *Checker) AgentState(backendID, server int) (State, bool) {
	if s := c.find(backendID, server); s != nil && s.agent != nil {
		return s.agent.snapshot(), true
	}
	return State{}, false
}

// SetAgentChecking says whether a server's agent is asked. It reports false too when the server has none.
func (c *Checker) SetAgentChecking(backendID, server int, on bool) bool {
	return c.orderAgent(backendID, server, func(k *Check) { k.off.Store(!on) })
}

// SetAgentUp says how a server is in place of its agent, until the agent says otherwise. why is for the log.
func (c *Checker) SetAgentUp(backendID, server int, up bool, why string) bool {
	return c.orderAgent(backendID, server, func(k *Check) {
		k.mu.Lock()
		k.state.Health.Value = 0
		if up {
			k.state.Health.Value = k.state.Health.most()
		}
		k.mu.Unlock()
		if up {
			c.comeUp(k.subject, why)
		} else {
			c.goDown(k.subject, why)
		}
	})
}

// SetAgentTarget has the agent of a server asked elsewhere, from the next time on.
func (c *Checker) SetAgentTarget(backendID, server int, to netio.Sockaddr) bool {
	return c.orderAgent(backendID, server, func(k *Check) { k.target.Addr = to })
}

// SetAgentSend changes what the agent of a server is sent, from the next time on.
func (c *Checker) SetAgentSend(backendID, server int, text string) bool {
	return c.orderAgent(backendID, server, func(k *Check) { k.asking = newAgentProgram(text) })
}

func (c *Checker) orderAgent(backendID, server int, f func(*Check)) bool {
	has := false
	ok := c.order(backendID, server, func(s *subject) {
		if has = s.agent != nil; has {
			f(s.agent)
		}
	})
	return ok && has
}
