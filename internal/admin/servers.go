package admin

import (
	"fmt"
	"net/netip"
	"strings"

	"github.com/penstock/penstock/internal/backend"
	"github.com/penstock/penstock/internal/config"
	"github.com/penstock/penstock/internal/engine"
	"github.com/penstock/penstock/internal/runtimeapi"
	"github.com/penstock/penstock/internal/session"
	"github.com/penstock/penstock/internal/statefile"
	"github.com/penstock/penstock/netio"
)

// serverCommands are the commands that look at servers or change them.
func serverCommands(e func() *engine.Engine) []runtimeapi.Command {
	on := func(f func(t target, r *runtimeapi.Request)) func(*runtimeapi.Request) {
		return func(r *runtimeapi.Request) {
			e().Steady(func() {
				if t, ok := findTarget(e(), r); ok {
					f(t, r)
				}
			})
		}
	}
	of := func(f func(e *engine.Engine, r *runtimeapi.Request)) func(*runtimeapi.Request) {
		return func(r *runtimeapi.Request) { f(e(), r) }
	}
	return []runtimeapi.Command{
		{Words: []string{"disable", "agent"}, Usage: "disable agent <bk>/<srv>", Help: "do not ask the agent of a server", Level: runtimeapi.LevelAdmin, Run: on(disableAgent)},
		{Words: []string{"disable", "health"}, Usage: "disable health <bk>/<srv>", Help: "do not check a server", Level: runtimeapi.LevelAdmin, Run: on(disableHealth)},
		{Words: []string{"disable", "server"}, Usage: "disable server <bk>/<srv>", Help: "put a server into maintenance", Level: runtimeapi.LevelAdmin, Run: on(disableServer)},
		{Words: []string{"enable", "agent"}, Usage: "enable agent <bk>/<srv>", Help: "ask the agent of a server again", Level: runtimeapi.LevelAdmin, Run: on(enableAgent)},
		{Words: []string{"enable", "health"}, Usage: "enable health <bk>/<srv>", Help: "check a server again", Level: runtimeapi.LevelAdmin, Run: on(enableHealth)},
		{Words: []string{"enable", "server"}, Usage: "enable server <bk>/<srv>", Help: "take a server out of maintenance and drain", Level: runtimeapi.LevelAdmin, Run: on(enableServer)},
		{Words: []string{"get", "weight"}, Usage: "get weight <bk>/<srv>", Help: "show the weight of a server", Run: on(getWeight)},
		{Words: []string{"set", "server"}, Usage: "set server <bk>/<srv> [opts]", Example: "set server be/s1 state drain", Help: "change the state, weight or address of a server", Level: runtimeapi.LevelAdmin, Run: on(setServer)},
		{Words: []string{"set", "weight"}, Usage: "set weight <bk>/<srv> <weight>", Example: "set weight be/s1 50%", Help: "change the weight of a server", Level: runtimeapi.LevelAdmin, Run: on(func(t target, r *runtimeapi.Request) { setWeight(t, r, arg(r, 1)) })},
		{Words: []string{"show", "backend"}, Usage: "show backend", Help: "list the backends", Run: of(showBackend)},
		{Words: []string{"show", "servers", "conn"}, Usage: "show servers conn [<backend>]", Help: "show the connections of servers", Run: of(showServersConn)},
		{Words: []string{"show", "servers", "state"}, Usage: "show servers state [<backend>]", Help: "show the states of servers, as a state file has them", Run: of(showServersState)},
	}
}

func disableServer(t target, _ *runtimeapi.Request) {
	t.Checker().SetMaintenance(t.backend().ID, t.server)
}

func enableServer(t target, _ *runtimeapi.Request) { t.Checker().SetReady(t.backend().ID, t.server) }

func disableHealth(t target, _ *runtimeapi.Request) {
	t.Checker().SetChecking(t.backend().ID, t.server, false) // of a server without checks there is nothing to end
}

func enableHealth(t target, r *runtimeapi.Request) {
	if !t.Checker().SetChecking(t.backend().ID, t.server, true) {
		r.Fail("Health check was not configured on this server, cannot enable.")
	}
}

func getWeight(t target, r *runtimeapi.Request) {
	r.Reply("%d (initial %d)", t.state().Weight(), t.state().InitialWeight())
}

