package engine

import (
	"net/netip"

	"github.com/penstock/penstock/internal/backend"
	"github.com/penstock/penstock/internal/check"
	"github.com/penstock/penstock/internal/config"
	"github.com/penstock/penstock/internal/session"
	"github.com/penstock/penstock/netio"
)

// What can be changed about servers while the engine runs. Proxies and servers are named by their places in the
// configuration.

// serverKey is a server by places.
type serverKey struct{ proxy, server int }

// checkPlace is where the check of a server connects to, as far as that is not where the server is.
type checkPlace struct {
	ip   netip.Addr // invalid: that of the server
	port int        // 0: that of the server
}

// Config is the model of what was to run, with what departed from former processes. It does not change; see Servers.
func (e *Engine) Config() *config.Config { return e.cfg }

// Backend is the state of a proxy's servers, nil when it has no backend side.
func (e *Engine) Backend(proxy int) *backend.Backend { return e.proxies[proxy].Backend }

// Checker has the states of all servers of proxies that are not disabled. It knows a backend by its ID.
func (e *Engine) Checker() *check.Checker { return e.checker }

// Destination is where connections to a server go.
func (e *Engine) Destination(proxy, server int) session.Destination {
	return *e.proxies[proxy].Server(server).Destination()
}

// SetDestination sends new connections to a server elsewhere, and its checks too unless they have a place of their
// own. Connections that exist stay.
func (e *Engine) SetDestination(proxy, server int, d session.Destination) {
	e.setDestination(proxy, server, d)
}

func (e *Engine) setDestination(proxy, server int, d session.Destination) {
	e.mu.Lock()
	e.proxies[proxy].Server(server).SetDestination(d)
	target := e.target(proxy, server)
	agent := agentAddr(e.proxies[proxy].Server(server), e.Servers(proxy)[server], e.agentAt[serverKey{proxy, server}])
	e.mu.Unlock()
	e.checker.SetTarget(e.proxies[proxy].Backend.ID, server, target)
	e.checker.SetAgentTarget(e.proxies[proxy].Backend.ID, server, agent)
}

// SetCheckAddr sends the checks of a server to another address.
func (e *Engine) SetCheckAddr(proxy, server int, ip netip.Addr) {
	e.setCheckPlace(proxy, server, func(p *checkPlace) { p.ip = ip })
}

// SetCheckPort sends the checks of a server to another port; 0 is that of the server.
func (e *Engine) SetCheckPort(proxy, server, port int) {
	e.setCheckPlace(proxy, server, func(p *checkPlace) { p.port = port })
}

func (e *Engine) setCheckPlace(proxy, server int, set func(*checkPlace)) {
	e.mu.Lock()
	at := e.checkAt[serverKey{proxy, server}]
	set(&at)
	e.checkAt[serverKey{proxy, server}] = at
	target := e.target(proxy, server)
	e.mu.Unlock()
	e.checker.SetTarget(e.proxies[proxy].Backend.ID, server, target)
}

// CheckPort is the port that the checks of a server have of their own, 0 for none.
func (e *Engine) CheckPort(proxy, server int) int {
	e.mu.Lock()
	defer e.mu.Unlock()
	return e.checkAt[serverKey{proxy, server}].port
}

// target is where the check of a server goes; e.mu is held.
func (e *Engine) target(proxy, server int) netio.Sockaddr {
	return checkAddr(e.proxies[proxy].Server(server), e.Servers(proxy)[server], e.checkAt[serverKey{proxy, server}])
}

// checkAddr is where the check of a server goes that has a place of its own for it.
func checkAddr(server *session.Server, c *config.Server, at checkPlace) netio.Sockaddr {
	d := server.Destination()
	to := d.Addr
	if a := &c.Check.Addr; a.Kind == config.AddrUnix || a.Kind == config.AddrAbstract {
		if sa, err := unixAddr(a); err == nil {
			return sa
		}
	}
	switch unix := to.Family() == netio.FamilyUnix; {
	case at.ip.IsValid() && unix:
		to = netio.SockaddrFrom(netip.AddrPortFrom(at.ip, 0))
	case at.ip.IsValid():
		to = netio.SockaddrFrom(netip.AddrPortFrom(at.ip, to.Port()))
	case unix:
		return to
	}
	if at.port > 0 {
		to.SetPort(uint16(at.port))
	}
	return to
}
