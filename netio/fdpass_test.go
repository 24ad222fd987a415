package netio

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// mustControl is a pair of connected control connections, closed with the test.
func mustControl(tb testing.TB) (a, b *net.UnixConn) {
	tb.Helper()
	fds, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_STREAM|unix.SOCK_CLOEXEC|unix.SOCK_NONBLOCK, 0)
	if err != nil {
		tb.Fatal(err)
	}
	var ends [2]*net.UnixConn
	for i, fd := range fds {
		file := os.NewFile(uintptr(fd), "control")
		conn, err := net.FileConn(file)
		file.Close()
		if err != nil {
			tb.Fatal(err)
		}
		tb.Cleanup(func() { conn.Close() })
		if err := conn.SetDeadline(time.Now().Add(patience)); err != nil {
			tb.Fatal(err)
		}
		ends[i] = conn.(*net.UnixConn)
	}
	return ends[0], ends[1]
}

func mustPass(tb testing.TB, c *net.UnixConn, b string, fds ...int) {
	tb.Helper()
	if err := SendDescriptors(c, []byte(b), fds); err != nil {
		tb.Fatal(err)
	}
}

// mustTake reads at most n bytes with their descriptors, which are closed with the test.
func mustTake(tb testing.TB, c *net.UnixConn, n int) (string, []int) {
	tb.Helper()
	b := make([]byte, n)
	n, fds, err := ReceiveDescriptors(c, b)
	if err != nil {
		tb.Fatal(err)
	}
	for _, fd := range fds {
		closeLater(tb, fd)
	}
	return string(b[:n]), fds
}

// mustPipe is a non-blocking pipe that the caller closes.
func mustPipe(tb testing.TB) (r, w int) {
	tb.Helper()
	var fds [2]int
	if err := unix.Pipe2(fds[:], unix.O_NONBLOCK|unix.O_CLOEXEC); err != nil {
		tb.Fatal(err)
	}
	return fds[0], fds[1]
}

// inode tells what is behind a descriptor.
func inode(tb testing.TB, fd int) uint64 {
	tb.Helper()
	var st unix.Stat_t
	if err := unix.Fstat(fd, &st); err != nil {
		tb.Fatal(err)
	}
	return st.Ino
}

func TestPassDescriptors(t *testing.T) {
	for _, count := range []int{0, 1, 252, MaxPassed} {
		t.Run(fmt.Sprint(count), func(t *testing.T) {
			checkLeaks(t)
			a, b := mustControl(t)
			var sent []int
			for range count {
				r, w := mustPipe(t)
				closeLater(t, r)
				Close(w)
				sent = append(sent, r)
			}
			mustPass(t, a, "bytes", sent...)
			text, got := mustTake(t, b, 16)
			if text != "bytes" || len(got) != count {
				t.Fatalf("got %q with %d descriptors, want %d", text, len(got), count)
			}
			for i, fd := range got {
				if inode(t, fd) != inode(t, sent[i]) {
					t.Errorf("descriptor %d is another one", i)
				}
				if flags, err := unix.FcntlInt(uintptr(fd), unix.F_GETFD, 0); err != nil || flags&unix.FD_CLOEXEC == 0 {
					t.Errorf("descriptor %d is not close-on-exec: %#x, %v", i, flags, err)
				}
			}
		})
	}
}

func TestPassTooMany(t *testing.T) {
	checkLeaks(t)
	a, _ := mustControl(t)
	r, w := mustPipe(t)
	closeLater(t, r)
	closeLater(t, w)
	many := make([]int, MaxPassed+1)
	for i := range many {
		many[i] = r
	}
	if err := SendDescriptors(a, []byte("x"), many); !errors.Is(err, unix.ETOOMANYREFS) {
		t.Errorf("%v, want %v", err, unix.ETOOMANYREFS)
	}
}

