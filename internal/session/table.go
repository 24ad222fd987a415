package session

import (
	"sync/atomic"

	"github.com/penstock/penstock/internal/backend"
	"github.com/penstock/penstock/internal/logging"
	"github.com/penstock/penstock/netio"
	"github.com/penstock/penstock/sched"
)

// Proxy is what a frontend or a backend tells its sessions; a listen section fills both halves. It is
// built once and shared by all workers; the counters are atomics.
type Proxy struct {
	Name     string
	ID       int
	Departed bool // not in the configuration: only sessions of a former process have it

	// Frontend side.
	Conns          Limit
	SessRate       Rate // rate-limit sessions
	DefaultBackend int  // index in Shared.Proxies, -1: none
	ClientMs       uint32
	ClientFinMs    uint32
	NoLinger       bool
	Independent    bool            // writes do not refresh the timeout of the client side
	SpliceUp       uint8           // mode in which flow[client] starts, see InitialMode
	Logger         *logging.Logger // nil: none
	Format         *logging.Format // nil: the line at accept
	DontLogNull    bool
	DontLogNormal  bool
	LogASAP        bool
	LogSepErrors   bool
	SDFormat       *logging.Format // structured data for RFC 5424 targets; nil: none
	ContStats      bool            // bytes are counted as they move, not when the session ends
	Front          []*Traffic      // by worker

	// Backend side.
	Backend            *backend.Backend
	servers            atomic.Pointer[[]*Server] // by place, see backend/place.go
	ConnectMs          uint32
	QueueMs            uint32
	ServerMs           uint32
	ServerFinMs        uint32
	TunnelMs           uint32
	Retries            int
	Redispatch         bool
	RedispatchInterval int
	AbortOnClose       bool
	NoLingerServer     bool
	IndependentServer  bool // writes do not refresh the timeout of the server side
	SpliceDown         uint8
	Back               []*Traffic // by worker
	Replaced           Replaced

	_           [cacheLine]byte // what follows is written by every worker
	CumConns    atomic.Uint64
	Accepted    sched.Frequency // of CumConns
	Lines       atomic.Uint64   // log lines written
	BeConns     atomic.Int64
	mostBeConns atomic.Int64
	CumBeConns  atomic.Uint64
	Entered     sched.Frequency // of CumBeConns
	ClearedFE   atomic.Uint64   // CumConns when the counters were cleared
	ClearedBE   atomic.Uint64   // CumBeConns then
	_           [cacheLine]byte
}

// Server is what a session must know to connect to one server.
type Server struct {
	Name       string
	Departed   bool // not in the configuration, see Proxy
	Options    netio.OptionSet
	HasSource  bool
	Source     netio.Sockaddr
	SourceLow  uint16 // port range of the source; 0: the kernel chooses
	SourceHigh uint16
	SourceNext atomic.Uint32
	Interface  string

	Traffic  []*Traffic      // by worker
	Cleared  atomic.Uint64   // slots taken when the counters were cleared
	Assigned sched.Frequency // of the slots taken

	destination atomic.Pointer[Destination]
}

// Destination is where connections to a server go. It never changes; another one takes its place.
type Destination struct {
	Addr        netio.Sockaddr
	PortOffset  int  // added to the client's destination port when FollowPort
	FollowPort  bool // the port follows the client's destination port
	Transparent bool // connect to the client's original destination
}

// nowhere is the destination of a server that has none yet.
var nowhere = &Destination{}

// Destination is where new connections to the server go.
func (s *Server) Destination() *Destination {
	if d := s.destination.Load(); d != nil {
		return d
	}
	return nowhere
}

// SetDestination sends new connections elsewhere; any goroutine may call it.
func (s *Server) SetDestination(d Destination) { s.destination.Store(&d) }

// AddListener gives a listener to the table.
func (t *Table) AddListener(l *Listener) {
	l.Index = len(t.Listeners)
	l.Traffic = new(Traffic)
	t.Listeners = append(t.Listeners, l)
}

// MaxProxies is the number of proxies that a session can tell apart.
const MaxProxies = 1<<15 - 1

// InitialMode gives the starting mode of a direction from its options.
func InitialMode(splice, forced bool) uint8 {
	switch {
	case forced:
		return modeForceSplice
	case splice:
		return modeCopy
	}
	return modeCopyOnly
}

// Listener is one socket of a bind line, owned by one worker.
type Listener struct {
	FD       int
	Index    int // in Table.Listeners
	Proxy    int // index in Shared.Proxies
	ID       int // of the bind line, for logs
	Name     string
	Addr     netio.Addr // what it is bound to
	Wildcard bool       // each connection has an address of its own
	Limit    *Limit     // maxconn of the bind line; nil: none
	Shared   bool       // other workers watch the same socket
	Traffic  *Traffic   // nil before AddListener

	budget int    // connections to accept at a report, see Accept
	round  uint32 // of the last report
}

