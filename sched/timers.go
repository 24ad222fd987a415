package sched

import (
	"math/bits"
	"slices"
)

// # The idea
//
// Timers is an elastic binary tree (W. Tarreau's ebtree): a radix tree over the bits of the date in
// which every element brings along both things it needs, a leaf for itself and one node for the
// tree. N leaves need N-1 nodes to join them, so there is always one to spare and insertion never
// allocates. The elements live in a slice and are named by index; there is no pointer in it.
//
// A node splits its keys at one bit: zeroes left, ones right. All keys below agree on the bits
// above. Levels where nothing differs do not exist, hence "elastic". For the dates 8, 10, 12, 13:
//
//	root
//	  └─ c:bit 2           a, b, c, d are elements: "c:bit 2" is the node part of the third one,
//	      ├─0 b:bit 1      "c=12" is its leaf part. A node always stands above its own leaf.
//	      │     ├─0 a=8    The element a was the first to come: its node is the spare one.
//	      │     └─1 b=10
//	      └─1 d:bit 0
//	            ├─0 c=12
//	            └─1 d=13
//
// Equal dates stand in a ring in the order of insertion. Its first element alone is in the tree;
// when it leaves, the next one inherits its leaf and its node. The original joins equal keys by a
// subtree, which saves two links per element; the ring makes appending take constant time, keeps
// the height within 32 whatever happens, and the links fill the element to half a cache line, so
// that none straddles two.
//
//	leaf ──> b ──next──> f ──next──> e ─┐      b was scheduled first, then f, then e;
//	         ^──────────────────────────┘      the end is found as the prev of b
//
// Deleting a leaf removes the node right above it, whose other branch moves up. If the node part of
// the deleted element still serves elsewhere, the part just set free takes over its place.
//
// # The circle
//
// Dates wrap, the tree does not: it is sorted by the plain number. So the list of its leaves is
// read as a circle, from the smallest number to the greatest and around, and what has to be known is
// only where it begins: the earliest leaf, which is kept in first. When it leaves, its successor on
// the circle takes over, and a new date becomes first when it comes before it. That comparison is
// the only one that has to be right across the wrap. It counts both dates from a common origin:
//
//	      origin            now of the last Expire                          origin + 2^32
//	        │── 2^30: 12.4 days ──│────────────── 3·2^30: 37.2 days ──────────────│
//	        └ late, or just       └ to come: now + 2^31 fits even when the last
//	          scheduled in the past   Expire was 12 days ago
//
// The origin follows now but never passes first, so that a timer that is very late, because the
// process was stopped for weeks, is still late and not far in the future.
//
// # The hints
//
// With a million elements the way down is twenty loads that each wait for the last, most of them for
// main memory. But whether a node is on the way of a date can be seen from the node alone: it is if
// the date shares its upper bits, wherever one comes from. So a table says for each range of dates
// which node was found to stand above that range, and insertion starts there when the element is
// still what the table took it for, at the root when it is not. Nobody has to maintain the table.
// With a range of one date it names the first element of the ring itself.
//
//	hints[date >> shift]  ──>  a node whose dates agree down to bit shift, or any outdated index
//
// The range widens and narrows with how far in the future the dates are (adapt).
//
// # The cost
//
// Insertion walks down at most 32 levels; with the hints it is commonly two or three, and none for a
// date that is in the tree already. Deletion touches the neighbours only. The earliest date is a
// load. An element takes 32 bytes, and its share of the hints one or two more.
//
// # Invariants
//
//   - element 0 is the root; the tree hangs on its right branch, so that no link up is zero
//   - leafUp is zero if and only if the element is not queued, and inRing if and only if another
//     element of the same date is before it
//   - nodeUp is zero if and only if the element's node part is not in use; in a tree that is not
//     empty exactly one leaf's element has an unused node part
//   - the node part of an element stands above its own leaf
//   - bits shrink on every way down; both branches of a node are taken
//   - first is the earliest leaf, or zero when the tree is empty

// Timers holds at most one timer for each slot id and yields them in the order of their dates,
// equal dates in the order in which they were scheduled. Dates must lie between 12 days before and
// 37 days after the now of the last Expire; a loop that calls Expire after each wait and never
// waits longer than 12 days can schedule any date that Tick.Add yields. Until the first Expire, dates
// must lie within 24 days of the first one scheduled. Ids must have been made valid by Grow, others
// panic. A Timers belongs to one goroutine.
type Timers struct {
	elems    []elem
	first    uint32
	origin   uint32
	anchored bool // Expire has told where now is
	n        int

	hints    []uint32
	hintMask uint32
	shift    uint32 // log2 of how many dates share a hint
	trend    int32  // above zero when dates of late were too far for shift, below when too near
}

