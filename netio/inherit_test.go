package netio

import (
	"fmt"
	"net/netip"
	"os"
	"path/filepath"
	"testing"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/sys/unix"
)

func mustListenOn(tb testing.TB, addr string, o *ListenOptions) int {
	tb.Helper()
	sa := SockaddrFrom(netip.MustParseAddrPort(addr))
	fd, err := Listen(&sa, "", o)
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() { Close(fd) })
	return fd
}

// optionsOf reads everything that accepted sockets inherit.
func optionsOf(tb testing.TB, fd int) map[string]string {
	tb.Helper()
	all := map[string]string{}
	for _, o := range imitated {
		v, err := unix.GetsockoptInt(fd, o.level, o.name)
		all[o.what] = fmt.Sprint(v, err)
	}
	cc, err := unix.GetsockoptString(fd, unix.IPPROTO_TCP, unix.TCP_CONGESTION)
	all["TCP_CONGESTION"] = fmt.Sprint(cc, err)
	mss, err := unix.GetsockoptInt(fd, unix.IPPROTO_TCP, unix.TCP_MAXSEG)
	all["TCP_MAXSEG"] = fmt.Sprint(mss, err)
	linger, err := unix.GetsockoptLinger(fd, unix.SOL_SOCKET, unix.SO_LINGER)
	all["SO_LINGER"] = fmt.Sprint(*linger, err)
	return all
}

// A listener that was opened with one set of options and inherited with another has the second, whether
// options came or went.
func TestInheritOptions(t *testing.T) {
	plain := &ListenOptions{Backlog: 10, ReusePort: true}
	rich := &ListenOptions{
		Conn: ConnOptions{
			NoDelay: true, KeepAlive: KeepAlive{Enabled: true, Count: 3, Idle: 7e9, Intvl: 5e9}, UserTimeout: 9e9,
			RcvBuf: 1 << 15, SndBuf: 1 << 16, NotSentLowat: 1 << 14, CC: "reno",
		},
		Backlog: 20, MSS: 1200, DeferAccept: true, FastOpen: true, BindCPU: true,
	}
	for _, test := range []struct {
		name     string
		from, to *ListenOptions
	}{
		{"options come", plain, rich},
		{"options go", rich, plain},
		{"nothing changes", rich, rich},
	} {
		t.Run(test.name, func(t *testing.T) {
			fd := mustListenOn(t, "127.0.0.1:0", test.from)
			if err := unix.SetsockoptLinger(fd, unix.SOL_SOCKET, unix.SO_LINGER, &unix.Linger{Onoff: 1}); err != nil {
				t.Fatal(err)
			}
			if err := Inherit(fd, "", test.to); err != nil {
				t.Fatal(err)
			}
			want := optionsOf(t, mustListenOn(t, "127.0.0.1:0", test.to))
			if diff := cmp.Diff(want, optionsOf(t, fd)); diff != "" {
				t.Errorf("options (-opened, +inherited):\n%s", diff)
			}
		})
	}
}

// A second listener joins one that was opened alone, once that was inherited.
func TestInheritMakesRoomInTheGroup(t *testing.T) {
	fd := mustListenOn(t, "127.0.0.1:0", &ListenOptions{Backlog: 10})
	var sa Sockaddr
	if e := LocalAddr(fd, &sa); e != 0 {
		t.Fatal(e)
	}
	o := &ListenOptions{Backlog: 10, ReusePort: true}
	if second, err := Listen(&sa, "", o); err == nil {
		Close(second)
		t.Fatal("a second listener joined at once")
	}
	if err := Inherit(fd, "", o); err != nil {
		t.Fatal(err)
	}
	second, err := Listen(&sa, "", o)
	if err != nil {
		t.Fatal(err)
	}
	Close(second)
}

