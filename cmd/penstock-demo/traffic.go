package main

import (
	"bytes"
	"context"
	"fmt"
	"net"
	"strconv"
	"sync"
	"sync/atomic"
	"time"

	"github.com/gomodule/redigo/redis"
)

// traffic is a crowd of clients: half of them come to the roundrobin frontend for a few requests at
// a time, the other half to leastconn for long.
type traffic struct {
	requests    atomic.Int64
	connections atomic.Int64
	clients     sync.WaitGroup

	mu       sync.Mutex
	failures []error
}

const clientsPerFrontend = 4

func startTraffic(ctx context.Context, s *stage) *traffic {
	t := &traffic{}
	for frontend, perConnection := range [2]int{20, 5000} {
		addr := net.JoinHostPort("127.0.0.1", strconv.Itoa(s.ports[frontend]))
		for client := range clientsPerFrontend {
			key := fmt.Sprintf("%s:%d", frontends[frontend], client)
			t.clients.Go(func() { t.client(ctx, s, addr, key, perConnection) })
		}
	}
	return t
}

// wait waits for the clients to leave and returns what failed.
func (t *traffic) wait() []error {
	t.clients.Wait()
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.failures
}

// client connects again and again until the end, or until something fails.
func (t *traffic) client(ctx context.Context, s *stage, addr, key string, perConnection int) {
	value := bytes.Repeat([]byte(key), 8)
	for ctx.Err() == nil {
		err := t.visit(ctx, addr, key, value, perConnection)
		if err == nil {
			continue
		}
		// A balancer that was told to stop refuses connections a moment before its log says so.
		select {
		case <-s.stopping:
		case <-time.After(time.Second):
			t.mu.Lock()
			t.failures = append(t.failures, err)
			t.mu.Unlock()
		}
		return
	}
}

// visit makes one connection and up to n requests, each answer checked.
func (t *traffic) visit(ctx context.Context, addr, key string, value []byte, n int) error {
	c, err := redis.Dial("tcp", addr, redis.DialConnectTimeout(5*time.Second),
		redis.DialReadTimeout(5*time.Second), redis.DialWriteTimeout(5*time.Second))
	if err != nil {
		return fmt.Errorf("connect to %s: %w", addr, err)
	}
	defer c.Close()
	t.connections.Add(1)
	for range n / 2 {
		if ctx.Err() != nil {
			return nil
		}
		if _, err := c.Do("SET", key, value); err != nil {
			return fmt.Errorf("SET at %s: %w", addr, err)
		}
		got, err := redis.Bytes(c.Do("GET", key))
		if err != nil {
			return fmt.Errorf("GET at %s: %w", addr, err)
		}
		if !bytes.Equal(got, value) {
			return fmt.Errorf("GET at %s: %q, want %q", addr, got, value)
		}
		t.requests.Add(2)
	}
	return nil
}
