package backend

import (
	"sync"
	"sync/atomic"
)

// The queues.
//
// Every server has a queue for the sessions that must have this one, and the backend has a queue
// for those that take any. Both are lists through one slab of entries, in order of entry; a number
// that grows with every entry merges them: a slot that becomes free goes to the older of the two
// heads.
//
// Nobody loses a slot or a wake-up, because of three rules. Entering publishes the entry (waiting)
// before it looks for a slot; releasing frees the slot before it looks at waiting; so in any
// interleaving at least one of them finds the other. Whoever finds both a waiter and a slot brings
// them together under the lock, and the entry leaves its queue in the same critical section, so it
// is granted once or cancelled once. And newcomers do not take a slot past a queue that is not
// empty.
//
// Grants are collected under the lock and delivered after it, a handful at a time; the slab grows to
// the largest number of waiters there ever was and is used again from its free list.

// Waiter is a session that waits: its worker, its slot there and the generation of that slot. Place is for those that
// leave a queue: how many left it with a slot since this one entered, plus one.
type Waiter struct {
	Worker uint16
	Slot   uint32
	Gen    uint32
	Place  int32
}

// Ticket is a place in a queue. The zero Ticket is none.
type Ticket struct {
	index uint32
	gen   uint32
}

// nobody ends a list of entries.
const nobody = ^uint32(0)

// entry is one place in a queue, or free.
type entry struct {
	waiter     Waiter
	gen        uint32 // grows when the entry becomes free; the ticket has the one it was issued with
	prev, next uint32
	line       int32  // the queue: a server's number, or None for that of the backend
	busy       bool   // it is in a queue
	seq        uint64 // order of entry over all queues
	passed     uint64 // the line's passed at entry
}

// line is one queue.
type line struct {
	head, tail uint32
	length     int32
	longest    int32
	passed     uint64 // how many left it with a slot
}

type queue struct {
	waiting atomic.Int64 // entries in all queues
	shared  atomic.Int64 // entries in the backend's own
	_       [cacheLine]byte

	mu      sync.Mutex
	entries []entry
	free    uint32 // a list through next
	seq     uint64
	lines   []line // the backend's own, then one for each server
}

func (q *queue) init(servers int) {
	q.free = nobody
	q.lines = make([]line, servers+1)
	for i := range q.lines {
		q.lines[i].head, q.lines[i].tail = nobody, nobody
	}
}

// open makes an empty line for a place, a new one or one that is used again.
func (q *queue) open(place int) {
	q.mu.Lock()
	defer q.mu.Unlock()
	if place+1 == len(q.lines) {
		q.lines = append(q.lines, line{})
	}
	q.lines[place+1] = line{head: nobody, tail: nobody}
}

// push appends a waiter to a line.
func (q *queue) push(w Waiter, server int32) uint32 {
	at := q.free
	if at == nobody {
		at = uint32(len(q.entries))
		q.entries = append(q.entries, entry{gen: 1})
	} else {
		q.free = q.entries[at].next
	}
	l := &q.lines[server+1]
	e := &q.entries[at]
	q.seq++
	*e = entry{
		waiter: w, gen: e.gen, prev: l.tail, next: nobody,
		line: server, busy: true, seq: q.seq, passed: l.passed,
	}
	if l.tail == nobody {
		l.head = at
	} else {
		q.entries[l.tail].next = at
	}
	l.tail = at
	l.length++
	l.longest = max(l.longest, l.length)
	return at
}

// remove takes an entry out of its line and frees it.
func (q *queue) remove(at uint32) {
	e := &q.entries[at]
	l := &q.lines[e.line+1]
	if e.prev == nobody {
		l.head = e.next
	} else {
		q.entries[e.prev].next = e.next
	}
	if e.next == nobody {
		l.tail = e.prev
	} else {
		q.entries[e.next].prev = e.prev
	}
	l.length--
	e.busy = false
	e.gen++
	e.next = q.free
	q.free = at
}

// find is the entry of a ticket that still waits, or nil.
func (q *queue) find(t Ticket) *entry {
	if t.gen == 0 || int(t.index) >= len(q.entries) {
		return nil
	}
	if e := &q.entries[t.index]; e.busy && e.gen == t.gen {
		return e
	}
	return nil
}

// grant is a slot that found its waiter.
type grant struct {
	waiter Waiter
	server int32
	ticket Ticket
}

// batch is the grants of one critical section.
type batch struct {
	n      int
	grants [16]grant
}

func (a *batch) full() bool { return a.n == len(a.grants) }

