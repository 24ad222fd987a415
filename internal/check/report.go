package check

import (
	"fmt"
	"strings"
	"time"

	"github.com/penstock/penstock/internal/backend"
	"github.com/penstock/penstock/internal/config"
	"github.com/penstock/penstock/internal/logging"
)

// settle counts a result and tells the backend when the state of the server changes with it.
func (c *Checker) settle(k *Check, r result) {
	if k.isAgent() {
		c.settleAgent(k, r)
		return
	}
	if !k.shared().Enabled() { // it went into maintenance meanwhile
		return
	}
	k.mu.Lock()
	report := r.status != k.state.Status
	news := report || words(clip(r.info)) != words(k.state.Info)
	k.state.Status, k.state.Code, k.state.Info, k.state.Duration = r.status, r.code, clip(r.info), r.duration
	if r.status.Passed() {
		report = c.promote(k) || report
	} else if r.decisive && c.demote(k) {
		report = true
		k.state.Failures++
	} else if k.state.Health.Fail() {
		report = true
		k.state.Failures++
	}
	state := k.state
	k.mu.Unlock()

	why := reason(&state)
	if k.backend.LogChecks { // the check has its own line
		if report {
			c.report(k.subject, logging.LevelNotice, healthLine(k, &state))
		}
		why = ""
	} else if news && k.program().roles && !r.status.Passed() && !k.shared().Up() {
		// It was down before it was asked, and would stay so without a word: a wrong password, say.
		c.report(k.subject, logging.LevelNotice, healthLine(k, &state))
	}
	switch {
	case !r.status.Passed() && state.Health.Value == 0 && k.shared().Up():
		c.goDown(k.subject, why)
	case r.status == L7OKC && k.agrees():
		c.goStopping(k.subject, why)
	case r.status.Passed() && k.agrees():
		c.comeUp(k.subject, why)
	case r.decisive:
		c.evict(k)
	}
}

// words is a reason without the numbers in it, which are other ones each time: a lag, a port.
func words(info string) string {
	return strings.Map(func(r rune) rune {
		if '0' <= r && r <= '9' {
			return -1
		}
		return r
	}, info)
}

// clip bounds what is kept of a text that came from outside.
func clip(info string) string {
	const longest = 127
	if n := strings.IndexByte(info, 0); n >= 0 {
		info = info[:n]
	}
	return info[:min(len(info), longest)]
}

// goDown takes a server, and those that track it, out of service. why is the reason for the log.
func (c *Checker) goDown(s *subject, why string) {
	if !s.shared().Up() {
		return
	}
	c.leave(s, backend.Stopped, " is DOWN"+why+s.via(), c.lostLevel(s))
	for _, t := range s.trackers {
		c.goDown(t, "")
	}
}

// lostLevel is how bad it is that a server goes down: one that got no new sessions is no loss.
func (c *Checker) lostLevel(s *subject) int {
	if o := s.shared(); o.Admin()&backend.Drain != 0 || o.Operation() == backend.Stopping {
		return logging.LevelNotice
	}
	return logging.LevelAlert
}

// leave changes the operational state of a server that loses its sessions or gets no more.
func (c *Checker) leave(s *subject, to backend.Operation, what string, level int) {
	c.losing(s, to == backend.Stopped, func() { c.reportState(s, level, what, s.backend.State.SetOperation(s.server, to)) })
}

// losing does what takes a server from those who may be chosen, and says so when none is left.
func (c *Checker) losing(s *subject, down bool, change func()) {
	b := s.backend
	active, backup, _ := b.State.Members()
	before := active + backup
	if k := s.check; down && k != nil && !c.starting {
		k.mu.Lock()
		k.state.Downs++
		k.mu.Unlock()
	}
	change() // counts the sessions that are ended now
	if down && s.onDown && !c.starting {
		c.opt.Shutdown(b, s.server)
	}
	if active, backup, _ = b.State.Members(); before > 0 && active+backup == 0 && !c.starting {
		c.say(c.opt.Alert, fmt.Sprintf("%s '%s' has no server available!", title(b.Kind), b.Name))
		c.log(b, logging.LevelEmerg, fmt.Sprintf("%s %s has no server available!", title(b.Kind), b.Name))
	}
}

