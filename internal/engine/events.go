package engine

import (
	"errors"
	"fmt"
	"io"
	"time"

	"github.com/penstock/penstock/internal/config"
	"github.com/penstock/penstock/internal/logging"
	"github.com/penstock/penstock/internal/session"
	"github.com/penstock/penstock/netio"
)

// logProxy sends a line about a proxy to its loggers; e.mu is held.
func (e *Engine) logProxy(p *session.Proxy, level int, format string, args ...any) {
	if p == nil || p.Logger == nil {
		return
	}
	p.Logger.Send(&e.scratch, level, time.Now().UnixNano(), fmt.Appendf(nil, format, args...))
}

// LogProxy sends a line to the loggers of a section in HTTP mode, by its name.
func (e *Engine) LogProxy(name string, level int, line string) {
	e.mu.Lock()
	defer e.mu.Unlock()
	for i, c := range e.cfg.Proxies {
		if c.HTTP && c.Name == name {
			e.logProxy(e.proxies[i], level, "%s", line)
			return
		}
	}
}

// complain reports that the kernel has no more of something. Workers call it, at most once a second each.
func (e *Engine) complain(p *session.Proxy, errno netio.Errno) {
	e.complaints.Add(1)
	text, level := "", logging.LevelEmerg
	switch {
	case errors.Is(errno, netio.EMFILE):
		text = fmt.Sprintf("Proxy %s reached process FD limit (actconn=%d). Please check 'ulimit-n' and restart.", p.Name, e.shared.Conns.Current())
	case errors.Is(errno, netio.ENFILE):
		text = fmt.Sprintf("Proxy %s reached system FD limit (actconn=%d). Please check system tunables.", p.Name, e.shared.Conns.Current())
	case errors.Is(errno, netio.EADDRNOTAVAIL), errors.Is(errno, netio.EADDRINUSE), errors.Is(errno, netio.EAGAIN):
		level = logging.LevelErr
		text = fmt.Sprintf("Connect() failed for backend %s: no free ports.", p.Name)
	case errors.Is(errno, netio.ENOMEM), errors.Is(errno, netio.ENOBUFS):
		text = fmt.Sprintf("Proxy %s reached system memory limit (actconn=%d). Please check system tunables.", p.Name, e.shared.Conns.Current())
	default:
		text = fmt.Sprintf("Proxy %s: %v (actconn=%d).", p.Name, errno, e.shared.Conns.Current())
	}
	go func() { // the report may block, the worker must not
		e.mu.Lock()
		defer e.mu.Unlock()
		e.opt.Report.Alertf("%s", text)
		e.logProxy(p, level, "%s", text)
	}()
}

// DumpState writes the state of every proxy and server, as SIGHUP asks, and logs it.
func (e *Engine) DumpState(w io.Writer) {
	e.mu.Lock()
	defer e.mu.Unlock()
	say := func(p *session.Proxy, format string, args ...any) {
		line := fmt.Sprintf(format, args...)
		_, _ = fmt.Fprintln(w, line) // a dump that nobody can read is no reason to fail
		e.logProxy(p, logging.LevelNotice, "%s", line)
	}
	for i, c := range e.cfg.Proxies {
		p := e.proxies[i]
		if c.Disabled {
			continue
		}
		say(p, "SIGHUP received, dumping servers states for proxy %s.", c.Name)
		if !c.Kind.HasBackend() || p.Backend == nil {
			continue
		}
		for n, server := range e.Servers(i) {
			s := p.Backend.Server(n)
			if server.Departed && s.Idle() {
				continue
			}
			state := "UP"
			if !s.Up() {
				state = "DOWN"
			}
			say(p, "SIGHUP: Server %s/%s is %s. Conn: %d act, %d pend, %d tot.", c.Name, s.Name, state, s.Served(), s.Queued(), s.CumSessions())
		}
		active, backup, _ := p.Backend.Members()
		say(p, "SIGHUP: Proxy %s %s", c.Name, proxyState(p, active, backup))
	}
}

func proxyState(p *session.Proxy, active, backup int) string {
	conns := fmt.Sprintf("Conn: act(FE+BE): %d+%d, %d pend (%d unass), tot(FE+BE): %d+%d.",
		p.Conns.Current(), p.BeConns.Load(), p.Backend.Queued(), p.Backend.BackendQueue(), p.CumConns.Load(), p.CumBeConns.Load())
	switch {
	case active == 0 && backup == 0:
		return "has no server available! " + conns
	case active == 0:
		return "is running on backup ones. " + conns
	}
	return fmt.Sprintf("has %d active servers and %d backup servers available. %s", active, backup, conns)
}

// place is where a line of the configuration stands, as messages show it.
func place(pos config.Pos) string { return fmt.Sprintf("[%s:%d]", pos.File, pos.Line) }
