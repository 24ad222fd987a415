package session

import (
	"testing"

	"github.com/penstock/penstock/netio"
)

// exchange is one whole session without a test's comforts, so that it can be counted and timed:
// connect, request, response, close, and its log line.
type exchange struct {
	*rig
	sa      netio.Sockaddr
	request []byte
}

func (x *exchange) run() {
	fd, _ := netio.Socket(netio.FamilyInet)
	netio.Connect(fd, &x.addr)
	netio.Send(fd, x.request)
	var remote int
	for {
		x.step(1)
		n, e := netio.Accept(x.remote, &x.sa)
		if e == 0 {
			remote = n
			break
		}
	}
	x.transfer(remote, len(x.request))
	netio.Send(remote, x.request)
	x.transfer(fd, len(x.request))
	netio.Close(fd)
	netio.Close(remote)
	for x.table.Live() > 0 {
		x.step(1)
	}
	for {
		if _, e := netio.Recv(x.logFD, x.buf); e == 0 {
			return
		}
	}
}

// transfer turns the loop until n bytes have arrived at fd.
func (x *exchange) transfer(fd, n int) {
	for got := 0; got < n; {
		x.step(1)
		m, e := netio.Recv(fd, x.buf)
		if e == 0 {
			got += m
		}
	}
}

const tcplogFormat = `%ci:%cp [%t] %ft %b/%s %Tw/%Tc/%Tt %B %ts %ac/%fc/%bc/%sc/%rc %sq/%bq`

// At steady state a session allocates nothing, whatever way its bytes take.
func TestNoAllocations(t *testing.T) {
	for _, test := range []struct {
		name string
		o    rigOptions
		size int
	}{
		{"round trip", rigOptions{}, 100},
		{"copied", rigOptions{}, 60000},
		{"spliced", rigOptions{force: true}, 60000},
		{"small buffers", rigOptions{smallBufs: true, bufSize: 4096}, 20000},
	} {
		t.Run(test.name, func(t *testing.T) {
			test.o.format = tcplogFormat
			x := &exchange{rig: mustRig(t, test.o), request: make([]byte, test.size)}
			for range 20 {
				x.run()
			}
			if n := testing.AllocsPerRun(500, x.run); n != 0 {
				t.Errorf("%v allocations for each session, want 0", n)
			}
			x.clean()
		})
	}
}

// Neither do sessions that wait in the queue, nor attempts to connect that fail.
func TestNoAllocationsQueuedOrRetried(t *testing.T) {
	r := mustRig(t, rigOptions{maxConn: 1, format: tcplogFormat})
	var sa netio.Sockaddr
	session := func() {
		var fds [3]int
		for i := range fds {
			fds[i], _ = netio.Socket(netio.FamilyInet)
			netio.Connect(fds[i], &r.addr)
		}
		for _, fd := range fds {
			for {
				r.step(1)
				n, e := netio.Accept(r.remote, &sa)
				if e == 0 {
					netio.Close(n)
					break
				}
			}
			netio.Close(fd)
		}
		for r.table.Live() > 0 {
			r.step(1)
		}
		for range fds {
			netio.Recv(r.logFD, r.buf)
		}
	}
	for range 20 {
		session()
	}
	if n := testing.AllocsPerRun(200, session); n >= 1 {
		t.Errorf("%v allocations for three sessions with one slot, want 0", n)
	}
	r.clean()

	refused := mustRig(t, rigOptions{format: tcplogFormat, configure: func(p *Proxy) { p.ConnectMs, p.Retries = 1, 3 }})
	refused.closeServer()
	session = func() {
		fd, _ := netio.Socket(netio.FamilyInet)
		netio.Connect(fd, &refused.addr)
		for refused.table.Live() == 0 {
			refused.step(1)
		}
		for refused.table.Live() > 0 {
			refused.step(1)
		}
		netio.Recv(refused.logFD, refused.buf)
		netio.Close(fd)
	}
	for range 20 {
		session()
	}
	if n := testing.AllocsPerRun(100, session); n >= 1 {
		t.Errorf("%v allocations for a session of four attempts, want 0", n)
	}
	refused.clean()
}

// BenchmarkSession is the whole machine on one thread: the table, its peers and the kernel between them.
func BenchmarkSession(b *testing.B) {
	b.Run("connect-close", func(b *testing.B) {
		x := &exchange{rig: mustRig(b, rigOptions{format: tcplogFormat}), request: make([]byte, 100)}
		x.run()
		b.ReportAllocs()
		for b.Loop() {
			x.run()
		}
	})
	b.Run("round-trip", func(b *testing.B) {
		x := &exchange{rig: mustRig(b, rigOptions{}), request: make([]byte, 100)}
		c, s := x.pair()
		b.ReportAllocs()
		for b.Loop() {
			netio.Send(c.fd, x.request)
			x.transfer(s.fd, 100)
			netio.Send(s.fd, x.request)
			x.transfer(c.fd, 100)
		}
	})
	for _, bulk := range []struct {
		name string
		o    rigOptions
	}{{"bulk-copy", rigOptions{}}, {"bulk-splice", rigOptions{force: true}}} {
		b.Run(bulk.name, func(b *testing.B) {
			x := &exchange{rig: mustRig(b, bulk.o), request: make([]byte, 256<<10)}
			c, s := x.pair()
			b.ReportAllocs()
			b.SetBytes(int64(len(x.request)))
			for b.Loop() {
				m, e := netio.Send(s.fd, x.request)
				if e != 0 {
					b.Fatal(e)
				}
				x.transfer(c.fd, m)
				if m < len(x.request) {
					n, _ := netio.Send(s.fd, x.request[m:])
					x.transfer(c.fd, n)
				}
			}
		})
	}
}
