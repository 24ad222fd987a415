package e2e

import (
	"strings"
	"syscall"
	"testing"

	"github.com/penstock/penstock/internal/testutil"
)

// session is one session that a case ends in its own way.
type session struct {
	*proxy
	server *testutil.Listener
	port   int
	client *testutil.Conn
	remote *testutil.Conn // the server's end, where the case accepts it
}

// exchange opens the session: two bytes each way.
func (s *session) exchange(tb testing.TB) {
	tb.Helper()
	s.client = dial(tb, s.port)
	s.remote = s.server.Accept()
	s.client.Send("hi")
	s.remote.Expect("hi")
	s.remote.Send("ho")
	s.client.Expect("ho")
}

// Each way a session can end has its two letters in the log.
func TestTerminationCodes(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		name    string
		options string
		server  string // options of the server
		end     func(*testing.T, *session)
		want    string
	}{
		{
			name: "client closes",
			end: func(t *testing.T, s *session) {
				s.exchange(t)
				s.client.Close()
				s.remote.ExpectEOF()
				s.remote.Close()
			},
			want: `l l/s1 \d+/\d+/\d+ 2 -- \d+/1/0/0/0 0/0`,
		}, {
			name: "server closes",
			end: func(t *testing.T, s *session) {
				s.exchange(t)
				s.remote.Close()
				s.client.ExpectEOF()
				s.client.Close()
			},
			want: `l l/s1 \d+/\d+/\d+ 2 -- \d+/1/0/0/0 0/0`,
		}, {
			name: "closed without data",
			end: func(t *testing.T, s *session) {
				s.client = dial(t, s.port)
				s.remote = s.server.Accept()
				s.remote.Close()
				s.client.ExpectEOF()
				s.client.Close()
			},
			want: `l l/s1 \d+/\d+/\d+ 0 -- \d+/1/0/0/0 0/0`,
		}, {
			name: "client resets",
			end: func(t *testing.T, s *session) {
				s.exchange(t)
				s.client.Reset()
				s.remote.ExpectClosed()
				s.remote.Close()
			},
			want: `l l/s1 \d+/\d+/\d+ 2 CD \d+/1/0/0/0 0/0`,
		}, {
			name: "server resets",
			end: func(t *testing.T, s *session) {
				s.exchange(t)
				s.remote.Reset()
				s.client.ExpectClosed()
				s.client.Close()
			},
			want: `l l/s1 \d+/\d+/\d+ 2 SD \d+/1/0/0/0 0/0`,
		}, {
			name:    "client silent",
			options: "timeout client 1s",
			end: func(t *testing.T, s *session) {
				s.exchange(t)
				s.remote.ExpectEOF()
				s.remote.Close()
				s.client.ExpectClosed()
			},
			want: `l l/s1 \d+/\d+/(\d+) 2 cD \d+/1/0/0/0 0/0`,
		}, {
			name:    "server silent",
			options: "timeout server 1s",
			end: func(t *testing.T, s *session) {
				s.exchange(t)
				s.client.ExpectEOF()
				s.client.Close()
				s.remote.ExpectClosed()
			},
			want: `l l/s1 \d+/\d+/(\d+) 2 sD \d+/1/0/0/0 0/0`,
		}, {
			name:    "both silent",
			options: "timeout client 1s\n    timeout server 1s",
			end: func(t *testing.T, s *session) {
				s.exchange(t)
				s.remote.ExpectClosed()
				s.remote.Close()
				s.client.ExpectClosed()
			},
			want: `l l/s1 \d+/\d+/(\d+) 2 cD \d+/1/0/0/0 0/0`,
		}, {
			name:    "tunnel silent",
			options: "timeout tunnel 1s",
			end: func(t *testing.T, s *session) {
				s.exchange(t)
				s.remote.ExpectClosed()
				s.remote.Close()
				s.client.ExpectClosed()
			},
			want: `l l/s1 \d+/\d+/(\d+) 2 cD \d+/1/0/0/0 0/0`,
		}, {
			name:    "server refuses",
			options: "retries 1\n    timeout connect 100ms",
			end: func(t *testing.T, s *session) {
				s.server.Close()
				// A process that another test is just starting holds a copy of the listener until its exec.
				testutil.Eventually(t, "the server's port refuses", func() bool { return refused(s.server.Port) })
				s.client = dial(t, s.port)
				s.client.ExpectClosed()
			},
			want: `l l/s1 \d+/-1/\d+ 0 SC \d+/1/0/0/1 0/0`,
		}, {
			name:   "no server",
			server: "disabled",
			end: func(t *testing.T, s *session) {
				s.client = dial(t, s.port)
				s.client.ExpectClosed()
			},
			want: `l l/<NOSRV> -1/-1/\d+ 0 SC \d+/1/0/0/0 0/0`,
		}, {
			name:    "queue timeout",
			options: "timeout queue 250ms",
			server:  "maxconn 1",
			end: func(t *testing.T, s *session) {
				dial(t, s.port)
				s.server.Accept()
				s.client = dial(t, s.port)
				s.client.ExpectClosed()
			},
			want: `l l/<NOSRV> \d+/-1/(\d+) 0 sQ \d+/2/1/0/0 0/1`,
		}, {
			name:    "client leaves the queue",
			options: "timeout queue 60s\n    option abortonclose",
			server:  "maxconn 1",
			end: func(t *testing.T, s *session) {
				dial(t, s.port)
				s.server.Accept()
				s.client = dial(t, s.port)
				s.waitInfo(t, "CurrConns", 2)
				s.client.CloseWrite()
				s.client.ExpectClosed()
			},
			want: `l l/<NOSRV> \d+/-1/\d+ 0 CQ \d+/2/1/0/0 0/1`,
		}, {
			name:    "client resets in the queue",
			options: "timeout queue 60s",
			server:  "maxconn 1",
			end: func(t *testing.T, s *session) {
				dial(t, s.port)
				s.server.Accept()
				s.client = dial(t, s.port)
				s.waitInfo(t, "CurrConns", 2)
				s.client.Reset()
			},
			want: `l l/<NOSRV> \d+/-1/\d+ 0 CD \d+/2/1/0/0 0/1`,
		}, {
			name:    "hard stop",
			options: "timeout client 60s\nglobal\n    hard-stop-after 250ms",
			end: func(t *testing.T, s *session) {
				s.exchange(t)
				s.Signal(t, syscall.SIGUSR1)
				s.client.ExpectClosed()
				s.remote.ExpectClosed()
				s.WaitCode(t, 0)
			},
			want: `l l/s1 \d+/\d+/(\d+) 2 K[C-] \d+/1/0/0/0 0/0`,
		},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			s := &session{server: testutil.Listen(t), port: testutil.FreePort(t)}
			s.proxy = start(t, text(`
listen l
    bind 127.0.0.1:{port}
    server s1 {s1} {server}
    {options}
`, "options", test.options, "server", test.server), "port", s.port, "s1", s.server.Addr)
			test.end(t, s)
			fields := s.logged(s.client, test.want)
			least := 250
			if strings.Contains(test.options, " 1s") { // long enough for the exchange before it
				least = 1000
			}
			if len(fields) > 1 && mustInt(t, fields[1]) < least-early {
				t.Errorf("%s: ended before its timeout of %d ms", fields[0], least)
			}
		})
	}
}

