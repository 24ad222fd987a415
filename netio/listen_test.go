package netio

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

func mustAddr(s string, port uint16) Sockaddr {
	return SockaddrFrom(netip.AddrPortFrom(netip.MustParseAddr(s), port))
}

// skipWithoutIPv6 skips where the kernel has no ::1.
func skipWithoutIPv6(tb testing.TB) {
	tb.Helper()
	sa := mustAddr("::1", 0)
	fd, e := Socket(FamilyIn6)
	if e != 0 {
		tb.Skip("no IPv6 sockets: ", e)
	}
	defer Close(fd)
	if e := Bind(fd, &sa); e != 0 {
		tb.Skip("no IPv6 loopback address: ", e)
	}
}

func TestListenFamilies(t *testing.T) {
	for _, tc := range []struct {
		name         string
		listen       string
		o            ListenOptions
		dial         []string
		refused      []string
		peer         []string // as the accepted side sees it, for each of dial
		needsV6      bool
		bindV6Only   int
		bindV6Family bool
	}{
		{name: "IPv4", listen: "127.0.0.1", dial: []string{"127.0.0.1"}, peer: []string{"127.0.0.1"}},
		{name: "IPv6", listen: "::1", dial: []string{"::1"}, peer: []string{"::1"}, needsV6: true},
		{
			name: "dual", listen: "::", o: ListenOptions{V4V6: true}, needsV6: true,
			dial: []string{"::1", "127.0.0.1"}, peer: []string{"::1", "::ffff:127.0.0.1"},
		},
		{
			name: "v6only", listen: "::", o: ListenOptions{V6Only: true}, needsV6: true,
			dial: []string{"::1"}, peer: []string{"::1"}, refused: []string{"127.0.0.1"},
		},
		{
			name: "v6only wins", listen: "::", o: ListenOptions{V6Only: true, V4V6: true}, needsV6: true,
			dial: []string{"::1"}, peer: []string{"::1"}, refused: []string{"127.0.0.1"},
		},
	} {
		t.Run(tc.name, func(t *testing.T) {
			if tc.needsV6 {
				skipWithoutIPv6(t)
			}
			checkLeaks(t)
			o := tc.o
			o.Backlog = 16
			lfd, bound := mustListen(t, mustAddr(tc.listen, 0), &o)
			for i, d := range tc.dial {
				to := mustAddr(d, bound.Port())
				c := mustConnect(t, &to)
				closeLater(t, c)
				s, peer := mustAccept(t, lfd)
				closeLater(t, s)
				var local Sockaddr
				ok(t, "getsockname", LocalAddr(c, &local))
				peerAddr := peer.Addr()
				want := netip.AddrPortFrom(netip.MustParseAddr(tc.peer[i]), local.Port())
				if got := peerAddr.AddrPort(); got != want {
					t.Errorf("peer %v, want %v", got, want)
				}
				if fl, err := unix.FcntlInt(uintptr(s), unix.F_GETFL, 0); err != nil || fl&unix.O_NONBLOCK == 0 {
					t.Errorf("accepted socket has flags %#x, %v: want O_NONBLOCK", fl, err)
				}
				if fl, err := unix.FcntlInt(uintptr(s), unix.F_GETFD, 0); err != nil || fl&unix.FD_CLOEXEC == 0 {
					t.Errorf("accepted socket has descriptor flags %#x, %v: want FD_CLOEXEC", fl, err)
				}
			}
			for _, d := range tc.refused {
				to := mustAddr(d, bound.Port())
				if _, e := dial(&to); e != ECONNREFUSED {
					t.Errorf("connect to %s: %v, want %v", d, e, ECONNREFUSED)
				}
			}
		})
	}
}

func TestListenInUse(t *testing.T) {
	checkLeaks(t)
	_, bound := mustListen(t, loopback(0), &ListenOptions{Backlog: 1})
	fd, err := Listen(&bound, "", &ListenOptions{Backlog: 1})
	if !errors.Is(err, EADDRINUSE) || fd != -1 {
		t.Fatalf("second listener: descriptor %d, error %v; want -1, %v", fd, err, EADDRINUSE)
	}
	if want := "bind socket: address already in use"; err.Error() != want {
		t.Errorf("error %q, want %q", err, want)
	}
}

