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
	deliver   func(w Waiter, server int32)
	observed  func(server, errors int)

	history history
	table   atomic.Pointer[table]
	servers atomic.Pointer[[]*Server] // by place, see place.go
	control sync.Mutex                // held while the table is built; taken before queue.mu

	_      [cacheLine]byte
	cursor atomic.Uint64 // visits made by the round robins; where least connections starts to look
	_      [cacheLine]byte
	conns  atomic.Int64 // sessions that hold a slot or wait for one, when counting
	_      [cacheLine]byte
	queue  queue
}

// Server is the shared state of one server. Its exported fields never change: a server that takes the place of another
// is another Server.
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
	}
	if b.algorithm == config.Random && p.Balance.Draws == 0 {
		b.draws = 2
	}
	weights := make([]int, len(p.Servers))
	for i, c := range p.Servers {
		weights[i] = c.Weight
	}
	b.divisor = balance.GCD(weights)
	all := make([]Server, len(p.Servers))
	list := make([]*Server, len(p.Servers))
	ramp := false
	for i, c := range p.Servers {
		s := &all[i]
		b.begin(s, c, i)
		if c.Disabled {
			s.admin.Store(uint32(ForcedMaint | Configured))
		}
		s.up.Store(!c.Disabled)
		ramp = ramp || s.minConn > 0
		list[i] = s
	}
	b.servers.Store(&list)
	b.fullConn = int64(p.FullConn)
	b.history.begin()
	b.counting = ramp && b.fullConn > 0 || b.factor > 0
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

// Server is the server at a place: those of the configuration in declaration order from 0, then those that were added.
func (b *Backend) Server(i int) *Server { return (*b.servers.Load())[i] }

// NumServers is the number of places. It never becomes less.
func (b *Backend) NumServers() int { return len(*b.servers.Load()) }

// at is Server for those who count in int32.
func (b *Backend) at(i int32) *Server { return (*b.servers.Load())[i] }

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
		weight: make([]int32, b.NumServers()),
		below:  make([]int32, b.NumServers()),
		member: make([]bool, b.NumServers()),
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
		s := b.at(i)
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
		slices.SortStableFunc(t.byID, func(i, j int32) int { return cmp.Compare(b.at(i).ID, b.at(j).ID) })
	case b.algorithm == config.SourceHash, b.algorithm == config.Random:
		t.ring = balance.NewRing(list)
	}
	return t
}

// usable lists the usable servers on one side.
func (b *Backend) usable(backup bool) []int32 {
	var list []int32
	for i := range b.NumServers() {
		s := b.Server(i)
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
	s := b.Server(i)
	s.userWeight.Store(int32(weight))
	s.weight.Store(b.weigh(s))
	b.publish()
	b.serveAll()
}

// SetMaxConn changes the limit of a server; 0 means none. Sessions above a lowered limit remain.
func (b *Backend) SetMaxConn(i, maxConn int) {
	b.control.Lock()
	defer b.control.Unlock()
	b.Server(i).maxConn.Store(int32(maxConn))
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
