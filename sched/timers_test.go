package sched

import (
	"encoding/binary"
	"math/rand/v2"
	"slices"
	"testing"
	"time"
	"unsafe"
)

// timersModel is what Timers must do, written plainly: a sorted slice of dates on a line that does
// not wrap. It drives a Timers along with itself and compares after every step.
type timersModel struct {
	tb     testing.TB
	timers *Timers
	line   int64 // now in ms on the line
	now    Tick  // now on the circle
	seq    int
	queue  []modelTimer // in order of at, then seq
}

type modelTimer struct {
	id  uint32
	at  int64
	seq int
}

func newTimersModel(tb testing.TB, ids uint32, start Tick) *timersModel {
	tb.Helper()
	m := &timersModel{tb: tb, timers: NewTimers(), line: 1 << 40, now: start}
	m.timers.Grow(ids)
	return m
}

func (m *timersModel) find(id uint32) int {
	return slices.IndexFunc(m.queue, func(q modelTimer) bool { return q.id == id })
}

// scheduleAt schedules id for the tick, which is delta ms from now.
func (m *timersModel) scheduleAt(id uint32, at Tick) {
	m.tb.Helper()
	m.timers.Schedule(id, at)
	line := m.line + int64(at.Sub(m.now))
	i := m.find(id)
	if i >= 0 && m.queue[i].at <= line {
		return
	}
	if i >= 0 {
		m.queue = slices.Delete(m.queue, i, i+1)
	}
	m.seq++
	entry := modelTimer{id, line, m.seq}
	i, _ = slices.BinarySearchFunc(m.queue, entry, func(a, b modelTimer) int {
		if a.at != b.at {
			return int(min(1, max(-1, a.at-b.at)))
		}
		return a.seq - b.seq
	})
	m.queue = slices.Insert(m.queue, i, entry)
}

func (m *timersModel) cancel(id uint32) {
	m.tb.Helper()
	m.timers.Cancel(id)
	if i := m.find(id); i >= 0 {
		m.queue = slices.Delete(m.queue, i, i+1)
	}
}

func (m *timersModel) advance(ms int64) {
	m.line += ms
	m.now += Tick(ms)
	if m.now == Never {
		m.line++
		m.now++
	}
}

// expire takes at most budget due timers and reports whether nothing due was left.
func (m *timersModel) expire(budget int) bool {
	m.tb.Helper()
	for range budget {
		id, ok := m.timers.Expire(m.now)
		due := len(m.queue) > 0 && m.queue[0].at <= m.line
		if ok != due {
			m.tb.Fatalf("now %d: Expire found a timer: %t, want %t", m.now, ok, due)
		}
		if !ok {
			return true
		}
		if id != m.queue[0].id {
			m.tb.Fatalf("now %d: Expire = id %d, want %d", m.now, id, m.queue[0].id)
		}
		m.queue = m.queue[1:]
		m.check()
	}
	return false
}

// check compares what Timers says without changing it.
func (m *timersModel) check() {
	m.tb.Helper()
	at, ok := m.timers.Next()
	if ok != (len(m.queue) > 0) {
		m.tb.Fatalf("Next found a timer: %t, with %d queued", ok, len(m.queue))
	}
	if ok {
		if want := m.now + Tick(m.queue[0].at-m.line); at != want {
			m.tb.Fatalf("now %d: Next = %d, want %d", m.now, at, want)
		}
	}
	if m.timers.Len() != len(m.queue) {
		m.tb.Fatalf("Len = %d, want %d", m.timers.Len(), len(m.queue))
	}
}

