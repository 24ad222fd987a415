package handover

import (
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/penstock/penstock/internal/session"
	"github.com/penstock/penstock/internal/testutil"
	"github.com/penstock/penstock/netio"
	"golang.org/x/sys/unix"
)

// mustListeners opens TCP listeners on ports that the kernel chooses; closed with the test.
func mustListeners(tb testing.TB, n int) []Socket {
	tb.Helper()
	var list []Socket
	for i := range n {
		sa := netio.SockaddrFrom(netip.MustParseAddrPort("127.0.0.1:0"))
		fd, err := netio.Listen(&sa, "", &netio.ListenOptions{Backlog: 4})
		if err != nil {
			tb.Fatal(err)
		}
		tb.Cleanup(func() { netio.Close(fd) })
		list = append(list, Socket{
			FD: fd, Proxy: fmt.Sprint("fe", i/2), Bind: "127.0.0.1:0", Addr: mustBound(tb, fd), Index: i % 2, Interface: "lo",
		})
	}
	return list
}

func mustBound(tb testing.TB, fd int) netip.AddrPort {
	tb.Helper()
	var sa netio.Sockaddr
	if e := netio.LocalAddr(fd, &sa); e != 0 {
		tb.Fatal(e)
	}
	a := sa.Addr()
	return a.AddrPort()
}

// mustLimit is the number of descriptors that this process may open.
func mustLimit(tb testing.TB) int {
	tb.Helper()
	var limit unix.Rlimit
	if err := unix.Getrlimit(unix.RLIMIT_NOFILE, &limit); err != nil {
		tb.Fatal(err)
	}
	return int(min(limit.Cur, 1<<30))
}

// The whole way over the real socket: more listeners than a frame takes, thousands of sessions, some of them refused.
func TestHandover(t *testing.T) {
	checkLeaks(t)
	sessions := 2500
	if limit, most := mustLimit(t), 6*sessions+1000; limit < most {
		t.Skipf("needs %d descriptors, may open %d", most, limit)
	}
	w := mustWorld(t, sessions)
	k := newKeeper(slices.Clone(w.sessions))
	t.Cleanup(k.close)
	k.sockets = mustListeners(t, 300)
	k.wait = 1
	giver, err := Serve(k.offer(), t.Logf)
	if err != nil {
		t.Fatal(err)
	}
	defer giver.Close()

	taker, err := Dial(os.Getpid(), true)
	if err != nil {
		t.Fatal(err)
	}
	defer taker.Close()
	welcome := taker.Welcome()
	want := Welcome{
		Version: MaxVersion, PID: os.Getpid(), Generation: 4, Listeners: 300, Sessions: sessions, Moves: true,
		Topology: []byte(`{"servers":["a","b"]}`),
	}
	if diff := cmp.Diff(want, welcome); diff != "" {
		t.Error(diff)
	}
	list, err := taker.Sockets()
	if err != nil {
		t.Fatal(err)
	}
	defer closeSockets(list)
	taken := make([]bool, len(list))
	for i := range list {
		taken[i] = i%3 == 0
		if bound := mustBound(t, list[i].FD); bound != k.sockets[i].Addr {
			t.Errorf("listener %d is bound to %v, want %v", i, bound, k.sockets[i].Addr)
		}
		got := list[i]
		got.FD = k.sockets[i].FD
		if diff := cmp.Diff(k.sockets[i], got, cmp.Comparer(func(a, b netip.AddrPort) bool { return a == b })); diff != "" {
			t.Error(diff)
		}
	}
	if draining, _ := k.drained(); draining {
		t.Error("drained before READY")
	}
	if err := taker.Ready(taken); err != nil {
		t.Fatal(err)
	}
	if draining, got := k.drained(); !draining || !slices.Equal(got, taken) {
		t.Errorf("after READY: drained %v, %v", draining, got)
	}
	a := &adopter{refuse: func(s session.Snapshot) bool { return s.Server == "srv3" }}
	report, err := taker.Sessions(a.accept, a.adopt)
	if err != nil {
		t.Fatal(err)
	}
	defer closeSessions(a.adopted)
	refused := 0
	for i := range w.sessions {
		if w.sessions[i].Server == "srv3" {
			refused++
		}
	}
	if report.Moved != sessions-refused || report.Refused != refused || report.Left != refused || report.Inherited != 0 {
		t.Errorf("report %+v, want %d refused", report, refused)
	}
	testutil.Eventually(t, "Finish", func() bool { k.mu.Lock(); defer k.mu.Unlock(); return k.finished })
	mustAddUp(t, w, k, a)
	if len(k.restored) != refused || len(a.adopted) != sessions-refused {
		t.Errorf("%d restored, %d adopted", len(k.restored), len(a.adopted))
	}
	for i := range a.adopted {
		got, want := a.adopted[i], w.sessions[a.adopted[i].Number]
		for j, fd := range got.Descriptors() {
			if *want.Descriptors()[j] >= 0 {
				*fd = *want.Descriptors()[j]
			}
		}
		if diff := cmp.Diff(want, got, cmp.Comparer(func(a, b netip.AddrPort) bool { return a == b })); diff != "" {
			t.Fatal(diff)
		}
	}

	if _, err := Dial(os.Getpid(), true); err == nil || !strings.Contains(err.Error(), "has taken over already") {
		t.Errorf("a second handover: %v", err)
	}
	if status, err := Status(os.Getpid()); err != nil || string(status) != `{"moved":17}` {
		t.Errorf("status %q, %v", status, err)
	}
}

