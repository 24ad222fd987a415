package sched

import (
	"math/rand/v2"
	"testing"
	"time"
)

// The benchmarks keep n timers queued, one for each id, and report one operation's time. The dates
// are spread evenly over a minute, as those of sessions with a timeout of one minute are, unless
// the name says otherwise:
//
//	insert           one more timer among n, of which a sixteenth comes and goes
//	insert-coarse    the same, the dates rounded to 16 ms, as a caller may who needs no more
//	insert-in-order  the same, each date at or after all others: a fixed timeout, set at each event
//	insert-distinct  the same, over 24 days, so that hardly two dates are equal: the tree's worst
//	cancel           one timer out of n
//	rearm            activity of a session: the date moves later, the queue keeps the earlier one
//	expire           taking out all n timers in order while the clock runs a minute
//	next             asking for the earliest date

func BenchmarkTimers(b *testing.B) {
	benchmarkQueue(b, func() timerQueue { return NewTimers() })
}

func BenchmarkHeap(b *testing.B) {
	benchmarkQueue(b, func() timerQueue { return newHeapTimers() })
}

func BenchmarkBtree(b *testing.B) {
	benchmarkQueue(b, func() timerQueue { return newBtreeTimers() })
}

func BenchmarkWheel(b *testing.B) {
	benchmarkQueue(b, func() timerQueue { return newWheelTimers(benchNow) })
}

var benchSizes = []struct {
	name string
	n    int
}{{"1k", 1_000}, {"100k", 100_000}, {"1M", 1_000_000}}

const (
	minute   = 60_000
	allDates = 24 * 24 * 3600 * 1000
	benchNow = Tick(1_000_000)
)

func benchmarkQueue(b *testing.B, make func() timerQueue) {
	for _, op := range []struct {
		name string
		run  func(bq *benchQueue, b *testing.B)
	}{
		{"insert", func(bq *benchQueue, b *testing.B) { bq.insertAndCancel(b, bq.spread(minute), true) }},
		{"insert-coarse", func(bq *benchQueue, b *testing.B) { bq.insertAndCancel(b, bq.coarse(minute), true) }},
		{"insert-in-order", func(bq *benchQueue, b *testing.B) { bq.insertAndCancel(b, bq.inOrder(), true) }},
		{"insert-distinct", func(bq *benchQueue, b *testing.B) { bq.insertAndCancel(b, bq.spread(allDates), true) }},
		{"cancel", func(bq *benchQueue, b *testing.B) { bq.insertAndCancel(b, bq.spread(minute), false) }},
		{"rearm", (*benchQueue).rearm},
		{"expire", (*benchQueue).expire},
		{"next", (*benchQueue).next},
	} {
		b.Run(op.name, func(b *testing.B) {
			for _, size := range benchSizes {
				b.Run(size.name, func(b *testing.B) {
					bq := &benchQueue{timerQueue: make(), n: size.n, rand: rand.New(rand.NewPCG(1, 2))}
					bq.Grow(uint32(size.n))
					bq.Expire(benchNow)
					op.run(bq, b)
				})
			}
		})
	}
}

type benchQueue struct {
	timerQueue
	n    int
	rand *rand.Rand
}

// spread returns a source of dates even over the next ms milliseconds.
func (bq *benchQueue) spread(ms int64) func() Tick {
	return func() Tick { return benchNow + 1 + Tick(bq.rand.Int64N(ms)) }
}

// coarse is spread with dates that are multiples of 16 ms.
func (bq *benchQueue) coarse(ms int64) func() Tick {
	date := bq.spread(ms)
	return func() Tick { return (date() + 15) &^ 15 }
}

// inOrder returns a source of dates that grow by a minute over n timers, once round a minute.
func (bq *benchQueue) inOrder() func() Tick {
	i := 0
	return func() Tick {
		i++
		return benchNow + Tick(int64(i)*minute/int64(bq.n))
	}
}