// elem is one element of the tree: the leaf and the node of one slot, and its place in the ring of
// its date.
//
// A link down holds the index of the child times two, plus one when its node part is meant and not
// its leaf part. A link up holds the index of the parent times two, plus the side on which the
// child hangs there: 0 left, 1 right.
type elem struct {
	down   [2]uint32
	nodeUp uint32
	bit    uint32 // the bit at which the node part splits
	leafUp uint32
	key    uint32
	prev   uint32
	next   uint32
}

const (
	rootUp = 1          // the link up to the root's right branch
	inRing = ^uint32(0) // the leafUp of all but the first of a date
	slack  = 1 << 30    // how far the origin stays behind now

	minHints   = 64
	trendLimit = 256
)

// NewTimers returns an empty tree that knows no slot: call Grow first.
func NewTimers() *Timers {
	t := &Timers{elems: make([]elem, 1)}
	t.Grow(minHints)
	return t
}

// Grow makes the ids 0 to n-1 valid, for n up to 2^31-2. It never shrinks. Its cost is amortised,
// but a single call may copy every element: call it when slots are added, not when timers are.
func (t *Timers) Grow(n uint32) {
	if n > 1<<31-2 {
		panic("sched: more timers than a link can name")
	}
	if n < uint32(len(t.elems)) {
		return
	}
	t.elems = slices.Grow(t.elems, int(n+1)-len(t.elems))[:n+1]
	if want := max(minHints, 1<<bits.Len32(n-1)/4); want > len(t.hints) {
		t.hints = make([]uint32, want)
		t.hintMask = uint32(want - 1)
	}
}

// Schedule makes sure that Expire yields id at the date at or earlier. It is lazy: a timer that is
// queued for an earlier or equal date stays where it is, one queued for a later date moves. So the
// caller keeps the real date, stores it on every activity, and when the timer comes due too early
// schedules it again for the real one. Never is later than everything: nothing happens.
func (t *Timers) Schedule(id uint32, at Tick) {
	e := &t.elems[id+1]
	if e.leafUp == 0 || uint32(at)-t.origin < e.key-t.origin {
		t.move(id+1, uint32(at))
	}
}

// Cancel takes the timer out, and does nothing when it is not queued.
func (t *Timers) Cancel(id uint32) {
	if t.elems[id+1].leafUp != 0 {
		t.remove(id + 1)
	}
}

// Queued reports whether id has a timer in the tree.
func (t *Timers) Queued(id uint32) bool { return t.elems[id+1].leafUp != 0 }

// At returns the date for which id is queued, or Never.
func (t *Timers) At(id uint32) Tick {
	if e := &t.elems[id+1]; e.leafUp != 0 {
		return Tick(e.key)
	}
	return Never
}

// Next returns the earliest date in the tree.
func (t *Timers) Next() (Tick, bool) {
	if t.first == 0 {
		return Never, false
	}
	return Tick(t.elems[t.first].key), true
}

// Expire removes and returns the earliest timer that is due at now or before. Call it until it
// finds none. The caller's now must not run backwards.
func (t *Timers) Expire(now Tick) (id uint32, ok bool) {
	start := uint32(now) - slack
	if t.first == 0 {
		t.origin, t.anchored = start, true
		return 0, false
	}
	key := t.elems[t.first].key
	step := start - t.origin
	if int32(step) > 0 {
		step = min(step, key-t.origin)
	}
	t.origin += step
	t.anchored = true
	if key-t.origin > uint32(now)-t.origin {
		return 0, false
	}
	i := t.first
	t.remove(i)
	return i - 1, true
}

// Len returns how many timers are queued.
func (t *Timers) Len() int { return t.n }

// move queues element i for key, wherever it was.
func (t *Timers) move(i, key uint32) {
	if Tick(key) == Never {
		return
	}
	if t.elems[i].leafUp != 0 {
		t.remove(i)
	}
	if t.first == 0 && !t.anchored {
		t.origin = key - 1<<31
	}
	if t.first != 0 {
		t.adapt(key - t.elems[t.first].key)
	}
	t.insert(i, key)
	if t.first == 0 || key-t.origin < t.elems[t.first].key-t.origin {
		t.first = i
	}
	t.n++
}

// remove takes the queued element i out of the tree and of the ring.
func (t *Timers) remove(i uint32) {
	if i == t.first {
		t.first = t.elems[i].next
		if t.first == i {
			t.first = t.successor(i)
		}
		if t.first == i {
			t.first = 0
		}
	}
	t.unlink(i)
	t.n--
}

// adapt follows how far in the future the dates are: it widens what a hint stands for when more
// than one date in five lies beyond the range of the table, and narrows it when most of them would
// fit a table of half the range.
func (t *Timers) adapt(ahead uint32) {
	switch reach := ahead >> t.shift; {
	case reach > t.hintMask && int32(ahead) > 0:
		if t.trend += 4; t.trend > trendLimit {
			t.shift++
			t.trend = 0
		}
	case reach <= t.hintMask/2 && t.shift > 0:
		if t.trend--; t.trend < -trendLimit {
			t.shift--
			t.trend = 0
		}
	case t.trend > 0:
		t.trend--
	}
}

