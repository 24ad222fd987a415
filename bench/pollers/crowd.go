package pollers

import (
	"fmt"
	"io"
	"net"
	"sync"
	"time"
)

// answerWithin is how long an answer may take at most.
const answerWithin = time.Minute

// crowd are clients that ask until they are stopped.
type crowd struct {
	stats string
	every time.Duration
	asks  []string // of each client

	over chan struct{}
	once sync.Once
	all  sync.WaitGroup

	mu    sync.Mutex // guards what follows
	polls int
	bytes int64
	err   error // the first
}

func (b *bench) crowd() *crowd {
	c := &crowd{stats: b.stats, every: b.Every, over: make(chan struct{})}
	for range b.Stat {
		c.asks = append(c.asks, "show stat\n")
	}
	for range b.Sess {
		c.asks = append(c.asks, "show sess all\n")
	}
	return c
}

// begin starts the clients; with a pause between their questions they are spread over it.
func (c *crowd) begin() {
	for i, ask := range c.asks {
		c.all.Go(func() { c.client(ask, c.every*time.Duration(i)/time.Duration(len(c.asks))) })
	}
}

func (c *crowd) stop() { c.once.Do(func() { close(c.over) }) }

// wait returns when all clients have their last answer.
func (c *crowd) wait() (polls int, bytes int64, err error) {
	c.all.Wait()
	return c.polls, c.bytes, c.err
}

func (c *crowd) client(ask string, after time.Duration) {
	next := time.Now().Add(after)
	for {
		timer := time.NewTimer(time.Until(next))
		select {
		case <-c.over:
			timer.Stop()
			return
		case <-timer.C:
		}
		if next = next.Add(c.every); next.Before(time.Now()) {
			next = time.Now()
		}
		n, err := c.poll(ask)
		c.mu.Lock()
		c.polls++
		c.bytes += n
		if c.err == nil {
			c.err = err
		}
		c.mu.Unlock()
		if err != nil {
			return
		}
	}
}

// poll asks once and reads the whole answer.
func (c *crowd) poll(ask string) (int64, error) {
	conn, err := net.DialTimeout("unix", c.stats, answerWithin)
	if err != nil {
		return 0, fmt.Errorf("poll: %w", err)
	}
	defer conn.Close()
	_ = conn.SetDeadline(time.Now().Add(answerWithin)) // a socket takes one
	if _, err := io.WriteString(conn, ask); err != nil {
		return 0, fmt.Errorf("poll: ask: %w", err)
	}
	n, err := io.Copy(io.Discard, conn)
	if err == nil && n < 2 {
		err = io.ErrUnexpectedEOF
	}
	if err != nil {
		return n, fmt.Errorf("poll: read answer: %w", err)
	}
	return n, nil
}
