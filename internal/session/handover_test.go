package session

import (
	"encoding/json"
	"net/netip"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/penstock/penstock/netio"
)

// move gives all sessions of the relay to a new table, as another process would get them: by the text of
// their snapshots and copies of their descriptors. The old table must be empty afterwards.
func (r *rig) move() {
	if !r.moves {
		return
	}
	r.tb.Helper()
	old := r.table
	batch, later, _ := old.Freeze(nil, 1<<30)
	if later > 0 { // some connect: what cannot move yet stays, and so do the others
		for _, sn := range batch {
			old.Restore(Leaving{sn.Slot, sn.Gen})
		}
		old.Offer()
		return
	}
	r.table = NewTable(old.Shared, old.Worker, r.epoll, r.clock)
	r.table.AddListener(r.lis)
	for _, sn := range batch {
		r.table.Adopt(r.sent(sn), Place{})
		old.Release(Leaving{sn.Slot, sn.Gen})
	}
	if n := old.Live(); n != 0 || old.pipes.Lent() != 0 || old.timers.Len() != 0 || old.ready.Len() != 0 {
		r.tb.Fatalf("the old table has %d sessions, %d pipes, %d timers, %d in the run queue", n, old.pipes.Lent(), old.timers.Len(), old.ready.Len())
	}
	old.Close()
}

// sent is what another process receives of a snapshot.
func (r *rig) sent(sn Snapshot) *Snapshot {
	r.tb.Helper()
	text, err := json.Marshal(sn)
	if err != nil {
		r.tb.Fatal(err)
	}
	out := new(Snapshot)
	if err := json.Unmarshal(text, out); err != nil {
		r.tb.Fatal(err)
	}
	if diff := cmp.Diff(sn, *out, cmp.Comparer(func(a, b []byte) bool { return string(a) == string(b) }), cmp.Comparer(sameAddr)); diff != "" {
		r.tb.Fatalf("the text of a snapshot says something else: %s", diff)
	}
	for _, fd := range out.Descriptors() {
		if *fd < 0 {
			continue
		}
		own, e := netio.Dup(*fd)
		if e != 0 {
			r.tb.Fatal(e)
		}
		*fd = own
	}
	return out
}

// A session that moved has the times, the counters and the name that it had, and its timeouts go on.
func TestMovedSessionKeepsItsLine(t *testing.T) {
	r := mustRig(t, rigOptions{
		format:    "%ts %U %B %rt %ci:%cp %fi %s %rc",
		configure: func(p *Proxy) { p.ClientMs, p.ServerMs = 300, 300 },
	})
	c, s := r.pair()
	c.send(100)
	s.receive(100)
	before := r.table.slots.At(0)
	accepted, number := before.acceptNs, before.number
	r.clock.Update()
	idleFrom := time.Now()
	r.moves = true
	r.move()
	after := r.table.slots.At(0)
	if after.acceptNs != accepted || after.number != number {
		t.Errorf("accepted at %d as number %d, after the move %d and %d", accepted, number, after.acceptNs, after.number)
	}
	s.send(7)
	c.receive(7)
	if got := r.line(); got == "" || time.Since(idleFrom) < 298*time.Millisecond { // dates are whole milliseconds
		t.Errorf("line %q after %v", got, time.Since(idleFrom))
	} else if got[:2] != "cD" && got[:2] != "sD" {
		t.Errorf("line %q, want a timeout", got)
	}
	c.expectEnd()
	s.expectEnd()
	r.clean()
}

// Who is frozen keeps still, whatever the peers do, and goes on where it was when it comes back.
func TestRestore(t *testing.T) {
	for _, w := range ways {
		t.Run(w.name, func(t *testing.T) {
			r := mustRig(t, w.o)
			r.moves = false
			c, s := r.pair()
			c.send(1 << 17)
			r.settle()
			batch, later, never := r.table.Freeze(nil, 10)
			if len(batch) != 1 || later != 0 || never != 0 {
				t.Fatalf("%d sessions frozen, %d later, %d never", len(batch), later, never)
			}
			got := s.got
			s.send(50)
			c.send(50)
			c.fin()
			s.drain(all)
			waiting := s.got
			r.settle()
			r.table.KillDeparted()
			if s.drain(all); s.got != waiting || c.got != 0 {
				t.Errorf("a frozen session moved bytes: server %d then %d (first %d), client %d", waiting, s.got, got, c.got)
			}
			if again, _, _ := r.table.Freeze(nil, 10); len(again) != 0 {
				t.Errorf("frozen twice: %d", len(again))
			}
			r.table.Restore(Leaving{batch[0].Slot, batch[0].Gen})
			s.receive(c.sent)
			c.receive(50)
			if again, later, never := r.table.Freeze(nil, 10); len(again) != 0 || later != 0 || never != 1 {
				t.Errorf("a session that came back is offered again: %d, %d later, %d never", len(again), later, never)
			}
			r.table.Offer()
			again, _, never := r.table.Freeze(nil, 10)
			if len(again) != 1 || never != 0 {
				t.Fatalf("the next handover gets %d sessions, %d never", len(again), never)
			}
			r.table.Restore(Leaving{again[0].Slot, again[0].Gen})
			s.fin()
			s.expectEOF()
			c.expectEOF()
			if got := r.code(); got != "--" {
				t.Errorf("code %s", got)
			}
			r.clean()
			if r.table.leaving != 0 || r.table.staying != 0 {
				t.Errorf("%d leave, %d stay", r.table.leaving, r.table.staying)
			}
		})
	}
}

