package backend

import (
	"cmp"
	"slices"
	"sync"
	"sync/atomic"

	"github.com/penstock/penstock/internal/balance"
	"github.com/penstock/penstock/internal/config"
)

// cacheLine is the distance that keeps two words from disturbing each other: two lines of 64 bytes,
// which processors like to fetch together.
const cacheLine = 128

// Server numbers that are not servers.
const (
	None     int32 = -1 // no server; the backend's own queue
	Reassign int32 = -2 // the server waited for is not usable any more: call Assign again
)

// Backend is the shared state of one backend. All methods but SetDeliver may be called by any
// goroutine at any time.
type Backend struct {
	Name string
	ID   int

	algorithm config.Algorithm
	draws     int
	hashMap   bool // source: map-based, not consistent
	avalanche bool
	factor    int // hash-balance-factor, percent; 0: off
	allBackup bool
	fullConn  int64 // the number of sessions at which minconn has grown to maxconn; 0: no ramp
	counting  bool  // conns is kept, because something depends on it
	divisor   int   // static algorithms: the common divisor of the configured weights
	servers   []Server
	deliver   func(w Waiter, server int32)
	observed  func(server, errors int)

	history history
	table   atomic.Pointer[table]
	control sync.Mutex // held while the table is built; taken before queue.mu

	_      [cacheLine]byte
	cursor atomic.Uint64 // visits made by the round robins; where least connections starts to look
	_      [cacheLine]byte
	conns  atomic.Int64 // sessions that hold a slot or wait for one, when counting
	_      [cacheLine]byte
	queue  queue
}

// Server is the shared state of one server. Its exported fields never change.
type Server struct {
	Name     string
	ID       int
	Index    int32
	Backup   bool
	Disabled bool // as configured

	minConn    int32 // 0: the limit does not grow with the load
	maxQueue   int32 // 0: unlimited
	errorLimit int32 // failed connections in a row that are reported; 0: none

	history history

	// Written by the control plane, read by every worker.
	maxConn    atomic.Int32 // 0: unlimited
	up         atomic.Bool  // can be connected to, see Admin
	admin      atomic.Uint32
	operation  atomic.Uint32
	scale      atomic.Int32 // weight of one, of balance.WeightScale while it counts in full
	share      atomic.Int32 // percent of maxConn that it may use
	weight     atomic.Int32 // effective
	userWeight atomic.Int32
	initWeight int32
	queued     atomic.Int32 // length of the server's own queue; written with the queue's lock held

	// Written by every worker.
	_            [cacheLine]byte
	served       atomic.Int32
	mostServed   atomic.Int32
	sessions     atomic.Uint64
	chosen       atomic.Uint64
	connErrors   atomic.Uint64
	retries      atomic.Uint64
	redispatches atomic.Uint64
	errorsInRow  atomic.Int32 // counted when errorLimit is not 0
	_            [cacheLine]byte
}

// table is everything that choosing needs and that changes only when a server comes, goes or weighs
// differently. It is read-only once published.
type table struct {
	group  []int32 // the servers that share the load, in declaration order
	byID   []int32 // the same, by identifier
	weight []int32 // by server number: its effective weight, above 0 for those in group
	below  []int32 // by server number: the weights of those before it in group
	member []bool  // by server number
	total  int     // the sum of the effective weights
	// lone is the one backup that replaces all active servers, or None. There is nothing to choose
	// then, and with most algorithms who finds it full waits in its own queue.
	lone  int32
	order *balance.Sequence
	ring  *balance.Ring
}

// New makes the state of p, a proxy with a backend side; id is its place among the backends. All
// servers that are not configured as disabled are usable.
func New(p *config.Proxy, id int) *Backend {
	b := &Backend{
		Name:      p.Name,
		ID:        id,
		algorithm: p.Balance.Algorithm,
		draws:     max(p.Balance.Draws, 1),
		hashMap:   !p.Balance.Consistent,
		avalanche: p.Balance.Avalanche,
		factor:    p.Balance.Factor,
		allBackup: p.AllBackups,
		servers:   make([]Server, len(p.Servers)),
	}
	if b.algorithm == config.Random && p.Balance.Draws == 0 {
		b.draws = 2
	}
	weights := make([]int, len(p.Servers))
	for i, c := range p.Servers {
		weights[i] = c.Weight
	}
	b.divisor = balance.GCD(weights)
	ramp := false
	for i, c := range p.Servers {
		s := &b.servers[i]
		s.Name, s.ID, s.Index, s.Backup, s.Disabled = c.Name, c.ID, int32(i), c.Backup, c.Disabled
		if s.ID == 0 {
			s.ID = i + 1
		}
		// A minconn at or above maxconn is the limit itself.
		s.maxConn.Store(int32(max(c.MaxConn, c.MinConn)))
		if c.MinConn > 0 && c.MinConn < c.MaxConn {
			s.minConn = int32(c.MinConn)
			ramp = true
		}
		s.maxQueue = int32(c.MaxQueue)
		s.initWeight = int32(c.Weight)
		s.userWeight.Store(int32(c.Weight))
		s.scale.Store(balance.WeightScale)
		s.share.Store(100)
		s.weight.Store(int32(b.effective(s, c.Weight)))
		s.operation.Store(uint32(Running))
		if c.Disabled {
			s.admin.Store(uint32(ForcedMaint | Configured))
		}
		s.up.Store(!c.Disabled)
		s.history.begin()
	}
	if ramp {
		b.fullConn = int64(p.FullConn)
	}
	b.history.begin()
	b.counting = b.fullConn > 0 || b.factor > 0
	b.queue.init(len(p.Servers))
	b.table.Store(b.build())
	return b
}

