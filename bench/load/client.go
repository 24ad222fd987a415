package load

import (
	"bytes"
	"errors"
	"fmt"
	"net/netip"
	"time"

	"github.com/HdrHistogram/hdrhistogram-go"
	"github.com/penstock/penstock/netio"
)

// Plan says what the client does.
type Plan struct {
	To      netip.AddrPort // of a proxy, or of the rig's own server
	Conns   int            // connections at a time
	Size    int            // bytes of a request, at most 256 KiB together with the Batch
	Batch   int            // requests sent at once, each an operation; 0 is 1
	Rate    float64        // of the open loop in operations a second, of slow streams in bytes a second each
	Source  netip.AddrPort // the same for the streams of a mix,
	Streams int            // and how many there are
	Resting int            // of a crowd: connections at rest beside
	WarmUp  time.Duration
	Measure time.Duration // longer if hardly anything happened meanwhile
	// Begin and End are called on the client's thread at the edges of the measured window, while the
	// traffic stands still.
	Begin, End func()
}

func (p *Plan) batch() int { return max(p.Batch, 1) }

// Window is what happened between Begin and End.
type Window struct {
	Ops     uint64 // messages or connections that came to their end
	Bytes   uint64 // of streams
	Elapsed time.Duration
	// Latency of an operation in nanoseconds, from its first call to the last byte of its answer, in a
	// closed loop; nil for streams.
	Latency *hdrhistogram.Histogram
}

// driver is the client's side of a scenario.
type driver interface {
	role
	open() error // begins one connection
	tally() *Window
	begin() // the window begins now
	end()   // and ends now
}

// part is a driver and its number of connections; the first part of a scenario is the one measured.
type part struct {
	driver
	conns int
}

const (
	patience   = 20 * time.Second // for what must happen; no measure of speed
	openAtOnce = 64               // connections under way while a scenario starts

	// A window on a busy machine may hold next to nothing; it is then stretched, up to a multiple of
	// its length, until it holds this much.
	leastOps   = 1000
	leastBytes = 64 << 20
	stretch    = 4
)

// Stages of a client connection.
const (
	connecting = iota
	waiting    // for an answer or the stream
	resting    // has had one
)

func (r *Rig) drive(p *Plan, make func(l *Loop) []part) (Window, error) {
	var w Window
	err := r.do(func(l *Loop) error {
		parts := make(l)
		for _, d := range parts {
			if err := openAll(l, d.driver, d.conns); err != nil {
				return err
			}
		}
		if err := l.runFor(p.WarmUp); err != nil {
			return err
		}
		mark(p.Begin)
		for _, d := range parts {
			t := d.tally()
			*t = Window{Latency: t.Latency}
			if t.Latency != nil {
				t.Latency.Reset()
			}
			d.begin()
		}
		t := parts[0].tally()
		begin := l.now()
		if err := l.runFor(p.Measure); err != nil {
			return err
		}
		// A slow reader has a rate of its own: what it takes in the window is enough.
		enough := uint64(leastBytes)
		if p.Rate > 0 {
			enough = 1
		}
		most := begin + stretch*int64(p.Measure)
		err := l.runUntil("traffic", patience, func() bool {
			return t.Ops >= leastOps || t.Bytes >= enough || (t.Ops > 0 || t.Bytes > 0) && l.now() >= most
		})
		if err != nil {
			return err
		}
		for _, d := range parts {
			d.end()
		}
		t.Elapsed = time.Duration(l.now() - begin)
		mark(p.End)
		w = *t
		for _, d := range parts[1:] {
			w.Bytes += d.tally().Bytes
		}
		return nil
	})
	return w, errors.Join(err, r.do(r.hangUp))
}

// hangUp closes what the client has open and waits for the servers to notice.
func (r *Rig) hangUp(l *Loop) error {
	l.pulse = nil
	for _, c := range l.conns {
		if _, isClient := c.role.(driver); isClient {
			l.drop(c)
		}
	}
	return r.settle(l)
}

func mark(f func()) {
	if f != nil {
		f()
	}
}

// openAll opens n connections, a few at a time, so that no queue of a listener overflows.
func openAll(l *Loop, d driver, n int) error {
	for opened := 0; opened < n; {
		batch := min(openAtOnce, n-opened)
		for range batch {
			if err := d.open(); err != nil {
				return err
			}
		}
		opened += batch
		if err := l.runUntil("first answers", patience, func() bool { return established(l, d) >= opened }); err != nil {
			return err
		}
	}
	return nil
}

func established(l *Loop, d driver) int {
	n := 0
	for _, c := range l.conns {
		if c.role == role(d) && (c.stage == resting || c.seq > 0 || c.off > 0) {
			n++
		}
	}
	return n
}

// connect begins a connection for a role.
func (l *Loop) connect(to netip.AddrPort, r role, events uint32) (c *conn, up bool, err error) {
	sa := netio.SockaddrFrom(to)
	fd, e := netio.Socket(sa.Family())
	if e != 0 {
		return nil, false, fmt.Errorf("client: open a socket: %w", e)
	}
	e = netio.Connect(fd, &sa)
	if e != 0 && e != netio.EINPROGRESS {
		netio.Close(fd)
		return nil, false, fmt.Errorf("client: connect to %v: %w", to, e)
	}
	if e == 0 {
		events &^= netio.Writable // nothing to wait for but the answer
	}
	c, err = l.add(fd, r, events)
	return c, e == 0, err
}

// connected finishes a connection that was under way.
func connected(c *conn, to netip.AddrPort) error {
	if e := netio.SocketError(c.fd); e != 0 {
		return fmt.Errorf("client: connect to %v: %w", to, e)
	}
	return nil
}

// message is what connection c sends as its current message; no two in a row are alike.
func message(c *conn, size int) []byte {
	return streamAt(c.seq*8191+uint64(c.slot)*131, size)
}

// ask sends the current message.
func (l *Loop) ask(c *conn, size int) error {
	n, e := netio.Send(c.fd, message(c, size))
	if e != 0 || n != size {
		return fmt.Errorf("client: send of %d bytes: %d sent, errno %d", size, n, int(e))
	}
	c.stage, c.got = waiting, 0
	return nil
}

// answer reads what has come of the answer; it is whole when the second result says so.
func (l *Loop) answer(c *conn, size int) (whole bool, err error) {
	for {
		n, e := netio.Recv(c.fd, l.buf)
		switch {
		case e == netio.EAGAIN:
			return false, nil
		case e != 0:
			return false, fmt.Errorf("client: answer %d, after %d of %d bytes: %w", c.seq, c.got, size, e)
		case n == 0:
			return false, fmt.Errorf("client: answer %d: the stream ended after %d of %d bytes", c.seq, c.got, size)
		}
		want := message(c, size)
		if c.got+n > size || !bytes.Equal(l.buf[:n], want[c.got:c.got+n]) {
			return false, fmt.Errorf("client: answer %d: wrong bytes at %d", c.seq, c.got)
		}
		c.got += n
		if c.got == size {
			c.seq++
			return true, nil
		}
		if n < len(l.buf) {
			return false, nil
		}
	}
}

func newLatency() *hdrhistogram.Histogram {
	return hdrhistogram.New(1000, int64(patience), 3)
}

// record stores a latency; one beyond the histogram's range counts as its end.
func record(h *hdrhistogram.Histogram, ns int64) {
	_ = h.RecordValue(min(ns, h.HighestTrackableValue()))
}
