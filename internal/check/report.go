package check

import (
	"fmt"
	"strings"
	"time"

	"github.com/penstock/penstock/internal/config"
	"github.com/penstock/penstock/internal/logging"
)

// settle counts a result and tells the backend when the state of the server changes with it.
func (c *Checker) settle(k *Check, r result) {
	k.mu.Lock()
	report := r.status != k.state.Status
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

	if !k.backend.State.Server(k.server).Enabled() {
		return // it went into maintenance meanwhile
	}
	why := reason(&state)
	if k.backend.LogChecks { // the check has its own line
		if report {
			c.report(&k.subject, logging.LevelNotice, healthLine(k, &state))
		}
		why = ""
	}
	switch {
	case !r.status.Passed() && state.Health.Value == 0 && k.up:
		k.mu.Lock()
		k.state.Downs++
		k.mu.Unlock()
		c.goDown(&k.subject, why)
	case r.status.Passed() && state.Health.Up():
		c.comeUp(&k.subject, why)
	case r.decisive:
		c.evict(k)
	}
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
	if !s.up {
		return
	}
	s.up = false
	b := s.backend
	if b.State.Server(s.server).Enabled() {
		active, backup, _ := b.State.Members()
		before := active + backup
		requeued := b.State.SetRunning(s.server, false)
		c.report(s, logging.LevelAlert, stateLine(s, why, requeued)) // counts the sessions that are ended now
		if s.onDown {
			c.opt.Shutdown(b, s.server)
		}
		if active, backup, _ = b.State.Members(); before > 0 && active+backup == 0 {
			c.say(c.opt.Alert, fmt.Sprintf("%s '%s' has no server available!", title(b.Kind), b.Name))
			c.log(b, logging.LevelEmerg, fmt.Sprintf("%s %s has no server available!", title(b.Kind), b.Name))
		}
	} else {
		b.State.SetRunning(s.server, false)
	}
	for _, t := range s.trackers {
		c.goDown(t, "")
	}
}

// comeUp brings a server, and those that track it, back into service.
func (c *Checker) comeUp(s *subject, why string) {
	if s.up {
		return
	}
	s.up = true
	b := s.backend
	if s.slowStart > 0 {
		s.upSince = c.clock.Now()
		c.warm(s)
	}
	requeued := b.State.SetRunning(s.server, true)
	if b.State.Server(s.server).Enabled() {
		c.report(s, logging.LevelNotice, stateLine(s, why, requeued))
		if s.onUp && !s.backup && b.State.Server(s.server).Usable() {
			c.opt.ShutdownBackups(b)
		}
	}
	for _, t := range s.trackers {
		c.comeUp(t, "")
	}
}

// report brings a line to the operator and to the loggers of the backend.
func (c *Checker) report(s *subject, level int, line string) {
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

// stateLine says that a server went up or down.
func stateLine(s *subject, why string, requeued int) string {
	var b strings.Builder
	if s.backup {
		b.WriteString("Backup ")
	}
	word := "DOWN"
	if s.up {
		word = "UP"
	}
	fmt.Fprintf(&b, "Server %s/%s is %s%s", s.backend.Name, s.name, word, why)
	if s.via != "" {
		b.WriteString(" via " + s.via)
	}
	active, backup, _ := s.backend.State.Members()
	running := ""
	if backup > 0 && active == 0 {
		running = " Running on backup."
	}
	state := s.backend.State.Server(s.server)
	if s.up {
		fmt.Fprintf(&b, ". %d active and %d backup servers online.%s %d sessions requeued, %d total in queue.",
			active, backup, running, requeued, state.Queued())
	} else {
		fmt.Fprintf(&b, ". %d active and %d backup servers left.%s %d sessions active, %d requeued, %d remaining in queue.",
			active, backup, running, state.Served(), requeued, state.Queued())
	}
	return b.String()
}

// healthLine is the line of option log-health-checks.
func healthLine(k *Check, state *State) string {
	which, outcome, word := "", "failed", "DOWN"
	if k.backup {
		which = "backup "
	}
	if state.Status.Passed() {
		outcome = "succeeded"
	}
	if state.Health.Up() {
		word = "UP"
		if k.backend.State.Server(k.server).Weight() == 0 {
			word = "DRAIN"
		}
	}
	n, of := state.Health.Progress()
	return fmt.Sprintf("Health check for %sserver %s/%s %s%s, status: %d/%d %s.",
		which, k.backend.Name, k.name, outcome, reason(state), n, of, word)
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
