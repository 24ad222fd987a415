package load

import (
	"fmt"
	"time"

	"github.com/penstock/penstock/netio"
)

const (
	checkFirst = 64 // reads of each stream that are compared byte by byte,
	checkEvery = 16 // and every so many after them
	sinkChunk  = 1 << 20
)

// Streams reads Conns endless streams of the source at once.
func (r *Rig) Streams(p Plan) (Window, error) {
	return r.drive(&p, func(l *Loop) []part {
		return []part{{&streams{client: client{loop: l, plan: &p}}, p.Conns}}
	})
}

type streams struct{ client }

func (d *streams) open() error {
	_, _, err := d.loop.connect(d.plan.To, d, netio.Readable|netio.PeerClosed)
	return err
}

func (d *streams) ready(c *conn, _ uint32) error { return d.read(c, sinkChunk) }

// read takes up to most bytes of a stream.
func (d *client) read(c *conn, most int) error {
	n, e, err := take(d.loop, c, most)
	switch {
	case err != nil:
		return fmt.Errorf("client: %w", err)
	case e == netio.EAGAIN:
		return nil
	case e != 0:
		return fmt.Errorf("client: stream after %d bytes: %w", c.off, e)
	case n == 0:
		return fmt.Errorf("client: the stream ended after %d bytes", c.off)
	}
	d.window.Bytes += uint64(n)
	return nil
}

// Exchanges reads Conns endless streams and writes as many on the same connections. Bytes count once
// they have arrived, in both directions.
func (r *Rig) Exchanges(p Plan) (Window, error) {
	return r.drive(&p, func(l *Loop) []part {
		return []part{{&exchanges{streams: streams{client{loop: l, plan: &p}}, server: r.exchange}, p.Conns}}
	})
}

type exchanges struct {
	streams
	server *exchange
	before uint64 // bytes that the server had taken when the window began
}

func (d *exchanges) open() error {
	_, _, err := d.loop.connect(d.plan.To, d, netio.Readable|netio.Writable|netio.PeerClosed)
	return err
}

func (d *exchanges) begin() { d.before = d.server.taken.Load() }

func (d *exchanges) end() { d.window.Bytes += d.server.taken.Load() - d.before }

func (d *exchanges) ready(c *conn, mask uint32) error {
	if c.stage == connecting && mask&netio.Writable != 0 {
		if err := connected(c, d.plan.To); err != nil {
			return err
		}
		c.stage = waiting
	}
	if mask&netio.Readable != 0 {
		if err := d.read(c, sinkChunk); err != nil {
			return err
		}
	}
	if mask&netio.Writable != 0 && !feed(c) {
		return fmt.Errorf("client: the peer refuses the stream after %d bytes", c.sent)
	}
	return nil
}

// SlowStreams reads Conns endless streams of the source, each no faster than Rate bytes a second.
func (r *Rig) SlowStreams(p Plan) (Window, error) {
	return r.drive(&p, func(l *Loop) []part {
		d := &slowStreams{streams: streams{client{loop: l, plan: &p}}}
		l.pulse = d.pulse
		return []part{{d, p.Conns}}
	})
}

// A slow reader looks at its streams by the clock alone.
const slowTick = 10 * time.Millisecond

type slowStreams struct {
	streams
	due int64
}

func (d *slowStreams) open() error {
	_, _, err := d.loop.connect(d.plan.To, d, netio.PeerClosed)
	return err
}

func (d *slowStreams) ready(c *conn, _ uint32) error {
	return fmt.Errorf("client: the stream ended after %d bytes", c.off)
}

func (d *slowStreams) pulse(now int64) (time.Duration, error) {
	if now >= d.due {
		d.due = now + int64(slowTick)
		share := int(d.plan.Rate * slowTick.Seconds())
		for _, c := range d.loop.conns {
			if c.role != role(d) {
				continue
			}
			if err := d.read(c, share); err != nil {
				return 0, err
			}
		}
	}
	return time.Duration(d.due - now), nil
}
