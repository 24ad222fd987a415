package steer

import (
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"os/exec"
	"runtime"
	"syscall"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/penstock/penstock/internal/testutil"
	"github.com/penstock/penstock/netio"
)

const nobody = 65534

// member is what one process has on one address: a listener for each worker.
type member struct {
	*Steering
	tb    testing.TB
	fds   []int
	slots []*Slot
}

// mustSteer skips the test where steering is not to be had.
func mustSteer(tb testing.TB) {
	tb.Helper()
	if r := Probe(); r.Answer != Yes {
		tb.Skipf("steering by eBPF: %v: %s", r.Answer, r.Reason)
	}
}

// open listens once for each worker and loads steering for it; cpus as [Load] takes them.
func open(address string, options netio.ListenOptions, cpus ...int) (m *member, err error) {
	m = &member{}
	defer func() {
		if err != nil {
			m.closeListeners()
		}
	}()
	options.Backlog, options.ReusePort = 256, true
	var listeners []Listener
	for i := range cpus {
		sa := netio.SockaddrFrom(netip.MustParseAddrPort(address))
		fd, err := netio.Listen(&sa, "", &options)
		if err != nil {
			return m, err
		}
		m.fds = append(m.fds, fd)
		listeners = append(listeners, Listener{FD: fd, Worker: i})
	}
	if m.Steering, err = Load(cpus); err != nil {
		return m, err
	}
	added, err := m.Add(listeners)
	if err == nil && added != len(listeners) {
		err = fmt.Errorf("%d of %d listeners were added", added, len(listeners))
	}
	if err != nil {
		return m, errors.Join(err, m.Close())
	}
	for i := range cpus {
		m.slots = append(m.slots, m.Slot(i, monotonicNs()))
	}
	return m, nil
}

func mustOpen(tb testing.TB, address string, options netio.ListenOptions, cpus ...int) *member {
	tb.Helper()
	m, err := open(address, options, cpus...)
	if err != nil {
		tb.Fatal(err)
	}
	m.tb = tb
	tb.Cleanup(func() {
		m.closeListeners()
		if err := m.Close(); err != nil {
			tb.Error(err)
		}
	})
	return m
}

func (m *member) closeListeners() {
	for _, fd := range m.fds {
		netio.Close(fd)
	}
	m.fds = nil
}

// closeListener closes one and leaves a hole.
func (m *member) closeListener(i int) {
	netio.Close(m.fds[i])
	m.fds[i] = -1
}

func (m *member) mustAttach(force bool, missing int) {
	m.tb.Helper()
	got, err := m.Attach(force)
	if err != nil {
		m.tb.Fatal(err)
	}
	if got != missing {
		m.tb.Fatalf("%d listeners are missing, want %d", got, missing)
	}
}

// accepted takes what waits in the queue of each listener, and sends everyone a byte.
func (m *member) accepted() []int {
	counts := make([]int, len(m.fds))
	for i, fd := range m.fds {
		for fd >= 0 {
			var peer netio.Sockaddr
			c, e := netio.Accept(fd, &peer)
			if e != 0 {
				break
			}
			counts[i]++
			netio.Send(c, []byte("x"))
			netio.Close(c)
		}
	}
	return counts
}

// mustAccept waits for as many connections as are wanted, and compares who got them. A client may be connected a
// moment before its connection is in a queue.
func (m *member) mustAccept(what string, want ...int) {
	m.tb.Helper()
	if diff := cmp.Diff(want, m.mustAcceptAll(what, sum(want))); diff != "" {
		m.tb.Fatalf("%s: accepted by worker (-want +got):\n%s", what, diff)
	}
}