// A message that is larger than the socket's buffer goes out whole while the peer reads.
func TestPassLargeMessage(t *testing.T) {
	checkLeaks(t)
	a, b := mustControl(t)
	r, w := mustPipe(t)
	closeLater(t, r)
	closeLater(t, w)
	want := pattern(4 << 20)
	failed := make(chan error, 1)
	go func() { failed <- SendDescriptors(a, want, []int{r, w}) }()
	head, fds := mustTake(t, b, 1)
	if len(fds) != 2 {
		t.Fatalf("%d descriptors with the first byte", len(fds))
	}
	rest := make([]byte, len(want)-1)
	if _, err := io.ReadFull(b, rest); err != nil {
		t.Fatal(err)
	}
	if err := <-failed; err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(append([]byte(head), rest...), want) {
		t.Error("the bytes differ")
	}
}

// A receiver without room for descriptors gets an error and keeps none of them.
func TestReceiveWithoutRoom(t *testing.T) {
	checkLeaks(t)
	a, b := mustControl(t)
	r, w := mustPipe(t)
	closeLater(t, r)
	mustPass(t, a, "x", w, w, w)
	Close(w)

	var limit unix.Rlimit
	if err := unix.Getrlimit(unix.RLIMIT_NOFILE, &limit); err != nil {
		t.Fatal(err)
	}
	// Room for one more, above everything that is open.
	top, e := Dup(r)
	ok(t, "dup", e)
	lowest := top
	Close(top)
	if err := unix.Setrlimit(unix.RLIMIT_NOFILE, &unix.Rlimit{Cur: uint64(lowest) + 1, Max: limit.Max}); err != nil {
		t.Fatal(err)
	}
	_, fds, err := ReceiveDescriptors(b, make([]byte, 1))
	if err := unix.Setrlimit(unix.RLIMIT_NOFILE, &limit); err != nil {
		t.Fatal(err)
	}
	if !errors.Is(err, EMFILE) || fds != nil {
		t.Errorf("got %v, %v; want %v", fds, err, EMFILE)
	}
	if n, e := readOnce(r); n != 0 || e != 0 {
		t.Errorf("the pipe has a writer left: %d, %v", n, e)
	}
}

func readOnce(fd int) (int, Errno) {
	n, err := unix.Read(fd, make([]byte, 16))
	if err != nil {
		return n, err.(Errno)
	}
	return n, 0
}

func TestReceiveEnd(t *testing.T) {
	checkLeaks(t)
	a, b := mustControl(t)
	a.Close()
	if _, _, err := ReceiveDescriptors(b, make([]byte, 1)); err != io.EOF {
		t.Errorf("%v, want %v", err, io.EOF)
	}
	if err := SendDescriptors(b, []byte("x"), []int{0}); !errors.Is(err, EPIPE) {
		t.Errorf("%v, want %v", err, EPIPE)
	}
}

func TestReceiveDeadline(t *testing.T) {
	checkLeaks(t)
	_, b := mustControl(t)
	if err := b.SetReadDeadline(time.Now()); err != nil {
		t.Fatal(err)
	}
	if _, _, err := ReceiveDescriptors(b, make([]byte, 1)); !errors.Is(err, os.ErrDeadlineExceeded) {
		t.Errorf("%v, want %v", err, os.ErrDeadlineExceeded)
	}
}

func TestAbstractPeers(t *testing.T) {
	checkLeaks(t)
	name := fmt.Sprintf("penstock-test-%d", os.Getpid())
	if _, err := DialAbstract(name); !errors.Is(err, ECONNREFUSED) {
		t.Errorf("nobody listens: %v, want %v", err, ECONNREFUSED)
	}
	l, err := ListenAbstract(name)
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	if _, err := ListenAbstract(name); !errors.Is(err, EADDRINUSE) {
		t.Errorf("taken twice: %v, want %v", err, EADDRINUSE)
	}
	here, err := DialAbstract(name)
	if err != nil {
		t.Fatal(err)
	}
	defer here.Close()
	there, err := l.AcceptUnix()
	if err != nil {
		t.Fatal(err)
	}
	defer there.Close()
	want := Credentials{PID: os.Getpid(), UID: uint32(os.Geteuid()), GID: uint32(os.Getegid())}
	for _, c := range []*net.UnixConn{here, there} {
		if got, err := PeerCredentials(c); err != nil || got != want {
			t.Errorf("peer %+v, %v; want %+v", got, err, want)
		}
	}
}

