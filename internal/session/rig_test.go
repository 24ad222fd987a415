package session

import (
	"net/netip"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/penstock/penstock/internal/backend"
	"github.com/penstock/penstock/internal/config"
	"github.com/penstock/penstock/internal/logging"
	"github.com/penstock/penstock/internal/testutil"
	"github.com/penstock/penstock/netio"
	"github.com/penstock/penstock/sched"
)

// rig is a table whose loop the test turns by hand, one round at a time: between two rounds nothing
// moves, so a test decides in which order the table learns of what its peers did. Clients and
// servers are plain sockets of the same goroutine.
type rig struct {
	tb     testing.TB
	table  *Table
	proxy  *Proxy
	lis    *Listener
	addr   netio.Sockaddr
	remote int // the server's listener, -1 after closeServer
	epoll  *netio.Epoll
	clock  *sched.Clock
	events []netio.Event
	grants []rigGrant
	logFD  int
	buf    []byte
	status AcceptStatus
	moves  bool // the sessions change their owner in every turn of until
}

type rigGrant struct {
	waiter backend.Waiter
	server int32
}

// rigOptions are what a test changes; the zero value is a plain proxy in front of one TCP server.
type rigOptions struct {
	network    string // "tcp" or "unix" (abstract names)
	splice     bool
	force      bool
	smallBufs  bool // the proxy's own socket buffers are as small as the kernel allows
	bufSize    int
	idleMs     uint32
	maxPipes   int
	maxConn    int // of the server
	conns      int // of the process
	format     string
	moves      bool
	configure  func(*Proxy)
	serverAddr *netio.Sockaddr // where nobody of the rig listens
}

// lineFormat is what the tests compare: the code, bytes in and out, retries, and the times.
const lineFormat = "%ts %U %B %rc %Tw/%Tc/%Tt"

func mustRig(tb testing.TB, o rigOptions) *rig {
	tb.Helper()
	r := &rig{tb: tb, clock: sched.NewClock(), events: make([]netio.Event, 64), buf: make([]byte, 1<<16), remote: -1, moves: o.moves}
	var err error
	if r.epoll, err = netio.NewEpoll(); err != nil {
		tb.Fatal(err)
	}
	conn := netio.ConnOptions{NoDelay: o.network != "unix"}
	if o.smallBufs {
		conn.RcvBuf, conn.SndBuf = 1, 1
	}
	var lisFD int
	lisFD, r.addr = mustListen(tb, o.network, conn)
	servers := make([]Server, 1)
	server := &servers[0]
	server.Name = "s1"
	server.Options = conn.Compile()
	if o.serverAddr != nil {
		server.SetDestination(Destination{Addr: *o.serverAddr})
	} else {
		var at netio.Sockaddr
		r.remote, at = mustListen(tb, o.network, netio.ConnOptions{NoDelay: o.network != "unix"})
		server.SetDestination(Destination{Addr: at})
	}
	r.logFD = mustDatagram(tb)

	r.proxy = &Proxy{
		Name: "l", DefaultBackend: 0, Retries: 3,
		SpliceUp: InitialMode(o.splice, o.force), SpliceDown: InitialMode(o.splice, o.force),
	}
	r.proxy.SetServers(servers)
	if o.format == "" {
		o.format = lineFormat
	}
	if r.proxy.Format, err = logging.Compile(o.format); err != nil {
		tb.Fatal(err)
	}
	r.proxy.Logger, err = logging.NewLogger([]config.LogTarget{{
		Kind: config.LogUDP, Addr: localAddrPort(r.logFD), Format: config.HeaderRaw, Level: logging.LevelDebug,
	}}, logging.Options{Tag: "test"})
	if err != nil {
		tb.Fatal(err)
	}
	r.proxy.Backend = backend.New(&config.Proxy{
		Name: "l", Balance: config.Balance{Algorithm: config.RoundRobin},
		Servers: []*config.Server{{Name: "s1", Weight: 1, MaxConn: o.maxConn}},
	}, 0)
	r.proxy.Backend.SetDeliver(func(w backend.Waiter, server int32) { r.grants = append(r.grants, rigGrant{w, server}) })
	if o.configure != nil {
		o.configure(r.proxy)
	}
	sh := &Shared{
		Proxies: []*Proxy{r.proxy}, BufSize: 16384, MaxAccept: 4, IdleMs: 1000, MaxPipes: 16,
		WakeAll:  func() {},
		Complain: func(*Proxy, netio.Errno) {},
	}
	if o.bufSize > 0 {
		sh.BufSize = o.bufSize
	}
	if o.idleMs > 0 {
		sh.IdleMs = o.idleMs
	}
	if o.maxPipes > 0 {
		sh.MaxPipes = o.maxPipes
	}
	sh.Conns.SetMax(o.conns)
	r.table = NewTable(sh, 0, r.epoll, r.clock)
	r.lis = &Listener{FD: lisFD}
	r.table.AddListener(r.lis)
	if e := r.epoll.Add(lisFD, netio.Readable, Word(KindListener, 0, 0, 0)); e != 0 {
		tb.Fatal(e)
	}
	tb.Cleanup(func() {
		r.table.Close()
		netio.Close(lisFD)
		r.closeServer()
		r.proxy.Logger.Close()
		netio.Close(r.logFD)
		r.epoll.Close()
	})
	return r
}