// A listener that was passed accepts what it is sent, also after the giver closed its own descriptor.
func TestPassedListenerAccepts(t *testing.T) {
	checkLeaks(t)
	k := newKeeper(nil)
	k.sockets = mustListeners(t, 1)
	dialed, err := net.Dial("tcp", k.sockets[0].Addr.String())
	if err != nil {
		t.Fatal(err)
	}
	defer dialed.Close()
	giver, err := Serve(k.offer(), t.Logf)
	if err != nil {
		t.Fatal(err)
	}
	defer giver.Close()
	taker, err := Dial(os.Getpid(), false)
	if err != nil {
		t.Fatal(err)
	}
	defer taker.Close()
	list, err := taker.Sockets()
	if err != nil {
		t.Fatal(err)
	}
	defer closeSockets(list)
	var peer netio.Sockaddr
	fd, e := netio.Accept(list[0].FD, &peer)
	if e != 0 {
		t.Fatal(e)
	}
	netio.Close(fd)
}

func TestNobody(t *testing.T) {
	checkLeaks(t)
	if _, err := Dial(os.Getpid(), true); !errors.Is(err, ErrNobody) {
		t.Errorf("dial: %v, want %v", err, ErrNobody)
	}
	if _, err := Status(os.Getpid()); !errors.Is(err, ErrNobody) {
		t.Errorf("status: %v, want %v", err, ErrNobody)
	}
}

// Without sessions the handover is over when the listeners are taken.
func TestListenersOnly(t *testing.T) {
	for _, tc := range []struct {
		name            string
		offered, wanted bool
	}{
		{"not offered", false, true},
		{"not wanted", true, false},
	} {
		t.Run(tc.name, func(t *testing.T) {
			checkLeaks(t)
			w := mustWorld(t, 3)
			k := newKeeper(slices.Clone(w.sessions))
			t.Cleanup(k.close)
			offer := k.offer()
			offer.Sessions = tc.offered
			giver, err := Serve(offer, t.Logf)
			if err != nil {
				t.Fatal(err)
			}
			defer giver.Close()
			taker, err := Dial(os.Getpid(), tc.wanted)
			if err != nil {
				t.Fatal(err)
			}
			defer taker.Close()
			if taker.Welcome().Moves {
				t.Error("sessions were announced")
			}
			if list, err := taker.Sockets(); err != nil || len(list) != 0 {
				t.Fatal(list, err)
			}
			if err := taker.Ready(nil); err != nil {
				t.Fatal(err)
			}
			a := &adopter{}
			report, err := taker.Sessions(a.accept, a.adopt)
			if err != nil || report.Moved != 0 || report.Left != 3 {
				t.Errorf("%+v, %v; want 3 left", report, err)
			}
			testutil.Eventually(t, "Finish", func() bool { k.mu.Lock(); defer k.mu.Unlock(); return k.finished })
			mustAddUp(t, w, k, a)
		})
	}
}

