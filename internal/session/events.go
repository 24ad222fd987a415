package session

import (
	"github.com/penstock/penstock/netio"
	"github.com/penstock/penstock/sched"
)

// sessionEvents is what the sockets of sessions are registered for. A client is registered without
// netio.Writable first, because that would be reported at once, and most clients take all that is ever
// sent to them; see full.
const sessionEvents = netio.Readable | netio.Writable | netio.PeerClosed | netio.Urgent | netio.Edge

// Event handles a readiness report of one side of a session. Reports of a slot's earlier life, or of a
// server socket that was replaced, are recognised by their word and dropped.
func (t *Table) Event(word uint64, events uint32) {
	id := WordSlot(word)
	s := t.slots.At(id)
	d, attempt := client, uint8(0)
	if WordKind(word) == KindServer {
		d, attempt = server, s.attempt
	}
	if s.state == stateFree || s.state == stateLeaving || Word(WordKind(word), id, t.slots.Gen(id), attempt) != word {
		return
	}
	if s.state != stateRelay {
		if d == client {
			t.clientEvent(id, s, events)
		} else if s.state == stateConnecting {
			t.connectEvent(id, s, events)
		}
		return
	}
	sd := &s.side[d]
	if events&netio.Urgent != 0 {
		s.sentUrgent(d)
	}
	if events&(netio.Readable|netio.PeerClosed|netio.Hangup|netio.Failure) != 0 {
		sd.flags |= readable
	}
	if events&(netio.PeerClosed|netio.Hangup|netio.Failure) != 0 {
		sd.flags |= peerClosed
	}
	if events&(netio.Writable|netio.Hangup|netio.Failure) != 0 {
		sd.flags |= writable
	}
	if events&netio.Failure != 0 && sd.flags&atEOF != 0 && !s.flow[1-d].done {
		// No read will find this reset, and a write perhaps never comes.
		t.current = id
		t.writeFailed(s, 1-d)
	}
	if t.polite() && s.streams() {
		t.ready.Push(id)
		return
	}
	t.relay(id, s)
}

// sentUrgent makes the direction that reads from side d copy, and read until nothing is left: urgent
// data does not end the stream, but every call that reads it. The urgent byte itself is lost.
func (s *Session) sentUrgent(d int) {
	s.flow[d].mode = modeCopyOnly
	s.side[d].flags |= urgent
}

// connectEvent handles the report that a connection attempt is decided.
func (t *Table) connectEvent(id uint32, s *Session, events uint32) {
	if events&(netio.Failure|netio.Hangup) != 0 {
		if e := netio.SocketError(int(s.side[server].fd)); e != 0 {
			t.connectFailed(id, s)
			return
		}
	}
	if events&netio.Writable != 0 {
		t.established(id, s, events)
	}
}

// Streams beside conversations.
//
// A chunk of a stream takes 100 µs, and a conversation on the same worker waits for it. Among themselves
// streams are served in the order of their events, a full pipe at a time, which costs the least. For
// politeMs after a small read of a session that is no stream they are served one at a time from the run
// queue, with a look for events after each chunk, and the chunks are smaller: a conversation waits for
// one small chunk at most, not for a large one of every stream.
const (
	politeMs         = 20
	politeRoundBytes = 64 << 10  // what the run queue may move before the next look
	politePieceBytes = 128 << 10 // what a stream may move at once
	smallReadBytes   = 4 << 10
)

// streams reports whether a session is a stream. One that copies for a moment, because little came, still is.
func (s *Session) streams() bool {
	for d := range s.flow {
		if f := &s.flow[d]; f.mode == modeSplice || f.heavy {
			return true
		}
	}
	return false
}

// polite reports whether there was talk lately.
func (t *Table) polite() bool { return t.Clock.Now().Sub(t.talked) < politeMs }

// Run begins a round of the loop and gives sessions in the run queue their turn; those that want another,
// and beside conversations those that come too late, wait for a later Run.
func (t *Table) Run() {
	t.round++
	if v := uint64(t.pipes.Lent())<<32 | uint64(t.pipes.Idle()); v != t.pipesSeen {
		t.pipesSeen = v
		t.pipeCounts.Store(v)
	}
	before, polite := t.bytesOut.Load(), t.polite()
	for range t.ready.Len() {
		if polite && t.bytesOut.Load()-before >= politeRoundBytes {
			return
		}
		id, ok := t.ready.Pop()
		if !ok {
			return
		}
		if s := t.slots.At(id); s.state == stateRelay {
			t.relay(id, s)
		}
	}
}

// Runnable reports whether sessions wait in the run queue.
func (t *Table) Runnable() bool { return t.ready.Len() > 0 }

// Expire handles all timers that are due.
func (t *Table) Expire() {
	now := t.Clock.Now()
	for {
		id, ok := t.timers.Expire(now)
		if !ok {
			return
		}
		if s := t.slots.At(id); s.state != stateFree {
			t.expire(id, s)
		}
	}
}

// NextExpiry is the date of the next timer, if there is one.
func (t *Table) NextExpiry() (sched.Tick, bool) { return t.timers.Next() }

// KillAll ends every session, as a hard stop does; those that are leaving end if they come back.
func (t *Table) KillAll() {
	t.killing = true
	for id := range t.slots.Cap() {
		if s := t.slots.At(id); s.state != stateFree && s.state != stateLeaving {
			if s.term[0] == 0 {
				s.term = [2]byte{'K', 'C'}
			}
			t.end(id, s)
		}
	}
}

// Close ends what is left without a word, for a process that leaves, and closes the pipes.
func (t *Table) Close() {
	for id := range t.slots.Cap() {
		s := t.slots.At(id)
		switch s.state {
		case stateFree:
		case stateLeaving:
			t.Release(Leaving{id, t.slots.Gen(id)})
		default:
			s.flags |= logged
			t.end(id, s)
		}
	}
	t.pipes.Close()
}
