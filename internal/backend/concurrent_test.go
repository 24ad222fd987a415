package backend

import (
	"fmt"
	"math/rand/v2"
	"runtime"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/penstock/penstock/internal/config"
)

// TestWorkers lets many goroutines take, wait, give up and release while servers come and go.
func TestWorkers(t *testing.T) {
	const workers, rounds, maxConn = 8, 3000, 2
	for _, tc := range []struct {
		name    string
		balance config.Balance
	}{
		{"roundrobin", config.Balance{Algorithm: config.RoundRobin}},
		{"static-rr", config.Balance{Algorithm: config.StaticRR}},
		{"leastconn", config.Balance{Algorithm: config.LeastConn}},
		{"first", config.Balance{Algorithm: config.First}},
		{"source", config.Balance{Algorithm: config.SourceHash}},
		{"ring", config.Balance{Algorithm: config.SourceHash, Consistent: true, Factor: 120}},
		{"random", config.Balance{Algorithm: config.Random}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			b, _ := mustBackend(t, config.Proxy{Balance: tc.balance},
				config.Server{Weight: 1, MaxConn: maxConn}, config.Server{Weight: 2, MaxConn: maxConn}, config.Server{Weight: 1, MaxConn: maxConn})
			type answer struct {
				gen    uint32
				server int32
			}
			var mailboxes [workers]chan answer
			for i := range mailboxes {
				mailboxes[i] = make(chan answer, 1)
			}
			b.SetDeliver(func(w Waiter, server int32) {
				select {
				case mailboxes[w.Worker] <- answer{w.Gen, server}:
				default:
					t.Errorf("worker %d has an answer too many", w.Worker)
				}
			})
			var inside [3]atomic.Int32
			var waited, cancelled, requeued atomic.Int64
			use := func(server int32) {
				if n := inside[server].Add(1); n > maxConn {
					t.Errorf("%d sessions on server %d", n, server)
				}
				runtime.Gosched()
				inside[server].Add(-1)
				b.Release(server)
			}
			session := func(worker int, gen uint32, random *rand.Rand) {
				for {
					server, v := b.Assign(Request{Hash: random.Uint32(), Rand: random.Uint32(), Avoid: random.Int32N(4) - 1})
					switch v {
					case Assigned:
						use(server)
						return
					case NoServer:
						return
					}
					ticket, granted, _ := b.Enqueue(Waiter{Worker: uint16(worker), Gen: gen}, server)
					if granted == None {
						waited.Add(1)
						if random.IntN(4) == 0 {
							runtime.Gosched()
							if b.Cancel(ticket) {
								cancelled.Add(1)
								return
							}
						}
						a := <-mailboxes[worker]
						if a.gen != gen {
							t.Errorf("answer for session %d, want %d", a.gen, gen)
						}
						granted = a.server
					}
					if granted >= 0 {
						use(granted)
						return
					}
					requeued.Add(1)
				}
			}
			// At first all slots are taken, so that somebody certainly waits.
			var held []int32
			for i := range int32(b.NumServers()) {
				for b.Take(i) == Assigned {
					inside[i].Add(1)
					held = append(held, i)
				}
			}
			var working, controlling sync.WaitGroup
			for worker := range workers {
				working.Go(func() {
					random := rand.New(rand.NewPCG(uint64(worker), 1))
					for gen := range uint32(rounds) {
						session(worker, gen, random)
					}
				})
			}
			for waited.Load() == 0 {
				runtime.Gosched()
			}
			for _, i := range held {
				inside[i].Add(-1)
				b.Release(i)
			}
			stop := make(chan struct{})
			controlling.Go(func() {
				random := rand.New(rand.NewPCG(99, 1))
				for {
					select {
					case <-stop:
						return
					default:
					}
					b.SetAdmin(1+random.IntN(2), []Admin{0, ForcedMaint, ForcedDrain}[random.IntN(3)])
					b.SetWeight(1+random.IntN(2), random.IntN(3))
					runtime.Gosched()
				}
			})
			working.Wait()
			close(stop)
			controlling.Wait()
			if b.Served() != 0 || b.Queued() != 0 || b.BackendQueue() != 0 || b.Server(0).Queued() != 0 {
				t.Errorf("left over: %d served, %d queued", b.Served(), b.Queued())
			}
			t.Logf("waited %d, cancelled %d, requeued %d", waited.Load(), cancelled.Load(), requeued.Load())
		})
	}
}

