package peers

import (
	"fmt"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
)

// Setup is what a proxy is told; it is the same for every peer.
type Setup struct {
	MaxConn int
	Threads int        // 0 is 1
	Splice  bool       // option splice-request and splice-response; otherwise nothing is said about splice
	Listen  netip.Addr // where all routes listen
	Routes  []Route
	Checks  int // servers that are checked every second: as many times the first route's
	// Global are lines for the global section, of this peer alone.
	Global []string
}

// Route is one listen section: a port and the server behind it.
type Route struct {
	Name   string
	Port   uint16
	Server netip.AddrPort
}

func (s *Setup) threads() int { return max(s.Threads, 1) }

func (s *Setup) listen(r Route) netip.AddrPort { return netip.AddrPortFrom(s.Listen, r.Port) }

// Config writes a haproxy.cfg.
func (s *Setup) Config() string {
	var b strings.Builder
	fmt.Fprintf(&b, "global\n    maxconn %d\n    nbthread %d\n", s.MaxConn, s.threads())
	for _, line := range s.Global {
		b.WriteString("    " + line + "\n")
	}
	b.WriteString("\ndefaults\n    mode tcp\n    timeout connect 1m\n    timeout client 1m\n    timeout server 1m\n")
	if s.Splice {
		b.WriteString("    option splice-request\n    option splice-response\n")
	}
	for _, r := range s.Routes {
		fmt.Fprintf(&b, "\nlisten %s\n    bind %v\n    server one %v\n", r.Name, s.listen(r), r.Server)
	}
	if s.Checks > 0 {
		b.WriteString("\nbackend checked\n    default-server check inter 1s\n")
		for i := range s.Checks {
			fmt.Fprintf(&b, "    server s%d %v\n", i+1, s.Routes[0].Server)
		}
	}
	return b.String()
}

// arguments are what follows the command; a configuration file, where there is one, is made in dir.
func (p *Peer) arguments(s *Setup, dir string) ([]string, error) {
	switch p.Kind {
	case OwnRelay:
		args := []string{"-threads", fmt.Sprint(s.threads())}
		if s.Splice && p.Splices {
			args = append(args, "-splice")
		}
		for _, r := range s.Routes {
			args = append(args, fmt.Sprintf("%v=%v", s.listen(r), r.Server))
		}
		return args, nil
	case NginxLike:
		own, err := os.MkdirTemp(dir, p.Name+"-")
		if err != nil {
			return nil, err
		}
		file := filepath.Join(own, "nginx.conf")
		return []string{"-p", own, "-c", file, "-e", "stderr"}, os.WriteFile(file, []byte(s.NginxConfig(p.streamModule, own)), 0o600)
	default:
		file, err := os.CreateTemp(dir, p.Name+"-*.cfg")
		if err != nil {
			return nil, err
		}
		if _, err := file.WriteString(s.Config()); err != nil {
			return nil, err
		}
		return []string{"-f", file.Name(), "-db"}, file.Close()
	}
}
