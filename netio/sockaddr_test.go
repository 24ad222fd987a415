package netio

import (
	"encoding/binary"
	"errors"
	"net/netip"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/sys/unix"
)

func TestSockaddrFrom(t *testing.T) {
	for _, tc := range []struct {
		in     string
		family int
		size   uint32
		raw    string // behind family and port
	}{
		{"192.0.2.1:80", unix.AF_INET, 16, "\xc0\x00\x02\x01"},
		{"0.0.0.0:0", unix.AF_INET, 16, "\x00\x00\x00\x00"},
		{"[2001:db8::7]:65535", unix.AF_INET6, 28, "\x00\x00\x00\x00\x20\x01\x0d\xb8\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x07"},
		{"[::ffff:192.0.2.1]:443", unix.AF_INET6, 28, "\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\xff\xff\xc0\x00\x02\x01"},
	} {
		ap := netip.MustParseAddrPort(tc.in)
		sa := SockaddrFrom(ap)
		if sa.Family() != tc.family || sa.n != tc.size || sa.Port() != ap.Port() {
			t.Errorf("%s: family %d, size %d, port %d", tc.in, sa.Family(), sa.n, sa.Port())
		}
		if got := string(sa.raw[4 : 4+len(tc.raw)]); got != tc.raw {
			t.Errorf("%s: bytes %x, want %x", tc.in, got, tc.raw)
		}
		a := sa.Addr()
		if a.AddrPort() != ap {
			t.Errorf("%s: came back as %s", tc.in, a.AddrPort())
		}
	}
}

func TestSockaddrZone(t *testing.T) {
	for _, tc := range []struct {
		in   string
		zone uint32
	}{
		{"[fe80::1%3]:1", 3},
		{"[fe80::1%4294967295]:1", 4294967295},
		{"[fe80::1%4294967296]:1", 0},
		{"[fe80::1%eth0]:1", 0},
		{"[fe80::1%3x]:1", 0},
		{"[fe80::1]:1", 0},
	} {
		sa := SockaddrFrom(netip.MustParseAddrPort(tc.in))
		if got := binary.NativeEndian.Uint32(sa.raw[24:]); got != tc.zone {
			t.Errorf("%s: scope %d, want %d", tc.in, got, tc.zone)
		}
		if a := sa.Addr(); a.Zone != tc.zone {
			t.Errorf("%s: zone %d, want %d", tc.in, a.Zone, tc.zone)
		}
	}
}

func TestSockaddrUnix(t *testing.T) {
	long := strings.Repeat("x", 107)
	for _, tc := range []struct {
		path string
		size uint32 // 0: refused
	}{
		{"/run/a", 2 + 6 + 1},
		{"\x00a", 2 + 2},
		{long, 2 + 107 + 1},
		{"", 0},
		{long + "x", 0},
	} {
		sa, err := SockaddrUnix(tc.path)
		if tc.size == 0 {
			if !errors.Is(err, unix.ENAMETOOLONG) {
				t.Errorf("%q: error %v, want %v", tc.path, err, unix.ENAMETOOLONG)
			}
			continue
		}
		if err != nil || sa.n != tc.size || sa.Family() != FamilyUnix {
			t.Errorf("%q: size %d, family %d, error %v", tc.path, sa.n, sa.Family(), err)
		}
		want := Addr{Family: FamilyUnix}
		if diff := cmp.Diff(want, sa.Addr()); diff != "" {
			t.Errorf("%q: %s", tc.path, diff)
		}
	}
}

func TestNoAddress(t *testing.T) {
	var sa Sockaddr
	if sa.Family() != 0 {
		t.Errorf("zero Sockaddr has family %d", sa.Family())
	}
	a := sa.Addr()
	if a != (Addr{}) || a.AddrPort().IsValid() {
		t.Errorf("zero Sockaddr gives %+v", a)
	}
	if got := a.Sockaddr(); got != (Sockaddr{}) {
		t.Errorf("zero Addr gives %+v", got)
	}
	unixAddr := Addr{Family: FamilyUnix}
	if got := unixAddr.Sockaddr(); got.Family() != 0 {
		t.Errorf("a UNIX Addr gives family %d, want none", got.Family())
	}
	sa = SockaddrFrom(netip.AddrPort{})
	if sa.Family() != 0 {
		t.Errorf("invalid AddrPort gives family %d", sa.Family())
	}
}

func FuzzSockaddr(f *testing.F) {
	f.Add([]byte{127, 0, 0, 1}, uint16(80), "")
	f.Add(netip.MustParseAddr("fe80::1").AsSlice(), uint16(1), "7")
	f.Add(netip.MustParseAddr("::ffff:10.0.0.1").AsSlice(), uint16(65535), "eth0")
	f.Add([]byte{}, uint16(0), "99999999999999999999")
	f.Fuzz(func(t *testing.T, ip []byte, port uint16, zone string) {
		addr, valid := netip.AddrFromSlice(ip)
		sa := SockaddrFrom(netip.AddrPortFrom(addr.WithZone(zone), port))
		if !valid {
			if sa != (Sockaddr{}) {
				t.Fatalf("%x: address made of nothing", ip)
			}
			return
		}
		a := sa.Addr()
		if got := a.AddrPort(); got != netip.AddrPortFrom(addr, port) {
			t.Fatalf("%v port %d came back as %v", addr, port, got)
		}
		if back := a.Sockaddr(); back != sa {
			t.Fatalf("%v: kernel form changed from %v to %v", addr, sa, back)
		}
		sa.SetPort(^port)
		if sa.Port() != ^port {
			t.Fatalf("port %d, want %d", sa.Port(), ^port)
		}
		sa.SetPort(port)
		if sa.Addr() != a {
			t.Fatalf("%v: address changed with its port", addr)
		}
	})
}

// FuzzKernelSockaddr feeds what a kernel might store; the compact form must be stable.
func FuzzKernelSockaddr(f *testing.F) {
	f.Add([]byte{2, 0, 0, 80, 127, 0, 0, 1}, uint32(16))
	f.Add([]byte{10, 0, 0, 80}, uint32(28))
	f.Add([]byte{1, 0, 'x'}, uint32(3))
	f.Add([]byte{}, uint32(0))
	f.Fuzz(func(t *testing.T, raw []byte, n uint32) {
		var sa Sockaddr
		copy(sa.raw[:], raw)
		sa.n = n
		a := sa.Addr()
		back := a.Sockaddr()
		if again := back.Addr(); back.Family() != 0 && again != a {
			t.Fatalf("%+v became %+v", a, again)
		}
		if ap := a.AddrPort(); ap.IsValid() && ap.Port() != sa.Port() {
			t.Fatalf("port %d, want %d", ap.Port(), sa.Port())
		}
	})
}