func TestListenRefusals(t *testing.T) {
	checkLeaks(t)
	for _, tc := range []struct {
		name string
		sa   Sockaddr
		o    ListenOptions
		want error
	}{
		{"no address", Sockaddr{}, ListenOptions{}, unix.EAFNOSUPPORT},
		{"foreign address", mustAddr("192.0.2.1", 0), ListenOptions{}, EADDRNOTAVAIL},
		{"unknown interface", loopback(0), ListenOptions{Interface: "nosuchif0"}, unix.ENODEV},
		{"unknown congestion control", loopback(0), ListenOptions{Conn: ConnOptions{CC: "nosuchcc"}}, ENOENT},
		{"bad segment size", loopback(0), ListenOptions{MSS: 1}, EINVAL},
	} {
		fd, err := Listen(&tc.sa, "", &tc.o)
		if errors.Is(err, EPERM) {
			t.Logf("%s: not checked: %v", tc.name, err)
			continue
		}
		if fd != -1 || !errors.Is(err, tc.want) {
			t.Errorf("%s: descriptor %d, error %v; want -1, %v", tc.name, fd, err, tc.want)
		}
	}
}

func TestListenOptionsReachTheKernel(t *testing.T) {
	checkLeaks(t)
	o := ListenOptions{
		Backlog: 16, ReusePort: true, MSS: 1200, DeferAccept: true, FastOpen: true,
		Interface: "lo",
	}
	lfd, bound := mustListen(t, loopback(0), &o)
	for _, opt := range []struct {
		name        string
		level, code int
		want        int
	}{
		{"SO_REUSEADDR", unix.SOL_SOCKET, unix.SO_REUSEADDR, 1},
		{"SO_REUSEPORT", unix.SOL_SOCKET, unix.SO_REUSEPORT, 1},
		{"SO_ACCEPTCONN", unix.SOL_SOCKET, unix.SO_ACCEPTCONN, 1},
		{"TCP_DEFER_ACCEPT", unix.IPPROTO_TCP, unix.TCP_DEFER_ACCEPT, 1},
		{"TCP_FASTOPEN", unix.IPPROTO_TCP, unix.TCP_FASTOPEN, 16},
	} {
		if got := mustOption(t, lfd, opt.level, opt.code); got != opt.want {
			t.Errorf("%s is %d, want %d", opt.name, got, opt.want)
		}
	}
	c := mustConnect(t, &bound)
	closeLater(t, c)
	if got := mustOption(t, c, unix.IPPROTO_TCP, unix.TCP_MAXSEG); got > 1200 {
		t.Errorf("segment size of the client is %d, want at most the 1200 that the listener announced", got)
	}
	mustSend(t, c, []byte("x")) // ends the deferral
	s, _ := mustAccept(t, lfd)
	closeLater(t, s)
}

func TestListenUnix(t *testing.T) {
	checkLeaks(t)
	dir := t.TempDir()
	path := filepath.Join(dir, "s")
	sa, err := SockaddrUnix(path)
	if err != nil {
		t.Fatal(err)
	}
	serve := func(mode int) int {
		fd, err := Listen(&sa, path, &ListenOptions{Backlog: 4, Mode: mode, UID: os.Getuid(), GID: -1})
		if err != nil {
			t.Fatal(err)
		}
		return fd
	}
	first := serve(0o600)
	closeLater(t, first)
	info, err := os.Stat(path)
	if err != nil || info.Mode().Perm() != 0o600 || info.Mode()&os.ModeSocket == 0 {
		t.Errorf("mode %v, error %v; want a socket with mode 0600", info.Mode(), err)
	}

	// A second listener takes the name over; who connected before stays with the first.
	before := mustConnect(t, &sa)
	closeLater(t, before)
	second := serve(0o666)
	closeLater(t, second)
	after := mustConnect(t, &sa)
	closeLater(t, after)
	for _, lfd := range []int{first, second} {
		s, peer := mustAccept(t, lfd)
		closeLater(t, s)
		if peer.Family() != FamilyUnix {
			t.Errorf("peer's family is %d, want %d", peer.Family(), FamilyUnix)
		}
	}
	if _, e := Accept(first, &sa); e != EAGAIN {
		t.Errorf("the old listener got a connection made after the takeover (%v)", e)
	}

	names, err := filepath.Glob(filepath.Join(dir, "*"))
	if err != nil || !slices.Equal(names, []string{path}) {
		t.Errorf("folder holds %v, want the socket alone (%v)", names, err)
	}
}

