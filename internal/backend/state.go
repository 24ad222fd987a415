package backend

import "github.com/penstock/penstock/internal/balance"

// A server is up while it may be used and works: the first is the administrator's word (SetUsable), the second that
// of its health check (SetRunning). Either alone keeps it down.

// SetUsable says whether a server may be connected to at all. Those who wait for a server that went down are told to
// Reassign, and when it was the last one so are those who wait for any; their number is returned. A server
// that comes up gets its share of those who wait at once; their number is returned.
func (b *Backend) SetUsable(i int, usable bool) (requeued int) {
	return b.change(i, func(s *Server) { s.enabled.Store(usable) })
}

// SetRunning says whether a server works. It has the effects of SetUsable.
func (b *Backend) SetRunning(i int, running bool) (requeued int) {
	return b.change(i, func(s *Server) { s.running = running })
}

// Enabled reports whether the server may be connected to, as far as its health allows.
func (s *Server) Enabled() bool { return s.enabled.Load() }

func (b *Backend) change(i int, set func(*Server)) (requeued int) {
	b.control.Lock()
	defer b.control.Unlock()
	s := &b.servers[i]
	set(s)
	up := s.enabled.Load() && s.running
	if s.up.Swap(up) == up {
		return 0
	}
	s.history.change(up)
	b.publish()
	if up {
		requeued = b.serve(int32(i))
		b.serveAll()
		return requeued
	}
	requeued = b.expel(int32(i))
	if len(b.table.Load().group) == 0 {
		requeued += b.expel(None)
	}
	b.serveAll()
	return requeued
}

// Throttle lets a server have percent of its maxconn and, unless the algorithm is static, of its weight, as far as its
// sixteenths go; at least the smallest of both. 100 ends it.
func (b *Backend) Throttle(i, percent int) {
	b.control.Lock()
	defer b.control.Unlock()
	s := &b.servers[i]
	s.share.Store(int32(percent))
	scale := min(balance.WeightScale*percent/100+1, balance.WeightScale)
	if scale == s.scale {
		b.serveAll()
		return
	}
	s.scale = scale
	s.weight.Store(int32(b.effective(s, int(s.userWeight.Load()))))
	b.publish()
	b.serveAll()
}

// Throttled is the percentage given to Throttle.
func (s *Server) Throttled() int { return int(s.share.Load()) }