// A listener that its owner has paused listens again.
func TestInheritPaused(t *testing.T) {
	o := &ListenOptions{Backlog: 10}
	fd := mustListenOn(t, "127.0.0.1:0", o)
	if err := Pause(fd); err != nil {
		t.Fatal(err)
	}
	if err := Inherit(fd, "", o); err != nil {
		t.Fatal(err)
	}
	if !getBool(fd, unix.SOL_SOCKET, unix.SO_ACCEPTCONN) {
		t.Error("it does not listen")
	}
}

func TestServes(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "s")
	unixAddr, err := SockaddrUnix(path)
	if err != nil {
		t.Fatal(err)
	}
	named, err := Listen(&unixAddr, path, &ListenOptions{Backlog: 1, Mode: -1, UID: -1, GID: -1})
	if err != nil {
		t.Fatal(err)
	}
	defer Close(named)
	abstractAddr, err := SockaddrAbstract(fmt.Sprintf("penstock-serves-%d", os.Getpid()))
	if err != nil {
		t.Fatal(err)
	}
	abstract, err := Listen(&abstractAddr, "", &ListenOptions{Backlog: 1})
	if err != nil {
		t.Fatal(err)
	}
	defer Close(abstract)
	v4 := mustListenOn(t, "127.0.0.1:0", &ListenOptions{Backlog: 1})
	var v4Addr Sockaddr
	if e := LocalAddr(v4, &v4Addr); e != 0 {
		t.Fatal(e)
	}
	otherPort := v4Addr
	otherPort.SetPort(v4Addr.Port() ^ 1)
	elsewhere, err := SockaddrUnix(path + "2")
	if err != nil {
		t.Fatal(err)
	}
	for _, test := range []struct {
		name string
		fd   int
		sa   Sockaddr
		path string
		o    ListenOptions
		want bool
	}{
		{"IPv4", v4, v4Addr, "", ListenOptions{}, true},
		{"IPv4, other port", v4, otherPort, "", ListenOptions{}, false},
		{"IPv4, on an interface", v4, v4Addr, "", ListenOptions{Interface: "lo"}, false},
		{"path", named, unixAddr, path, ListenOptions{}, true},
		{"other path", named, elsewhere, path + "2", ListenOptions{}, false},
		{"abstract", abstract, abstractAddr, "", ListenOptions{}, true},
		{"abstract and path", abstract, unixAddr, path, ListenOptions{}, false},
		{"path and IPv4", named, v4Addr, "", ListenOptions{}, false},
	} {
		b, err := Examine(test.fd)
		if err != nil {
			t.Fatal(err)
		}
		if got := b.Serves(&test.sa, test.path, &test.o); got != test.want {
			t.Errorf("%s: %v", test.name, got)
		}
	}
}

func TestServesV6Only(t *testing.T) {
	sa := SockaddrFrom(netip.MustParseAddrPort("[::1]:0"))
	only, err := Listen(&sa, "", &ListenOptions{Backlog: 1, V6Only: true})
	if err != nil {
		t.Skipf("no IPv6 here: %v", err)
	}
	defer Close(only)
	b, err := Examine(only)
	if err != nil {
		t.Fatal(err)
	}
	if !b.Serves(&b.Sockaddr, "", &ListenOptions{V6Only: true}) || b.Serves(&b.Sockaddr, "", &ListenOptions{V4V6: true}) {
		t.Error("IPV6_V6ONLY is not told apart")
	}
}

func TestFinalPath(t *testing.T) {
	for path, want := range map[string]string{
		"/run/a":          "/run/a",
		"/run/a.12.tmp":   "/run/a",
		"/run/a.tmp":      "/run/a.tmp",
		"/run/a.12x.tmp":  "/run/a.12x.tmp",
		"/run/a12.tmp":    "/run/a12.tmp",
		".12.tmp":         ".12.tmp",
		"a.1.tmp.22.tmp":  "a.1.tmp",
		"/run/a.12.tmp.x": "/run/a.12.tmp.x",
	} {
		if got := finalPath(path); got != want {
			t.Errorf("%s: %s, want %s", path, got, want)
		}
	}
}