// checkAll walks the whole tree: its invariants, and the order of the ring.
func (m *timersModel) checkAll() {
	m.tb.Helper()
	m.check()
	mustBeSound(m.tb, m.timers)
	i := m.timers.first
	for _, q := range m.queue {
		if i-1 != q.id {
			m.tb.Fatalf("now %d: the ring has id %d where %d belongs", m.now, int64(i)-1, q.id)
		}
		if want := m.now + Tick(q.at-m.line); m.timers.At(q.id) != want || !m.timers.Queued(q.id) {
			m.tb.Fatalf("At(%d) = %d, Queued %t, want %d", q.id, m.timers.At(q.id), m.timers.Queued(q.id), want)
		}
		if next := m.timers.elems[i].next; m.timers.elems[next].leafUp == inRing {
			i = next
			continue
		}
		i = m.timers.successor(max(m.timers.elems[i].next, 1))
	}
	if i != m.timers.first {
		m.tb.Fatalf("the ring does not close after %d timers", len(m.queue))
	}
}

// mustBeSound checks the invariants listed above Timers.
func mustBeSound(tb testing.TB, t *Timers) {
	tb.Helper()
	leaves, nodes, more := 0, 0, 0
	used := make([]bool, len(t.elems))
	var walk func(link, up uint32, bit uint32, depth int) (key uint32)
	walk = func(link, up uint32, bit uint32, depth int) uint32 {
		e := &t.elems[link>>1]
		if link>>1 == 0 {
			tb.Fatalf("depth %d: a branch is not taken", depth)
		}
		if link&1 == 0 {
			if e.leafUp != up {
				tb.Fatalf("leaf %d hangs on %d and says %d", link>>1, up, e.leafUp)
			}
			leaves++
			for d := e.next; d != link>>1; d = t.elems[d].next {
				if r := t.elems[d]; r.leafUp != inRing || r.nodeUp != 0 || r.key != e.key || t.elems[r.prev].next != d {
					tb.Fatalf("element %d of the ring of %d is broken: %+v", d, link>>1, r)
				}
				more++
			}
			return e.key
		}
		if e.nodeUp != up || e.leafUp == 0 {
			tb.Fatalf("node %d hangs on %d and says %d, its leaf says %d", link>>1, up, e.nodeUp, e.leafUp)
		}
		if e.bit >= bit {
			tb.Fatalf("node %d has bit %d below bit %d", link>>1, e.bit, bit)
		}
		if own := e.leafUp; !stands(t, link>>1, own>>1) {
			tb.Fatalf("node %d does not stand above its leaf", link>>1)
		}
		nodes++
		used[link>>1] = true
		l := walk(e.down[0], link>>1<<1, e.bit, depth+1)
		r := walk(e.down[1], link>>1<<1|1, e.bit, depth+1)
		if l>>e.bit^r>>e.bit != 1 || l>>e.bit&1 != 0 || (e.key^l)>>e.bit > 1 {
			tb.Fatalf("node %d at bit %d joins %x and %x with key %x", link>>1, e.bit, l, r, e.key)
		}
		return l
	}
	if t.elems[0].down[1] != 0 {
		walk(t.elems[0].down[1], rootUp, 32, 0)
	}
	if leaves+more != t.n || nodes != max(0, leaves-1) {
		tb.Fatalf("%d leaves and %d nodes for %d timers", leaves, nodes, t.n)
	}
	for i := 1; i < len(t.elems); i++ {
		if e := &t.elems[i]; e.leafUp != 0 && (e.nodeUp != 0) != used[i] || e.leafUp == 0 && e.nodeUp != 0 {
			tb.Fatalf("element %d: up links %d and %d, node in use %t", i, e.leafUp, e.nodeUp, used[i])
		}
	}
}

// stands reports whether the node part of top is below or at i on the way up to the root.
func stands(t *Timers, top, i uint32) bool {
	for i != 0 {
		if i == top {
			return true
		}
		i = t.elems[i].nodeUp >> 1
	}
	return false
}

// wrapStarts are dates at which a mistake about the circle shows.
var wrapStarts = map[string]Tick{
	"before the wrap":    1<<32 - 500,
	"at the wrap":        1<<32 - 1,
	"after the wrap":     1,
	"before the middle":  1<<31 - 500,
	"at the middle":      1 << 31,
	"12 days to go":      1<<32 - 1<<30,
	"anywhere":           123_456_789,
	"12 days after zero": 1 << 30,
}

