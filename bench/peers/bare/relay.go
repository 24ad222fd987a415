package main

import (
	"fmt"
	"runtime"
	"time"

	"github.com/penstock/penstock/bench/peers/relayargs"
	"github.com/penstock/penstock/netio"
)

const (
	bufferSize = 64 << 10
	mostPipes  = 1 << 10
	events     = netio.Readable | netio.Writable | netio.PeerClosed | netio.Edge
)

// session is a client and its server. Direction i goes from fd[i] to fd[1-i].
type session struct {
	fd   [2]int
	dir  [2]direction
	slot uint32
	gen  uint32
	up   bool // the server's side is connected
}

type direction struct {
	ready  bool   // the source may have something
	ending bool   // its FIN has come, maybe behind data
	queued bool   // in the relay's queue
	done   bool   // the FIN has been passed on
	rest   []byte // read, not yet sent
	pipe   int32  // the same of splice
}

// turn is a direction that has its next round without a new event.
type turn struct {
	s    *session
	gen  uint32
	side int
}

// relay is one thread's loop. Descriptors are registered once, edge-triggered, for both directions.
type relay struct {
	ep        *netio.Epoll
	listeners []listener
	sessions  []*session
	free      []*session
	queue     []turn
	later     []turn
	buf       []byte
	pipes     *netio.PipePool // nil: copy
}

type listener struct {
	fd     int
	server netio.Sockaddr
}

func newRelay(a relayargs.Args) (*relay, error) {
	r := &relay{buf: make([]byte, bufferSize)}
	var err error
	if r.ep, err = netio.NewEpoll(); err != nil {
		return nil, err
	}
	if a.Splice {
		r.pipes = netio.NewPipePool(0, mostPipes)
	}
	for i, route := range a.Routes {
		sa := netio.SockaddrFrom(route.Listen)
		fd, err := netio.Listen(&sa, "", &netio.ListenOptions{
			Backlog: 4096, ReusePort: a.Threads > 1, Conn: netio.ConnOptions{NoDelay: true},
		})
		if err != nil {
			return nil, err
		}
		// Listeners have odd data, sessions even.
		if e := r.ep.Add(fd, netio.Readable, uint64(i)<<1|1); e != 0 {
			return nil, fmt.Errorf("register listener: %w", e)
		}
		r.listeners = append(r.listeners, listener{fd, netio.SockaddrFrom(route.Server)})
	}
	return r, nil
}

// yieldEvery is how often the loop shows itself to Go's scheduler, which after 10 ms takes it for a hog
// and then costs a tenth of what the relay does.
const yieldEvery = 5 * time.Millisecond

func (r *relay) loop() error {
	evs := make([]netio.Event, 256)
	for yielded := time.Now(); ; {
		if now := time.Now(); now.Sub(yielded) >= yieldEvery {
			yielded = now
			runtime.Gosched()
		}
		var n int
		var e netio.Errno
		if len(r.queue) > 0 {
			n, e = r.ep.Poll(evs)
		} else {
			n, e = r.ep.Wait(evs, -1)
		}
		if e != 0 && e != netio.EINTR {
			return fmt.Errorf("wait for events: %w", e)
		}
		for i := range evs[:max(n, 0)] {
			data, mask := evs[i].Data(), evs[i].Events
			if data&1 == 1 {
				if err := r.accept(&r.listeners[uint32(data)>>1]); err != nil {
					return err
				}
				continue
			}
			s := r.sessions[uint32(data)>>2]
			if s.gen == uint32(data>>32) && s.fd[0] >= 0 {
				r.event(s, int(data>>1&1), mask)
			}
		}
		r.queue, r.later = r.later[:0], r.queue
		for _, t := range r.later {
			if t.s.gen == t.gen && t.s.fd[0] >= 0 {
				t.s.dir[t.side].queued = false
				r.move(t.s, t.side)
			}
		}
	}
}

func (r *relay) accept(l *listener) error {
	for {
		var peer netio.Sockaddr
		client, e := netio.Accept(l.fd, &peer)
		switch e {
		case 0:
		case netio.EAGAIN:
			return nil
		case netio.EINTR, netio.ECONNABORTED:
			continue
		default:
			return fmt.Errorf("accept: %w", e)
		}
		server, e := netio.Socket(l.server.Family())
		if e != 0 {
			return fmt.Errorf("open a socket: %w", e)
		}
		nodelay.Apply(server)
		s := r.session()
		s.fd = [2]int{client, server}
		if e := netio.Connect(server, &l.server); e != 0 && e != netio.EINPROGRESS {
			r.close(s)
			continue
		}
		for side, fd := range s.fd {
			if e := r.ep.Add(fd, events, uint64(s.gen)<<32|uint64(s.slot)<<2|uint64(side)<<1); e != 0 {
				return fmt.Errorf("register connection: %w", e)
			}
		}
	}
}

var nodelay = (&netio.ConnOptions{NoDelay: true}).Compile()

