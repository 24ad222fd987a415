package session

import (
	"github.com/penstock/penstock/internal/backend"
	"github.com/penstock/penstock/netio"
)

// end finishes a session: what it holds goes back, the line is written, the sockets are closed and the
// slot is free for the next connection.
func (t *Table) end(id uint32, s *Session) {
	p := t.Proxies[s.fe]
	l := t.listener(s)
	if s.state == stateQueued && s.ticket != (backend.Ticket{}) {
		be := t.Proxies[s.be].Backend
		place := be.QueuePos(s.ticket)
		be.Cancel(s.ticket) // when it comes too late, the grant finds the slot's next life and goes back
		s.leftQueue(place)
		s.queueMs = t.sinceAccept(s)
	}
	others := 0 // on the server, before the slot goes to one that waits
	if s.be >= 0 {
		be := t.Proxies[s.be]
		if s.srv >= 0 {
			others = be.Backend.Server(int(s.srv)).Served()
		}
		if s.flags&slotHeld != 0 {
			others--
		}
		t.releaseSlot(be, s)
		if s.flags&beCounted != 0 {
			be.BeConns.Add(-1)
		}
	}
	t.countEnd(s)
	if s.flags&logged == 0 {
		t.log(s, false, others)
	}
	t.freePending(&s.flow[client])
	t.freePending(&s.flow[server])
	t.closeSides(p, s)

	t.timers.Cancel(id)
	t.ready.Remove(id)
	if s.flags&stays != 0 {
		t.staying--
	}
	s.state = stateFree
	t.slots.Free(id)
	t.live.Add(-1)
	t.giveLimits(p, l)
}

// closeSides closes both sockets. A session that ended by a reset resets the side that survived; a side
// that has not yet taken all that was sent to it gets its bytes and a FIN instead.
func (t *Table) closeSides(p *Proxy, s *Session) {
	noLinger := [2]bool{client: p.NoLinger}
	if s.be >= 0 {
		noLinger[server] = t.Proxies[s.be].NoLingerServer || s.state == stateConnecting
	}
	for d := range s.side {
		sd := &s.side[d]
		if sd.fd < 0 {
			continue
		}
		fd := int(sd.fd)
		switch {
		case noLinger[d]:
			netio.SetLinger0(fd)
		case s.flags&resetSides == 0 || sd.flags&broken != 0:
		case netio.Unsent(fd) == 0:
			netio.SetLinger0(fd)
		default:
			t.discard(fd)
		}
		netio.Close(fd)
	}
}

// discard reads away what a side has sent. The kernel answers the close of a socket that holds unread
// bytes with a reset, and drops what was still to be sent.
func (t *Table) discard(fd int) {
	for range discardReads {
		if n, e := netio.Recv(fd, t.shared); e != 0 || n <= 0 {
			return
		}
	}
}

// discardReads bounds the work for a side that sends faster than it is read.
const discardReads = 64
