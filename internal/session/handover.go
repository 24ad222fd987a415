package session

import (
	"net/netip"
	"strconv"

	"github.com/penstock/penstock/netio"
	"github.com/penstock/penstock/sched"
)

// Handover: sessions that change their owner.
//
//	        Freeze              the new owner has it
//	relay ─────────> leaving ───────────────────────> free      Release: nothing is logged
//	  ^                 │ │
//	  └──── Restore ────┘ └── who has it is unknown ─> free      Lose: a log line, code ID
//
// A session that leaves is at rest: its sockets are out of epoll, no timer runs, and what it has read and
// not yet written lies in its buffer or its pipe. Nothing touches it until its fate is known, so that two
// processes that hold the same sockets never both use them.
//
// The sockets are shared with the new owner from the moment they are sent. So this side only ever closes its
// descriptors: a shutdown or a linger option would act on the other's connection.

// clockZero is the zero of this process's clocks in the time of CLOCK_MONOTONIC, which all processes share. It is
// found once: what a session's dates would lose at each move is how old the reading of the table's clock is.
var clockZero = netio.MonotonicNs() - sched.NewClock().MonoNs()

// Leaving is a session on its way to another owner, by its place in the table.
type Leaving struct {
	Slot, Gen uint32
}

// Freeze takes up to n sessions out of service and appends their snapshots. Of the others, later may still be moved:
// those that wait for a server or are connecting first come into the relay. The rest was restored
// since the last Offer.
func (t *Table) Freeze(out []Snapshot, n int) (_ []Snapshot, later, never int) {
	size := t.slots.Cap()
	for range size {
		if n == 0 {
			break
		}
		if t.freezeAt++; t.freezeAt >= size {
			t.freezeAt = 0
		}
		id := t.freezeAt
		s := t.slots.At(id)
		if s.state != stateRelay || s.flags&stays != 0 {
			continue
		}
		out = append(out, Snapshot{})
		t.freeze(id, s, &out[len(out)-1])
		n--
	}
	return out, int(t.live.Load()) - t.leaving - t.staying, t.staying
}

func (t *Table) freeze(id uint32, s *Session, sn *Snapshot) {
	t.Epoll.Del(int(s.side[client].fd))
	t.Epoll.Del(int(s.side[server].fd))
	t.timers.Cancel(id)
	t.ready.Remove(id)
	s.state = stateLeaving
	t.leaving++

	p, be := t.Proxies[s.fe], t.Proxies[s.be]
	l := t.listener(s)
	*sn = Snapshot{
		Worker: int(t.Worker), Slot: id, Gen: t.slots.Gen(id),
		Frontend: p.Name, Backend: be.Name, Server: be.at(s.srv).Name,
		Bound: l.Addr.AddrPort(), Listener: l.ID,
		Client: t.freezeSide(&s.side[client]), Far: t.freezeSide(&s.side[server]),
		Up: t.freezeFlow(&s.flow[client]), Down: t.freezeFlow(&s.flow[server]),
		Peer: zoned(&s.peer), Number: s.number,
		AcceptWallNs: s.acceptWallNs, AcceptNs: clockZero + s.acceptNs, QueueMs: s.queueMs, ConnectMs: s.connectMs,
		Retries: s.retries, ServerQueue: s.serverQueue, BackendQueue: s.backendQueue,
		Redispatched: s.flags&redispatched != 0, Logged: s.flags&logged != 0, ResetSides: s.flags&resetSides != 0,
	}
	if s.term[0] != 0 {
		sn.Term = string(s.term[:])
	}
}

// zoned is an address with its interface index as the zone, which netip keeps as text.
func zoned(a *netio.Addr) netip.AddrPort {
	ap := a.AddrPort()
	if a.Zone != 0 {
		ap = netip.AddrPortFrom(ap.Addr().WithZone(strconv.Itoa(int(a.Zone))), ap.Port())
	}
	return ap
}

func (t *Table) freezeSide(sd *side) SideSnapshot {
	now := t.Clock.Now()
	sn := SideSnapshot{
		FD: int(sd.fd), IdleMs: uint32(max(now.Sub(sd.last), 0)),
		AtEOF: sd.flags&atEOF != 0, PeerClosed: sd.flags&peerClosed != 0, ShutDone: sd.flags&shutDone != 0,
		Broken: sd.flags&broken != 0, Urgent: sd.flags&urgent != 0,
	}
	if sd.blocked != sched.Never {
		sn.Blocked, sn.BlockedMs = true, uint32(max(now.Sub(sd.blocked), 0))
	}
	return sn
}

