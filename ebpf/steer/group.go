package steer

import (
	"fmt"
	"net/netip"

	"golang.org/x/sys/unix"
)

// group is what the kernel compares to find the group of a listener, as far as listeners of one process can
// differ in it.
type group struct {
	address netip.AddrPort
	zone    uint32
	device  int
	v6only  int
	netns   uint64
}

// groupsOf sorts listeners by group, in the order of their first members.
func groupsOf(listeners []Listener) ([][]Listener, error) {
	places := map[group]int{}
	var groups [][]Listener
	for _, l := range listeners {
		g, ok, err := groupOf(l.FD)
		if err != nil {
			return nil, fmt.Errorf("look at listener %d: %w", l.FD, err)
		}
		if !ok {
			continue
		}
		at, known := places[g]
		if !known {
			at = len(groups)
			places[g] = at
			groups = append(groups, nil)
		}
		groups[at] = append(groups[at], l)
	}
	return groups, nil
}

// groupOf reads a listener's group. A socket that is not TCP, or without SO_REUSEPORT, has none.
func groupOf(fd int) (g group, ok bool, err error) {
	protocol, err := unix.GetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_PROTOCOL)
	if err != nil || protocol != unix.IPPROTO_TCP {
		return g, false, err
	}
	shared, err := unix.GetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_REUSEPORT)
	if err != nil || shared == 0 {
		return g, false, err
	}
	address, err := unix.Getsockname(fd)
	if err != nil {
		return g, false, err
	}
	switch a := address.(type) {
	case *unix.SockaddrInet4:
		g.address = netip.AddrPortFrom(netip.AddrFrom4(a.Addr), uint16(a.Port))
	case *unix.SockaddrInet6:
		g.address = netip.AddrPortFrom(netip.AddrFrom16(a.Addr), uint16(a.Port))
		g.zone = a.ZoneId
		if g.v6only, err = unix.GetsockoptInt(fd, unix.IPPROTO_IPV6, unix.IPV6_V6ONLY); err != nil {
			return g, false, err
		}
	default:
		return g, false, nil
	}
	if g.device, err = unix.GetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_BINDTOIFINDEX); err != nil {
		return g, false, err
	}
	if g.netns, err = unix.GetsockoptUint64(fd, unix.SOL_SOCKET, unix.SO_NETNS_COOKIE); err != nil {
		return g, false, err
	}
	return g, true, nil
}