func TestTimersAgainstSortedSlice(t *testing.T) {
	const ids = 200
	spans := map[string]int64{"few dates": 8, "a second": 1000, "a minute": 60_000, "all delays": maxDelay}
	for startName, start := range wrapStarts {
		for spanName, span := range spans {
			t.Run(startName+", "+spanName, func(t *testing.T) {
				r := rand.New(rand.NewPCG(uint64(start), uint64(span)))
				m := newTimersModel(t, ids, start)
				m.expire(1)
				for range 6000 {
					switch id := uint32(r.IntN(ids)); r.IntN(8) {
					case 0, 1, 2, 3:
						m.scheduleAt(id, m.now.Add(time.Duration(r.Int64N(span+1))*time.Millisecond))
					case 4:
						m.cancel(id)
					case 5:
						m.scheduleAt(id, Earliest(m.now-Tick(r.IntN(300)), m.now.Add(0)))
					case 6:
						m.advance(r.Int64N(span/100 + 2))
						m.expire(r.IntN(5))
					case 7:
						m.advance(r.Int64N(5))
						m.expire(1 << 30)
					}
					m.checkAll()
				}
			})
		}
	}
}

func TestTimersLateAfterAStop(t *testing.T) {
	for name, start := range wrapStarts {
		t.Run(name, func(t *testing.T) {
			m := newTimersModel(t, 8, start)
			m.expire(1)
			m.scheduleAt(0, m.now.Add(time.Second))
			m.scheduleAt(1, m.now.Add(2*time.Second))
			m.scheduleAt(2, m.now.Add(24*24*time.Hour))
			m.advance(20 * 24 * 3600 * 1000)
			m.expire(1)
			m.scheduleAt(3, m.now.Add(24*24*time.Hour))
			m.scheduleAt(4, m.now.Add(0))
			m.checkAll()
			m.expire(10)
			m.advance(5 * 24 * 3600 * 1000)
			m.expire(10)
			m.checkAll()
		})
	}
}

// TestTimersBeforeTheFirstExpire schedules on both sides of a date while the tree cannot know yet
// where on the circle now is.
func TestTimersBeforeTheFirstExpire(t *testing.T) {
	for name, start := range wrapStarts {
		t.Run(name, func(t *testing.T) {
			m := newTimersModel(t, 4, start)
			m.scheduleAt(0, m.now.Add(time.Hour))
			m.scheduleAt(1, m.now.Add(24*24*time.Hour))
			m.scheduleAt(2, m.now.Add(0))
			m.scheduleAt(3, m.now.Add(time.Minute))
			m.checkAll()
			m.expire(4)
			m.advance(3600 * 1000)
			m.expire(4)
			m.checkAll()
		})
	}
}

func TestTimersLazy(t *testing.T) {
	timers := NewTimers()
	timers.Grow(2)
	timers.Schedule(0, 1000)
	timers.Schedule(0, 2000)
	if at := timers.At(0); at != 1000 {
		t.Errorf("a later date moved the timer to %d", at)
	}
	timers.Schedule(0, 500)
	if at := timers.At(0); at != 500 {
		t.Errorf("an earlier date left the timer at %d", at)
	}
	timers.Schedule(0, Never)
	timers.Schedule(1, Never)
	if timers.Len() != 1 || timers.At(0) != 500 || timers.At(1) != Never || timers.Queued(1) {
		t.Errorf("Never changed the timers: %d queued, at %d and %d", timers.Len(), timers.At(0), timers.At(1))
	}
}

func TestTimersEqualDatesKeepOrder(t *testing.T) {
	for _, n := range []int{1, 2, 3, 7, 8, 9, 100, 1000} {
		m := newTimersModel(t, uint32(n), 1)
		for id := range n {
			m.scheduleAt(uint32(n-1-id), 77)
		}
		m.checkAll()
		m.advance(100)
		m.expire(n + 1)
	}
}