// Enqueue enters a queue after Assign or Take answered Queue with this server.
//
// If a slot became free meanwhile and it is this waiter's turn, granted is the server, the slot is
// taken and the ticket is none. It is Reassign, with no ticket either, if the server (or every
// server) became unusable meanwhile. Otherwise it is None, and the answer comes through the
// delivery function. The place in the queue counts from 1.
func (b *Backend) Enqueue(w Waiter, server int32) (t Ticket, granted, place int32) {
	q := &b.queue
	q.mu.Lock()
	if server == None && len(b.table.Load().group) == 0 || server != None && !b.at(server).up.Load() {
		q.mu.Unlock()
		return Ticket{}, Reassign, 0
	}
	at := q.push(w, server)
	t = Ticket{index: at, gen: q.entries[at].gen}
	place = q.lines[server+1].length
	b.count(server, 1)
	if b.counting {
		b.conns.Add(1)
	}
	granted = None
	for {
		var out batch
		if server == None {
			b.grantShared(&out)
		} else {
			b.grantServer(server, &out)
		}
		q.mu.Unlock()
		for i := range out.n {
			if g := &out.grants[i]; g.ticket == t {
				granted = g.server
			} else {
				b.deliver(g.waiter, g.server)
			}
		}
		if !out.full() {
			break
		}
		q.mu.Lock()
	}
	if granted != None {
		t = Ticket{}
	}
	return t, granted, place
}

// Cancel leaves the queue. False means that the waiter left it already: the answer is on its way to
// the worker, and if it is a server, its slot must be given back with Release.
func (b *Backend) Cancel(t Ticket) bool {
	q := &b.queue
	q.mu.Lock()
	defer q.mu.Unlock()
	e := q.find(t)
	if e == nil {
		return false
	}
	server := e.line
	q.remove(t.index)
	b.count(server, -1)
	if b.counting {
		b.conns.Add(-1)
	}
	return true
}

// QueuePos is the Place that one has who still waits, and 0 for a ticket that waits no more.
func (b *Backend) QueuePos(t Ticket) int32 {
	q := &b.queue
	q.mu.Lock()
	defer q.mu.Unlock()
	e := q.find(t)
	if e == nil {
		return 0
	}
	return q.place(e)
}

// place is what the log shows for an entry that leaves its queue now.
func (q *queue) place(e *entry) int32 { return int32(q.lines[e.line+1].passed-e.passed) + 1 }

// count publishes that a line became longer or shorter; the queue's lock is held.
func (b *Backend) count(server int32, by int64) {
	b.queue.waiting.Add(by)
	if server == None {
		b.queue.shared.Add(by)
	} else {
		b.at(server).queued.Add(int32(by))
	}
}

// grantServer gives the free slots of a server to those who wait for it, as long as out has room.
// Only a server that takes part in the balancing serves the backend's queue. The lock is held.
func (b *Backend) grantServer(server int32, out *batch) {
	q := &b.queue
	s := b.at(server)
	shares := b.table.Load().member[server]
	for !out.full() {
		at := q.lines[server+1].head
		if shares {
			common := q.lines[0].head
			if at == nobody || common != nobody && q.entries[common].seq < q.entries[at].seq {
				at = common
			}
		}
		if at == nobody || !b.takeFree(s, 0) {
			return
		}
		line := q.entries[at].line
		b.leave(at, server, out)
		q.lines[line+1].passed++
	}
}

// grantShared gives the free slots of all balanced servers to those who wait.
func (b *Backend) grantShared(out *batch) {
	for _, i := range b.table.Load().group {
		if b.queue.shared.Load() == 0 || out.full() {
			return
		}
		b.grantServer(i, out)
	}
}

// leave takes an entry out of its line with an answer; the lock is held.
func (b *Backend) leave(at uint32, server int32, out *batch) {
	e := &b.queue.entries[at]
	e.waiter.Place = b.queue.place(e)
	out.grants[out.n] = grant{waiter: e.waiter, server: server, ticket: Ticket{index: at, gen: e.gen}}
	out.n++
	line := e.line
	b.queue.remove(at)
	b.count(line, -1)
}

// serve gives the free slots of a server to those who wait for it, and returns their number.
func (b *Backend) serve(server int32) (n int) {
	for more := true; more; {
		var out batch
		b.queue.mu.Lock()
		b.grantServer(server, &out)
		b.queue.mu.Unlock()
		n += out.n
		more = b.hand(&out)
	}
	return n
}

// serveAll gives the free slots of all servers to those who wait.
func (b *Backend) serveAll() {
	if b.queue.waiting.Load() == 0 {
		return
	}
	for i := range b.NumServers() {
		b.serve(int32(i))
	}
}

// expel sends away all who wait for one server, or with None for any, to be assigned anew.
func (b *Backend) expel(server int32) (n int) {
	q := &b.queue
	for more := true; more; {
		var out batch
		q.mu.Lock()
		for q.lines[server+1].head != nobody && !out.full() {
			b.leave(q.lines[server+1].head, Reassign, &out)
			if b.counting {
				b.conns.Add(-1)
			}
		}
		q.mu.Unlock()
		n += out.n
		more = b.hand(&out)
	}
	return n
}

// hand delivers a batch and reports whether there may be more.
func (b *Backend) hand(out *batch) bool {
	for i := range out.n {
		b.deliver(out.grants[i].waiter, out.grants[i].server)
	}
	return out.full()
}
