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

func TestNoServer(t *testing.T) {
	b, _ := mustBackend(t, config.Proxy{}, config.Server{Weight: 1, Disabled: true}, config.Server{Weight: 0})
	wantVerdict(t, b, anyone, None, NoServer)
	if v := b.Take(0); v != NoServer {
		t.Errorf("Take of a disabled server: %d", v)
	}
	if v := b.Take(1); v != Assigned {
		t.Errorf("Take of a server of weight 0: %d, want a slot", v)
	}
	if _, granted, _ := b.Enqueue(Waiter{}, None); granted != Reassign {
		t.Errorf("waiting for nobody: granted %d, want Reassign", granted)
	}
	if _, granted, _ := b.Enqueue(Waiter{}, 0); granted != Reassign {
		t.Errorf("waiting for a disabled server: granted %d, want Reassign", granted)
	}
	b.SetAdmin(0, 0)
	if i := mustAssign(t, b, anyone); i != 0 {
		t.Errorf("server %d", i)
	}
	empty, _ := mustBackend(t, config.Proxy{})
	wantVerdict(t, empty, anyone, None, NoServer)
}

func TestBackups(t *testing.T) {
	servers := func() []config.Server {
		return []config.Server{
			{Weight: 1, MaxConn: 1},
			{Weight: 1, Backup: true, MaxConn: 1},
			{Weight: 1, Backup: true, MaxConn: 1},
		}
	}
	for _, algorithm := range []config.Algorithm{
		config.RoundRobin, config.StaticRR, config.LeastConn, config.First, config.SourceHash, config.Random,
	} {
		t.Run(fmt.Sprint(algorithm), func(t *testing.T) {
			balance := config.Balance{Algorithm: algorithm, Consistent: true}
			b, _ := mustBackend(t, config.Proxy{Balance: balance}, servers()...)
			if got := order(t, b, 2); got != "11" {
				t.Errorf("with the active server up: %s", got)
			}
			b.SetAdmin(0, ForcedMaint)
			if got := order(t, b, 2); got != "22" {
				t.Errorf("without active servers: %s", got)
			}
			mustAssign(t, b, anyone)
			queue := int32(1) // its own queue
			if algorithm == config.StaticRR || algorithm == config.Random {
				queue = None
			}
			wantVerdict(t, b, anyone, queue, Queue)
			b.Release(1)
			b.SetWeight(1, 0)
			if got := order(t, b, 2); got != "33" {
				t.Errorf("with the first backup of no weight: %s", got)
			}
			b.SetAdmin(0, 0)
			if got := order(t, b, 2); got != "11" {
				t.Errorf("with the active server back: %s", got)
			}

			all, _ := mustBackend(t, config.Proxy{Balance: balance, AllBackups: true}, servers()...)
			all.SetAdmin(0, ForcedMaint)
			if active, backup, weight := all.Members(); active != 0 || backup != 2 || weight != 2 {
				t.Errorf("members %d, %d, weight %d", active, backup, weight)
			}
			if algorithm == config.RoundRobin {
				if got := order(t, all, 4); got != "2323" && got != "3232" {
					t.Errorf("with allbackups: %s", got)
				}
			}
		})
	}
}

func TestMaxQueue(t *testing.T) {
	b, d := mustBackend(t, config.Proxy{Balance: config.Balance{Algorithm: config.SourceHash}},
		config.Server{Weight: 1, MaxConn: 1, MaxQueue: 2}, config.Server{Weight: 1, MaxConn: 1})
	req := Request{Hash: 0, Avoid: None}
	if i := mustAssign(t, b, req); i != 0 {
		t.Fatalf("server %d", i)
	}
	wantVerdict(t, b, req, 0, Queue)
	mustWait(t, b, 1, 0, 1)
	mustWait(t, b, 2, 0, 2)
	wantVerdict(t, b, req, 0, QueueFull)
	if v := b.Take(0); v != QueueFull {
		t.Errorf("Take: %d, want QueueFull", v)
	}
	b.Release(0)
	d.want(t, delivery{1, 0})
	wantVerdict(t, b, req, 0, Queue)
	if got := b.MaxQueued(0); got != 2 {
		t.Errorf("longest queue %d, want 2", got)
	}
}

func TestLeastConnFillsQueues(t *testing.T) {
	b, _ := mustBackend(t, config.Proxy{Balance: config.Balance{Algorithm: config.LeastConn}},
		config.Server{Weight: 1, MaxConn: 2, MaxQueue: 1}, config.Server{Weight: 1, MaxConn: 1, MaxQueue: 1})
	counts := [2]int{}
	for range 3 {
		counts[mustAssign(t, b, anyone)]++
	}
	if counts != [2]int{2, 1} {
		t.Errorf("slots taken %v", counts)
	}
	wantVerdict(t, b, anyone, 1, Queue) // one connection is the least
	mustWait(t, b, 1, 1, 1)
	wantVerdict(t, b, anyone, 0, Queue)
	mustWait(t, b, 2, 0, 1)
	wantVerdict(t, b, anyone, None, Queue)
}