// A session that may have another owner is logged and let go of, without a word to its peers.
func TestLose(t *testing.T) {
	r := mustRig(t, rigOptions{})
	c, s := r.pair()
	batch, _, _ := r.table.Freeze(nil, 1)
	other := r.sent(batch[0])
	r.table.Lose(Leaving{batch[0].Slot, batch[0].Gen})
	if got := r.code(); got != "ID" {
		t.Errorf("code %s", got)
	}
	r.clean()
	r.table.Lose(Leaving{batch[0].Slot, batch[0].Gen}) // a second word changes nothing
	if c.drain(all); c.eof || c.reset {
		t.Error("the client noticed")
	}
	if n, e := netio.Send(other.Client.FD, []byte{pattern(2, 0)}); n != 1 || e != 0 {
		t.Fatalf("the other owner cannot send: %v", e)
	}
	c.receive(1)
	for _, fd := range other.Descriptors() {
		if *fd >= 0 {
			netio.Close(*fd)
		}
	}
	s.close()
}

// A hard stop leaves alone what may have another owner, and ends it when it comes back.
func TestKillWhileLeaving(t *testing.T) {
	r := mustRig(t, rigOptions{})
	c, s := r.pair()
	batch, _, _ := r.table.Freeze(nil, 1)
	r.table.KillAll()
	r.quiet()
	r.table.Restore(Leaving{batch[0].Slot, batch[0].Gen})
	if got := r.code(); got != "KC" {
		t.Errorf("code %s", got)
	}
	c.expectEnd()
	s.expectEnd()
	r.clean()
}

// Sessions whose server or proxy departed are ended on demand, the others go on.
func TestKillDeparted(t *testing.T) {
	r := mustRig(t, rigOptions{})
	c, s := r.pair()
	r.table.KillDeparted()
	r.settle()
	if r.table.Live() != 1 {
		t.Fatal("a session of the configuration was ended")
	}
	r.proxy.Server(0).Departed = true
	r.table.KillDeparted()
	if got := r.code(); got != "KD" {
		t.Errorf("code %s", got)
	}
	c.expectEnd()
	s.expectEnd()
	r.clean()
}

// The bytes of a larger buffer fit.
func TestAdoptLargerBuffer(t *testing.T) {
	r := mustRig(t, rigOptions{bufSize: 1 << 16, smallBufs: true})
	c, s := r.pair()
	r.until("bytes that wait", func() bool { c.send(1 << 14); return r.table.slots.At(0).flow[client].buf != 0 })
	r.table.Shared.BufSize = 1024
	r.moves = true
	r.move()
	r.moves = false
	c.fin()
	s.receive(c.sent)
	s.expectEOF()
	s.fin()
	c.expectEOF()
	if got := r.code(); got != "--" {
		t.Errorf("code %s", got)
	}
	r.clean()
}

func sameAddr(a, b netip.AddrPort) bool { return a == b }

// A process that leaves while sessions may have another owner closes its copies, and nothing more.
func TestCloseWhileLeaving(t *testing.T) {
	r := mustRig(t, rigOptions{configure: func(p *Proxy) { p.NoLinger, p.NoLingerServer = true, true }})
	c, s := r.pair()
	batch, _, _ := r.table.Freeze(nil, 1)
	other := r.sent(batch[0])
	r.table.Close()
	r.quiet()
	for _, p := range []*peer{c, s} {
		if p.drain(all); p.eof || p.reset {
			t.Error("a peer noticed")
		}
	}
	for _, fd := range other.Descriptors() {
		if *fd >= 0 {
			netio.Close(*fd)
		}
	}
}
