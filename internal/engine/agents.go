package engine

import (
	"net/netip"

	"github.com/penstock/penstock/internal/check"
	"github.com/penstock/penstock/internal/config"
	"github.com/penstock/penstock/internal/session"
	"github.com/penstock/penstock/netio"
)

// agentTarget is where the agent of a server listens, as its line says. It reports a name that nobody knows.
func (e *Engine) agentTarget(i, n int) (t check.Target, ok bool) {
	c, server := e.cfg.Proxies[i], e.proxies[i].Server(n)
	s := c.Servers[n]
	t = newCheckTarget(server)
	at, err := agentPlace(s)
	if err != nil {
		e.opt.Report.Alertf("%s : 'server %s/%s' : %v", place(s.Pos), c.Name, s.Name, err)
		return t, false
	}
	e.agentAt[serverKey{i, n}] = at
	t.Addr = agentAddr(server, s, at)
	return t, true
}

// agentPlace is where the agent of a server is, as far as that is not where the server is.
func agentPlace(s *config.Server) (at checkPlace, err error) {
	a, port := s.AgentPlace()
	at.port = port
	if a.Kind != config.AddrTCP {
		return at, nil
	}
	if a.Port > 0 {
		at.port = a.Port
	}
	if at.ip = a.IP; !at.ip.IsValid() {
		if at.ip, err = lookUp(a.Host, a.Family); err != nil {
			return at, refuse("could not resolve address '%s' of the agent.", a.Host)
		}
	}
	return at, nil
}

// agentAddr is where the agent of a server is asked that has a place of its own for it.
func agentAddr(server *session.Server, c *config.Server, at checkPlace) netio.Sockaddr {
	a, _ := c.AgentPlace()
	of := *c
	of.Check.Addr = a
	if at.ip.IsValid() {
		of.Check.Addr = config.Address{}
	}
	return checkAddr(server, &of, at)
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
	to := agentAddr(e.proxies[proxy].Server(server), e.Servers(proxy)[server], at)
	e.mu.Unlock()
	e.checker.SetAgentTarget(e.proxies[proxy].Backend.ID, server, to)
}
