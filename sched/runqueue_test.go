package sched

import (
	"math/rand/v2"
	"slices"
	"testing"
)

func mustPop(tb testing.TB, q *RunQueue, want ...uint32) {
	tb.Helper()
	for _, w := range want {
		if id, ok := q.Pop(); !ok || id != w {
			tb.Fatalf("Pop = %d %t, want %d", id, ok, w)
		}
	}
}

func TestRunQueueOrder(t *testing.T) {
	q := NewRunQueue()
	q.Grow(10)
	for _, id := range []uint32{3, 0, 9, 3, 5, 0} {
		q.Push(id)
	}
	if q.Len() != 4 || !q.Queued(0) || q.Queued(1) {
		t.Errorf("Len = %d, 0 queued %t, 1 queued %t", q.Len(), q.Queued(0), q.Queued(1))
	}
	q.Remove(9)
	q.Remove(9)
	q.Remove(1)
	mustPop(t, q, 3, 0)
	q.Push(3)
	q.Grow(100)
	q.Push(99)
	mustPop(t, q, 5, 3, 99)
	if id, ok := q.Pop(); ok {
		t.Errorf("an empty queue yields %d", id)
	}
}

// TestRunQueueIsFair lets every slot queue itself again when it has its turn: all must get the same
// number of turns.
func TestRunQueueIsFair(t *testing.T) {
	const ids, rounds = 50, 20
	q := NewRunQueue()
	q.Grow(ids)
	for id := range uint32(ids) {
		q.Push(id)
	}
	var turns [ids]int
	for range rounds {
		for range q.Len() {
			id, _ := q.Pop()
			turns[id]++
			q.Push(id)
		}
	}
	for id, n := range turns {
		if n != rounds {
			t.Errorf("slot %d had %d turns in %d rounds", id, n, rounds)
		}
	}
}

func TestRunQueueAgainstSlice(t *testing.T) {
	const ids = 40
	q := NewRunQueue()
	q.Grow(ids)
	var want []uint32
	r := rand.New(rand.NewPCG(3, 4))
	for range 50_000 {
		switch id := uint32(r.IntN(ids)); r.IntN(4) {
		case 0, 1:
			q.Push(id)
			if !slices.Contains(want, id) {
				want = append(want, id)
			}
		case 2:
			q.Remove(id)
			want = slices.DeleteFunc(want, func(w uint32) bool { return w == id })
		case 3:
			if len(want) > 0 {
				mustPop(t, q, want[0])
				want = want[1:]
			} else if got, ok := q.Pop(); ok {
				t.Fatalf("an empty queue yields %d", got)
			}
		}
		if q.Len() != len(want) {
			t.Fatalf("Len = %d, want %d", q.Len(), len(want))
		}
		for id := range uint32(ids) {
			if q.Queued(id) != slices.Contains(want, id) {
				t.Fatalf("Queued(%d) = %t", id, q.Queued(id))
			}
		}
	}
}
