package sched

// RunQueue is the first-in first-out queue of the slots that wait for their turn. A slot is in it
// at most once. The links live in a slab indexed by slot id, so that pushing never allocates and a
// slot can leave from the middle in constant time:
//
//	links[0] is the anchor of a ring, links[id+1] is slot id
//
//	   ┌──> anchor ──next──> oldest ──next──> … ──next──> newest ──┐
//	   └───────────────────────────────────────────────────────────┘
//
// A loop that takes Len slots per round and then polls is fair: what is pushed while the round
// runs comes after everything that already waits.
//
// A RunQueue belongs to one goroutine.
type RunQueue struct {
	links []runLink
	n     int
}

// runLink is eight bytes: the neighbours in the ring as indexes into links.
type runLink struct{ prev, next uint32 }

// outside is the next of a slot that is not in the queue.
const outside = ^uint32(0)

// NewRunQueue returns an empty queue that knows no slot: call Grow first.
func NewRunQueue() *RunQueue { return &RunQueue{links: make([]runLink, 1)} }

// Grow makes the ids 0 to n-1 valid. It never shrinks; its cost is amortised over the ids.
func (q *RunQueue) Grow(n uint32) {
	for uint32(len(q.links)) < n+1 {
		q.links = append(q.links, runLink{next: outside})
	}
}

// Push puts id at the end, and does nothing when it is queued already.
func (q *RunQueue) Push(id uint32) {
	l := &q.links[id+1]
	if l.next != outside {
		return
	}
	anchor := &q.links[0]
	l.prev, l.next = anchor.prev, 0
	q.links[anchor.prev].next = id + 1
	anchor.prev = id + 1
	q.n++
}

// Pop takes the slot that has waited longest.
func (q *RunQueue) Pop() (id uint32, ok bool) {
	i := q.links[0].next
	if i == 0 {
		return 0, false
	}
	q.unlink(i)
	return i - 1, true
}

// Remove takes id out wherever it stands, and does nothing when it is not queued.
func (q *RunQueue) Remove(id uint32) {
	if q.links[id+1].next != outside {
		q.unlink(id + 1)
	}
}

// Queued reports whether id waits in the queue.
func (q *RunQueue) Queued(id uint32) bool { return q.links[id+1].next != outside }

// Len returns how many slots wait.
func (q *RunQueue) Len() int { return q.n }

func (q *RunQueue) unlink(i uint32) {
	l := &q.links[i]
	q.links[l.prev].next = l.next
	q.links[l.next].prev = l.prev
	l.next = outside
	q.n--
}
