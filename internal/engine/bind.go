package engine

import (
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"syscall"

	"github.com/penstock/penstock/internal/config"
	"github.com/penstock/penstock/internal/session"
	"github.com/penstock/penstock/internal/worker"
	"github.com/penstock/penstock/netio"
)

// bindAll opens the listeners of every frontend. It reports every one that fails, by its line, and
// whether none did.
func (e *Engine) bindAll() bool {
	ok := true
	for i, p := range e.cfg.Proxies {
		if p.Disabled || !p.Kind.HasFrontend() {
			continue
		}
		id := 0
		for _, b := range p.Binds {
			for n := range b.Addrs {
				id++
				l := session.Listener{Proxy: i, ID: id, Name: b.Name}
				if n < len(b.ListenerIDs) {
					l.ID = b.ListenerIDs[n]
				}
				if b.MaxConn > 0 {
					l.Limit = &session.Limit{}
					l.Limit.SetMax(b.MaxConn)
				}
				if err := e.bind(p, b, &b.Addrs[n], l); err != nil {
					e.opt.Report.Alertf("Binding %s for %s %s: %s", place(b.Pos), "proxy", p.Name, bindError(&b.Addrs[n], err))
					ok = false
				}
			}
		}
	}
	if !ok {
		e.opt.Report.Alertf("Some protocols failed to start their listeners! Exiting.")
	}
	return ok
}

// bind opens one address of a bind line for every worker that the line allows. TCP listeners are
// separate sockets that the kernel spreads connections over; all others are copies of one socket.
func (e *Engine) bind(p *config.Proxy, b *config.Bind, a *config.Address, proto session.Listener) error {
	g := &e.cfg.Global
	workers := e.workers
	if len(b.Threads) > 0 {
		workers = nil
		for _, w := range e.workers {
			if slices.Contains(b.Threads, w.ID+1) {
				workers = append(workers, w)
			}
		}
		if len(workers) == 0 {
			return errors.New("none of the threads it is bound to exists")
		}
	}
	options := netio.ListenOptions{
		Conn: netio.ConnOptions{
			NoDelay:      true,
			KeepAlive:    keepAlive(p.ClientKeepAlive),
			UserTimeout:  b.TCPUserTimeout,
			RcvBuf:       g.RcvBufClient,
			SndBuf:       g.SndBufClient,
			NotSentLowat: g.NotSentLowatClient,
			CC:           b.CC,
		},
		Backlog:     backlog(g, p, b),
		ReusePort:   !g.NoReusePort,
		Interface:   b.Interface,
		Transparent: b.Transparent,
		V4V6:        b.V4V6,
		V6Only:      b.V6Only,
		MSS:         b.MSS,
		DeferAccept: b.DeferAccept,
		FastOpen:    b.TFO,
		Mode:        b.Mode,
		UID:         b.UID,
		GID:         b.GID,
	}
	if a.Kind == config.AddrTCP && options.ReusePort {
		for _, w := range workers {
			l := proto
			options.CPU, options.BindCPU = w.CPU()
			options.BindCPU = options.BindCPU && g.Steer == config.SteerCPU
			sa := netio.SockaddrFrom(netip.AddrPortFrom(a.IP, uint16(a.Port)))
			fd, err := netio.Listen(&sa, "", &options)
			if err != nil {
				return err
			}
			e.give(w, &l, fd, sa.Addr(), options.Backlog)
		}
		return nil
	}
	return e.bindShared(workers, a, proto, &options)
}

// bindShared opens one socket and gives each worker a copy of the descriptor.
func (e *Engine) bindShared(workers []*worker.Worker, a *config.Address, proto session.Listener, options *netio.ListenOptions) error {
	var sa netio.Sockaddr
	var fd int
	var err error
	switch a.Kind {
	case config.AddrFD:
		fd, sa, err = netio.Adopt(a.FD, options)
		if err == nil && !slices.Contains(e.inherited, a.FD) {
			e.inherited = append(e.inherited, a.FD)
		}
	case config.AddrTCP:
		sa = netio.SockaddrFrom(netip.AddrPortFrom(a.IP, uint16(a.Port)))
		fd, err = netio.Listen(&sa, "", options)
	default:
		if sa, err = unixAddr(a); err == nil {
			path := a.Path
			if a.Kind == config.AddrAbstract {
				path = ""
			}
			fd, err = netio.Listen(&sa, path, options)
		}
	}
	if err != nil {
		return err
	}
	for n, w := range workers {
		own := fd
		if n > 0 {
			copied, errno := netio.Dup(fd)
			if errno != 0 {
				return fmt.Errorf("copy listener: %w", errno)
			}
			own = copied
		}
		l := proto
		l.Shared = len(workers) > 1
		e.give(w, &l, own, sa.Addr(), options.Backlog)
	}
	return nil
}

func (e *Engine) give(w *worker.Worker, l *session.Listener, fd int, addr netio.Addr, backlog int) {
	l.FD, l.Addr = fd, addr
	ap := addr.AddrPort()
	l.Wildcard = ap.IsValid() && ap.Addr().IsUnspecified()
	w.AddListener(l, backlog)
	e.listeners++
}

// backlog is what the bind line, the proxy or the connection limits say, in this order.
func backlog(g *config.Global, p *config.Proxy, b *config.Bind) int {
	for _, n := range []int{b.Backlog, p.Backlog, b.MaxConn, p.MaxConn, g.MaxConn} {
		if n > 0 {
			return n
		}
	}
	return defaultBacklog
}

const defaultBacklog = 1024

func unixAddr(a *config.Address) (netio.Sockaddr, error) {
	if a.Kind == config.AddrAbstract {
		return netio.SockaddrAbstract(a.Path)
	}
	return netio.SockaddrUnix(a.Path)
}

// bindError words the failure of a listener as HAProxy does.
func bindError(a *config.Address, err error) string {
	protocol, where := "tcpv4", netip.AddrPortFrom(a.IP, uint16(a.Port)).String()
	switch {
	case a.Kind == config.AddrUnix, a.Kind == config.AddrAbstract:
		protocol, where = "unix_stream", a.Path
	case a.Kind == config.AddrFD:
		protocol, where = "fd", fmt.Sprintf("fd@%d", a.FD)
	case a.IP.Is6():
		protocol = "tcpv6"
	}
	what := err.Error()
	var op *netio.OpError
	if errors.As(err, &op) {
		what = fmt.Sprintf("cannot %s %s (%s)", op.Op, op.Object, errnoText(op.Err))
	}
	return fmt.Sprintf("protocol %s: %s for [%s].", protocol, what, where)
}

// errnoText is the C library's text for an error number, which begins with a capital.
func errnoText(err error) string {
	var errno syscall.Errno
	if !errors.As(err, &errno) {
		return err.Error()
	}
	text := errno.Error()
	return strings.ToUpper(text[:1]) + text[1:]
}
