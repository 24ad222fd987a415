package handover

import (
	"errors"
	"fmt"
	"net"
	"os"
	"slices"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/penstock/penstock/internal/session"
	"github.com/penstock/penstock/internal/testutil"
	"github.com/penstock/penstock/netio"
	"golang.org/x/sys/unix"
)

// patience bounds every wait for something that must happen; it is no measure of speed.
const patience = time.Minute

// quick are limits for tests in which something is to go wrong.
var quick = limits{
	frame: patience,
	ready: patience,
	death: time.Millisecond,
	pause: time.Millisecond,
	alive: 10 * time.Millisecond,
}

// mustPair is a connected pair of UNIX sockets as plain descriptors.
func mustPair(tb testing.TB) [2]int {
	tb.Helper()
	fds, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_STREAM|unix.SOCK_CLOEXEC|unix.SOCK_NONBLOCK, 0)
	if err != nil {
		tb.Fatal(err)
	}
	return fds
}

// asConn makes a connection of a descriptor, which it takes over.
func asConn(tb testing.TB, fd int) *net.UnixConn {
	tb.Helper()
	file := os.NewFile(uintptr(fd), "control")
	defer file.Close()
	conn, err := net.FileConn(file)
	if err != nil {
		tb.Fatal(err)
	}
	return conn.(*net.UnixConn)
}

// mustControl is a pair of control connections. Their users close them.
func mustControl(tb testing.TB) (a, b *net.UnixConn) {
	tb.Helper()
	fds := mustPair(tb)
	return asConn(tb, fds[0]), asConn(tb, fds[1])
}

// checkLeaks fails the test when it ends with more descriptors open than it began with.
func checkLeaks(tb testing.TB) {
	tb.Helper()
	before := testutil.FDs(tb, os.Getpid())
	tb.Cleanup(func() {
		for fd, what := range testutil.FDs(tb, os.Getpid()) {
			if before[fd] != what {
				tb.Errorf("descriptor %s (%s) left open", fd, what)
			}
		}
	})
}

// world is sessions with their far ends, which the test holds.
type world struct {
	sessions []session.Snapshot
	outer    [][2]int // by session: the client's end and the server's end
}

// mustWorld makes n sessions with sockets of their own. What a session's descriptors are can be told by their bytes:
// every third one has a pipe with its number in it.
func mustWorld(tb testing.TB, n int) *world {
	tb.Helper()
	w := &world{}
	for i := range n {
		client, server := mustPair(tb), mustPair(tb)
		w.outer = append(w.outer, [2]int{client[1], server[1]})
		w.sessions = append(w.sessions, mustSession(tb, i, client[0], server[0]))
	}
	tb.Cleanup(func() {
		for _, pair := range w.outer {
			netio.Close(pair[0])
			netio.Close(pair[1])
		}
	})
	return w
}

// mustSession is session i with two sockets.
func mustSession(tb testing.TB, i, client, server int) session.Snapshot {
	tb.Helper()
	s := session.Snapshot{
		Slot: uint32(i), Gen: 3, Frontend: "fe", Backend: "be", Server: fmt.Sprint("srv", i%7), Number: uint64(i),
		Client: session.SideSnapshot{FD: client, IdleMs: uint32(i)},
		Far:    session.SideSnapshot{FD: server},
		Up:     session.FlowSnapshot{PipeRead: -1, PipeWrite: -1, Bytes: uint64(i) << 20},
		Down:   session.FlowSnapshot{PipeRead: -1, PipeWrite: -1},
	}
	switch i % 3 {
	case 1:
		s.Down.Unsent = unsentOf(i)
	case 2:
		var pipe [2]int
		if err := unix.Pipe2(pipe[:], unix.O_NONBLOCK|unix.O_CLOEXEC); err != nil {
			tb.Fatal(err)
		}
		if _, err := unix.Write(pipe[1], unsentOf(i)); err != nil {
			tb.Fatal(err)
		}
		s.Up.PipeRead, s.Up.PipeWrite = pipe[0], pipe[1]
	}
	return s
}

