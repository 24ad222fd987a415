package session

import (
	"github.com/penstock/penstock/internal/backend"
	"github.com/penstock/penstock/netio"
)

// end finishes a session: what it holds goes back, the line is written, the sockets are closed and the
// slot is free for the next connection.
func (t *Table) end(id uint32, s *Session) {
	p := t.Proxies[s.fe]
	l := t.Listeners[s.lis]
	if s.state == stateQueued && s.ticket != (backend.Ticket{}) {
		be := t.Proxies[s.be].Backend
		place := be.QueuePos(s.ticket)
		be.Cancel(s.ticket) // when it comes too late, the grant finds the slot's next life and goes back
		s.leftQueue(place)
		s.queueMs = t.sinceAccept(s)
	}
	if s.be >= 0 {
		be := t.Proxies[s.be]
		t.releaseSlot(be, s)
		if s.flags&beCounted != 0 {
			be.BeConns.Add(-1)
		}
	}
	if s.flags&logged == 0 {
		t.log(s, false)
	}
	t.freePending(&s.flow[client])
	t.freePending(&s.flow[server])
	t.closeSides(p, s)

	t.timers.Cancel(id)
	t.ready.Remove(id)
	s.state = stateFree
	t.slots.Free(id)
	t.live.Add(-1)
	t.giveLimits(p, l)
}

// closeSides closes both sockets. A session that ended by a reset resets the side that survived; a client
// that has not yet taken all that was sent to it gets its bytes and a FIN instead.
func (t *Table) closeSides(p *Proxy, s *Session) {
	c, sv := &s.side[client], &s.side[server]
	reset := s.flags&resetSides != 0
	if p.NoLinger || reset && c.flags&broken == 0 && netio.Unsent(int(c.fd)) == 0 {
		netio.SetLinger0(int(c.fd))
	}
	netio.Close(int(c.fd))
	if sv.fd < 0 {
		return
	}
	if s.be >= 0 && t.Proxies[s.be].NoLingerServer || reset && sv.flags&broken == 0 || s.state == stateConnecting {
		netio.SetLinger0(int(sv.fd))
	}
	netio.Close(int(sv.fd))
}
