package session

import (
	"github.com/penstock/penstock/netio"
	"github.com/penstock/penstock/sched"
)

// The relay.
//
// Both sockets are registered once, edge-triggered, for both directions, and what the kernel said is
// cached in the sides' flags. A direction is pumped when its source may be readable and its target
// writable:
//
//	flush what waits ──> read one piece ──> write it ──> pass EOF on when nothing waits
//
//   - Never read what cannot be written: no read while bytes wait or the target is full. A session's
//     memory is therefore one buffer or one pipe per direction at most, and usually none, because the
//     shared buffer of the worker is empty again before the call returns.
//   - A short read means that the socket is empty: the next byte raises a new edge. Only a FIN that was
//     announced together with the data does not, nor do bytes behind urgent data, so the read goes on
//     when peerClosed or urgent is set.
//   - One piece a round. A stream that filled the piece goes to the run queue: other sessions get their
//     turn, and meanwhile its next piece grows.
//   - EOF and errors travel behind the data. A reset is passed on as a reset, after the bytes that came
//     before it.

// relay pumps both directions and ends the session when both are done.
func (t *Table) relay(id uint32, s *Session) {
	t.current = id
	before := s.shape()
	again := t.pump(s, client)
	if t.pump(s, server) {
		again = true
	}
	if s.flags&continuous != 0 {
		t.countBytes(s)
	}
	if s.flow[client].done && s.flow[server].done {
		t.end(id, s)
		return
	}
	if again {
		t.ready.Push(id)
	}
	if s.shape() != before {
		t.arm(id, s)
	}
}

// shape is what the timers depend on besides the dates of activity.
func (s *Session) shape() uint16 {
	const timed = atEOF | shutDone
	v := uint16(s.side[client].flags&timed) | uint16(s.side[server].flags&timed)<<8
	if s.side[client].blocked != sched.Never {
		v |= 1
	}
	if s.side[server].blocked != sched.Never {
		v |= 2
	}
	return v
}

// pump moves one piece in the direction that reads from side d, and reports whether there is more to do
// without waiting for an event.
func (t *Table) pump(s *Session, d int) (again bool) {
	f, from, to := &s.flow[d], &s.side[d], &s.side[1-d]
	if f.done {
		return false
	}
	if f.pending() && !t.flush(s, d) {
		return false
	}
	if from.flags&(atEOF|readable) == readable && to.flags&writable != 0 {
		if f.mode == modeSplice || f.mode == modeForceSplice {
			again = t.splice(s, d)
		} else {
			again = t.copy(s, d)
		}
	}
	if from.flags&atEOF != 0 && !f.pending() && !f.done {
		t.passEOF(s, d)
	}
	return again && !f.done
}

// copy moves one piece through the shared buffer.
func (t *Table) copy(s *Session, d int) (again bool) {
	f, from, to := &s.flow[d], &s.side[d], &s.side[1-d]
	for {
		n, e := netio.Recv(int(from.fd), t.shared)
		if n <= 0 || e != 0 {
			t.readEnded(s, d, e)
			return false
		}
		full := n == len(t.shared)
		if n <= smallReadBytes && !s.streams() {
			t.talked = t.Clock.Now()
		}
		if f.mode == modeCopy {
			t.proveStream(f, from, full)
		}
		t.arrived(s, d, n)
		m, e := netio.Send(int(to.fd), t.shared[:n])
		if e != 0 && e != netio.EAGAIN {
			t.writeFailed(s, d)
			return false
		}
		if e != 0 {
			m = 0
		}
		t.sent(s, 1-d, m)
		if m < n {
			f.buf = t.bufs.get()
			f.off, f.end = 0, uint32(copy(t.bufs.at(f.buf), t.shared[m:n]))
			t.full(s, 1-d)
			to.blocked = t.Clock.Now()
		}
		if full {
			return m == n
		}
		if from.flags&(peerClosed|urgent) == 0 {
			from.flags &^= readable
			return false
		}
		if m < n {
			return false
		}
	}
}

// flush writes what waits, and reports whether nothing does any more.
func (t *Table) flush(s *Session, d int) bool {
	f, to := &s.flow[d], &s.side[1-d]
	if to.flags&writable == 0 {
		return false
	}
	if f.pipe != 0 {
		return t.drain(s, d)
	}
	m, e := netio.Send(int(to.fd), t.bufs.at(f.buf)[f.off:f.end])
	if e != 0 && e != netio.EAGAIN {
		t.writeFailed(s, d)
		return false
	}
	if e == 0 {
		f.off += uint32(m)
		t.sent(s, 1-d, m)
	}
	if f.off < f.end {
		t.full(s, 1-d)
		if e == 0 {
			to.blocked = t.Clock.Now()
		}
		return false
	}
	t.bufs.put(f.buf)
	f.buf = 0
	t.unblocked(s, 1-d)
	return true
}

