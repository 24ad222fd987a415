package load

import (
	"fmt"
	"time"

	"github.com/penstock/penstock/netio"
)

// role is what a connection or listener does with its events.
type role interface {
	ready(c *conn, mask uint32) error
}

// conn is one descriptor of a loop and the little state that any role needs.
type conn struct {
	fd     int
	slot   uint32
	gen    uint32
	role   role
	stage  int
	got    int    // bytes of the message under way
	off    uint64 // position in the endless stream that is read,
	sent   uint64 // and in the one that is written
	reads  uint64
	seq    uint64
	sentAt int64 // ns on the loop's clock
}

// Loop is one epoll instance with its connections, used by one thread.
type Loop struct {
	ep    *netio.Epoll
	conns []*conn
	free  []*conn
	evs   [256]netio.Event
	buf   []byte
	epoch time.Time
	stop  bool
	pulse func(now int64) (wait time.Duration, err error) // what a driver does by the clock, if anything
}

func newLoop() (*Loop, error) {
	ep, err := netio.NewEpoll()
	if err != nil {
		return nil, err
	}
	return &Loop{ep: ep, buf: make([]byte, 256<<10), epoch: time.Now()}, nil
}

// now is nanoseconds on the monotonic clock.
func (l *Loop) now() int64 { return int64(time.Since(l.epoch)) }

func (l *Loop) add(fd int, r role, events uint32) (*conn, error) {
	var c *conn
	if n := len(l.free); n > 0 {
		c = l.free[n-1]
		l.free = l.free[:n-1]
		*c = conn{slot: c.slot, gen: c.gen + 1}
	} else {
		c = &conn{slot: uint32(len(l.conns))}
		l.conns = append(l.conns, c)
	}
	c.fd, c.role = fd, r
	if e := l.ep.Add(fd, events, uint64(c.slot)|uint64(c.gen)<<32); e != 0 {
		l.drop(c)
		return nil, fmt.Errorf("register descriptor: %w", e)
	}
	return c, nil
}

// drop closes a connection and frees its slot.
func (l *Loop) drop(c *conn) {
	netio.Close(c.fd)
	c.fd, c.role = -1, nil
	l.free = append(l.free, c)
}

// turn handles what is ready, waiting for it up to wait.
func (l *Loop) turn(wait time.Duration) error {
	n, e := l.ep.Poll(l.evs[:])
	if n == 0 && wait > 0 {
		n, e = l.ep.Wait(l.evs[:], int((wait+time.Millisecond-1)/time.Millisecond))
	}
	if e != 0 && e != netio.EINTR {
		return fmt.Errorf("wait for events: %w", e)
	}
	for i := range l.evs[:max(n, 0)] {
		ev := &l.evs[i]
		c := l.conns[uint32(ev.Data())]
		if c.gen != uint32(ev.Data()>>32) || c.role == nil {
			continue
		}
		if err := c.role.ready(c, ev.Events); err != nil {
			return err
		}
	}
	return nil
}

// runFor handles events for a time.
func (l *Loop) runFor(d time.Duration) error {
	for end := l.now() + int64(d); ; {
		left := end - l.now()
		if left <= 0 {
			return nil
		}
		if err := l.beat(time.Duration(left)); err != nil {
			return err
		}
	}
}

// beat is a turn that does what is due by the clock first.
func (l *Loop) beat(wait time.Duration) error {
	if l.pulse != nil {
		next, err := l.pulse(l.now())
		if err != nil {
			return err
		}
		wait = min(wait, next)
	}
	return l.turn(wait)
}

// runUntil handles events until done, and fails when nothing has come of it after limit.
func (l *Loop) runUntil(what string, limit time.Duration, done func() bool) error {
	end := l.now() + int64(limit)
	for !done() {
		if l.now() > end {
			return fmt.Errorf("%s: nothing after %v", what, limit)
		}
		if err := l.beat(20 * time.Millisecond); err != nil {
			return fmt.Errorf("%s: %w", what, err)
		}
	}
	return nil
}

func (l *Loop) close() {
	for _, c := range l.conns {
		if c.role != nil {
			l.drop(c)
		}
	}
	l.ep.Close()
}