// insert hangs element i, which is not queued, into the tree.
func (t *Timers) insert(i, key uint32) {
	elems := t.elems
	e := &elems[i]
	e.key = key
	e.nodeUp = 0
	e.prev, e.next = i, i

	at, up := elems[0].down[1], uint32(rootUp)
	if at == 0 {
		elems[0].down[1] = i << 1
		e.leafUp = rootUp
		return
	}
	hint := &t.hints[key>>t.shift&t.hintMask]
	cover := *hint // the lowest known node that stands above all dates of the hint
	if h := &elems[cover]; h.key == key && h.leafUp != 0 && h.leafUp != inRing {
		at, up = cover<<1, h.leafUp
	} else if h.nodeUp != 0 && (key^h.key)>>(h.bit&31) <= 1 {
		at, up = cover<<1|1, h.nodeUp
	}

	// Walk down to a leaf, or to the first node that does not share its upper bits with key.
	old := &elems[at>>1]
	for at&1 != 0 && (key^old.key)>>(old.bit&31) <= 1 {
		if old.bit+1 >= t.shift {
			cover = at >> 1
		}
		up = at&^1 | key>>(old.bit&31)&1
		at = elems[up>>1].down[up&1]
		old = &elems[at>>1]
	}

	diff := key ^ old.key
	if diff == 0 { // one date more than once: at the end of its ring
		e.leafUp = inRing
		e.prev, e.next = old.prev, at>>1
		elems[old.prev].next = i
		old.prev = i
		if t.shift == 0 {
			cover = at >> 1
		}
		*hint = cover
		return
	}

	// The node part of i takes the place of at and carries it and the new leaf.
	e.bit = uint32(bits.Len32(diff)) - 1
	side := key >> e.bit & 1
	e.leafUp = i<<1 | side
	e.down[side] = i << 1
	e.down[side^1] = at
	e.nodeUp = up
	elems[up>>1].down[up&1] = i<<1 | 1
	t.hang(at, i<<1|side^1)
	if e.bit+1 >= t.shift {
		cover = i
	}
	*hint = cover
}

// unlink takes element i out of the tree, and frees its node part too.
func (t *Timers) unlink(i uint32) {
	elems := t.elems
	e := &elems[i]
	heir := e.next
	elems[e.prev].next = heir
	elems[heir].prev = e.prev
	up := e.leafUp
	e.leafUp = 0
	switch {
	case up == inRing:
		return
	case heir != i:
		// The next one of the same date takes over all that e is in the tree.
		h := &elems[heir]
		e.leafUp = up
		if e.nodeUp != 0 {
			t.takeOver(heir, e)
		}
		h.leafUp = e.leafUp
		elems[h.leafUp>>1].down[h.leafUp&1] = heir << 1
		e.leafUp = 0
		return
	case up == rootUp:
		elems[0].down[1] = 0
		return
	}

	// The other branch of the parent moves up into the parent's place.
	p := up >> 1
	parent := &elems[p]
	other := parent.down[up&1^1]
	above := parent.nodeUp
	elems[above>>1].down[above&1] = other
	t.hang(other, above)
	parent.nodeUp = 0

	// If e's node part serves elsewhere, the parent's, which is free now, replaces it. It may: its
	// leaf stands below that node as well, so that it has the same upper bits.
	if e.nodeUp != 0 {
		t.takeOver(p, e)
	}
}

// takeOver puts the node part of element i, which is free, in the place of e's.
func (t *Timers) takeOver(i uint32, e *elem) {
	n := &t.elems[i]
	n.down, n.nodeUp, n.bit = e.down, e.nodeUp, e.bit
	t.elems[n.nodeUp>>1].down[n.nodeUp&1] = i<<1 | 1
	t.hang(n.down[0], i<<1)
	t.hang(n.down[1], i<<1|1)
	e.nodeUp = 0
}

// hang tells the child named by a link down what it hangs on.
func (t *Timers) hang(child, up uint32) {
	if child&1 != 0 {
		t.elems[child>>1].nodeUp = up
	} else {
		t.elems[child>>1].leafUp = up
	}
}

// successor returns the first element of the date that follows i's on the circle, i itself when
// there is no other date. Element i must be the first of its own.
func (t *Timers) successor(i uint32) uint32 {
	up := t.elems[i].leafUp
	for up&1 != 0 && up != rootUp {
		up = t.elems[up>>1].nodeUp
	}
	at := t.elems[0].down[1]
	if up != rootUp {
		at = t.elems[up>>1].down[1]
	}
	for at&1 != 0 {
		at = t.elems[at>>1].down[0]
	}
	return at >> 1
}