func mustListen(tb testing.TB, network string, conn netio.ConnOptions) (int, netio.Sockaddr) {
	tb.Helper()
	sa := netio.SockaddrFrom(netip.MustParseAddrPort("127.0.0.1:0"))
	if network == "unix" {
		var err error
		if sa, err = netio.SockaddrAbstract("penstock-" + strconv.Itoa(testutil.FreePort(tb))); err != nil {
			tb.Fatal(err)
		}
	}
	fd, err := netio.Listen(&sa, "", &netio.ListenOptions{Backlog: 1024, Conn: conn})
	if err != nil {
		tb.Fatal(err)
	}
	if network == "unix" {
		return fd, sa
	}
	if e := netio.LocalAddr(fd, &sa); e != 0 {
		tb.Fatal(e)
	}
	return fd, sa
}

func mustDatagram(tb testing.TB) int {
	tb.Helper()
	fd, err := netio.NewDatagram("udp4")
	if err != nil {
		tb.Fatal(err)
	}
	sa := netio.SockaddrFrom(netip.MustParseAddrPort("127.0.0.1:0"))
	if e := netio.Bind(fd, &sa); e != 0 {
		tb.Fatal(e)
	}
	return fd
}

func localAddrPort(fd int) netip.AddrPort {
	a := localAddr(int32(fd))
	return a.AddrPort()
}

func (r *rig) closeServer() {
	if r.remote >= 0 {
		netio.Close(r.remote)
		r.remote = -1
	}
}

// step is one round of the loop.
func (r *rig) step(timeoutMs int) (events int) {
	for i := 0; i < len(r.grants); i++ { // a grant may bring forth others
		r.table.Grant(r.grants[i].waiter, 0, r.grants[i].server)
	}
	r.grants = r.grants[:0]
	r.table.Expire()
	r.table.Run()
	if r.table.Runnable() || len(r.grants) > 0 {
		timeoutMs = 0
	}
	n, _ := r.epoll.Wait(r.events, timeoutMs)
	r.clock.Update()
	for i := range r.events[:max(n, 0)] {
		r.handle(&r.events[i])
	}
	return n
}

func (r *rig) handle(ev *netio.Event) {
	if WordKind(ev.Data()) == KindListener {
		r.status = r.table.Accept(r.lis)
		return
	}
	r.table.Event(ev.Data(), ev.Events)
}

// settle turns the loop until there is nothing to do: whatever the peers did before has had its effect,
// because loopback delivers within the system call.
func (r *rig) settle() {
	for idle := 0; idle < 2; idle++ {
		if r.step(0) > 0 || r.table.Runnable() || len(r.grants) > 0 {
			idle = -1
		}
	}
}

// until turns the loop until cond holds.
func (r *rig) until(what string, cond func() bool) {
	r.tb.Helper()
	for end := time.Now().Add(testutil.Deadline); !cond(); {
		if time.Now().After(end) {
			r.tb.Fatalf("waited in vain: %s", what)
		}
		r.move()
		r.step(1)
	}
}

// line waits for the next log line.
func (r *rig) line() string {
	r.tb.Helper()
	var n int
	r.until("a log line", func() bool {
		m, e := netio.Recv(r.logFD, r.buf)
		n = m
		return e == 0
	})
	return strings.TrimSpace(string(r.buf[:n]))
}

// code waits for the next log line and returns its termination code.
func (r *rig) code() string { r.tb.Helper(); return strings.Fields(r.line())[0] }

// quiet fails the test if a line was logged.
func (r *rig) quiet() {
	r.tb.Helper()
	if n, e := netio.Recv(r.logFD, r.buf); e == 0 {
		r.tb.Fatalf("logged too early: %q", r.buf[:n])
	}
}

// clean checks that nothing is left of any session.
func (r *rig) clean() {
	r.tb.Helper()
	t := r.table
	if n := t.Live(); n != 0 {
		r.tb.Errorf("%d sessions live", n)
	}
	if n := t.slots.Live(); n != 0 {
		r.tb.Errorf("%d slots taken", n)
	}
	if n := t.pipes.Lent(); n != 0 {
		r.tb.Errorf("%d pipes lent", n)
	}
	if got, want := len(t.bufs.free), len(t.bufs.all); got != want {
		r.tb.Errorf("%d of %d buffers are free", got, want)
	}
	if sorted := slices.Sorted(slices.Values(t.bufs.free)); len(slices.Compact(sorted)) != len(t.bufs.free) {
		r.tb.Errorf("a buffer is free twice: %v", t.bufs.free)
	}
	if t.ready.Len() != 0 || t.timers.Len() != 0 {
		r.tb.Errorf("%d sessions in the run queue, %d timers", t.ready.Len(), t.timers.Len())
	}
	if a, b := t.Conns.Current(), r.proxy.Conns.Current(); a != 0 || b != 0 {
		r.tb.Errorf("%d connections of the process and %d of the proxy are taken", a, b)
	}
	if n := r.proxy.BeConns.Load(); n != 0 {
		r.tb.Errorf("%d sessions of the backend", n)
	}
	if s := r.proxy.Backend.Server(0); s.Served() != 0 || s.Queued() != 0 {
		r.tb.Errorf("server: %d slots taken, %d wait", s.Served(), s.Queued())
	}
}

