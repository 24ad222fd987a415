package e2e

import (
	"io"
	"strings"
	"sync"
	"testing"

	"github.com/penstock/penstock/internal/testutil"
)

// A client that is done sending before its server connection stands still gets the answer.
func TestClientFINAtOnce(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		name    string
		request string
		server  func(*testutil.Conn)
	}{
		{"request, answered after its end", "request", func(c *testutil.Conn) {
			c.Expect("request")
			c.ExpectEOF()
			c.Send("answer")
		}},
		{"request, answered on accept", "request", func(c *testutil.Conn) {
			c.Send("answer")
			c.Expect("request")
			c.ExpectEOF()
		}},
		{"nothing sent, answered on accept", "", func(c *testutil.Conn) {
			c.Send("answer")
			c.ExpectEOF()
		}},
		{"nothing sent, answered after its end", "", func(c *testutil.Conn) {
			c.ExpectEOF()
			c.Send("answer")
		}},
		{"large request and answer", strings.Repeat("x", 300000), func(c *testutil.Conn) {
			io.Copy(io.Discard, c)
			c.Send("answer")
		}},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			if test.request == "" {
				skipForeign(t, "may end such a session before the server is connected")
			}
			server := testutil.Serve(t, test.server)
			port := testutil.FreePort(t)
			start(t, `
global
    nbthread 2
listen l
    bind 127.0.0.1:{port}
    server s1 {s1}
`, "port", port, "s1", server.Addr)
			var clients sync.WaitGroup
			for range 8 {
				clients.Go(func() {
					for range 25 {
						if answer, err := askThenFIN(port, test.request); err != nil || answer != "answer" {
							t.Errorf("got %q, %v", answer, err)
							return
						}
					}
				})
			}
			clients.Wait()
		})
	}
}

// The server connection cannot stand when the FIN arrives: the server's slot is taken.
func TestClientFINInQueue(t *testing.T) {
	t.Parallel()
	server := testutil.Listen(t)
	port := testutil.FreePort(t)
	p := start(t, `
listen l
    bind 127.0.0.1:{port}
    timeout queue 60s
    server s1 {s1} maxconn 1
`, "port", port, "s1", server.Addr)
	first := dial(t, port)
	busy := server.Accept()
	second := dial(t, port)
	second.Send("request")
	second.CloseWrite()
	p.waitInfo(t, "CurrConns", 2)
	busy.Close()
	first.ExpectEOF()
	first.Close()
	c := server.Accept()
	c.Expect("request")
	c.ExpectEOF()
	c.Send("answer")
	c.Close()
	second.Expect("answer")
	second.ExpectEOF()
	p.logged(second, `l l/s1 \d+/\d+/\d+ 6 -- .*`)
}

// Half-closed by the server first, a session still carries what the client sends.
func TestServerFINFirst(t *testing.T) {
	t.Parallel()
	server := testutil.Listen(t)
	port := testutil.FreePort(t)
	p := start(t, `
listen l
    bind 127.0.0.1:{port}
    server s1 {s1}
`, "port", port, "s1", server.Addr)
	client := dial(t, port)
	s := server.Accept()
	s.Send("hello")
	s.CloseWrite()
	client.Expect("hello")
	client.ExpectEOF()
	client.Send("still here")
	s.Expect("still here")
	client.Close()
	s.ExpectEOF()
	p.logged(client, `l l/s1 \d+/\d+/\d+ 5 -- .*`)
}

// A reset on one side is a reset on the other.
func TestResetIsPassedOn(t *testing.T) {
	t.Parallel()
	skipForeign(t, "closes the other side with a FIN")
	for _, options := range []string{"", "option splice-request\n    option splice-response"} {
		server := testutil.Listen(t)
		port := testutil.FreePort(t)
		p := start(t, text(`
listen l
    bind 127.0.0.1:{port}
    {options}
    server s1 {s1}
`, "options", options), "port", port, "s1", server.Addr)
		for _, fromServer := range []bool{false, true} {
			client := dial(t, port)
			s := server.Accept()
			client.Send("x")
			s.Expect("x")
			if fromServer {
				s.Reset()
				client.ExpectReset()
				p.logged(client, `l l/s1 .* SD .*`)
			} else {
				client.Reset()
				s.ExpectReset()
				p.logged(client, `l l/s1 .* CD .*`)
			}
		}
	}
}
