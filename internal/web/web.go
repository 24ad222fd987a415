// Package web serves the statistics page and the metrics of sections in HTTP mode. It runs on goroutines of its own,
// a bounded number of connections at a time; no worker knows of it. What the page changes, it changes by commands of the
// Runtime API.
package web

import (
	"bytes"
	"errors"
	"fmt"
	"log"
	"net"
	"net/http"
	"net/netip"
	"os"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/penstock/penstock/internal/config"
	"github.com/penstock/penstock/internal/engine"
	"github.com/penstock/penstock/internal/stats"
	"github.com/penstock/penstock/netio"
)

// Source is where the figures come from.
type Source struct {
	Info   func() stats.Info
	Engine func() *engine.Engine // it may be built after the server, before Serve
	// Run obeys a command of the Runtime API, with all rights, and returns what it answers: "" when it was done.
	Run       func(words ...string) string
	Handovers func() stats.Handovers
	// Bug is told, line by line, of a request that panicked.
	Bug func(line string)
	// Event tells the log of the process who changed something, or tried to.
	Event func(format string, args ...any)
}

// Server listens for the sections in HTTP mode.
type Server struct {
	endpoints []*endpoint
	serving   sync.WaitGroup
}

// endpoint is one address of a bind line.
type endpoint struct {
	place    string
	fd       int  // -1 once listener has it
	ready    bool // it listens already
	path     string
	options  netio.ListenOptions
	slots    chan struct{} // one token for each connection to the section, and for each listener that waits for one
	conns    *atomic.Int32 // present connections to the section
	listener net.Listener
	server   *http.Server
}

const (
	backlog        = 128
	defaultMaxConn = 100 // connections at once to a section
	headerLimit    = 16 << 10
	readTimeout    = 10 * time.Second
	writeTimeout   = 30 * time.Second
)

// Open takes the addresses of all sections in HTTP mode. Nobody can connect before Publish. makeRoom is called when an
// address is in use, and says whether it is worth another try; nil says that it is not. On error all is closed again;
// the error joins one for each address that failed.
func Open(cfg *config.Config, source Source, makeRoom func() bool) (*Server, error) {
	s := &Server{}
	var failures []error
	for _, p := range cfg.Proxies {
		if !p.HTTP || p.Disabled || p.Departed {
			continue
		}
		slots, conns := make(chan struct{}, limit(p)), new(atomic.Int32)
		for _, b := range p.Binds {
			for i := range b.Addrs {
				e := &endpoint{
					place: fmt.Sprintf("[%s:%d] for proxy %s", b.Pos.File, b.Pos.Line, p.Name), fd: -1, slots: slots, conns: conns,
					options: netio.ListenOptions{
						Backlog: max(b.Backlog, backlog), ReusePort: true, Interface: b.Interface,
						V4V6: b.V4V6, V6Only: b.V6Only, Mode: b.Mode, UID: b.UID, GID: b.GID,
					},
					server: &http.Server{
						Handler:        newSite(p, &cfg.Global, source, conns),
						MaxHeaderBytes: headerLimit, ReadTimeout: readTimeout, WriteTimeout: writeTimeout,
						ErrorLog: log.New(bugs(source.Bug), "", 0),
					},
				}
				if err := e.bind(&b.Addrs[i], makeRoom); err != nil {
					failures = append(failures, fmt.Errorf("%s: %w", e.place, err))
					continue
				}
				s.endpoints = append(s.endpoints, e)
			}
		}
	}
	if len(failures) > 0 {
		s.Close()
		return nil, errors.Join(failures...)
	}
	return s, nil
}

// bugs is where net/http writes what goes wrong. What clients do wrong is told to them.
type bugs func(line string)

func (b bugs) Write(p []byte) (int, error) {
	if bytes.HasPrefix(p, []byte("http: panic serving")) {
		for line := range strings.Lines(string(p)) {
			b(strings.TrimRight(line, "\n"))
		}
	}
	return len(p), nil
}

func limit(p *config.Proxy) int {
	if p.MaxConn > 0 {
		return p.MaxConn
	}
	return defaultMaxConn
}

func (e *endpoint) bind(a *config.Address, makeRoom func() bool) (err error) {
	var sa netio.Sockaddr
	switch a.Kind {
	case config.AddrFD:
		e.ready = true
		e.fd, _, err = netio.Adopt(a.FD, &e.options)
		return err
	case config.AddrUnix:
		e.path = a.Path
		sa, err = netio.SockaddrUnix(a.Path)
	case config.AddrAbstract:
		sa, err = netio.SockaddrAbstract(a.Path)
	default:
		sa = netio.SockaddrFrom(netip.AddrPortFrom(a.IP, uint16(a.Port)))
	}
	for err == nil {
		e.fd, err = netio.Open(&sa, e.path, &e.options)
		if !errors.Is(err, netio.EADDRINUSE) || makeRoom == nil || !makeRoom() {
			return err
		}
		err = nil
	}
	return err
}

// Publish lets clients connect; they wait until Serve. It may be called once.
func (s *Server) Publish() error {
	for _, e := range s.endpoints {
		if err := e.publish(); err != nil {
			return fmt.Errorf("%s: %w", e.place, err)
		}
	}
	return nil
}

func (e *endpoint) publish() error {
	if !e.ready {
		if err := netio.Publish(e.fd, e.path, &e.options); err != nil {
			return err
		}
	}
	file := os.NewFile(uintptr(e.fd), e.place)
	e.fd = -1
	listener, err := net.FileListener(file)
	_ = file.Close() // the listener has a copy
	if err != nil {
		return fmt.Errorf("use socket: %w", err)
	}
	e.listener = &limited{Listener: listener, slots: e.slots, conns: e.conns, closed: make(chan struct{})}
	return nil
}

// Listeners is the number of sockets that the server listens on.
func (s *Server) Listeners() int { return len(s.endpoints) }

// Serve begins to accept connections.
func (s *Server) Serve() {
	for _, e := range s.endpoints {
		s.serving.Go(func() { _ = e.server.Serve(e.listener) }) // it returns when the listener is closed
	}
}

// Close stops listening, and ends all connections. It may be called more than once.
func (s *Server) Close() {
	for _, e := range s.endpoints {
		if e.fd >= 0 {
			netio.Withdraw(e.fd, e.path)
			e.fd = -1
		}
		if e.listener != nil {
			_ = e.listener.Close()
		}
		_ = e.server.Close()
	}
	s.serving.Wait()
}

// limited is a listener that accepts when it has a slot: who comes then waits in the backlog.
type limited struct {
	net.Listener
	slots  chan struct{}
	conns  *atomic.Int32
	closed chan struct{}
	once   sync.Once
}

func (l *limited) Accept() (net.Conn, error) {
	select {
	case l.slots <- struct{}{}:
	case <-l.closed:
		return nil, net.ErrClosed
	}
	c, err := l.Listener.Accept()
	if err != nil {
		<-l.slots
		return nil, err
	}
	l.conns.Add(1)
	return &held{Conn: c, slots: l.slots, conns: l.conns}, nil
}

func (l *limited) Close() error {
	l.once.Do(func() { close(l.closed) })
	return l.Listener.Close()
}

// held is a connection that gives its slot back.
type held struct {
	net.Conn
	slots chan struct{}
	conns *atomic.Int32
	once  sync.Once
}

func (c *held) Close() error {
	c.once.Do(func() {
		c.conns.Add(-1)
		<-c.slots
	})
	return c.Conn.Close()
}