func TestListenUnixRefusals(t *testing.T) {
	checkLeaks(t)
	dir := t.TempDir()
	for _, tc := range []struct {
		name string
		path string
		want error
	}{
		{"no folder", filepath.Join(dir, "none", "s"), ENOENT},
		{"no room for the temporary name", filepath.Join(dir, strings.Repeat("x", 106-len(dir))), unix.ENAMETOOLONG},
		{"a folder in its place", dir, unix.EEXIST},
	} {
		sa, err := SockaddrUnix(tc.path)
		if err != nil {
			t.Fatal(err)
		}
		fd, err := Listen(&sa, tc.path, &ListenOptions{Backlog: 4, Mode: -1, UID: -1, GID: -1})
		if fd != -1 || !errors.Is(err, tc.want) {
			t.Errorf("%s: descriptor %d, error %v; want -1, %v", tc.name, fd, err, tc.want)
		}
	}
	if names, err := filepath.Glob(filepath.Join(dir, "*")); err != nil || len(names) != 0 {
		t.Errorf("folder holds %v, want nothing (%v)", names, err)
	}
	if names, err := filepath.Glob(dir + ".*.tmp"); err != nil || len(names) != 0 {
		t.Errorf("%v left behind (%v)", names, err)
	}
}

func TestListenAbstract(t *testing.T) {
	checkLeaks(t)
	name := "\x00netio-test-" + t.Name() + "-" + time.Now().Format("150405.000000000")
	sa, err := SockaddrUnix(name)
	if err != nil {
		t.Fatal(err)
	}
	lfd, err := Listen(&sa, name, &ListenOptions{Backlog: 4})
	if err != nil {
		t.Fatal(err)
	}
	closeLater(t, lfd)
	if fd, err := Listen(&sa, name, &ListenOptions{Backlog: 4}); !errors.Is(err, EADDRINUSE) || fd != -1 {
		t.Errorf("second listener: descriptor %d, error %v; want -1, %v", fd, err, EADDRINUSE)
	}
	c := mustConnect(t, &sa)
	closeLater(t, c)
	s, _ := mustAccept(t, lfd)
	closeLater(t, s)
	mustSend(t, s, []byte("hello"))
	if got := mustRecv(t, c, 5); string(got) != "hello" {
		t.Errorf("read %q", got)
	}
}

const adoptChild = "NETIO_TEST_ADOPT"

// TestAdopt hands a listener to a child process, which serves one connection from it.
func TestAdopt(t *testing.T) {
	if os.Getenv(adoptChild) != "" {
		serveInherited(t)
		return
	}
	checkLeaks(t)
	lfd, bound := mustListen(t, loopback(0), &ListenOptions{Backlog: 4})
	copied, e := Dup(lfd)
	ok(t, "dup", e)
	f := os.NewFile(uintptr(copied), "listener")
	defer f.Close()
	cmd := exec.Command(os.Args[0], "-test.run=^TestAdopt$", "-test.count=1")
	cmd.Env = append(os.Environ(), adoptChild+"=1")
	cmd.ExtraFiles = []*os.File{f}
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	report := bufio.NewReader(out)
	if line, err := report.ReadString('\n'); line != "adopted\n" {
		t.Errorf("child says %q, %v", line, err)
	}
	c := mustConnect(t, &bound)
	defer Close(c)
	addr := bound.Addr()
	if got := mustRecv(t, c, len(addr.AddrPort().String())); string(got) != addr.AddrPort().String() {
		t.Errorf("child says that it listens on %q, want %s", got, addr.AddrPort())
	}
	rest, err := io.ReadAll(report)
	if waitErr := cmd.Wait(); waitErr != nil || err != nil {
		t.Errorf("child: %v, %v\n%s", waitErr, err, rest)
	}
}

func serveInherited(t *testing.T) {
	lfd, sa, err := Adopt(3, &ListenOptions{Backlog: 4, Conn: ConnOptions{NoDelay: true}})
	if err != nil {
		t.Fatal(err)
	}
	Close(3)
	fmt.Println("adopted") // what waits in the queue before has the options of before
	s, _ := mustAccept(t, lfd)
	if mustOption(t, s, unix.IPPROTO_TCP, unix.TCP_NODELAY) != 1 {
		t.Error("accepted socket of an adopted listener lacks TCP_NODELAY")
	}
	addr := sa.Addr()
	mustSend(t, s, []byte(addr.AddrPort().String()))
	Close(s)
	Close(lfd)
}

