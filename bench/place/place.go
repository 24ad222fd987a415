package place

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"net/netip"
	"os"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"sync/atomic"

	"github.com/penstock/penstock/netio"
	"golang.org/x/sys/unix"
)

// Party is where one of the three runs.
type Party struct {
	CPUs []int
	Net  string     // file of its network namespace; empty: the harness's own
	Addr netip.Addr // that the others reach it by
}

// Placement says where each of the three runs.
type Placement struct {
	Proxy, Client, Server Party
	TCP                   string // what network they share and how it paces
}

var localhost = netip.AddrFrom4([4]byte{127, 0, 0, 1})

// Apart shares CPUs out: the proxy gets one of its own if there are two.
func Apart(cpus []int) Placement {
	proxy, client := cpus[:1], cpus[min(1, len(cpus)-1):][:1]
	server := cpus[min(2, len(cpus)-1):][:1]
	return Placement{
		Proxy:  Party{CPUs: proxy, Addr: localhost},
		Client: Party{CPUs: client, Addr: localhost},
		Server: Party{CPUs: server, Addr: localhost},
	}
}

// Roam lets the three share two CPUs, or the only one; the kernel places them.
func (p Placement) Roam(cpus []int) Placement {
	both := cpus[:min(2, len(cpus))]
	p.Proxy.CPUs, p.Client.CPUs, p.Server.CPUs = both, both, both
	return p
}

func (p Placement) String() string {
	var b strings.Builder
	switch proxy, client, server := p.Proxy.CPUs[0], p.Client.CPUs[0], p.Server.CPUs[0]; {
	case len(p.Proxy.CPUs) > 1:
		fmt.Fprintf(&b, "Proxy, client and server free on CPUs %d and %d", proxy, p.Proxy.CPUs[1])
	case proxy == client:
		fmt.Fprintf(&b, "Everything on CPU %d: figures per operation include the load's cache misses", proxy)
	case client == server:
		fmt.Fprintf(&b, "Proxy on CPU %d, client and server on CPU %d", proxy, client)
	default:
		fmt.Fprintf(&b, "Proxy on CPU %d, client on CPU %d, server on CPU %d", proxy, client, server)
	}
	if p.TCP != "" {
		b.WriteString("; " + p.TCP)
	}
	return b.String()
}

// Confine keeps all threads of this process, present and to come, off the proxy's CPU.
func (p Placement) Confine() error {
	var set unix.CPUSet
	for _, c := range slices.Concat(p.Client.CPUs, p.Server.CPUs) {
		set.Set(c)
	}
	tasks, err := os.ReadDir("/proc/self/task")
	if err != nil {
		return err
	}
	for _, t := range tasks {
		tid, err := strconv.Atoi(t.Name())
		if err != nil {
			return err
		}
		if err := unix.SchedSetaffinity(tid, &set); err != nil && err != unix.ESRCH {
			return &netio.OpError{Op: "set", Object: "CPU affinity of thread " + t.Name(), Err: err}
		}
	}
	return nil
}

// Go runs f on a thread of its own, in its place, and returns when the thread is there. What f opens or
// starts belongs to that place; sockets keep their namespace whoever uses them later.
func (p *Party) Go(f func()) error {
	started := make(chan error)
	go func() {
		runtime.LockOSThread() // never unlocked: the thread dies with its place
		err := p.enter()
		started <- err
		if err == nil {
			f()
		}
	}()
	return <-started
}

// Do is Go that waits for f.
func (p *Party) Do(f func() error) error {
	result := make(chan error, 1)
	if err := p.Go(func() { result <- f() }); err != nil {
		return err
	}
	return <-result
}

func (p *Party) enter() error {
	if p.Net != "" {
		fd, err := unix.Open(p.Net, unix.O_RDONLY|unix.O_CLOEXEC, 0)
		if err != nil {
			return &netio.OpError{Op: "open", Object: p.Net, Err: err}
		}
		defer unix.Close(fd)
		if err := unix.Setns(fd, unix.CLONE_NEWNET); err != nil {
			return &netio.OpError{Op: "enter", Object: p.Net, Err: err}
		}
	}
	return netio.PinThread(p.CPUs)
}

// Ports are looked for in turn from anywhere, so that none is found twice, and below the kernel's ephemeral range, where any
// outgoing connection may take one before it is bound.
const (
	firstPort = 10000
	portRange = 22000
)

var nextPort atomic.Uint32

func init() { nextPort.Store(rand.Uint32N(portRange)) }

// FreePort finds a TCP port of the party that nobody listens on.
func (p *Party) FreePort() (port uint16, err error) {
	err = p.Do(func() (err error) {
		for range portRange {
			port = uint16(firstPort + nextPort.Add(1)%portRange)
			if err = p.bindable(port); !errors.Is(err, netio.EADDRINUSE) {
				break
			}
		}
		return err
	})
	return port, err
}

func (p *Party) bindable(port uint16) error {
	fd, e := netio.Socket(netio.FamilyInet)
	if e != 0 {
		return fmt.Errorf("find a free port: %w", e)
	}
	defer netio.Close(fd)
	sa := netio.SockaddrFrom(netip.AddrPortFrom(p.Addr, port))
	if e := netio.Bind(fd, &sa); e != 0 {
		return fmt.Errorf("find a free port of %v: %w", p.Addr, e)
	}
	return nil
}