// unsentOf are the bytes that session i carries along.
func unsentOf(i int) []byte { return fmt.Appendf(nil, "unsent of %d \x00\xff", i) }

// mustAnswer checks that a snapshot has the descriptors of its session.
func (w *world) mustAnswer(tb testing.TB, s *session.Snapshot) {
	tb.Helper()
	i := int(s.Number)
	for side, fd := range []int{s.Client.FD, s.Far.FD} {
		word := fmt.Sprintf("%d to side %d", i, side)
		if _, err := unix.Write(fd, []byte(word)); err != nil {
			tb.Fatalf("session %d, side %d: %v", i, side, err)
		}
		if got, err := readAll(w.outer[i][side]); got != word || !errors.Is(err, syscall.EAGAIN) {
			tb.Fatalf("session %d, side %d: read %q, %v", i, side, got, err)
		}
	}
	switch i % 3 {
	case 1:
		if want := w.sessions[i].Down.Unsent; string(s.Down.Unsent) != string(want) {
			tb.Fatalf("session %d carries %d other bytes, not %d", i, len(s.Down.Unsent), len(want))
		}
	case 2:
		got, err := readAll(s.Up.PipeRead)
		if got != string(unsentOf(i)) || !errors.Is(err, syscall.EAGAIN) {
			tb.Fatalf("session %d has %q in its pipe, %v", i, got, err)
		}
		if _, err := unix.Write(s.Up.PipeWrite, []byte(got)); err != nil {
			tb.Fatal(err)
		}
	}
}

// mustBeOver checks that nobody holds a descriptor of session i any more.
func (w *world) mustBeOver(tb testing.TB, i int) {
	tb.Helper()
	for side, fd := range w.outer[i] {
		if got, err := readAll(fd); got != "" || err != nil {
			tb.Errorf("session %d, side %d: read %q, %v, want the end", i, side, got, err)
		}
	}
}

// readAll reads what is there; the error is nil at the end of the stream.
func readAll(fd int) (string, error) {
	var text []byte
	buf := make([]byte, 4096)
	for {
		n, err := unix.Read(fd, buf)
		if err == unix.EINTR {
			continue
		}
		if n <= 0 {
			return string(text), err
		}
		text = append(text, buf[:n]...)
	}
}

// keeper is an offer of sessions that keeps books of them, and complains when the handover breaks the rules
// of [Offer].
type keeper struct {
	chunk   int // sessions for each Next; 0: as many as asked for
	wait    int // times that Next has nothing for now, before each batch
	never   int // sessions that cannot be moved
	sockets []Socket

	mu       sync.Mutex
	waiting  []session.Snapshot
	frozen   map[uint64]session.Snapshot
	restored []session.Snapshot
	fate     map[uint64]string // of each session that Next gave
	waited   int
	taken    []bool
	draining bool
	resumed  int
	finished bool
	faults   []string
}

func newKeeper(list []session.Snapshot) *keeper {
	return &keeper{waiting: list, frozen: map[uint64]session.Snapshot{}, fate: map[uint64]string{}}
}

func (k *keeper) fault(format string, args ...any) {
	k.faults = append(k.faults, fmt.Sprintf(format, args...))
}

