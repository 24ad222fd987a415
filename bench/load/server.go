package load

import (
	"fmt"

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

// listen opens a listener on a free port of the loopback and serves it on the loop.
func listen(l *Loop, serve role, events uint32) (netio.Sockaddr, error) {
	sa := loopback(0)
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
	n, e := netio.Send(c.fd, streamAt(c.off, streamChunk))
	switch e {
	case 0:
		c.off += uint64(n)
	case netio.EAGAIN:
	default:
		s.loop.drop(c)
	}
	return nil
}
