package handover

import (
	"errors"
	"fmt"
	"net"
	"os"
	"strconv"
	"sync"
	"time"

	"github.com/penstock/penstock/internal/session"
	"github.com/penstock/penstock/netio"
)

// Offer is what the giver lets go of, and how. The functions are called from one goroutine at a time,
// except Status; none may call [Giver.Close]. The taker loses patience with one that takes seconds.
//
// Of Drain, Resume and Finish: Drain succeeds at most once before the next Resume, and each Drain that
// succeeded is followed by either Resume or Finish, which is the last call. Each session that Next gave comes back in exactly one of
// Commit, Restore and Lost before Next is called again, or Resume.
type Offer struct {
	Generation int
	Sessions   bool // false: listeners only

	// Count is the number of sessions there are.
	Count func() int
	// Listeners are the sockets to offer. Their descriptors are copies, and the giver's from then on.
	Listeners func() []Socket
	// Topology is JSON for the taker, opaque here; nil for none.
	Topology func() ([]byte, error)

	// Drain stops accepting and keeps the sockets; taken tells which of Listeners the taker accepts from, in their
	// order. After an error everything is as before.
	Drain func(taken []bool) error
	// Resume accepts again.
	Resume func()
	// Finish is called when the taker has everything that it will get: listeners are closed, and what is left may end.
	Finish func()

	// Next freezes up to max sessions. When it has none, later is the number of those that may become movable,
	// and never that of the others, among them all that were restored since Drain.
	Next func(max int) (batch []session.Snapshot, later, never int)
	// Commit forgets sessions that the taker has: closes the descriptors and says nothing.
	Commit func([]session.Snapshot)
	// Restore makes frozen sessions live again. They are not to be offered before the next Drain.
	Restore func([]session.Snapshot)
	// Lost ends sessions of which nobody knows whether the taker has them: it logs their end and closes the descriptors. It must not
	// shut them down: a taker that has them would feel it.
	Lost func([]session.Snapshot)

	// Status is the JSON that [Status] returns. It may be called at any time, and twice at once.
	Status func() ([]byte, error)
}

// limits are how long each side waits.
type limits struct {
	frame time.Duration // for a frame that must come, or must be taken
	ready time.Duration // for the taker to be ready, before which nothing is frozen
	death time.Duration // for a giver whose connection broke to turn out dead
	pause time.Duration // before Next is asked again
	alive time.Duration // between two KEEPALIVE
}

var defaultLimits = limits{
	frame: 5 * time.Second,
	ready: 30 * time.Second,
	death: time.Second,
	pause: 20 * time.Millisecond,
	alive: time.Second,
}

// socketName is the abstract name of a giver.
func socketName(pid int) string { return "penstock-handover-" + strconv.Itoa(pid) }

// allowed says whether a peer is root or the own effective user.
func allowed(peer netio.Credentials) bool {
	return peer.UID == 0 || int(peer.UID) == os.Geteuid()
}

// Giver is the giving side of a process. It is safe for concurrent use.
type Giver struct {
	offer    Offer
	log      func(format string, args ...any)
	limits   limits
	listener *net.UnixListener
	work     sync.WaitGroup

	mu     sync.Mutex
	conns  map[*net.UnixConn]struct{} // open connections
	busy   bool                       // a handover is under way
	given  bool                       // it was made
	taker  int                        // process id of the other side of it
	closed bool
}

// Serve offers this process to a successor, under a name made of its process id, until Close. A taker that is root
// trusts only names that root or it itself took: a process that gives up privileges calls Serve before.
func Serve(o Offer, log func(format string, args ...any)) (*Giver, error) {
	listener, err := netio.ListenAbstract(socketName(os.Getpid()))
	if err != nil {
		return nil, fmt.Errorf("offer handover: %w", err)
	}
	g := newGiver(o, log, defaultLimits)
	g.listener = listener
	g.work.Go(g.accept)
	return g, nil
}

func newGiver(o Offer, log func(format string, args ...any), l limits) *Giver {
	return &Giver{offer: o, log: log, limits: l, conns: map[*net.UnixConn]struct{}{}}
}

// Close takes the offer back and waits until no function of it runs any more. A handover that is under way is broken, which
// can take as long as a frame may.
func (g *Giver) Close() {
	g.mu.Lock()
	g.closed = true
	g.listener.Close()
	for conn := range g.conns {
		conn.Close()
	}
	g.mu.Unlock()
	g.work.Wait()
}

func (g *Giver) accept() {
	for {
		conn, err := g.listener.AcceptUnix()
		switch {
		case errors.Is(err, net.ErrClosed):
			return
		case err != nil:
			// Out of descriptors, most likely: the caller sees no answer and tries again.
			g.log("handover: %v", err)
			time.Sleep(g.limits.alive)
			continue
		}
		if !g.enter(conn) {
			conn.Close()
			return
		}
		g.work.Go(func() {
			defer g.leave(conn)
			g.serve(conn)
		})
	}
}

// enter registers a connection, unless the giver is closed.
func (g *Giver) enter(conn *net.UnixConn) bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	if !g.closed {
		g.conns[conn] = struct{}{}
	}
	return !g.closed
}

func (g *Giver) leave(conn *net.UnixConn) {
	g.mu.Lock()
	delete(g.conns, conn)
	g.mu.Unlock()
	conn.Close()
}

// serve answers one connection.
func (g *Giver) serve(conn *net.UnixConn) {
	w := &wire{conn: conn}
	peer, err := netio.PeerCredentials(conn)
	if err != nil {
		g.log("handover: %v", err)
		return
	}
	if !allowed(peer) {
		g.log("handover: refused to process %d of user %d", peer.PID, peer.UID)
		g.refuse(w, fmt.Sprintf("user %d is neither root nor the user of this process", peer.UID))
		return
	}
	f, err := w.receive(g.soon())
	if err != nil {
		if !isGone(err) {
			g.log("handover: process %d: %v", peer.PID, err)
			g.refuse(w, err.Error())
		}
		return
	}
	f.discard() // nothing that a taker sends comes with descriptors
	switch f.kind {
	case kindStatus:
		if err := g.answerStatus(w); err != nil {
			g.log("handover: status for process %d: %v", peer.PID, err)
			g.refuse(w, err.Error())
		}
	case kindHello:
		h := &giving{Giver: g, wire: w, peer: peer.PID}
		if err := h.run(&f); err != nil {
			g.log("handover to process %d: %v", peer.PID, err)
		}
	default:
		g.refuse(w, fmt.Sprintf("a conversation begins with %v, not with %v", kindHello, f.kind))
	}
}

// soon is the deadline of a frame.
func (g *Giver) soon() time.Time { return time.Now().Add(g.limits.frame) }

// refuse says no, if that can still be said.
func (g *Giver) refuse(w *wire, reason string) {
	_ = w.send(kindRefuse, refusal{reason}, nil, g.soon())
}

func (g *Giver) answerStatus(w *wire) error {
	status, err := g.offer.Status()
	if err != nil {
		return err
	}
	return w.sendEncoded(kindStatusReply, status, nil, g.soon())
}

// reserve makes process pid the taker, unless there is one.
func (g *Giver) reserve(pid int) error {
	g.mu.Lock()
	defer g.mu.Unlock()
	switch {
	case g.given:
		return fmt.Errorf("process %d has taken over already", g.taker)
	case g.busy:
		return fmt.Errorf("process %d is taking over just now", g.taker)
	}
	g.busy, g.taker = true, pid
	return nil
}

// release ends the reservation; given tells whether the handover was made.
func (g *Giver) release(given bool) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.busy, g.given = false, given
}