// mustAcceptAll waits for n connections, whoever gets them.
func (m *member) mustAcceptAll(what string, n int) []int {
	m.tb.Helper()
	total := make([]int, len(m.fds))
	testutil.Eventually(m.tb, what+": all connections are accepted", func() bool {
		for i, c := range m.accepted() {
			total[i] += c
		}
		return sum(total) >= n
	})
	if sum(total) != n {
		m.tb.Fatalf("%s: accepted by worker %v, %d in all, want %d", what, total, sum(total), n)
	}
	return total
}

func sum(counts []int) (n int) {
	for _, c := range counts {
		n += c
	}
	return n
}

// awake is a time at which a worker was seen and will not be missed in this test, however slow it is.
func awake() int64 { return monotonicNs() + int64(time.Hour) }

// mustDial opens connections one after the other, and calls before each of them.
func mustDial(tb testing.TB, address string, n int, before func()) []net.Conn {
	tb.Helper()
	var conns []net.Conn
	for range n {
		if before != nil {
			before()
		}
		c, err := net.DialTimeout("tcp", address, testutil.Deadline)
		if err != nil {
			tb.Fatal(err)
		}
		tb.Cleanup(func() { _ = c.Close() })
		conns = append(conns, c)
	}
	return conns
}

// mustAnswer checks that every connection was served.
func mustAnswer(tb testing.TB, conns []net.Conn) {
	tb.Helper()
	for i, c := range conns {
		_ = c.SetReadDeadline(time.Now().Add(testutil.Deadline))
		if _, err := c.Read(make([]byte, 1)); err != nil {
			tb.Fatalf("connection %d of %d: %v", i+1, len(conns), err)
		}
	}
}

// onCPU runs f on a thread that stays on one CPU. f must not end the goroutine.
func onCPU(tb testing.TB, cpu int, f func()) {
	tb.Helper()
	done := make(chan error)
	go func() {
		runtime.LockOSThread() // never unlocked: the thread ends with the goroutine
		err := netio.PinThread([]int{cpu})
		if err == nil {
			f()
		}
		done <- err
	}()
	if err := <-done; err != nil {
		tb.Fatal(err)
	}
}

func mustCPUs(tb testing.TB) []int {
	tb.Helper()
	cpus, err := netio.UsableCPUs()
	if err != nil {
		tb.Fatal(err)
	}
	return cpus
}

// mustPlay starts the test binary as another process.
func mustPlay(tb testing.TB, role, address string) *testutil.Process {
	tb.Helper()
	self, err := os.Executable()
	if err != nil {
		tb.Fatal(err)
	}
	cmd := exec.Command(self, address)
	cmd.Env = append(os.Environ(), roleVariable+"="+role)
	return testutil.Start(tb, cmd)
}

// play is the other process.
func play(role, address string) error {
	switch role {
	case "crash": // takes all new connections and accepts none
		m, err := open(address, netio.ListenOptions{}, -1, -1)
		if err != nil {
			return err
		}
		if _, err := m.Attach(false); err != nil {
			return err
		}
		fmt.Println("attached")
		select {}
	case "unprivileged":
		if err := syscall.Setuid(nobody); err != nil {
			return err
		}
		_, err := Load([]int{-1})
		fmt.Println("refused:", err)
		fmt.Printf("probe: %+v\n", Probe())
		return nil
	case "setuid": // loads with privileges, and does the rest without
		m, err := open(address, netio.ListenOptions{}, -1, -1)
		if err != nil {
			return err
		}
		if err := syscall.Setuid(nobody); err != nil {
			return err
		}
		if missing, err := m.Attach(false); missing != 0 || err != nil {
			return fmt.Errorf("attach: %d missing, %w", missing, err)
		}
		for _, fd := range m.fds {
			if err := netio.Pause(fd); err != nil {
				return err
			}
		}
		for _, fd := range m.fds {
			if err := netio.Resume(fd, 16); err != nil {
				return err
			}
		}
		missing, err := m.Attach(false)
		fmt.Printf("attached again: %d missing, %v\n", missing, err)
		return nil
	}
	return fmt.Errorf("no role %q", role)
}
