package sched

import (
	"math/bits"
	"reflect"
)

// Slab is a table of slots of type T that grows by whole chunks and never moves a slot, so that a
// pointer from Alloc or At stays valid as long as the Slab. The slot freed last is allocated first,
// while its memory is still in the cache. Every slot has a generation that Free advances: whoever
// keeps an id together with its generation can tell whether it still means the same thing.
//
// T must not contain pointers, so the garbage collector does not look into the chunks, however
// many there are. After a peak the chunks stay: their memory serves the next one.
//
// A Slab belongs to one goroutine.
type Slab[T any] struct {
	chunks []slabChunk[T]
	shift  uint
	mask   uint32
	free   uint32 // the first free slot + 1, the others linked behind it
	fresh  uint32 // slots from here on were never allocated
	live   int
}

type slabChunk[T any] struct {
	values []T
	states []slotState
}

// slotState is kept apart from the value, so that a T of a cache line remains one.
type slotState struct {
	gen  uint32
	next uint32 // the next free slot + 1, or slotLive
}

const slotLive = ^uint32(0)

// NewSlab returns an empty Slab that grows by chunk slots, rounded up to a power of two. It panics
// when T contains a pointer or chunk is not between 1 and 2^30.
func NewSlab[T any](chunk int) *Slab[T] {
	if chunk < 1 || chunk > 1<<30 {
		panic("sched: a slab's chunk must hold between 1 and 2^30 slots")
	}
	if at := pointerIn(reflect.TypeFor[T](), ""); at != "" {
		panic("sched: the type of a slab must be free of pointers: " + at)
	}
	shift := uint(bits.Len(uint(chunk - 1)))
	return &Slab[T]{shift: shift, mask: 1<<shift - 1}
}

// Alloc takes a free slot, zeroed. It allocates memory only when every slot is live.
func (s *Slab[T]) Alloc() (id uint32, p *T) {
	if s.free != 0 {
		id = s.free - 1
		s.free = s.state(id).next
	} else {
		id = s.fresh
		if id == s.Cap() {
			s.chunks = append(s.chunks, slabChunk[T]{
				values: make([]T, s.mask+1),
				states: make([]slotState, s.mask+1),
			})
		}
		s.fresh++
	}
	s.state(id).next = slotLive
	s.live++
	p = s.At(id)
	var zero T
	*p = zero
	return id, p
}

// Free gives the slot back and advances its generation. It panics when the slot is not live.
func (s *Slab[T]) Free(id uint32) {
	st := s.state(id)
	if st.next != slotLive {
		panic("sched: a slot of a slab was freed that is not allocated")
	}
	st.gen++
	st.next = s.free
	s.free = id + 1
	s.live--
}

// At returns the slot's value. The id must lie below Cap; whether the slot is live is not checked.
func (s *Slab[T]) At(id uint32) *T { return &s.chunks[id>>s.shift].values[id&s.mask] }

// Gen returns the slot's generation: how many times it was freed, modulo 2^32.
func (s *Slab[T]) Gen(id uint32) uint32 { return s.state(id).gen }

// Live returns how many slots are allocated.
func (s *Slab[T]) Live() int { return s.live }

// Cap returns how many slots there are, live and free. All ids lie below it.
func (s *Slab[T]) Cap() uint32 { return uint32(len(s.chunks)) << s.shift }

func (s *Slab[T]) state(id uint32) *slotState { return &s.chunks[id>>s.shift].states[id&s.mask] }

// pointerIn returns the path and type of the first pointer inside t, or "" when there is none.
func pointerIn(t reflect.Type, path string) string {
	switch t.Kind() {
	case reflect.Struct:
		for f := range t.NumField() {
			field := t.Field(f)
			if at := pointerIn(field.Type, path+"."+field.Name); at != "" {
				return at
			}
		}
		return ""
	case reflect.Array:
		if t.Len() == 0 {
			return ""
		}
		return pointerIn(t.Elem(), path+"[]")
	case reflect.Bool, reflect.Int, reflect.Int8, reflect.Int16, reflect.Int32, reflect.Int64,
		reflect.Uint, reflect.Uint8, reflect.Uint16, reflect.Uint32, reflect.Uint64, reflect.Uintptr,
		reflect.Float32, reflect.Float64, reflect.Complex64, reflect.Complex128:
		return ""
	}
	if path == "" {
		return t.String()
	}
	return path[1:] + " is a " + t.String()
}