func TestAdoptRefusals(t *testing.T) {
	checkLeaks(t)
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	defer w.Close()
	udp, err := NewDatagram("udp4")
	if err != nil {
		t.Fatal(err)
	}
	defer Close(udp)
	for _, tc := range []struct {
		name string
		fd   int
		want Errno
	}{
		{"closed", 1 << 20, unix.EBADF},
		{"pipe", int(r.Fd()), unix.ENOTSOCK},
		{"datagram socket", udp, unix.EOPNOTSUPP},
	} {
		fd, _, err := Adopt(tc.fd, &ListenOptions{Backlog: 1})
		if fd != -1 || !errors.Is(err, tc.want) {
			t.Errorf("%s: descriptor %d, error %v; want -1, %v", tc.name, fd, err, tc.want)
		}
	}
}

func TestPauseResume(t *testing.T) {
	checkLeaks(t)
	const backlog = 8
	lfd, bound := mustListenOnPort(t, backlog)
	for range 3 {
		c := mustConnect(t, &bound)
		closeLater(t, c)
		s, _ := mustAccept(t, lfd)
		closeLater(t, s)

		waiting := mustConnect(t, &bound) // never accepted
		closeLater(t, waiting)
		if err := Pause(lfd); err != nil {
			t.Fatal(err)
		}
		if _, e := dial(&bound); e != ECONNREFUSED {
			t.Errorf("connect to a paused listener: %v, want %v", e, ECONNREFUSED)
		}
		awaitReadable(t, waiting)
		if n, e := Recv(waiting, make([]byte, 1)); e != ECONNRESET {
			t.Errorf("a connection in the queue of a paused listener reads %d, %v; want %v", n, e, ECONNRESET)
		}
		plain, e := Socket(FamilyInet)
		ok(t, "socket", e)
		if e := Bind(plain, &bound); e != EADDRINUSE {
			t.Errorf("bind to the address of a paused listener: %v, want %v", e, EADDRINUSE)
		}
		Close(plain)
		mustSend(t, c, []byte("still here"))
		mustRecv(t, s, 10)
		if err := Resume(lfd, backlog); err != nil {
			t.Fatal(err)
		}
	}
	if err := Pause(-1); !errors.Is(err, unix.EBADF) {
		t.Errorf("pause of a closed descriptor: %v", err)
	}
	if err := Resume(-1, 1); !errors.Is(err, unix.EBADF) {
		t.Errorf("resume of a closed descriptor: %v", err)
	}
}

func TestCompile(t *testing.T) {
	full := ConnOptions{
		NoDelay: true, UserTimeout: 1500 * time.Millisecond,
		KeepAlive: KeepAlive{Enabled: true, Count: 3, Idle: 1500 * time.Millisecond, Intvl: 2 * time.Second},
		RcvBuf:    1 << 16, SndBuf: 1 << 16, NotSentLowat: 4096,
	}
	for _, tc := range []struct {
		name string
		o    ConnOptions
		want []option
	}{
		{"none", ConnOptions{}, nil},
		{"keep-alive times without keep-alive", ConnOptions{KeepAlive: KeepAlive{Count: 3}}, nil},
		{"keep-alive of the kernel", ConnOptions{KeepAlive: KeepAlive{Enabled: true}}, []option{{unix.SOL_SOCKET, unix.SO_KEEPALIVE, 1}}},
		{"all", full, []option{
			{unix.SOL_SOCKET, unix.SO_RCVBUF, 1 << 16},
			{unix.SOL_SOCKET, unix.SO_SNDBUF, 1 << 16},
			{unix.IPPROTO_TCP, unix.TCP_NODELAY, 1},
			{unix.SOL_SOCKET, unix.SO_KEEPALIVE, 1},
			{unix.IPPROTO_TCP, unix.TCP_KEEPCNT, 3},
			{unix.IPPROTO_TCP, unix.TCP_KEEPIDLE, 2},
			{unix.IPPROTO_TCP, unix.TCP_KEEPINTVL, 2},
			{unix.IPPROTO_TCP, unix.TCP_USER_TIMEOUT, 1500},
			{unix.IPPROTO_TCP, unix.TCP_NOTSENT_LOWAT, 4096},
		}},
	} {
		s := tc.o.Compile()
		if got := s.opts[:s.n]; !slices.Equal(got, tc.want) {
			t.Errorf("%s: %v, want %v", tc.name, got, tc.want)
		}
	}
}

