package netio

import (
	"fmt"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// patience bounds every wait for something that must happen; it is no measure of speed.
const patience = time.Minute

func TestMain(m *testing.M) {
	// The runtime opens its own epoll instance and eventfd with the first pipe; the leak checks must
	// not take those for ours.
	r, w, err := os.Pipe()
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	r.Close()
	w.Close()
	os.Exit(m.Run())
}

// checkLeaks fails the test when it ends with other descriptors open than it began with.
func checkLeaks(tb testing.TB) {
	tb.Helper()
	before := openDescriptors(tb)
	tb.Cleanup(func() {
		for fd, what := range openDescriptors(tb) {
			if before[fd] != what {
				tb.Errorf("descriptor %s (%s) left open", fd, what)
			}
		}
	})
}

func openDescriptors(tb testing.TB) map[string]string {
	tb.Helper()
	entries, err := os.ReadDir("/proc/self/fd")
	if err != nil {
		tb.Fatal(err)
	}
	fds := map[string]string{}
	for _, e := range entries {
		// The descriptor of the listing itself is closed by now and has no target.
		if what, err := os.Readlink(filepath.Join("/proc/self/fd", e.Name())); err == nil {
			fds[e.Name()] = what
		}
	}
	return fds
}

func ok(tb testing.TB, what string, e Errno) {
	tb.Helper()
	if e != 0 {
		tb.Fatalf("%s: %v (errno %d)", what, e, int(e))
	}
}

func closeLater(tb testing.TB, fd int) {
	tb.Helper()
	tb.Cleanup(func() { Close(fd) })
}

// eventually polls cond until it holds.
func eventually(tb testing.TB, what string, cond func() bool) {
	tb.Helper()
	for end := time.Now().Add(patience); !cond(); time.Sleep(100 * time.Microsecond) {
		if time.Now().After(end) {
			tb.Fatalf("%s: did not happen", what)
		}
	}
}

func loopback(port uint16) Sockaddr {
	return SockaddrFrom(netip.AddrPortFrom(netip.MustParseAddr("127.0.0.1"), port))
}

// mustListen opens a listener that is closed with the test and tells where it listens.
func mustListen(tb testing.TB, sa Sockaddr, o *ListenOptions) (int, Sockaddr) {
	tb.Helper()
	fd, err := Listen(&sa, "", o)
	if err != nil {
		tb.Fatal(err)
	}
	closeLater(tb, fd)
	var bound Sockaddr
	ok(tb, "getsockname", LocalAddr(fd, &bound))
	return fd, bound
}

// mustListenOnPort is a listener that asked for the port that it has.
func mustListenOnPort(tb testing.TB, backlog int) (int, Sockaddr) {
	tb.Helper()
	fd, e := Socket(FamilyInet)
	ok(tb, "socket", e)
	defer Close(fd)
	ok(tb, "SO_REUSEADDR", SetReuseAddr(fd))
	sa := loopback(0)
	ok(tb, "bind", Bind(fd, &sa))
	ok(tb, "getsockname", LocalAddr(fd, &sa))
	return mustListen(tb, sa, &ListenOptions{Backlog: backlog})
}

// mustConnect begins a connection and waits until it stands.
func mustConnect(tb testing.TB, sa *Sockaddr) int {
	tb.Helper()
	fd, e := dial(sa)
	ok(tb, "connect", e)
	return fd
}

// dial connects and reports how it ended; the descriptor is closed on failure.
func dial(sa *Sockaddr) (int, Errno) {
	fd, e := Socket(sa.Family())
	if e != 0 {
		return -1, e
	}
	e = Connect(fd, sa)
	if e == EINPROGRESS {
		if err := await(fd, unix.POLLOUT); err != nil {
			Close(fd)
			return -1, err.(Errno)
		}
		e = SocketError(fd)
	}
	if e != 0 {
		Close(fd)
		return -1, e
	}
	return fd, 0
}

// mustAccept waits for a connection.
func mustAccept(tb testing.TB, lfd int) (int, Sockaddr) {
	tb.Helper()
	var peer Sockaddr
	fd := -1
	eventually(tb, "accept", func() bool {
		var e Errno
		fd, e = Accept(lfd, &peer)
		if e == EAGAIN || e == EINTR {
			return false
		}
		ok(tb, "accept", e)
		return true
	})
	return fd, peer
}

// mustPair is an established TCP connection over the loopback, closed with the test.
func mustPair(tb testing.TB) (a, b int) {
	tb.Helper()
	a, b = openPair(tb)
	closeLater(tb, a)
	closeLater(tb, b)
	return a, b
}

// openPair is an established TCP connection that the caller closes.
func openPair(tb testing.TB) (a, b int) {
	tb.Helper()
	sa := loopback(0)
	lfd, err := Listen(&sa, "", &ListenOptions{Backlog: 8, Conn: ConnOptions{NoDelay: true}})
	if err != nil {
		tb.Fatal(err)
	}
	defer Close(lfd)
	ok(tb, "getsockname", LocalAddr(lfd, &sa))
	a = mustConnect(tb, &sa)
	b, _ = mustAccept(tb, lfd)
	ok(tb, "TCP_NODELAY", SetInt(a, unix.IPPROTO_TCP, unix.TCP_NODELAY, 1))
	return a, b
}

func mustEpoll(tb testing.TB) *Epoll {
	tb.Helper()
	ep, err := NewEpoll()
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(ep.Close)
	return ep
}

// next waits for the next event of an instance that has one descriptor registered.
func next(tb testing.TB, ep *Epoll) uint32 {
	tb.Helper()
	var evs [4]Event
	mask := uint32(0)
	eventually(tb, "event", func() bool {
		n, e := ep.Wait(evs[:], 100)
		if e == EINTR {
			return false
		}
		ok(tb, "epoll_wait", e)
		for _, ev := range evs[:max(n, 0)] {
			mask |= ev.Events
		}
		return n > 0
	})
	return mask
}

// nextWith waits until an event has carried every bit of want and returns that event.
func nextWith(tb testing.TB, ep *Epoll, want uint32) uint32 {
	tb.Helper()
	for {
		if mask := next(tb, ep); mask&want == want {
			return mask
		}
	}
}

// silent asserts that nothing is pending.
func silent(tb testing.TB, ep *Epoll, why string) {
	tb.Helper()
	var evs [4]Event
	n, e := ep.Poll(evs[:])
	ok(tb, "epoll_pwait", e)
	if n != 0 {
		tb.Fatalf("%s: event %#x, want none", why, evs[0].Events)
	}
}

func mustSend(tb testing.TB, fd int, b []byte) {
	tb.Helper()
	for len(b) > 0 {
		n, e := Send(fd, b)
		if e == EAGAIN {
			awaitWritable(tb, fd)
			continue
		}
		ok(tb, "send", e)
		b = b[n:]
	}
}

func awaitWritable(tb testing.TB, fd int) {
	tb.Helper()
	if err := await(fd, unix.POLLOUT); err != nil {
		tb.Fatalf("poll for writing: %v", err)
	}
}

// await polls one descriptor.
func await(fd int, events int16) error {
	for {
		n, err := unix.Poll([]unix.PollFd{{Fd: int32(fd), Events: events}}, int(patience.Milliseconds()))
		switch {
		case n > 0:
			return nil
		case err == nil:
			return ETIMEDOUT
		case err != unix.EINTR: // which the runtime's signals cause
			return err
		}
	}
}

// mustRecv reads exactly n bytes.
func mustRecv(tb testing.TB, fd, n int) []byte {
	tb.Helper()
	b := make([]byte, n)
	got := 0
	for got < n {
		m, e := Recv(fd, b[got:])
		if e == EAGAIN {
			awaitReadable(tb, fd)
			continue
		}
		ok(tb, "recv", e)
		if m == 0 {
			tb.Fatalf("end of stream after %d of %d bytes", got, n)
		}
		got += m
	}
	return b
}

func awaitReadable(tb testing.TB, fd int) {
	tb.Helper()
	if err := await(fd, unix.POLLIN); err != nil {
		tb.Fatalf("poll for reading: %v", err)
	}
}

// unread is the number of bytes that lie in the receive queue.
func unread(tb testing.TB, fd int) int {
	tb.Helper()
	n, err := unix.IoctlGetInt(fd, unix.TIOCINQ)
	if err != nil {
		tb.Fatal(err)
	}
	return n
}

func mustOption(tb testing.TB, fd, level, name int) int {
	tb.Helper()
	v, err := unix.GetsockoptInt(fd, level, name)
	if err != nil {
		tb.Fatal(err)
	}
	return v
}

// pattern is n bytes that tell their position.
func pattern(n int) []byte {
	b := make([]byte, n)
	x := uint32(2463534242)
	for i := range b {
		x ^= x << 13
		x ^= x >> 17
		x ^= x << 5
		b[i] = byte(x)
	}
	return b
}

func mustPool(tb testing.TB, size, limit int) *PipePool {
	tb.Helper()
	p := NewPipePool(size, limit)
	tb.Cleanup(p.Close)
	return p
}

func isClosed(fd int32) bool {
	_, err := unix.FcntlInt(uintptr(fd), unix.F_GETFD, 0)
	return err == unix.EBADF
}

func containsBits(mask uint32, bits ...uint32) bool {
	return !slices.ContainsFunc(bits, func(b uint32) bool { return mask&b == 0 })
}
