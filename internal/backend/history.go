package backend

import (
	"sync/atomic"
	"time"
)

// history is when a server or a backend last changed, and how long it was down before. A server changes when it goes up
// or down, and when it begins or ceases to be drained; a backend when it goes up or down.
type history struct {
	changed atomic.Int64 // ns since epoch
	down    atomic.Int64 // ns, until the last change
	downs   atomic.Uint64
}

var epoch = time.Now()

func (h *history) begin() { h.changed.Store(int64(time.Since(epoch))) }

// change notes that the state is another one from now on.
func (h *history) change(was, up bool) {
	now := int64(time.Since(epoch))
	before := h.changed.Swap(now)
	if !was {
		h.down.Add(now - before)
	} else if !up {
		h.downs.Add(1)
	}
}

// since is for how long the state is what it is, and for how long it was down altogether.
func (h *history) since(up bool) (same, down time.Duration) {
	same, down = time.Since(epoch)-time.Duration(h.changed.Load()), time.Duration(h.down.Load())
	if !up {
		down += same
	}
	return max(same, 0), down
}

// Since is for how long the server is as it is, and for how long it was down altogether.
func (s *Server) Since() (same, down time.Duration) { return s.history.since(s.Up()) }

// Since is for how long the backend has a usable server, or has none, and for how long it had none altogether.
func (b *Backend) Since() (same, down time.Duration) { return b.history.since(b.Alive()) }

// Downs is how often the backend lost its last usable server.
func (b *Backend) Downs() uint64 { return b.history.downs.Load() }

// Alive reports whether a server is usable.
func (b *Backend) Alive() bool { return len(b.table.Load().group) > 0 }

// ClearMaxima forgets the highest values ever.
func (b *Backend) ClearMaxima() {
	for i := range b.NumServers() {
		b.Server(i).mostServed.Store(0)
	}
	b.queue.mu.Lock()
	defer b.queue.mu.Unlock()
	for i := range b.queue.lines {
		b.queue.lines[i].longest = 0
	}
}

// ClearCounters sets to zero what is counted but the slots taken, which go on to tell how often they were.
func (b *Backend) ClearCounters() {
	b.ClearMaxima()
	b.history.downs.Store(0)
	for i := range b.NumServers() {
		b.Server(i).clear()
	}
}

// ClearServer is ClearMaxima or, with all, ClearCounters for one server.
func (b *Backend) ClearServer(i int, all bool) {
	s := b.Server(i)
	s.mostServed.Store(0)
	b.queue.mu.Lock()
	b.queue.lines[i+1].longest = 0
	b.queue.mu.Unlock()
	if all {
		s.clear()
	}
}

func (s *Server) clear() {
	s.connErrors.Store(0)
	s.retries.Store(0)
	s.redispatches.Store(0)
}