func TestApplyGoesOn(t *testing.T) {
	checkLeaks(t)
	a, _ := mustPair(t)
	o := ConnOptions{KeepAlive: KeepAlive{Enabled: true, Count: 1 << 20, Idle: 7 * time.Second}}
	s := o.Compile()
	if e := s.Apply(a); e != EINVAL {
		t.Errorf("Apply: %v, want the first refusal, %v", e, EINVAL)
	}
	if got := mustOption(t, a, unix.IPPROTO_TCP, unix.TCP_KEEPIDLE); got != 7 {
		t.Errorf("TCP_KEEPIDLE is %d, want 7: an option behind a refused one", got)
	}
}

func TestSingleOptions(t *testing.T) {
	checkLeaks(t)
	fd, e := Socket(FamilyInet)
	ok(t, "socket", e)
	closeLater(t, fd)
	ok(t, "SetReuseAddr", SetReuseAddr(fd))
	ok(t, "SetBindNoPort", SetBindNoPort(fd))
	if mustOption(t, fd, unix.SOL_SOCKET, unix.SO_REUSEADDR) != 1 {
		t.Error("SO_REUSEADDR is off")
	}
	if mustOption(t, fd, unix.IPPROTO_IP, unix.IP_BIND_ADDRESS_NO_PORT) != 1 {
		t.Error("IP_BIND_ADDRESS_NO_PORT is off")
	}
	sa := loopback(0)
	ok(t, "bind", Bind(fd, &sa))
	ok(t, "getsockname", LocalAddr(fd, &sa))
	if sa.Port() != 0 {
		t.Errorf("port %d chosen at bind time", sa.Port())
	}
	a, _ := mustPair(t)
	for want, on := range []bool{false, true} {
		ok(t, "SetQuickAck", SetQuickAck(a, on))
		if got := mustOption(t, a, unix.IPPROTO_TCP, unix.TCP_QUICKACK); got != want {
			t.Errorf("TCP_QUICKACK is %d, want %d", got, want)
		}
	}
	var unknown *OpError
	if err := BindToDevice(a, "nosuchif0"); !errors.As(err, &unknown) || unknown.Object != "nosuchif0" {
		t.Errorf("BindToDevice: %v", err)
	}
}

func TestDatagram(t *testing.T) {
	checkLeaks(t)
	from, err := NewDatagram("udp4")
	if err != nil {
		t.Fatal(err)
	}
	closeLater(t, from)
	to, err := NewDatagram("udp4")
	if err != nil {
		t.Fatal(err)
	}
	closeLater(t, to)
	sa := loopback(0)
	ok(t, "bind", Bind(to, &sa))
	ok(t, "getsockname", LocalAddr(to, &sa))
	ok(t, "sendto", SendTo(from, []byte("log line"), &sa))
	awaitReadable(t, to)
	b := make([]byte, 64)
	if n, e := Recv(to, b); e != 0 || string(b[:n]) != "log line" {
		t.Errorf("read %d bytes, %v", n, e)
	}
	if fd, err := NewDatagram("tcp"); fd != -1 || !errors.Is(err, syscall.EAFNOSUPPORT) {
		t.Errorf("NewDatagram(tcp): %d, %v", fd, err)
	}
}

// Two holders of a socket pause it. What is accepted afterwards is whole; two shutdowns would have ended it.
func TestPauseTwice(t *testing.T) {
	for _, pause := range []struct {
		name  string
		twice func(fd int)
		want  Errno // of a read before the client has sent anything
	}{
		{"Pause", func(fd int) { _, _ = Pause(fd), Pause(fd) }, EAGAIN},
		{"shutdown(2)", func(fd int) { _, _ = unix.Shutdown(fd, unix.SHUT_RD), unix.Shutdown(fd, unix.SHUT_RD) }, 0},
	} {
		fd, sa := mustListenOnPort(t, 10)
		pause.twice(fd)
		if err := Resume(fd, 10); err != nil {
			t.Fatal(err)
		}
		mustConnect(t, &sa)
		accepted, _ := mustAccept(t, fd)
		if n, e := Recv(accepted, make([]byte, 1)); e != pause.want || n > 0 {
			t.Errorf("%s: %d bytes, %v, want %v", pause.name, n, e, pause.want)
		}
	}
}
