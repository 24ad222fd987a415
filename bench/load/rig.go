package load

import (
	"net/netip"
	"slices"
	"sync/atomic"
	"time"

	"github.com/penstock/penstock/bench/place"
	"github.com/penstock/penstock/netio"
	"golang.org/x/sys/unix"
)

// Rig is the client's thread and the servers.
type Rig struct {
	// Where the servers listen: Echo sends back what it gets, Source sends a stream without end, and
	// Exchange does that while it takes the same stream from the client.
	Echo, Source, Exchange netip.AddrPort

	client   *Loop
	server   *Loop // the client's, when they share a thread
	exchange *exchange
	jobs     chan func()
	wake     *netio.Waker
	done     chan struct{}
	failed   atomic.Pointer[error] // of the server's own thread
}

// NewRig starts the ends in their places. On one CPU alone they share a thread, so that the machine
// does not spend its time switching between them.
func NewRig(client, server place.Party) (*Rig, error) {
	r := &Rig{jobs: make(chan func()), done: make(chan struct{})}
	var err error
	if r.client, err = newLoop(); err != nil {
		return nil, err
	}
	r.server = r.client
	if len(client.CPUs) > 1 || !slices.Equal(client.CPUs, server.CPUs) {
		if r.server, err = newLoop(); err != nil {
			r.client.close()
			return nil, err
		}
	}
	if err := r.start(client, server); err != nil {
		r.closeLoops()
		return nil, err
	}
	return r, nil
}

func (r *Rig) start(client, server place.Party) error {
	r.exchange = &exchange{loop: r.server}
	err := server.Do(func() error { // whose network the listeners and all that they accept belong to
		for _, s := range []struct {
			at     *netip.AddrPort
			serve  role
			events uint32
		}{
			{&r.Echo, &echo{r.server}, netio.Readable | netio.PeerClosed | netio.Edge},
			{&r.Source, &source{r.server}, netio.Writable | netio.PeerClosed},
			{&r.Exchange, r.exchange, netio.Readable | netio.Writable | netio.PeerClosed},
		} {
			sa, err := listen(r.server, server.Addr, s.serve, s.events)
			if err != nil {
				return err
			}
			*s.at = addrPort(&sa)
		}
		return nil
	})
	if err != nil {
		return err
	}
	if r.server != r.client {
		if err := r.startServer(server); err != nil {
			return err
		}
	}
	return client.Go(func() {
		for job := range r.jobs {
			job()
		}
	})
}

// startServer runs the server's loop on a thread of its own until Close.
func (r *Rig) startServer(p place.Party) error {
	var err error
	if r.wake, err = netio.NewWaker(); err != nil {
		return err
	}
	if _, err := r.server.add(r.wake.FD(), stopper{r.server}, netio.Readable); err != nil {
		return err
	}
	return p.Go(func() {
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
	listeners := 0
	for _, c := range l.conns {
		if _, is := c.role.(*acceptor); is {
			listeners++
		}
	}
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

func addrPort(sa *netio.Sockaddr) netip.AddrPort {
	a := sa.Addr()
	return a.AddrPort()
}