// peer is a socket of a client or a server. What it sends is a pattern of its own, and what it receives
// is compared with the other's at once.
type peer struct {
	r      *rig
	fd     int
	seed   byte
	sent   int
	got    int
	eof    bool
	reset  bool
	shut   bool // it sent its FIN
	closed bool
}

func (r *rig) newPeer(fd int, seed byte) *peer {
	p := &peer{r: r, fd: fd, seed: seed}
	r.tb.Cleanup(p.close)
	return p
}

// dial opens a client; the proxy has not accepted it yet.
func (r *rig) dial() *peer {
	r.tb.Helper()
	fd, e := netio.Socket(r.addr.Family())
	if e != 0 {
		r.tb.Fatal(e)
	}
	if e := netio.Connect(fd, &r.addr); e != 0 && e != netio.EINPROGRESS {
		r.tb.Fatal(e)
	}
	return r.newPeer(fd, 1)
}

// accept takes the next connection that the proxy makes.
func (r *rig) accept() *peer {
	r.tb.Helper()
	fd := -1
	r.until("a connection to the server", func() bool {
		n, e := netio.Accept(r.remote, &netio.Sockaddr{})
		if e == 0 {
			fd = n
		}
		return e == 0
	})
	return r.newPeer(fd, 2)
}

// pair is an established session.
func (r *rig) pair() (c, s *peer) {
	r.tb.Helper()
	c = r.dial()
	s = r.accept()
	r.settle()
	return c, s
}

func (p *peer) other() byte { return 3 - p.seed }

func pattern(seed byte, at int) byte { return byte(at*131) + byte(at>>8)*7 + byte(at>>16) + seed }

// send writes n bytes, or as many as the kernel takes at once, and returns how many.
func (p *peer) send(n int) int {
	p.r.tb.Helper()
	before := p.sent
	var chunk [1 << 15]byte
	for n > 0 {
		piece := chunk[:min(n, len(chunk))]
		for i := range piece {
			piece[i] = pattern(p.seed, p.sent+i)
		}
		m, e := netio.Send(p.fd, piece)
		if e != 0 {
			if e != netio.EAGAIN && e != netio.EPIPE && e != netio.ECONNRESET {
				p.r.tb.Fatalf("send: %v", e)
			}
			break
		}
		p.sent += m
		n -= m
	}
	return p.sent - before
}

// drain reads all there is, at most limit bytes.
func (p *peer) drain(limit int) {
	p.r.tb.Helper()
	for limit > 0 && !p.eof && !p.reset && !p.closed {
		n, e := netio.Recv(p.fd, p.r.buf[:min(limit, len(p.r.buf))])
		switch {
		case e == netio.EAGAIN:
			return
		case e != 0:
			p.reset = true
		case n == 0:
			p.eof = true
		}
		for i := range max(n, 0) {
			if p.r.buf[i] != pattern(p.other(), p.got+i) {
				p.r.tb.Fatalf("byte %d is wrong", p.got+i)
			}
		}
		p.got += max(n, 0)
		limit -= max(n, 0)
	}
}

func (p *peer) fin() {
	netio.ShutdownWrite(p.fd) // refused when the other end has reset, which shows elsewhere
	p.shut = true
}

func (p *peer) close() {
	if !p.closed {
		netio.Close(p.fd)
		p.closed = true
	}
}

func (p *peer) rst() {
	netio.SetLinger0(p.fd)
	p.close()
}

const all = 1 << 30

// receive turns the loop until the peer has got n bytes in all.
func (p *peer) receive(n int) {
	p.r.tb.Helper()
	p.r.until("bytes", func() bool { p.drain(all); return p.got >= n || p.eof || p.reset })
	if p.got != n {
		p.r.tb.Fatalf("got %d bytes, want %d", p.got, n)
	}
}

func (p *peer) expectEOF() {
	p.r.tb.Helper()
	p.r.until("the end of the stream", func() bool { p.drain(all); return p.eof || p.reset })
	if !p.eof {
		p.r.tb.Fatal("the connection was reset")
	}
}

func (p *peer) expectEnd() {
	p.r.tb.Helper()
	p.r.until("the end of the connection", func() bool { p.drain(all); return p.eof || p.reset })
}