func (t *Table) freezeFlow(f *flow) FlowSnapshot {
	sn := FlowSnapshot{
		Bytes: f.bytes, Done: f.done, CopyOnly: f.mode == modeCopyOnly, Stream: f.mode == modeSplice,
		PipeRead: -1, PipeWrite: -1,
	}
	if f.buf != 0 {
		sn.Unsent = append(sn.Unsent, t.bufs.at(f.buf)[f.off:f.end]...)
	}
	if f.pipe != 0 {
		p := t.pipes.At(f.pipe)
		sn.PipeRead, sn.PipeWrite = int(p.R), int(p.W)
	}
	return sn
}

// leavingAt is the session of a snapshot that this table made, if it still waits for its fate.
func (t *Table) leavingAt(l Leaving) *Session {
	if l.Slot >= t.slots.Cap() {
		return nil
	}
	if s := t.slots.At(l.Slot); s.state == stateLeaving && t.slots.Gen(l.Slot) == l.Gen {
		return s
	}
	return nil
}

// Offer begins a handover: sessions that were restored in an earlier one may be frozen again.
func (t *Table) Offer() {
	for id := range t.slots.Cap() {
		t.slots.At(id).flags &^= stays
	}
	t.staying = 0
}

// Restore takes a session back into service.
func (t *Table) Restore(l Leaving) {
	s := t.leavingAt(l)
	if s == nil {
		return
	}
	t.leaving--
	s.state = stateRelay
	if t.killing {
		s.term = [2]byte{'K', 'C'}
		t.end(l.Slot, s)
		return
	}
	s.flags |= stays
	t.staying++
	t.serve(l.Slot, s)
}

// Release lets go of a session that another owner has.
func (t *Table) Release(l Leaving) {
	if s := t.leavingAt(l); s != nil {
		s.flags |= logged
		t.leave(l.Slot, s)
	}
}

// Lose lets go of a session of which nobody knows whether the other owner has it.
func (t *Table) Lose(l Leaving) {
	if s := t.leavingAt(l); s != nil {
		s.term = [2]byte{'I', 'D'}
		t.leave(l.Slot, s)
	}
}

func (t *Table) leave(id uint32, s *Session) {
	for d := range s.side {
		netio.Close(int(s.side[d].fd))
		s.side[d].fd = -1
	}
	t.leaving--
	t.end(id, s)
}

// Place is where a session goes on in this configuration.
type Place struct {
	Frontend, Backend int // in Shared.Proxies
	Server            int32
}

// Adopt goes on with a session of another owner. All its descriptors are the table's from now on, also when
// the session ends at once because epoll does not take it.
func (t *Table) Adopt(sn *Snapshot, at Place) {
	id, s := t.alloc()
	t.live.Add(1)
	p, be := t.Proxies[at.Frontend], t.Proxies[at.Backend]

	s.state = stateRelay
	s.fe, s.be, s.srv, s.avoid = uint16(at.Frontend), int16(at.Backend), at.Server, -1
	s.number = sn.Number
	t.numbered(sn.Number)
	s.acceptWallNs, s.queueMs, s.connectMs = sn.AcceptWallNs, sn.QueueMs, sn.ConnectMs
	s.acceptNs = sn.AcceptNs - clockZero
	s.peer.SetAddrPort(sn.Peer)
	if !sn.Peer.IsValid() {
		s.peer.Family = netio.FamilyUnix
	}
	s.retries, s.serverQueue, s.backendQueue = sn.Retries, sn.ServerQueue, sn.BackendQueue
	copy(s.term[:], sn.Term)
	s.flags = slotHeld | beCounted
	for _, f := range []struct {
		when bool
		flag uint16
	}{
		{sn.Redispatched, redispatched},
		{sn.Logged, logged},
		{sn.ResetSides, resetSides},
		{p.Independent, independent},
		{be.IndependentServer, independentServer},
		{p.ContStats, continuous},
	} {
		if f.when {
			s.flags |= f.flag
		}
	}
	s.lis = t.boundTo(sn, at.Frontend)
	t.Conns.force()
	p.Conns.force()
	if l := t.listener(s); l.Limit != nil {
		l.Limit.force()
	}
	be.joins()
	be.Backend.Adopt(at.Server)

	t.adoptSide(&s.side[client], &sn.Client)
	t.adoptSide(&s.side[server], &sn.Far)
	t.adoptFlow(&s.flow[client], &sn.Up, p.SpliceUp)
	t.adoptFlow(&s.flow[server], &sn.Down, be.SpliceDown)
	s.counted = [2]uint64{sn.Up.Bytes, sn.Down.Bytes} // by the former owner
	t.serve(id, s)
}

