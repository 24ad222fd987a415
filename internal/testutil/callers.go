package testutil

import (
	"net"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

// Callers connect without a pause, each says one byte and gets it back, until one of them fails or they are stopped.
type Callers struct {
	addr    string
	served  atomic.Uint64
	failure atomic.Pointer[error]
	stop    chan struct{}
	running sync.WaitGroup
}

// Call starts n callers of an echo server at addr.
func Call(addr string, n int) *Callers {
	c := &Callers{addr: addr, stop: make(chan struct{})}
	for range n {
		c.running.Go(func() {
			for !c.Failed() {
				select {
				case <-c.stop:
					return
				default:
				}
				if err := c.once(); err != nil {
					c.failure.CompareAndSwap(nil, &err)
					return
				}
				c.served.Add(1)
			}
		})
	}
	return c
}

func (c *Callers) once() error {
	conn, err := net.DialTimeout("tcp", c.addr, Deadline)
	if err != nil {
		return err
	}
	defer conn.Close()
	if err := conn.SetDeadline(time.Now().Add(Deadline)); err != nil {
		return err
	}
	if _, err := conn.Write([]byte("x")); err != nil {
		return err
	}
	_, err = conn.Read(make([]byte, 1))
	return err
}

// Failed tells whether a caller was refused or cut off.
func (c *Callers) Failed() bool { return c.failure.Load() != nil }

// More waits until n more calls are served, or one has failed.
func (c *Callers) More(tb testing.TB, n uint64) {
	tb.Helper()
	from := c.served.Load()
	Eventually(tb, "callers are served", func() bool { return c.Failed() || c.served.Load() >= from+n })
}

// Stop ends the callers, and fails the test when one of them failed.
func (c *Callers) Stop(tb testing.TB) {
	tb.Helper()
	close(c.stop)
	c.running.Wait()
	if err := c.failure.Load(); err != nil {
		tb.Fatalf("after %d connections: %v", c.served.Load(), *err)
	}
	tb.Logf("%d connections", c.served.Load())
}
