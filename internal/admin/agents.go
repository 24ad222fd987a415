package admin

import (
	"net/netip"

	"github.com/penstock/penstock/internal/runtimeapi"
)

func disableAgent(t target, _ *runtimeapi.Request) {
	t.Checker().SetAgentChecking(t.backend().ID, t.server, false) // of a server without agent there is nothing to end
}

func enableAgent(t target, r *runtimeapi.Request) {
	if !t.Checker().SetAgentChecking(t.backend().ID, t.server, true) {
		r.Fail("Agent was not configured on this server, cannot enable.")
	}
}

// asked reports whether the agent of a server is asked.
func asked(t target) bool {
	state, ok := t.AgentState(t.proxy, t.server)
	return ok && !state.Off
}

const unasked = "agent checks are not enabled on this server"

func setAgent(t target, r *runtimeapi.Request, to string) {
	switch {
	case !asked(t):
		r.Fail(unasked + ".")
	case to != "up" && to != "down":
		r.Fail("'set server <srv> agent' expects 'up' or 'down'.")
	default:
		t.Checker().SetAgentUp(t.backend().ID, t.server, to == "up", ", changed from CLI")
	}
}

// setAgentSend changes what the agent is sent. The word is sent as it is written, like the one of the configuration.
func setAgentSend(t target, r *runtimeapi.Request, text string) {
	if !asked(t) {
		r.Fail(unasked + ".")
		return
	}
	t.Checker().SetAgentSend(t.backend().ID, t.server, text)
}

func setAgentAddr(t target, r *runtimeapi.Request) {
	ip, err := netip.ParseAddr(arg(r, 2))
	port := -1
	switch {
	case arg(r, 2) == "":
		r.Fail("set server <b>/<s> agent-addr requires an address and optionally a port.")
		return
	case !asked(t):
		r.Fail(unasked)
		return
	case err != nil || ip.Zone() != "":
		r.Fail("invalid addr '%s'", arg(r, 2))
		return
	case arg(r, 3) == "port":
		var ok bool
		if port, ok = agentPort(r, arg(r, 4)); !ok {
			return
		}
	}
	t.SetAgentPlace(t.proxy, t.server, ip, port)
}

func setAgentPort(t target, r *runtimeapi.Request, text string) {
	switch {
	case text == "":
		r.Fail("set server <b>/<s> agent-port requires a port.")
	case !asked(t):
		r.Fail(unasked)
	default:
		if port, ok := agentPort(r, text); ok {
			t.SetAgentPlace(t.proxy, t.server, netip.Addr{}, port)
		}
	}
}

// agentPort reads a port, and answers when it is none.
func agentPort(r *runtimeapi.Request, text string) (port int, ok bool) {
	n, rest := leading(text)
	switch {
	case text == "", rest != "":
		r.Fail("provided port is not an integer")
	case n < 0 || n > 65535:
		r.Fail("provided port is invalid")
	default:
		return n, true
	}
	return 0, false
}