func TestElemSize(t *testing.T) {
	if size := unsafe.Sizeof(elem{}); size > 32 {
		t.Errorf("an element takes %d bytes, want at most 32", size)
	}
}

// FuzzTimers reads its input as a start and a list of operations of four bytes each.
func FuzzTimers(f *testing.F) {
	f.Add([]byte{0xff, 0xff, 0xff, 0xf0, 0, 1, 0, 20, 0, 2, 0, 20, 3, 0, 0, 30})
	f.Add([]byte{0x7f, 0xff, 0xff, 0xff, 1, 1, 0xff, 0xff, 0, 1, 0, 1, 2, 1, 0, 0, 4, 3, 0, 9, 3, 0, 1, 0})
	f.Add([]byte{0, 0, 0, 0, 0, 1, 0, 5, 0, 2, 0, 5, 0, 3, 0, 5, 0, 4, 0, 5, 2, 2, 0, 0, 0, 5, 0, 5, 3, 0, 0, 9})
	f.Fuzz(func(t *testing.T, in []byte) {
		if len(in) < 4 {
			return
		}
		start := max(Tick(binary.BigEndian.Uint32(in)), 1)
		m := newTimersModel(t, 256, start)
		m.expire(1)
		const most = 1000 // operations, so that an input stays quick to check
		for in = in[4:min(len(in), 4*most)]; len(in) >= 4; in = in[4:] {
			id, v := uint32(in[1]), int64(binary.BigEndian.Uint16(in[2:]))
			switch in[0] % 6 {
			case 0:
				m.scheduleAt(id, m.now.Add(time.Duration(v)*time.Millisecond))
			case 1:
				m.scheduleAt(id, m.now.Add(time.Duration(v*(maxDelay/0xffff))*time.Millisecond))
			case 2:
				m.cancel(id)
			case 3:
				m.advance(v)
				m.expire(int(id) + 1)
			case 4:
				m.scheduleAt(id, max(m.now-Tick(v), 1))
			case 5:
				m.advance(v << 14)
				m.expire(1 << 30)
			}
			m.checkAll()
		}
	})
}

// TestTimersHintsFollowTheDates widens the hints by far dates and narrows them by near ones. The
// order must hold at every width.
func TestTimersHintsFollowTheDates(t *testing.T) {
	const ids = 100
	r := rand.New(rand.NewPCG(7, 8))
	m := newTimersModel(t, ids, 1<<32-1000)
	m.expire(1)
	phase := func(span time.Duration) {
		for i := range 20_000 {
			id := uint32(r.IntN(ids))
			m.cancel(id)
			m.scheduleAt(id, m.now.Add(time.Duration(r.Int64N(int64(span)))))
			m.advance(int64(i & 1))
			m.expire(ids)
		}
		m.checkAll()
	}
	phase(20 * 24 * time.Hour)
	wide := m.timers.shift
	if wide < 20 {
		t.Errorf("dates over 20 days: a hint stands for 2^%d ms", wide)
	}
	for id := range uint32(ids) {
		m.cancel(id)
	}
	phase(30 * time.Millisecond)
	if m.timers.shift > 2 {
		t.Errorf("dates over 30 ms: a hint stands for 2^%d ms, before that 2^%d", m.timers.shift, wide)
	}
}

func TestTimersGrow(t *testing.T) {
	m := newTimersModel(t, 10, 1)
	m.expire(1)
	for id := range uint32(5000) {
		m.timers.Grow(id + 1)
		m.scheduleAt(id, Tick(1000+id*7919%600))
	}
	m.timers.Grow(0)
	m.checkAll()
	m.advance(2000)
	m.expire(5001)
	mustPanic(t, "link can name", func() { m.timers.Grow(1 << 31) })
}
