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

// ErrNobody means that a process offers no handover: it is none of ours, or dead, or in another network namespace.
var ErrNobody = errors.New("the process offers no handover")

// ErrDied means that the old process died during the handover. What it had offered is ours.
var ErrDied = errors.New("the old process died")

// Taker is the taking side of one handover. Its methods are called in the order Sockets, Ready, Sessions, each once, by one
// goroutine; Close at any point leaves the giver as it was, or, after Ready, makes it accept again. After an error only Close is
// of use.
//
//	Dial          Sockets        Ready           Sessions
//	 ──> welcomed ──────> holding ─────> closed ─┬──────────> over (DONE)
//	                                       ^     │
//	                                 TAKEN │     │ BATCH: accept
//	                                       │     v
//	                                     live   heir ── REFUSE, or broken and the giver lives ──> copies closed
//	                                       ^     │  └── broken and the giver dies in time ──> adopt
//	                                       └─────┘
//	                                        COMMIT: adopt
type Taker struct {
	wire    *wire
	giver   *netio.Process
	limits  limits
	welcome Welcome
}

// Report says what a handover moved.
type Report struct {
	Moved     int           // sessions that are ours now
	Inherited int           // of these, left by an old process that died
	Refused   int           // sessions that we refused
	Left      int           // sessions that the old process keeps, as it says
	Took      time.Duration // from Ready on, as the old process says; milliseconds
}

// dial connects to the giver with process id pid and makes sure who it is. An impostor may have taken the name.
func dial(pid int) (*wire, error) {
	conn, err := netio.DialAbstract(socketName(pid))
	if err != nil {
		if errors.Is(err, syscall.ECONNREFUSED) {
			err = ErrNobody
		}
		return nil, fmt.Errorf("reach process %d: %w", pid, err)
	}
	peer, err := netio.PeerCredentials(conn)
	if err == nil && (peer.PID != pid || !allowed(peer)) {
		err = fmt.Errorf("its name is held by process %d of user %d, which is not trusted", peer.PID, peer.UID)
	}
	if err != nil {
		conn.Close()
		return nil, fmt.Errorf("reach process %d: %w", pid, err)
	}
	return &wire{conn: conn}, nil
}

// Dial asks process pid for a handover, with its sessions or without. The error is [ErrNobody] when it offers
// none, and a [Refusal] when it does not want to.
func Dial(pid int, wantSessions bool) (*Taker, error) {
	w, err := dial(pid)
	if err != nil {
		return nil, err
	}
	return newTaker(w, pid, wantSessions, defaultLimits)
}

// newTaker greets the giver. It owns the connection, and closes it when it fails.
func newTaker(w *wire, pid int, wantSessions bool, l limits) (t *Taker, err error) {
	t = &Taker{wire: w, limits: l}
	defer func() {
		if err != nil {
			t.Close()
			t, err = nil, fmt.Errorf("ask process %d for its sockets: %w", pid, err)
		}
	}()
	// The answer to HELLO proves that the process behind the handle is the one behind the connection.
	if t.giver, err = netio.OpenProcess(pid); err != nil {
		return t, err
	}
	if err = t.send(kindHello, hello{MinVersion, MaxVersion, os.Getpid(), wantSessions}); err != nil {
		return t, err
	}
	f, err := t.await(kindWelcome)
	if err != nil {
		return t, err
	}
	if err = f.decode(&t.welcome); err != nil {
		return t, err
	}
	if v := t.welcome.Version; v < MinVersion || v > MaxVersion {
		return t, fmt.Errorf("it speaks version %d of the handover, this program %d to %d", v, MinVersion, MaxVersion)
	}
	w.version = uint8(t.welcome.Version)
	return t, nil
}

// Welcome is what the giver said about itself.
func (t *Taker) Welcome() Welcome { return t.welcome }

// Sockets fetches the giver's listeners. The descriptors are the caller's; those that it does not use it
// closes (and never shuts down: that would end them for both).
func (t *Taker) Sockets() (list []Socket, err error) {
	defer func() {
		if err != nil {
			closeSockets(list)
			list, err = nil, fmt.Errorf("take listeners: %w", err)
		}
	}()
	if err := t.send(kindListeners, nil); err != nil {
		return nil, err
	}
	for {
		f, err := t.await(kindSockets)
		if err != nil {
			return list, err
		}
		s, err := readSockets(&f)
		if err != nil {
			return list, err
		}
		list = append(list, s.Sockets...)
		switch {
		case s.Last && len(list) == t.welcome.Listeners:
			return list, nil
		case s.Last || len(list) >= t.welcome.Listeners:
			return list, fmt.Errorf("%d sockets announced, %d sent", t.welcome.Listeners, len(list))
		}
	}
}

// Ready says that this process accepts, and returns when the giver has stopped to. taken tells, in the order of
// Sockets, which of them are in use here.
func (t *Taker) Ready(taken []bool) error {
	if err := t.send(kindReady, ready{taken}); err != nil {
		return fmt.Errorf("tell the old process to stop accepting: %w", err)
	}
	if _, err := t.await(kindClosed); err != nil {
		return fmt.Errorf("wait for the old process to stop accepting: %w", err)
	}
	return nil
}

