package e2e

import (
	"fmt"
	"io"
	"sync"
	"testing"
	"time"

	"github.com/penstock/penstock/internal/testutil"
)

// replica is a server that speaks as much of Redis as a check of the role needs, and takes writes whatever its role: "W" is
// answered with its name.
type replica struct {
	*testutil.Listener
	name string
	gate chan struct{} // one token lets one check be answered

	mu       sync.Mutex
	role     string
	answered int // checks, since the role changed last
	written  int
}

func startReplica(tb testing.TB, name, role string) *replica {
	tb.Helper()
	r := &replica{name: name, role: role, gate: make(chan struct{})}
	over := make(chan struct{})
	r.Listener = testutil.Serve(tb, func(c *testutil.Conn) {
		first := make([]byte, 1)
		if _, err := io.ReadFull(c.Conn, first); err != nil {
			return
		}
		if first[0] == 'W' {
			r.write(c, first)
			return
		}
		select {
		case <-r.gate:
		case <-over:
			return
		}
		r.mu.Lock()
		r.answered++
		info := "role:" + r.role + "\r\n"
		r.mu.Unlock()
		fmt.Fprintf(c.Conn, "+PONG\r\n$%d\r\n%s\r\n", len(info), info)
		io.Copy(io.Discard, c.Conn)
	})
	tb.Cleanup(func() { close(over) }) // before the listener waits for its connections
	return r
}

// answer lets one check be answered.
func (r *replica) answer(tb testing.TB) {
	tb.Helper()
	select {
	case r.gate <- struct{}{}:
	case <-time.After(testutil.Deadline):
		tb.Fatalf("no check asks server %s", r.name)
	}
}

// write takes a client's writes until it leaves; the first is there already.
func (r *replica) write(c *testutil.Conn, buf []byte) {
	for {
		r.mu.Lock()
		r.written++
		r.mu.Unlock()
		if _, err := c.Write([]byte(r.name)); err != nil {
			return
		}
		if _, err := io.ReadFull(c.Conn, buf); err != nil {
			return
		}
	}
}

func (r *replica) become(role string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.role, r.answered = role, 0
}

func (r *replica) counts() (answered, written int) {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.answered, r.written
}

// Writes follow the primary within one check: each server answers exactly one after the change, and the next is held back until
// a write has reached the new primary. What was written to is written to no more once its answer was seen.
func TestWritesFollowThePrimary(t *testing.T) {
	t.Parallel()
	skipForeign(t, "has no checks of the role")
	for name, demotedFirst := range map[string]bool{"demoted first": true, "promoted first": false} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			nodes := []*replica{startReplica(t, "1", "master"), startReplica(t, "2", "slave")}
			port := testutil.FreePort(t)
			p := start(t, `
listen redis
    bind 127.0.0.1:{port}
    option redis-check role master
    timeout check 60s
    default-server check inter 400ms fastinter 10ms downinter 10ms fall 3 rise 1 on-marked-down shutdown-sessions
    server r1 {r1}
    server r2 {r2}
`, "port", port, "r1", nodes[0].Addr, "r2", nodes[1].Addr)
			write := func(c *testutil.Conn, want string) {
				t.Helper()
				c.Send("W")
				c.Expect(want)
			}
			nodes[1].answer(t)
			nodes[0].answer(t)
			p.log.WaitLine(t, `Server redis/r1 is UP`)
			was, is := nodes[0], nodes[1]
			for round := range 2 { // a server that loses its role a third time within a minute has to wait
				var clients [5]*testutil.Conn
				for i := range clients {
					clients[i] = dial(t, port)
					write(clients[i], was.name)
				}
				was.become("slave")
				is.become("master")
				// Until the change is seen, sessions go on where they are.
				write(clients[0], was.name)
				first, second := was, is
				if !demotedFirst {
					first, second = is, was
				}
				down, up := "Server redis/r"+was.name+" is DOWN", "Server redis/r"+is.name+" is UP"
				first.answer(t)
				p.log.WaitLine(t, map[bool]string{true: down, false: up}[demotedFirst])
				if demotedFirst {
					nobody := dial(t, port)
					nobody.Send("W")
					nobody.ExpectClosed()
				}
				second.answer(t)
				p.log.WaitLine(t, map[bool]string{true: up, false: down}[demotedFirst])
				for _, c := range clients {
					c.ExpectClosed()
				}
				_, before := was.counts()
				for range 10 {
					write(dial(t, port), is.name)
				}
				for _, r := range nodes {
					if answered, _ := r.counts(); answered != 1 {
						t.Errorf("round %d: server %s answered %d checks between the change and the write", round, r.name, answered)
					}
				}
				if _, after := was.counts(); after != before {
					t.Errorf("round %d: %d writes at the server that was demoted", round, after-before)
				}
				was, is = is, was
			}
		})
	}
}
