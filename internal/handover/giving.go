package handover

import (
	"errors"
	"fmt"
	"os"
	"syscall"
	"time"

	"github.com/penstock/penstock/internal/session"
	"github.com/penstock/penstock/netio"
)

// giving is one handover, as the giver sees it.
//
//	        HELLO          LISTENERS        READY             nothing left
//	start ────────> greeted ────────> shown ──────> drained ───────────────> given
//	  │                │                │            │   ^ │                (Finish)
//	  │                │                │            │   │ │ Next
//	  │                │                │            │   │ v
//	  │                │                │            │  offered   a chunk: BATCH … ACK    broken: Restore
//	  │                │                │            │   ^ │
//	  │                │                │            │   │ v
//	  │                │                │            │  away      COMMIT … TAKEN          broken: Restore, Lost
//	  v                v                v            v     │
//	untouched <────────┴────────────────┘          Resume <┘
//
// Whatever happens in a state, only the arrows that leave it are taken; every one has a deadline, but for drained, where
// KEEPALIVE takes the place of it.
type giving struct {
	*Giver
	wire *wire
	peer int // process id of the taker

	spoke time.Time // when the last frame went out
	seq   int
	moved int
	left  int
}

// run makes the handover that a HELLO asks for.
func (h *giving) run(first *frame) (err error) {
	var hi hello
	if err := first.decode(&hi); err != nil {
		h.refuse(h.wire, err.Error())
		return err
	}
	if hi.Max < MinVersion || hi.Min > MaxVersion || hi.Min > hi.Max {
		err := fmt.Errorf("the new process speaks versions %d to %d of the handover, this one %d to %d", hi.Min, hi.Max, MinVersion, MaxVersion)
		h.refuse(h.wire, err.Error())
		return err
	}
	if err := h.reserve(h.peer); err != nil {
		h.refuse(h.wire, err.Error())
		return err
	}
	given := false
	defer func() { h.release(given) }()

	h.wire.version = uint8(min(hi.Max, MaxVersion))
	taken, err := h.show(&hi)
	if err == nil {
		err = h.offer.Drain(taken)
	}
	if err != nil {
		h.refuse(h.wire, err.Error())
		return err
	}
	if err := h.give(hi.Sessions && h.offer.Sessions); err != nil {
		h.offer.Resume()
		h.refuse(h.wire, err.Error())
		return fmt.Errorf("%w; %d sessions moved, this process accepts again", err, h.moved)
	}
	given = true
	h.offer.Finish()
	return nil
}

// show tells what there is and waits until the taker is ready.
func (h *giving) show(hi *hello) (taken []bool, err error) {
	topology, err := h.offer.Topology()
	if err != nil {
		return nil, fmt.Errorf("describe the servers: %w", err)
	}
	list := h.offer.Listeners()
	defer closeSockets(list) // what was sent the taker has, in the connection until it reads
	err = h.say(kindWelcome, Welcome{
		Version:    int(h.wire.version),
		PID:        os.Getpid(),
		Generation: h.offer.Generation,
		Listeners:  len(list),
		Sessions:   h.offer.Count(),
		Moves:      hi.Sessions && h.offer.Sessions,
		Topology:   topology,
	}, nil)
	if err != nil {
		return nil, err
	}
	f, err := h.await(kindListeners, h.soon())
	if err != nil {
		return nil, err
	}
	for sent, last := 0, false; !last; {
		part := list[sent:min(sent+maxFDs, len(list))]
		sent += len(part)
		last = sent == len(list)
		fds := make([]int, len(part))
		for i := range part {
			fds[i] = part[i].FD
		}
		if err := h.say(kindSockets, sockets{part, last}, fds); err != nil {
			return nil, err
		}
	}
	f, err = h.await(kindReady, time.Now().Add(h.limits.ready))
	if err != nil {
		return nil, err
	}
	var r ready
	if err := f.decode(&r); err != nil {
		return nil, err
	}
	if len(r.Taken) != len(list) {
		return nil, fmt.Errorf("%v speaks of %d sockets, not %d", f.kind, len(r.Taken), len(list))
	}
	return r.Taken, nil
}

// give moves the sessions and says the last word.
func (h *giving) give(moves bool) error {
	start := time.Now()
	if err := h.say(kindClosed, nil, nil); err != nil {
		return err
	}
	if moves {
		if err := h.giveSessions(); err != nil {
			return err
		}
	} else {
		h.left = h.offer.Count()
	}
	return h.say(kindDone, done{h.moved, h.left, time.Since(start).Milliseconds()}, nil)
}

func (h *giving) giveSessions() error {
	for {
		list, later, never := h.offer.Next(maxBatch)
		switch {
		case len(list) > 0:
			if err := h.moveAll(list); err != nil {
				return err
			}
		case later == 0:
			h.left = never
			return nil
		default:
			if err := h.idle(); err != nil {
				return err
			}
		}
	}
}

