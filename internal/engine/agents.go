package engine

import (
	"net/netip"

	"github.com/penstock/penstock/internal/check"
	"github.com/penstock/penstock/internal/config"
	"github.com/penstock/penstock/netio"
)

// agentTarget is where the agent of a server listens, as its line says. It reports a name that nobody knows.
func (e *Engine) agentTarget(i, n int) (t check.Target, ok bool) {
	c, server := e.cfg.Proxies[i], &e.proxies[i].Servers[n]
	s := c.Servers[n]
	t = check.Target{
		Options: server.Options, HasSource: server.HasSource, Source: server.Source,
		SourceLow: server.SourceLow, SourceHigh: server.SourceHigh, Interface: server.Interface,
	}
	a, port := s.AgentPlace()
	at := checkPlace{port: port}
	if a.Kind == config.AddrTCP {
		if a.Port > 0 {
			at.port = a.Port
		}
		if at.ip = a.IP; !at.ip.IsValid() {
			var err error
			if at.ip, err = lookUp(a.Host, a.Family); err != nil {
				e.opt.Report.Alertf("%s : 'server %s/%s' : could not resolve address '%s' of the agent.", place(s.Pos), c.Name, s.Name, a.Host)
				return t, false
			}
		}
	}
	e.agentAt[serverKey{i, n}] = at
	t.Addr = e.agentAddr(i, n)
	return t, true
}

// agentAddr is where the agent of a server is asked; e.mu is held, or nobody else is there yet.
func (e *Engine) agentAddr(proxy, server int) netio.Sockaddr {
	a, _ := e.cfg.Proxies[proxy].Servers[server].AgentPlace()
	at := e.agentAt[serverKey{proxy, server}]
	to := e.proxies[proxy].Servers[server].Destination().Addr
	if (a.Kind == config.AddrUnix || a.Kind == config.AddrAbstract) && !at.ip.IsValid() {
		if sa, err := unixAddr(&a); err == nil {
			return sa
		}
	}
	switch {
	case at.ip.IsValid() && to.Family() == netio.FamilyUnix:
		to = netio.SockaddrFrom(netip.AddrPortFrom(at.ip, 0))
	case at.ip.IsValid():
		to = netio.SockaddrFrom(netip.AddrPortFrom(at.ip, to.Port()))
	case to.Family() == netio.FamilyUnix:
		return to
	}
	if at.port > 0 {
		to.SetPort(uint16(at.port))
	}
	return to
}

// AgentState is what is known of the agent of a server, both by number; false when it has none.
func (e *Engine) AgentState(proxy, server int) (check.State, bool) {
	return e.checker.AgentState(proxy, server)
}

// SetAgentPlace has the agent of a server asked elsewhere. An invalid address and a port below 0 leave what there
// is; port 0 is that of the server.
func (e *Engine) SetAgentPlace(proxy, server int, ip netip.Addr, port int) {
	e.mu.Lock()
	at := e.agentAt[serverKey{proxy, server}]
	if ip.IsValid() {
		at.ip = ip
	}
	if port >= 0 {
		at.port = port
	}
	e.agentAt[serverKey{proxy, server}] = at
	to := e.agentAddr(proxy, server)
	e.mu.Unlock()
	e.checker.SetAgentTarget(e.proxies[proxy].Backend.ID, server, to)
}