// early is by how much a wait may end too early, in milliseconds: the dates of a few timeouts are whole ones.
const early = 3

// A server whose accept queue is full drops connection requests: neither yes nor no.
func TestTerminationWhileConnecting(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		name    string
		options string
		end     func(*testing.T, *testutil.Conn)
		want    string
		foreign string // what HAProxy does instead
	}{
		{
			name:    "connect timeout",
			options: "retries 2\n    timeout connect 800ms",
			end:     func(t *testing.T, c *testutil.Conn) { c.ExpectClosed() },
			want:    `l l/s1 \d+/-1/(\d+) 0 sC \d+/1/0/0/2 0/0`,
		}, {
			name:    "client closes, with abortonclose",
			options: "timeout connect 60s\n    option abortonclose",
			end: func(t *testing.T, c *testutil.Conn) {
				c.CloseWrite()
				c.ExpectClosed()
			},
			want: `l l/s1 \d+/-1/(\d+) 0 CC \d+/1/0/0/0 0/0`,
		}, {
			name:    "client closes, the attempt under way fails",
			options: "retries 2\n    timeout connect 2400ms",
			end: func(t *testing.T, c *testutil.Conn) {
				c.CloseWrite()
				c.ExpectClosed()
			},
			want:    `l l/s1 \d+/-1/(\d+) 0 CC \d+/1/0/0/0 0/0`,
			foreign: "goes on with further attempts",
		}, {
			name:    "client sends and closes, attempts go on",
			options: "retries 2\n    timeout connect 800ms",
			end: func(t *testing.T, c *testutil.Conn) {
				c.Send("request")
				c.CloseWrite()
				c.ExpectClosed()
			},
			want: `l l/s1 \d+/-1/(\d+) 0 sC \d+/1/0/0/2 0/0`,
		}, {
			name:    "client resets, attempts go on",
			options: "retries 2\n    timeout connect 800ms",
			end:     func(t *testing.T, c *testutil.Conn) { c.Reset() },
			want:    `l l/s1 \d+/-1/(\d+) 0 sC \d+/1/0/0/2 0/0`,
			foreign: "ends with CD at once",
		},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			if test.foreign != "" {
				skipForeign(t, test.foreign)
			}
			port := testutil.FreePort(t)
			p := start(t, text(`
listen l
    bind 127.0.0.1:{port}
    server s1 {s1}
    {options}
`, "options", test.options), "port", port, "s1", testutil.FullBacklog(t))
			c := dial(t, port)
			// The program has accepted before the client does what it will do.
			p.waitInfo(t, "CurrConns", 1)
			test.end(t, c)
			took := mustInt(t, p.logged(c, test.want)[1])
			if !strings.Contains(test.options, "abortonclose") && took < 2400-early {
				t.Errorf("ended after %d ms; the attempts take 2400", took)
			}
		})
	}
}