// numbered makes sure that no later session of the process gets the number again.
func (t *Table) numbered(n uint64) {
	for old := t.CumReq.Load(); old < n && !t.CumReq.CompareAndSwap(old, n); old = t.CumReq.Load() {
	}
}

// boundTo finds the listener that the session came by, or remembers one that is gone.
func (t *Table) boundTo(sn *Snapshot, fe int) uint32 {
	var addr netio.Addr
	addr.SetAddrPort(sn.Bound)
	same := func(l *Listener) bool {
		return l.Proxy == fe && l.ID == sn.Listener && l.Addr.IP == addr.IP && l.Addr.Port == addr.Port
	}
	for i, l := range t.Listeners {
		if same(l) {
			return uint32(i)
		}
	}
	for i, l := range t.formerListeners {
		if same(l) {
			return uint32(i) | formerListener
		}
	}
	if !sn.Bound.IsValid() {
		addr.Family = netio.FamilyUnix
	}
	wildcard := sn.Bound.IsValid() && sn.Bound.Addr().IsUnspecified()
	t.formerListeners = append(t.formerListeners, &Listener{
		FD: -1, Proxy: fe, ID: sn.Listener, Addr: addr, Wildcard: wildcard, Traffic: new(Traffic),
	})
	return uint32(len(t.formerListeners)-1) | formerListener
}

// formerListener marks the index of a listener that only former owners had.
const formerListener = 1 << 31

// listener is the one that a session came by.
func (t *Table) listener(s *Session) *Listener {
	if s.lis&formerListener != 0 {
		return t.formerListeners[s.lis&^formerListener]
	}
	return t.Listeners[s.lis]
}

func (t *Table) adoptSide(sd *side, sn *SideSnapshot) {
	*sd = side{fd: int32(sn.FD), last: t.ago(sn.IdleMs)}
	if sn.Blocked {
		sd.blocked = t.ago(sn.BlockedMs)
	}
	for _, f := range []struct {
		when bool
		flag uint16
	}{
		{sn.AtEOF, atEOF},
		{sn.PeerClosed, peerClosed},
		{sn.ShutDone, shutDone},
		{sn.Broken, broken},
		{sn.Urgent, urgent},
	} {
		if f.when {
			sd.flags |= f.flag
		}
	}
}

// ago is the date of some milliseconds before now.
func (t *Table) ago(ms uint32) sched.Tick {
	at := t.Clock.Now() - sched.Tick(min(ms, 1<<31-1))
	if at == sched.Never {
		at--
	}
	return at
}

func (t *Table) adoptFlow(f *flow, sn *FlowSnapshot, mode uint8) {
	*f = flow{bytes: sn.Bytes, done: sn.Done, mode: mode}
	switch {
	case sn.CopyOnly:
		f.mode = modeCopyOnly
	case sn.Stream && mode == modeCopy:
		f.mode = modeSplice
	}
	if len(sn.Unsent) > 0 {
		f.buf = t.bufs.hold(sn.Unsent)
		f.end = uint32(len(sn.Unsent))
	}
	if sn.PipeRead >= 0 { // how much lies in the pipe the kernel knows best
		f.pipe = t.pipes.Adopt(netio.Pipe{R: int32(sn.PipeRead), W: int32(sn.PipeWrite), Data: int32(netio.Unread(sn.PipeRead))})
	}
}

// serve registers both sides anew, as ready for all that is still to come of them, and gives the session a turn.
func (t *Table) serve(id uint32, s *Session) {
	for d := range s.side {
		sd := &s.side[d]
		sd.flags |= readable | writable | watched
		if e := t.Epoll.Add(int(sd.fd), sessionEvents, Word(d, id, t.slots.Gen(id), s.attempt*uint8(d))); e != 0 {
			t.complain(t.Proxies[s.fe], e)
			s.fail('R')
			t.end(id, s)
			return
		}
	}
	t.arm(id, s)
	t.ready.Push(id)
}

// KillDeparted ends the sessions whose proxy or server is not in the configuration.
func (t *Table) KillDeparted() {
	for id := range t.slots.Cap() {
		s := t.slots.At(id)
		if s.state == stateFree || s.state == stateLeaving || !t.departed(s) {
			continue
		}
		if s.term[0] == 0 {
			s.term = [2]byte{'K', 'D'}
		}
		t.end(id, s)
	}
}

func (t *Table) departed(s *Session) bool {
	if t.Proxies[s.fe].Departed || s.be >= 0 && t.Proxies[s.be].Departed {
		return true
	}
	return s.be >= 0 && s.srv >= 0 && t.Proxies[s.be].at(s.srv).Departed
}
