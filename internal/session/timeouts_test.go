package session

import (
	"net/netip"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/penstock/penstock/internal/testutil"
	"github.com/penstock/penstock/netio"
	"github.com/penstock/penstock/sched"
)

// early is how much too early a wait of n timeouts may end, in milliseconds: their dates are whole ones.
func early(n int) int { return n }

// times are the three of a log line.
func times(line string) (queue, connect, total int) {
	f := strings.Split(strings.Fields(line)[4], "/")
	queue, _ = strconv.Atoi(f[0])
	connect, _ = strconv.Atoi(f[1])
	total, _ = strconv.Atoi(f[2])
	return queue, connect, total
}

// Every timeout of the relay, each alone. No upper bound is set on any time.
func TestTimeouts(t *testing.T) {
	for _, test := range []struct {
		name      string
		configure func(*Proxy)
		run       func(r *rig, c, s *peer)
		want      string
		least     int // ms
	}{
		{
			"client", func(p *Proxy) { p.ClientMs = 120 },
			func(r *rig, c, s *peer) { s.expectEOF(); r.quiet(); s.fin() }, "cD", 120,
		},
		{
			"server waits for the client", func(p *Proxy) { p.ServerMs = 120 },
			func(r *rig, c, s *peer) {
				c.expectEOF()
				for range 50 {
					r.step(1)
				}
				r.quiet()
				c.fin()
			}, "sD", 120,
		},
		{
			"both equal", func(p *Proxy) { p.ClientMs, p.ServerMs = 120, 120 },
			func(r *rig, c, s *peer) { c.expectEnd(); s.expectEnd() }, "cD", 120,
		},
		{
			"tunnel replaces both", func(p *Proxy) { p.ClientMs, p.ServerMs, p.TunnelMs = 20, 20, 200 },
			func(r *rig, c, s *peer) { c.expectEnd(); s.expectEnd() }, "cD", 200,
		},
		{
			"client-fin", func(p *Proxy) { p.TunnelMs, p.ClientFinMs = 60000, 100 },
			func(r *rig, c, s *peer) { s.fin(); c.expectEOF(); c.expectEnd() }, "cD", 100,
		},
		{
			"server-fin", func(p *Proxy) { p.TunnelMs, p.ServerFinMs = 60000, 100 },
			func(r *rig, c, s *peer) { c.fin(); s.expectEOF(); c.expectEnd() }, "sD", 100,
		},
		{
			"server-fin after the client's timeout", func(p *Proxy) { p.ClientMs, p.ServerMs, p.ServerFinMs = 60, 60000, 60 },
			func(r *rig, c, s *peer) { s.expectEOF() }, "cD", 120,
		},
		{
			"client takes nothing", func(p *Proxy) { p.ClientMs = 150 },
			func(r *rig, c, s *peer) {
				for range 10 {
					s.send(1 << 20)
					r.settle()
				}
			}, "cD", 150,
		},
		{
			"server takes nothing", func(p *Proxy) { p.ServerMs = 150 },
			func(r *rig, c, s *peer) {
				for range 10 {
					c.send(1 << 20)
					r.settle()
				}
			}, "sD", 150,
		},
	} {
		t.Run(test.name, func(t *testing.T) {
			r := mustRig(t, rigOptions{configure: test.configure})
			c, s := r.pair()
			test.run(r, c, s)
			line := r.line()
			_, _, total := times(line)
			if line[:2] != test.want || total < test.least-early(2) {
				t.Errorf("line %q, want %s after %d ms", line, test.want, test.least)
			}
			r.clean()
		})
	}
}

