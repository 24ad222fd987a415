package engine

import (
	"fmt"
	"testing"

	"github.com/penstock/penstock/internal/session"
	"github.com/penstock/penstock/internal/testutil"
)

// The sessions of all workers are seen, examined and ended by one call each; a closed engine has none.
func TestViews(t *testing.T) {
	server := testutil.Serve(t, testutil.Echo)
	addr := testutil.Loopback(testutil.FreePort(t))
	e, _ := mustStart(t, fmt.Sprintf(`
global
    nbthread 3
listen l
    bind %s
    server s1 %s
`, addr, server.Addr))
	const sessions = 24
	var clients []*testutil.Conn
	for range sessions {
		c := testutil.Dial(t, "tcp", addr)
		c.Send("x")
		c.Expect("x")
		clients = append(clients, c)
	}
	all := func() (views []session.View) {
		e.Views(func(batch []session.View) bool {
			views = append(views, batch...)
			return true
		})
		return views
	}
	views := all()
	if len(views) != sessions {
		t.Fatalf("%d sessions, want %d", len(views), sessions)
	}
	e.Examine(views)
	var ids []session.SessionID
	for i := range views {
		if views[i].Client.TCP == nil || views[i].Far.TCP == nil {
			t.Errorf("session %d was not examined", i)
		}
		ids = append(ids, views[i].ID)
	}
	calls := 0
	e.Views(func([]session.View) bool { calls++; return false })
	if calls != 1 {
		t.Errorf("%d calls after the first said no more", calls)
	}
	if v, found := e.ViewOf(ids[0]); !found || v.ID != ids[0] {
		t.Errorf("found %v, %+v", found, v)
	}
	if _, found := e.ViewOf(0); found {
		t.Error("there is a session 0")
	}
	if n := len(e.ListenerViews()); n != 3 {
		t.Errorf("%d listeners", n)
	}
	if name, ok := e.ServerName("l", "#1"); !ok || name != "s1" {
		t.Errorf("server #1 is %q", name)
	}
	if n := e.Kill(append(ids, 0, 1<<63)); n != sessions {
		t.Errorf("%d sessions ended, want %d", n, sessions)
	}
	for _, c := range clients {
		c.ExpectClosed()
	}
	if n := len(all()); n != 0 {
		t.Errorf("%d sessions left", n)
	}
	e.Close()
	if views := all(); views != nil || e.Kill(ids) != 0 || len(e.Resources()) != 0 {
		t.Error("a closed engine answers")
	}
}