// idle lets some time pass and keeps the taker's patience alive.
func (h *giving) idle() error {
	if time.Since(h.spoke) >= h.limits.alive {
		if err := h.say(kindKeepalive, nil, nil); err != nil {
			return err
		}
	}
	return h.wire.quiet(h.limits.pause)
}

// moveAll moves frozen sessions, a frame after the other. Whatever it returns, all of them have found
// an owner.
func (h *giving) moveAll(list []session.Snapshot) error {
	for len(list) > 0 {
		h.seq++
		// The clock of the lease is read before that of the deadline, so that the taker sees the end of it first.
		until := netio.MonotonicNs() + h.limits.frame.Nanoseconds()
		deadline := h.soon()
		body, fds, n, err := encodeBatch(h.seq, until, list)
		if err != nil {
			h.log("handover: a session stays: %v", err)
			h.offer.Restore(list[:n])
			list = list[n:]
			continue
		}
		err = h.move(list[:n], body, fds, deadline)
		list = list[n:]
		if err != nil {
			if len(list) > 0 {
				h.offer.Restore(list)
			}
			return err
		}
	}
	return nil
}

// move brings the sessions of one batch to the taker, which is their heir until the deadline.
func (h *giving) move(list []session.Snapshot, body []byte, fds []int, deadline time.Time) error {
	if err := h.wire.sendEncoded(kindBatch, body, fds, deadline); err != nil {
		h.offer.Restore(list)
		return err
	}
	kept, refused, err := h.awaitAck(list, deadline)
	if err != nil {
		h.disinherit(err, deadline)
		h.offer.Restore(list)
		return err
	}
	if len(refused) > 0 {
		h.offer.Restore(refused)
	}
	if err := h.wire.send(kindCommit, turn{h.seq}, nil, deadline); err != nil {
		h.disinherit(err, deadline)
		h.restore(kept)
		return err
	}
	h.spoke = time.Now()
	if err := h.awaitTaken(); err != nil {
		// Nothing was written after COMMIT: what the taker left unread can only be that.
		if errors.Is(err, syscall.ECONNRESET) {
			h.restore(kept)
		} else if len(kept) > 0 {
			h.offer.Lost(kept)
		}
		return err
	}
	h.moved += len(kept)
	if len(kept) > 0 {
		h.offer.Commit(kept)
	}
	return nil
}

func (h *giving) restore(list []session.Snapshot) {
	if len(list) > 0 {
		h.offer.Restore(list)
	}
}

// disinherit returns when the taker, should this process die, would not take the sessions of the batch any more: it is gone, or
// it was told, or the deadline has passed.
func (h *giving) disinherit(cause error, deadline time.Time) {
	if isGone(cause) {
		return
	}
	err := h.wire.send(kindRefuse, refusal{cause.Error()}, nil, deadline)
	if err != nil && !isGone(err) {
		time.Sleep(time.Until(deadline))
	}
}

// awaitAck divides the sessions by the answer to BATCH.
func (h *giving) awaitAck(list []session.Snapshot, deadline time.Time) (kept, refused []session.Snapshot, err error) {
	f, err := h.await(kindAck, deadline)
	if err != nil {
		return nil, nil, err
	}
	var a ack
	if err := f.decode(&a); err != nil {
		return nil, nil, err
	}
	if a.Seq != h.seq {
		return nil, nil, fmt.Errorf("%v is for batch %d, not %d", f.kind, a.Seq, h.seq)
	}
	return split(list, a.Refused)
}

func (h *giving) awaitTaken() error {
	f, err := h.await(kindTaken, h.soon())
	if err != nil {
		return err
	}
	var t turn
	if err := f.decode(&t); err != nil {
		return err
	}
	if t.Seq != h.seq {
		return fmt.Errorf("%v is for batch %d, not %d", f.kind, t.Seq, h.seq)
	}
	return nil
}

// say sends one frame.
func (h *giving) say(k kind, body any, fds []int) error {
	h.spoke = time.Now()
	return h.wire.send(k, body, fds, h.spoke.Add(h.limits.frame))
}

// await reads the frame that must come next. No frame of a taker brings descriptors.
func (h *giving) await(want kind, deadline time.Time) (frame, error) {
	f, err := h.wire.receive(deadline)
	switch {
	case err != nil:
		return f, fmt.Errorf("wait for %v: %w", want, err)
	case f.kind != want || len(f.fds) > 0:
		err := fmt.Errorf("the new process sends %v with %d descriptors instead of %v", f.kind, len(f.fds), want)
		f.discard()
		return f, err
	}
	return f, nil
}
