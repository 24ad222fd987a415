package load

import (
	"fmt"
	"net/netip"
	"slices"
	"sync/atomic"
	"time"

	"github.com/penstock/penstock/netio"
	"golang.org/x/sys/unix"
)

// Rig is the client's thread and the servers.
type Rig struct {
	// Echo and Source are where the servers listen: one sends back what it gets, the other sends a
	// stream without end.
	Echo, Source netip.AddrPort

	client *Loop
	server *Loop // the client's, when they share a CPU
	jobs   chan func()
	wake   *netio.Waker
	done   chan struct{}
	failed atomic.Pointer[error] // of the server's own thread
}

// NewRig starts the ends on CPUs: one loop if the sets are equal, two otherwise.
func NewRig(clientCPUs, serverCPUs []int) (*Rig, error) {
	r := &Rig{jobs: make(chan func()), done: make(chan struct{})}
	var err error
	if r.client, err = newLoop(); err != nil {
		return nil, err
	}
	r.server = r.client
	if !slices.Equal(clientCPUs, serverCPUs) {
		if r.server, err = newLoop(); err != nil {
			r.client.close()
			return nil, err
		}
	}
	if err := r.start(clientCPUs, serverCPUs); err != nil {
		r.closeLoops()
		return nil, err
	}
	return r, nil
}

func (r *Rig) start(clientCPUs, serverCPUs []int) error {
	echoAt, err := listen(r.server, &echo{r.server}, netio.Readable|netio.PeerClosed|netio.Edge)
	if err != nil {
		return err
	}
	sourceAt, err := listen(r.server, &source{r.server}, netio.Writable|netio.PeerClosed)
	if err != nil {
		return err
	}
	r.Echo, r.Source = addrPort(&echoAt), addrPort(&sourceAt)
	if r.server != r.client {
		if err := r.startServer(serverCPUs); err != nil {
			return err
		}
	}
	return pinned(clientCPUs, func() {
		for job := range r.jobs {
			job()
		}
	})
}

// startServer runs the server's loop on a thread of its own until Close.
func (r *Rig) startServer(cpus []int) error {
	var err error
	if r.wake, err = netio.NewWaker(); err != nil {
		return err
	}
	if _, err := r.server.add(r.wake.FD(), stopper{r.server}, netio.Readable); err != nil {
		return err
	}
	return pinned(cpus, func() {
		defer close(r.done)
		for !r.server.stop {
			if err := r.server.turn(time.Second); err != nil {
				r.failed.Store(&err)
				return
			}
		}
	})
}

type stopper struct{ loop *Loop }

func (s stopper) ready(*conn, uint32) error {
	s.loop.stop = true
	return nil
}

// do runs a job on the client's thread. Server errors fail it too.
func (r *Rig) do(job func(l *Loop) error) error {
	result := make(chan error)
	r.jobs <- func() { result <- job(r.client) }
	err := <-result
	if failed := r.failed.Load(); failed != nil {
		return *failed
	}
	return err
}

// CPU is the time that the whole process, client and servers included, has spent on CPUs.
func (r *Rig) CPU() time.Duration {
	var ts unix.Timespec
	if err := unix.ClockGettime(unix.CLOCK_PROCESS_CPUTIME_ID, &ts); err != nil {
		return 0
	}
	return time.Duration(ts.Nano())
}

// settle handles the ends of connections until the servers have none left.
func (r *Rig) settle(l *Loop) error {
	if r.server != l {
		return nil
	}
	const listeners = 2
	return l.runUntil("end of the connections", 10*time.Second, func() bool {
		return len(l.conns)-len(l.free) <= listeners
	})
}

// Close ends the threads and closes all sockets.
func (r *Rig) Close() {
	close(r.jobs)
	if r.server != r.client {
		r.wake.Wake()
		<-r.done
	}
	r.closeLoops()
}

func (r *Rig) closeLoops() {
	if r.server != r.client {
		r.server.close()
	}
	r.client.close()
}

func loopback(port uint16) netio.Sockaddr {
	return netio.SockaddrFrom(netip.AddrPortFrom(netip.AddrFrom4([4]byte{127, 0, 0, 1}), port))
}

func addrPort(sa *netio.Sockaddr) netip.AddrPort {
	a := sa.Addr()
	return a.AddrPort()
}

// FreePort finds a port of the loopback that nobody listens on.
func FreePort() (uint16, error) {
	fd, e := netio.Socket(netio.FamilyInet)
	if e != 0 {
		return 0, fmt.Errorf("find a free port: %w", e)
	}
	defer netio.Close(fd)
	sa := loopback(0)
	if e := netio.Bind(fd, &sa); e != 0 {
		return 0, fmt.Errorf("find a free port: %w", e)
	}
	if e := netio.LocalAddr(fd, &sa); e != 0 {
		return 0, fmt.Errorf("find a free port: %w", e)
	}
	return sa.Port(), nil
}
