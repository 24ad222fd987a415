package session

import (
	"testing"

	"github.com/penstock/penstock/netio"
)

// However many sessions there are, a worker copies few in one call, and the calls together copy each once.
func TestViewsArePiecemeal(t *testing.T) {
	const sessions = 5000
	r := mustRig(t, rigOptions{configure: func(p *Proxy) { p.ClientMs, p.Format = 60000, nil }})
	for i := range sessions {
		_, s := r.table.alloc()
		r.table.live.Add(1)
		r.table.Conns.force()
		r.proxy.Conns.force()
		s.state, s.number = stateRelay, uint64(i+1)
		s.side[client].fd, s.side[server].fd = -1, -1
	}
	seen := map[uint64]bool{}
	ids := map[SessionID]bool{}
	calls := 0
	for from, more := uint32(0), true; more; more = from != 0 {
		var batch []View
		batch, from = r.table.Views(batch, from)
		calls++
		if len(batch) > ViewSlots {
			t.Fatalf("%d sessions in one call", len(batch))
		}
		for i := range batch {
			seen[batch[i].Number], ids[batch[i].ID] = true, true
		}
	}
	if len(seen) != sessions || len(ids) != sessions {
		t.Errorf("saw %d sessions by %d ids, want %d", len(seen), len(ids), sessions)
	}
	if calls < sessions/ViewSlots {
		t.Errorf("%d calls", calls)
	}
	if _, next := r.table.Views(nil, 1<<30); next != 0 {
		t.Errorf("beyond the end it goes on with %d", next)
	}
	all := make([]SessionID, 0, sessions)
	for id := range ids {
		all = append(all, id)
	}
	if n := r.table.Kill(all); n != KillMost {
		t.Errorf("one call ended %d sessions", n)
	}
}

// A view tells what the session has done, and the kernel what its sockets did.
func TestView(t *testing.T) {
	r := mustRig(t, rigOptions{configure: func(p *Proxy) { p.ClientMs = 60000 }})
	c, s := r.pair()
	c.send(100)
	s.receive(100)
	views, _ := r.table.Views(nil, 0)
	if len(views) != 1 {
		t.Fatalf("%d sessions", len(views))
	}
	v := views[0]
	if v.State != "relay" || v.Up.Bytes != 100 || v.Down.Bytes != 0 || v.Frontend != "l" || v.Server != "s1" || !v.SlotHeld || v.Up.Splice {
		t.Errorf("view %+v", v)
	}
	if v.ExpiresMs <= 0 || v.ExpiresMs > 61000 || v.QueueMs < 0 || v.ConnectMs < 0 || v.ID == 0 || v.ID.Worker() != 0 {
		t.Errorf("view %+v", v)
	}
	r.table.Examine(views)
	for _, side := range []*SideView{&views[0].Client, &views[0].Far} {
		if side.TCP == nil || side.TCP.State != "ESTABLISHED" || side.Local.Family != netio.FamilyInet {
			t.Errorf("side %+v", side)
		}
	}
	if again, found := r.table.ViewOf(v.ID); !found || again.Number != v.Number {
		t.Errorf("found %v, %+v", found, again)
	}
	if n := r.table.Kill([]SessionID{v.ID}); n != 1 {
		t.Errorf("%d sessions ended", n)
	}
	if code := r.code(); code != "KC" {
		t.Errorf("code %s, want KC", code)
	}
	if n := r.table.Kill([]SessionID{v.ID, 0, 1<<64 - 1}); n != 0 {
		t.Errorf("%d dead sessions ended", n)
	}
	r.table.Examine(views) // of a session that is gone
	r.clean()

	r.pair()
	if views, _ = r.table.Views(views[:0], 0); len(views) != 1 || views[0].ID == v.ID {
		t.Errorf("the slot's next session has the id of the last: %v", views)
	}
}

// A UNIX socket has no TCP state.
func TestViewUnix(t *testing.T) {
	r := mustRig(t, rigOptions{network: "unix"})
	r.pair()
	views, _ := r.table.Views(nil, 0)
	r.table.Examine(views)
	if len(views) != 1 || views[0].Client.TCP != nil || views[0].Peer.Family != netio.FamilyUnix {
		t.Errorf("views %+v", views)
	}
}

// A session that waits for a slot shows that, and can be ended there; its place in the queue is free then.
func TestViewAndKillQueued(t *testing.T) {
	r := mustRig(t, rigOptions{maxConn: 1})
	first, _ := r.pair()
	second := r.dial()
	r.until("a session waits", func() bool { return r.proxy.Backend.Queued() == 1 })
	views, _ := r.table.Views(nil, 0)
	waiting := views[len(views)-1]
	if len(views) != 2 || waiting.State != "queued" || waiting.SlotHeld || waiting.QueueMs != -1 || waiting.Server != "" || waiting.ExpiresMs != -1 {
		t.Fatalf("views %+v", views)
	}
	r.table.Examine(views)
	if n := r.table.Kill([]SessionID{waiting.ID}); n != 1 {
		t.Errorf("%d sessions ended", n)
	}
	if code := r.code(); code != "KC" {
		t.Errorf("code %s, want KC", code)
	}
	if n := r.proxy.Backend.Queued(); n != 0 {
		t.Errorf("%d wait", n)
	}
	second.close()
	first.close()
	r.until("the first session ends", func() bool {
		views, _ := r.table.Views(nil, 0)
		for i := range views {
			r.table.Kill([]SessionID{views[i].ID})
		}
		return len(views) == 0
	})
	r.clean()
}
