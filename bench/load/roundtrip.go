package load

import "github.com/penstock/penstock/netio"

const clientEvents = netio.Readable | netio.Writable | netio.PeerClosed | netio.Edge

// RoundTrips keeps Conns connections open and sends a message of Batch requests on each as soon as the
// last came back.
func (r *Rig) RoundTrips(p Plan) (Window, error) {
	return r.drive(&p, func(l *Loop) []part { return []part{{newRoundTrips(l, &p), p.Conns}} })
}

// Mix does round trips while Streams streams are read from Source; its Window counts the round trips,
// and the bytes of the streams.
func (r *Rig) Mix(p Plan) (Window, error) {
	bulk := Plan{To: p.Source}
	return r.drive(&p, func(l *Loop) []part {
		return []part{{newRoundTrips(l, &p), p.Conns}, {&streams{client{loop: l, plan: &bulk}}, p.Streams}}
	})
}

// Crowd does round trips while Resting connections are open besides, each of which had one.
func (r *Rig) Crowd(p Plan) (Window, error) {
	return r.drive(&p, func(l *Loop) []part {
		return []part{{newRoundTrips(l, &p), p.Conns}, {&rest{client{loop: l, plan: &p}}, p.Resting}}
	})
}

// client is what the drivers have in common.
type client struct {
	loop   *Loop
	plan   *Plan
	window Window
}

func (d *client) tally() *Window { return &d.window }

func (d *client) begin() {}

func (d *client) end() {}

type roundTrips struct {
	client
	size, batch int
}

func newRoundTrips(l *Loop, p *Plan) *roundTrips {
	return &roundTrips{
		client: client{loop: l, plan: p, window: Window{Latency: newLatency()}},
		size:   p.Size * p.batch(), batch: p.batch(),
	}
}

func (d *roundTrips) open() error {
	c, up, err := d.loop.connect(d.plan.To, d, clientEvents)
	if err != nil || !up {
		return err
	}
	return d.next(c)
}

func (d *roundTrips) next(c *conn) error {
	c.sentAt = d.loop.now()
	return d.loop.ask(c, d.size)
}

func (d *roundTrips) ready(c *conn, _ uint32) error {
	if c.stage == connecting {
		if err := connected(c, d.plan.To); err != nil {
			return err
		}
		return d.next(c)
	}
	whole, err := d.loop.answer(c, d.size)
	if err != nil || !whole {
		return err
	}
	sent := c.sentAt
	if err := d.next(c); err != nil {
		return err
	}
	d.window.Ops += uint64(d.batch)
	record(d.window.Latency, c.sentAt-sent)
	return nil
}

// Connects opens a connection, sends a message, reads it back and closes, Conns of these at a time.
func (r *Rig) Connects(p Plan) (Window, error) {
	return r.drive(&p, func(l *Loop) []part {
		return []part{{&connects{client: client{loop: l, plan: &p, window: Window{Latency: newLatency()}}}, p.Conns}}
	})
}

type connects struct {
	client
	number uint64 // of connections so far
}

func (d *connects) open() error {
	began := d.loop.now()
	c, up, err := d.loop.connect(d.plan.To, d, clientEvents)
	if err != nil {
		return err
	}
	d.number++
	c.sentAt, c.seq = began, d.number
	if !up {
		return nil
	}
	return d.loop.ask(c, d.plan.Size)
}

func (d *connects) ready(c *conn, _ uint32) error {
	if c.stage == connecting {
		if err := connected(c, d.plan.To); err != nil {
			return err
		}
		return d.loop.ask(c, d.plan.Size)
	}
	whole, err := d.loop.answer(c, d.plan.Size)
	if err != nil || !whole {
		return err
	}
	d.window.Ops++
	record(d.window.Latency, d.loop.now()-c.sentAt)
	d.loop.drop(c)
	return d.open()
}
