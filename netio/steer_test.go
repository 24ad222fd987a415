package netio

import (
	"net"
	"net/netip"
	"runtime"
	"testing"
)

// A listener of a SO_REUSEPORT group that names a CPU gets the connections whose SYN is handled there; over
// the loopback that is the CPU of the client (SO_INCOMING_CPU in groups: Linux 6.2, commit b261eda84ec1).
func TestIncomingCPUChoosesListener(t *testing.T) {
	cpus, err := UsableCPUs()
	if err != nil {
		t.Fatal(err)
	}
	if len(cpus) < 2 {
		t.Skip("needs two CPUs")
	}
	sa := SockaddrFrom(netip.MustParseAddrPort("127.0.0.1:0"))
	var listeners [2]int
	for i := range listeners {
		fd, err := Listen(&sa, "", &ListenOptions{Backlog: 64, ReusePort: true, BindCPU: true, CPU: cpus[i]})
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { Close(fd) })
		listeners[i] = fd
		if e := LocalAddr(fd, &sa); e != 0 {
			t.Fatal(e)
		}
	}
	addr := sa.Addr()
	for i := range listeners {
		connectFrom(t, cpus[i], addr.AddrPort().String(), 16)
	}
	strays := 0
	for i, fd := range listeners {
		n := 0
		for {
			var peer Sockaddr
			c, e := Accept(fd, &peer)
			if e != 0 {
				break
			}
			Close(c)
			n++
		}
		t.Logf("CPU %d: %d of 16", cpus[i], n)
		strays += max(16-n, 0)
	}
	if strays > 4 {
		t.Skipf("this kernel does not choose by SO_INCOMING_CPU: %d of 32 connections went elsewhere", strays)
	}
}

// connectFrom opens n connections from a thread on one CPU and closes them at the end of the test.
func connectFrom(t *testing.T, cpu int, addr string, n int) {
	t.Helper()
	done := make(chan error)
	go func() {
		runtime.LockOSThread() // never unlocked: the thread stays pinned and ends with the goroutine
		err := PinThread([]int{cpu})
		for range n {
			if err != nil {
				break
			}
			var c net.Conn
			if c, err = net.Dial("tcp", addr); err == nil {
				t.Cleanup(func() { _ = c.Close() })
			}
		}
		done <- err
	}()
	if err := <-done; err != nil {
		t.Fatal(err)
	}
}