// While one taker is there, another one is refused; when it leaves, the next may come.
func TestOneAtATime(t *testing.T) {
	checkLeaks(t)
	w := mustWorld(t, 4)
	k := newKeeper(slices.Clone(w.sessions))
	t.Cleanup(k.close)
	giver, err := Serve(k.offer(), t.Logf)
	if err != nil {
		t.Fatal(err)
	}
	defer giver.Close()
	if _, err := Serve(k.offer(), t.Logf); !errors.Is(err, netio.EADDRINUSE) {
		t.Errorf("a second giver: %v, want %v", err, netio.EADDRINUSE)
	}
	first, err := Dial(os.Getpid(), true)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := first.Sockets(); err != nil {
		t.Fatal(err)
	}
	_, err = Dial(os.Getpid(), true)
	var no *Refusal
	if !errors.As(err, &no) || !strings.Contains(no.Reason, "is taking over just now") {
		t.Errorf("a second taker: %v", err)
	}
	if err := first.Ready(nil); err != nil {
		t.Fatal(err)
	}
	first.Close()
	testutil.Eventually(t, "Resume", func() bool { k.mu.Lock(); defer k.mu.Unlock(); return k.resumed == 1 })
	mustAddUp(t, w, k, &adopter{})

	a := &adopter{}
	defer func() { closeSessions(a.adopted) }()
	testutil.Eventually(t, "another handover", func() bool {
		wire, err := dial(os.Getpid())
		if err != nil {
			t.Fatal(err)
		}
		report, err := a.take(wire.conn, os.Getpid(), defaultLimits)
		if errors.As(err, &no) {
			return false // the first one is not over
		}
		if err != nil || report.Moved != 4 {
			t.Fatalf("%+v, %v", report, err)
		}
		return true
	})
	giver.Close()
	mustAddUp(t, w, k, a)
}

// Sessions that cannot move yet are waited for, and the taker's patience with them.
func TestWaitsForSessions(t *testing.T) {
	checkLeaks(t)
	w := mustWorld(t, 3)
	k := newKeeper(slices.Clone(w.sessions))
	t.Cleanup(k.close)
	k.chunk, k.wait, k.never = 1, 40, 2
	l := quick
	l.alive = l.pause
	alive := 0
	giver, taker, done := mustProxyDone(t, func(f *passing) bool {
		if f.kind == kindKeepalive {
			alive++
		}
		f.forward(len(f.bytes))
		return true
	})
	a := &adopter{}
	defer func() { closeSessions(a.adopted) }()
	report, err := handoverBetween(k, a, giver, taker, l)
	<-done
	if err != nil || report.Moved != 3 || report.Left != 2 {
		t.Errorf("%+v, %v", report, err)
	}
	if alive == 0 {
		t.Error("no sign of life while nothing could be moved")
	}
	mustAddUp(t, w, k, a)
}

// A taker that dies while the giver waits for sessions is noticed.
func TestTakerLeavesWhileNothingMoves(t *testing.T) {
	checkLeaks(t)
	w := mustWorld(t, 1)
	k := newKeeper(slices.Clone(w.sessions))
	t.Cleanup(k.close)
	k.wait = 1 << 30
	l := quick
	l.alive = time.Hour
	side, end := mustStart(t, k.offer(), l)
	side.Close()
	end()
	if k.resumed != 1 {
		t.Errorf("resumed %d times", k.resumed)
	}
	mustAddUp(t, w, k, &adopter{})
}

// A taker that closed without having read COMMIT leaves the sessions with the giver; one that had read it may
// have moved bytes.
func TestCommitUnread(t *testing.T) {
	for _, tc := range []struct {
		name string
		read bool
		want string
	}{
		{"unread", false, "restore"},
		{"read", true, "lost"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			checkLeaks(t)
			w := mustWorld(t, 3)
			k := newKeeper(slices.Clone(w.sessions))
			t.Cleanup(k.close)
			side, end := mustStart(t, k.offer(), quick)
			_, list := mustBatch(t, side)
			closeSessions(list)
			if err := side.send(kindAck, ack{Seq: 1}); err != nil {
				t.Fatal(err)
			}
			mustReadable(t, side.wire.conn)
			if tc.read {
				if _, err := side.await(kindCommit); err != nil {
					t.Fatal(err)
				}
			}
			side.Close()
			end()
			mustAddUp(t, w, k, &adopter{})
			for i := range w.sessions {
				if got := k.fate[uint64(i)]; got != tc.want {
					t.Errorf("session %d: %s, want %s", i, got, tc.want)
				}
			}
		})
	}
}

// mustReadable waits until a connection has something to read.
func mustReadable(tb testing.TB, c *net.UnixConn) {
	tb.Helper()
	raw, err := c.SyscallConn()
	if err != nil {
		tb.Fatal(err)
	}
	err = raw.Read(func(fd uintptr) bool {
		n, err := unix.Poll([]unix.PollFd{{Fd: int32(fd), Events: unix.POLLIN}}, 0)
		return n > 0 && err == nil
	})
	if err != nil {
		tb.Fatal(err)
	}
}