// TestRamp checks that the limit grows from minconn to maxconn with the sessions of the backend.
func TestRamp(t *testing.T) {
	b, d := mustBackend(t, config.Proxy{FullConn: 20}, config.Server{Weight: 1, MinConn: 2, MaxConn: 10})
	limits := []int32{2, 2, 2, 2, 2, 3, 3, 4, 4, 5}
	for n, want := range limits {
		b.conns.Store(int64(n))
		if got := b.limit(b.Server(0), 1); got != want {
			t.Errorf("limit %d with %d sessions, want %d", got, n+1, want)
		}
	}
	b.conns.Store(0)
	mustAssign(t, b, anyone)
	mustAssign(t, b, anyone)
	wantVerdict(t, b, anyone, None, Queue)
	for n := range uint32(3) {
		mustWait(t, b, n, None, int32(n)+1)
	}
	// The sixth session raises the limit to three, which the first of the queue benefits from.
	_, granted, _ := b.Enqueue(Waiter{Slot: 9}, None)
	if granted != None {
		t.Errorf("granted %d out of turn", granted)
	}
	d.want(t, delivery{0, 0})
	for range 3 {
		b.Release(0)
	}
	if b.Server(0).Served() != 2 {
		t.Errorf("%d served with few sessions, want 2", b.Server(0).Served())
	}
	b.Release(0)
	b.Release(0)
	d.want(t, delivery{1, 0}, delivery{2, 0}, delivery{9, 0})
	b.Release(0)
	if got := b.conns.Load(); got != 0 {
		t.Errorf("%d sessions left", got)
	}
}

func TestMinConnAboveMaxConnIsTheLimit(t *testing.T) {
	b, _ := mustBackend(t, config.Proxy{FullConn: 100}, config.Server{Weight: 1, MinConn: 5, MaxConn: 3}, config.Server{Weight: 1, MinConn: 4})
	if got := []int{b.Server(0).MaxConn(), b.Server(1).MaxConn()}; !cmp.Equal(got, []int{5, 4}) || b.counting {
		t.Errorf("limits %v", got)
	}
}

func TestServerLeaves(t *testing.T) {
	b, d := mustBackend(t, config.Proxy{Balance: config.Balance{Algorithm: config.SourceHash}},
		config.Server{Weight: 1, MaxConn: 1}, config.Server{Weight: 1, MaxConn: 1})
	mustAssign(t, b, Request{Hash: 0, Avoid: None})
	mustAssign(t, b, Request{Hash: 1, Avoid: None})
	first := mustWait(t, b, 1, 0, 1)
	mustWait(t, b, 2, 0, 2)
	mustWait(t, b, 3, None, 1)
	if n := b.SetAdmin(0, ForcedMaint); n != 2 {
		t.Errorf("%d requeued, want 2", n)
	}
	d.want(t, delivery{1, Reassign}, delivery{2, Reassign})
	if b.Cancel(first) {
		t.Error("a requeued waiter cannot cancel")
	}
	b.Release(0) // the session that the lost server still had
	d.want(t)
	b.SetAdmin(0, 0)
	d.want(t, delivery{3, 0})
	b.SetMaxConn(1, 2)
	mustWait(t, b, 4, 0, 1)
	b.SetMaxConn(0, 0)
	d.want(t, delivery{4, 0})
	if n := b.SetAdmin(0, 0); n != 0 {
		t.Errorf("%d requeued by a server that was up", n)
	}
}

// TestFullServersLoseTheirTurn checks that the others keep their shares among themselves.
func TestFullServersLoseTheirTurn(t *testing.T) {
	b, _ := mustBackend(t, config.Proxy{}, config.Server{Weight: 100, MaxConn: 1}, config.Server{Weight: 10}, config.Server{Weight: 1})
	counts := [3]int{}
	held := false
	for range 1100 {
		i := mustAssign(t, b, anyone)
		counts[i]++
		if i == 0 && !held {
			held = true
			continue
		}
		b.Release(i)
	}
	if counts[0] != 1 || counts[2] < 98 || counts[2] > 102 {
		t.Errorf("shares %v, want 1, 999, 100", counts)
	}
}

func TestAvoid(t *testing.T) {
	for _, algorithm := range []config.Algorithm{
		config.RoundRobin, config.StaticRR, config.LeastConn, config.First, config.SourceHash, config.Random,
	} {
		for _, consistent := range []bool{false, true} {
			t.Run(fmt.Sprint(algorithm, consistent), func(t *testing.T) {
				b, _ := mustBackend(t, config.Proxy{Balance: config.Balance{Algorithm: algorithm, Consistent: consistent}},
					weighted(5, 1, 5)...)
				for n := range uint32(200) {
					req := Request{Hash: n, Rand: n, Avoid: int32(n % 3)}
					i := mustAssign(t, b, req)
					if i == req.Avoid && (algorithm != config.SourceHash || consistent) { // a map knows no other
						t.Fatalf("%+v got the server to avoid", req)
					}
					b.Release(i)
				}
				b.SetAdmin(1, ForcedMaint)
				b.SetAdmin(2, ForcedMaint)
				if i := mustAssign(t, b, Request{Avoid: 0}); i != 0 {
					t.Errorf("server %d, want the one to avoid, for it is the only one", i)
				}
			})
		}
	}
}

