package netio

import (
	"bytes"
	"errors"
	"fmt"
	"slices"
	"sync"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// The tests of this file do not test this package: they hold what an edge-triggered relay with splice
// takes for granted about the kernel. One that fails names the assumption that a kernel broke.

const both = Readable | Writable | PeerClosed | Edge

func TestKernelOneRegistrationForBothDirections(t *testing.T) {
	checkLeaks(t)
	ep := mustEpoll(t)
	a, b := mustPair(t)
	ok(t, "add", ep.Add(a, both, 0))
	if mask := next(t, ep); mask != Writable {
		t.Fatalf("first event %#x, want writable alone", mask)
	}
	silent(t, ep, "an edge is told once")

	mustSend(t, b, []byte("one"))
	nextWith(t, ep, Readable)
	silent(t, ep, "unread data are no new edge")
	mustSend(t, b, []byte("two"))
	nextWith(t, ep, Readable)
	if got := mustRecv(t, a, 6); string(got) != "onetwo" {
		t.Fatalf("read %q", got)
	}

	chunk := make([]byte, 64<<10)
	sent := 0
	for {
		n, e := Send(a, chunk)
		if e == EAGAIN {
			// Sent bytes may still be on their way to the peer's queue, which gives room; it is full
			// when the peer's window is.
			if pfd := []unix.PollFd{{Fd: int32(a), Events: unix.POLLOUT}}; pollNow(t, pfd) == 0 {
				break
			}
			continue
		}
		ok(t, "send", e)
		sent += n
	}
	for got := 0; got < sent; {
		n, e := Recv(b, chunk)
		if e == EAGAIN {
			awaitReadable(t, b)
			continue
		}
		ok(t, "recv", e)
		got += n
	}
	nextWith(t, ep, Writable)
}

func pollNow(tb testing.TB, pfd []unix.PollFd) int {
	tb.Helper()
	n, err := unix.Poll(pfd, 0)
	if err != nil && !errors.Is(err, unix.EINTR) {
		tb.Fatal(err)
	}
	return n
}

func TestKernelPeerClosedComesBehindData(t *testing.T) {
	checkLeaks(t)
	ep := mustEpoll(t)
	a, b := mustPair(t)
	ok(t, "add", ep.Add(a, both, 0))
	mustSend(t, b, []byte("last words"))
	ok(t, "shutdown", ShutdownWrite(b))
	if mask := nextWith(t, ep, PeerClosed); !containsBits(mask, Readable) || mask&Hangup != 0 {
		t.Errorf("events %#x, want readable and peer closed, no hangup", mask)
	}
	buf := make([]byte, 64)
	if n, e := Recv(a, buf); e != 0 || string(buf[:n]) != "last words" {
		t.Fatalf("read %d bytes, %v", n, e)
	}
	if n, e := Recv(a, buf); n != 0 || e != 0 {
		t.Fatalf("read %d, %v, want end of stream", n, e)
	}
	mustSend(t, a, []byte("answer")) // the other half stays open
	if got := mustRecv(t, b, 6); string(got) != "answer" {
		t.Errorf("read %q", got)
	}
	ok(t, "shutdown", ShutdownWrite(a))
	nextWith(t, ep, Hangup)
}

// TestKernelShortReadIsEmpty: who read less than asked for need not read again to re-arm the edge.
func TestKernelShortReadIsEmpty(t *testing.T) {
	for _, tc := range []struct {
		name string
		then func(t *testing.T, peer int)
		want uint32
	}{
		{"more data", func(t *testing.T, peer int) { mustSend(t, peer, []byte("y")) }, Readable},
		{"FIN", func(t *testing.T, peer int) { ok(t, "shutdown", ShutdownWrite(peer)) }, Readable | PeerClosed},
		{"RST", func(t *testing.T, peer int) { reset(t, peer) }, Readable | Failure | Hangup},
	} {
		t.Run(tc.name, func(t *testing.T) {
			checkLeaks(t)
			ep := mustEpoll(t)
			a, b := openPair(t)
			defer Close(a)
			dup, e := Dup(b)
			ok(t, "dup", e)
			Close(b) // the case decides about the only copy
			ok(t, "add", ep.Add(a, both, 0))
			mustSend(t, dup, []byte("x"))
			nextWith(t, ep, Readable)
			if n, e := Recv(a, make([]byte, 64)); n != 1 || e != 0 {
				t.Fatalf("read %d, %v", n, e)
			}
			silent(t, ep, "short read")
			tc.then(t, dup)
			if tc.name != "RST" {
				defer Close(dup)
			}
			nextWith(t, ep, tc.want)
		})
	}
}

// reset closes fd with an RST.
func reset(tb testing.TB, fd int) {
	tb.Helper()
	ok(tb, "SO_LINGER", SetLinger0(fd))
	Close(fd)
}

func TestKernelLinger0Resets(t *testing.T) {
	for _, tc := range []struct {
		name  string
		close func(tb testing.TB, fd int)
		want  Errno
	}{
		{"plain close", func(_ testing.TB, fd int) { Close(fd) }, 0},
		{"linger 0", reset, ECONNRESET},
	} {
		t.Run(tc.name, func(t *testing.T) {
			checkLeaks(t)
			a, b := openPair(t)
			defer Close(a)
			tc.close(t, b)
			awaitReadable(t, a)
			if n, e := Recv(a, make([]byte, 1)); n > 0 || e != tc.want {
				t.Errorf("read %d, %v; want %v", n, e, tc.want)
			}
		})
	}
}

func TestKernelDataBeforeResetIsDelivered(t *testing.T) {
	words := []byte("data before a reset")
	for _, way := range []string{"recv", "splice"} {
		t.Run(way, func(t *testing.T) {
			checkLeaks(t)
			ep := mustEpoll(t)
			a, b := openPair(t)
			defer Close(a)
			ok(t, "add", ep.Add(a, both, 0))
			mustSend(t, b, words)
			eventually(t, "arrival", func() bool { return unread(t, a) == len(words) })
			reset(t, b)
			nextWith(t, ep, Failure|Hangup)
			pool := mustPool(t, 0, 1)
			pp := pool.At(pool.Get())
			read := func() (int, Errno) { return Recv(a, make([]byte, 64)) }
			if way == "splice" {
				read = func() (int, Errno) { return Splice(a, int(pp.W), 64) }
			}
			if n, e := read(); n != len(words) || e != 0 {
				t.Errorf("first: %d, %v; want %d bytes", n, e, len(words))
			}
			if n, e := read(); n > 0 || e != ECONNRESET {
				t.Errorf("second: %d, %v; want %v", n, e, ECONNRESET)
			}
		})
	}
}

// TestKernelSpliceAgainIsAmbiguous: "nothing to read" and "the pipe is full" look alike, so that a
// relay must empty the pipe before it believes that the socket is empty.
func TestKernelSpliceAgainIsAmbiguous(t *testing.T) {
	checkLeaks(t)
	a, b := mustPair(t)
	pool := mustPool(t, 4096, 1) // one slot
	pp := pool.At(pool.Get())

	if n, e := Splice(a, int(pp.W), 1<<20); e != EAGAIN {
		t.Errorf("empty socket, empty pipe: %d, %v; want %v", n, e, EAGAIN)
	}
	mustSend(t, b, []byte("ab"))
	eventually(t, "arrival", func() bool { return unread(t, a) == 2 })
	if n, e := Splice(a, int(pp.W), 1); n != 1 || e != 0 {
		t.Fatalf("splice: %d, %v", n, e)
	}
	if n, e := Splice(a, int(pp.W), 1<<20); e != EAGAIN {
		t.Errorf("socket with data, full pipe: %d, %v; want %v", n, e, EAGAIN)
	}
	if got := unread(t, a); got != 1 {
		t.Errorf("%d bytes unread, want 1", got)
	}
	drain(t, pp, 1)
	if n, e := Splice(a, int(pp.W), 1<<20); n != 1 || e != 0 {
		t.Errorf("socket with data, empty pipe: %d, %v; want 1", n, e)
	}
	if n, e := Splice(a, int(pp.W), 1<<20); e != EAGAIN {
		t.Errorf("empty socket, full pipe: %d, %v; want %v", n, e, EAGAIN)
	}
}

func drain(tb testing.TB, pp *Pipe, n int) {
	tb.Helper()
	if got, err := unix.Read(int(pp.R), make([]byte, n)); got != n || err != nil {
		tb.Fatalf("read of the pipe: %d, %v; want %d", got, err, n)
	}
}

func TestKernelFullPipeHidesEOF(t *testing.T) {
	checkLeaks(t)
	ep := mustEpoll(t)
	a, b := mustPair(t)
	ok(t, "add", ep.Add(a, both, 0))
	pool := mustPool(t, 4096, 1)
	pp := pool.At(pool.Get())
	mustSend(t, b, []byte("x"))
	ok(t, "shutdown", ShutdownWrite(b))
	nextWith(t, ep, PeerClosed)
	if n, e := Splice(a, int(pp.W), 1<<20); n != 1 || e != 0 {
		t.Fatalf("splice: %d, %v", n, e)
	}
	if n, e := Splice(a, int(pp.W), 1<<20); e != EAGAIN {
		t.Errorf("end of stream behind a full pipe: %d, %v; want %v", n, e, EAGAIN)
	}
	drain(t, pp, 1)
	if n, e := Splice(a, int(pp.W), 1<<20); n != 0 || e != 0 {
		t.Errorf("end of stream behind an empty pipe: %d, %v; want 0", n, e)
	}
}

// TestKernelExactPump: with exactly sixteen buffers in the pipe, a length beyond its content makes
// splice announce more to come, and the last segment waits for a timer. The exact length sends at once.
func TestKernelExactPump(t *testing.T) {
	const each = 7
	for _, slots := range []int{1, 15, 16, 17, 32, 33, 64} {
		t.Run(fmt.Sprint(slots), func(t *testing.T) {
			checkLeaks(t)
			in, feed := mustPair(t)
			out, sink := mustPair(t)
			pool := mustPool(t, 0, 1)
			pp := pool.At(pool.Get())
			total := slots * each
			want := pattern(total)
			mustSend(t, feed, want)
			eventually(t, "arrival", func() bool { return unread(t, in) == total })
			for range slots {
				if n, e := Splice(in, int(pp.W), each); n != each || e != 0 {
					t.Fatalf("fill: %d, %v", n, e)
				}
			}
			for left := total; left > 0; {
				n, e := Splice(int(pp.R), out, left)
				ok(t, "pump", e)
				left -= n
			}
			held, err := unix.IoctlGetInt(out, unix.SIOCOUTQNSD)
			if err != nil {
				t.Fatal(err)
			}
			if held != 0 {
				t.Errorf("%d of %d bytes held back", held, total)
			}
			if got := mustRecv(t, sink, total); !bytes.Equal(got, want) {
				t.Error("bytes differ")
			}
			if n, e := Splice(int(pp.R), out, 1); e != EAGAIN {
				t.Errorf("empty pipe: %d, %v; want %v", n, e, EAGAIN)
			}
		})
	}
}

// TestKernelPartialPump: what a full socket does not take stays in the pipe, in order.
func TestKernelPartialPump(t *testing.T) {
	checkLeaks(t)
	in, feed := mustPair(t)
	out, sink := mustPair(t)
	pool := mustPool(t, 0, 1)
	pp := pool.At(pool.Get())
	const total = 32 << 20
	want := pattern(total)
	var got []byte
	var full int
	rest := want
	buf := make([]byte, 64<<10)
	eventually(t, "end of the stream", func() bool {
		if len(rest) > 0 {
			if n, e := Send(feed, rest); e == 0 {
				rest = rest[n:]
			}
		}
		if pp.Data == 0 {
			if n, e := Splice(in, int(pp.W), DefaultPipeSize); e == 0 {
				pp.Data = int32(n)
			}
		}
		for pp.Data > 0 {
			n, e := Splice(int(pp.R), out, int(pp.Data))
			if e == EAGAIN {
				full++
				break
			}
			ok(t, "pump", e)
			pp.Data -= int32(n)
		}
		for pp.Data > 0 || len(rest) == 0 { // the reader wakes up when the writer is stuck
			n, e := Recv(sink, buf)
			if e != 0 {
				break
			}
			got = append(got, buf[:n]...)
		}
		return len(got) >= total
	})
	if !bytes.Equal(got, want) {
		t.Error("bytes differ")
	}
	if full == 0 {
		t.Error("the socket was never full: nothing was tested")
	}
}

func TestKernelOptionsAreInherited(t *testing.T) {
	checkLeaks(t)
	o := ListenOptions{Backlog: 4, Conn: ConnOptions{
		NoDelay:   true,
		KeepAlive: KeepAlive{Enabled: true, Count: 5, Idle: 11 * time.Second, Intvl: 13 * time.Second},
		RcvBuf:    32 << 10, SndBuf: 48 << 10, NotSentLowat: 16 << 10,
		UserTimeout: 17 * time.Second, CC: "reno",
	}}
	lfd, bound := mustListen(t, loopback(0), &o)
	c := mustConnect(t, &bound)
	closeLater(t, c)
	s, _ := mustAccept(t, lfd)
	closeLater(t, s)
	for _, opt := range []struct {
		name        string
		level, code int
		want        int
	}{
		{"TCP_NODELAY", unix.IPPROTO_TCP, unix.TCP_NODELAY, 1},
		{"SO_KEEPALIVE", unix.SOL_SOCKET, unix.SO_KEEPALIVE, 1},
		{"TCP_KEEPCNT", unix.IPPROTO_TCP, unix.TCP_KEEPCNT, 5},
		{"TCP_KEEPIDLE", unix.IPPROTO_TCP, unix.TCP_KEEPIDLE, 11},
		{"TCP_KEEPINTVL", unix.IPPROTO_TCP, unix.TCP_KEEPINTVL, 13},
		{"TCP_USER_TIMEOUT", unix.IPPROTO_TCP, unix.TCP_USER_TIMEOUT, 17000},
		{"TCP_NOTSENT_LOWAT", unix.IPPROTO_TCP, unix.TCP_NOTSENT_LOWAT, 16 << 10},
		{"SO_RCVBUF", unix.SOL_SOCKET, unix.SO_RCVBUF, 64 << 10}, // the kernel doubles it
		{"SO_SNDBUF", unix.SOL_SOCKET, unix.SO_SNDBUF, 96 << 10},
	} {
		if got := mustOption(t, s, opt.level, opt.code); got != opt.want {
			t.Errorf("%s is %d, want %d", opt.name, got, opt.want)
		}
	}
	if cc, err := unix.GetsockoptString(s, unix.IPPROTO_TCP, unix.TCP_CONGESTION); err != nil || cc != "reno" {
		t.Errorf("TCP_CONGESTION is %q, %v; want reno", cc, err)
	}
}

func TestKernelReusePort(t *testing.T) {
	checkLeaks(t)
	o := ListenOptions{Backlog: 256, ReusePort: true}
	first, bound := mustListen(t, loopback(0), &o)
	second, _ := mustListen(t, bound, &o)
	if fd, err := Listen(&bound, "", &ListenOptions{Backlog: 1}); !errors.Is(err, EADDRINUSE) {
		Close(fd)
		t.Errorf("a listener without SO_REUSEPORT joined: %v", err)
	}
	const conns = 100 // all on one side by chance: 2^-99
	for range conns {
		closeLater(t, mustConnect(t, &bound))
	}
	counts := map[int]int{}
	for _, lfd := range []int{first, second} {
		for {
			var peer Sockaddr
			fd, e := Accept(lfd, &peer)
			if e == EAGAIN {
				break
			}
			ok(t, "accept", e)
			Close(fd)
			counts[lfd]++
		}
	}
	if counts[first]+counts[second] != conns || counts[first] == 0 || counts[second] == 0 {
		t.Errorf("accepted %d and %d of %d", counts[first], counts[second], conns)
	}
}

// TestKernelPausedListenerHangsUp: a paused listener that stays registered reports a hangup for ever,
// so it has to leave the epoll instance; one that comes back needs no more than to be added again.
func TestKernelPausedListenerHangsUp(t *testing.T) {
	checkLeaks(t)
	ep := mustEpoll(t)
	lfd, bound := mustListenOnPort(t, 4)
	ok(t, "add", ep.Add(lfd, Readable, 0))
	silent(t, ep, "listener at rest")
	if err := Pause(lfd); err != nil {
		t.Fatal(err)
	}
	for range 2 {
		if mask := next(t, ep); mask&Hangup == 0 {
			t.Errorf("events %#x, want hangup", mask)
		}
	}
	ok(t, "del", ep.Del(lfd))
	if err := Resume(lfd, 4); err != nil {
		t.Fatal(err)
	}
	ok(t, "add", ep.Add(lfd, Readable, 0))
	silent(t, ep, "resumed listener at rest")
	closeLater(t, mustConnect(t, &bound))
	nextWith(t, ep, Readable)
	s, _ := mustAccept(t, lfd)
	closeLater(t, s)
}

// TestKernelPauseDropsChosenPort: only a port that was asked for outlives a pause; one that the kernel
// chose is free for others, and the listener comes back on another.
func TestKernelPauseDropsChosenPort(t *testing.T) {
	checkLeaks(t)
	lfd, bound := mustListen(t, loopback(0), &ListenOptions{Backlog: 4})
	if err := Pause(lfd); err != nil {
		t.Fatal(err)
	}
	other, e := Socket(FamilyInet)
	ok(t, "socket", e)
	closeLater(t, other)
	ok(t, "bind to the port of a paused listener", Bind(other, &bound))
	if err := Resume(lfd, 4); err != nil {
		t.Fatal(err)
	}
	var now Sockaddr
	ok(t, "getsockname", LocalAddr(lfd, &now))
	if now.Port() == bound.Port() {
		t.Errorf("port %d belongs to two", now.Port())
	}
}

// TestKernelExclusive: one listener in several instances; each connection is taken once, by a thread
// that was woken for it.
func TestKernelExclusive(t *testing.T) {
	checkLeaks(t)
	const waiters, conns = 3, 60
	lfd, bound := mustListen(t, loopback(0), &ListenOptions{Backlog: 64})
	stop, err := NewWaker()
	if err != nil {
		t.Fatal(err)
	}
	defer stop.Close()
	accepted := make(chan int, conns)
	eps := make([]*Epoll, waiters)
	for i := range eps {
		eps[i] = mustEpoll(t)
		ok(t, "add", eps[i].Add(lfd, Readable|Exclusive, 1))
		ok(t, "add", eps[i].Add(stop.FD(), Readable, 2))
		if e := eps[i].Mod(lfd, Readable, 1); e != EINVAL {
			t.Errorf("mod of an exclusive registration: %v, want %v", e, EINVAL)
		}
	}
	var wg sync.WaitGroup
	for _, ep := range eps {
		wg.Go(func() {
			var evs [4]Event
			for {
				n, _ := ep.Wait(evs[:], -1)
				for _, ev := range evs[:max(n, 0)] {
					if ev.Data() == 2 {
						return
					}
					var peer Sockaddr
					if fd, e := Accept(lfd, &peer); e == 0 {
						accepted <- fd
					}
				}
			}
		})
	}
	var fds []int
	for range conns {
		fds = append(fds, mustConnect(t, &bound))
		select {
		case fd := <-accepted:
			fds = append(fds, fd)
		case <-time.After(patience):
			t.Fatal("no thread was woken for a connection")
		}
	}
	stop.Wake()
	wg.Wait()
	if len(accepted) != 0 {
		t.Errorf("%d connections too many", len(accepted))
	}
	slices.Sort(fds)
	for _, fd := range slices.Compact(fds) {
		Close(fd)
	}
}

func TestHotCallsDoNotAllocate(t *testing.T) {
	checkLeaks(t)
	a, b := mustPair(t)
	ep := mustEpoll(t)
	ok(t, "add", ep.Add(a, Readable|Writable, 9))
	w, err := NewWaker()
	if err != nil {
		t.Fatal(err)
	}
	defer w.Close()
	pool := mustPool(t, 0, 1)
	pp := pool.At(pool.Get())
	lfd, bound := mustListen(t, loopback(0), &ListenOptions{Backlog: 8})
	buf := make([]byte, 64)
	evs := make([]Event, 8)
	o := ConnOptions{NoDelay: true, UserTimeout: time.Second}
	set := o.Compile()
	ap := bound.Addr()
	var sum int
	for _, tc := range []struct {
		name string
		f    func()
	}{
		{"Send, Peek, Recv", func() {
			ok(t, "send", second(Send(b, buf)))
			awaitReadable(t, a)
			ok(t, "peek", second(Peek(a, buf)))
			ok(t, "recv", second(Recv(a, buf)))
		}},
		{"Recv of nothing", func() {
			if _, e := Recv(a, buf); e != EAGAIN {
				t.Fatal(e)
			}
		}},
		{"Splice", func() {
			ok(t, "send", second(Send(b, buf)))
			awaitReadable(t, a)
			ok(t, "splice", second(Splice(a, int(pp.W), 64)))
			ok(t, "splice", second(Splice(int(pp.R), a, 64)))
			awaitReadable(t, b)
			ok(t, "recv", second(Recv(b, buf)))
		}},
		{"Poll, Wait", func() {
			n, e := ep.Poll(evs)
			ok(t, "poll", e)
			m, e := ep.Wait(evs, 0)
			if e != EINTR {
				ok(t, "wait", e)
			}
			sum += n + m
			for i := range evs[:n] {
				sum += int(evs[i].Data())
			}
		}},
		{"Mod, Del, Add", func() {
			ok(t, "mod", ep.Mod(a, Writable, 1))
			ok(t, "del", ep.Del(a))
			ok(t, "add", ep.Add(a, Readable|Writable, 9))
		}},
		{"connection", func() {
			var local, peer Sockaddr
			fd, e := Socket(FamilyInet)
			ok(t, "socket", e)
			to := ap.Sockaddr()
			if e := Connect(fd, &to); e != 0 && e != EINPROGRESS {
				t.Fatal(e)
			}
			awaitWritable(t, fd)
			ok(t, "SO_ERROR", SocketError(fd))
			ok(t, "getsockname", LocalAddr(fd, &local))
			s, e := Accept(lfd, &peer)
			ok(t, "accept", e)
			addr := peer.Addr()
			sum += int(addr.AddrPort().Port()) + Unsent(s)
			ok(t, "options", set.Apply(s))
			ok(t, "SetQuickAck", SetQuickAck(s, false))
			ok(t, "shutdown", ShutdownWrite(s))
			ok(t, "linger", SetLinger0(s))
			Close(s)
			Close(fd)
		}},
		{"Wake, Clear", func() {
			w.Wake()
			w.Clear()
		}},
	} {
		if n := testing.AllocsPerRun(100, tc.f); n != 0 {
			t.Errorf("%s: %v allocations", tc.name, n)
		}
	}
	if sum == 0 {
		t.Error("no event was seen")
	}
}

func second(_ int, e Errno) Errno { return e }

func TestUnsent(t *testing.T) {
	checkLeaks(t)
	a, b := mustPair(t)
	mustSend(t, a, pattern(1000))
	mustRecv(t, b, 1000)
	eventually(t, "acknowledgement", func() bool { return Unsent(a) == 0 })
	ok(t, "SO_RCVBUF", SetInt(b, unix.SOL_SOCKET, unix.SO_RCVBUF, 2048))
	chunk := make([]byte, 64<<10)
	for {
		if _, e := Send(a, chunk); e == EAGAIN {
			break
		}
	}
	if Unsent(a) == 0 {
		t.Error("nothing unsent in a full socket")
	}
	if Unsent(-1) != 0 {
		t.Error("unsent bytes of no socket")
	}
}
