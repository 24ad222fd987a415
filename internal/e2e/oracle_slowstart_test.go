package e2e

import (
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/penstock/penstock/internal/testutil"
)

// A server that comes back begins with little. The start takes an hour, so that it stands still while the test looks.
func TestOracleSlowStart(t *testing.T) {
	t.Parallel()
	const checks = "check inter 400ms fastinter 30ms downinter 30ms rise 2 fall 2 slowstart 1h"
	d := startDuet(t, marked+`
backend b
    option tcp-check
    tcp-check expect string UP
    server s1 {s1} weight 40 maxconn 50 port {c1} `+checks+`
    server s2 {s2} weight 2
    server s3 {s3} weight 20 slowstart 1h
    server s4 {s4} weight 30 track b/s1 slowstart 1h
backend least
    balance leastconn
    server s1 {s1} weight 33 track b/s1 slowstart 1h
    server s2 {s2} weight 17
backend static
    balance static-rr
    server s1 {s1} weight 40 track b/s1 slowstart 1h
    server s2 {s2} weight 20
backend hash
    balance source
    server s1 {s1} weight 40 track b/s1 slowstart 1h
    server s2 {s2} weight 20
backend spare
    server s1 {x1} disabled
    server s2 {s1} backup weight 40 track b/s1 slowstart 1h
backend brief
    server s1 {x1} weight 7 slowstart 1s
`)
	d.held("c1", "b/s1 status=UP 1/2 weight=40")
	d.answer("c1", "no")
	d.held("c1", "b/s1 status=DOWN")
	d.answer("c1", "UP")
	d.checked("c1", "UP", "b/s1 status=DOWN 1/2")
	d.says("Server spare/s2 is UP via b/s1")
	d.held("c1")
	d.order("set server brief/s1 health down", "set server brief/s1 health up")
	for _, s := range d.sides {
		testutil.Eventually(t, s.name+": throttle", func() bool { return strings.Contains(s.rows(), "throttle=") })
	}
	d.states()
	d.stat("b/s1 status=UP", "brief/s1 status=no check weight=7") // the brief start is over
	for _, order := range []string{
		"set server b/s1 weight 200", "set server b/s1 state drain", "set server b/s1 state ready", "set server b/s1 weight 0",
		"set server b/s1 weight 40", "set server b/s3 state maint", "set server b/s3 state ready", "set server b/s3 state drain",
		"set server b/s3 state ready", "set server b/s3 health down", "set server b/s3 health up",
	} {
		d.order(order)
		d.agree("after "+order, (*side).rows, nil)
		d.states()
	}
	d.end("mark/m")
}

// slowStates is a file of servers of the backend b that have been starting for so many seconds.
func slowStates(tb testing.TB, gone ...int) (path string) {
	list := "1\n# be_id be_name srv_id srv_name srv_addr srv_op_state srv_admin_state srv_uweight srv_iweight srv_time_since_last_change " +
		"srv_check_status srv_check_result srv_check_health srv_check_state srv_agent_state bk_f_forced_id srv_f_forced_id srv_fqdn srv_port " +
		"srvrecord srv_use_ssl srv_check_port srv_check_addr srv_agent_addr srv_agent_port\n"
	for i, gone := range gone {
		list += fmt.Sprintf("3 b %d s%d 127.0.0.1 1 0 40 40 %d 6 3 4 6 0 0 0 - 1 - 0 0 - - 0\n", i+1, i+1, gone)
	}
	return testutil.WriteFile(tb, testutil.TempDir(tb), "states", list)
}

// slowServers reads them. A step of the weight comes every 225 s.
const slowServers = `
global
    server-state-file {states}
backend b
    load-server-state-from-file global
    server s1 127.0.0.1:1 weight 40 slowstart 1h
    server s2 127.0.0.1:1 weight 40 slowstart 1h
    server s3 127.0.0.1:1 weight 40 slowstart 1h
    server s4 127.0.0.1:1 weight 40 slowstart 1h
    server s5 127.0.0.1:1 weight 40 slowstart 1h
`

func TestOracleSlowStartFromFile(t *testing.T) {
	t.Parallel()
	d := startDuet(t, marked+slowServers, "states", slowStates(t, 100, 50, 4000, 30, 5000))
	d.stat("b/s1 throttle=6")
	d.states()
	d.end("mark/m")
}

// A slow start goes on in the next process.
func TestSlowStartGoesOn(t *testing.T) {
	t.Parallel()
	needHandover(t)
	skipForeign(t, "begins anew without a state file")
	g := startLineage(t, marked+slowServers, "states", slowStates(t, 100, 1900, 2800, 3500, 4000), "x9", "127.0.0.1:1")
	s := &side{proxy: g.proxy}
	before := s.rows()
	if strings.Count(before, "throttle=") != 4 {
		t.Fatal(before)
	}
	g.configure(marked+strings.Replace(slowServers, "    load-server-state-from-file global\n", "", 1), "states", "/dev/null", "x9", "127.0.0.1:1")
	g.reload()
	if diff := cmp.Diff(strings.Split(before, "\n"), strings.Split(s.rows(), "\n")); diff != "" {
		t.Errorf("rows (-before +after the reload):\n%s", diff)
	}
}
