package backend

import (
	"github.com/penstock/penstock/internal/balance"
	"github.com/penstock/penstock/internal/config"
)

// Places.
//
// Sessions, queues, tables, checks and counters know a server by its place, a number. Servers that come and go at run
// time must not make any of these wrong, nor cost a session anything. So:
//
//	places        0      1      2      3        the list, replaced as a whole by one store
//	            ┌──────┬──────┬──────┬──────┐
//	            │ s1   │ s2   │ (s3) │ s4   │   s3 was deleted: it departed, its place remains
//	            └──────┴──────┴──────┴──────┘
//	add s5:       s1     s2     s5     s4       when nothing refers to place 2 any more
//	add s5:       s1     s2    (s3)    s4   s5  when something does
//
//	1. The list never becomes shorter, and what lies at a place is never changed into another server: another Server
//	   takes the place. Who has a number has a server, and it costs one more load, of a word that is rarely written.
//	2. To delete a server is to mark it as departed, like one that only sessions of a former process have. It is
//	   in maintenance, so no table has it; who shows servers passes it by. Nothing is freed, so nobody can be hurt.
//	3. A place is used again when it is idle: no slot of it is taken, nobody waits for it, and every worker has gone round
//	   its loop since and forgotten the number where a session kept it (session.Table.Forget). Workers are asked between two
//	   rounds, when none has an old table or an old Server at hand. So a slot can be taken by a worker that
//	   had loaded a table before the server went into maintenance, but not after the workers were asked; the slots
//	   are counted after that.
//
// The cost is a place for each server that was deleted while it could not be forgotten, until the next one comes.

// begin sets what the configuration says of a server. It takes part in the balancing unless that is taken back.
func (b *Backend) begin(s *Server, c *config.Server, place int) {
	s.Name, s.ID, s.Index, s.Backup, s.Disabled = c.Name, c.ID, int32(place), c.Backup, c.Disabled
	if s.ID == 0 {
		s.ID = place + 1
	}
	// A minconn at or above maxconn is the limit itself.
	s.maxConn.Store(int32(max(c.MaxConn, c.MinConn)))
	if c.MinConn > 0 && c.MinConn < c.MaxConn {
		s.minConn = int32(c.MinConn)
	}
	s.maxQueue = int32(c.MaxQueue)
	if c.Check.Enabled && c.Check.Observe {
		s.errorLimit = int32(c.Check.ErrorLimit)
	}
	s.initWeight = int32(c.Weight)
	s.userWeight.Store(int32(c.Weight))
	s.scale.Store(balance.WeightScale)
	s.share.Store(100)
	s.weight.Store(int32(b.effective(s, c.Weight)))
	s.operation.Store(uint32(Running))
	s.history.begin()
}

// Dynamic reports whether servers may come while it runs: the algorithm must follow changes of its group.
func (b *Backend) Dynamic() bool { return !b.Static() }

// Add puts a server, in maintenance, at a place that is idle and that no worker remembers, or with None at a new one.
// It returns the place.
func (b *Backend) Add(c *config.Server, place int32) int32 {
	b.control.Lock()
	defer b.control.Unlock()
	before := *b.servers.Load()
	list := append(make([]*Server, 0, len(before)+1), before...)
	if place == None {
		place = int32(len(list))
		list = append(list, nil)
	}
	s := &Server{}
	b.begin(s, c, int(place))
	s.admin.Store(uint32(ForcedMaint))
	if c.Disabled {
		s.admin.Store(uint32(ForcedMaint | Configured))
	}
	list[place] = s
	b.queue.open(int(place)) // before anybody can find the place
	b.servers.Store(&list)
	b.publish() // a table knows all places
	return place
}

// Idle reports whether no slot of the server is taken and nobody waits for one.
func (s *Server) Idle() bool { return s.Served() == 0 && s.Queued() == 0 }
