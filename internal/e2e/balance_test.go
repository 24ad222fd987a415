package e2e

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/penstock/penstock/internal/testutil"
)

// greeters starts n servers that say their number to every client and wait for its end.
func greeters(tb testing.TB, n int) []*testutil.Listener {
	tb.Helper()
	servers := make([]*testutil.Listener, n)
	for i := range servers {
		servers[i] = testutil.Serve(tb, func(c *testutil.Conn) {
			c.Send(fmt.Sprint(i + 1))
			c.ExpectClosed()
		})
	}
	return servers
}

// greeted opens a session and returns the number of the server that it reached. The session stays
// open until the test ends or its caller closes it.
func greeted(tb testing.TB, port int) (*testutil.Conn, string) {
	tb.Helper()
	c := dial(tb, port)
	buf := make([]byte, 1)
	if n, err := c.Read(buf); err != nil || n != 1 {
		tb.Fatalf("no greeting: %v", err)
	}
	return c, string(buf)
}

// sequence opens n sessions one after the other, each closed before the next, and returns the
// servers' numbers in order.
func sequence(tb testing.TB, p *proxy, port, n int) string {
	tb.Helper()
	var got []string
	for range n {
		c, server := greeted(tb, port)
		got = append(got, server)
		c.Close()
		p.logged(c, `.* -- .*`) // the session is over for the program too
	}
	return strings.Join(got, " ")
}

func TestBalanceSequences(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		name    string
		balance string
		weights [3]int
		want    string
	}{
		{"roundrobin equal", "roundrobin", [3]int{1, 1, 1}, "1 2 3 1 2 3 1 2 3"},
		{"roundrobin 1 2 3", "roundrobin", [3]int{1, 2, 3}, "3 2 3 1 3 2 3 2 3 1 3 2"},
		{"roundrobin 10 10 5", "roundrobin", [3]int{10, 10, 5}, "1 2 1 2 3 1 2 1 2 3 1 2"},
		{"static-rr 1 2 3", "static-rr", [3]int{1, 2, 3}, "1 3 2 3 2 3 1 3 2 3 2 3"},
		{"static-rr 10 10 5", "static-rr", [3]int{10, 10, 5}, "1 2 1 2 3 1 2 1 2 3"},
		{"source map-based", "source", [3]int{1, 1, 1}, "3 3 3 3"},
		{"source 1 2 3", "source", [3]int{1, 2, 3}, "3 3 3"},
		{"source 10 10 5", "source", [3]int{10, 10, 5}, "2 2 2"},
		{"source consistent", "source\n    hash-type consistent", [3]int{1, 1, 1}, "2 2 2"},
		{"weight 0 takes nothing", "roundrobin", [3]int{1, 0, 1}, "1 3 1 3"},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			servers := greeters(t, 3)
			port := testutil.FreePort(t)
			p := start(t, `
listen l
    bind 127.0.0.1:{port}
    balance {balance}
    server s1 {s1} weight {w1}
    server s2 {s2} weight {w2}
    server s3 {s3} weight {w3}
`, "port", port, "balance", test.balance, "s1", servers[0].Addr, "s2", servers[1].Addr, "s3", servers[2].Addr,
				"w1", test.weights[0], "w2", test.weights[1], "w3", test.weights[2])
			want := test.want
			if got := sequence(t, p, port, len(strings.Fields(want))); got != want {
				t.Errorf("got  %s\nwant %s", got, want)
			}
		})
	}
}

// With several threads the order is not defined, but the shares are.
func TestBalanceRoundRobinOverThreads(t *testing.T) {
	t.Parallel()
	servers := greeters(t, 3)
	port := testutil.FreePort(t)
	p := start(t, `
global
    nbthread 2
listen l
    bind 127.0.0.1:{port}
    server s1 {s1} weight 1
    server s2 {s2} weight 2
    server s3 {s3} weight 3
`, "port", port, "s1", servers[0].Addr, "s2", servers[1].Addr, "s3", servers[2].Addr)
	sequence(t, p, port, 60)
	for i, want := range []int{10, 20, 30} {
		if got := servers[i].Accepted(); got != want {
			t.Errorf("server %d took %d sessions of 60, want %d", i+1, got, want)
		}
	}
}