// setServer changes what the second argument names.
func setServer(t target, r *runtimeapi.Request) {
	switch value := arg(r, 2); arg(r, 1) {
	case "weight":
		setWeight(t, r, value)
	case "state":
		setState(t, r, value)
	case "health":
		setHealth(t, r, value)
	case "agent":
		setAgent(t, r, value)
	case "agent-send":
		setAgentSend(t, r, value)
	case "agent-addr":
		setAgentAddr(t, r)
	case "agent-port":
		setAgentPort(t, r, value)
	case "addr":
		setAddr(t, r)
	case "check-addr":
		setCheckAddr(t, r)
	case "check-port":
		setCheckPort(t, r, value)
	case "fqdn":
		if value == "" {
			r.Fail("set server <b>/<s> fqdn requires a FQDN.")
			return
		}
		r.Fail("set server <b>/<s> fqdn failed because no resolution is configured.")
	case "ssl":
		r.Fail("'set server <srv> ssl' cannot be set.  default-server should define ssl settings")
	default:
		r.Fail("usage: set server <backend>/<server> addr | agent | agent-addr | agent-port | agent-send | check-addr | check-port | fqdn | health | ssl | state | weight")
	}
}

func setState(t target, r *runtimeapi.Request, to string) {
	switch to {
	case "ready":
		t.Checker().SetReady(t.backend().ID, t.server)
	case "drain":
		t.Checker().SetDrain(t.backend().ID, t.server)
	case "maint":
		t.Checker().SetMaintenance(t.backend().ID, t.server)
	default:
		r.Fail("'set server <srv> state' expects 'ready', 'drain' and 'maint'.")
	}
}

func setHealth(t target, r *runtimeapi.Request, to string) {
	operation, known := map[string]backend.Operation{"up": backend.Running, "stopping": backend.Stopping, "down": backend.Stopped}[to]
	switch {
	case t.Checker().Tracks(t.backend().ID, t.server):
		r.Fail("cannot change health on a tracking server.")
	case !known:
		r.Fail("'set server <srv> health' expects 'up', 'stopping', or 'down'.")
	default:
		t.Checker().SetOperation(t.backend().ID, t.server, operation, ", changed from CLI")
	}
}

// setWeight sets a weight, or with % a part of the configured one.
func setWeight(t target, r *runtimeapi.Request, text string) {
	complaint, ok := t.Checker().SetWeight(t.backend().ID, t.server, text)
	if !ok {
		complaint = t.backend().RequestWeight(t.server, text)
	}
	if complaint != "" {
		r.Fail("%s", complaint)
	}
}

// setAddr sends new connections to another address, port or both.
func setAddr(t target, r *runtimeapi.Request) {
	const by = " by 'stats socket command'"
	text, port := arg(r, 2), ""
	if text == "" {
		r.Fail("set server <b>/<s> addr requires an address and optionally a port.")
		return
	}
	withPort := arg(r, 3) == "port"
	if withPort {
		port = arg(r, 4)
	}
	ip, err := netip.ParseAddr(text)
	if err != nil || ip.Zone() != "" {
		r.Fail("Invalid addr '%s'", text)
		return
	}
	d := t.Destination(t.proxy, t.server)
	if d.Addr.Family() == netio.FamilyUnix {
		r.Fail("Update for the current server address family is only supported through configuration file%s", by)
		return
	}
	a := d.Addr.Addr()
	was := a.AddrPort()
	to := session.Destination{PortOffset: d.PortOffset, FollowPort: d.FollowPort, Transparent: ip.IsUnspecified()}
	number := was.Port()
	if withPort {
		n, rest := leading(port)
		offset := strings.HasPrefix(port, "+") || strings.HasPrefix(port, "-")
		switch {
		case port == "", rest != "", n > 65535, n < -65535:
			r.Fail("problem converting port '%s' to an int%s", port, by)
			return
		case offset && t.config.Check.Enabled && t.CheckPort(t.proxy, t.server) == 0:
			r.Fail("can't change <port> to port map because it is incompatible with current health check port configuration "+
				"(use 'port' statement from the 'server' directive).%s", by)
			return
		case offset:
			to.FollowPort, to.PortOffset, number = true, n, 0
		default:
			to.FollowPort, to.PortOffset, number = false, 0, uint16(n)
		}
	}
	to.Addr = netio.SockaddrFrom(netip.AddrPortFrom(ip, number))
	var changes []string
	if ip != was.Addr() {
		changes = append(changes, fmt.Sprintf("IP changed from '%s' to '%s'", was.Addr(), ip))
	}
	if from, now := portText(d), portText(to); from != now {
		changes = append(changes, fmt.Sprintf("port changed from '%s' to '%s'", from, now))
	}
	if len(changes) == 0 {
		r.Message(runtimeapi.SeverityWarning, "nothing changed")
		return
	}
	t.SetDestination(t.proxy, t.server, to)
	r.Message(runtimeapi.SeverityWarning, "%s%s", strings.Join(changes, ", "), by)
}

