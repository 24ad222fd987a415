package backend

import (
	"github.com/penstock/penstock/internal/balance"
	"github.com/penstock/penstock/internal/config"
)

// Request is what choosing a server depends on.
type Request struct {
	Hash  uint32 // the client's address, folded (balance.Fold)
	Rand  uint32 // any random number; read by balance random only
	Avoid int32  // a server that just failed, passed by as long as there is another; None: no such
}

// Verdict is the outcome of asking for a slot.
type Verdict uint8

// The verdicts.
const (
	// Assigned: the session holds a slot of the server.
	Assigned Verdict = iota + 1
	// Queue: no slot is free; call Enqueue with the server returned, which may be None.
	Queue
	// QueueFull: the session must have this very server, and its queue has reached maxqueue.
	QueueFull
	// NoServer: no server is usable.
	NoServer
)

// Assign chooses a server by the algorithm of the backend and takes a slot of it. With Queue the
// server is the one whose queue to enter, or None for that of the backend.
func (b *Backend) Assign(req Request) (server int32, v Verdict) {
	t := b.table.Load()
	if len(t.group) == 0 {
		return None, NoServer
	}
	if t.lone != None {
		return t.lone, b.takeOrQueue(t.lone)
	}
	if b.algorithm == config.SourceHash {
		i := b.hashed(t, req)
		return i, b.takeOrQueue(i)
	}
	// Whoever waits in the backend's queue waits for any of these servers: nobody overtakes.
	if b.queue.shared.Load() > 0 {
		return None, Queue
	}
	switch b.algorithm {
	case config.LeastConn:
		return b.leastConn(t, req.Avoid)
	case config.First:
		server = b.first(t, req.Avoid)
	case config.Random:
		server = b.random(t, req)
	default:
		server = b.robin(t, req.Avoid)
	}
	if server == None {
		return None, Queue
	}
	return server, Assigned
}

// Take asks for a slot of a given server, whatever the algorithm says: the server was chosen by
// other means. A retry on the server whose slot the session still holds needs no call.
func (b *Backend) Take(server int32) Verdict {
	if !b.at(server).up.Load() {
		return NoServer
	}
	return b.takeOrQueue(server)
}

// Adopt counts a session that already is on a server, whatever the server's state and limit.
func (b *Backend) Adopt(server int32) {
	b.at(server).served.Add(1)
	if b.counting {
		b.conns.Add(1)
	}
}

// Release gives a slot back. If somebody waits for it, it goes there at once.
func (b *Backend) Release(server int32) {
	b.at(server).served.Add(-1)
	if b.counting {
		b.conns.Add(-1)
	}
	// The slot is free before we look for those who wait, and they are visible before they look
	// for a slot: one of the two sees the other.
	if b.queue.waiting.Load() > 0 {
		b.serve(server)
	}
}

// takeOrQueue takes a slot of a server that cannot be replaced by another one.
func (b *Backend) takeOrQueue(i int32) Verdict {
	s := b.at(i)
	switch {
	case b.take(s):
		return Assigned
	case s.maxQueue > 0 && s.queued.Load() >= s.maxQueue:
		return QueueFull
	}
	return Queue
}

// take takes a slot for a session that holds none and does not wait. Those who wait for the server
// come first.
func (b *Backend) take(s *Server) bool {
	if s.maxConn.Load() > 0 && s.queued.Load() > 0 || !b.takeFree(s, 1) {
		return false
	}
	if b.counting {
		b.conns.Add(1)
	}
	return true
}

// takeFree counts one more connection on s unless it is at its limit; more is what the session adds
// to the backend's sessions, as far as the limit depends on them.
func (b *Backend) takeFree(s *Server, more int64) bool {
	var n int32
	if s.maxConn.Load() == 0 {
		n = s.served.Add(1)
	} else {
		limit := b.limit(s, more)
		for {
			old := s.served.Load()
			if old >= limit {
				return false
			}
			if n = old + 1; s.served.CompareAndSwap(old, n) {
				break
			}
		}
	}
	s.taken(n)
	return true
}

// taken counts a session of s, which is its n-th at present.
func (s *Server) taken(n int32) {
	s.sessions.Add(1)
	for {
		most := s.mostServed.Load()
		if n <= most || s.mostServed.CompareAndSwap(most, n) {
			return
		}
	}
}

// limit is how many connections s may carry now; it must have a maxconn. With a minconn the limit
// grows with the sessions of the backend and reaches maxconn at fullconn. A server that starts slowly has a part of it.
func (b *Backend) limit(s *Server, more int64) int32 {
	limit := b.fullLimit(s, more)
	if share := s.share.Load(); share < 100 {
		return max(int32(int64(limit)*int64(share)/100), 1)
	}
	return limit
}

func (b *Backend) fullLimit(s *Server, more int64) int32 {
	limit := s.maxConn.Load()
	if s.minConn == 0 || b.fullConn == 0 || s.minConn >= limit {
		return limit
	}
	conns := b.load() + more
	if conns >= b.fullConn {
		return limit
	}
	return max(s.minConn, int32(conns*int64(limit)/b.fullConn))
}

// load is the number of sessions that hold a slot or wait for one. They are counted where the configuration needs that;
// a minconn that came with a server at run time has them summed up.
func (b *Backend) load() int64 {
	if b.counting {
		return b.conns.Load()
	}
	return int64(b.Served()) + b.queue.waiting.Load()
}

// free reports whether s has a slot for a newcomer.
func (b *Backend) free(s *Server) bool {
	if s.maxConn.Load() == 0 {
		return true
	}
	return s.queued.Load() == 0 && s.served.Load() < b.limit(s, 1)
}

