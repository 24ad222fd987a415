package e2e

import (
	"testing"
	"time"

	"github.com/penstock/penstock/internal/testutil"
)

// At the server's timeout the client gets a FIN, and the session lasts until the client closes.
func TestTimeoutServerWaitsForClient(t *testing.T) {
	t.Parallel()
	server := testutil.Listen(t)
	port := testutil.FreePort(t)
	p := start(t, `
listen l
    bind 127.0.0.1:{port}
    timeout server 200ms
    server s1 {s1}
`, "port", port, "s1", server.Addr)
	client := dial(t, port)
	server.Accept()
	client.ExpectEOF()
	if lines := p.log.Lines(); len(lines) > 0 {
		t.Fatalf("logged before the client closed: %q", lines)
	}
	client.Close()
	p.logged(client, `l l/s1 \d+/\d+/\d+ 0 sD \d+/1/0/0/0 0/0`)
}

// At the client's timeout the server gets a FIN, and the session lasts until the server closes.
func TestTimeoutClientWaitsForServer(t *testing.T) {
	t.Parallel()
	server := testutil.Listen(t)
	port := testutil.FreePort(t)
	p := start(t, `
listen l
    bind 127.0.0.1:{port}
    timeout client 200ms
    server s1 {s1}
`, "port", port, "s1", server.Addr)
	client := dial(t, port)
	s := server.Accept()
	s.ExpectEOF()
	if lines := p.log.Lines(); len(lines) > 0 {
		t.Fatalf("logged before the server closed: %q", lines)
	}
	s.Close()
	p.logged(client, `l l/s1 \d+/\d+/\d+ 0 cD \d+/1/0/0/0 0/0`)
}

// Traffic in either direction keeps both sides alive.
func TestTimeoutRefreshedByTraffic(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		name       string
		fromServer bool
	}{{"client sends only", false}, {"server sends only", true}} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			server := testutil.Listen(t)
			port := testutil.FreePort(t)
			p := start(t, `
listen l
    bind 127.0.0.1:{port}
    timeout client 3s
    timeout server 3s
    server s1 {s1}
`, "port", port, "s1", server.Addr)
			client := dial(t, port)
			s := server.Accept()
			from, to := client, s
			if test.fromServer {
				from, to = s, client
			}
			begun := time.Now()
			for time.Since(begun) < 3500*time.Millisecond {
				from.Send("x")
				to.Expect("x")
				time.Sleep(100 * time.Millisecond)
			}
			client.Close()
			s.ExpectEOF()
			s.Close()
			p.logged(client, `l l/s1 .* -- \d+/1/0/0/0 0/0`)
		})
	}
}

// client-fin and server-fin rule a side that is half closed, whatever the other timeouts are.
func TestTimeoutAfterFIN(t *testing.T) {
	t.Parallel()
	t.Run("server-fin", func(t *testing.T) {
		t.Parallel()
		server := testutil.Listen(t)
		port := testutil.FreePort(t)
		p := start(t, `
listen l
    bind 127.0.0.1:{port}
    timeout tunnel 60s
    timeout server-fin 250ms
    server s1 {s1}
`, "port", port, "s1", server.Addr)
		client := dial(t, port)
		s := server.Accept()
		s.Send("x") // what arrives tells that the connection stands for the program too
		client.Expect("x")
		client.CloseWrite()
		s.ExpectEOF()
		client.ExpectClosed() // the server never closes
		p.logged(client, `l l/s1 \d+/\d+/\d+ 1 sD \d+/1/0/0/0 0/0`)
	})
	t.Run("client-fin", func(t *testing.T) {
		t.Parallel()
		server := testutil.Listen(t)
		port := testutil.FreePort(t)
		p := start(t, `
listen l
    bind 127.0.0.1:{port}
    timeout tunnel 60s
    timeout client-fin 250ms
    server s1 {s1}
`, "port", port, "s1", server.Addr)
		client := dial(t, port)
		s := server.Accept()
		s.CloseWrite()
		client.ExpectEOF()
		s.ExpectClosed() // the client never closes
		p.logged(client, `l l/s1 \d+/\d+/\d+ 0 cD \d+/1/0/0/0 0/0`)
	})
}

// timeout tunnel replaces shorter client and server timeouts once data may flow.
func TestTimeoutTunnelReplacesOthers(t *testing.T) {
	t.Parallel()
	server := testutil.Listen(t)
	port := testutil.FreePort(t)
	start(t, `
listen l
    bind 127.0.0.1:{port}
    timeout client 200ms
    timeout server 200ms
    timeout tunnel 60s
    server s1 {s1}
`, "port", port, "s1", server.Addr)
	client := dial(t, port)
	s := server.Accept()
	client.Send("a")
	s.Expect("a")
	if !client.Silent(time.Second) {
		t.Fatal("the session ended by the shorter timeouts")
	}
	s.Send("b")
	client.Expect("b")
}
