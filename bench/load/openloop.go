package load

import "time"

// OpenLoop sends Rate messages a second, whatever becomes of them, over Conns connections. A latency
// counts from the moment at which the message was due, not from the one at which a connection was free
// to take it: a proxy that stops for a while does not stop the clock of those who wait (no coordinated
// omission).
func (r *Rig) OpenLoop(p Plan) (Window, error) {
	return r.drive(&p, func(l *Loop) []part {
		d := &openLoop{
			client:   client{loop: l, plan: &p, window: Window{Latency: newLatency()}},
			interval: float64(time.Second) / p.Rate,
			free:     make([]*conn, 0, p.Conns),
		}
		d.begin()
		l.pulse = d.pulse
		return []part{{d, p.Conns}}
	})
}

type openLoop struct {
	client
	interval float64 // ns between messages
	free     []*conn // at rest, the longest first
	began    int64   // of the schedule, on the loop's clock
	number   float64 // of messages sent since
}

// begin starts the schedule anew: what stood still for the sampling of CPU times is not the proxy's.
func (d *openLoop) begin() { d.began, d.number = d.loop.now(), 0 }

func (d *openLoop) open() error {
	c, up, err := d.loop.connect(d.plan.To, d, clientEvents)
	if err == nil && up {
		d.rest(c)
	}
	return err
}

func (d *openLoop) rest(c *conn) {
	c.stage = resting
	d.free = append(d.free, c)
}

func (d *openLoop) ready(c *conn, _ uint32) error {
	switch c.stage {
	case connecting:
		err := connected(c, d.plan.To)
		if err == nil {
			d.rest(c)
		}
		return err
	case resting: // an event of before; there is nothing to read
		_, err := d.loop.answer(c, 0)
		return err
	}
	whole, err := d.loop.answer(c, d.plan.Size)
	if err != nil || !whole {
		return err
	}
	if c.sentAt >= d.began {
		d.window.Ops++
		record(d.window.Latency, d.loop.now()-c.sentAt)
	}
	d.rest(c)
	return nil
}

// pulse sends what is due while there are connections at rest. The clock is watched without sleeping:
// epoll's milliseconds are too coarse.
func (d *openLoop) pulse(now int64) (time.Duration, error) {
	used := 0
	for used < len(d.free) {
		due := d.began + int64(d.number*d.interval)
		if due > now {
			break
		}
		c := d.free[used]
		used++
		c.sentAt = due
		d.number++
		if err := d.loop.ask(c, d.plan.Size); err != nil {
			return 0, err
		}
	}
	d.free = d.free[:copy(d.free, d.free[used:])]
	return 0, nil
}
