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
		c.Send("+OK\r\n+PONG\r\n$13\r\nrole:master\r\n\r\n")
		io.Copy(io.Discard, c)
	})
	server := testutil.Serve(t, testutil.Echo)
	log, addr := testutil.ListenSyslog(t), testutil.Loopback(testutil.FreePort(t))
	e, out := mustStart(t, fmt.Sprintf(checkedListen+"    option redis-check role master password-env CHECK_PASSWORD\n    server s1 %s check port %d inter 20ms\n",
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
