package backend

import "github.com/penstock/penstock/internal/balance"

// Usable reports whether the algorithms may choose the server.
func (s *Server) Usable() bool { return s.up.Load() && s.weight.Load() > 0 }

// Up reports whether the server can be connected to.
func (s *Server) Up() bool { return s.up.Load() }

// Weight is the configured or last set weight, 0..256.
func (s *Server) Weight() int { return int(s.userWeight.Load()) }

// InitialWeight is the configured weight.
func (s *Server) InitialWeight() int { return int(s.initWeight) }

// MaxConn is the limit set; 0 means none.
func (s *Server) MaxConn() int { return int(s.maxConn.Load()) }

// MaxQueue is the limit of the server's own queue; 0 means none.
func (s *Server) MaxQueue() int { return int(s.maxQueue) }

// Served is the number of slots taken.
func (s *Server) Served() int { return int(s.served.Load()) }

// MaxServed is the largest Served there ever was.
func (s *Server) MaxServed() int { return int(s.mostServed.Load()) }

// Queued is the number of sessions that wait for this very server.
func (s *Server) Queued() int { return int(s.queued.Load()) }

// Choose counts a session that was led to the server by the algorithm, whether or not it has to wait there.
func (s *Server) Choose() { s.chosen.Add(1) }

// Chosen is how often the algorithm led a session to the server.
func (s *Server) Chosen() uint64 { return s.chosen.Load() }

// CumSessions is the number of slots ever taken.
func (s *Server) CumSessions() uint64 { return s.sessions.Load() }

// ConnError counts a session that could not be connected in the end.
func (s *Server) ConnError() { s.connErrors.Add(1) }

// ConnErrors is the number of sessions that could not be connected in the end.
func (s *Server) ConnErrors() uint64 { return s.connErrors.Load() }

// Retry counts another try on the same server.
func (s *Server) Retry() { s.retries.Add(1) }

// Retries is the number of further tries on the same server.
func (s *Server) Retries() uint64 { return s.retries.Load() }

// Redispatch counts a session that leaves the server for another after a failure.
func (s *Server) Redispatch() { s.redispatches.Add(1) }

// Redispatches is the number of sessions that left the server for another after a failure.
func (s *Server) Redispatches() uint64 { return s.redispatches.Load() }

// BackendQueue is the number of sessions that wait for any server.
func (b *Backend) BackendQueue() int { return int(b.queue.shared.Load()) }

// Queued is the number of sessions that wait, for one server or for any.
func (b *Backend) Queued() int { return int(b.queue.waiting.Load()) }

// Served is the number of slots taken on all servers.
func (b *Backend) Served() int {
	n := 0
	for i := range b.NumServers() {
		n += b.Server(i).Served()
	}
	return n
}

// MaxQueued is the greatest length the queue of a server ever had or, with None, that of the backend.
func (b *Backend) MaxQueued(server int32) int {
	b.queue.mu.Lock()
	defer b.queue.mu.Unlock()
	return int(b.queue.lines[server+1].longest)
}

// EffectiveWeight is the sum of the weights with which those that share the load do so, in the units of the weights set,
// rounded up.
func (b *Backend) EffectiveWeight() int {
	total := b.table.Load().total
	if b.Static() {
		return total * b.divisor
	}
	return (total + balance.WeightScale - 1) / balance.WeightScale
}

// Members counts the usable servers, active and backup, and sums up the weights set of those that share
// the load at present.
func (b *Backend) Members() (active, backup, weight int) {
	for i := range b.NumServers() {
		s := b.Server(i)
		switch {
		case !s.Usable():
		case s.Backup:
			backup++
		default:
			active++
		}
	}
	for _, i := range b.table.Load().group {
		weight += b.at(i).Weight()
	}
	return active, backup, weight
}
