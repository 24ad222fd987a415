package netio

import (
	"encoding/binary"
	"net/netip"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"
)

const sockaddrMax = 112

// Sockaddr is a socket address in the kernel's own form: pointer-free, so that it may lie in memory
// that the garbage collector does not scan. The zero value is no address.
type Sockaddr struct {
	raw [sockaddrMax]byte
	n   uint32
}

// SockaddrFrom makes an address from an IP address and port. A zone that names an interface index is kept.
func SockaddrFrom(ap netip.AddrPort) Sockaddr {
	var a Addr
	a.SetAddrPort(ap)
	return a.Sockaddr()
}

// SockaddrUnix makes the address of a UNIX socket; a name that starts with a NUL byte is abstract.
func SockaddrUnix(path string) (Sockaddr, error) {
	var s Sockaddr
	if len(path) == 0 || len(path) > 107 {
		return s, &OpError{"use socket path", path, unix.ENAMETOOLONG}
	}
	binary.NativeEndian.PutUint16(s.raw[:], unix.AF_UNIX)
	copy(s.raw[2:], path)
	s.n = uint32(2 + len(path))
	if path[0] != 0 {
		s.n++
	}
	return s, nil
}

// SockaddrAbstract makes the address of an abstract UNIX socket. The name fills the whole address, zeros
// behind it, as HAProxy's abns@ has it; a name of exact length is another socket (unix(7)).
func SockaddrAbstract(name string) (Sockaddr, error) {
	s, err := SockaddrUnix("\x00" + name)
	s.n = 2 + 108
	return s, err
}

// Family is the address family, 0 when there is none.
func (s *Sockaddr) Family() int {
	if s.n < 2 {
		return 0
	}
	return int(binary.NativeEndian.Uint16(s.raw[:]))
}

// Path is the name of a UNIX address: a file, or an abstract name behind a NUL byte, without the zeros that
// fill it up. It is empty for all others.
func (s *Sockaddr) Path() string {
	if s.Family() != unix.AF_UNIX || s.n <= 2 {
		return ""
	}
	name := string(s.raw[2:min(s.n, sockaddrMax)])
	if name[0] == 0 {
		return "\x00" + strings.TrimRight(name[1:], "\x00")
	}
	name, _, _ = strings.Cut(name, "\x00")
	return name
}

// SetPort replaces the port of an IP address.
func (s *Sockaddr) SetPort(port uint16) { binary.BigEndian.PutUint16(s.raw[2:], port) }

// Port is the port of an IP address.
func (s *Sockaddr) Port() uint16 { return binary.BigEndian.Uint16(s.raw[2:]) }

// Addr is the compact form: 24 bytes, IP addresses only; a UNIX address keeps its family alone.
type Addr struct {
	IP     [16]byte // IPv4 in the first four bytes
	Zone   uint32   // interface index of a link-local IPv6 address
	Port   uint16
	Family uint8 // FamilyInet, FamilyIn6, FamilyUnix, or 0 for none
}

// Addr gives the compact form.
func (s *Sockaddr) Addr() Addr {
	var a Addr
	switch s.Family() {
	case unix.AF_INET:
		a.Family, a.Port = FamilyInet, s.Port()
		copy(a.IP[:4], s.raw[4:8])
	case unix.AF_INET6:
		a.Family, a.Port = FamilyIn6, s.Port()
		copy(a.IP[:], s.raw[8:24])
		a.Zone = binary.NativeEndian.Uint32(s.raw[24:])
	case unix.AF_UNIX:
		a.Family = FamilyUnix
	}
	return a
}

// Sockaddr gives the kernel's form of an IP address; of any other family, no address.
func (a *Addr) Sockaddr() Sockaddr {
	var s Sockaddr
	switch a.Family {
	case FamilyInet:
		binary.NativeEndian.PutUint16(s.raw[:], unix.AF_INET)
		copy(s.raw[4:8], a.IP[:4])
		s.n = 16
	case FamilyIn6:
		binary.NativeEndian.PutUint16(s.raw[:], unix.AF_INET6)
		copy(s.raw[8:24], a.IP[:])
		binary.NativeEndian.PutUint32(s.raw[24:], a.Zone)
		s.n = 28
	default:
		return s
	}
	s.SetPort(a.Port)
	return s
}

// SetAddrPort fills the compact form from a netip address.
func (a *Addr) SetAddrPort(ap netip.AddrPort) {
	ip := ap.Addr()
	*a = Addr{Port: ap.Port()}
	switch {
	case ip.Is4():
		a.Family = FamilyInet
		v := ip.As4()
		copy(a.IP[:], v[:])
	case ip.Is6():
		a.Family = FamilyIn6
		a.IP = ip.As16()
		if index, err := strconv.ParseUint(ip.Zone(), 10, 32); err == nil {
			a.Zone = uint32(index)
		}
	}
}

// AddrPort gives the netip form without the zone, invalid for anything but IP.
func (a *Addr) AddrPort() netip.AddrPort {
	switch a.Family {
	case FamilyInet:
		return netip.AddrPortFrom(netip.AddrFrom4([4]byte(a.IP[:4])), a.Port)
	case FamilyIn6:
		return netip.AddrPortFrom(netip.AddrFrom16(a.IP), a.Port)
	}
	return netip.AddrPort{}
}
