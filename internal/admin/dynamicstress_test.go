package admin

import (
	"fmt"
	"io"
	"net"
	"runtime"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/penstock/penstock/internal/testutil"
)

// mustSay asks and wants the answer.
func (s *stage) mustSay(answer, format string, args ...any) {
	s.tb.Helper()
	if got := strings.TrimSpace(s.ask("admin", format, args...)); got != answer {
		s.tb.Fatalf("%s: %q, want %q", fmt.Sprintf(format, args...), got, answer)
	}
}

// storm connects again and again until it is told to stop, and reports who was not served. greet is what a server says.
func storm(t *testing.T, addr, greet string, clients int) (stop func() (served int64)) {
	var (
		served atomic.Int64
		over   = make(chan struct{})
		wait   sync.WaitGroup
	)
	for range clients {
		wait.Go(func() {
			for {
				select {
				case <-over:
					return
				default:
				}
				conn, err := net.Dial("tcp", addr)
				if err != nil {
					t.Errorf("connect: %v", err)
					return
				}
				_ = conn.SetDeadline(time.Now().Add(testutil.Deadline)) // a connection takes one
				got, err := io.ReadAll(conn)
				conn.Close()
				if err != nil || string(got) != greet {
					t.Errorf("got %q, %v", got, err)
					return
				}
				served.Add(1)
			}
		})
	}
	return func() int64 {
		close(over)
		wait.Wait()
		return served.Load()
	}
}

// Servers come, serve and go while clients connect: each of these is served, and what was counted stays counted.
func TestDynamicStorm(t *testing.T) {
	const greet = "hello"
	server := testutil.Serve(t, func(c *testutil.Conn) { _, _ = io.WriteString(c, greet) })
	for _, balance := range []string{"roundrobin", "leastconn", "random"} {
		t.Run(balance, func(t *testing.T) {
			port := testutil.FreePort(t)
			r := mustStage(t, fmt.Sprintf(`
defaults
    mode tcp
    timeout connect 5s
    timeout server 5s
    timeout client 5s
listen l
    bind 127.0.0.1:%d
    balance %s
    server s1 %s maxconn 20
`, port, balance, server.Addr))
			chosen := func() int64 { // lbtot of the backend, which leaves out those who waited for any server
				line := strings.Split(r.ask("admin", "show stat l 2 -1"), "\n")[1]
				n, err := strconv.ParseInt(strings.Split(line, ",")[30], 10, 64)
				if err != nil {
					t.Fatal(err)
				}
				return n
			}
			last := int64(0)
			stop := storm(t, testutil.Loopback(port), greet, 6)
			for round := range 12 {
				a, b := fmt.Sprintf("a%d", round), fmt.Sprintf("b%d", round)
				r.mustSay("New server registered.", "add server l/%s %s weight 3 check inter 10ms rise 1 maxconn 2 minconn 1", a, server.Addr)
				r.mustSay("New server registered.", "add server l/%s %s track l/%s", b, server.Addr, a)
				r.mustSay("", "enable health l/%s; enable server l/%s", a, a)
				r.mustSay("", "enable server l/%s", b)
				before := r.engine.Backend(0).Server(1).CumSessions()
				testutil.Eventually(t, "a session on the new server", func() bool { return r.engine.Backend(0).Server(1).CumSessions() > before })
				r.mustSay("", "disable server l/%s; disable server l/%s", a, b)
				for _, name := range []string{b, a} { // the one that tracks first
					r.mustSay("Done.", "wait 20s srv-removable l/%s", name)
					testutil.Eventually(t, "the server is gone", func() bool {
						return strings.TrimSpace(r.ask("admin", "del server l/%s", name)) == "Server deleted."
					})
				}
				if n := chosen(); n < last {
					t.Errorf("round %d: servers were chosen %d times, and %d times before", round, n, last)
				} else {
					last = n
				}
			}
			served := stop()
			testutil.Eventually(t, "no session is left", func() bool { return r.engine.Sessions() == 0 })
			if got := chosen(); got < last || got == 0 || got > served {
				t.Errorf("servers were chosen %d times for %d sessions", got, served)
			}
			if n := r.engine.Backend(0).NumServers(); n > 5 {
				t.Errorf("%d places for 3 servers", n)
			}
			if b := r.engine.Backend(0); b.Served() != 0 || b.Queued() != 0 {
				t.Errorf("%d slots are taken and %d sessions wait in the end", b.Served(), b.Queued())
			}
		})
	}
}

// A thousand servers that came and went leave nothing behind.
func TestDynamicLeavesNothing(t *testing.T) {
	r := mustStage(t, fmt.Sprintf(`
defaults
    mode tcp
    timeout connect 5s
    timeout server 5s
    timeout client 5s
listen l
    bind 127.0.0.1:%d
    server s1 127.0.0.1:1
`, testutil.FreePort(t)))
	round := func(i int) {
		r.mustSay("New server registered.\n\nServer deleted.",
			"add server l/x%d 127.0.0.1:1 check slowstart 5s;del server l/x%d", i, i)
	}
	heap := func() uint64 {
		runtime.GC()
		runtime.GC()
		var m runtime.MemStats
		runtime.ReadMemStats(&m)
		return m.HeapAlloc
	}
	for i := range 50 {
		round(i)
	}
	before := heap()
	for i := range 1000 {
		round(i)
	}
	if n := r.engine.Backend(0).NumServers(); n != 2 {
		t.Errorf("%d places", n)
	}
	// A server with its counters takes some kilobytes; of a thousand not a hundredth may remain.
	if after := heap(); after > before+200<<10 {
		t.Errorf("the heap grew from %d to %d bytes", before, after)
	}
}

// The counters of one server are cleared, and those of others are not.
func TestClearServer(t *testing.T) {
	server := testutil.Serve(t, testutil.Echo)
	at, other := testutil.Loopback(testutil.FreePort(t)), testutil.Loopback(testutil.FreePort(t))
	r := mustStage(t, fmt.Sprintf(traffic, at, server.Addr, server.Addr, other))
	r.want("enable server l/s2", "")
	for range 4 {
		mustEcho(t, at)
	}
	column := func(server string, n int) string {
		t.Helper()
		for line := range strings.Lines(r.ask("admin", "show stat")) {
			if f := strings.Split(line, ","); len(f) > n && f[0] == "l" && f[1] == server {
				return f[n]
			}
		}
		t.Fatalf("no line of %s", server)
		return ""
	}
	const smax, stot = 5, 7
	check := func(want ...string) {
		t.Helper()
		for i, name := range []string{"s1", "s2"} {
			if got := column(name, smax) + " " + column(name, stot); got != want[i] {
				t.Errorf("%s: %s, want %s", name, got, want[i])
			}
		}
	}
	check("2 2", "2 2")
	r.want("clear counters server l/s1", "")
	check("0 2", "2 2")
	r.want("clear counters all server l/s2", "")
	check("0 2", "0 0")
}
