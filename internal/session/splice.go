package session

import (
	"github.com/penstock/penstock/netio"
	"github.com/penstock/penstock/sched"
)

// Splice.
//
// A direction starts by copying: below 16 KiB per read a pipe never wins. A stream proves itself by
// three reads in a row that filled the buffer, and calms down by three moves in a row below 8 KiB or by
// a pause. The pipe is held only while bytes lie in it.
//
// What the kernel does, and what follows from it:
//   - EAGAIN from socket to pipe means "socket empty" or "pipe full", and a full pipe hides EOF as well
//     (tcp_splice_read). So the pipe is always emptied first, and EAGAIN counts only on an empty one.
//   - From pipe to socket the length is exactly what the pipe holds: asking for more makes the kernel
//     believe that more follows when the pipe held 16 fragments, and it delays the tail by 200 ms
//     (splice_to_socket sets MSG_MORE, since 6.5).

const (
	fullReadsToSplice = 3
	smallMovesToCopy  = 3
	smallMoveBytes    = 8 << 10
)

// proveStream counts full reads and switches to splice after enough of them.
func (t *Table) proveStream(f *flow, from *side, full bool) {
	paused := t.Clock.Now().Sub(from.last) >= int32(t.IdleMs)
	if !full || paused {
		f.streak = 0
	}
	if paused {
		f.heavy = false
	}
	if full {
		if f.streak++; f.streak >= fullReadsToSplice {
			f.mode, f.streak = modeSplice, 0
		}
	}
}

// splice moves one piece through a pipe.
func (t *Table) splice(s *Session, d int) (again bool) {
	f, from := &s.flow[d], &s.side[d]
	if f.mode == modeSplice && t.Clock.Now().Sub(from.last) >= int32(t.IdleMs) {
		f.mode, f.streak, f.heavy = modeCopy, 0, false
		return t.copy(s, d)
	}
	h := t.pipes.Get()
	if h == 0 {
		return t.copy(s, d)
	}
	p := t.pipes.At(h)
	n, e := netio.Splice(int(from.fd), int(p.W), t.pieceBytes())
	if n <= 0 || e != 0 {
		t.pipes.Put(h)
		switch e {
		case netio.EINVAL:
			f.mode = modeCopyOnly
			return t.copy(s, d)
		case 0: // the end, or urgent data: a read tells
			return t.copy(s, d)
		}
		t.readEnded(s, d, e)
		return false
	}
	p.Data = int32(n)
	f.pipe = h
	f.heavy = f.heavy || n >= politeRoundBytes/2
	if f.mode == modeSplice {
		t.calmStream(f, n)
	}
	t.arrived(s, d, n)
	return t.drain(s, d)
}

// pieceBytes is what one splice may move.
func (t *Table) pieceBytes() int {
	if t.polite() {
		return min(politePieceBytes, t.pipes.Size())
	}
	return t.pipes.Size()
}

func (t *Table) calmStream(f *flow, n int) {
	if n >= smallMoveBytes {
		f.streak = 0
		return
	}
	if f.streak++; f.streak >= smallMovesToCopy {
		f.mode, f.streak = modeCopy, 0
	}
}

// drain empties the pipe into the target, and reports whether it is empty. Only EAGAIN says that the
// target is full: a splice also stops short when a signal is pending, and no edge would follow that.
func (t *Table) drain(s *Session, d int) bool {
	f, to := &s.flow[d], &s.side[1-d]
	p := t.pipes.At(f.pipe)
	for moved := false; p.Data > 0; moved = true {
		m, e := netio.Splice(int(p.R), int(to.fd), int(p.Data))
		switch e {
		case 0:
			p.Data -= int32(m)
			t.sent(s, 1-d, m)
			t.splicedOut.Store(t.splicedOut.Load() + uint64(m))
		case netio.EINTR:
		case netio.EAGAIN:
			t.full(s, 1-d)
			if moved || to.blocked == sched.Never {
				to.blocked = t.Clock.Now()
			}
			return false
		default:
			t.writeFailed(s, d)
			return false
		}
	}
	t.pipes.Put(f.pipe)
	f.pipe = 0
	t.unblocked(s, 1-d)
	return true
}