func TestBalanceFactor(t *testing.T) {
	b, _ := mustBackend(t, config.Proxy{Balance: config.Balance{
		Algorithm: config.SourceHash, Consistent: true, Avalanche: true, Factor: 150,
	}}, weighted(1, 1, 1, 1)...)
	counts := [4]int{}
	for n := range 400 {
		counts[mustAssign(t, b, Request{Hash: 7, Avoid: None})]++ // all from one client
		for i, c := range counts {
			if limit := ((n+1)*150+99)/100/4 + 1; c > limit {
				t.Fatalf("server %d has %d of %d connections, limit %d", i, c, n+1, limit)
			}
		}
	}
}

func TestRandomFollowsLoad(t *testing.T) {
	b, _ := mustBackend(t, config.Proxy{Balance: config.Balance{Algorithm: config.Random, Draws: 2}}, weighted(1, 2, 1)...)
	counts := [3]int{}
	for n := range uint32(4000) {
		counts[mustAssign(t, b, Request{Rand: balance.Avalanche(n), Avoid: None})]++
	}
	for i, want := range []int{1000, 2000, 1000} {
		if counts[i] < want*8/10 || counts[i] > want*12/10 {
			t.Errorf("server %d has %d connections, want about %d", i, counts[i], want)
		}
	}
}

func TestStaticWeights(t *testing.T) {
	for _, tc := range []struct {
		balance config.Balance
		static  bool
	}{
		{config.Balance{Algorithm: config.RoundRobin}, false},
		{config.Balance{Algorithm: config.StaticRR}, true},
		{config.Balance{Algorithm: config.SourceHash}, true},
		{config.Balance{Algorithm: config.SourceHash, Consistent: true}, false},
		{config.Balance{Algorithm: config.LeastConn}, false},
	} {
		b, _ := mustBackend(t, config.Proxy{Balance: tc.balance}, weighted(10, 20)...)
		if b.Static() != tc.static {
			t.Errorf("%+v: static %v", tc.balance, b.Static())
		}
		b.SetWeight(1, 0)
		if got := b.Server(1).Weight(); got != 0 || b.Server(1).InitialWeight() != 20 || b.Server(1).Usable() {
			t.Errorf("%+v: weight %d", tc.balance, got)
		}
		if got := order(t, b, 3); got != "111" {
			t.Errorf("%+v: order %s with one server of weight", tc.balance, got)
		}
	}
}

func TestCounters(t *testing.T) {
	b, _ := mustBackend(t, config.Proxy{}, weighted(1)...)
	mustAssign(t, b, anyone)
	mustAssign(t, b, anyone)
	b.Release(0)
	s := b.Server(0)
	s.Retry()
	s.Redispatch()
	s.Redispatch()
	s.ConnError()
	got := []int{s.Served(), s.MaxServed(), int(s.CumSessions()), int(s.Retries()), int(s.Redispatches()), int(s.ConnErrors())}
	if diff := cmp.Diff([]int{1, 2, 2, 1, 2, 1}, got); diff != "" {
		t.Errorf("counters (-want +got):\n%s", diff)
	}
}

func TestNoAllocations(t *testing.T) {
	algorithms := map[string]config.Balance{
		"roundrobin": {Algorithm: config.RoundRobin},
		"leastconn":  {Algorithm: config.LeastConn},
		"source":     {Algorithm: config.SourceHash},
		"ring":       {Algorithm: config.SourceHash, Consistent: true, Factor: 150},
		"random":     {Algorithm: config.Random},
		"first":      {Algorithm: config.First},
	}
	for name, algorithm := range algorithms {
		t.Run(name, func(t *testing.T) {
			b, _ := mustBackend(t, config.Proxy{Balance: algorithm, FullConn: 50},
				config.Server{Weight: 1, MaxConn: 1}, config.Server{Weight: 2, MinConn: 1, MaxConn: 3})
			delivered := None
			b.SetDeliver(func(_ Waiter, server int32) { delivered = server })
			hash := uint32(0)
			run := func() {
				hash++
				room := [8]int32{}
				held := room[:0]
				for {
					server, v := b.Assign(Request{Hash: hash, Rand: hash, Avoid: None})
					if v == Assigned {
						held = append(held, server)
						continue
					}
					ticket, granted, _ := b.Enqueue(Waiter{}, server)
					if granted >= 0 {
						held = append(held, granted)
						continue
					}
					if !b.Cancel(ticket) {
						t.Fatal("it waits but cannot cancel")
					}
					b.Enqueue(Waiter{}, server)
					break
				}
				delivered = None
				for _, server := range held {
					b.Release(server)
				}
				if delivered == None {
					t.Fatal("the waiter got no slot")
				}
				b.Release(delivered)
			}
			if n := testing.AllocsPerRun(200, run); n != 0 {
				t.Errorf("%v allocations", n)
			}
		})
	}
}
