package backend

import (
	"fmt"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/penstock/penstock/internal/balance"
	"github.com/penstock/penstock/internal/config"
)

// mustBackend makes a backend of servers s1, s2, … and records what it delivers.
func mustBackend(tb testing.TB, p config.Proxy, servers ...config.Server) (*Backend, *deliveries) {
	tb.Helper()
	p.Name, p.Kind = "be", config.Backend
	for i := range servers {
		servers[i].Name, servers[i].ID = fmt.Sprintf("s%d", i+1), i+1
		p.Servers = append(p.Servers, &servers[i])
	}
	b := New(&p, 0)
	d := &deliveries{}
	b.SetDeliver(d.deliver)
	return b, d
}

type delivery struct {
	Slot   uint32
	Server int32
}

// deliveries records grants in their order; for tests with one goroutine.
type deliveries struct{ list []delivery }

func (d *deliveries) deliver(w Waiter, server int32) {
	d.list = append(d.list, delivery{Slot: w.Slot, Server: server})
}

func (d *deliveries) want(tb testing.TB, list ...delivery) {
	tb.Helper()
	if diff := cmp.Diff(list, d.list); diff != "" {
		tb.Fatalf("deliveries (-want +got):\n%s", diff)
	}
	d.list = nil
}

func mustAssign(tb testing.TB, b *Backend, req Request) int32 {
	tb.Helper()
	i, v := b.Assign(req)
	if v != Assigned {
		tb.Fatalf("Assign(%+v) = %d, %d, want a slot", req, i, v)
	}
	return i
}

func wantVerdict(tb testing.TB, b *Backend, req Request, server int32, v Verdict) {
	tb.Helper()
	if i, got := b.Assign(req); i != server || got != v {
		tb.Fatalf("Assign(%+v) = %d, %d, want %d, %d", req, i, got, server, v)
	}
}

// mustWait enqueues a waiter that finds no slot.
func mustWait(tb testing.TB, b *Backend, slot uint32, server, place int32) Ticket {
	tb.Helper()
	t, granted, got := b.Enqueue(Waiter{Slot: slot}, server)
	if granted != None || got != place {
		tb.Fatalf("Enqueue(%d) = granted %d, place %d, want none, place %d", server, granted, got, place)
	}
	return t
}

// weighted lists servers of the given weights.
func weighted(weights ...int) []config.Server {
	list := make([]config.Server, len(weights))
	for i, w := range weights {
		list[i].Weight = w
	}
	return list
}

var anyone = Request{Avoid: None}

// order is the servers, counted from 1, that n sessions get, each ending before the next begins.
func order(tb testing.TB, b *Backend, n int) string {
	tb.Helper()
	s := ""
	for range n {
		i := mustAssign(tb, b, anyone)
		b.Release(i)
		s += fmt.Sprint(i + 1)
	}
	return s
}

func TestAssignOrder(t *testing.T) {
	for _, tc := range []struct {
		algorithm config.Algorithm
		weights   []int
		want      string
	}{
		{config.RoundRobin, []int{1, 1, 1}, "123123123123"},
		{config.RoundRobin, []int{1, 2, 3}, "323132323132"},
		{config.RoundRobin, []int{10, 10, 5}, "121231212312"},
		{config.RoundRobin, []int{1, 0, 1}, "1313"},
		{config.StaticRR, []int{1, 2, 3}, "132323132323"},
		{config.StaticRR, []int{10, 10, 5}, "121231212312"},
		{config.LeastConn, []int{1, 1, 1}, "123123"},
		{config.First, []int{1, 2, 3}, "1111"},
	} {
		t.Run(fmt.Sprint(tc.algorithm, tc.weights), func(t *testing.T) {
			b, _ := mustBackend(t, config.Proxy{Balance: config.Balance{Algorithm: tc.algorithm}}, weighted(tc.weights...)...)
			if got := order(t, b, len(tc.want)); got != tc.want {
				t.Errorf("order %s, want %s", got, tc.want)
			}
		})
	}
}

// TestSourceHash has the servers that HAProxy chooses for 127.0.0.1.
func TestSourceHash(t *testing.T) {
	for _, tc := range []struct {
		consistent, avalanche bool
		weights               []int
		want                  int32
	}{
		{false, false, []int{1, 1, 1}, 3},
		{false, true, []int{1, 1, 1}, 2},
		{true, false, []int{1, 1, 1}, 2},
		{false, false, []int{1, 2, 3}, 3},
		{false, false, []int{10, 10, 5}, 2},
	} {
		t.Run(fmt.Sprint(tc.consistent, tc.avalanche, tc.weights), func(t *testing.T) {
			b, _ := mustBackend(t, config.Proxy{Balance: config.Balance{
				Algorithm: config.SourceHash, Consistent: tc.consistent, Avalanche: tc.avalanche,
			}}, weighted(tc.weights...)...)
			if got := mustAssign(t, b, Request{Hash: 127<<24 | 1, Avoid: None}); got+1 != tc.want {
				t.Errorf("server %d, want %d", got+1, tc.want)
			}
		})
	}
}

func TestQueueIsFirstComeFirstServed(t *testing.T) {
	b, d := mustBackend(t, config.Proxy{}, config.Server{Weight: 1, MaxConn: 1}, config.Server{Weight: 1, MaxConn: 1})
	mustAssign(t, b, anyone)
	mustAssign(t, b, anyone)
	wantVerdict(t, b, anyone, None, Queue)
	mustWait(t, b, 10, None, 1)
	mustWait(t, b, 11, 1, 1) // insists on the second server
	twelve := mustWait(t, b, 12, None, 2)
	mustWait(t, b, 13, None, 3)
	wantVerdict(t, b, anyone, None, Queue)

	b.Release(1)
	d.want(t, delivery{10, 1})
	if pos := b.QueuePos(twelve); pos != 2 {
		t.Errorf("position %d after one left, want 2", pos)
	}
	if !b.Cancel(twelve) || b.Cancel(twelve) {
		t.Error("a ticket must be cancelled exactly once")
	}
	b.Release(0)
	d.want(t, delivery{13, 0})
	b.Release(1)
	d.want(t, delivery{11, 1})
	b.Release(0)
	b.Release(1)
	d.want(t)
	if b.Served() != 0 || b.Queued() != 0 || b.BackendQueue() != 0 || b.Server(1).Queued() != 0 {
		t.Errorf("something is left: served %d, queued %d", b.Served(), b.Queued())
	}
	if got := b.Server(1).CumSessions(); got != 3 {
		t.Errorf("second server had %d sessions, want 3", got)
	}
	if i := mustAssign(t, b, Request{Hash: balance.Avalanche(1), Avoid: 0}); i != 1 {
		t.Errorf("server %d, want the one that is not avoided", i)
	}
}
