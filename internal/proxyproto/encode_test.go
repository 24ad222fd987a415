package proxyproto

import (
	"bufio"
	"bytes"
	"net"
	"net/netip"
	"testing"

	proxyproto "github.com/pires/go-proxyproto"
)

func TestEncode(t *testing.T) {
	four, other := netip.MustParseAddrPort("192.0.2.1:65535"), netip.MustParseAddrPort("198.51.100.7:80")
	six := netip.MustParseAddrPort("[2001:db8::1]:1")
	mapped := netip.MustParseAddrPort("[::ffff:192.0.2.1]:65535")
	zone := netip.MustParseAddrPort("[fe80::1%eth0]:5")
	for _, c := range []struct {
		name     string
		src, dst netip.AddrPort
		v1       string
		v2       string // behind the signature
	}{
		{"IPv4", four, other, "PROXY TCP4 192.0.2.1 198.51.100.7 65535 80\r\n", "\x21\x11\x00\x0c\xc0\x00\x02\x01\xc6\x33\x64\x07\xff\xff\x00\x50"},
		{"IPv4 in IPv6", mapped, other, "PROXY TCP4 192.0.2.1 198.51.100.7 65535 80\r\n", "\x21\x11\x00\x0c\xc0\x00\x02\x01\xc6\x33\x64\x07\xff\xff\x00\x50"},
		{
			"IPv6", six, six, "PROXY TCP6 2001:db8::1 2001:db8::1 1 1\r\n",
			"\x21\x21\x00\x24\x20\x01\x0d\xb8" + "\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x01" +
				"\x20\x01\x0d\xb8" + "\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x01" + "\x00\x01\x00\x01",
		},
		{
			"a zone", zone, six, "PROXY TCP6 fe80::1 2001:db8::1 5 1\r\n",
			"\x21\x21\x00\x24\xfe\x80\x00\x00" + "\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x01" +
				"\x20\x01\x0d\xb8" + "\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x01" + "\x00\x05\x00\x01",
		},
		{"two families", four, six, "PROXY UNKNOWN\r\n", "\x21\x00\x00\x00"},
		{"none", netip.AddrPort{}, netip.AddrPort{}, "PROXY UNKNOWN\r\n", "\x21\x00\x00\x00"},
	} {
		t.Run(c.name, func(t *testing.T) {
			if got := string(AppendV1(nil, c.src, c.dst)); got != c.v1 {
				t.Errorf("version 1 %q, want %q", got, c.v1)
			}
			if got := string(AppendV2(nil, c.src, c.dst)); got != signature+c.v2 {
				t.Errorf("version 2 %q, want %q", got, signature+c.v2)
			}
		})
	}
	if got := string(AppendV2Local([]byte("x"))); got != "x"+signature+"\x20\x00\x00\x00" {
		t.Errorf("local: %q", got)
	}
}

// Another implementation reads what was meant.
func FuzzEncode(f *testing.F) {
	f.Add([]byte{127, 0, 0, 1}, []byte{10, 0, 0, 1}, uint16(1), uint16(65535))
	f.Add([]byte(net.IPv6loopback), bytes.Repeat([]byte{0xff}, 16), uint16(0), uint16(80))
	f.Add([]byte(net.ParseIP("::ffff:1.2.3.4").To16()), []byte(net.IPv6zero), uint16(5), uint16(6))
	f.Add([]byte{}, []byte{1, 2, 3, 4}, uint16(1), uint16(1))
	f.Fuzz(func(t *testing.T, from, to []byte, srcPort, dstPort uint16) {
		a, _ := netip.AddrFromSlice(from)
		b, _ := netip.AddrFromSlice(to)
		src, dst := netip.AddrPortFrom(a, srcPort), netip.AddrPortFrom(b, dstPort)
		same := a.IsValid() && b.IsValid() && (a.Unmap().Is4() == b.Unmap().Is4() || a.Is6() && b.Is6())
		for version, header := range map[byte][]byte{1: AppendV1(nil, src, dst), 2: AppendV2(nil, src, dst)} {
			if version == 1 && len(header) > V1Max {
				t.Fatalf("%d bytes", len(header))
			}
			r := bufio.NewReader(bytes.NewReader(append(header, 'x')))
			h, err := proxyproto.Read(r)
			if err != nil && same {
				t.Fatalf("%q: %v", header, err)
			}
			if err != nil || !same {
				continue
			}
			if rest, _ := r.ReadByte(); rest != 'x' || h.Version != version {
				t.Fatalf("%q: version %d, %q behind it", header, h.Version, rest)
			}
			for _, end := range []struct {
				got  net.Addr
				want netip.AddrPort
			}{{h.SourceAddr, src}, {h.DestinationAddr, dst}} {
				got := end.got.(*net.TCPAddr).AddrPort()
				if got.Addr().Unmap() != end.want.Addr().Unmap() || got.Port() != end.want.Port() {
					t.Fatalf("%q: %v, want %v", header, got, end.want)
				}
			}
		}
	})
}
