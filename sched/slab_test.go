package sched

import (
	"math/rand/v2"
	"strings"
	"testing"
	"unsafe"
)

type testSession struct {
	id    uint64
	bytes [2]uint64
}

// mustPanic runs f and wants it to panic with a text that contains want.
func mustPanic(tb testing.TB, want string, f func()) {
	tb.Helper()
	defer func() {
		tb.Helper()
		if text, _ := recover().(string); !strings.Contains(text, want) {
			tb.Errorf("panic %q, want one with %q", text, want)
		}
	}()
	f()
}

func TestSlabGenerations(t *testing.T) {
	s := NewSlab[testSession](4)
	a, p := s.Alloc()
	p.id = 7
	gen := s.Gen(a)
	s.Free(a)
	if s.Gen(a) != gen+1 {
		t.Errorf("Free moved the generation from %d to %d", gen, s.Gen(a))
	}
	mustPanic(t, "not allocated", func() { s.Free(a) })
	mustPanic(t, "not allocated", func() { s.Free(a + 1) })
	b, q := s.Alloc()
	if b != a || q != p {
		t.Errorf("after freeing slot %d Alloc took %d", a, b)
	}
	if *q != (testSession{}) {
		t.Errorf("Alloc left %+v in the slot", *q)
	}
	if s.Gen(b) != gen+1 {
		t.Errorf("Alloc moved the generation to %d", s.Gen(b))
	}
}

func TestSlabLastFreedFirst(t *testing.T) {
	s := NewSlab[int64](8)
	for range 6 {
		s.Alloc()
	}
	for _, id := range []uint32{2, 5, 0} {
		s.Free(id)
	}
	for _, want := range []uint32{0, 5, 2, 6, 7, 8} {
		if id, _ := s.Alloc(); id != want {
			t.Errorf("Alloc = %d, want %d", id, want)
		}
	}
}

func TestSlabPointersStay(t *testing.T) {
	s := NewSlab[testSession](5) // 8, rounded up
	live := map[uint32]*testSession{}
	r := rand.New(rand.NewPCG(5, 6))
	serial := uint64(0)
	for range 20_000 {
		if r.IntN(5) < 3 {
			id, p := s.Alloc()
			if live[id] != nil {
				t.Fatalf("Alloc gave slot %d away twice", id)
			}
			if *p != (testSession{}) {
				t.Fatalf("slot %d is not zeroed: %+v", id, *p)
			}
			serial++
			p.id, p.bytes, live[id] = serial<<32|uint64(id), [2]uint64{serial, serial}, p
		} else {
			for id := range live {
				s.Free(id)
				delete(live, id)
				break
			}
		}
		if s.Live() != len(live) || s.Cap() < uint32(len(live)) || s.Cap()%8 != 0 {
			t.Fatalf("Live = %d, Cap = %d with %d live", s.Live(), s.Cap(), len(live))
		}
	}
	for id, p := range live {
		if s.At(id) != p || uint32(p.id) != id || p.bytes[1] != p.id>>32 {
			t.Errorf("slot %d moved or was overwritten", id)
		}
	}
}

func TestSlabRefusesPointers(t *testing.T) {
	mustPanic(t, "pointers: string", func() { NewSlab[string](1) })
	mustPanic(t, "pointers: b[].c is a *int", func() {
		NewSlab[struct {
			a int
			b [2]struct{ c *int }
		}](1)
	})
	mustPanic(t, "f is a func()", func() { NewSlab[struct{ f func() }](1) })
	mustPanic(t, "m is a map[int]int", func() { NewSlab[struct{ m map[int]int }](1) })
	mustPanic(t, "e is a interface {}", func() { NewSlab[struct{ e any }](1) })
	mustPanic(t, "u is a unsafe.Pointer", func() { NewSlab[struct{ u unsafe.Pointer }](1) })
	mustPanic(t, "chunk", func() { NewSlab[int](0) })
	NewSlab[struct {
		a [0]*int
		b [3]complex128
		c uintptr
	}](1)
}
