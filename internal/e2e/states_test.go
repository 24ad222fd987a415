package e2e

import (
	"strings"
	"testing"

	"github.com/penstock/penstock/internal/testutil"
)

// serverState is srv_op_state, srv_admin_state and srv_uweight of a server.
func (p *proxy) serverState(backend, server string) string {
	p.tb.Helper()
	states, err := p.ask("show servers state " + backend)
	if err != nil {
		return err.Error()
	}
	for line := range strings.Lines(states) {
		if f := strings.Fields(line); len(f) > 20 && f[3] == server {
			return strings.Join(f[5:8], " ")
		}
	}
	return states
}

// A reload changes nothing about servers: what an operator or a check took out of service stays there, without a single
// connection to it, and what was changed at run time stays changed.
func TestReloadKeepsStates(t *testing.T) {
	needHandover(t)
	skipForeign(t, "needs a state file for that")
	drained, down, moved, elsewhere := testutil.Serve(t, testutil.Echo), testutil.Listen(t), testutil.Serve(t, testutil.Echo), testutil.Serve(t, testutil.Echo)
	at := testutil.Loopback(testutil.FreePort(t))
	sections := `
listen main
    timeout client 1h
    timeout server 1h
    bind {at}
    server drained {drained}
    server down {down}
    server maintained {down}
    server moved {moved} weight 10
    server changed {down} weight {weight} {more}
backend unhealthy
    server s1 {refusing} check inter 10ms downinter 1h
`
	const unhealthy = "Server unhealthy/s1 is DOWN"
	pairs := []any{"at", at, "drained", drained.Addr, "down", down.Addr, "moved", moved.Addr, "refusing", testutil.Loopback(testutil.FreePort(t))}
	g := startLineage(t, sections, append(pairs, "weight", 5, "more", "")...)
	g.log.WaitLine(t, unhealthy)
	order := func(command string) {
		t.Helper()
		if answer, err := g.ask(command); err != nil || strings.TrimSpace(answer) != "" && !strings.Contains(answer, "changed from") {
			t.Fatalf("%s: %q, %v", command, answer, err)
		}
	}
	for _, s := range []string{"down", "maintained", "moved", "changed"} {
		order("set server main/" + s + " state maint")
	}
	old := testutil.Dial(t, "tcp", at)
	old.Send("a")
	old.Expect("a")
	order("set server main/drained state drain")
	order("set server main/down state ready")
	order("set server main/down health down")
	host, port, _ := strings.Cut(elsewhere.Addr, ":")
	order("set server main/moved addr " + host + " port " + port)
	order("set server main/moved weight 7")
	order("set server main/changed weight 3")
	order("set server main/moved state ready")

	check := func(weight string) {
		t.Helper()
		for server, want := range map[string]string{
			"drained": "2 8 1", "down": "0 0 1", "maintained": "0 1 1", "moved": "2 0 7", "changed": "0 " + weight,
		} {
			if got := g.serverState("main", server); got != want {
				t.Errorf("%s: state %s, want %s", server, got, want)
			}
		}
		if got := g.serverState("unhealthy", "s1"); got != "0 0 1" {
			t.Errorf("unhealthy: state %s", got)
		}
		before := elsewhere.Accepted()
		for range 20 {
			c := testutil.Dial(t, "tcp", at)
			c.Send("b")
			c.Expect("b")
			c.CloseWrite()
			c.ExpectEOF()
		}
		if n := elsewhere.Accepted() - before; n != 20 {
			t.Errorf("%d of 20 sessions where the server moved to", n)
		}
		old.Send("c")
		old.Expect("c")
	}
	check("1 3")
	g.reload()
	check("1 3")
	// What the configuration says anew counts.
	g.configure(sections, append(pairs, "weight", 6, "more", "disabled")...)
	g.reload()
	check("5 6")
	if n := moved.Accepted(); n != 0 {
		t.Errorf("%d connections where the server was", n)
	}
	if n := drained.Accepted(); n != 1 {
		t.Errorf("%d connections to the drained server, want 1", n)
	}
	if c, ok := down.AcceptWithin(0); ok {
		c.Close()
		t.Error("a connection to a server that is down or in maintenance")
	}
	for _, line := range g.log.Lines() {
		if strings.Contains(line, unhealthy) {
			t.Errorf("the server went down again: %s", line)
		}
	}
}

// States go over where sessions do not.
func TestReloadKeepsStatesAlone(t *testing.T) {
	needHandover(t)
	skipForeign(t, "needs a state file for that")
	sections := `
global
    session-handover off
listen main
    bind {at}
    server s1 127.0.0.1:1
    server s2 127.0.0.1:1
`
	g := startLineage(t, sections, "at", testutil.Loopback(testutil.FreePort(t)))
	if answer, err := g.ask("set server main/s1 state drain; set server main/s2 weight 9"); err != nil || strings.TrimSpace(answer) != "" {
		t.Fatalf("%q, %v", answer, err)
	}
	g.reload()
	for server, want := range map[string]string{"s1": "2 8 1", "s2": "2 0 9"} {
		if got := g.serverState("main", server); got != want {
			t.Errorf("%s: state %s, want %s", server, got, want)
		}
	}
}
