package sched

import (
	"container/heap"
	"math/bits"
	"math/rand/v2"
	"testing"
)

// timerQueue is what Timers is compared by with the usual ways to keep timers.
type timerQueue interface {
	Grow(n uint32)
	Schedule(id uint32, at Tick)
	Cancel(id uint32)
	Next() (Tick, bool)
	Expire(now Tick) (id uint32, ok bool)
	Len() int
}

// heapTimers keeps timers in a container/heap, with the place of every id so that it can leave.
type heapTimers struct {
	items []heapItem
	place []int32 // index into items, -1 when not queued
	seq   uint32
}

type heapItem struct {
	at  Tick
	seq uint32
	id  uint32
}

func newHeapTimers() *heapTimers { return &heapTimers{} }

func (h *heapTimers) Grow(n uint32) {
	for uint32(len(h.place)) < n {
		h.place = append(h.place, -1)
	}
}

// Less, Swap, Push and Pop are for container/heap.
func (h *heapTimers) Less(i, j int) bool {
	a, b := &h.items[i], &h.items[j]
	if a.at != b.at {
		return a.at.Before(b.at)
	}
	return int32(a.seq-b.seq) < 0
}

func (h *heapTimers) Swap(i, j int) {
	h.items[i], h.items[j] = h.items[j], h.items[i]
	h.place[h.items[i].id], h.place[h.items[j].id] = int32(i), int32(j)
}

func (h *heapTimers) Push(x any) {
	item := x.(heapItem)
	h.place[item.id] = int32(len(h.items))
	h.items = append(h.items, item)
}

func (h *heapTimers) Pop() any {
	item := h.items[len(h.items)-1]
	h.items = h.items[:len(h.items)-1]
	h.place[item.id] = -1
	return item
}

func (h *heapTimers) Len() int { return len(h.items) }

func (h *heapTimers) Schedule(id uint32, at Tick) {
	i := h.place[id]
	switch {
	case i < 0:
		h.seq++
		heap.Push(h, heapItem{at, h.seq, id})
	case at.Before(h.items[i].at):
		h.seq++
		h.items[i].at, h.items[i].seq = at, h.seq
		heap.Fix(h, int(i))
	}
}

func (h *heapTimers) Cancel(id uint32) {
	if i := h.place[id]; i >= 0 {
		heap.Remove(h, int(i))
	}
}

func (h *heapTimers) Next() (Tick, bool) {
	if len(h.items) == 0 {
		return Never, false
	}
	return h.items[0].at, true
}

func (h *heapTimers) Expire(now Tick) (uint32, bool) {
	if len(h.items) == 0 || now.Before(h.items[0].at) {
		return 0, false
	}
	return heap.Pop(h).(heapItem).id, true
}

// wheelTimers is a hierarchical timing wheel: four wheels of 256 slots, the first of 1 ms each. A
// timer stands on the wheel of the highest byte in which its date differs from the current one, in
// the slot of that byte, and comes down when the current date reaches the slot. Lists are linked
// through a slab; a bitmap per wheel finds the next slot in use.
type wheelTimers struct {
	links   []wheelLink // the heads of the slots, then the ids
	used    [wheels][wheelSlots / 64]uint64
	current Tick
	n       int
}

type wheelLink struct {
	prev, next uint32
	at         Tick
	queued     bool
}

const (
	wheels     = 4
	wheelSlots = 256
	wheelHeads = wheels * wheelSlots
)

func newWheelTimers(now Tick) *wheelTimers {
	w := &wheelTimers{links: make([]wheelLink, wheelHeads), current: now}
	for i := range uint32(wheelHeads) {
		w.links[i].prev, w.links[i].next = i, i
	}
	return w
}

func (w *wheelTimers) Grow(n uint32) {
	for uint32(len(w.links)) < n+wheelHeads {
		w.links = append(w.links, wheelLink{})
	}
}

func (w *wheelTimers) Len() int { return w.n }

// slot returns where a timer for the date belongs now.
func (w *wheelTimers) slot(at Tick) uint32 {
	if at.Before(w.current) {
		at = w.current
	}
	level := uint32(bits.Len32(uint32(at^w.current)|1)-1) / 8
	return level*wheelSlots + uint32(at)>>(8*level)%wheelSlots
}

func (w *wheelTimers) link(i uint32) {
	head := w.slot(w.links[i].at)
	prev := w.links[head].prev
	w.links[i].prev, w.links[i].next = prev, head
	w.links[prev].next = i
	w.links[head].prev = i
	w.used[head/wheelSlots][head%wheelSlots/64] |= 1 << (head % 64)
}