// A frontend without any backend.
func TestTerminationNoBackend(t *testing.T) {
	t.Parallel()
	port := testutil.FreePort(t)
	p := start(t, `
frontend f
    bind 127.0.0.1:{port}
`, "port", port)
	c := dial(t, port)
	c.ExpectClosed()
	p.logged(c, `f f/<NOSRV> -1/-1/\d+ 0 SC \d+/1/0/0/0 0/0`)
}

// A server that vanishes in the middle of a transfer ends that session and no other.
func TestServerVanishesMidTransfer(t *testing.T) {
	t.Parallel()
	server := testutil.Listen(t)
	port := testutil.FreePort(t)
	p := start(t, `
listen l
    bind 127.0.0.1:{port}
    server s1 {s1}
`, "port", port, "s1", server.Addr)
	bystander := dial(t, port)
	calm := server.Accept()
	client := dial(t, port)
	remote := server.Accept()
	chunk := string(make([]byte, 1<<16))
	for range 16 {
		remote.Send(chunk)
		client.Expect(chunk)
	}
	remote.Send(chunk)
	remote.Reset()
	client.ExpectClosed()
	client.Close()
	p.logged(client, `l l/s1 \d+/\d+/\d+ \d{7,} SD \d+/2/1/1/0 0/0`)
	for range 3 {
		bystander.Send("ping")
		calm.Expect("ping")
		calm.Send("pong")
		bystander.Expect("pong")
	}
}
