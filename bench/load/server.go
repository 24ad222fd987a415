package load

import (
	"bytes"
	"fmt"
	"net/netip"
	"sync/atomic"

	"github.com/penstock/penstock/netio"
)

// acceptor takes connections for a role.
type acceptor struct {
	loop   *Loop
	serve  role
	events uint32
}

func (a *acceptor) ready(c *conn, _ uint32) error {
	for {
		var peer netio.Sockaddr
		fd, e := netio.Accept(c.fd, &peer)
		switch e {
		case 0:
		case netio.EAGAIN:
			return nil
		case netio.EINTR, netio.ECONNABORTED:
			continue
		default:
			return fmt.Errorf("server: accept: %w", e)
		}
		if _, err := a.loop.add(fd, a.serve, a.events); err != nil {
			return err
		}
	}
}

// listen opens a listener on a free port of an address and serves it on the loop.
func listen(l *Loop, at netip.Addr, serve role, events uint32) (netio.Sockaddr, error) {
	sa := netio.SockaddrFrom(netip.AddrPortFrom(at, 0))
	fd, err := netio.Listen(&sa, "", &netio.ListenOptions{Backlog: 4096, Conn: netio.ConnOptions{NoDelay: true}})
	if err != nil {
		return sa, err
	}
	if e := netio.LocalAddr(fd, &sa); e != 0 {
		netio.Close(fd)
		return sa, fmt.Errorf("server: address of the listener: %w", e)
	}
	_, err = l.add(fd, &acceptor{loop: l, serve: serve, events: events}, netio.Readable)
	return sa, err
}

// echo sends back what comes.
type echo struct{ loop *Loop }

func (s *echo) ready(c *conn, mask uint32) error {
	for {
		n, e := netio.Recv(c.fd, s.loop.buf)
		switch {
		case e == netio.EAGAIN:
			return nil
		case e != 0 || n == 0:
			s.loop.drop(c)
			return nil
		}
		m, e := netio.Send(c.fd, s.loop.buf[:n])
		if e == netio.EPIPE || e == netio.ECONNRESET {
			s.loop.drop(c)
			return nil
		}
		if e != 0 || m != n {
			return fmt.Errorf("server: echo of %d bytes: %d sent, errno %d", n, m, int(e))
		}
		if n < len(s.loop.buf) && mask&(netio.PeerClosed|netio.Hangup|netio.Failure) == 0 {
			return nil
		}
	}
}

// source sends the stream of [streamAt] until the peer has enough.
type source struct{ loop *Loop }

func (s *source) ready(c *conn, mask uint32) error {
	if mask&(netio.PeerClosed|netio.Hangup|netio.Failure) != 0 {
		s.loop.drop(c)
		return nil
	}
	if !feed(c) {
		s.loop.drop(c)
	}
	return nil
}

// feed sends what fits of the stream of [streamAt], and tells whether the peer still takes it.
func feed(c *conn) bool {
	n, e := netio.Send(c.fd, streamAt(c.sent, streamChunk))
	if e == 0 {
		c.sent += uint64(n)
	}
	return e == 0 || e == netio.EAGAIN
}

// take reads a stream of [streamAt] once. The first reads and a sample of the rest are compared with
// what was sent; the others are dropped inside the kernel, so that reading costs next to nothing. A
// byte lost or doubled among those shifts the next sample, which fails. Zero bytes without an
// error are the stream's end.
func take(l *Loop, c *conn, most int) (n int, e netio.Errno, err error) {
	check := c.reads < checkFirst || c.reads%checkEvery == 0
	if check {
		n, e = netio.Recv(c.fd, l.buf[:min(most, streamChunk)])
	} else {
		n, e = discard(c.fd, most)
	}
	if e != 0 {
		return 0, e, nil
	}
	if check && !bytes.Equal(l.buf[:n], streamAt(c.off, n)) {
		return 0, 0, fmt.Errorf("wrong bytes in the stream after %d", c.off)
	}
	c.reads++
	c.off += uint64(n)
	return n, 0, nil
}

// exchange sends the stream and takes it from the client at the same time.
type exchange struct {
	loop  *Loop
	taken atomic.Uint64 // bytes, over all connections
}

func (s *exchange) ready(c *conn, mask uint32) error {
	if mask&(netio.PeerClosed|netio.Hangup|netio.Failure) != 0 {
		s.loop.drop(c)
		return nil
	}
	if mask&netio.Readable != 0 {
		n, e, err := take(s.loop, c, sinkChunk)
		if err != nil {
			return fmt.Errorf("server: %w", err)
		}
		if e != 0 && e != netio.EAGAIN {
			s.loop.drop(c)
			return nil
		}
		s.taken.Add(uint64(n))
	}
	if mask&netio.Writable != 0 && !feed(c) {
		s.loop.drop(c)
	}
	return nil
}
