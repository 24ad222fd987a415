package load

import (
	"errors"
	"time"
)

// Storm opens Conns connections in one go, sends a message on each, and closes them when all are
// answered; again and again until Measure is over. Elapsed is the time from the first connect of each
// storm to its last answer, the closing excluded.
func (r *Rig) Storm(p Plan) (Window, error) {
	w := Window{Latency: newLatency()}
	err := r.do(func(l *Loop) error {
		mark(p.Begin)
		for end := l.now() + int64(p.Measure); ; {
			began := l.now()
			d := &storm{rest: rest{client{loop: l, plan: &p}}, total: &w}
			for range p.Conns {
				if err := d.open(); err != nil {
					return err
				}
			}
			if err := l.runUntil("answers of a storm", patience, func() bool { return d.answered == p.Conns }); err != nil {
				return err
			}
			w.Ops += uint64(p.Conns)
			w.Elapsed += time.Duration(l.now() - began)
			if err := r.hangUp(l); err != nil {
				return err
			}
			if l.now() >= end {
				mark(p.End)
				return nil
			}
		}
	})
	return w, errors.Join(err, r.do(r.hangUp))
}

// storm is one storm: connections that rest after one round trip.
type storm struct {
	rest
	total    *Window
	answered int
}

func (d *storm) open() error {
	began := d.loop.now()
	c, up, err := d.loop.connect(d.plan.To, d, clientEvents)
	if err != nil {
		return err
	}
	c.sentAt = began
	if !up {
		return nil
	}
	return d.loop.ask(c, d.plan.Size)
}

func (d *storm) ready(c *conn, mask uint32) error {
	if err := d.rest.ready(c, mask); err != nil {
		return err
	}
	if c.stage == resting {
		d.answered++
		record(d.total.Latency, d.loop.now()-c.sentAt)
	}
	return nil
}
