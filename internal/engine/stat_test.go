package engine

import (
	"fmt"
	"sync"
	"testing"

	"github.com/penstock/penstock/internal/backend"
	"github.com/penstock/penstock/internal/check"
	"github.com/penstock/penstock/internal/config"
	"github.com/penstock/penstock/internal/stats"
	"github.com/penstock/penstock/internal/testutil"
)

// Whoever asks for figures may do so at any time, also while traffic flows and the engine stops.
func TestStatAtAnyTime(t *testing.T) {
	server := testutil.Serve(t, testutil.Echo)
	port := testutil.FreePort(t)
	e, _ := mustStart(t, fmt.Sprintf(
		"listen l\n bind 127.0.0.1:%d\n option socket-stats\n option contstats\n server s %s check inter 100ms\n", port, server.Addr))
	testutil.Eventually(t, "the server is up", func() bool { return echoes(testutil.Loopback(port)) })
	done := make(chan struct{})
	var wait sync.WaitGroup
	for range 2 {
		wait.Go(func() {
			for {
				select {
				case <-done:
					return
				default:
					e.Stat(stats.Everything)
					e.Loads()
					e.ClearCounters(true)
				}
			}
		})
	}
	for range 50 {
		if !echoes(testutil.Loopback(port)) {
			t.Fatal("no echo")
		}
	}
	e.Pause()
	e.Resume()
	e.SoftStop()
	<-e.Done()
	close(done)
	wait.Wait()
	rows := e.Stat(stats.Everything)
	if len(rows) != 4 {
		t.Fatalf("%d rows, want 4", len(rows))
	}
	if got := rows[0].Text(stats.Status); got != "STOP" {
		t.Errorf("the frontend is %s, want STOP", got)
	}
	for _, r := range rows {
		if got := r.Number(stats.SCur); got != 0 {
			t.Errorf("%s has %d sessions", r.Text(stats.SvName), got)
		}
	}
}

func TestServerStatus(t *testing.T) {
	healthy := func(value int) *check.State {
		return &check.State{Health: check.Health{Rise: 2, Fall: 3, Value: value}}
	}
	for _, test := range []struct {
		admin     backend.Admin
		down      bool
		state     *check.State // nil: it is not checked
		agent     string       // up or down; empty: nobody is asked
		via, want string
	}{
		{want: "no check"},
		{admin: backend.ForcedMaint, want: "MAINT"},
		{admin: backend.InheritedMaint, via: "a/b", want: "MAINT (via a/b)"},
		{admin: backend.ForcedMaint, state: healthy(4), want: "MAINT"},
		{admin: backend.ForcedDrain, state: healthy(4), want: "DRAIN"},
		{down: true, want: "DOWN"},
		{state: healthy(4), want: "UP"},
		{state: healthy(3), want: "UP 2/3"},
		{down: true, state: healthy(1), want: "DOWN 1/2"},
		{down: true, state: healthy(0), want: "DOWN"},
		{agent: "up", want: "no check"},
		{agent: "up", state: healthy(3), want: "UP 2/3"},
		{down: true, agent: "up", want: "DOWN"},
		{down: true, agent: "down", want: "DOWN (agent)"},
		{down: true, agent: "down", state: healthy(0), want: "DOWN (agent)"},
		{down: true, agent: "up", state: healthy(0), want: "DOWN"},
		{admin: backend.ForcedDrain, agent: "up", state: healthy(3), want: "DRAIN (agent)"},
		{admin: backend.ForcedMaint, agent: "down", want: "MAINT"},
	} {
		b := backend.New(&config.Proxy{Servers: []*config.Server{{Name: "s", Weight: 1}}}, 0)
		b.SetAdmin(0, test.admin)
		b.SetRunning(0, !test.down)
		h := health{checked: test.state != nil, asked: test.agent != ""}
		if test.state != nil {
			h.State = *test.state
		}
		h.agent.Health = check.NewHealth(1, 1, map[string]string{"down": "fully-down"}[test.agent])
		if got := serverStatus(b.Server(0), &h, test.via); got != test.want {
			t.Errorf("%s, want %s", got, test.want)
		}
	}
}