func (k *keeper) offer() Offer {
	return Offer{
		Generation: 4,
		Sessions:   true,
		Count:      func() int { k.mu.Lock(); defer k.mu.Unlock(); return len(k.waiting) + len(k.restored) },
		Listeners:  k.listeners,
		Topology:   func() ([]byte, error) { return []byte(`{"servers":["a","b"]}`), nil },
		Drain: func(taken []bool) error {
			k.mu.Lock()
			defer k.mu.Unlock()
			if k.draining || k.finished {
				k.fault("Drain twice")
			}
			k.draining, k.taken = true, taken
			k.waiting = append(k.waiting, k.restored...)
			k.restored = nil
			return nil
		},
		Resume: func() {
			k.mu.Lock()
			defer k.mu.Unlock()
			if !k.draining || k.finished || len(k.frozen) > 0 {
				k.fault("Resume with draining=%v, finished=%v, %d sessions frozen", k.draining, k.finished, len(k.frozen))
			}
			k.draining = false
			k.resumed++
		},
		Finish: func() {
			k.mu.Lock()
			defer k.mu.Unlock()
			if !k.draining || k.finished || len(k.frozen) > 0 {
				k.fault("Finish with draining=%v, finished=%v, %d sessions frozen", k.draining, k.finished, len(k.frozen))
			}
			k.finished = true
		},
		Next: k.next,
		Commit: func(list []session.Snapshot) {
			k.settle("commit", list)
			closeSessions(list)
		},
		Restore: func(list []session.Snapshot) {
			k.settle("restore", list)
			k.mu.Lock()
			defer k.mu.Unlock()
			k.restored = append(k.restored, list...)
		},
		Lost: func(list []session.Snapshot) {
			k.settle("lost", list)
			closeSessions(list)
		},
		Status: func() ([]byte, error) { return []byte(`{"moved":17}`), nil },
	}
}

func (k *keeper) next(most int) ([]session.Snapshot, int, int) {
	k.mu.Lock()
	defer k.mu.Unlock()
	if !k.draining || len(k.frozen) > 0 {
		k.fault("Next with draining=%v and %d sessions frozen", k.draining, len(k.frozen))
	}
	if len(k.waiting) > 0 && k.waited < k.wait {
		k.waited++
		return nil, len(k.waiting), k.never
	}
	k.waited = 0
	n := min(most, len(k.waiting))
	if k.chunk > 0 {
		n = min(n, k.chunk)
	}
	list := k.waiting[:n:n]
	k.waiting = k.waiting[n:]
	for _, s := range list {
		k.frozen[s.Number] = s
		k.fate[s.Number] = "frozen"
	}
	return append([]session.Snapshot(nil), list...), len(k.waiting), k.never + len(k.restored)
}

func (k *keeper) settle(fate string, list []session.Snapshot) {
	k.mu.Lock()
	defer k.mu.Unlock()
	if len(list) == 0 {
		k.fault("%s of no session", fate)
	}
	for _, s := range list {
		if was, ok := k.frozen[s.Number]; !ok || was.Client.FD != s.Client.FD {
			k.fault("%s of session %d, which is %q", fate, s.Number, k.fate[s.Number])
		}
		delete(k.frozen, s.Number)
		k.fate[s.Number] = fate
	}
}

// drained tells whether the giver stopped accepting, and what it was told of the listeners.
func (k *keeper) drained() (bool, []bool) {
	k.mu.Lock()
	defer k.mu.Unlock()
	return k.draining, k.taken
}

// close closes what the giver still has.
func (k *keeper) close() {
	closeSessions(k.waiting)
	closeSessions(k.restored)
}

// adopter is a taker's end that keeps books.
type adopter struct {
	refuse  func(session.Snapshot) bool
	adopted []session.Snapshot
}

func (a *adopter) accept(list []session.Snapshot) (refused []int) {
	for i, s := range list {
		if a.refuse != nil && a.refuse(s) {
			refused = append(refused, i)
		}
	}
	return refused
}

func (a *adopter) adopt(list []session.Snapshot) { a.adopted = append(a.adopted, list...) }

// take goes through all steps of a taker, on a connection to a giver in process pid.
func (a *adopter) take(conn *net.UnixConn, pid int, l limits) (Report, error) {
	t, err := newTaker(&wire{conn: conn}, pid, true, l)
	if err != nil {
		return Report{}, err
	}
	defer t.Close()
	list, err := t.Sockets()
	if err != nil {
		return Report{}, err
	}
	defer closeSockets(list)
	if err := t.Ready(make([]bool, len(list))); err != nil {
		return Report{}, err
	}
	return t.Sessions(a.accept, a.adopt)
}