// Shared is what all tables of one process have in common.
type Shared struct {
	Proxies    []*Proxy
	Conns      Limit // global maxconn
	ConnRate   Rate  // the lower of maxconnrate and maxsessrate
	CumConns   atomic.Uint64
	Accepted   sched.Frequency // of CumConns
	CumReq     atomic.Uint64
	MaxReached atomic.Uint64

	BufSize   int
	MaxAccept int
	IdleMs    uint32 // a pause that ends a stream's proof
	PipeSize  int
	MaxPipes  int // per worker
	Pid       int
	Hostname  string

	// WakeAll tells every worker that a limit has room again.
	WakeAll func()
	// Complain reports a lack of resources, for the log; it is called at most once a second and worker.
	Complain func(p *Proxy, err netio.Errno)
}

// Table holds the sessions of one worker. Only that worker calls it.
type Table struct {
	*Shared
	Worker uint16
	Epoll  *netio.Epoll
	Clock  *sched.Clock

	Listeners       []*Listener
	formerListeners []*Listener // of sessions that came from another process

	RateDelayMs uint32 // how long to wait after AcceptTooFast

	slots   *sched.Slab[Session]
	timers  *sched.Timers
	ready   *sched.RunQueue
	pipes   *netio.PipePool
	bufs    buffers
	shared  []byte     // one read's bytes; never kept across calls
	current uint32     // the session whose relay runs
	talked  sched.Tick // of the last small read of a session that is no stream

	scratch      *logging.Scratch
	record       logging.Record
	line         []byte
	sa           netio.Sockaddr
	rng          uint64
	complainedNs int64
	bytesOut     atomic.Uint64
	splicedOut   atomic.Uint64
	live         atomic.Int64
	pipeCounts   atomic.Uint64 // lent<<32 | idle
	pipesSeen    uint64
	round        uint32 // of the loop

	freezeAt uint32 // slot that Freeze looked at last
	leaving  int    // sessions that wait for their fate
	staying  int    // sessions that came back
	killing  bool   // a hard stop was ordered
}

// NewTable makes the table of one worker.
func NewTable(sh *Shared, worker uint16, ep *netio.Epoll, clock *sched.Clock) *Table {
	t := &Table{
		Shared: sh, Worker: worker, Epoll: ep, Clock: clock,
		slots:   sched.NewSlab[Session](256),
		timers:  sched.NewTimers(),
		ready:   sched.NewRunQueue(),
		pipes:   netio.NewPipePool(sh.PipeSize, sh.MaxPipes),
		bufs:    buffers{size: sh.BufSize},
		shared:  make([]byte, sh.BufSize),
		scratch: &logging.Scratch{},
		line:    make([]byte, 0, 4096),
		rng:     uint64(clock.MonoNs())*2862933555777941757 + uint64(worker) + 1,
	}
	for _, p := range sh.Proxies {
		p.count(int(worker))
	}
	t.record.Pid, t.record.Hostname = sh.Pid, sh.Hostname
	return t
}

// Live is the number of sessions; any goroutine may ask.
func (t *Table) Live() int { return int(t.live.Load()) }

// BytesOut is the number of bytes sent by this worker, SplicedOut of those moved by splice.
func (t *Table) BytesOut() uint64 { return t.bytesOut.Load() }

// SplicedOut is the number of bytes that moved through a pipe.
func (t *Table) SplicedOut() uint64 { return t.splicedOut.Load() }

// Pipes counts the pipes that hold bytes and those at hand, as of the last round; any goroutine may ask.
func (t *Table) Pipes() (used, free int) {
	v := t.pipeCounts.Load()
	return int(v >> 32), int(uint32(v))
}

// random is a splitmix64 step: enough to choose among servers.
func (t *Table) random() uint32 {
	t.rng += 0x9e3779b97f4a7c15
	z := t.rng
	z = (z ^ z>>30) * 0xbf58476d1ce4e5b9
	z = (z ^ z>>27) * 0x94d049bb133111eb
	return uint32((z ^ z>>31) >> 32)
}

// alloc gives a slot; the tables that go by slot number grow with the slab.
func (t *Table) alloc() (uint32, *Session) {
	before := t.slots.Cap()
	id, s := t.slots.Alloc()
	if c := t.slots.Cap(); c != before {
		t.timers.Grow(c)
		t.ready.Grow(c)
	}
	return id, s
}

// buffers are the rests that a side would not take, by handle. Memory is kept for reuse, warmest first.
type buffers struct {
	size int
	all  [][]byte // by handle-1
	free []uint32
}

func (b *buffers) get() uint32 {
	if n := len(b.free); n > 0 {
		h := b.free[n-1]
		b.free = b.free[:n-1]
		return h
	}
	b.all = append(b.all, make([]byte, b.size))
	if cap(b.free) < len(b.all) {
		grown := make([]uint32, len(b.free), 2*len(b.all))
		copy(grown, b.free)
		b.free = grown
	}
	return uint32(len(b.all))
}

// hold keeps bytes that another process did not get rid of, even if its buffers were larger.
func (b *buffers) hold(bytes []byte) uint32 {
	h := b.get()
	if len(b.all[h-1]) < len(bytes) {
		b.all[h-1] = make([]byte, len(bytes))
	}
	copy(b.all[h-1], bytes)
	return h
}

func (b *buffers) at(h uint32) []byte { return b.all[h-1] }
func (b *buffers) put(h uint32)       { b.free = append(b.free, h) }