func (w *wheelTimers) unlink(i uint32) {
	prev, next := w.links[i].prev, w.links[i].next
	w.links[prev].next, w.links[next].prev = next, prev
	if prev == next && prev < wheelHeads {
		w.used[prev/wheelSlots][prev%wheelSlots/64] &^= 1 << (prev % 64)
	}
}

func (w *wheelTimers) Schedule(id uint32, at Tick) {
	l := &w.links[id+wheelHeads]
	if l.queued {
		if !at.Before(l.at) {
			return
		}
		w.Cancel(id)
	}
	l.at, l.queued = at, true
	w.link(id + wheelHeads)
	w.n++
}

func (w *wheelTimers) Cancel(id uint32) {
	if l := &w.links[id+wheelHeads]; l.queued {
		w.unlink(id + wheelHeads)
		l.queued = false
		w.n--
	}
}

// nextUsed returns the first slot in use of a wheel from the given one on, or wheelSlots.
func (w *wheelTimers) nextUsed(level, from uint32) uint32 {
	for from < wheelSlots {
		if word := w.used[level][from/64] >> (from % 64); word != 0 {
			return from + uint32(bits.TrailingZeros64(word))
		}
		from = (from/64 + 1) * 64
	}
	return wheelSlots
}

func (w *wheelTimers) Next() (Tick, bool) {
	if w.n == 0 {
		return Never, false
	}
	for level := range uint32(wheels) {
		from := uint32(w.current) >> (8 * level) % wheelSlots
		if level > 0 {
			from++
		}
		slot := w.nextUsed(level, from)
		if slot == wheelSlots && level == wheels-1 {
			slot = w.nextUsed(level, 0)
		}
		if slot == wheelSlots {
			continue
		}
		head := level*wheelSlots + slot
		earliest := w.links[w.links[head].next].at
		for i := w.links[head].next; i != head; i = w.links[i].next {
			if w.links[i].at.Before(earliest) {
				earliest = w.links[i].at
			}
		}
		return earliest, true
	}
	return Never, false
}

func (w *wheelTimers) Expire(now Tick) (uint32, bool) {
	for {
		slot := uint32(w.current) % wheelSlots
		if i := w.links[slot].next; i != slot {
			w.Cancel(i - wheelHeads)
			return i - wheelHeads, true
		}
		if !w.current.Before(now) {
			return 0, false
		}
		next := w.current + Tick(w.nextUsed(0, slot)-slot)
		if now.Before(next) {
			next = now
		}
		w.current = next
		if uint32(next)%wheelSlots == 0 {
			w.cascade()
		}
	}
}

// cascade brings down what the wheels above hold for the slots that the current date enters.
func (w *wheelTimers) cascade() {
	top := uint32(1)
	for top < wheels-1 && uint32(w.current)>>(8*top)%wheelSlots == 0 {
		top++
	}
	for level := top; level > 0; level-- {
		head := level*wheelSlots + uint32(w.current)>>(8*level)%wheelSlots
		for w.links[head].next != head {
			i := w.links[head].next
			w.unlink(i)
			w.link(i)
		}
	}
}

// TestPeersAgree makes sure that the benchmarks compare queues that do the same.
func TestPeersAgree(t *testing.T) {
	const ids = 300
	timers, now := NewTimers(), Tick(1<<32-100_000)
	peers := map[string]timerQueue{"heap": newHeapTimers(), "btree": newBtreeTimers(), "wheel": newWheelTimers(now)}
	timers.Grow(ids)
	timers.Expire(now)
	for _, p := range peers {
		p.Grow(ids)
		p.Expire(now)
	}
	r := rand.New(rand.NewPCG(1, 2))
	for range 100_000 {
		id, at := uint32(r.IntN(ids)), now+1+Tick(r.IntN(70_000))
		cancel := r.IntN(3) == 0
		if at == Never {
			at++
		}
		if cancel {
			timers.Cancel(id)
		} else {
			timers.Schedule(id, at)
		}
		for name, p := range peers {
			if cancel {
				p.Cancel(id)
			} else {
				p.Schedule(id, at)
			}
			got, gotOK := p.Next()
			if want, ok := timers.Next(); got != want || gotOK != ok || p.Len() != timers.Len() {
				t.Fatalf("%s at %d: Next = %d %t of %d, want %d %t of %d", name, now, got, gotOK, p.Len(), want, ok, timers.Len())
			}
		}
		now += Tick(r.IntN(30))
		for ok := true; ok; {
			_, ok = timers.Expire(now)
			for name, p := range peers {
				if _, peerOK := p.Expire(now); peerOK != ok {
					t.Fatalf("%s at %d: Expire found a timer: %t, want %t", name, now, peerOK, ok)
				}
			}
		}
	}
}