// robin takes a slot of the next server in the order that has one.
//
// The cursor moves past a full server as if it had been served: it lost its turn, and the others
// keep their shares among themselves.
func (b *Backend) robin(t *table, avoid int32) int32 {
	at := b.cursor.Add(1) - 1
	if i := t.order.At(at); i != avoid && b.take(b.at(i)) {
		return i
	}
	if !b.anyFree(t, avoid) {
		return b.lastResort(t, avoid)
	}
	full := avoid
	for n := 1; n < t.order.Len(); n++ {
		i := t.order.At(at + uint64(n))
		if i == avoid || i == full {
			continue
		}
		if b.take(b.at(i)) {
			b.cursor.Add(uint64(n))
			return i
		}
		full = i
	}
	return b.lastResort(t, avoid)
}

// anyFree reports whether a server other than avoid has a slot.
func (b *Backend) anyFree(t *table, avoid int32) bool {
	for _, i := range t.group {
		if i != avoid && b.free(b.at(i)) {
			return true
		}
	}
	return false
}

// lastResort takes a slot of the server to avoid, if it is one of the group and has one.
func (b *Backend) lastResort(t *table, avoid int32) int32 {
	if avoid >= 0 && t.member[avoid] && b.take(b.at(avoid)) {
		return avoid
	}
	return None
}

// first takes a slot of the server with the lowest identifier that has one.
func (b *Backend) first(t *table, avoid int32) int32 {
	for _, i := range t.byID {
		if i != avoid && b.take(b.at(i)) {
			return i
		}
	}
	return b.lastResort(t, avoid)
}

// leastConnWindow bounds how many servers one choice of the least loaded looks at. In a larger
// group each choice sees another part of it.
const leastConnWindow = 256

// leastConn takes a slot of the server with the fewest connections for its weight. The search
// starts one server further every time, so that equals are served in turn. Between the search and
// the taking other workers may have chosen the same server; then the search is made again, but not
// for ever: a figure that is wrong by a few does no harm.
func (b *Backend) leastConn(t *table, avoid int32) (int32, Verdict) {
	at := b.cursor.Add(1) - 1
	for try := 0; ; try++ {
		i, served := b.least(t, avoid, at)
		if i == None {
			if i = b.lastResort(t, avoid); i == None {
				return None, Queue
			}
			return i, Assigned
		}
		s := b.at(i)
		if try < 4 && s.served.Load() != served {
			continue
		}
		// A server with a maxqueue may be chosen for a place in its queue.
		if v := b.takeOrQueue(i); v == Assigned || v == Queue && s.maxQueue > 0 {
			return i, v
		}
		if try >= 4 {
			return None, Queue
		}
	}
}

// least finds the least loaded server that has a slot or, with a maxqueue, a place in its queue,
// and what it carried at that moment.
func (b *Backend) least(t *table, avoid int32, at uint64) (best, served int32) {
	best = None
	bestKey := 0
	n := len(t.group)
	from := int(at % uint64(n))
	for k := range n {
		if k >= leastConnWindow && best != None {
			break
		}
		place := from + k
		if place >= n {
			place -= n
		}
		i := t.group[place]
		if i == avoid {
			continue
		}
		s := b.at(i)
		now, queued := s.served.Load(), s.queued.Load()
		if s.maxConn.Load() > 0 && now+queued >= b.limit(s, 1)+s.maxQueue {
			continue
		}
		key := balance.LeastConnKey(int(now+queued), int(t.weight[i]))
		if best == None || key < bestKey {
			best, bestKey, served = i, key, now
			if key == 0 {
				break
			}
		}
	}
	return best, served
}

// random draws points of the ring and takes a slot of the least loaded of their owners. When that
// one is full the session waits for any.
func (b *Backend) random(t *table, req Request) int32 {
	best := None
	var served, weight int
	for n := range b.draws {
		i := b.onRing(t, balance.Avalanche(req.Rand+uint32(n)*0x9e3779b9), req.Avoid)
		now, w := int(b.at(i).served.Load()), int(t.weight[i])
		if best == None || balance.LessLoaded(now, w, served, weight) {
			best, served, weight = i, now, w
		}
	}
	if !b.take(b.at(best)) {
		return None
	}
	return best
}

// hashed is the server that the client's hash leads to. A map knows no other one, not even for another try.
func (b *Backend) hashed(t *table, req Request) int32 {
	if len(t.group) == 1 {
		return t.group[0]
	}
	hash := req.Hash
	if b.avalanche {
		hash = balance.Avalanche(hash)
	}
	if b.hashMap {
		return t.order.Lookup(hash)
	}
	return b.onRing(t, hash, req.Avoid)
}

// onRing is the owner of the point nearest to hash or, when that server is to be avoided or carries
// more than its share, of the next suitable point.
func (b *Backend) onRing(t *table, hash uint32, avoid int32) int32 {
	nearest := t.ring.Lookup(hash)
	served := 0
	if b.factor > 0 {
		served = int(b.conns.Load() - b.queue.waiting.Load())
	}
	for n, p := 0, nearest; n < t.ring.Len(); n, p = n+1, t.ring.Next(p) {
		i := t.ring.Server(p)
		if i == avoid {
			continue
		}
		if b.factor == 0 {
			return i
		}
		share := balance.Share(served, b.factor, int(t.below[i]), int(t.weight[i]), t.total)
		if int(b.at(i).served.Load()) < share {
			return i
		}
	}
	return t.ring.Server(nearest)
}
