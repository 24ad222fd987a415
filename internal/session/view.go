package session

import (
	"time"

	"github.com/penstock/penstock/netio"
	"github.com/penstock/penstock/sched"
)

// Views: what sessions show to those who watch.
//
// A worker that copies views serves nobody meanwhile, so it copies few at a time: ViewSlots slots of its table
// in one call, which is some tens of microseconds, and the watcher goes from call to call with the number of the
// next slot. What is not in the session's record costs a system call, so it is read for those sessions only
// that are shown (Examine). Between two calls sessions come and go: a view may be of one that is gone.

// ViewSlots is the number of slots that one call of Views looks at.
const ViewSlots = 128

// One call of Examine or of Kill takes so many sessions. To end one costs two closes and a log line.
const (
	ExamineMost = 8
	KillMost    = 16
)

// SessionID names one session of the process for as long as it lives. It is never zero.
//
//	 63            44 43         30 29               0
//	┌────────────────┬─────────────┬──────────────────┐
//	│ generation     │ worker + 1  │ slot             │
//	└────────────────┴─────────────┴──────────────────┘
type SessionID uint64

const (
	idWorkerShift = 30
	idWorkerMask  = 1<<14 - 1
	idGenShift    = 44
	idGenMask     = 1<<20 - 1
)

func (t *Table) idOf(slot uint32) SessionID {
	return SessionID(t.slots.Gen(slot)&idGenMask)<<idGenShift | SessionID(t.Worker+1)<<idWorkerShift | SessionID(slot&slotMask)
}

// Worker is the number of the worker that has the session, -1 when there can be none.
func (id SessionID) Worker() int { return int(id>>idWorkerShift&idWorkerMask) - 1 }

// find is the session of an id, nil when it is gone or on its way to another owner.
func (t *Table) find(id SessionID) (uint32, *Session) {
	slot := uint32(id) & slotMask
	if slot >= t.slots.Cap() || t.idOf(slot) != id {
		return 0, nil
	}
	s := t.slots.At(slot)
	if s.state == stateFree || s.state == stateLeaving {
		return 0, nil
	}
	return slot, s
}

// View is a copy of what a session shows. Times are in milliseconds, -1 for none.
type View struct {
	ID       SessionID
	Number   uint64 // of the session in the process, as %rt shows it
	Worker   int
	State    string // queued, connecting, turnaround, relay or leaving
	Accepted time.Time

	Frontend, Backend, Server       string // Backend and Server: "" for none
	FrontendID, BackendID, ServerID int
	Listener                        string
	ListenerID                      int
	Bound                           netio.Addr // what the listener is bound to
	Peer                            netio.Addr
	ServerAddr                      netio.Addr
	SlotHeld                        bool // it counts against the server's maxconn

	AgeMs, IdleMs      int64 // IdleMs: since a byte moved, or since accept
	QueueMs, ConnectMs int64 // accept to server chosen; server chosen to connected
	ExpiresMs          int64 // until the nearest timeout
	Retries            int
	Redispatched       bool
	Term               string // termination code, once something has ended it

	Client, Far SideView
	Up, Down    FlowView // client to server, server to client
}

// SideView is one socket of a session.
type SideView struct {
	FD        int // -1: none; open only as long as the session's worker says so
	Flags     uint16
	ExpiresMs int64
	EOF       bool // nothing more comes from it
	Shut      bool // FIN was sent to it
	Blocked   bool // bytes wait for it

	// Of Examine:
	Local netio.Addr
	TCP   *netio.TCPInfo // nil: not TCP, or not asked
}

// FlowView is one direction of a session.
type FlowView struct {
	Bytes   uint64
	Splice  bool // its bytes go through a pipe
	Waiting int  // bytes read and not yet written
	Done    bool
}

var stateNames = [...]string{stateQueued: "queued", stateConnecting: "connecting", stateTurnaround: "turnaround", stateRelay: "relay", stateLeaving: "leaving"}

// Views appends the views of the sessions in the next ViewSlots slots from a slot on, and returns the slot
// to go on with; 0 is the end.
func (t *Table) Views(out []View, from uint32) (_ []View, next uint32) {
	size := t.slots.Cap()
	if from >= size {
		return out, 0
	}
	next = min(from+ViewSlots, size)
	for id := from; id < next; id++ {
		if s := t.slots.At(id); s.state != stateFree {
			out = append(out, View{})
			t.view(id, s, &out[len(out)-1])
		}
	}
	if next == size {
		next = 0
	}
	return out, next
}