// TestRandomEvents runs random events one after the other and compares with a plain account of who
// holds what.
func TestRandomEvents(t *testing.T) {
	algorithms := []config.Balance{
		{Algorithm: config.RoundRobin},
		{Algorithm: config.StaticRR},
		{Algorithm: config.LeastConn},
		{Algorithm: config.First},
		{Algorithm: config.SourceHash},
		{Algorithm: config.SourceHash, Consistent: true, Factor: 130},
		{Algorithm: config.Random, Draws: 3},
	}
	for n := range 70 {
		algorithm := algorithms[n%len(algorithms)]
		t.Run(fmt.Sprint(n, algorithm.Algorithm), func(t *testing.T) {
			newAccount(t, uint64(n), algorithm).run(1500)
		})
	}
}

// account is what the test knows about a backend: the sessions by what they do.
type account struct {
	t       *testing.T
	random  *rand.Rand
	b       *Backend
	next    uint32
	holding []int32           // the server of each session that holds a slot
	waiting map[uint32]Ticket // by Waiter.Slot
	last    uint32            // the entry of the last grant from the backend's queue
	line    map[uint32]int32  // the queue that each waits in
}

func newAccount(t *testing.T, seed uint64, algorithm config.Balance) *account {
	a := &account{
		t: t, random: rand.New(rand.NewPCG(seed, 2)),
		waiting: map[uint32]Ticket{}, line: map[uint32]int32{},
	}
	servers := make([]config.Server, 1+a.random.IntN(5))
	for i := range servers {
		servers[i] = config.Server{
			Weight: a.random.IntN(4), MaxConn: a.random.IntN(4), MinConn: a.random.IntN(2),
			MaxQueue: a.random.IntN(3), Backup: a.random.IntN(4) == 0, Disabled: a.random.IntN(6) == 0,
		}
	}
	a.b, _ = mustBackend(t, config.Proxy{Balance: algorithm, FullConn: 20, AllBackups: seed%2 == 0}, servers...)
	a.b.SetDeliver(func(w Waiter, server int32) {
		if _, ok := a.waiting[w.Slot]; !ok {
			t.Fatalf("an answer for %d, who does not wait", w.Slot)
		}
		line := a.line[w.Slot]
		if server >= 0 && line == None {
			if w.Slot < a.last {
				t.Fatalf("%d got its slot after %d, who came later", w.Slot, a.last)
			}
			a.last = w.Slot
		}
		if server >= 0 && line != None && line != server {
			t.Fatalf("%d waits for server %d and got %d", w.Slot, line, server)
		}
		delete(a.waiting, w.Slot)
		delete(a.line, w.Slot)
		if server >= 0 {
			a.holding = append(a.holding, server)
		}
	})
	return a
}

func (a *account) run(events int) {
	for range events {
		i := a.random.IntN(a.b.NumServers())
		switch event := a.random.IntN(20); {
		case event < 8:
			server, v := a.b.Assign(Request{
				Hash: a.random.Uint32(), Rand: a.random.Uint32(), Avoid: int32(a.random.IntN(a.b.NumServers()+1)) - 1,
			})
			a.arrive(server, v)
		case event < 10:
			a.arrive(int32(i), a.b.Take(int32(i)))
		case event < 15:
			a.release()
		case event < 16:
			a.cancel()
		case event < 17:
			a.b.SetWeight(i, a.random.IntN(4))
		case event < 18:
			a.b.SetMaxConn(i, a.random.IntN(5))
		default:
			a.b.SetAdmin(i, []Admin{0, 0, ForcedMaint}[a.random.IntN(3)])
		}
		a.check()
	}
	for len(a.holding) > 0 {
		a.release()
		a.check()
	}
	for len(a.waiting) > 0 {
		a.cancel()
		a.check()
	}
}

// arrive does what a session does with a verdict.
func (a *account) arrive(server int32, v Verdict) {
	switch v {
	case Assigned:
		a.holding = append(a.holding, server)
	case Queue:
		a.next++
		slot := a.next
		ticket, granted, place := a.b.Enqueue(Waiter{Slot: slot}, server)
		switch {
		case granted >= 0:
			a.holding = append(a.holding, granted)
		case granted == None:
			// Coming may have raised a limit, so that somebody ahead is gone already.
			if pos := a.b.QueuePos(ticket); pos < 1 || pos > place {
				a.t.Fatalf("place %d, position %d", place, pos)
			}
			a.waiting[slot], a.line[slot] = ticket, server
		}
	}
}

