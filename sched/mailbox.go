package sched

import (
	"math/bits"
	"sync/atomic"
)

// Mailbox is a bounded queue that any goroutine may fill and one goroutine, its owner, empties. It
// takes no lock. It is a ring whose cells carry a sequence number (D. Vyukov's bounded queue), so
// that a cell itself says whose turn it is:
//
//	cell i, lap by lap         seq == pos      free: the producer that moves tail past pos may fill it
//	(pos = position in the     seq == pos+1    filled: the owner may take it
//	endless stream, pos%cap    seq == pos+cap  taken: free for the next lap
//	= i)
//
// Producers compete for tail with one compare-and-swap; the owner's head needs no atomic at all. A
// producer that was interrupted between claiming its cell and filling it hides the messages behind
// it for that long: nothing is lost and no order changes, as its Push has not returned yet.
//
// The queue is no wake-up. A producer wakes the owner after Push; an owner about to sleep first
// publishes that it sleeps and then asks Empty once more. Both sides use sequentially consistent
// atomics, so at least one of them sees the other.
type Mailbox[T any] struct {
	cells []cell[T] // with mask the part that never changes
	mask  uint64
	_     [cacheLines]byte
	tail  atomic.Uint64 // the producers' next position
	_     [cacheLines - 8]byte
	head  uint64 // the owner's next position
	_     [cacheLines - 8]byte
}

// cacheLines is the distance that keeps two words from sharing a cache line or its prefetched
// neighbour.
const cacheLines = 128

type cell[T any] struct {
	seq   atomic.Uint64
	value T
}

// NewMailbox returns an empty Mailbox for capacity messages, rounded up to a power of two and at
// least 2. It panics when capacity is not between 1 and 2^30.
func NewMailbox[T any](capacity int) *Mailbox[T] {
	if capacity < 1 || capacity > 1<<30 {
		panic("sched: a mailbox must hold between 1 and 2^30 messages")
	}
	n := max(2, 1<<bits.Len(uint(capacity-1)))
	m := &Mailbox[T]{cells: make([]cell[T], n), mask: uint64(n - 1)}
	for i := range m.cells {
		m.cells[i].seq.Store(uint64(i))
	}
	return m
}

// Push adds v at the end and reports whether there was room. Any goroutine may call it.
func (m *Mailbox[T]) Push(v T) bool {
	pos := m.tail.Load()
	for {
		c := &m.cells[pos&m.mask]
		switch seq := c.seq.Load(); {
		case seq == pos:
			if m.tail.CompareAndSwap(pos, pos+1) {
				c.value = v
				c.seq.Store(pos + 1)
				return true
			}
			pos = m.tail.Load()
		case int64(seq-pos) < 0:
			return false
		default:
			pos = m.tail.Load()
		}
	}
}

// Pop takes the oldest message. Only the owner may call it.
func (m *Mailbox[T]) Pop() (v T, ok bool) {
	c := &m.cells[m.head&m.mask]
	if c.seq.Load() != m.head+1 {
		return v, false
	}
	v = c.value
	var zero T
	c.value = zero
	c.seq.Store(m.head + m.mask + 1)
	m.head++
	return v, true
}

// Empty reports whether Pop would find nothing. Only the owner may call it.
func (m *Mailbox[T]) Empty() bool {
	return m.cells[m.head&m.mask].seq.Load() != m.head+1
}