// A server that could not be read from while the client took nothing has its whole timeout afterwards.
func TestReadTimeoutAfterBackPressure(t *testing.T) {
	for _, w := range ways {
		if w.o.smallBufs || w.o.moves { // these take their time to pass on what they were given
			continue
		}
		t.Run(w.name, func(t *testing.T) {
			o := w.o
			o.configure = func(p *Proxy) { p.ServerMs = 200 }
			r := mustRig(t, o)
			c, s := r.pair()
			for r.table.slots.At(0).side[client].blocked == sched.Never {
				s.send(4096)
				r.settle()
			}
			for begun := time.Now(); time.Since(begun) < 300*time.Millisecond; {
				r.step(5)
			}
			r.quiet()
			blocked := time.Now() // until the client takes something, which is after this
			c.receive(s.sent)
			c.expectEOF()
			if silent := time.Since(blocked); silent < 150*time.Millisecond {
				t.Errorf("the server was given %v, want 200 ms", silent)
			}
			c.fin()
			if got := r.code(); got != "sD" {
				t.Errorf("code %s, want sD", got)
			}
			r.clean()
		})
	}
}

// With independent streams a client that only receives is silent: its side is closed, and what it still
// receives goes on, even if it takes nothing at the very moment.
func TestIndependentStreams(t *testing.T) {
	r := mustRig(t, rigOptions{configure: func(p *Proxy) { p.ClientMs, p.Independent = 1000, true }})
	c, s := r.pair()
	se := r.table.slots.At(0)
	for se.side[client].blocked == sched.Never {
		s.send(1 << 16)
		r.settle()
	}
	r.clock.Update()
	se.side[client].last = r.clock.Now() - 1000
	se.side[client].blocked = r.clock.Now()
	r.table.expire(0, se)
	s.expectEOF()
	s.fin()
	c.receive(s.sent)
	c.expectEOF()
	if got := r.code(); got != "cD" {
		t.Errorf("code %s, want cD", got)
	}
	r.clean()
}

// Writes count as activity unless the streams are independent.
func TestTimeoutRefreshedByWrites(t *testing.T) {
	r := mustRig(t, rigOptions{configure: func(p *Proxy) { p.ClientMs = 100_000 }})
	c, s := r.pair()
	se := r.table.slots.At(0)
	for range 3 {
		se.side[client].last = r.clock.Now() - 99_000
		s.send(1)
		c.receive(s.sent)
		if left := r.table.sideExpiry(se, client).Sub(r.clock.Now()); left < 50_000 {
			t.Errorf("the client has %d ms left after it was written to, want 100000", left)
		}
	}
	if c.eof || s.eof {
		t.Error("the session ended while bytes moved")
	}
}

func TestTimeoutQueue(t *testing.T) {
	r := mustRig(t, rigOptions{maxConn: 1, configure: func(p *Proxy) { p.QueueMs = 120 }})
	_, s := r.pair()
	c := r.dial()
	c.expectEnd()
	line := r.line()
	if queue, _, _ := times(line); line[:2] != "sQ" || queue < 120-early(1) {
		t.Errorf("line %q, want sQ after 120 ms", line)
	}
	s.fin()
}

// A connection attempt that is neither taken nor refused ends by its timeout, and is repeated at once; one that
// is refused is repeated after a pause.
func TestTimeoutConnect(t *testing.T) {
	t.Run("no answer", func(t *testing.T) {
		sa := mustFullBacklog(t)
		r := mustRig(t, rigOptions{serverAddr: &sa, configure: func(p *Proxy) { p.ConnectMs, p.Retries = 60, 2 }})
		c := r.dial()
		c.expectEnd()
		line := r.line()
		if _, _, total := times(line); !strings.HasPrefix(line, "sC 0 0 2") || total < 180-early(3) {
			t.Errorf("line %q, want sC after 3 times 60 ms", line)
		}
		r.clean()
	})
	t.Run("refused", func(t *testing.T) {
		r := mustRig(t, rigOptions{configure: func(p *Proxy) { p.ConnectMs, p.Retries = 60, 2 }})
		r.closeServer()
		c := r.dial()
		c.expectEnd()
		line := r.line()
		if _, _, total := times(line); !strings.HasPrefix(line, "SC 0 0 2") || total < 120-early(2) {
			t.Errorf("line %q, want SC after 2 pauses of 60 ms", line)
		}
		r.clean()
	})
}

// mustFullBacklog is the address of a listener that takes no more connections.
func mustFullBacklog(tb testing.TB) netio.Sockaddr {
	tb.Helper()
	return netio.SockaddrFrom(netip.MustParseAddrPort(testutil.FullBacklog(tb)))
}
