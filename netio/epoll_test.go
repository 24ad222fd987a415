package netio

import (
	"runtime"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestEpollData(t *testing.T) {
	checkLeaks(t)
	ep := mustEpoll(t)
	a, _ := mustPair(t)
	for i, data := range []uint64{0, 1, 0x7fffffff, 0x80000000, 0xffffffff, 1 << 32, 0xfedcba9876543210, ^uint64(0)} {
		if i == 0 {
			ok(t, "add", ep.Add(a, Writable, data))
		} else {
			ok(t, "mod", ep.Mod(a, Writable, data))
		}
		var evs [2]Event
		n, e := ep.Wait(evs[:], -1)
		if e == EINTR {
			n, e = ep.Poll(evs[:])
		}
		ok(t, "wait", e)
		if n != 1 || evs[0].Data() != data {
			t.Errorf("%d events, data %#x, want %#x", n, evs[0].Data(), data)
		}
	}
	ok(t, "del", ep.Del(a))
	silent(t, ep, "removed descriptor")
	if e := ep.Del(a); e != ENOENT {
		t.Errorf("second del: %v, want %v", e, ENOENT)
	}
	if e := ep.Mod(a, Writable, 0); e != ENOENT {
		t.Errorf("mod of an unknown descriptor: %v, want %v", e, ENOENT)
	}
}

func TestEpollCloseRemoves(t *testing.T) {
	checkLeaks(t)
	ep := mustEpoll(t)
	a, b := openPair(t)
	defer Close(b)
	ok(t, "add", ep.Add(a, Writable, 1))
	Close(a)
	silent(t, ep, "closed descriptor")

	c, d := mustPair(t)
	_ = d
	shared, e := Dup(c)
	ok(t, "dup", e)
	ok(t, "add", ep.Add(shared, Writable, 2))
	Close(shared)
	if mask := next(t, ep); mask&Writable == 0 {
		t.Errorf("events %#x: a registration outlives its descriptor while a copy is open", mask)
	}
}

func TestWaitTimeout(t *testing.T) {
	checkLeaks(t)
	ep := mustEpoll(t)
	var evs [1]Event
	if n, e := ep.Wait(evs[:], 1); e != EINTR && (n != 0 || e != 0) {
		t.Errorf("%d events, %v from an empty instance", n, e)
	}
}

func TestWaker(t *testing.T) {
	checkLeaks(t)
	ep := mustEpoll(t)
	w, err := NewWaker()
	if err != nil {
		t.Fatal(err)
	}
	defer w.Close()
	ok(t, "add", ep.Add(w.FD(), Readable, 7))
	silent(t, ep, "before any wake-up")
	w.Clear() // must not block
	for range 3 {
		var wg sync.WaitGroup
		for range 4 {
			wg.Go(w.Wake)
		}
		if mask := next(t, ep); mask != Readable {
			t.Errorf("events %#x, want %#x", mask, uint32(Readable))
		}
		wg.Wait()
		w.Clear()
		silent(t, ep, "after Clear: wake-ups are one")
	}
}

func TestPinThread(t *testing.T) {
	usable, err := UsableCPUs()
	if err != nil || len(usable) == 0 {
		t.Fatalf("CPUs %v, %v", usable, err)
	}
	var wg sync.WaitGroup
	for _, cpu := range usable {
		wg.Go(func() {
			runtime.LockOSThread() // never unlocked: the thread dies with its mask
			if err := PinThread([]int{cpu}); err != nil {
				t.Error(err)
				return
			}
			got, err := UsableCPUs()
			if diff := cmp.Diff([]int{cpu}, got); diff != "" || err != nil {
				t.Errorf("pinned to CPU %d: %s %v", cpu, diff, err)
			}
		})
	}
	wg.Go(func() {
		runtime.LockOSThread()
		if err := PinThread(nil); err == nil {
			t.Error("a thread that may run nowhere")
		}
	})
	wg.Wait()
	if got, err := UsableCPUs(); err != nil || !cmp.Equal(usable, got) {
		t.Errorf("another thread's CPUs became %v, were %v (%v)", got, usable, err)
	}
}
