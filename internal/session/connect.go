package session

import (
	"github.com/penstock/penstock/internal/backend"
	"github.com/penstock/penstock/internal/balance"
	"github.com/penstock/penstock/netio"
	"github.com/penstock/penstock/sched"
)

// turnaroundMs is the longest wait before the same server is tried again after it refused.
const turnaroundMs = 1000

// assign chooses a server and connects, or queues. It reports whether the session still lives.
func (t *Table) assign(id uint32, s *Session) bool {
	if s.be < 0 {
		s.fail('S')
		t.end(id, s)
		return false
	}
	be := t.Proxies[s.be]
	srv, verdict := be.Backend.Assign(backend.Request{
		Hash: balance.Fold(s.peer.AddrPort().Addr()), Rand: t.random(), Avoid: s.avoid,
	})
	if srv >= 0 {
		if srv != s.srv {
			be.Backend.Server(int(srv)).Choose()
		}
		t.turn(be, s, srv)
	}
	switch verdict {
	case backend.Assigned:
		t.granted(be, s)
		return t.dial(id, s)
	case backend.Queue:
		return t.enqueue(id, s, be, srv)
	case backend.QueueFull:
		be.Backend.Server(int(srv)).ConnError()
		s.state = stateQueued
	}
	s.fail('S')
	t.end(id, s)
	return false
}

// turn notes the server that the session goes to. A move away from the one before is a redispatch.
func (t *Table) turn(be *Proxy, s *Session, srv int32) {
	switch {
	case s.srv < 0:
	case s.srv == srv:
		be.Backend.Server(int(srv)).Retry()
	default:
		s.flags |= redispatched
		be.Backend.Server(int(s.srv)).Redispatch()
	}
	s.srv = srv
}

// granted notes that a slot of the session's server is its own.
func (t *Table) granted(be *Proxy, s *Session) {
	s.flags |= slotHeld
	be.at(s.srv).Assigned.Note(t.Clock.MonoNs(), be.Backend.Server(int(s.srv)).CumSessions())
	if s.queueMs < 0 {
		s.queueMs = t.sinceAccept(s)
	}
}

func (t *Table) sinceAccept(s *Session) int32 { return int32((t.Clock.MonoNs() - s.acceptNs) / 1e6) }

func (t *Table) enqueue(id uint32, s *Session, be *Proxy, srv int32) bool {
	s.state = stateQueued
	ticket, granted, _ := be.Backend.Enqueue(backend.Waiter{Worker: t.Worker, Slot: id, Gen: t.slots.Gen(id)}, srv)
	switch {
	case granted >= 0:
		if srv < 0 {
			t.turn(be, s, granted)
		}
		t.granted(be, s)
		return t.dial(id, s)
	case granted == backend.Reassign:
		return t.assign(id, s)
	}
	s.ticket, s.queuedOn = ticket, srv
	s.deadline = t.after(be.QueueMs)
	t.timers.Cancel(id)
	t.arm(id, s)
	return true
}

// leftQueue adds a position to the one that the log shows: the session's own server's queue or the backend's.
func (s *Session) leftQueue(place int32) {
	if s.queuedOn >= 0 {
		s.serverQueue += uint32(place)
	} else {
		s.backendQueue += uint32(place)
	}
	s.ticket = backend.Ticket{}
}

// Grant is the answer to a waiting session: the slot of a server, or backend.Reassign. A slot for a
// session that is gone goes back.
func (t *Table) Grant(w backend.Waiter, be, srv int32) {
	s := t.slots.At(w.Slot)
	p := t.Proxies[be]
	alive := t.slots.Gen(w.Slot) == w.Gen && s.state == stateQueued
	if alive {
		s.leftQueue(w.Place)
	}
	switch {
	case alive && srv == backend.Reassign:
		s.state = stateConnecting // it waits no more, also when no server is left
		t.assign(w.Slot, s)
	case alive:
		if s.queuedOn < 0 {
			t.turn(p, s, srv)
		}
		s.srv = srv // which Forget may have taken from it
		t.granted(p, s)
		t.dial(w.Slot, s)
	case srv >= 0:
		p.Backend.Release(srv)
	}
}