func (a *account) release() {
	if len(a.holding) == 0 {
		return
	}
	n := a.random.IntN(len(a.holding))
	server := a.holding[n]
	a.holding[n] = a.holding[len(a.holding)-1]
	a.holding = a.holding[:len(a.holding)-1]
	a.b.Release(server)
}

func (a *account) cancel() {
	for slot, ticket := range a.waiting {
		if !a.b.Cancel(ticket) {
			a.t.Fatalf("%d waits but cannot cancel", slot)
		}
		delete(a.waiting, slot)
		delete(a.line, slot)
		return
	}
}

// check compares the figures, and looks for a free slot that somebody waits for.
func (a *account) check() {
	served := make([]int32, a.b.NumServers())
	for _, server := range a.holding {
		served[server]++
	}
	queued := make([]int32, a.b.NumServers()+1)
	for _, server := range a.line {
		queued[server+1]++
	}
	table := a.b.table.Load()
	for i := range a.b.NumServers() {
		s := a.b.Server(i)
		if s.served.Load() != served[i] || s.queued.Load() != queued[i+1] {
			a.t.Fatalf("server %d: %d served, %d queued, want %d, %d", i, s.served.Load(), s.queued.Load(), served[i], queued[i+1])
		}
		if s.maxConn.Load() > 0 && served[i] >= a.b.limit(s, 0) {
			continue
		}
		// A limit that grows with the load is looked at when somebody comes or goes.
		if s.minConn > 0 && served[i] > 0 {
			continue
		}
		if queued[i+1] > 0 || table.member[i] && queued[0] > 0 {
			a.t.Fatalf("server %d has a free slot, and %d and %d wait", i, queued[i+1], queued[0])
		}
	}
	if a.b.BackendQueue() != int(queued[0]) || a.b.Queued() != len(a.waiting) || a.b.Served() != len(a.holding) {
		a.t.Fatalf("totals: %d in the backend's queue, %d queued, %d served", a.b.BackendQueue(), a.b.Queued(), a.b.Served())
	}
	if a.b.counting && a.b.conns.Load() != int64(len(a.holding)+len(a.waiting)) {
		a.t.Fatalf("%d sessions, want %d", a.b.conns.Load(), len(a.holding)+len(a.waiting))
	}
}

func BenchmarkAssignRelease(b *testing.B) {
	for _, bc := range []struct {
		name    string
		balance config.Balance
		servers int
		maxConn int
	}{
		{"roundrobin", config.Balance{Algorithm: config.RoundRobin}, 3, 0},
		{"roundrobin-maxconn", config.Balance{Algorithm: config.RoundRobin}, 3, 1000},
		{"leastconn", config.Balance{Algorithm: config.LeastConn}, 3, 0},
		{"leastconn-100", config.Balance{Algorithm: config.LeastConn}, 100, 0},
		{"source-map", config.Balance{Algorithm: config.SourceHash}, 3, 0},
		{"source-ring", config.Balance{Algorithm: config.SourceHash, Consistent: true}, 3, 0},
		{"random", config.Balance{Algorithm: config.Random}, 3, 0},
	} {
		b.Run(bc.name, func(b *testing.B) {
			servers := make([]config.Server, bc.servers)
			for i := range servers {
				servers[i] = config.Server{Weight: 1 + i%3, MaxConn: bc.maxConn}
			}
			be, _ := mustBackend(b, config.Proxy{Balance: bc.balance}, servers...)
			b.ReportAllocs()
			b.RunParallel(func(pb *testing.PB) {
				hash := uint32(1)
				for pb.Next() {
					hash = hash*1664525 + 1013904223
					server, _ := be.Assign(Request{Hash: hash, Rand: hash, Avoid: None})
					be.Release(server)
				}
			})
		})
	}
}

// BenchmarkHandOver is one wait: a session enqueues and gets the slot that another releases.
func BenchmarkHandOver(b *testing.B) {
	be, _ := mustBackend(b, config.Proxy{}, config.Server{Weight: 1, MaxConn: 1})
	be.SetDeliver(func(Waiter, int32) {})
	mustAssign(b, be, anyone)
	b.ReportAllocs()
	for b.Loop() {
		be.Enqueue(Waiter{}, None)
		be.Release(0)
	}
}
