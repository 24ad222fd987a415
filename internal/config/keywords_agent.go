package config

import (
	"fmt"
	"time"
)

// AgentCheck is what a server line says about the agent of the server: a program beside it that tells how it is.
type AgentCheck struct {
	Enabled bool
	Inter   time.Duration // 0: that of the health check
	Port    int           // 0: that of the health check
	Addr    Address       // Kind 0: that of the health check, or the server's
	Send    string        // what the agent is sent first; empty: nothing
}

// AgentPlace is where the agent of a server listens. Kind 0 is the address of the server. The port that the address
// brings along comes before port.
func (s *Server) AgentPlace() (addr Address, port int) {
	addr, port = s.Agent.Addr, s.Agent.Port
	if addr.Kind == 0 {
		addr = s.Check.Addr
	}
	if port == 0 {
		port = s.Check.Port
	}
	return addr, port
}

// AgentInterval is the time between two checks by the agent.
func (s *Server) AgentInterval() time.Duration {
	if s.Agent.Inter > 0 {
		return s.Agent.Inter
	}
	return s.Check.Inter
}

// setServerAgentAddr reads a host without a port.
func setServerAgentAddr(p *params, s *Server) {
	v := p.needWord("an address")
	if v == "" {
		return
	}
	a, err := parseAddress(v, 0, p.env)
	if err != nil || a.Kind != AddrTCP || a.Port != 0 {
		p.failArg(1, codeInvalidAddress, "parsing agent-addr failed. Check if '%s' is correct address.", v)
		return
	}
	s.Agent.Addr = a.Address
}

// checkAgentPort reports a server of which nothing says to what port its agent listens.
func (p *parser) checkAgentPort(px *proxyState, s *Server) {
	if text := agentProblem(s); text != "" {
		p.aboutf(Alert, s.Pos, "no-agent-port", "'server %s/%s' : %s", px.Name, s.Name, text)
	}
}

// agentProblem is what is wrong with the port of an agent; empty: nothing.
func agentProblem(s *Server) string {
	switch _, port := s.AgentPlace(); {
	case port == 0:
		return fmt.Sprintf("server %s does not have agent port. Agent check has been disabled.", s.Name)
	case port < 0 || port > 65535:
		return fmt.Sprintf("server %s has an invalid agent port: %d.", s.Name, port)
	}
	return ""
}
