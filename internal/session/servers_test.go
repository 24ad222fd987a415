package session

import (
	"testing"

	"github.com/penstock/penstock/internal/backend"
)

// mustFill adds sessions that stand in a state, without sockets. They end with the test.
func mustFill(tb testing.TB, r *rig, n int, set func(i int, s *Session)) {
	tb.Helper()
	for i := range n {
		_, s := r.table.alloc()
		r.table.live.Add(1)
		r.table.Conns.force()
		r.proxy.Conns.force()
		s.state, s.number = stateRelay, uint64(i+1)
		s.side[client].fd, s.side[server].fd = -1, -1
		if set != nil {
			set(i, s)
		}
	}
}

// Forget takes the number of a server out of those sessions that only remember it, in bounded steps.
func TestForget(t *testing.T) {
	const sessions, gone = 3 * ForgetSlots, 1
	r := mustRig(t, rigOptions{configure: func(p *Proxy) { p.Format = nil }})
	mustFill(t, r, sessions, func(i int, s *Session) {
		s.be = int16(-(i % 2)) // every second one has no backend
		s.srv, s.avoid = int32(i/2%3), int32(i/6%3)
		if i/18%2 == 0 && s.srv != gone {
			s.flags = slotHeld
		}
	})
	calls := 0
	for from, more := uint32(0), true; more; more = from != 0 {
		from = r.table.Forget(0, gone, from)
		calls++
	}
	if calls < sessions/ForgetSlots {
		t.Errorf("%d calls", calls)
	}
	remember, kept := 0, 0
	for id := range r.table.slots.Cap() {
		s := r.table.slots.At(id)
		if s.state == stateFree {
			continue
		}
		if s.be == 0 && (s.srv == gone || s.avoid == gone) {
			remember++
		}
		if s.be != 0 && (s.srv == gone || s.avoid == gone) || s.srv == 2 {
			kept++
		}
		s.flags, s.be, s.srv = 0, -1, backend.None
	}
	if remember != 0 || kept == 0 {
		t.Errorf("%d sessions remember the server; %d others kept theirs", remember, kept)
	}
}

// A server takes the place of another one, or comes behind the last; what was counted at the place stays counted.
func TestSetServer(t *testing.T) {
	r := mustRig(t, rigOptions{})
	c, s := r.pair()
	c.close()
	s.receive(0)
	s.close()
	r.code()
	first := r.proxy.Server(0)
	for place := range 2 {
		server := &Server{Name: "new"}
		server.Count(1)
		r.proxy.SetServer(place, server)
		if r.proxy.Server(place) != server {
			t.Errorf("place %d has another server", place)
		}
	}
	if n := r.proxy.NumServers(); n != 2 {
		t.Errorf("%d places", n)
	}
	if chosen, _, _ := r.proxy.Replaced.Load(); chosen != 1 {
		t.Errorf("%d slots were taken of servers that are gone, want 1", chosen)
	}
	r.proxy.Replaced.Clear()
	if chosen, _, _ := r.proxy.Replaced.Load(); chosen != 0 {
		t.Errorf("%d after clearing", chosen)
	}
	if first.Name != "s1" {
		t.Errorf("the former server is called %s now", first.Name)
	}
}

// BenchmarkViews is how long a worker serves nobody for one piece of "show sess" with 5,000 sessions.
func BenchmarkViews(b *testing.B) {
	r := mustRig(b, rigOptions{configure: func(p *Proxy) { p.Format = nil }})
	mustFill(b, r, 5000, nil)
	var batch []View
	from := uint32(0)
	for b.Loop() {
		batch, from = r.table.Views(batch[:0], from)
	}
}

// BenchmarkExamine is the same for what "show sess all" asks of the kernel.
func BenchmarkExamine(b *testing.B) {
	r := mustRig(b, rigOptions{configure: func(p *Proxy) { p.ClientMs = 600000 }})
	for range ExamineMost {
		r.pair()
	}
	views, _ := r.table.Views(nil, 0)
	for b.Loop() {
		r.table.Examine(views)
	}
}