func (r *relay) session() *session {
	if n := len(r.free); n > 0 {
		s := r.free[n-1]
		r.free = r.free[:n-1]
		rests := [2][]byte{s.dir[0].rest[:0], s.dir[1].rest[:0]}
		*s = session{slot: s.slot, gen: s.gen + 1}
		s.dir[0].rest, s.dir[1].rest = rests[0], rests[1]
		return s
	}
	s := &session{slot: uint32(len(r.sessions))}
	r.sessions = append(r.sessions, s)
	return s
}

func (r *relay) close(s *session) {
	for side := range s.fd {
		netio.Close(s.fd[side])
		s.fd[side] = -1
		if d := &s.dir[side]; d.pipe != 0 {
			r.pipes.Put(d.pipe)
		}
	}
	r.free = append(r.free, s)
}

// event takes what epoll says about one side of a session.
func (r *relay) event(s *session, side int, mask uint32) {
	if mask&netio.Failure != 0 {
		r.close(s)
		return
	}
	from := &s.dir[side]
	if mask&(netio.PeerClosed|netio.Hangup) != 0 {
		from.ending = true
	}
	if mask&(netio.Readable|netio.PeerClosed|netio.Hangup) != 0 {
		from.ready = true
	}
	if side == 1 && !s.up && mask&netio.Writable != 0 {
		s.up = true
	}
	if !s.up {
		return
	}
	gen := s.gen
	if from.ready {
		r.move(s, side)
	}
	// The other direction may wait for this side to take its bytes, or for the connect.
	if to := &s.dir[1-side]; s.gen == gen && s.fd[0] >= 0 && mask&netio.Writable != 0 && (to.ready || to.held()) {
		r.move(s, 1-side)
	}
}

func (d *direction) held() bool { return len(d.rest) > 0 || d.pipe != 0 }

// move does one round of a direction: what is held first, then one read and one write.
func (r *relay) move(s *session, side int) {
	d := &s.dir[side]
	if d.done || d.queued {
		return
	}
	round := r.copy
	if r.pipes != nil {
		round = r.splice
	}
	again, e := round(s, side)
	switch {
	case e != 0:
		r.close(s)
	case d.done && s.dir[1-side].done:
		r.close(s)
	case again:
		d.queued = true
		r.queue = append(r.queue, turn{s, s.gen, side})
	}
}

// copy moves through the buffer. A short read means that the socket is empty, unless its end has come.
func (r *relay) copy(s *session, side int) (again bool, e netio.Errno) {
	d, from, to := &s.dir[side], s.fd[side], s.fd[1-side]
	if len(d.rest) > 0 {
		n, e := netio.Send(to, d.rest)
		if e != 0 {
			return false, unlessEmpty(e)
		}
		if d.rest = d.rest[:copy(d.rest, d.rest[n:])]; len(d.rest) > 0 {
			return false, 0
		}
	}
	if !d.ready {
		return false, 0
	}
	n, e := netio.Recv(from, r.buf)
	switch {
	case e == netio.EAGAIN:
		d.ready = false
		return false, 0
	case e != 0:
		return false, e
	case n == 0:
		d.done = true
		return false, netio.ShutdownWrite(to)
	}
	sent, e := netio.Send(to, r.buf[:n])
	if e != 0 && e != netio.EAGAIN {
		return false, e
	}
	d.ready = n == len(r.buf) || d.ending
	if sent < n {
		d.rest = append(d.rest, r.buf[max(sent, 0):n]...)
		return false, 0
	}
	return d.ready, 0
}

// splice moves through a pipe, which is held only while it has data. How much was there does not tell
// whether there is more: the next round finds out, when other sessions have had their turn.
func (r *relay) splice(s *session, side int) (again bool, e netio.Errno) {
	d, from, to := &s.dir[side], s.fd[side], s.fd[1-side]
	if d.pipe == 0 {
		if !d.ready {
			return false, 0
		}
		if d.pipe = r.pipes.Get(); d.pipe == 0 {
			return true, 0 // others will give theirs back
		}
	}
	p := r.pipes.At(d.pipe)
	if p.Data == 0 {
		n, e := netio.Splice(from, int(p.W), r.pipes.Size())
		if e != 0 || n == 0 {
			r.pipes.Put(d.pipe)
			d.pipe, d.ready = 0, false
			if e == 0 {
				d.done = true
				e = netio.ShutdownWrite(to)
			}
			return false, unlessEmpty(e)
		}
		p.Data = int32(n)
	}
	n, e := netio.Splice(int(p.R), to, int(p.Data))
	if e != 0 {
		return false, unlessEmpty(e)
	}
	if p.Data -= int32(n); p.Data > 0 {
		return true, 0 // the kernel may stop short of a full socket; EAGAIN will tell
	}
	r.pipes.Put(d.pipe)
	d.pipe = 0
	return d.ready, 0
}

func unlessEmpty(e netio.Errno) netio.Errno {
	if e == netio.EAGAIN {
		return 0
	}
	return e
}