// dial opens the server's socket and starts to connect. It reports whether the session still lives.
func (t *Table) dial(id uint32, s *Session) bool {
	be := t.Proxies[s.be]
	srv := be.at(s.srv)
	s.state = stateConnecting
	s.flags &^= timedOut | noResource
	d := srv.Destination()
	to := &d.Addr
	if d.FollowPort || d.Transparent {
		if !t.followClient(s, d) {
			return t.connectFailed(id, s)
		}
		to = &t.sa
	}
	fd, e := netio.Socket(to.Family())
	if e != 0 {
		t.complain(be, e)
		s.flags |= noResource
		return t.connectFailed(id, s)
	}
	s.side[server] = side{fd: int32(fd), flags: watched}
	s.attempt++
	if to.Family() != netio.FamilyUnix {
		_ = srv.Options.Apply(fd) // an option that this kernel refuses was reported at start; the connection works without
	}
	if srv.HasSource || srv.Interface != "" {
		if e := bindSource(fd, srv); e != 0 {
			t.complain(be, e)
			s.flags |= noResource
			return t.connectFailed(id, s)
		}
	}
	if e := netio.Connect(fd, to); e != 0 && e != netio.EINPROGRESS {
		if e == netio.EADDRNOTAVAIL || e == netio.EAGAIN || e == netio.ENOBUFS || e == netio.ENOMEM {
			t.complain(be, e)
			s.flags |= noResource
		}
		return t.connectFailed(id, s)
	}
	if e := t.Epoll.Add(fd, sessionEvents, Word(KindServer, id, t.slots.Gen(id), s.attempt)); e != 0 {
		t.complain(be, e)
		s.flags |= noResource
		return t.connectFailed(id, s)
	}
	t.attempted(be, s.srv)
	s.deadline = t.after(be.ConnectMs)
	t.arm(id, s)
	return true
}

// followClient leaves in t.sa the server's address with the client's destination port, or the client's
// whole original destination.
func (t *Table) followClient(s *Session, d *Destination) bool {
	var local netio.Sockaddr
	if netio.LocalAddr(int(s.side[client].fd), &local) != 0 || local.Family() == netio.FamilyUnix {
		return false
	}
	port := int(local.Port())
	t.sa = d.Addr
	if d.Transparent {
		t.sa = local
	}
	if d.FollowPort {
		port += d.PortOffset
		if port <= 0 || port > 65535 {
			return false
		}
		t.sa.SetPort(uint16(port))
	} else if d.Transparent && d.Addr.Port() != 0 {
		t.sa.SetPort(d.Addr.Port())
	}
	return true
}

func bindSource(fd int, srv *Server) netio.Errno {
	if srv.Interface != "" {
		if netio.BindToDevice(fd, srv.Interface) != nil {
			return netio.EPERM
		}
	}
	if !srv.HasSource {
		return 0
	}
	src := srv.Source
	if srv.SourceLow == 0 {
		if src.Family() != netio.FamilyUnix {
			_ = netio.SetBindNoPort(fd) // older kernels choose the port at bind time, which only costs ports
		}
		return netio.Bind(fd, &src)
	}
	_ = netio.SetReuseAddr(fd)
	span := uint32(srv.SourceHigh-srv.SourceLow) + 1
	for range min(span, 64) {
		src.SetPort(srv.SourceLow + uint16(srv.SourceNext.Add(1)%span))
		if e := netio.Bind(fd, &src); e != netio.EADDRINUSE {
			return e
		}
	}
	return netio.EADDRINUSE
}

// established begins the relay.
func (t *Table) established(id uint32, s *Session, events uint32) {
	p := t.Proxies[s.fe]
	s.state = stateRelay
	s.connectMs = t.sinceAccept(s)
	t.Proxies[s.be].Backend.Connected(s.srv)
	now := t.Clock.Now()
	sv := &s.side[server]
	sv.flags = writable | watched
	sv.last = now
	s.side[client].last = now
	if events&netio.Readable != 0 {
		sv.flags |= readable
	}
	if events&netio.PeerClosed != 0 {
		sv.flags |= readable | peerClosed
	}
	if events&netio.Urgent != 0 {
		s.sentUrgent(server)
	}
	if p.LogASAP {
		t.log(s, true, t.Proxies[s.be].Backend.Server(int(s.srv)).Served())
	}
	t.timers.Cancel(id)
	t.arm(id, s)
	t.relay(id, s)
}