// mustAddUp checks that every session has the owner that the books of both sides say, and only one.
func mustAddUp(tb testing.TB, w *world, k *keeper, a *adopter) {
	tb.Helper()
	k.mu.Lock()
	defer k.mu.Unlock()
	for _, fault := range k.faults {
		tb.Error(fault)
	}
	adopted := map[uint64]int{}
	for i := range a.adopted {
		s := &a.adopted[i]
		adopted[s.Number]++
		w.mustAnswer(tb, s)
	}
	kept := map[uint64]bool{}
	for _, list := range [][]session.Snapshot{k.waiting, k.restored} {
		for i := range list {
			kept[list[i].Number] = true
			w.mustAnswer(tb, &list[i])
		}
	}
	for i := range w.sessions {
		number := uint64(i)
		fate, n := k.fate[number], adopted[number]
		good := false
		switch fate {
		case "", "restore":
			good = n == 0 && kept[number]
		case "commit":
			good = n == 1 && !kept[number]
		case "lost":
			good = n <= 1 && !kept[number]
			if n == 0 {
				w.mustBeOver(tb, i)
			}
		}
		if !good {
			tb.Errorf("session %d: the giver says %q and keeps it: %v; the taker adopted it %d times", i, fate, kept[number], n)
		}
	}
	if k.draining && !k.finished {
		tb.Error("the giver neither resumed nor finished")
	}
}

// quietLog drops what a giver logs.
func quietLog(string, ...any) {}

// handoverBetween runs both sides over two connections, whatever lies between them.
func handoverBetween(k *keeper, a *adopter, giver, taker *net.UnixConn, l limits) (Report, error) {
	var work sync.WaitGroup
	work.Go(func() {
		defer giver.Close()
		newGiver(k.offer(), quietLog, l).serve(giver)
	})
	report, err := a.take(taker, os.Getpid(), l)
	work.Wait()
	return report, err
}

// mustStart runs a giver and brings a taker to the point where batches come. The test closes the taker; end waits
// for the giver.
func mustStart(tb testing.TB, o Offer, l limits) (side *Taker, end func()) {
	tb.Helper()
	giver, taker := mustControl(tb)
	var work sync.WaitGroup
	work.Go(func() {
		defer giver.Close()
		newGiver(o, quietLog, l).serve(giver)
	})
	side, err := newTaker(&wire{conn: taker}, os.Getpid(), true, l)
	if err != nil {
		tb.Fatal(err)
	}
	mustBeReady(tb, side)
	return side, work.Wait
}

// mustBeReady takes a taker from the greeting to where batches come.
func mustBeReady(tb testing.TB, side *Taker) {
	tb.Helper()
	list, err := side.Sockets()
	if err != nil {
		tb.Fatal(err)
	}
	closeSockets(list)
	if err := side.Ready(make([]bool, len(list))); err != nil {
		tb.Fatal(err)
	}
}

// mustBatch waits for a batch; the caller owns the sessions.
func mustBatch(tb testing.TB, side *Taker) (batch, []session.Snapshot) {
	tb.Helper()
	f, err := side.next()
	if err != nil || f.kind != kindBatch {
		tb.Fatal(f.kind, err)
	}
	b, list, err := readBatch(&f)
	if err != nil {
		tb.Fatal(err)
	}
	return b, list
}

// listeners copies the descriptors, as an offerer does.
func (k *keeper) listeners() []Socket {
	list := slices.Clone(k.sockets)
	for i := range list {
		own, e := netio.Dup(list[i].FD)
		if e != 0 {
			k.fault("copy listener: %v", e)
			return nil
		}
		list[i].FD = own
	}
	return list
}