func TestBalanceLeastconn(t *testing.T) {
	t.Parallel()
	servers := greeters(t, 3)
	port := testutil.FreePort(t)
	p := start(t, `
listen l
    bind 127.0.0.1:{port}
    balance leastconn
    server s1 {s1} weight 10
    server s2 {s2} weight 10
    server s3 {s3} weight 20
`, "port", port, "s1", servers[0].Addr, "s2", servers[1].Addr, "s3", servers[2].Addr)
	open := map[string][]*testutil.Conn{}
	for range 8 {
		c, server := greeted(t, port)
		open[server] = append(open[server], c)
	}
	if len(open["1"]) != 2 || len(open["2"]) != 2 || len(open["3"]) != 4 {
		t.Fatalf("8 sessions went %d, %d, %d; want 2, 2, 4", len(open["1"]), len(open["2"]), len(open["3"]))
	}
	// The two freed slots of server 2 are the least loaded now.
	for _, c := range open["2"] {
		c.Close()
		p.logged(c, `.*`)
	}
	for range 2 {
		if _, server := greeted(t, port); server != "2" {
			t.Errorf("a new session went to server %s, want 2", server)
		}
	}
}

func TestBalanceFirst(t *testing.T) {
	t.Parallel()
	servers := greeters(t, 3)
	port := testutil.FreePort(t)
	p := start(t, `
listen l
    bind 127.0.0.1:{port}
    balance first
    server s1 {s1} maxconn 2
    server s2 {s2} maxconn 2
    server s3 {s3} maxconn 2
`, "port", port, "s1", servers[0].Addr, "s2", servers[1].Addr, "s3", servers[2].Addr)
	var open []*testutil.Conn
	var got []string
	for range 5 {
		c, server := greeted(t, port)
		open, got = append(open, c), append(got, server)
	}
	if want := []string{"1", "1", "2", "2", "3"}; !slices.Equal(got, want) {
		t.Fatalf("sessions went to %v, want %v", got, want)
	}
	open[0].Close()
	p.logged(open[0], `.*`)
	if _, server := greeted(t, port); server != "1" {
		t.Errorf("a slot of server 1 is free, but the session went to %s", server)
	}
}

func TestBalanceRandom(t *testing.T) {
	t.Parallel()
	servers := greeters(t, 2)
	port := testutil.FreePort(t)
	p := start(t, `
listen l
    bind 127.0.0.1:{port}
    balance random
    server s1 {s1}
    server s2 {s2}
`, "port", port, "s1", servers[0].Addr, "s2", servers[1].Addr)
	sequence(t, p, port, 40)
	// One side gets none of 40 by chance once in 2^39.
	if a, b := servers[0].Accepted(), servers[1].Accepted(); a == 0 || b == 0 || a+b != 40 {
		t.Errorf("40 sessions went %d and %d", a, b)
	}
}

func TestBackupServers(t *testing.T) {
	t.Parallel()
	for _, test := range []struct{ name, option, active, want string }{
		{"an active server takes all", "", "", "1 1 1 1"},
		{"the first backup takes over", "", "disabled", "2 2 2 2"},
		{"all backups take over", "option allbackups", "disabled", "2 3 2 3"},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			servers := greeters(t, 3)
			port := testutil.FreePort(t)
			p := start(t, `
listen l
    bind 127.0.0.1:{port}
    {option}
    server s1 {s1} {active}
    server s2 {s2} backup
    server s3 {s3} backup
`, "port", port, "option", test.option, "active", test.active,
				"s1", servers[0].Addr, "s2", servers[1].Addr, "s3", servers[2].Addr)
			if got := sequence(t, p, port, 4); got != test.want {
				t.Errorf("got %s, want %s", got, test.want)
			}
		})
	}
}