func (t *Table) view(id uint32, s *Session, v *View) {
	now := t.Clock.Now()
	p, l := t.Proxies[s.fe], t.listener(s)
	*v = View{
		ID: t.idOf(id), Number: s.number, Worker: int(t.Worker), State: stateNames[s.state],
		Accepted: time.Unix(0, s.acceptWallNs),
		Frontend: p.Name, FrontendID: p.ID, Listener: l.Name, ListenerID: l.ID, Bound: l.Addr, Peer: s.peer,
		SlotHeld: s.flags&slotHeld != 0,
		AgeMs:    (t.Clock.MonoNs() - s.acceptNs) / 1e6, QueueMs: int64(s.queueMs), ConnectMs: -1, ExpiresMs: -1,
		Retries: int(s.retries), Redispatched: s.flags&redispatched != 0,
		Up: t.viewFlow(&s.flow[client]), Down: t.viewFlow(&s.flow[server]),
		Client: viewSide(&s.side[client]), Far: viewSide(&s.side[server]),
	}
	v.IdleMs = v.AgeMs
	if s.connectMs >= 0 {
		v.ConnectMs = int64(s.connectMs - s.queueMs)
		v.IdleMs = int64(max(min(now.Sub(s.side[client].last), now.Sub(s.side[server].last)), 0))
	}
	if s.term[0] != 0 {
		v.Term = string(s.term[:])
	}
	if s.be >= 0 {
		be := t.Proxies[s.be]
		v.Backend, v.BackendID = be.Name, be.ID
		if s.srv >= 0 {
			v.Server, v.ServerID = be.at(s.srv).Name, be.Backend.Server(int(s.srv)).ID
			v.ServerAddr = be.at(s.srv).Destination().Addr.Addr()
		}
	}
	if s.state == stateLeaving {
		return
	}
	v.ExpiresMs = left(now, t.expiry(s))
	if s.state == stateRelay {
		v.Client.ExpiresMs, v.Far.ExpiresMs = left(now, t.sideExpiry(s, client)), left(now, t.sideExpiry(s, server))
	}
}

// left is the time until a date.
func left(now, at sched.Tick) int64 {
	if at == sched.Never {
		return -1
	}
	return int64(max(at.Sub(now), 0))
}

func viewSide(sd *side) SideView {
	return SideView{
		FD: int(sd.fd), Flags: sd.flags, ExpiresMs: -1,
		EOF: sd.flags&atEOF != 0, Shut: sd.flags&shutDone != 0, Blocked: sd.blocked != sched.Never,
	}
}

func (t *Table) viewFlow(f *flow) FlowView {
	v := FlowView{Bytes: f.bytes, Splice: f.mode == modeSplice || f.mode == modeForceSplice, Done: f.done}
	if f.buf != 0 {
		v.Waiting = int(f.end - f.off)
	}
	if f.pipe != 0 {
		v.Waiting = int(t.pipes.At(f.pipe).Data)
	}
	return v
}

// Examine adds to views of this table what only the kernel knows, for those sessions that are still there. They are
// ExamineMost at most.
func (t *Table) Examine(views []View) {
	for i := range views[:min(len(views), ExamineMost)] {
		v := &views[i]
		_, s := t.find(v.ID)
		if s == nil {
			continue
		}
		examineSide(&v.Client, &s.side[client])
		examineSide(&v.Far, &s.side[server])
	}
}

func examineSide(v *SideView, sd *side) {
	if sd.fd < 0 {
		return
	}
	v.Local = localAddr(sd.fd)
	if info, e := netio.ReadTCPInfo(int(sd.fd)); e == 0 {
		v.TCP = &info
	}
}

// ViewOf is the view of one session.
func (t *Table) ViewOf(id SessionID) (v View, found bool) {
	slot, s := t.find(id)
	if s == nil {
		return v, false
	}
	t.view(slot, s, &v)
	return v, true
}

// Kill ends sessions on an operator's order and returns how many of them were still there. They are KillMost at most.
func (t *Table) Kill(ids []SessionID) (killed int) {
	for _, id := range ids[:min(len(ids), KillMost)] {
		slot, s := t.find(id)
		if s == nil {
			continue
		}
		if s.term[0] == 0 {
			s.term = [2]byte{'K', 'C'}
		}
		t.end(slot, s)
		killed++
	}
	return killed
}
