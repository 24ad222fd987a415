package backend

import (
	"time"

	"github.com/penstock/penstock/internal/balance"
)

// Admin is what administrators want of a server, as bits; the numbers are HAProxy's.
type Admin uint32

// The bits of Admin.
const (
	ForcedMaint    Admin = 1 << iota // maintenance, on order
	InheritedMaint                   // maintenance of the server that it tracks
	Configured                       // its line in the configuration says disabled; says nothing of the present
	ForcedDrain                      // no new sessions, on order
	InheritedDrain                   // as the server that it tracks
	Unresolved                       // maintenance: its name has no address

	Maint = ForcedMaint | InheritedMaint | Unresolved
	Drain = ForcedDrain | InheritedDrain
)

// Operation says how a server works. The numbers are HAProxy's.
type Operation uint8

// The operational states. A server in maintenance is Stopped.
const (
	Stopped  Operation = iota // it does not work
	Starting                  // it works, and its load grows
	Running                   // it works
	Stopping                  // it works for those who have it, and takes no new sessions
)

// What sessions see of a server follows from these two and the weight:
//
//	                      maintenance   Stopped   drain or Stopping   weight 0   else
//	Up, can be connected       no          no            yes             yes      yes
//	Usable, can be chosen      no          no            no              no       yes
//
// Who waits for a server that is no longer up, or that was drained, is told to Reassign, and when it was the last one
// so are those who wait for any. A weight of 0 sends nobody away.

// SetAdmin sets what administrators want of a server. It returns how many of those who wait were sent elsewhere,
// or served at once by a server that came back.
func (b *Backend) SetAdmin(i int, a Admin) (requeued int) {
	return b.change(i, func(s *Server) { s.admin.Store(uint32(a)) })
}

// SetOperation says how a server works. It has the effects of SetAdmin.
func (b *Backend) SetOperation(i int, o Operation) (requeued int) {
	return b.change(i, func(s *Server) { s.operation.Store(uint32(o)) })
}

// SetRunning is SetOperation with the two usual states.
func (b *Backend) SetRunning(i int, running bool) (requeued int) {
	if running {
		return b.SetOperation(i, Running)
	}
	return b.SetOperation(i, Stopped)
}

// Admin is what administrators want of the server.
func (s *Server) Admin() Admin { return Admin(s.admin.Load()) }

// Operation is how the server works; in maintenance it does not.
func (s *Server) Operation() Operation {
	if !s.Enabled() {
		return Stopped
	}
	return Operation(s.operation.Load())
}

// Enabled reports whether the server is not in maintenance.
func (s *Server) Enabled() bool { return s.Admin()&Maint == 0 }

// SetSince makes the last change one that another process saw, so long ago.
func (s *Server) SetSince(ago time.Duration) { s.history.changed.Store(int64(time.Since(epoch) - ago)) }

func (b *Backend) change(i int, set func(*Server)) (requeued int) {
	b.control.Lock()
	defer b.control.Unlock()
	s := b.Server(i)
	wasUp, wasUsable, wasDraining := s.Up(), s.Usable(), s.draining()
	set(s)
	up := s.Operation() != Stopped
	s.up.Store(up)
	s.weight.Store(b.weigh(s))
	if up != wasUp || s.draining() != wasDraining {
		s.history.change(wasUp, up)
	}
	switch {
	case up == wasUp && s.Usable() == wasUsable:
		return 0
	case up && !wasUp, s.Usable() && !wasUsable:
		b.publish()
		requeued = b.serve(int32(i))
		b.serveAll()
		return requeued
	}
	b.publish()
	requeued = b.expel(int32(i))
	if len(b.table.Load().group) == 0 {
		requeued += b.expel(None)
	}
	b.serveAll()
	return requeued
}

// draining reports whether the server takes no new sessions, whatever its weight.
func (s *Server) draining() bool { return s.Admin()&Drain != 0 || s.Operation() == Stopping }

// weigh is the weight that the tables work with.
func (b *Backend) weigh(s *Server) int32 {
	if s.draining() {
		return 0
	}
	return int32(b.effective(s, s.Weight()))
}

// Throttle lets a server have percent of its maxconn and, unless the algorithm is static, of its weight, as far as its
// sixteenths go; at least the smallest of both. 100 ends it.
func (b *Backend) Throttle(i, percent int) {
	b.control.Lock()
	defer b.control.Unlock()
	s := b.Server(i)
	s.share.Store(int32(percent))
	scale := min(balance.WeightScale*percent/100+1, balance.WeightScale)
	if scale == int(s.scale.Load()) {
		b.serveAll()
		return
	}
	s.scale.Store(int32(scale))
	s.weight.Store(b.weigh(s))
	b.publish()
	b.serveAll()
}

// Share is the weight that the server has while it starts slowly, in the units of the weight set and rounded up, and what
// percentage of that its effective weight is, in HAProxy's way of rounding.
func (b *Backend) Share(i int) (weight, percent int) {
	s := b.Server(i)
	weight, percent = s.Weight(), 100
	if !b.Static() && weight > 0 {
		effective := weight * int(s.scale.Load())
		percent = (100*effective + balance.WeightScale - 1) / (balance.WeightScale * weight)
		weight = (effective + balance.WeightScale - 1) / balance.WeightScale
	}
	return weight, percent
}

// Throttled is the percentage given to Throttle.
func (s *Server) Throttled() int { return int(s.share.Load()) }
