package load

import (
	"bytes"
	"fmt"

	"github.com/penstock/penstock/netio"
)

const (
	checkFirst = 64 // reads of each stream that are compared byte by byte,
	checkEvery = 16 // and every so many after them
	sinkChunk  = 1 << 20
)

// Streams reads Conns endless streams of the source at once. The first reads of each and a sample of
// the rest are compared with what was sent; the others are dropped inside the kernel, so that reading
// costs next to nothing. A byte lost or doubled among those shifts the next sample, which fails.
func (r *Rig) Streams(p Plan) (Window, error) {
	return r.drive(&p, func(l *Loop) driver {
		return &streams{client{loop: l, plan: &p}}
	})
}

type streams struct{ client }

func (d *streams) open() error {
	_, _, err := d.loop.connect(d.plan.To, d, netio.Readable|netio.PeerClosed)
	return err
}

func (d *streams) ready(c *conn, _ uint32) error {
	check := c.reads < checkFirst || c.reads%checkEvery == 0
	var n int
	var e netio.Errno
	if check {
		n, e = netio.Recv(c.fd, d.loop.buf[:streamChunk])
	} else {
		n, e = discard(c.fd, sinkChunk)
	}
	switch {
	case e == netio.EAGAIN:
		return nil
	case e != 0:
		return fmt.Errorf("client: stream after %d bytes: %w", c.off, e)
	case n == 0:
		return fmt.Errorf("client: the stream ended after %d bytes", c.off)
	case check && !bytes.Equal(d.loop.buf[:n], streamAt(c.off, n)):
		return fmt.Errorf("client: wrong bytes in the stream after %d", c.off)
	}
	c.reads++
	c.off += uint64(n)
	d.window.Bytes += uint64(n)
	return nil
}
