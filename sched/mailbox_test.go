package sched

import (
	"runtime"
	"sync"
	"sync/atomic"
	"testing"
)

func TestMailboxIsBounded(t *testing.T) {
	for _, tt := range []struct{ capacity, want int }{{1, 2}, {2, 2}, {3, 4}, {8, 8}, {9, 16}} {
		m := NewMailbox[int](tt.capacity)
		for lap := range 3 {
			for i := range tt.want {
				if !m.Push(lap*100 + i) {
					t.Fatalf("capacity %d: message %d found no room", tt.capacity, i)
				}
			}
			if m.Push(-1) {
				t.Fatalf("capacity %d: %d messages left room", tt.capacity, tt.want)
			}
			for i := range tt.want {
				if m.Empty() {
					t.Fatalf("capacity %d: empty before message %d", tt.capacity, i)
				}
				if v, ok := m.Pop(); !ok || v != lap*100+i {
					t.Fatalf("capacity %d: Pop = %d %t, want %d", tt.capacity, v, ok, lap*100+i)
				}
			}
			if v, ok := m.Pop(); ok || !m.Empty() {
				t.Fatalf("capacity %d: an empty mailbox yields %d", tt.capacity, v)
			}
		}
	}
	mustPanic(t, "mailbox", func() { NewMailbox[int](0) })
}

func TestMailboxKeepsNothing(t *testing.T) {
	m := NewMailbox[*int](2)
	m.Push(new(int))
	m.Pop()
	if m.cells[0].value != nil {
		t.Error("a taken message is still referenced")
	}
}

// TestMailboxManyProducers wants every message exactly once and those of one producer in order.
func TestMailboxManyProducers(t *testing.T) {
	const producers, each = 8, 5000
	type message struct{ producer, serial int }
	m := NewMailbox[message](64)
	var wg sync.WaitGroup
	for p := range producers {
		wg.Go(func() {
			for i := range each {
				for !m.Push(message{p, i}) {
					runtime.Gosched()
				}
			}
		})
	}
	var next [producers]int
	for got := 0; got < producers*each; {
		v, ok := m.Pop()
		if !ok {
			runtime.Gosched()
			continue
		}
		if v.serial != next[v.producer] {
			t.Fatalf("producer %d: message %d where %d belongs", v.producer, v.serial, next[v.producer])
		}
		next[v.producer]++
		got++
	}
	wg.Wait()
	if v, ok := m.Pop(); ok {
		t.Errorf("one message too many: %+v", v)
	}
}

// TestMailboxWakesTheOwner plays the protocol of sleeping: whoever pushes last must see the owner
// asleep, or the owner must see the message.
func TestMailboxWakesTheOwner(t *testing.T) {
	const producers, each = 4, 2000
	m := NewMailbox[int](16)
	var asleep atomic.Bool
	wake := make(chan struct{}, 1)
	var wg sync.WaitGroup
	for range producers {
		wg.Go(func() {
			for i := range each {
				for !m.Push(i) {
					runtime.Gosched()
				}
				if asleep.Swap(false) {
					wake <- struct{}{}
				}
			}
		})
	}
	for got := 0; got < producers*each; {
		if _, ok := m.Pop(); ok {
			got++
			continue
		}
		asleep.Store(true)
		if !m.Empty() {
			if !asleep.Swap(false) {
				<-wake // a producer was faster
			}
			continue
		}
		<-wake
	}
	wg.Wait()
}