// Sessions takes sessions until the giver has no more; it is also called when none were wanted. accept is shown the sessions of a batch and
// returns the places of those that cannot live here; it must not touch a descriptor. adopt makes sessions live and owns
// their descriptors; each session that it is given is this process's alone. Both are waited for, but for some seconds only. The report is valid with an error too, which
// is [ErrDied] when the giver died.
func (t *Taker) Sessions(accept func([]session.Snapshot) (refused []int), adopt func([]session.Snapshot)) (Report, error) {
	var r Report
	for {
		f, err := t.next()
		switch {
		case err != nil:
			return r, t.blame(err)
		case f.kind == kindDone:
			var d done
			if err := f.decode(&d); err != nil {
				return r, err
			}
			f.discard()
			r.Left, r.Took = d.Left, time.Duration(d.Ms)*time.Millisecond
			return r, nil
		case f.kind == kindBatch:
			if err := t.take(&f, accept, adopt, &r); err != nil {
				return r, t.blame(err)
			}
		default:
			f.discard()
			return r, fmt.Errorf("the old process sends %v instead of %v", f.kind, kindBatch)
		}
	}
}

// take makes the sessions of one batch ours, or closes the copies of them.
func (t *Taker) take(f *frame, accept func([]session.Snapshot) []int, adopt func([]session.Snapshot), r *Report) error {
	b, list, err := readBatch(f)
	if err != nil {
		return err
	}
	refused := accept(list)
	kept, dropped, err := split(list, refused)
	if err != nil {
		closeSessions(list)
		return err
	}
	// Before the giver hears of it: a copy here would keep a connection open that it ends.
	closeSessions(dropped)
	r.Refused += len(dropped)

	if err := t.commit(&b, refused); err != nil {
		if len(kept) == 0 || !t.inherits(err, b.Until) {
			closeSessions(kept)
			return err
		}
		r.Moved += len(kept)
		r.Inherited += len(kept)
		adopt(kept)
		return err
	}
	r.Moved += len(kept)
	if len(kept) > 0 {
		adopt(kept)
	}
	return t.send(kindTaken, turn{b.Seq})
}

// commit answers a batch and waits for the giver's last word on it.
func (t *Taker) commit(b *batch, refused []int) error {
	if err := t.send(kindAck, ack{b.Seq, refused}); err != nil {
		return err
	}
	f, err := t.await(kindCommit)
	if err != nil {
		return err
	}
	var c turn
	if err := f.decode(&c); err != nil {
		return err
	}
	if c.Seq != b.Seq {
		return fmt.Errorf("%v is for batch %d, not %d", f.kind, c.Seq, b.Seq)
	}
	return nil
}

// inherits tells whether the giver died while we were its heir, which was until a moment of CLOCK_MONOTONIC.
func (t *Taker) inherits(cause error, until int64) bool {
	if !isGone(cause) {
		return false
	}
	left := time.Duration(until - netio.MonotonicNs())
	return t.giver.Died(min(left, t.limits.death)) && netio.MonotonicNs() < until
}

// blame gives an error the cause that the giver died, if it did.
func (t *Taker) blame(err error) error {
	if isGone(err) && t.giver.Died(t.limits.death) {
		return fmt.Errorf("%w: %w", ErrDied, err)
	}
	return err
}

// Break cuts the connection, from any goroutine: Sessions returns. Close must follow.
func (t *Taker) Break() { _ = t.wire.conn.Close() }

// Close ends the conversation.
func (t *Taker) Close() error {
	if t.giver != nil {
		t.giver.Close()
		t.giver = nil
	}
	if err := t.wire.conn.Close(); err != nil {
		return fmt.Errorf("close handover: %w", err)
	}
	return nil
}

// send writes one frame. A giver that closed may have said why before, which is the error then; it also decides who owns a
// batch.
func (t *Taker) send(k kind, body any) error {
	err := t.wire.send(k, body, nil, time.Now().Add(t.limits.frame))
	if isGone(err) {
		f, last := t.next()
		f.discard()
		if no := (*Refusal)(nil); errors.As(last, &no) {
			return last
		}
	}
	return err
}

// next reads the next frame that says something. REFUSE is an error.
func (t *Taker) next() (frame, error) {
	for {
		f, err := t.wire.receive(time.Now().Add(t.limits.frame))
		if err != nil {
			return f, err
		}
		switch f.kind {
		case kindKeepalive:
			f.discard()
		case kindRefuse:
			f.discard()
			var no refusal
			if err := f.decode(&no); err != nil {
				return f, err
			}
			return f, &Refusal{no.Reason}
		default:
			return f, nil
		}
	}
}

// await reads the frame that must come next. Only SOCKETS and BATCH bring descriptors.
func (t *Taker) await(want kind) (frame, error) {
	f, err := t.next()
	if err != nil {
		return f, err
	}
	if f.kind != want || len(f.fds) > 0 && want != kindSockets {
		err := fmt.Errorf("the old process sends %v with %d descriptors instead of %v", f.kind, len(f.fds), want)
		f.discard()
		return f, err
	}
	return f, nil
}

// Status asks process pid how its own take-over went: the JSON of its Offer.Status. The error is [ErrNobody]
// when it offers no handover.
func Status(pid int) ([]byte, error) {
	w, err := dial(pid)
	if err != nil {
		return nil, err
	}
	t := &Taker{wire: w, limits: defaultLimits}
	defer t.Close()
	if err := t.send(kindStatus, nil); err != nil {
		return nil, fmt.Errorf("ask process %d for its status: %w", pid, err)
	}
	f, err := t.await(kindStatusReply)
	if err != nil {
		return nil, fmt.Errorf("ask process %d for its status: %w", pid, err)
	}
	return f.body, nil
}
