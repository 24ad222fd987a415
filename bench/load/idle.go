package load

import (
	"errors"
	"time"
)

// Idle opens Conns connections, does one round trip on each, and leaves them alone; End is called after
// they have rested for Measure. Begin is called before the first.
func (r *Rig) Idle(p Plan) error {
	err := r.do(func(l *Loop) error {
		mark(p.Begin)
		d := &rest{client{loop: l, plan: &p}}
		if err := openAll(l, d, p.Conns); err != nil {
			return err
		}
		if err := l.runFor(p.Measure); err != nil {
			return err
		}
		if established(l, d) != p.Conns {
			return errors.New("client: an idle connection was closed")
		}
		mark(p.End)
		return nil
	})
	return errors.Join(err, r.do(r.hangUp))
}

type rest struct{ client }

func (d *rest) open() error {
	c, up, err := d.loop.connect(d.plan.To, d, clientEvents)
	if err != nil || !up {
		return err
	}
	return d.loop.ask(c, d.plan.Size)
}

func (d *rest) ready(c *conn, _ uint32) error {
	switch c.stage {
	case connecting:
		if err := connected(c, d.plan.To); err != nil {
			return err
		}
		return d.loop.ask(c, d.plan.Size)
	case resting:
		return errors.New("client: an idle connection was disturbed")
	}
	whole, err := d.loop.answer(c, d.plan.Size)
	if whole {
		c.stage = resting
	}
	return err
}

// Rest lets both ends alone for a time.
func (r *Rig) Rest(d time.Duration) error {
	return r.do(func(l *Loop) error { return l.runFor(d) })
}