// connectFailed closes the failed socket and retries, here or elsewhere, or ends the session. It
// reports whether the session still lives.
func (t *Table) connectFailed(id uint32, s *Session) bool {
	be := t.Proxies[s.be]
	t.closeServer(s)
	if s.flags&noResource == 0 {
		be.Backend.ConnectFailed(s.srv)
	}
	if s.flags&clientFin != 0 {
		s.fail('C')
		t.end(id, s)
		return false
	}
	if int(s.retries) >= be.Retries {
		be.Backend.Server(int(s.srv)).ConnError()
		switch {
		case s.flags&noResource != 0:
			s.fail('R')
		case s.flags&timedOut != 0:
			s.fail('s')
		default:
			s.fail('S')
		}
		t.end(id, s)
		return false
	}
	s.retries++
	if t.mayRedispatch(be, s) {
		t.releaseSlot(be, s)
		s.avoid = s.srv
		return t.assign(id, s)
	}
	be.Backend.Server(int(s.srv)).Retry()
	if s.flags&timedOut != 0 {
		return t.dial(id, s)
	}
	s.state = stateTurnaround
	wait := uint32(turnaroundMs)
	if be.ConnectMs > 0 {
		wait = min(wait, be.ConnectMs)
	}
	s.deadline = t.after(wait)
	t.timers.Cancel(id)
	t.arm(id, s)
	return true
}

// mayRedispatch decides whether this retry may go to another server. Without a hash there is no reason
// to insist on the one that failed, as long as another is active; otherwise the interval says which
// retries move: the Nth from the start, or from the end when it is negative.
func (t *Table) mayRedispatch(be *Proxy, s *Session) bool {
	if !be.Redispatch {
		return false
	}
	if !be.Backend.Server(int(s.srv)).Up() {
		return true
	}
	if active, _, _ := be.Backend.Members(); active > 1 && !be.Backend.Hashes() {
		return true
	}
	n := be.RedispatchInterval
	if n < 0 {
		n += be.Retries + 1
	}
	return n > 0 && int(s.retries)%n == 0
}

func (t *Table) closeServer(s *Session) {
	if fd := s.side[server].fd; fd >= 0 {
		netio.Close(int(fd))
		s.side[server] = side{fd: -1}
	}
}

func (t *Table) releaseSlot(be *Proxy, s *Session) {
	if s.flags&slotHeld != 0 {
		s.flags &^= slotHeld
		be.Backend.Release(s.srv)
	}
}

// clientEvent looks at the client while there is no server yet. Its bytes stay in the socket: memory is
// spent only on connections that get a server.
func (t *Table) clientEvent(id uint32, s *Session, events uint32) {
	c := &s.side[client]
	if events&(netio.Readable|netio.PeerClosed|netio.Hangup|netio.Failure) != 0 {
		c.flags |= readable
	}
	if events&netio.Urgent != 0 {
		s.sentUrgent(client)
	}
	reset := events&netio.Failure != 0
	if events&netio.PeerClosed == 0 || c.flags&peerClosed != 0 && !(reset && s.state == stateQueued) {
		return
	}
	c.flags |= peerClosed
	be := t.Proxies[s.be]
	silent := false
	if !reset {
		n, e := netio.Peek(int(c.fd), t.shared[:1])
		silent = e == 0 && n == 0
	}
	switch {
	case s.state == stateQueued && reset:
		s.fail('C')
		s.term[1] = 'D'
		t.end(id, s)
	case !silent && !be.AbortOnClose:
		// It has sent something, or it was reset while connecting: the server shall see it.
	case s.state == stateConnecting && !be.AbortOnClose:
		// A FIN with nothing before it may come from a client that only listens. The attempt under way
		// is finished: if it succeeds, the client gets its answer, if not, it is the client who left.
		s.flags |= clientFin
	default:
		s.fail('C')
		t.end(id, s)
	}
}

// after is the date ms milliseconds from now, Never for 0.
func (t *Table) after(ms uint32) sched.Tick { return addMs(t.Clock.Now(), ms) }

// addMs is the first tick at which ms milliseconds have surely gone by since at, which was rounded down.
func addMs(at sched.Tick, ms uint32) sched.Tick {
	if ms == 0 {
		return sched.Never
	}
	if at += sched.Tick(ms) + 1; at == sched.Never {
		at++
	}
	return at
}