func TestProcessDies(t *testing.T) {
	checkLeaks(t)
	a, b := mustControl(t)
	held, err := b.File()
	if err != nil {
		t.Fatal(err)
	}
	b.Close()
	child := exec.Command("/bin/cat")
	child.ExtraFiles = []*os.File{held}
	in, err := child.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	defer in.Close()
	if err := child.Start(); err != nil {
		t.Fatal(err)
	}
	held.Close()
	p, err := OpenProcess(child.Process.Pid)
	if err != nil {
		t.Fatal(err)
	}
	defer p.Close()
	if p.Died(0) || p.Died(time.Millisecond) {
		t.Error("it is said to be dead")
	}
	if err := child.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	if !p.Died(patience) {
		t.Fatal("it is said to live")
	}
	// Nobody has waited for it: a zombie has no descriptors any more.
	if err := a.SetReadDeadline(time.Now()); err != nil {
		t.Fatal(err)
	}
	raw, err := a.SyscallConn()
	if err != nil {
		t.Fatal(err)
	}
	err = raw.Control(func(fd uintptr) {
		if n, e := readOnce(int(fd)); n != 0 || e != 0 {
			t.Errorf("its connection is not closed: %d, %v", n, e)
		}
	})
	if err != nil {
		t.Fatal(err)
	}
	if err := child.Wait(); err == nil {
		t.Error("it was not killed")
	}
	if !p.Died(0) {
		t.Error("it is said to live after it was waited for")
	}
	if _, err := OpenProcess(child.Process.Pid); !errors.Is(err, syscall.ESRCH) {
		t.Errorf("open: %v, want %v", err, syscall.ESRCH)
	}
}

func TestMonotonicNs(t *testing.T) {
	first := MonotonicNs()
	var now unix.Timespec
	if err := unix.ClockGettime(unix.CLOCK_MONOTONIC, &now); err != nil {
		t.Fatal(err)
	}
	if last := MonotonicNs(); first > now.Nano() || now.Nano() > last || first <= 0 {
		t.Errorf("%d, %d, %d: not the same clock", first, now.Nano(), last)
	}
}

// What follows holds what a handover takes for granted about the kernel.

func TestKernelDescriptorsComeWithTheirFirstByte(t *testing.T) {
	checkLeaks(t)
	a, b := mustControl(t)
	r, w := mustPipe(t)
	closeLater(t, r)
	closeLater(t, w)
	mustPass(t, a, "abc")
	mustPass(t, a, "defgh", r, w)
	mustPass(t, a, "ijk", w)
	mustPass(t, a, "lmn")
	for _, step := range []struct {
		read int
		text string
		fds  int
	}{
		{2, "ab", 0},
		{1, "c", 0},
		{1, "d", 2},
		{2, "ef", 0},
		{99, "ghijk", 1}, // goes on into the next message, and not beyond it
		{99, "lmn", 0},
	} {
		if text, fds := mustTake(t, b, step.read); text != step.text || len(fds) != step.fds {
			t.Fatalf("read %q with %d descriptors, want %q with %d", text, len(fds), step.text, step.fds)
		}
	}
}

func TestKernelPlainReadDropsDescriptors(t *testing.T) {
	checkLeaks(t)
	a, b := mustControl(t)
	r, w := mustPipe(t)
	closeLater(t, r)
	mustPass(t, a, "abc", w)
	Close(w)
	if n, e := readOnce(r); e != EAGAIN {
		t.Fatalf("a descriptor under way is open: read %d, %v", n, e)
	}
	if n, err := b.Read(make([]byte, 16)); n != 3 || err != nil {
		t.Fatal(n, err)
	}
	if n, e := readOnce(r); n != 0 || e != 0 {
		t.Errorf("the pipe has a writer left: %d, %v", n, e)
	}
}

