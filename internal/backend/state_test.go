package backend

import (
	"testing"

	"github.com/penstock/penstock/internal/config"
)

// A server is up while both the administrator and its check say so.
func TestEnabledAndRunning(t *testing.T) {
	b, _ := mustBackend(t, config.Proxy{}, config.Server{Weight: 1}, config.Server{Weight: 1, Disabled: true})
	for _, c := range []struct {
		name            string
		server          int
		usable, running bool
		up              bool
	}{
		{"a check fails", 0, true, false, false},
		{"maintenance too", 0, false, false, false},
		{"the check succeeds in maintenance", 0, false, true, false},
		{"out of maintenance", 0, true, true, true},
		{"disabled, not enabled by a check", 1, false, true, false},
		{"enabled", 1, true, true, true},
	} {
		b.SetRunning(c.server, c.running)
		admin := ForcedMaint
		if c.usable {
			admin = 0
		}
		b.SetAdmin(c.server, admin)
		if s := b.Server(c.server); s.Up() != c.up || s.Enabled() != c.usable {
			t.Errorf("%s: up %v, enabled %v", c.name, s.Up(), s.Enabled())
		}
	}
}

// Those who wait are told when no server is left, and served when one comes.
func TestQueueOfTheLastServer(t *testing.T) {
	b, d := mustBackend(t, config.Proxy{}, config.Server{Weight: 1, MaxConn: 1}, config.Server{Weight: 1, MaxConn: 1})
	mustAssign(t, b, Request{Avoid: None})
	mustAssign(t, b, Request{Avoid: None})
	mustWait(t, b, 1, None, 1)
	mustWait(t, b, 2, None, 2)
	if n := b.SetRunning(0, false); n != 0 {
		t.Errorf("%d requeued while another server is left", n)
	}
	d.want(t)
	if n := b.SetRunning(1, false); n != 2 {
		t.Errorf("%d requeued when none is left, want 2", n)
	}
	d.want(t, delivery{1, Reassign}, delivery{2, Reassign})
	if b.Queued() != 0 {
		t.Errorf("%d wait for nobody", b.Queued())
	}
	wantVerdict(t, b, Request{Avoid: None}, None, NoServer)

	b.SetRunning(1, true)
	mustWait(t, b, 3, None, 1)
	if n := b.SetRunning(0, true); n != 0 {
		t.Errorf("%d served by a full server", n)
	}
	b.Release(0)
	d.want(t, delivery{3, 0})
	mustWait(t, b, 4, None, 1)
	b.SetRunning(0, false)
	b.Release(0)
	if n := b.SetRunning(0, true); n != 1 {
		t.Errorf("%d served, want 1", n)
	}
	d.want(t, delivery{4, 0})
}

// Administrators, checks and weights together decide what sessions see of a server.
func TestAdmin(t *testing.T) {
	for _, c := range []struct {
		name       string
		admin      Admin
		operation  Operation
		weight     int
		up, usable bool
		shown      Operation
	}{
		{"ready", 0, Running, 1, true, true, Running},
		{"ready, and once disabled", Configured, Running, 1, true, true, Running},
		{"starting", 0, Starting, 1, true, true, Starting},
		{"stopping", 0, Stopping, 1, true, false, Stopping},
		{"down", 0, Stopped, 1, false, false, Stopped},
		{"of no weight", 0, Running, 0, true, false, Running},
		{"maintenance", ForcedMaint, Running, 1, false, false, Stopped},
		{"inherited maintenance", InheritedMaint, Running, 1, false, false, Stopped},
		{"no address", Unresolved, Running, 1, false, false, Stopped},
		{"drained", ForcedDrain, Running, 1, true, false, Running},
		{"inherited drain", InheritedDrain, Running, 1, true, false, Running},
		{"drained and down", ForcedDrain, Stopped, 1, false, false, Stopped},
		{"drained and in maintenance", ForcedDrain | ForcedMaint, Running, 1, false, false, Stopped},
	} {
		b, _ := mustBackend(t, config.Proxy{}, config.Server{Weight: 1})
		b.SetAdmin(0, c.admin)
		b.SetOperation(0, c.operation)
		b.SetWeight(0, c.weight)
		s := b.Server(0)
		if s.Up() != c.up || s.Usable() != c.usable || s.Operation() != c.shown || s.Admin() != c.admin {
			t.Errorf("%s: up %v, usable %v, operation %d, admin %d", c.name, s.Up(), s.Usable(), s.Operation(), s.Admin())
		}
	}
}

// Who waits for a server that is drained goes elsewhere; its sessions stay, and a session that must have it gets it.
func TestDrain(t *testing.T) {
	b, d := mustBackend(t, config.Proxy{}, config.Server{Weight: 1, MaxConn: 1}, config.Server{Weight: 1, MaxConn: 1})
	mustAssign(t, b, Request{Avoid: None})
	mustAssign(t, b, Request{Avoid: None})
	mustWait(t, b, 1, 0, 1)
	mustWait(t, b, 2, None, 1)
	if n := b.SetAdmin(0, ForcedDrain); n != 1 {
		t.Errorf("%d requeued, want 1", n)
	}
	d.want(t, delivery{1, Reassign})
	b.Release(0)
	d.want(t)
	if v := b.Take(0); v != Assigned {
		t.Errorf("a session that must have the server: %d", v)
	}
	b.Release(0)
	if n := b.SetAdmin(0, 0); n != 1 {
		t.Errorf("%d served, want 1", n)
	}
	d.want(t, delivery{2, 0})
	if b.Server(0).Served() != 1 {
		t.Errorf("%d served", b.Server(0).Served())
	}
}

// A server that starts slowly has a part of its weight and of its connections.
func TestThrottle(t *testing.T) {
	b, d := mustBackend(t, config.Proxy{}, config.Server{Weight: 2, MaxConn: 10}, config.Server{Weight: 2})
	for _, c := range []struct{ percent, weight, limit int }{
		{0, 2 * 1, 1}, {5, 2 * 1, 1}, {25, 2 * 5, 2}, {50, 2 * 9, 5}, {99, 2 * 16, 9}, {100, 2 * 16, 10},
	} {
		b.Throttle(0, c.percent)
		s := b.Server(0)
		if w, l := int(s.weight.Load()), int(b.limit(s, 0)); w != c.weight || l != c.limit || s.Throttled() != c.percent {
			t.Errorf("%d %%: weight %d, limit %d; want %d, %d", c.percent, w, l, c.weight, c.limit)
		}
		if s.Weight() != 2 {
			t.Errorf("%d %%: the weight set is %d", c.percent, s.Weight())
		}
	}
	b.Throttle(0, 50)
	b.SetWeight(0, 4)
	if w := b.Server(0).weight.Load(); w != 4*9 {
		t.Errorf("weight %d after a change while it starts", w)
	}
	b.SetAdmin(1, ForcedMaint)
	b.Throttle(0, 10)
	mustAssign(t, b, Request{Avoid: None})
	mustWait(t, b, 1, None, 1)
	b.Throttle(0, 20)
	d.want(t, delivery{1, 0})
}
