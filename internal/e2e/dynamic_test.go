package e2e

import (
	"strings"
	"testing"

	"github.com/penstock/penstock/internal/testutil"
)

// A session on a server that was added lives through reloads: while the configuration lacks the server, which then
// departs, and when it names it. Maintenance and weight go with the name.
func TestReloadOfAddedServer(t *testing.T) {
	needHandover(t)
	skipForeign(t, "it leaves sessions behind")
	first, added := testutil.Serve(t, testutil.Echo), testutil.Serve(t, testutil.Echo)
	at := testutil.Loopback(testutil.FreePort(t))
	const sections = `
listen main
    timeout client 1h
    timeout server 1h
    bind {at}
    server s1 {first}
    {more}
`
	pairs := []any{"at", at, "first", first.Addr}
	g := startLineage(t, sections, append(pairs, "more", "")...)
	order := func(want, command string) {
		t.Helper()
		if answer, err := g.ask(command); err != nil || strings.TrimSpace(answer) != want {
			t.Fatalf("%s: %q, %v", command, answer, err)
		}
	}
	order("New server registered.", "add server main/s2 "+added.Addr+" weight 5")
	order("", "set server main/s1 state maint")
	order("", "enable server main/s2")
	old := testutil.Dial(t, "tcp", at)
	old.Send("a")
	old.Expect("a")
	if n := added.Accepted(); n != 1 {
		t.Fatalf("%d sessions on the server that was added", n)
	}
	order("", "set server main/s1 state ready")
	g.reload()
	old.Send("b")
	old.Expect("b")
	order("No such server.", "get weight main/s2")
	for range 3 {
		c := testutil.Dial(t, "tcp", at)
		c.Send("c")
		c.Expect("c")
	}
	if n := added.Accepted(); n != 1 {
		t.Errorf("%d sessions on a server that departed", n)
	}
	// Its name is free, also while it has a session.
	order("New server registered.", "add server main/s2 "+added.Addr+" weight 6")
	order("", "set server main/s2 weight 3")
	order("", "enable server main/s2")
	g.configure(sections, append(pairs, "more", "server s2 "+added.Addr+" weight 6")...)
	g.reload()
	if got := g.serverState("main", "s2"); got != "2 0 3" {
		t.Errorf("state %s, want 2 0 3", got)
	}
	old.Send("d")
	old.Expect("d")
	order("", "disable server main/s2")
	order("Server still has connections attached to it, cannot remove it.", "del server main/s2")
	order("", "shutdown sessions server main/s2")
	old.ExpectClosed()
	order("Done.", "wait 10s srv-removable main/s2")
	order("Server deleted.", "del server main/s2")
}