func TestKernelDescriptorsDieWithTheirConnection(t *testing.T) {
	checkLeaks(t)
	a, b := mustControl(t)
	r, w := mustPipe(t)
	closeLater(t, r)
	mustPass(t, a, "abc", w)
	Close(w)
	b.Close()
	eventually(t, "end of the pipe", func() bool {
		n, e := readOnce(r)
		return n == 0 && e == 0
	})
}

func TestKernelPipeTravelsWithItsBytes(t *testing.T) {
	checkLeaks(t)
	a, b := mustControl(t)
	from, to := mustPair(t)
	pool := mustPool(t, 0, 1)
	pp := pool.At(pool.Get())
	words := pattern(40000)
	mustSend(t, to, words)
	moved := 0
	eventually(t, "splice", func() bool {
		n, e := Splice(from, int(pp.W), len(words)-moved)
		if e != EAGAIN {
			ok(t, "splice", e)
			moved += n
		}
		return moved == len(words)
	})
	mustPass(t, a, "p", int(pp.R), int(pp.W))
	_, fds := mustTake(t, b, 1)
	pp.Data = 1 // closes it
	pool.Put(1)
	got := make([]byte, 0, len(words))
	buf := make([]byte, 4096)
	for len(got) < len(words) {
		n, err := unix.Read(fds[0], buf)
		if err != nil {
			t.Fatal(err)
		}
		got = append(got, buf[:n]...)
	}
	if !bytes.Equal(got, words) {
		t.Error("the bytes differ")
	}
}

func TestKernelClosedCopyKeepsConnection(t *testing.T) {
	checkLeaks(t)
	a, b := mustControl(t)
	near, far := openPair(t)
	defer Close(far)
	mustSend(t, far, []byte("unread")) // a close that ended the connection would reset it
	mustPass(t, a, "s", near)
	_, fds := mustTake(t, b, 1)
	Close(near)
	if got := mustRecv(t, fds[0], 6); string(got) != "unread" {
		t.Errorf("read %q", got)
	}
	mustSend(t, fds[0], []byte("answer"))
	if got := mustRecv(t, far, 6); string(got) != "answer" {
		t.Errorf("read %q", got)
	}
	if n, e := Recv(far, make([]byte, 1)); e != EAGAIN {
		t.Errorf("the connection ended: %d, %v", n, e)
	}
}

// TestKernelClosedCopyStaysRegistered: who lets a socket go removes it from epoll first.
func TestKernelClosedCopyStaysRegistered(t *testing.T) {
	checkLeaks(t)
	ep := mustEpoll(t)
	near, far := openPair(t)
	defer Close(far)
	copied, e := Dup(near)
	ok(t, "dup", e)
	defer Close(copied)
	ok(t, "add", ep.Add(near, both, 7))
	nextWith(t, ep, Writable)
	Close(near)
	mustSend(t, far, []byte("x"))
	nextWith(t, ep, Readable)
}

// TestKernelUnreadBytesMakeAReset: a closed control connection tells whether the peer had read everything.
func TestKernelUnreadBytesMakeAReset(t *testing.T) {
	for _, tc := range []struct {
		name string
		read int // of the six bytes sent
		want error
	}{
		{"nothing read", 0, ECONNRESET},
		{"a part read", 5, ECONNRESET},
		{"all read", 6, io.EOF},
	} {
		t.Run(tc.name, func(t *testing.T) {
			checkLeaks(t)
			a, b := mustControl(t)
			mustPass(t, b, "answer")
			mustPass(t, a, "commit")
			if _, err := io.ReadFull(b, make([]byte, tc.read)); err != nil {
				t.Fatal(err)
			}
			b.Close()
			// What the peer sent before is read first.
			if text, _ := mustTake(t, a, 16); text != "answer" {
				t.Errorf("read %q", text)
			}
			if _, _, err := ReceiveDescriptors(a, make([]byte, 1)); !errors.Is(err, tc.want) {
				t.Errorf("%v, want %v", err, tc.want)
			}
		})
	}
}