// comeUp brings a server, and those that track it, back into service.
func (c *Checker) comeUp(s *subject, why string) {
	if o := s.shared(); !o.Enabled() || o.Operation() == backend.Running || o.Operation() == backend.Starting {
		return
	}
	requeued := s.backend.State.SetOperation(s.server, c.rise(s))
	c.reportState(s, logging.LevelNotice, " is UP"+why+s.via(), requeued)
	c.endBackups(s)
	for _, t := range s.trackers {
		c.comeUp(t, "")
	}
}

// endBackups ends the sessions on backups for a server that came back, if its line says so.
func (c *Checker) endBackups(s *subject) {
	if s.onUp && !s.backup && s.shared().Usable() && !c.starting {
		c.opt.ShutdownBackups(s.backend)
	}
}

// report brings a line to the operator and to the loggers of the backend.
func (c *Checker) report(s *subject, level int, line string) {
	if c.starting {
		if c.restored != nil {
			c.restored(line)
		}
		return
	}
	c.say(c.opt.Warn, line)
	c.log(s.backend, level, line)
}

func (c *Checker) log(b *Backend, level int, line string) {
	if b.Logger != nil {
		b.Logger.Send(&c.scratch, level, time.Now().UnixNano(), []byte(line))
	}
}

// title is the word for a proxy in messages.
func title(k config.Kind) string {
	if k == config.Backend {
		return "backend"
	}
	return "proxy"
}

// title is how lines call the server.
func (s *subject) title() string {
	which := ""
	if s.backup {
		which = "Backup "
	}
	return fmt.Sprintf("%sServer %s/%s", which, s.backend.Name, s.name)
}

// via names the server that this one tracks.
func (s *subject) via() string {
	if s.of == nil {
		return ""
	}
	return " via " + s.of.backend.Name + "/" + s.of.name
}

// reportState says what happened to a server, and what that means for its backend.
func (c *Checker) reportState(s *subject, level int, what string, requeued int) {
	active, backup, _ := s.backend.State.Members()
	running := ""
	if backup > 0 && active == 0 {
		running = " Running on backup."
	}
	o := s.shared()
	line := ""
	if o.Up() {
		line = fmt.Sprintf("%s%s. %d active and %d backup servers online.%s %d sessions requeued, %d total in queue.",
			s.title(), what, active, backup, running, requeued, o.Queued())
	} else {
		line = fmt.Sprintf("%s%s. %d active and %d backup servers left.%s %d sessions active, %d requeued, %d remaining in queue.",
			s.title(), what, active, backup, running, o.Served(), requeued, o.Queued())
	}
	c.report(s, level, line)
}

// healthLine is the line of option log-health-checks.
func healthLine(k *Check, state *State) string {
	by, which, outcome, word := "Health", "", "failed", "DOWN"
	if k.isAgent() {
		by = "Agent"
	}
	if k.backup {
		which = "backup "
	}
	if state.Status.Passed() {
		outcome = "succeeded"
	}
	if state.Status == L7OKC {
		outcome = "conditionally succeeded"
	}
	if state.Health.Up() {
		word = "UP"
		if k.backend.State.Server(k.server).Weight() == 0 {
			word = "DRAIN"
		}
	}
	n, of := state.Health.Progress()
	return fmt.Sprintf("%s check for %sserver %s/%s %s%s, status: %d/%d %s.",
		by, which, k.backend.Name, k.name, outcome, reason(state), n, of, word)
}

// reason is what a check found, as log lines show it.
func reason(s *State) string {
	var b strings.Builder
	fmt.Fprintf(&b, ", reason: %s", s.Status.Text())
	if s.Status.HasCode() {
		fmt.Fprintf(&b, ", code: %d", s.Code)
	}
	if s.Info != "" {
		b.WriteString(`, info: "`)
		for i := range len(s.Info) {
			if c := s.Info[i]; c < ' ' || c > '~' || c == '<' || c == '>' || c == '"' {
				fmt.Fprintf(&b, "<%02X>", c)
			} else {
				b.WriteByte(c)
			}
		}
		b.WriteByte('"')
	}
	if s.Duration >= 0 {
		fmt.Fprintf(&b, ", check duration: %dms", s.Duration)
	}
	return b.String()
}
