package check

import (
	"fmt"
	"io"
	"strings"
	"sync"
	"testing"

	"github.com/penstock/penstock/internal/backend"
	"github.com/penstock/penstock/internal/testutil"
)

// Maintenance ends the sessions of a server if its line says so; an order that changes nothing says nothing.
func TestMaintenanceEndsSessions(t *testing.T) {
	server := testutil.Serve(t, func(c *testutil.Conn) { io.Copy(io.Discard, c) })
	r := mustRig(t, "server s1 "+server.Addr+" check inter 10ms on-marked-down shutdown-sessions")
	testutil.Eventually(t, "it is checked", func() bool { return r.state(t, 0).Checks > 1 })
	r.SetDrain(0, 0)
	r.SetReady(0, 0)
	for range 2 {
		r.SetMaintenance(0, 0)
	}
	r.SetReady(0, 0)
	r.SetReady(0, 0)
	const left = "0 active and 0 backup servers "
	r.waitSaid(t, "W Server be/s1 enters drain state. "+left+"online. 0 sessions requeued, 0 total in queue.\n"+
		"A backend 'be' has no server available!\n"+
		"W Server be/s1 is UP (leaving forced drain).\n"+
		"W Server be/s1 is going DOWN for maintenance. "+left+"left. 0 sessions active, 0 requeued, 0 remaining in queue.\n"+
		"A backend 'be' has no server available!\n"+
		"W Server be/s1 is UP/READY (leaving forced maintenance).")
	r.mu.Lock()
	defer r.mu.Unlock()
	if len(r.shutdowns) != 1 {
		t.Errorf("sessions were ended %d times, want once", len(r.shutdowns))
	}
}

// A server that leaves maintenance is checked at once, and one failure brings it down.
func TestCheckedAtOnce(t *testing.T) {
	r := mustRig(t, "server s1 "+refusing(t)+" check inter 1h disabled")
	r.SetReady(0, 0)
	r.waitSaid(t, `W Server be/s1 is UP/READY (leaving forced maintenance).
W Server be/s1 is DOWN, reason: Layer4 connection problem, info: "ECONNREFUSED returned by OS (Connection refused)", check duration: 0ms. `+
		"0 active and 0 backup servers left. 0 sessions active, 0 requeued, 0 remaining in queue.\nA backend 'be' has no server available!")
	r.SetMaintenance(0, 0)
	r.waitSaid(t, "W Server be/s1 was DOWN and now enters maintenance.")
}

// A server whose checks are off keeps its state; when they are on again they look at once.
func TestCheckingOff(t *testing.T) {
	addr := refusing(t)
	r := mustRig(t, "server s1 "+addr+" check inter 10ms fall 1\n server s2 "+addr+" check inter 10ms")
	testutil.Eventually(t, "both are down", func() bool { return strings.Count(r.said(), "is DOWN") == 2 })
	if !r.SetChecking(0, 0, false) || r.SetChecking(0, 2, false) {
		t.Error("only a server that is checked can be")
	}
	defer serveOn(t, addr)()
	testutil.Eventually(t, "the other one is up", func() bool { return strings.Contains(r.said(), "be/s2 is UP") })
	if !r.state(t, 0).Off || r.backend.State.Server(0).Up() {
		t.Error("it was checked")
	}
	r.SetChecking(0, 0, true)
	testutil.Eventually(t, "it is up", func() bool { return r.backend.State.Server(0).Up() })
}

// Orders come at any time; once the checker has ended they say so.
func TestOrdersAtTheEnd(t *testing.T) {
	r := mustRig(t, "server s1 "+refusing(t)+" check inter 1ms")
	var wait sync.WaitGroup
	for i := range 4 {
		wait.Go(func() {
			for r.SetMaintenance(0, 0) && r.SetReady(0, 0) && r.SetOperation(0, 0, backend.Operation(i), ", changed from CLI") {
			}
		})
	}
	testutil.Eventually(t, "many orders", func() bool { return strings.Count(r.said(), "\n") > 100 })
	r.Stop()
	wait.Wait()
	if r.SetDrain(0, 0) || r.SetDrain(0, 7) {
		t.Error("an order was taken")
	}
}

// What another process knew of a server counts, unless the configuration has changed since.
func TestRestore(t *testing.T) {
	const maint, drain, configured = backend.ForcedMaint, backend.ForcedDrain, backend.Configured
	for _, c := range []struct {
		name      string
		server    string
		former    Former
		admin     backend.Admin
		operation backend.Operation
		health    int
	}{
		{"up", "check", Former{Operation: backend.Running, Health: 4, Checked: true}, 0, backend.Running, 4},
		{"down", "check", Former{Operation: backend.Stopped, Checked: true}, 0, backend.Stopped, 0},
		{"starting", "check", Former{Operation: backend.Starting, Checked: true}, 0, backend.Running, 4},
		{"stopping", "check", Former{Operation: backend.Stopping, Health: 3, Checked: true}, 0, backend.Stopping, 3},
		{"stopping, of impossible health", "check", Former{Operation: backend.Stopping, Health: 99, Checked: true}, 0, backend.Stopping, 4},
		{"drained", "check", Former{Admin: drain, Operation: backend.Running, Checked: true}, drain, backend.Running, 4},
		{"drained and down", "check", Former{Admin: drain, Checked: true}, drain, backend.Stopped, 0},
		{"in maintenance", "check", Former{Admin: maint, Checked: true}, maint, backend.Stopped, 0},
		{"inherited bits", "check", Former{Admin: 0x32, Operation: backend.Running, Checked: true}, 0, backend.Running, 4},
		{"disabled, and enabled since", "check", Former{Admin: maint | configured, Checked: true}, 0, backend.Stopped, 0},
		{"enabled, and disabled since", "check disabled", Former{Operation: backend.Running, Checked: true}, maint | configured, backend.Stopped, 0},
		{"disabled, made ready by order", "check disabled", Former{Admin: configured, Operation: backend.Running, Checked: true}, configured, backend.Running, 2},
		{"of no weight, drained, and turned on", "check", Former{Admin: drain, Operation: backend.Running, Weightless: true}, 0, backend.Running, 4},
		{"of no weight, drained, still so", "check weight 0", Former{Admin: drain, Operation: backend.Running, Weightless: true}, drain, backend.Running, 4},
		{"down, checked no more", "", Former{Checked: true}, 0, backend.Running, -1},
		{"down by order", "", Former{}, 0, backend.Stopped, -1},
	} {
		t.Run(c.name, func(t *testing.T) {
			p := mustRead(t, fmt.Sprintf("server s1 127.0.0.1:1 %s", c.server))
			b := &Backend{Name: p.Name, State: backend.New(p, 0), Program: &Program{}}
			b.State.SetDeliver(func(backend.Waiter, int32) {})
			server := Server{Backend: b, Config: p.Servers[0]}
			o := Options{Others: []Server{server}}
			if p.Servers[0].Check.Enabled {
				o = Options{Servers: []Server{server}}
			}
			k := New(o)
			k.Restore(0, 0, c.former, nil)
			s := b.State.Server(0)
			health := -1
			if state, checked := k.State(0, 0); checked {
				health = state.Health.Value
			}
			if s.Admin() != c.admin || s.Operation() != c.operation || health != c.health {
				t.Errorf("admin %d, operation %d, health %d; want %d, %d, %d", s.Admin(), s.Operation(), health, c.admin, c.operation, c.health)
			}
		})
	}
}
