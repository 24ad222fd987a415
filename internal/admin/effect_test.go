package admin

import (
	"fmt"
	"net"
	"strings"
	"sync"
	"testing"

	"github.com/penstock/penstock/internal/testutil"
)

const traffic = `
global
    nbthread 2
defaults
    timeout connect 5s
    timeout client 60s
    timeout server 60s
listen l
    bind %s
    server s1 %s
    server s2 %s disabled
listen other
    bind %s
    server s1 %[2]s
`

// mustEcho makes a session and leaves it open.
func mustEcho(tb testing.TB, addr string) *testutil.Conn {
	tb.Helper()
	c := testutil.Dial(tb, "tcp", addr)
	c.Send("x")
	c.Expect("x")
	return c
}

// want orders something that has no answer, or this one.
func (s *stage) want(line, answer string) {
	s.tb.Helper()
	if got := strings.TrimSpace(s.ask("admin", "%s", line)); got != answer {
		s.tb.Errorf("%s: %q, want %q", line, got, answer)
	}
}

// What commands say happens to the connections.
func TestEffects(t *testing.T) {
	first, second, third := testutil.Serve(t, testutil.Echo), testutil.Serve(t, testutil.Echo), testutil.Serve(t, testutil.Echo)
	at, other := testutil.Loopback(testutil.FreePort(t)), testutil.Loopback(testutil.FreePort(t))
	r := mustStage(t, fmt.Sprintf(traffic, at, first.Addr, second.Addr, other))
	old := mustEcho(t, at)
	alive := func() {
		t.Helper()
		old.Send("y")
		old.Expect("y")
	}
	only := func(what string, server *testutil.Listener) {
		t.Helper()
		before := server.Accepted()
		for range 4 {
			mustEcho(t, at)
		}
		if n := server.Accepted() - before; n != 4 {
			t.Errorf("%s: %d of 4 sessions", what, n)
		}
		alive()
	}
	only("at the start", first)
	r.want("set server l/s2 state ready", "")
	r.want("set server l/s1 state drain", "")
	only("drained", second)
	r.want("set server l/s1 state ready", "")
	r.want("set server l/s2 health stopping", "")
	only("stopping", first)
	r.want("set server l/s1 weight 0; set server l/s2 health up", "")
	only("without weight", second)
	r.want("disable server l/s2; set server l/s1 weight 1", "")
	only("in maintenance", first)
	_, port, _ := strings.Cut(third.Addr, ":")
	r.want("set server l/s1 addr 127.0.0.1 port "+port, fmt.Sprintf("port changed from '%d' to '%s' by 'stats socket command'", first.Port, port))
	only("elsewhere", third)

	r.want("disable frontend l", "")
	if !refused(at) {
		t.Error("a disabled frontend accepts")
	}
	mustEcho(t, other)
	alive()
	r.want("enable frontend l", "")
	only("enabled again", third)
	r.want("shutdown frontend l", "")
	if !refused(at) {
		t.Error("a frontend that was shut down accepts")
	}
	mustEcho(t, other)
	alive()

	r.want("set maxconn frontend other 3", "")
	r.want("set server other/s1 state maint", "")
	testutil.Dial(t, "tcp", other).ExpectClosed()
}

func refused(addr string) bool {
	c, err := net.DialTimeout("tcp", addr, testutil.Deadline)
	if err == nil {
		c.Close()
	}
	return err != nil
}

// Orders and traffic come at the same time from everywhere.
func TestConcurrentOrders(t *testing.T) {
	server := testutil.Serve(t, testutil.Echo)
	at := testutil.Loopback(testutil.FreePort(t))
	r := mustStage(t, fmt.Sprintf(traffic, at, server.Addr, server.Addr, testutil.Loopback(testutil.FreePort(t))))
	host, port, _ := strings.Cut(server.Addr, ":")
	var wait sync.WaitGroup
	for _, lines := range []string{
		"set server l/s2 state drain;set server l/s2 state maint;set server l/s2 state ready",
		"set server l/s2 health down;set server l/s2 health up;set server l/s2 weight 0;set server l/s2 weight 50%",
		"set server l/s1 addr ::1;set server l/s1 addr " + host + " port " + port,
		"show servers state;show servers conn;show backend;get weight l/s1",
		"set maxconn server l/s2 1;set maxconn server l/s2 0;set maxconn global 10;set maxconn global 0;set rate-limit sessions global 100000",
	} {
		wait.Go(func() {
			for range 50 {
				if answer := r.ask("admin", "%s", lines); !strings.HasSuffix(answer, "\n\n") && strings.Trim(answer, "\n") != "" {
					t.Errorf("%s: %q", lines, answer)
				}
			}
		})
	}
	wait.Go(func() {
		for range 100 {
			c, err := net.DialTimeout("tcp", at, testutil.Deadline) // a session may fail while its server is away
			if err == nil {
				c.Close()
			}
		}
	})
	wait.Wait()
	r.want("set server l/s1 addr "+host+" port "+port, "nothing changed")
	r.want("set server l/s1 state ready", "")
	mustEcho(t, at)
}
