package sched

import "math/bits"

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
// Equal dates share a subtree whose nodes have negative bits. It does not split by value but keeps
// the order of insertion from left to right, and it grows like a binary counter, so that k equal
// dates make a subtree of about log2 k levels:
//
//	-1        -2            -2                -3
//	├ a       ├ -1          ├ -1              ├ -2
//	└ b       │ ├ a         │ ├ a             │ ├ -1 (a b)
//	          │ └ b         │ └ b             │ └ -1 (c d)
//	          └ c           └ -1 (c d)        └ e
//
// Deleting a leaf removes the node right above it, whose other branch moves up. If the node part of
// the deleted element still serves elsewhere, the part just set free takes over its place.
//
// # The circle
//
// Dates wrap, the tree does not: it is sorted by the plain number. So the list of its leaves is
// read as a ring, from the smallest number to the greatest and around, and what has to be known is
// only where the ring begins: the earliest leaf, which is kept in first. When it leaves, its
// successor on the ring takes over, and a new date becomes first when it comes before it. That
// comparison is the only one that has to be right across the wrap. It counts both dates from a
// common origin:
//
//	      origin            now of the last Expire                          origin + 2^32
//	        │── 2^30: 12.4 days ──│────────────── 3·2^30: 37.2 days ──────────────│
//	        └ late, or just       └ to come: now + 2^31 fits even when the last
//	          scheduled in the past   Expire was 12 days ago
//
// The origin follows now but never passes first, so that a timer that is very late, because the
// process was stopped for weeks, is still late and not far in the future.
//
// # The cost
//
// Insertion walks down at most 32 levels plus those of one set of equal dates; in practice log2 n
// of the different dates. Deletion touches the neighbours only. The earliest date is a load. An
// element takes 24 bytes.
//
// # Invariants
//
//   - element 0 is the root; the tree hangs on its right branch, so that no link up is zero
//   - leafUp is zero if and only if the element is not queued
//   - nodeUp is zero if and only if the element's node part is not in use; in a tree that is not
//     empty exactly one queued element has an unused node part
//   - the node part of an element stands above its own leaf
//   - on every way down the bits shrink to zero at least, and then, where dates are equal, the
//     negative ones shrink in magnitude; both branches of a node are taken
//   - first is the earliest leaf, the leftmost of equals, or zero when the tree is empty

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
}

// elem is one element of the tree: the leaf and the node of one slot.
//
// A link down holds the index of the child times two, plus one when its node part is meant and not
// its leaf part. A link up holds the index of the parent times two, plus the side on which the
// child hangs there: 0 left, 1 right.
type elem struct {
	down   [2]uint32
	nodeUp uint32
	leafUp uint32
	key    uint32
	bit    int32
}

const (
	rootUp = 1       // the link up to the root's right branch
	slack  = 1 << 30 // how far the origin stays behind now
)

// NewTimers returns an empty tree that knows no slot: call Grow first.
func NewTimers() *Timers { return &Timers{elems: make([]elem, 1)} }

// Grow makes the ids 0 to n-1 valid, for n up to 2^31-2. It never shrinks. Its cost is amortised,
// but a single call may copy every element: call it when slots are added, not when timers are.
func (t *Timers) Grow(n uint32) {
	if n > 1<<31-2 {
		panic("sched: more timers than a link can name")
	}
	for uint32(len(t.elems)) < n+1 {
		t.elems = append(t.elems, elem{})
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
	t.insert(i, key)
	if t.first == 0 || key-t.origin < t.elems[t.first].key-t.origin {
		t.first = i
	}
	t.n++
}

// remove takes the queued element i out of the tree and of the ring.
func (t *Timers) remove(i uint32) {
	if i == t.first {
		t.first = t.successor(i)
		if t.first == i {
			t.first = 0
		}
	}
	t.unlink(i)
	t.n--
}

// insert hangs the leaf of element i, which is not queued, into the tree.
func (t *Timers) insert(i, key uint32) {
	elems := t.elems
	e := &elems[i]
	e.key = key
	e.nodeUp = 0

	up := uint32(rootUp)
	at := elems[0].down[1]
	if at == 0 {
		elems[0].down[1] = i << 1
		e.leafUp = rootUp
		return
	}

	// Walk down to the first node that does not share its upper bits with key, to a leaf, or to
	// the subtree of one date.
	var old *elem
	for {
		old = &elems[at>>1]
		if at&1 == 0 || old.bit < 0 {
			break
		}
		side := (key ^ old.key) >> (uint32(old.bit) & 31)
		if side > 1 {
			break
		}
		side = key >> (uint32(old.bit) & 31) & 1
		up = at&^1 | side
		at = old.down[side]
	}

	diff := key ^ old.key
	side := uint32(1) // where the new leaf hangs below the new node
	switch {
	case diff != 0:
		e.bit = int32(bits.Len32(diff)) - 1
		if key < old.key {
			side = 0
		}
	case at&1 == 0:
		e.bit = -1
	default:
		at, up, e.bit = t.place(at, up)
		old = &elems[at>>1]
	}

	// The node part of i takes the place of at and carries it and the new leaf.
	e.nodeUp = up
	e.leafUp = i<<1 | side
	e.down[side] = i << 1
	e.down[side^1] = at
	if at&1 != 0 {
		old.nodeUp = i<<1 | side ^ 1
	} else {
		old.leafUp = i<<1 | side ^ 1
	}
	elems[up>>1].down[up&1] = i<<1 | 1
}

// place finds where the next leaf of the subtree of one date goes: at is the subtree's top node,
// hanging on up. It returns the branch to be replaced by the new node, with what it hangs on, and
// the bit of the new node. The new leaf must become the rightmost. The bits on the way down along
// the right side are the ones of a binary counter: the lowest that is missing is set, and what
// stands below moves under it, to its left.
func (t *Timers) place(at, up uint32) (branch, parent uint32, bit int32) {
	branch, parent = at, up
	above := t.elems[at>>1].bit
	bit = above - 1
	for {
		e := &t.elems[at>>1]
		up, at = at|1, e.down[1]
		if at&1 == 0 {
			if e.bit < -1 {
				return at, up, -1
			}
			return branch, parent, bit
		}
		below := t.elems[at>>1].bit
		if below > above+1 {
			branch, parent, bit = at, up, below-1
		}
		above = below
	}
}

// unlink takes the leaf of element i out of the tree, and frees its node part too.
func (t *Timers) unlink(i uint32) {
	elems := t.elems
	e := &elems[i]
	up := e.leafUp
	e.leafUp = 0
	p := up >> 1
	if p == 0 {
		elems[0].down[1] = 0
		return
	}

	// The other branch of the parent moves up into the parent's place.
	parent := &elems[p]
	other := parent.down[up&1^1]
	above := parent.nodeUp
	elems[above>>1].down[above&1] = other
	t.hang(other, above)
	parent.nodeUp = 0

	// If i's node part serves elsewhere, the parent's, which is free now, replaces it. It may: its
	// leaf stands below that node as well, so that it has the same upper bits.
	if e.nodeUp == 0 {
		return
	}
	parent.down, parent.nodeUp, parent.bit = e.down, e.nodeUp, e.bit
	elems[parent.nodeUp>>1].down[parent.nodeUp&1] = p<<1 | 1
	t.hang(parent.down[0], p<<1)
	t.hang(parent.down[1], p<<1|1)
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

// successor returns the leaf that follows i on the ring, i itself when it is alone.
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
