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

// bindAll opens the listeners of every frontend, and only when all addresses could be taken it lets anybody
// connect to them: a configuration that cannot run must not disturb the process that runs. It reports every one that
// fails, by its line, and whether none did.
func (e *Engine) bindAll() bool {
	ok := true
	for i, p := range e.cfg.Proxies {
		if p.Disabled || p.HTTP || !p.Kind.HasFrontend() {
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
				if b.MaxConn > 0 || p.SocketStats {
					l.Limit = &session.Limit{}
					l.Limit.SetMax(b.MaxConn)
				}
				o := &opening{listener: l, proxy: p, bind: b, addr: &b.Addrs[n]}
				if err := e.bind(o); err != nil {
					e.reportBind(o, err)
					ok = false
				}
			}
		}
	}
	ok = ok && e.publish()
	if !ok {
		e.withdraw()
		e.opt.Report.Alertf("Some protocols failed to start their listeners! Exiting.")
	}
	return ok
}

func (e *Engine) reportBind(o *opening, err error) {
	e.opt.Report.Alertf("Binding %s for %s %s: %s", place(o.bind.Pos), "proxy", o.proxy.Name, bindError(o.addr, err))
}

// opened is a socket to which nobody can connect yet, or one that was handed over and is as it was.
type opened struct {
	*opening
	fd      int
	handed  bool
	options *netio.ListenOptions
}

// publish lets clients connect, and changes what was handed over to what the bind lines say.
func (e *Engine) publish() bool {
	for len(e.unpublished) > 0 {
		s := e.unpublished[0]
		var err error
		if s.handed {
			err = netio.Inherit(s.fd, s.path, s.options)
		} else {
			err = netio.Publish(s.fd, s.path, s.options)
		}
		if err != nil {
			e.reportBind(s.opening, err)
			return false
		}
		e.unpublished = e.unpublished[1:]
	}
	return true
}

// withdraw removes what publish would have shown. The descriptors belong to the workers.
func (e *Engine) withdraw() {
	for _, s := range e.unpublished {
		if !s.handed {
			netio.RemoveUnpublished(s.path)
		}
	}
}

// opening is one address of a bind line, with what all its sockets have in common.
type opening struct {
	listener session.Listener
	proxy    *config.Proxy
	bind     *config.Bind
	addr     *config.Address
	workers  []*worker.Worker // that accept on it
	sa       netio.Sockaddr
	path     string // of a UNIX socket that has a file
	options  netio.ListenOptions
	steered  bool // each worker prefers connections of its CPU
}

// forWorker is the options of the socket that belongs to one worker.
func (o *opening) forWorker(w *worker.Worker) *netio.ListenOptions {
	options := o.options
	options.CPU, options.BindCPU = w.CPU()
	options.BindCPU = options.BindCPU && o.steered
	return &options
}

