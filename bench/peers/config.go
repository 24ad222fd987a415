package peers

import (
	"fmt"
	"net/netip"
	"strings"
)

// Setup is what the generated haproxy.cfg says; it is the same for every peer.
type Setup struct {
	MaxConn int
	Splice  bool // option splice-request and splice-response; otherwise nothing is said about splice
	Routes  []Route
}

// Route is one listen section: a port of the loopback and the server behind it.
type Route struct {
	Name   string
	Port   uint16
	Server netip.AddrPort
}

// Config writes the configuration.
func (s *Setup) Config() string {
	var b strings.Builder
	fmt.Fprintf(&b, "global\n    maxconn %d\n    nbthread 1\n\n", s.MaxConn)
	b.WriteString("defaults\n    mode tcp\n    timeout connect 1m\n    timeout client 1m\n    timeout server 1m\n")
	if s.Splice {
		b.WriteString("    option splice-request\n    option splice-response\n")
	}
	for _, r := range s.Routes {
		fmt.Fprintf(&b, "\nlisten %s\n    bind 127.0.0.1:%d\n    server one %v\n", r.Name, r.Port, r.Server)
	}
	return b.String()
}
