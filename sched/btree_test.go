package sched

import "github.com/google/btree"

// btreeTimers keeps timers in a google/btree, in the order of date and scheduling, with the key of
// every id so that it can leave. The free list of the tree keeps as many nodes as it ever needs.
type btreeTimers struct {
	tree *btree.BTreeG[btreeItem]
	keys []btreeItem // by id; seq 0: not queued
	seq  uint32
}

type btreeItem struct {
	at  Tick
	seq uint32
	id  uint32
}

// btreeDegree is what the module's own benchmarks take.
const btreeDegree = 32

func newBtreeTimers() *btreeTimers {
	less := func(a, b btreeItem) bool {
		if a.at != b.at {
			return a.at.Before(b.at)
		}
		return int32(a.seq-b.seq) < 0
	}
	return &btreeTimers{tree: btree.NewWithFreeListG(btreeDegree, less, btree.NewFreeListG[btreeItem](1<<16))}
}

func (b *btreeTimers) Grow(n uint32) {
	for uint32(len(b.keys)) < n {
		b.keys = append(b.keys, btreeItem{})
	}
}

func (b *btreeTimers) Len() int { return b.tree.Len() }

func (b *btreeTimers) Schedule(id uint32, at Tick) {
	k := &b.keys[id]
	if k.seq != 0 {
		if !at.Before(k.at) {
			return
		}
		b.tree.Delete(*k)
	}
	if b.seq++; b.seq == 0 {
		b.seq++
	}
	*k = btreeItem{at, b.seq, id}
	b.tree.ReplaceOrInsert(*k)
}

func (b *btreeTimers) Cancel(id uint32) {
	if k := &b.keys[id]; k.seq != 0 {
		b.tree.Delete(*k)
		k.seq = 0
	}
}

func (b *btreeTimers) Next() (Tick, bool) {
	first, ok := b.tree.Min()
	return first.at, ok
}

func (b *btreeTimers) Expire(now Tick) (uint32, bool) {
	first, ok := b.tree.Min()
	if !ok || now.Before(first.at) {
		return 0, false
	}
	b.tree.DeleteMin()
	b.keys[first.id].seq = 0
	return first.id, true
}
