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
	k.state.Running = false
	k.state.Checks++
	if r.status.Passed() {
		report = k.state.Health.Succeed() || report
	} else if k.state.Health.Fail() {
		report = true
		k.state.Failures++
	}
	state := k.state
	k.mu.Unlock()

	if !k.backend.State.Server(k.server).Enabled() {
		return // it went into maintenance meanwhile
	}
	if report && k.backend.LogChecks {
		c.report(k, logging.LevelNotice, healthLine(k, &state))
	}
	switch {
	case !r.status.Passed() && state.Health.Value == 0 && k.up:
		c.goDown(k, &state)
	case r.status.Passed() && state.Health.Up() && !k.up:
		c.comeUp(k, &state)
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

func (c *Checker) goDown(k *Check, state *State) {
	k.up = false
	k.mu.Lock()
	k.state.Downs++
	k.mu.Unlock()
	b := k.backend
	active, backup, _ := b.State.Members()
	before := active + backup
	requeued := b.State.SetRunning(k.server, false)
	c.report(k, logging.LevelAlert, stateLine(k, state, false, requeued)) // counts the sessions that are ended now
	if k.onDown {
		c.opt.Shutdown(b, k.server)
	}
	if active, backup, _ = b.State.Members(); before > 0 && active+backup == 0 {
		c.say(c.opt.Alert, fmt.Sprintf("%s '%s' has no server available!", title(b.Kind), b.Name))
		c.log(b, logging.LevelEmerg, fmt.Sprintf("%s %s has no server available!", title(b.Kind), b.Name))
	}
}

func (c *Checker) comeUp(k *Check, state *State) {
	k.up = true
	b := k.backend
	requeued := b.State.SetRunning(k.server, true)
	c.report(k, logging.LevelNotice, stateLine(k, state, true, requeued))
	if k.onUp && !k.backup && b.State.Server(k.server).Usable() {
		c.opt.ShutdownBackups(b)
	}
}

// report brings a line to the operator and to the loggers of the backend.
func (c *Checker) report(k *Check, level int, line string) {
	c.say(c.opt.Warn, line)
	c.log(k.backend, level, line)
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
func stateLine(k *Check, state *State, up bool, requeued int) string {
	var b strings.Builder
	if k.backup {
		b.WriteString("Backup ")
	}
	word := "DOWN"
	if up {
		word = "UP"
	}
	fmt.Fprintf(&b, "Server %s/%s is %s", k.backend.Name, k.name, word)
	if !k.backend.LogChecks { // the check has its own line then
		b.WriteString(reason(state))
	}
	active, backup, _ := k.backend.State.Members()
	running := ""
	if backup > 0 && active == 0 {
		running = " Running on backup."
	}
	s := k.backend.State.Server(k.server)
	if up {
		fmt.Fprintf(&b, ". %d active and %d backup servers online.%s %d sessions requeued, %d total in queue.",
			active, backup, running, requeued, s.Queued())
	} else {
		fmt.Fprintf(&b, ". %d active and %d backup servers left.%s %d sessions active, %d requeued, %d remaining in queue.",
			active, backup, running, s.Served(), requeued, s.Queued())
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