// portText is a port, or what is added to the client's.
func portText(d session.Destination) string {
	if d.FollowPort {
		return fmt.Sprintf("%+d", d.PortOffset)
	}
	return fmt.Sprint(d.Addr.Port())
}

const unchecked = "health checks are not enabled on this server"

func setCheckAddr(t target, r *runtimeapi.Request) {
	ip, err := netip.ParseAddr(arg(r, 2))
	switch {
	case arg(r, 2) == "":
		r.Fail("set server <b>/<s> check-addr requires an address and optionally a port.")
	case !t.config.Check.Enabled:
		r.Fail(unchecked)
	case err != nil || ip.Zone() != "":
		r.Fail("invalid addr '%s'", arg(r, 2))
	case arg(r, 3) != "port":
		t.SetCheckAddr(t.proxy, t.server, ip)
	default:
		if setCheckPort(t, r, arg(r, 4)) {
			t.SetCheckAddr(t.proxy, t.server, ip)
		}
	}
}

func setCheckPort(t target, r *runtimeapi.Request, text string) bool {
	n, rest := leading(text)
	switch {
	case text == "":
		r.Fail("set server <b>/<s> check-port requires a port.")
	case !t.config.Check.Enabled:
		r.Fail(unchecked)
	case rest != "":
		r.Fail("provided port is not an integer")
	case n < 0 || n > 65535:
		r.Fail("provided port is invalid")
	default:
		t.SetCheckPort(t.proxy, t.server, n)
		return true
	}
	return false
}

func showBackend(e *engine.Engine, r *runtimeapi.Request) {
	r.Reply("# name")
	for _, p := range e.Config().Proxies {
		if p.Kind.HasBackend() && !p.Departed {
			r.Reply("%s", p.Name)
		}
	}
}

// whichBackend is the place of the backend of the first argument, -1 for all without one.
func whichBackend(e *engine.Engine, r *runtimeapi.Request) (proxy int, ok bool) {
	if len(r.Args) == 0 {
		return -1, true
	}
	if proxy = findProxy(e, r.Args[0], config.Kind.HasBackend); proxy < 0 {
		r.Fail("Can't find backend.")
		return proxy, false
	}
	return proxy, true
}

func showServersState(e *engine.Engine, r *runtimeapi.Request) {
	if proxy, ok := whichBackend(e, r); ok {
		_ = statefile.Write(r, e.States(proxy)) // an answer takes everything
	}
}

// showServersConn shows what servers carry. Nothing is kept idle here, and there is one group of threads.
func showServersConn(e *engine.Engine, r *runtimeapi.Request) {
	only, ok := whichBackend(e, r)
	if !ok {
		return
	}
	r.Reply("# bkname/svname bkid/svid addr port - purge_delay served used_cur used_max need_est idle_sess unsafe_nb safe_nb idle_lim idle_cur idle_per_thr[1]")
	for i, c := range e.Config().Proxies {
		if !c.Kind.HasBackend() || c.Departed || only >= 0 && i != only {
			continue
		}
		for n, s := range e.Servers(i) {
			if s.Departed {
				continue
			}
			o := e.Backend(i).Server(n)
			d := e.Destination(i, n)
			a := d.Addr.Addr()
			where, port := "-", uint16(0)
			if to := a.AddrPort(); to.IsValid() {
				where, port = to.Addr().String(), to.Port()
			}
			r.Reply("%s/%s %d/%d %s %d - 5000 %d %d %d %d 0 0 0 -1 0 0", c.Name, s.Name, c.ID, o.ID, where, port,
				o.Served(), o.Served(), o.MaxServed(), o.MaxServed())
		}
	}
}
