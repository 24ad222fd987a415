package session

import (
	"fmt"
	"testing"

	"github.com/penstock/penstock/netio"
)

// What is packed into an event word comes out of it, and words that differ in anything differ.
func FuzzWord(f *testing.F) {
	f.Add(uint8(0), uint32(0), uint32(0), uint8(0), uint32(1), uint8(1))
	f.Add(uint8(3), uint32(slotMask), uint32(1<<26-1), uint8(63), uint32(1<<26), uint8(64))
	f.Fuzz(func(t *testing.T, kind uint8, slot, gen uint32, attempt uint8, gen2 uint32, attempt2 uint8) {
		kind &= 3
		slot &= slotMask
		w := Word(int(kind), slot, gen, attempt)
		if WordKind(w) != int(kind) || WordSlot(w) != slot {
			t.Fatalf("kind %d, slot %d; want %d, %d", WordKind(w), WordSlot(w), kind, slot)
		}
		const genMask = 1<<(64-genShift) - 1
		same := gen&genMask == gen2&genMask && attempt&attemptMask == attempt2&attemptMask
		if got := Word(int(kind), slot, gen2, attempt2) == w; got != same {
			t.Fatalf("same word: %v, want %v", got, same)
		}
	})
}

// A batch reports both sides; handling the first ends the session, and a new client gets its slot before
// the second is handled. The stale report must not touch the newcomer.
func TestStaleEventOfAnEarlierLife(t *testing.T) {
	r := mustRig(t, rigOptions{})
	c, s := r.pair()
	stale := []uint64{
		Word(KindClient, 0, r.table.slots.Gen(0), 0),
		Word(KindServer, 0, r.table.slots.Gen(0), r.table.slots.At(0).attempt),
	}
	c.close()
	s.close()
	r.until("the end of the first session", func() bool { return r.table.Live() == 0 })
	r.line()
	c2, s2 := r.pair()
	if live := r.table.slots.Live(); live != 1 || r.table.slots.Gen(0) == 0 {
		t.Fatalf("%d sessions, slot 0 has generation %d", live, r.table.slots.Gen(0))
	}
	before := *r.table.slots.At(0)
	for _, w := range stale {
		r.table.Event(w, netio.Readable|netio.PeerClosed|netio.Hangup|netio.Failure)
	}
	if after := *r.table.slots.At(0); after != before {
		t.Errorf("a stale report changed the session:\n%+v\n%+v", before, after)
	}
	c2.send(10)
	s2.receive(10)
	c2.fin()
	s2.fin()
	r.code()
	r.clean()
}

// The report of a server socket that was replaced by the next attempt is dropped, as is any of a free slot.
func TestStaleEventOfAnEarlierAttempt(t *testing.T) {
	r := mustRig(t, rigOptions{configure: func(p *Proxy) { p.ConnectMs, p.Retries = 1, 3 }})
	closed, refusing := mustListen(t, "tcp", netio.ConnOptions{})
	netio.Close(closed)
	server := *r.proxy.Server(0).Destination()
	r.proxy.Server(0).SetDestination(Destination{Addr: refusing})
	c := r.dial()
	r.until("the second attempt", func() bool {
		if r.table.Live() == 0 {
			return false
		}
		s := r.table.slots.At(0)
		if s.state == stateTurnaround {
			r.proxy.Server(0).SetDestination(server)
		}
		return s.attempt == 2
	})
	old := Word(KindServer, 0, r.table.slots.Gen(0), 1)
	before := *r.table.slots.At(0)
	r.table.Event(old, netio.Failure|netio.Hangup|netio.Writable)
	if after := *r.table.slots.At(0); after != before {
		t.Error("the report of the first socket changed the session")
	}
	s := r.accept()
	s.send(5)
	c.receive(5)
	c.fin()
	s.fin()
	if got := r.line(); got[:len("-- 0 5 1")] != "-- 0 5 1" {
		t.Errorf("line %q", got)
	}
	r.table.Event(old, netio.Failure)
	r.clean()
}

// A limit is never exceeded, whoever finds it full is told, and nothing is lost on the way.
func TestLimitWaiting(t *testing.T) {
	var l Limit
	l.SetMax(2)
	for i, want := range []bool{true, true, false} {
		if got := l.take(); got != want {
			t.Fatalf("take %d: %v", i, got)
		}
	}
	if !l.wait() {
		t.Fatal("the limit is reached, and waiting says it is not")
	}
	if !l.release() {
		t.Error("a release did not see who waits")
	}
	if l.release() {
		t.Error("a second release told again")
	}
	if l.wait() {
		t.Error("there is room, and waiting says there is none")
	}
	if fmt.Sprint(l.Current(), l.Max()) != "0 2" {
		t.Errorf("%d of %d", l.Current(), l.Max())
	}
}
