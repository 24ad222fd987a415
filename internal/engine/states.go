package engine

import (
	"errors"
	"fmt"
	"io/fs"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/penstock/penstock/internal/backend"
	"github.com/penstock/penstock/internal/check"
	"github.com/penstock/penstock/internal/config"
	"github.com/penstock/penstock/internal/session"
	"github.com/penstock/penstock/internal/statefile"
	"github.com/penstock/penstock/netio"
)

// The states of servers outlive a process in two ways: in a file that an operator wrote ("show servers state"), and
// in what the process itself hands to its successor. Where both have a server the latter, which is newer, counts.

// Bits of srv_check_state.
const (
	checkRunning    = 1
	checkConfigured = 2
	checkEnabled    = 4
	checkPaused     = 8
	checkByAgent    = 16 // of srv_agent_state
)

// States are the states of all servers of a proxy, or of all proxies with -1.
func (e *Engine) States(proxy int) (list []statefile.Server) {
	for i, c := range e.cfg.Proxies {
		if !c.Kind.HasBackend() || c.Departed || proxy >= 0 && i != proxy {
			continue
		}
		for n, s := range e.Servers(i) {
			if !s.Departed {
				list = append(list, e.state(i, n))
			}
		}
	}
	return list
}

func (e *Engine) state(proxy, server int) statefile.Server {
	c := e.cfg.Proxies[proxy]
	s := e.Servers(proxy)[server]
	o := e.proxies[proxy].Backend.Server(server)
	d := e.proxies[proxy].Server(server).Destination()
	a := d.Addr.Addr()
	to := a.AddrPort()
	same, _ := o.Since()
	r := statefile.Server{
		BackendID: c.ID, Backend: c.Name, BackendIDForced: c.IDForced, ID: o.ID, Name: s.Name, IDForced: s.IDForced,
		Addr: to.Addr(), Port: int(to.Port()), FQDN: s.Addr.Host,
		Operation: int(o.Operation()), Admin: int(o.Admin()), Weight: o.Weight(), InitialWeight: o.InitialWeight(),
		SinceChange: int(same / time.Second), CheckStatus: int(check.Initial),
	}
	if o.Enabled() && (o.Up() || s.Track.Server != "") {
		r.CheckHealth = s.Check.Rise
	}
	if s.Disabled {
		r.CheckState = checkPaused // for ever, when there is no check
	}
	if k, checked := e.CheckState(proxy, server); checked {
		r.CheckStatus, r.CheckHealth, r.CheckState = int(k.Status), k.Health.Value, checkConfigured
		r.CheckResult = result(k.Status)
		if !k.Off {
			r.CheckState |= checkEnabled
		}
		if k.Running {
			r.CheckState |= checkRunning
			r.CheckResult = 0 // of the check under way
		}
		if !o.Enabled() {
			r.CheckState |= checkPaused
		}
	}
	if a, asked := e.AgentState(proxy, server); asked {
		r.AgentState = checkByAgent | checkConfigured
		if !a.Off {
			r.AgentState |= checkEnabled
		}
		if a.Running {
			r.AgentState |= checkRunning
		}
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	at := e.checkAt[serverKey{proxy, server}]
	r.CheckAddr, r.CheckPort = at.ip, at.port
	agent := e.agentAt[serverKey{proxy, server}]
	r.AgentAddr, r.AgentPort = agent.ip, agent.port
	return r
}

// byAgent reports whether a server was down because its agent said so: nothing else was against it.
func byAgent(r *statefile.Server, s *config.Server) bool {
	content := r.CheckState&checkConfigured == 0 || r.CheckHealth >= s.Check.Rise
	return r.AgentState&checkEnabled != 0 && r.Operation == int(backend.Stopped) && backend.Admin(r.Admin)&backend.Maint == 0 && content
}

// result is the number of an outcome.
func result(s check.Status) int {
	switch {
	case s == check.L7OKC:
		return 4
	case s.Passed():
		return 3
	case s < check.SockErr:
		return 0
	}
	return 2
}

// readStateFiles reads the files that the configuration names. What is wrong is a warning: servers begin as their
// lines say.
func (e *Engine) readStateFiles() {
	e.remembered = make([][]statefile.Server, len(e.cfg.Proxies))
	var global []statefile.Server
	read := false
	for i, c := range e.cfg.Proxies {
		if !c.Kind.HasBackend() || c.Disabled || c.Departed {
			continue
		}
		switch c.LoadStates {
		case config.StatesGlobal:
			if e.cfg.Global.ServerStateFile == "" {
				e.opt.Report.Warningf("config : %s '%s' configured to load server state file from global section 'server-state-file' directive. "+
					"Unfortunately, 'server-state-file' is not set!", c.Kind, c.Name)
				continue
			}
			if !read {
				global, read = e.readStates(nil, e.cfg.Global.ServerStateFile), true
			}
			e.remembered[i] = global
		case config.StatesLocal:
			name := c.StateFileName
			if name == "" {
				name = c.Name
			}
			e.remembered[i] = e.readStates(c, name)
			for _, r := range e.remembered[i] {
				if r.Backend == c.Name && r.BackendID != c.ID {
					e.opt.Report.Warningf("config : Proxy '%s': backend ID mismatch: from server state file: '%d', from running config '%d'",
						c.Name, r.BackendID, c.ID)
				}
			}
		}
	}
}

// loadStates gives the servers the states that the files have for them.
func (e *Engine) loadStates() {
	for i, list := range e.remembered {
		if len(list) > 0 {
			e.restore(i, list, true)
		}
	}
}

// lastAddr is the address that a file has for a server's name, invalid for none.
func (e *Engine) lastAddr(c *config.Proxy, s *config.Server) netip.Addr {
	at := slices.Index(e.cfg.Proxies, c)
	if at < 0 || at >= len(e.remembered) {
		return netip.Addr{}
	}
	for _, r := range e.remembered[at] {
		if r.Backend == c.Name && r.Name == s.Name && r.FQDN == s.Addr.Host && r.Problem == "" {
			return r.Addr
		}
	}
	return netip.Addr{}
}

// readStates reads the file of a proxy, or the global one.
func (e *Engine) readStates(p *config.Proxy, name string) []statefile.Server {
	path := name
	if base := e.cfg.Global.ServerStateBase; base != "" && !filepath.IsAbs(name) {
		path = filepath.Join(base, name)
	}
	list, err := readFile(path)
	warn := func(lead, rest string) {
		if p == nil {
			e.opt.Report.Warningf("config : config: %s global server state file '%s'%s", lead, path, rest)
		} else {
			e.opt.Report.Warningf("config : Proxy '%s': %s server state file '%s'%s", p.Name, lead, path, rest)
		}
	}
	var corrupt *statefile.CorruptError
	switch {
	case err == nil:
	case errors.Is(err, statefile.ErrVersion):
		warn("Can't get version of the", ".")
	case errors.As(err, &corrupt):
		warn("corrupted", fmt.Sprintf(" at line %d.", corrupt.Line))
	default:
		warn("Can't open", ": "+reason(err)+".")
	}
	return list
}

// reason is why a file cannot be read, in the words of the C library.
func reason(err error) string {
	var path *fs.PathError
	if errors.As(err, &path) {
		err = path.Err
	}
	text := err.Error()
	if text == "" {
		return text
	}
	return strings.ToUpper(text[:1]) + text[1:]
}

func readFile(path string) ([]statefile.Server, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	return statefile.Read(f)
}

// restore gives the servers of a proxy the states of a list: of a file, which has their ports too, or of a former
// process, which needs no words.
func (e *Engine) restore(proxy int, list []statefile.Server, file bool) {
	c := e.cfg.Proxies[proxy]
	for n, s := range e.Servers(proxy) {
		for i := range list {
			if r := &list[i]; !s.Departed && r.Backend == c.Name && r.Name == s.Name {
				e.restoreServer(proxy, n, r, file)
			}
		}
	}
}

func (e *Engine) restoreServer(proxy, server int, r *statefile.Server, file bool) {
	c := e.cfg.Proxies[proxy]
	if r.Problem != "" {
		e.opt.Report.Warningf("config : server-state application failed for server '%s/%s'%s", c.Name, r.Name, r.Problem)
		return
	}
	b := e.proxies[proxy].Backend
	o := b.Server(server)
	var say func(string)
	if file {
		say = func(line string) { e.opt.Report.Warningf("config : %s", line) }
	}
	e.checker.Restore(b.ID, server, check.Former{
		Admin: backend.Admin(r.Admin), Operation: backend.Operation(r.Operation), Health: r.CheckHealth,
		Status: check.Status(r.CheckStatus), Off: r.CheckState&(checkConfigured|checkEnabled) == checkConfigured,
		Checked: r.CheckState&checkConfigured != 0, Weightless: r.InitialWeight == 0,
		Agent: r.AgentState&checkConfigured != 0, AgentDown: byAgent(r, c.Servers[server]),
		AgentOff: r.AgentState&(checkConfigured|checkEnabled) == checkConfigured,
		Since:    time.Duration(r.SinceChange) * time.Second,
	}, say)
	if r.InitialWeight == o.InitialWeight() && (!b.Static() || r.Weight == 0 || r.Weight == o.InitialWeight()) {
		b.SetWeight(server, r.Weight)
	}
	o.SetSince(time.Duration(r.SinceChange) * time.Second)
	if a, _ := c.Servers[server].AgentPlace(); a.Kind == 0 && r.AgentAddr.IsValid() && c.Servers[server].Agent.Enabled {
		e.SetAgentPlace(proxy, server, r.AgentAddr, -1)
	}
	sp := e.proxies[proxy].Server(server)
	if d := *sp.Destination(); file && r.Port > 0 && d.Addr.Family() != netio.FamilyUnix && !d.FollowPort {
		d.Addr.SetPort(uint16(r.Port))
		e.setDestination(proxy, server, d)
	}
}

// moved is a server that was given another address at run time, for a successor.
type moved struct {
	Backend, Server string
	From            netip.AddrPort // as configured
	To              netip.AddrPort
}

// configured is the address of a server's line, invalid when it is a name or none of IP.
func configured(s *config.Server) netip.AddrPort {
	if s.Addr.Kind != config.AddrTCP || s.Addr.PortOffset || !s.Addr.IP.IsValid() {
		return netip.AddrPort{}
	}
	return netip.AddrPortFrom(s.Addr.IP, uint16(s.Addr.Port))
}

// movedServers lists the servers that are elsewhere than their lines say.
func (e *Engine) movedServers() (list []moved) {
	for i, c := range e.cfg.Proxies {
		for n, s := range e.Servers(i) {
			from := configured(s)
			if !from.IsValid() || s.Departed || e.proxies[i].Backend == nil {
				continue
			}
			d := e.proxies[i].Server(n).Destination()
			a := d.Addr.Addr()
			if to := a.AddrPort(); to.IsValid() && to != from && !d.FollowPort {
				list = append(list, moved{c.Name, s.Name, from, to})
			}
		}
	}
	return list
}

// move sends servers to where they were in another process, unless their lines have changed.
func (e *Engine) move(list []moved) {
	for _, m := range list {
		proxy, server, ok := e.findServer(config.Track{Proxy: m.Backend, Server: m.Server})
		if !ok || !m.To.IsValid() || configured(e.Servers(proxy)[server]) != m.From {
			continue
		}
		e.setDestination(proxy, server, session.Destination{
			Addr: netio.SockaddrFrom(m.To), Transparent: m.To.Addr().IsUnspecified(),
		})
	}
}