// A server at its maxconn makes clients wait, and serves them one by one: with one thread, in the
// order they came.
func TestServerQueueIsFIFO(t *testing.T) {
	t.Parallel()
	for _, threads := range []int{1, 2} {
		t.Run(fmt.Sprintf("nbthread %d", threads), func(t *testing.T) {
			t.Parallel()
			server := testutil.Listen(t)
			port := testutil.FreePort(t)
			p := start(t, `
global
    nbthread {threads}
listen l
    bind 127.0.0.1:{port}
    timeout queue 60s
    server s1 {s1} maxconn 1
`, "threads", threads, "port", port, "s1", server.Addr)
			const n = 8
			clients := map[byte]*testutil.Conn{}
			for i := range byte(n) {
				clients[i] = dial(t, port)
				clients[i].Write([]byte{i})
			}
			p.waitInfo(t, "CurrConns", n)
			for i := range byte(n) {
				c := server.Accept()
				if _, more := server.AcceptWithin(0); more {
					t.Fatal("the server has two sessions, its maxconn is 1")
				}
				turn := make([]byte, 1)
				if _, err := c.Read(turn); err != nil {
					t.Fatal(err)
				}
				if threads == 1 && turn[0] != i {
					t.Errorf("client %d is served, want %d", turn[0], i)
				}
				client := clients[turn[0]]
				c.Close()
				client.ExpectEOF()
				client.Close()
				fields := p.logged(client, `l l/s1 \d+/\d+/\d+ 0 -- \d+/\d+/\d+/\d+/0 (\d+)/(\d+)`)
				if ahead := mustInt(t, fields[1]) + mustInt(t, fields[2]); (ahead == 0) != (i == 0) {
					t.Errorf("client %d, served in turn %d, waited behind %d others", turn[0], i, ahead)
				}
			}
		})
	}
}

// Without a slot for as long as timeout queue, a client is sent away.
func TestQueueTimeout(t *testing.T) {
	t.Parallel()
	server := testutil.Listen(t)
	port := testutil.FreePort(t)
	p := start(t, `
listen l
    bind 127.0.0.1:{port}
    timeout queue 200ms
    server s1 {s1} maxconn 1
`, "port", port, "s1", server.Addr)
	first := dial(t, port)
	busy := server.Accept()
	second := dial(t, port)
	second.ExpectClosed()
	waited := mustInt(t, p.logged(second, `l l/<NOSRV> (\d+)/-1/\d+ 0 sQ \d+/2/1/0/0 0/1`)[1])
	if waited < 200-early {
		t.Errorf("the client left the queue after %d ms, before its time", waited)
	}
	first.Close()
	busy.Close()
	p.logged(first, `l l/s1 .* -- .*`)
}

func TestRetriesInLog(t *testing.T) {
	t.Parallel()
	for _, test := range []struct{ name, options, second, want string }{
		{"same server", "retries 2", "", `l l/s1 \d+/-1/\d+ 0 SC \d+/1/0/0/2 0/0`},
		{"no retry", "retries 0", "", `l l/s1 \d+/-1/\d+ 0 SC \d+/1/0/0/0 0/0`},
		{"redispatched", "retries 2\n    option redispatch", "server s2 {s2}", `l l/s2 \d+/\d+/\d+ 2 -- \d+/1/0/0/\+1 0/0`},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			live := testutil.Serve(t, func(c *testutil.Conn) { c.Send("ok") })
			port := testutil.FreePort(t)
			p := start(t, text(`
listen l
    bind 127.0.0.1:{port}
    timeout connect 100ms
    {options}
    server s1 127.0.0.1:{dead}
    {second}
`, "options", test.options, "second", test.second), "port", port, "dead", testutil.FreePort(t), "s2", live.Addr)
			c := dial(t, port)
			c.ExpectClosed()
			c.Close()
			p.logged(c, test.want)
		})
	}
}
