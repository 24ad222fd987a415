package steer

import (
	"errors"
	"net/netip"
	"syscall"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/penstock/penstock/internal/testutil"
	"github.com/penstock/penstock/netio"
)

// Listeners are grouped as the kernel does; who is in no group is left out.
func TestGroupsOf(t *testing.T) {
	port := uint16(testutil.FreePort(t))
	here, there := netip.MustParseAddr("127.0.0.1"), netip.MustParseAddr("127.0.0.2")
	var listeners []Listener
	for i, l := range []struct {
		address netip.Addr
		port    uint16
		options netio.ListenOptions
	}{
		{here, port, netio.ListenOptions{ReusePort: true}},
		{there, port, netio.ListenOptions{ReusePort: true}},
		{here, port, netio.ListenOptions{ReusePort: true}},
		{here, 0, netio.ListenOptions{}},
		{here, port, netio.ListenOptions{ReusePort: true, Interface: "lo"}},
	} {
		sa := netio.SockaddrFrom(netip.AddrPortFrom(l.address, l.port))
		l.options.Backlog = 1
		fd, err := netio.Listen(&sa, "", &l.options)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { netio.Close(fd) })
		listeners = append(listeners, Listener{FD: fd, Worker: i})
	}
	groups, err := groupsOf(listeners)
	if errors.Is(err, syscall.ENOPROTOOPT) {
		t.Skip("needs Linux 5.14")
	}
	if err != nil {
		t.Fatal(err)
	}
	var workers [][]int
	for _, g := range groups {
		var of []int
		for _, l := range g {
			of = append(of, l.Worker)
		}
		workers = append(workers, of)
	}
	if diff := cmp.Diff([][]int{{0, 2}, {1}, {4}}, workers); diff != "" {
		t.Error(diff)
	}
}