// insertAndCancel cancels and inserts again a sixteenth of the timers at a time, all of them in
// turn, in random order, and measures one of the two.
func (bq *benchQueue) insertAndCancel(b *testing.B, date func() Tick, insert bool) {
	ids := bq.rand.Perm(bq.n)
	for _, id := range ids {
		bq.Schedule(uint32(id), date())
	}
	batch := min(bq.n/16, b.N)
	dates := make([]Tick, batch)
	from := 0
	var took time.Duration
	b.ReportAllocs()
	b.ResetTimer()
	done := 0
	for ; done < b.N; done += batch {
		if from+batch > bq.n {
			from = 0
		}
		victims := ids[from : from+batch]
		from += batch
		for i := range dates {
			dates[i] = date()
		}
		start := time.Now()
		for _, id := range victims {
			bq.Cancel(uint32(id))
		}
		cancelled := time.Now()
		for i, id := range victims {
			bq.Schedule(uint32(id), dates[i])
		}
		if insert {
			took += time.Since(cancelled)
		} else {
			took += cancelled.Sub(start)
		}
	}
	b.ReportMetric(float64(took)/float64(done), "ns/op")
}

func (bq *benchQueue) fill() {
	date := bq.spread(minute)
	for _, id := range bq.rand.Perm(bq.n) {
		bq.Schedule(uint32(id), date())
	}
}

// rearm lets 64 sessions be active: these are in the cache when their timer is re-armed, because
// the event that does so has just used them.
func (bq *benchQueue) rearm(b *testing.B) {
	bq.fill()
	later := benchNow + 2*minute
	timers, ours := bq.timerQueue.(*Timers)
	b.ReportAllocs()
	b.ResetTimer()
	if ours {
		for i := range b.N {
			timers.Schedule(uint32(i)&63, later)
		}
		return
	}
	for i := range b.N {
		bq.Schedule(uint32(i)&63, later)
	}
}

func (bq *benchQueue) expire(b *testing.B) {
	now := benchNow
	ids := bq.rand.Perm(bq.n)
	var took time.Duration
	done := 0
	for done < b.N {
		for _, id := range ids {
			bq.Schedule(uint32(id), now+1+Tick(bq.rand.IntN(minute)))
		}
		start := time.Now()
		for end := now + minute; now != end; {
			now++
			for {
				if _, ok := bq.Expire(now); !ok {
					break
				}
				done++
			}
		}
		took += time.Since(start)
	}
	b.ReportMetric(float64(took)/float64(done), "ns/op")
}

func (bq *benchQueue) next(b *testing.B) {
	bq.fill()
	timers, ours := bq.timerQueue.(*Timers)
	b.ReportAllocs()
	b.ResetTimer()
	if ours {
		for range b.N {
			timers.Next()
		}
		return
	}
	for range b.N {
		bq.Next()
	}
}

func BenchmarkClockUpdate(b *testing.B) {
	c := NewClock()
	for b.Loop() {
		c.Update()
	}
}

func BenchmarkClockReadWall(b *testing.B) {
	c := NewClock()
	for b.Loop() {
		c.readWall()
	}
}

func BenchmarkRunQueue(b *testing.B) {
	q := NewRunQueue()
	q.Grow(1024)
	for id := range uint32(64) {
		q.Push(id * 16)
	}
	for b.Loop() {
		id, _ := q.Pop()
		q.Push(id)
	}
}

func BenchmarkSlab(b *testing.B) {
	s := NewSlab[[64]uint64](1024)
	for b.Loop() {
		id, _ := s.Alloc()
		s.Free(id)
	}
}

func BenchmarkMailbox(b *testing.B) {
	b.Run("one goroutine", func(b *testing.B) {
		m := NewMailbox[uint64](1024)
		for b.Loop() {
			m.Push(1)
			m.Pop()
		}
	})
	b.Run("many producers", func(b *testing.B) {
		m := NewMailbox[uint64](1024)
		stop, stopped := make(chan struct{}), make(chan struct{})
		go func() {
			defer close(stopped)
			for {
				if _, ok := m.Pop(); !ok {
					select {
					case <-stop:
						return
					default:
					}
				}
			}
		}()
		b.RunParallel(func(pb *testing.PB) {
			for pb.Next() {
				for !m.Push(1) {
				}
			}
		})
		close(stop)
		<-stopped
	})
}
