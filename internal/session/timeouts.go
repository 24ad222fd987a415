package session

import "github.com/penstock/penstock/sched"

// Timeouts.
//
// A session has one node in the worker's timer tree, at or before its nearest expiry. Activity only
// stores a date in the side; when the node comes due the real expiry is computed, and the node moves if
// it lies ahead. It is scheduled anew only when the set of running timeouts changes.
//
// A node that lies a second or more ahead is put at the next multiple of 16 ms. A timeout may so end up
// to 15 ms late, never early, and in return the dates of a million sessions are a few thousand different
// ones, whose places in the tree stay in the cache, and a worker wakes once for many of them.
//
// In the relay each side has one timeout, which bounds two waits: for a byte from that side, as long
// as we would take one, and for that side to take the bytes that wait for it.

// arm makes sure that the timer comes due at the nearest expiry, or as soon after it as coarse allows.
func (t *Table) arm(id uint32, s *Session) {
	if at := t.expiry(s); at != sched.Never {
		t.timers.Schedule(id, coarse(t.Clock.Now(), at))
	}
}

// Nodes from coarseFromMs ahead stand at multiples of coarseMs, a power of two.
const (
	coarseFromMs = 1000
	coarseMs     = 16
)

// coarse is the date of the node for an expiry: the expiry itself or, when it is far enough ahead, the
// next multiple of coarseMs.
func coarse(now, at sched.Tick) sched.Tick {
	if at.Sub(now) < coarseFromMs {
		return at
	}
	at = (at + coarseMs - 1) &^ (coarseMs - 1)
	if at == sched.Never {
		at++
	}
	return at
}

// expiry is the nearest expiry of a session.
func (t *Table) expiry(s *Session) sched.Tick {
	if s.state != stateRelay {
		return s.deadline
	}
	return sched.Earliest(t.sideExpiry(s, client), t.sideExpiry(s, server))
}

func (t *Table) sideExpiry(s *Session, d int) sched.Tick {
	sd := &s.side[d]
	ms := t.sideTimeout(s, d)
	if ms == 0 {
		return sched.Never
	}
	at := sched.Never
	if sd.blocked != sched.Never {
		at = addMs(sd.blocked, ms)
	}
	if sd.flags&atEOF == 0 && !s.flow[d].done && s.side[1-d].blocked == sched.Never {
		at = sched.Earliest(at, addMs(sd.last, ms))
	}
	return at
}

// sideTimeout is the timeout in force for a side: its fin timeout once it is half-closed, else the
// tunnel timeout, else its own.
func (t *Table) sideTimeout(s *Session, d int) uint32 {
	p, be := t.Proxies[s.fe], t.Proxies[s.be]
	own, fin := p.ClientMs, p.ClientFinMs
	if d == server {
		own, fin = be.ServerMs, be.ServerFinMs
	}
	switch {
	case fin != 0 && s.side[d].flags&(atEOF|shutDone) != 0:
		return fin
	case be.TunnelMs != 0:
		return be.TunnelMs
	}
	return own
}

// expire handles a timer that came due.
func (t *Table) expire(id uint32, s *Session) {
	now := t.Clock.Now()
	if at := t.expiry(s); at == sched.Never || now.Before(at) {
		t.arm(id, s)
		return
	}
	switch s.state {
	case stateQueued:
		if s.queuedOn >= 0 {
			t.Proxies[s.be].Backend.Server(int(s.queuedOn)).ConnError()
		}
		s.fail('s')
		t.end(id, s)
	case stateConnecting:
		s.flags |= timedOut
		t.connectFailed(id, s)
	case stateTurnaround:
		t.dial(id, s)
	case stateRelay:
		t.expireRelay(id, s, now)
	}
}

// expireRelay ends the waits that took too long. A side that sent nothing counts as closed: the other
// gets a FIN behind the data and may still answer. A side that takes nothing ends the session. The
// client is looked at first, and both before either is acted upon.
func (t *Table) expireRelay(id uint32, s *Session, now sched.Tick) {
	var due, stuck [2]bool
	for d := range due {
		at := t.sideExpiry(s, d)
		due[d] = at != sched.Never && !now.Before(at)
		since := s.side[d].blocked
		stuck[d] = due[d] && since != sched.Never && !now.Before(addMs(since, t.sideTimeout(s, d)))
	}
	for d := range due {
		if !due[d] {
			continue
		}
		s.fail([2]byte{'c', 's'}[d])
		if stuck[d] {
			s.flags |= resetSides
			t.end(id, s)
			return
		}
		s.side[d].flags |= atEOF
	}
	t.relay(id, s)
	if s.state == stateRelay {
		t.arm(id, s)
	}
}
