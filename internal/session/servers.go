package session

import (
	"sync/atomic"

	"github.com/penstock/penstock/internal/backend"
)

// SetServers gives a backend its first servers.
func (p *Proxy) SetServers(all []Server) {
	list := make([]*Server, len(all))
	for i := range all {
		list[i] = &all[i]
	}
	p.servers.Store(&list)
}

// SetServer puts a server at a place of the backend that no worker refers to, or behind the last one. The server must
// have its counters; calls must not be made at the same time.
func (p *Proxy) SetServer(place int, s *Server) {
	before := p.list()
	list := append(make([]*Server, 0, len(before)+1), before...)
	if place == len(list) {
		list = append(list, nil)
	} else {
		p.Replaced.add(p.Backend.Server(place), list[place])
	}
	list[place] = s
	p.servers.Store(&list)
}

func (p *Proxy) list() []*Server {
	if list := p.servers.Load(); list != nil {
		return *list
	}
	return nil
}

// Server is the server at a place.
func (p *Proxy) Server(i int) *Server { return (*p.servers.Load())[i] }

// NumServers is the number of places.
func (p *Proxy) NumServers() int { return len(p.list()) }

func (p *Proxy) at(i int32) *Server { return (*p.servers.Load())[i] }

// Replaced is what servers counted whose places others took: a backend's figures must not become less.
type Replaced struct{ chosen, retries, redispatches atomic.Uint64 }

// Load is how many sessions were led to them, and how often another try followed, on the same server and on another.
func (r *Replaced) Load() (chosen, retries, redispatches uint64) {
	return r.chosen.Load(), r.retries.Load(), r.redispatches.Load()
}

// Clear forgets them.
func (r *Replaced) Clear() {
	r.chosen.Store(0)
	r.retries.Store(0)
	r.redispatches.Store(0)
}

func (r *Replaced) add(b *backend.Server, s *Server) {
	r.chosen.Add(b.Chosen() - s.Cleared.Load())
	r.retries.Add(b.Retries())
	r.redispatches.Add(b.Redispatches())
}

// ClearMaxima forgets the highest values of a server, as far as sessions count them.
func (s *Server) ClearMaxima() {
	s.Assigned.Reset()
	clearTimes(s.Traffic)
}

// ClearServer sets to zero what this worker counts of a server.
func (t *Table) ClearServer(s *Server) { s.Traffic[t.Worker].clear() }

// ForgetSlots is the number of slots that one call of Forget looks at.
const ForgetSlots = 4096

// Forget has the sessions in the next ForgetSlots slots from a slot on forget a server that they do not hold but tried
// before, by its place in the backend. It returns the slot to go on with; 0 is the end. Sessions that begin meanwhile cannot have
// met a server that is in maintenance.
func (t *Table) Forget(be int, server int32, from uint32) (next uint32) {
	size := t.slots.Cap()
	end := min(from+ForgetSlots, size)
	for id := from; id < end; id++ {
		s := t.slots.At(id)
		if s.state == stateFree || int(s.be) != be {
			continue
		}
		if s.srv == server && s.flags&slotHeld == 0 {
			s.srv = backend.None
		}
		if s.avoid == server {
			s.avoid = backend.None
		}
	}
	if end == size {
		return 0
	}
	return end
}
