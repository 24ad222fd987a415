package engine

import (
	"os"
	"slices"
	"time"

	"github.com/penstock/penstock/internal/backend"
	"github.com/penstock/penstock/internal/check"
	"github.com/penstock/penstock/internal/config"
	"github.com/penstock/penstock/internal/session"
	"github.com/penstock/penstock/netio"
)

// buildChecks makes the checker of all servers that are to be checked. It reports every mistake, and whether there
// was none.
func (e *Engine) buildChecks() bool {
	ok := true
	var servers, others, agents []check.Server
	backends := make([]*check.Backend, len(e.cfg.Proxies))
	for i, c := range e.cfg.Proxies {
		if c.Disabled || c.Departed || !c.Kind.HasBackend() {
			continue
		}
		program, err := check.NewProgram(&c.Check)
		if err != nil {
			e.opt.Report.Alertf("config : %s : proxy '%s' : %v", place(c.Pos), c.Name, err)
			ok = false
			continue
		}
		backends[i] = &check.Backend{
			Name: c.Name, ID: c.ID, Kind: c.Kind, State: e.proxies[i].Backend, Logger: e.proxies[i].Logger, Program: program,
			CheckTimeout: c.Timeouts.Check, ConnectTimeout: c.Timeouts.Connect, LogChecks: c.LogHealthChecks,
			Command: command(c),
		}
		for n, s := range c.Servers {
			if s.Agent.Enabled && !s.Departed {
				target, good := e.agentTarget(i, n)
				ok = ok && good
				agents = append(agents, check.Server{Backend: backends[i], Index: n, Config: s, Target: target})
			}
			if !s.Check.Enabled || s.Departed {
				if s.Track.Server == "" && !s.Departed {
					others = append(others, check.Server{Backend: backends[i], Index: n, Config: s})
				}
				continue
			}
			target, good := e.checkTarget(i, n)
			ok = ok && good
			tls, err := e.checkTLS(c, s)
			if err != nil {
				e.opt.Report.Alertf("%s : 'server %s/%s' : %v", place(s.Pos), c.Name, s.Name, err)
				ok = false
			}
			servers = append(servers, check.Server{
				Backend: backends[i], Index: n, Config: s, Target: target, TLS: tls,
				Address: func() netio.Sockaddr { return e.proxies[i].Server(n).Destination().Addr },
			})
		}
	}
	g := &e.cfg.Global
	external, err := e.external()
	if err != nil {
		e.opt.Report.Alertf("%v.", err)
		ok = false
	}
	e.checker = check.New(check.Options{
		Servers: servers, Trackers: e.trackers(backends), Others: others, Agents: agents, Spread: g.SpreadChecks, MaxSpread: g.MaxSpreadChecks, BufSize: g.BufSize,
		Node: NodeName(g), External: external,
		Warn:            func(text string) { e.opt.Report.Warningf("%s", text) },
		Alert:           func(text string) { e.opt.Report.Alertf("%s", text) },
		Shutdown:        func(b *check.Backend, server int) { go e.shutdown(b, int32(server), session.ServerDown) },
		ShutdownBackups: func(b *check.Backend) { go e.shutdown(b, -1, session.ServerUp) },
	})
	e.checked = backends
	for _, b := range backends {
		if b != nil {
			b.State.SetObserver(func(server, errors int) { e.checker.Observe(b.State.ID, server, errors) })
		}
	}
	return ok
}

// checkTLS is how the check of a server verifies its certificate, nil when it does not speak TLS.
func (e *Engine) checkTLS(c *config.Proxy, s *config.Server) (*check.TLS, error) {
	if !c.Check.NeedsTLS(&s.Check) {
		return nil, nil
	}
	return check.NewTLS(&s.Check)
}

// NodeName is what this process calls its host: the node of the configuration, or the name of the host.
func NodeName(g *config.Global) string {
	if g.Node != "" {
		return g.Node
	}
	name, err := os.Hostname()
	if err != nil {
		return ""
	}
	return name
}