// bind opens one address of a bind line for every worker that the line allows. TCP listeners are
// separate sockets that the kernel spreads connections over; all others are copies of one socket.
func (e *Engine) bind(o *opening) error {
	g, p, b, a := &e.cfg.Global, o.proxy, o.bind, o.addr
	o.workers, o.steered = e.workers, g.Steer == config.SteerCPU
	if len(b.Threads) > 0 {
		o.workers = nil
		for _, w := range e.workers {
			if slices.Contains(b.Threads, w.ID+1) {
				o.workers = append(o.workers, w)
			}
		}
		if len(o.workers) == 0 {
			return errors.New("none of the threads it is bound to exists")
		}
	}
	o.options = netio.ListenOptions{
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
	switch a.Kind {
	case config.AddrFD:
		return e.bindFD(o, a.FD)
	case config.AddrTCP:
		o.sa = netio.SockaddrFrom(netip.AddrPortFrom(a.IP, uint16(a.Port)))
		if o.options.ReusePort {
			return e.bindSeparate(o)
		}
	default:
		var err error
		if o.sa, err = unixAddr(a); err != nil {
			return err
		}
		if a.Kind == config.AddrUnix {
			o.path = a.Path
		}
	}
	return e.bindShared(o)
}

// bindFD copies a listener that the process was started with.
func (e *Engine) bindFD(o *opening, fd int) error {
	own, sa, err := netio.Adopt(fd, &o.options)
	if err != nil {
		return err
	}
	if !slices.Contains(e.inherited, fd) {
		e.inherited = append(e.inherited, fd)
	}
	o.sa = sa
	_, err = e.share(o, own)
	return err
}

// bindShared opens one socket and gives each worker a copy of the descriptor. What else was handed over for
// the address goes to single workers.
func (e *Engine) bindShared(o *opening) error {
	rest := e.handed.find(o)
	fd := -1
	var err error
	if len(rest) > 0 {
		fd, err = e.take(o, rest[0], &o.options)
		rest = rest[1:]
	} else {
		fd, err = e.listen(o, &o.options)
	}
	if err != nil {
		return err
	}
	members, err := e.share(o, fd)
	if err != nil {
		return err
	}
	e.export(o, -1, members)
	return e.spread(o, rest)
}

// bindSeparate gives each worker a socket of its own: the one that the same worker of the former process had,
// any other that was handed over, or a new one, in this order.
func (e *Engine) bindSeparate(o *opening) error {
	rest := e.handed.find(o)
	from := make([]int, len(o.workers)) // in e.handed.all, -1: none
	for n, w := range o.workers {
		from[n] = -1
		if at := slices.IndexFunc(rest, func(i int) bool { return e.handed.all[i].Index == w.ID }); at >= 0 {
			from[n] = rest[at]
			rest = slices.Delete(rest, at, at+1)
		}
	}
	for n := range from {
		if from[n] < 0 && len(rest) > 0 {
			from[n], rest = rest[0], rest[1:]
		}
	}
	// First all that is there: a new socket can join only when those have SO_REUSEPORT.
	var without []*worker.Worker
	var first *member
	for n, w := range o.workers {
		if from[n] < 0 {
			without = append(without, w)
			continue
		}
		m, err := e.keep(o, w, from[n])
		if err != nil {
			return err
		}
		if first == nil {
			first = &m
		}
	}
	if len(without) > 0 && first != nil {
		if err := e.letJoin(o); err != nil {
			return err
		}
	}
	if err := e.spread(o, rest); err != nil {
		return err
	}
	for n, w := range without {
		options := o.forWorker(w)
		fd, err := e.open(o, options)
		if errors.Is(err, netio.EADDRINUSE) {
			if first != nil {
				return e.copyTo(o, *first, without[n:])
			}
			fd, err = e.listen(o, options)
		}
		if err != nil {
			return err
		}
		e.export(o, w.ID, []member{e.give(o, w, fd, false)})
	}
	return nil
}

// letJoin lets new sockets join those that were handed over for an address.
func (e *Engine) letJoin(o *opening) error {
	for _, s := range e.unpublished {
		if s.opening == o && s.handed {
			if err := netio.LetJoin(s.fd); err != nil {
				return err
			}
		}
	}
	return nil
}

// spread gives single workers what was handed over beyond their number. It is not closed, because clients may
// wait in its queue, and the kernel goes on to put new ones there.
func (e *Engine) spread(o *opening, handed []int) error {
	for n, i := range handed {
		if _, err := e.keep(o, o.workers[n%len(o.workers)], i); err != nil {
			return err
		}
	}
	return nil
}

// keep gives a socket that was handed over to one worker.
func (e *Engine) keep(o *opening, w *worker.Worker, i int) (member, error) {
	fd, err := e.take(o, i, o.forWorker(w))
	if err != nil {
		return member{}, err
	}
	m := e.give(o, w, fd, false)
	e.export(o, w.ID, []member{m})
	return m, nil
}

// copyTo lets further workers share the first socket of an address, when the kernel lets no other join, as
// when another user opened it.
func (e *Engine) copyTo(o *opening, first member, workers []*worker.Worker) error {
	l := first.worker.Table.Listeners[first.listener]
	l.Shared = true
	for _, w := range workers {
		own, errno := netio.Dup(l.FD)
		if errno != 0 {
			return fmt.Errorf("copy listener: %w", errno)
		}
		e.addMember(first, e.give(o, w, own, true))
	}
	return nil
}

// share gives a socket to one worker and copies of it to the others.
func (e *Engine) share(o *opening, fd int) ([]member, error) {
	shared := len(o.workers) > 1
	members := []member{e.give(o, o.workers[0], fd, shared)}
	for _, w := range o.workers[1:] {
		own, errno := netio.Dup(fd)
		if errno != 0 {
			return nil, fmt.Errorf("copy listener: %w", errno)
		}
		members = append(members, e.give(o, w, own, shared))
	}
	return members, nil
}

// take uses a socket that was handed over. Nothing about it changes yet.
func (e *Engine) take(o *opening, i int, options *netio.ListenOptions) (int, error) {
	if err := netio.CanInherit(&o.sa, options); err != nil {
		return -1, err
	}
	e.handed.taken[i] = true
	fd := e.handed.all[i].FD
	e.unpublished = append(e.unpublished, opened{o, fd, true, options})
	return fd, nil
}

// open takes an address.
func (e *Engine) open(o *opening, options *netio.ListenOptions) (int, error) {
	fd, err := netio.Open(&o.sa, o.path, options)
	if err == nil {
		e.unpublished = append(e.unpublished, opened{o, fd, false, options})
	}
	return fd, err
}

// listen is open, and while somebody else has the address, whoever may be able to change that is asked to.
func (e *Engine) listen(o *opening, options *netio.ListenOptions) (int, error) {
	for {
		fd, err := e.open(o, options)
		if !errors.Is(err, netio.EADDRINUSE) || e.opt.MakeRoom == nil || !e.opt.MakeRoom() {
			return fd, err
		}
	}
}

// give makes a socket a listener of a worker, which owns it from then on.
func (e *Engine) give(o *opening, w *worker.Worker, fd int, shared bool) member {
	l := o.listener
	l.FD, l.Addr, l.Shared = fd, o.sa.Addr(), shared
	ap := l.Addr.AddrPort()
	l.Wildcard = ap.IsValid() && ap.Addr().IsUnspecified()
	w.AddListener(&l, o.options.Backlog)
	e.listeners++
	return member{w, l.Index}
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
