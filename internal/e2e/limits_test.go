package e2e

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/penstock/penstock/internal/testutil"
)

// At its limit, a listener leaves clients in the kernel's backlog, and lets them in as others go.
func TestMaxconn(t *testing.T) {
	t.Parallel()
	for _, test := range []struct{ name, global, frontend, bind string }{
		{"frontend", "", "maxconn 2", ""},
		{"bind", "", "", "maxconn 2"},
		{"process", "maxconn 2", "", ""},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			server := testutil.Listen(t)
			port := testutil.FreePort(t)
			p := start(t, text(`
global
    {global}
listen l
    bind 127.0.0.1:{port} {bind}
    backlog 100
    {frontend}
    server s1 {s1}
`, "global", test.global, "frontend", test.frontend, "bind", test.bind), "port", port, "s1", server.Addr)
			const n = 6
			var clients [n]*testutil.Conn
			var served [n]*testutil.Conn
			for i := range clients {
				clients[i] = dial(t, port)
				clients[i].Send(fmt.Sprint(i))
				if i < 2 {
					served[i] = server.Accept()
					served[i].Expect(fmt.Sprint(i))
				}
			}
			if _, more := server.AcceptWithin(200 * time.Millisecond); more {
				t.Fatal("a third session was let in beyond the limit of 2")
			}
			for i := 2; i < n; i++ {
				clients[i-2].Close()
				served[i-2].ExpectEOF()
				served[i-2].Close()
				served[i] = server.Accept()
				served[i].Expect(fmt.Sprint(i)) // in the order they came
				served[i].Send("in")
				clients[i].Expect("in")
				if _, more := server.AcceptWithin(0); more {
					t.Fatal("one left, more than one was let in")
				}
			}
			if p.Exited() {
				t.Fatal("the program ended")
			}
		})
	}
}

// The limit of one frontend does not keep clients from another.
func TestMaxconnOfOneFrontendOnly(t *testing.T) {
	t.Parallel()
	server := testutil.Serve(t, testutil.Echo)
	port, other := testutil.FreePort(t), testutil.FreePort(t)
	start(t, `
listen l
    bind 127.0.0.1:{port}
    maxconn 1
    backlog 100
    server s1 {s1}
listen m
    bind 127.0.0.1:{other}
    server s1 {s1}
`, "port", port, "other", other, "s1", server.Addr)
	first := dial(t, port)
	first.Send("x")
	first.Expect("x")
	waiting := dial(t, port)
	waiting.Send("y")
	oneSession(t, other)
	if !waiting.Silent(100 * time.Millisecond) {
		t.Fatal("served beyond the limit")
	}
	first.Close()
	waiting.Expect("y")
}

// Out of descriptors the program keeps what it has, and takes new clients when it can again.
func TestOutOfDescriptors(t *testing.T) {
	t.Parallel()
	server := testutil.Serve(t, testutil.Echo)
	port := testutil.FreePort(t)
	p := prepare(t, `
global
    maxconn 500
    no strict-limits
listen l
    bind 127.0.0.1:{port}
    server s1 {s1}
`, "port", port, "s1", server.Addr)
	p.launchLimited(80)
	p.logged(oneSession(t, port), `.* -- .*`) // HAProxy opens its log's socket with the first line
	var clients []*testutil.Conn
	for range 120 {
		c := dial(t, port)
		c.SetWriteDeadline(time.Now().Add(testutil.Deadline))
		c.Write([]byte("x")) // some of them get no server
		clients = append(clients, c)
	}
	clients[0].Expect("x")
	testutil.Eventually(t, "descriptors run out", func() bool { return len(testutil.FDs(t, p.Pid)) >= 78 })
	p.log.WaitLine(t, `^<128>.*: Proxy l reached process FD limit`)
	clients[0].Send("y")
	clients[0].Expect("y")
	for _, c := range clients {
		c.Close()
	}
	testutil.Eventually(t, "the program serves again", func() bool {
		answer, err := askThenFIN(port, "request")
		return err == nil && answer == "request"
	})
	if p.Exited() {
		t.Fatal("the program ended")
	}
}

// Out of source ports, attempts fail like refused ones, and a port that is free again is used.
func TestOutOfSourcePorts(t *testing.T) {
	t.Parallel()
	server := testutil.Listen(t)
	port, from := testutil.FreePort(t), testutil.FreePort(t)
	p := start(t, `
listen l
    bind 127.0.0.1:{port}
    retries 2
    timeout connect 100ms
    server s1 {s1} source 127.0.0.2:{from}-{from}
`, "port", port, "s1", server.Addr, "from", from)
	first := dial(t, port)
	holder := server.Accept()
	second := dial(t, port)
	second.ExpectClosed()
	p.logged(second, `l l/s1 \d+/-1/\d+ 0 [RS]C \d+/2/1/1/2 0/0`)
	p.log.WaitLine(t, `^<131>.*: Connect\(\) failed for backend l: no free ports\.`)
	// The client's reset is passed on, so that no TIME_WAIT keeps the port.
	first.Reset()
	holder.ExpectClosed()
	holder.Close()
	p.logged(first, `l l/s1 .* CD .*`)
	third := dial(t, port)
	server.Accept().Send("hello")
	third.Expect("hello")
}

// Sessions of every kind give their descriptors back.
func TestNoDescriptorLeak(t *testing.T) {
	t.Parallel()
	failures := make(chan error, 1000)
	server := relayServer(t, failures)
	port := testutil.FreePort(t)
	p := start(t, `
global
    nbthread 2
listen l
    bind 127.0.0.1:{port}
    server s1 {s1}
`, "port", port, "s1", server.Addr)
	if err := relaySession(port, 0); err != nil { // opens what is opened once
		t.Fatal(err)
	}
	p.log.WaitLine(t, " l/s1 ")
	sockets := func() int {
		n := 0
		for _, target := range testutil.FDs(t, p.Pid) {
			if strings.HasPrefix(target, "socket:") {
				n++
			}
		}
		return n
	}
	before := sockets()
	for seed := range uint64(300) {
		if err := relaySession(port, seed); err != nil {
			t.Fatal(err)
		}
	}
	p.waitInfo(t, "CurrConns", 0)
	// Each thread may have opened a socket for its log meanwhile.
	testutil.Eventually(t, "all sockets of sessions are closed", func() bool { return sockets() <= before+2 })
}

// Connections above the rate wait in the backlog and are let in in time.
func TestRateLimits(t *testing.T) {
	t.Parallel()
	for _, test := range []struct{ name, global, proxy string }{
		{"process", "maxconnrate 40", ""},
		{"sessions", "maxsessrate 40", ""},
		{"frontend", "", "rate-limit sessions 40"},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			server := testutil.Serve(t, testutil.Echo)
			port := testutil.FreePort(t)
			start(t, text(`
global
    {global}
listen l
    bind 127.0.0.1:{port}
    {proxy}
    server s1 {s1}
`, "global", test.global, "proxy", test.proxy), "port", port, "s1", server.Addr)
			begun := time.Now()
			for range 24 {
				oneSession(t, port)
			}
			// A burst of a tenth of a second is free: at 40 a second four or five, and 19 cost 25 ms each.
			if took := time.Since(begun); !program.foreign && took < 400*time.Millisecond {
				t.Errorf("24 sessions at 40 a second took %v", took)
			}
		})
	}
}
