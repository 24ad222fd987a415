package handover

import (
	"encoding/binary"
	"net"
	"sync"
	"testing"

	"github.com/penstock/penstock/netio"
)

// proxy stands between two sides and forwards their frames, descriptors included.
type proxy struct {
	giver, taker *net.UnixConn // the proxy's ends of the connections to both

	// handle is called for each frame, one at a time, and forwards it, or a part of it, or nothing. The
	// connections are cut when it returns false.
	handle func(f *passing) bool

	once sync.Once
	turn sync.Mutex // one frame at a time
}

// passing is a frame on its way through a proxy.
type passing struct {
	fromGiver bool
	kind      kind
	fds       []int
	to        *net.UnixConn
	bytes     []byte
}

// forward sends the first n bytes on; the descriptors go with the first one.
func (f *passing) forward(n int) {
	if n > 0 {
		netio.SendDescriptors(f.to, f.bytes[:n], f.fds)
	}
	netio.CloseAll(f.fds)
	f.fds = nil
}

// mustProxy makes the connections of both sides, with a proxy between them that runs until both are closed; the test
// waits for that.
func mustProxy(tb testing.TB, handle func(f *passing) bool) (giver, taker *net.UnixConn) {
	tb.Helper()
	giver, taker, done := mustProxyDone(tb, handle)
	tb.Cleanup(func() { <-done })
	return giver, taker
}

// mustProxyDone is mustProxy for who waits for the end of the proxy itself.
func mustProxyDone(tb testing.TB, handle func(f *passing) bool) (giver, taker *net.UnixConn, done chan struct{}) {
	tb.Helper()
	p := &proxy{handle: handle}
	giver, p.giver = mustControl(tb)
	taker, p.taker = mustControl(tb)
	return giver, taker, p.start()
}

func (p *proxy) start() (done chan struct{}) {
	var work sync.WaitGroup
	work.Go(func() { p.pump(p.giver, p.taker, true) })
	work.Go(func() { p.pump(p.taker, p.giver, false) })
	done = make(chan struct{})
	go func() { work.Wait(); close(done) }()
	return done
}

// cut closes both connections.
func (p *proxy) cut() {
	p.once.Do(func() {
		p.giver.Close()
		p.taker.Close()
	})
}

func (p *proxy) pump(from, to *net.UnixConn, fromGiver bool) {
	defer p.cut()
	for {
		f := passing{fromGiver: fromGiver, to: to, bytes: make([]byte, headerSize)}
		for have := 0; have < headerSize; {
			n, fds, err := netio.ReceiveDescriptors(from, f.bytes[have:])
			if err != nil {
				return
			}
			f.fds = append(f.fds, fds...)
			have += n
		}
		f.kind = kind(f.bytes[4])
		body := make([]byte, binary.BigEndian.Uint32(f.bytes[8:]))
		for have := 0; have < len(body); {
			n, err := from.Read(body[have:])
			if err != nil {
				netio.CloseAll(f.fds)
				return
			}
			have += n
		}
		f.bytes = append(f.bytes, body...)
		p.turn.Lock()
		on := p.handle(&f)
		netio.CloseAll(f.fds)
		p.turn.Unlock()
		if !on {
			return
		}
	}
}