// SetDeliver sets the function that hands a slot of server to a waiter, or Reassign. It must be
// called before the first Enqueue. It runs on whichever goroutine freed the slot, without the
// queue's lock, and must not block; it may call everything but what changes
// the state, the weight or the limit of a server. Each waiter gets exactly one delivery, unless Enqueue
// answered it at once or Cancel took it out of the queue.
func (b *Backend) SetDeliver(deliver func(w Waiter, server int32)) { b.deliver = deliver }

// Server is the i-th server in declaration order, from 0.
func (b *Backend) Server(i int) *Server { return &b.servers[i] }

// NumServers is the number of servers, usable or not.
func (b *Backend) NumServers() int { return len(b.servers) }

// Static reports whether the algorithm cannot follow a change of weights: it accepts only 0 and the
// configured weight.
func (b *Backend) Static() bool {
	switch b.algorithm {
	case config.StaticRR:
		return true
	case config.SourceHash:
		return b.hashMap
	}
	return false
}

// Hashes reports whether the client, not the load, decides the server: another try leads to the
// same one.
func (b *Backend) Hashes() bool { return b.algorithm == config.SourceHash }

// effective is the weight that the tables work with for a configured one.
func (b *Backend) effective(s *Server, weight int) int {
	if b.Static() {
		return (weight + b.divisor - 1) / b.divisor
	}
	return weight * int(s.scale.Load())
}

// build makes the table of the present state.
func (b *Backend) build() *table {
	t := &table{
		lone:   None,
		weight: make([]int32, len(b.servers)),
		below:  make([]int32, len(b.servers)),
		member: make([]bool, len(b.servers)),
	}
	t.group = b.usable(false)
	if len(t.group) == 0 {
		t.group = b.usable(true)
		if len(t.group) > 0 && !b.allBackup {
			t.group = t.group[:1]
			// Two algorithms choose it like any other, so that its sessions wait in the backend's queue.
			if b.algorithm != config.StaticRR && b.algorithm != config.Random {
				t.lone = t.group[0]
			}
		}
	}
	list := make([]balance.Server, len(t.group))
	for n, i := range t.group {
		s := &b.servers[i]
		list[n] = balance.Server{Index: i, Weight: int(s.weight.Load()), Key: balance.Key(s.ID)}
		t.member[i] = true
		t.weight[i] = int32(list[n].Weight)
		t.below[i] = int32(t.total)
		t.total += list[n].Weight
	}
	switch {
	case b.algorithm == config.RoundRobin:
		t.order = balance.NewRoundRobin(list)
	case b.Static() && len(list) == 1:
		list[0].Weight = 1
		t.order = balance.NewMap(list)
	case b.Static():
		t.order = balance.NewMap(list)
	case b.algorithm == config.First:
		t.byID = slices.Clone(t.group)
		slices.SortStableFunc(t.byID, func(i, j int32) int { return cmp.Compare(b.servers[i].ID, b.servers[j].ID) })
	case b.algorithm == config.SourceHash, b.algorithm == config.Random:
		t.ring = balance.NewRing(list)
	}
	return t
}

// usable lists the usable servers on one side.
func (b *Backend) usable(backup bool) []int32 {
	var list []int32
	for i := range b.servers {
		s := &b.servers[i]
		if s.Backup == backup && s.Usable() {
			list = append(list, int32(i))
		}
	}
	return list
}

// SetWeight changes the weight of a server, 0..256. At 0 the algorithms pass it by, while its
// sessions and those that wait for it remain.
func (b *Backend) SetWeight(i, weight int) {
	b.control.Lock()
	defer b.control.Unlock()
	s := &b.servers[i]
	s.userWeight.Store(int32(weight))
	s.weight.Store(b.weigh(s))
	b.publish()
	b.serveAll()
}

// SetMaxConn changes the limit of a server; 0 means none. Sessions above a lowered limit remain.
func (b *Backend) SetMaxConn(i, maxConn int) {
	b.control.Lock()
	defer b.control.Unlock()
	b.servers[i].maxConn.Store(int32(maxConn))
	b.serveAll()
}

// publish replaces the table. Those who enter a queue look at the table with the queue's lock held,
// so it is replaced under that lock too.
func (b *Backend) publish() {
	t := b.build()
	b.queue.mu.Lock()
	before := b.table.Load()
	b.table.Store(t)
	b.queue.mu.Unlock()
	if alive := len(t.group) > 0; alive != (len(before.group) > 0) {
		b.history.change(!alive, alive)
	}
}
