package check

import (
	"fmt"
	"net"
	"net/netip"
	"os"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"

	"github.com/penstock/penstock/internal/backend"
	"github.com/penstock/penstock/internal/config"
	"github.com/penstock/penstock/internal/testutil"
	"github.com/penstock/penstock/netio"
)

// rig is a checker and what it said.
type rig struct {
	*Checker
	backend *Backend

	mu        sync.Mutex
	lines     []string
	shutdowns []int // servers; -1: all backups
}

func (r *rig) say(level string) func(string) {
	return func(text string) {
		r.mu.Lock()
		defer r.mu.Unlock()
		r.lines = append(r.lines, level+text)
	}
}

// said is what the checker said so far.
func (r *rig) said() string {
	r.mu.Lock()
	defer r.mu.Unlock()
	return strings.Join(r.lines, "\n")
}

// mustRead reads a configuration with a backend "be".
func mustRead(tb testing.TB, lines string) *config.Proxy {
	tb.Helper()
	cfg, found := config.LoadText("check.cfg", "global\n external-check\n insecure-fork-wanted\ndefaults\n timeout connect 30s\n timeout server 30s\nbackend be\n"+lines+"\n", config.Options{})
	if found.Fatal() {
		tb.Fatalf("%+v", found.List)
	}
	return cfg.Proxies[0]
}

// mustRig starts to check all servers of a backend.
func mustRig(tb testing.TB, lines string) *rig {
	tb.Helper()
	return mustRigAfter(tb, lines)
}

// mustRigAfter is mustRig after another process, which knew this of the servers.
func mustRigAfter(tb testing.TB, lines string, former ...Former) *rig {
	tb.Helper()
	p := mustRead(tb, lines)
	program, err := NewProgram(&p.Check)
	if err != nil {
		tb.Fatal(err)
	}
	r := &rig{backend: &Backend{
		Name: p.Name, ID: p.ID, Kind: p.Kind, State: backend.New(p, 0), Program: program,
		CheckTimeout: p.Timeouts.Check, ConnectTimeout: p.Timeouts.Connect, LogChecks: p.LogHealthChecks,
	}}
	if p.Check.Kind == config.CheckExternal {
		r.backend.Command = &Command{Name: p.ExternalCommand, Path: p.ExternalPath, ProxyID: p.ID, Addr: "127.0.0.1", Port: "80"}
	}
	r.backend.State.SetDeliver(func(backend.Waiter, int32) {})
	null, err := os.OpenFile(os.DevNull, os.O_RDWR, 0)
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() { null.Close() })
	o := Options{
		External: External{Allowed: true, Null: null, Address: func(_, server int) (addr, port string) {
			a := &p.Servers[server].Addr
			if a.Kind == config.AddrUnix {
				return a.Path, ""
			}
			return a.IP.String(), strconv.Itoa(a.Port)
		}},
		BufSize: 16384, Node: "n1", Warn: r.say("W "), Alert: r.say("A "),
		Shutdown: func(_ *Backend, server int) {
			r.mu.Lock()
			defer r.mu.Unlock()
			r.shutdowns = append(r.shutdowns, server)
		},
		ShutdownBackups: func(*Backend) {
			r.mu.Lock()
			defer r.mu.Unlock()
			r.shutdowns = append(r.shutdowns, -1)
		},
	}
	for i, s := range p.Servers {
		target := mustTarget(tb, s)
		var tls *TLS
		if s.Check.Enabled && p.Check.NeedsTLS(&s.Check) {
			if tls, err = NewTLS(&s.Check); err != nil {
				tb.Fatal(err)
			}
		}
		at := target.Addr
		switch {
		case s.Check.Enabled:
			o.Servers = append(o.Servers, Server{
				Backend: r.backend, Index: i, Config: s, Target: target, TLS: tls, Address: func() netio.Sockaddr { return at },
			})
		case s.Track.Server != "":
			of := slices.IndexFunc(p.Servers, func(to *config.Server) bool { return to.Name == s.Track.Server })
			o.Trackers = append(o.Trackers, Tracker{Backend: r.backend, Index: i, Config: s, Of: r.backend, OfIndex: of})
		default:
			o.Others = append(o.Others, Server{Backend: r.backend, Index: i, Config: s})
		}
		if s.Agent.Enabled {
			if _, port := s.AgentPlace(); target.Addr.Family() != netio.FamilyUnix {
				target.Addr.SetPort(uint16(port))
			}
			o.Agents = append(o.Agents, Server{Backend: r.backend, Index: i, Config: s, Target: target})
		}
	}
	r.Checker = New(o)
	for i, f := range former {
		r.Restore(0, i, f, nil)
	}
	if err := r.Start(); err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(r.Stop)
	return r
}

func mustTarget(tb testing.TB, s *config.Server) Target {
	tb.Helper()
	t := Target{}
	switch s.Addr.Kind {
	case config.AddrUnix:
		sa, err := netio.SockaddrUnix(s.Addr.Path)
		if err != nil {
			tb.Fatal(err)
		}
		t.Addr = sa
	default:
		t.Addr = netio.SockaddrFrom(netip.AddrPortFrom(s.Addr.IP, uint16(s.Addr.Port)))
	}
	if s.Source != nil {
		t.HasSource, t.Source = true, netio.SockaddrFrom(netip.AddrPortFrom(s.Source.IP, 0))
		t.SourceLow, t.SourceHigh = uint16(s.Source.PortLow), uint16(s.Source.PortHigh)
	}
	return t
}

// state is what is known of a server.
func (r *rig) state(tb testing.TB, server int) State {
	tb.Helper()
	s, ok := r.State(0, server)
	if !ok {
		tb.Fatalf("server %d is not checked", server)
	}
	return s
}

// outcome waits for the first result of a server's check, in the form "L7STS/503 info".
func (r *rig) outcome(tb testing.TB, server int) string {
	tb.Helper()
	testutil.Eventually(tb, "the check ends", func() bool { return r.state(tb, server).Status != Initial })
	s := r.state(tb, server)
	if s.Status.HasCode() {
		return strings.TrimSpace(fmt.Sprintf("%s/%d %s", s.Status, s.Code, s.Info))
	}
	return strings.TrimSpace(fmt.Sprintf("%s %s", s.Status, s.Info))
}

// refusing is an address where nobody listens.
func refusing(tb testing.TB) string { return testutil.Loopback(testutil.FreePort(tb)) }

// unixServer listens on a UNIX socket until the test ends.
func unixServer(tb testing.TB) string {
	tb.Helper()
	path := testutil.TempDir(tb) + "/s"
	l, err := net.Listen("unix", path)
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() { l.Close() })
	return path
}