// full notes that side d takes nothing more for now, and sees to it that epoll tells when it does. The
// change of a registration looks at the socket anew, so room that came meanwhile is reported too.
func (t *Table) full(s *Session, d int) {
	sd := &s.side[d]
	if sd.flags&watched == 0 {
		if t.Epoll.Mod(int(sd.fd), sessionEvents, Word(KindClient, t.current, t.slots.Gen(t.current), 0)) != 0 {
			t.ready.Push(t.current) // without a report, the next round tries
			return
		}
		sd.flags |= watched
	}
	sd.flags &^= writable
}

// unblocked notes that side d took all that waited for it. Nothing was read from the other side
// meanwhile, so its clock starts anew.
func (t *Table) unblocked(s *Session, d int) {
	if s.side[d].blocked != sched.Never {
		s.side[d].blocked = sched.Never
		s.side[1-d].last = t.Clock.Now()
	}
}

// arrived counts bytes read from side d; they keep that side alive.
func (t *Table) arrived(s *Session, d, n int) {
	s.flow[d].bytes += uint64(n)
	s.side[d].last = t.Clock.Now()
}

// sent counts bytes written to side d; they keep it alive too, unless its streams are independent.
func (t *Table) sent(s *Session, d, n int) {
	if n <= 0 {
		return
	}
	t.bytesOut.Store(t.bytesOut.Load() + uint64(n))
	if s.flags&(independent<<d) == 0 {
		s.side[d].last = t.Clock.Now()
	}
}

// readEnded handles a read that gave no byte: the socket is empty (EAGAIN), at its end, or broken.
func (t *Table) readEnded(s *Session, d int, e netio.Errno) {
	from := &s.side[d]
	switch e {
	case netio.EAGAIN:
		from.flags &^= readable
		return
	case netio.EINTR: // nothing is known, and no edge will follow
		t.ready.Push(t.current)
		return
	case 0:
		from.flags |= atEOF
		return
	}
	s.fail(causeOf(d))
	s.flags |= resetSides
	from.flags |= atEOF | broken
	// Nothing can be written to a broken side: the other direction is dead, unread bytes and all.
	t.drop(s, 1-d)
}

// writeFailed handles a refused write to the side that direction d writes to. What that side sent before it
// broke can still be read, so the other direction goes on until it finds the end.
func (t *Table) writeFailed(s *Session, d int) {
	to := &s.side[1-d]
	s.fail(causeOf(1 - d))
	s.flags |= resetSides
	to.flags |= broken
	to.blocked = sched.Never
	if to.flags&atEOF == 0 {
		to.flags |= readable
	}
	t.drop(s, d)
	s.side[d].flags |= atEOF
	t.ready.Push(t.current)
}

func causeOf(d int) byte {
	if d == client {
		return 'C'
	}
	return 'S'
}

// drop gives a direction up, with the bytes that wait in it.
func (t *Table) drop(s *Session, d int) {
	f := &s.flow[d]
	t.freePending(f)
	f.done = true
	s.side[1-d].blocked = sched.Never
}

func (t *Table) freePending(f *flow) {
	if f.buf != 0 {
		t.bufs.put(f.buf)
		f.buf = 0
	}
	if f.pipe != 0 {
		t.pipes.Put(f.pipe)
		f.pipe = 0
	}
}

// passEOF ends a direction whose bytes are all delivered. The FIN is spared when the session ends with it.
func (t *Table) passEOF(s *Session, d int) {
	f, to := &s.flow[d], &s.side[1-d]
	f.done = true
	if s.flow[1-d].done {
		return
	}
	if e := netio.ShutdownWrite(int(to.fd)); e != 0 {
		to.flags |= broken | readable
		t.ready.Push(t.current)
	}
	to.flags |= shutDone
	t.refreshHalfClosed(s)
}

// refreshHalfClosed restarts a side's clock when a timeout of its own begins with the half-close.
func (t *Table) refreshHalfClosed(s *Session) {
	now := t.Clock.Now()
	if t.Proxies[s.fe].ClientFinMs != 0 {
		s.side[client].last = now
	}
	if t.Proxies[s.be].ServerFinMs != 0 {
		s.side[server].last = now
	}
}
