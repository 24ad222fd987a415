package engine

import (
	"fmt"
	"io"
	"strings"
	"testing"

	"github.com/penstock/penstock/internal/testutil"
)

// What a process tells its successor of a proxy has no password in it.
func TestTopologyHasNoPassword(t *testing.T) {
	const secret = "n0t-to-be-t0ld"
	t.Setenv("CHECK_PASSWORD", secret)
	redis := testutil.Serve(t, func(c *testutil.Conn) {
		io.WriteString(c.Conn, "+OK\r\n+PONG\r\n$13\r\nrole:master\r\n\r\n") // a check may leave at any time
		io.Copy(io.Discard, c)
	})
	server := testutil.Serve(t, testutil.Echo)
	log, addr := testutil.ListenSyslog(t), testutil.Loopback(testutil.FreePort(t))
	e, out := mustStart(t, fmt.Sprintf(checkedListen+"    option redis-check role master password-env CHECK_PASSWORD\n    timeout check 20s\n    server s1 %s check port %d inter 20ms\n",
		log.Addr, addr, server.Addr, redis.Port))
	out.Wait(t, `Server l/s1 is UP`)
	client := testutil.Dial(t, "tcp", addr)
	client.Send("a")
	client.Expect("a")
	topology, err := e.Topology()
	if err != nil {
		t.Fatal(err)
	}
	if text := string(topology); !strings.Contains(text, "CHECK_PASSWORD") || strings.Contains(text, secret) {
		t.Errorf("the topology is\n%s", text)
	}
}

// The first session finds the server that has the role, and none finds one that has another.
func TestFirstSessionKnowsTheRole(t *testing.T) {
	role := func(name string) *testutil.Listener {
		return testutil.Serve(t, func(c *testutil.Conn) {
			fmt.Fprintf(c.Conn, "+PONG\r\n$%d\r\nrole:%s\r\n\r\n", len(name)+7, name)
			io.Copy(io.Discard, c)
		})
	}
	replica, master := testutil.Serve(t, testutil.Echo), testutil.Serve(t, testutil.Echo)
	log, addr := testutil.ListenSyslog(t), testutil.Loopback(testutil.FreePort(t))
	mustStart(t, fmt.Sprintf(checkedListen+"    option redis-check role master\n    server s1 %s check port %d\n    server s2 %s check port %d\n",
		log.Addr, addr, replica.Addr, role("slave").Port, master.Addr, role("master").Port))
	for range 5 {
		client := testutil.Dial(t, "tcp", addr)
		client.Send("a")
		client.Expect("a")
	}
	if replica.Accepted() != 0 || master.Accepted() != 5 {
		t.Errorf("the replica got %d sessions, the master %d", replica.Accepted(), master.Accepted())
	}
}