// trackers lists the servers that track others, those that are tracked first.
func (e *Engine) trackers(backends []*check.Backend) []check.Tracker {
	type place struct{ proxy, server int }
	var list []check.Tracker
	listed := map[place]bool{}
	var add func(at place) (disabled bool)
	add = func(at place) (disabled bool) {
		s := e.cfg.Proxies[at.proxy].Servers[at.server]
		state := e.proxies[at.proxy].Backend
		to, ok := place{}, false
		if s.Track.Server != "" {
			to.proxy, to.server, ok = e.findServer(s.Track)
		}
		if !ok || backends[to.proxy] == nil || listed[at] {
			return s.Disabled || !state.Server(at.server).Enabled()
		}
		listed[at] = true
		if add(to) { // maintenance is taken over too
			state.SetAdmin(at.server, state.Server(at.server).Admin()|backend.InheritedMaint)
		}
		list = append(list, check.Tracker{
			Backend: backends[at.proxy], Index: at.server, Config: s, Of: backends[to.proxy], OfIndex: to.server,
		})
		return !state.Server(at.server).Enabled()
	}
	for i := range e.cfg.Proxies {
		if backends[i] == nil {
			continue
		}
		for n, s := range e.cfg.Proxies[i].Servers {
			if !s.Departed {
				add(place{i, n})
			}
		}
	}
	return list
}

// findServer is the place of a server in the configuration.
func (e *Engine) findServer(t config.Track) (proxy, server int, ok bool) {
	proxy = slices.IndexFunc(e.cfg.Proxies, func(p *config.Proxy) bool { return p.Name == t.Proxy && p.Kind.HasBackend() })
	if proxy < 0 {
		return 0, 0, false
	}
	server = placeOfServer(e.Servers(proxy), t.Server)
	return proxy, server, server >= 0
}

// checkTarget is where the check of a server connects to: the server, unless its line has another address or port.
func (e *Engine) checkTarget(i, n int) (t check.Target, ok bool) {
	c, s := e.cfg.Proxies[i], e.cfg.Proxies[i].Servers[n]
	t = newCheckTarget(e.proxies[i].Server(n))
	at := checkPlace{port: s.Check.Port}
	switch a := &s.Check.Addr; a.Kind {
	case config.AddrUnix, config.AddrAbstract:
		if _, err := unixAddr(a); err != nil {
			e.opt.Report.Alertf("%s : 'server %s/%s' : %v", place(s.Pos), c.Name, s.Name, err)
			return t, false
		}
	case config.AddrTCP:
		if at.ip = a.IP; !at.ip.IsValid() {
			var err error
			if at.ip, err = lookUp(a.Host, a.Family); err != nil {
				e.opt.Report.Alertf("%s : 'server %s/%s' : could not resolve address '%s' of the check.", place(s.Pos), c.Name, s.Name, a.Host)
				return t, false
			}
		}
		if at.port == 0 {
			at.port = a.Port
		}
	}
	e.checkAt[serverKey{i, n}] = at
	t.Addr = e.target(i, n)
	return t, true
}

// newCheckTarget is how the check of a server connects.
func newCheckTarget(server *session.Server) check.Target {
	return check.Target{
		Options: server.Options, HasSource: server.HasSource, Source: server.Source,
		SourceLow: server.SourceLow, SourceHigh: server.SourceHigh, Interface: server.Interface,
	}
}

// startChecks begins to check; e.mu is held.
func (e *Engine) startChecks() {
	if err := e.checker.Start(); err != nil {
		e.opt.Report.Alertf("%v; no server is checked.", err)
		return
	}
	e.checks = true
	e.checker.AwaitRoles(rolesWait)
}

// rolesWait is how long a start waits for servers to tell their roles. Clients wait in the accept queue meanwhile.
const rolesWait = time.Second

// stopChecks ends all checks; servers stay as they are. e.mu is held.
func (e *Engine) stopChecks() {
	if e.checks {
		e.checker.Stop()
	}
}

// CheckState is what is known of the health of a server, both by number; false when it is not checked.
func (e *Engine) CheckState(proxy, server int) (check.State, bool) {
	return e.checker.State(proxy, server)
}

// shutdown has every worker end its sessions on a server, or on all backups with -1.
func (e *Engine) shutdown(b *check.Backend, server int32, why byte) {
	for _, w := range e.workers {
		w.Call(func(t *session.Table) { t.Shutdown(b.State.ID, server, why) })
	}
}
