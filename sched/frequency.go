package sched

import "sync/atomic"

// Frequency tells how many events a second a count sees, now and at most. It adds nothing to the count: who
// counts anyway, with an atomic of its own, tells the new total, and Frequency only remembers what the total was
// when the present second began.
//
//	        last second      this second
//	──────┬───────────────┬───────────┐
//	      │    before     │  n - base │ n: the total
//	──────┴───────────────┴───────────┘
//
// While a second lasts an event costs two loads of words that nobody writes; the first of a second and a new
// maximum cost a compare-and-swap. All methods may be called by any goroutine. A second that begins on two
// threads at once may lose an event or two to the one before.
type Frequency struct {
	window atomic.Uint64 // second<<32 | base
	before atomic.Uint32 // events of the second before that one
	most   atomic.Uint32
}

// Note tells of an event at a time on any one clock, after which the total is n.
func (f *Frequency) Note(ns int64, n uint64) {
	second := uint32(ns / 1e9)
	w := f.window.Load()
	if int32(second-uint32(w>>32)) > 0 {
		base := uint32(n - 1)
		if f.window.CompareAndSwap(w, uint64(second)<<32|uint64(base)) {
			before := uint32(0)
			if uint32(w>>32)+1 == second {
				before = base - uint32(w)
			}
			f.before.Store(before)
		}
		w = f.window.Load()
	}
	rate := uint32(n) - uint32(w)
	for {
		most := f.most.Load()
		if int32(rate-most) <= 0 || f.most.CompareAndSwap(most, rate) {
			return
		}
	}
}

// Rate is the number of events in the second that ends now, of which the part before the present
// second is estimated. n is the total.
func (f *Frequency) Rate(ns int64, n uint64) uint32 {
	w := f.window.Load()
	events, before := uint32(n)-uint32(w), f.before.Load()
	switch second := uint32(ns / 1e9); second - uint32(w>>32) {
	case 0:
	case 1:
		events, before = 0, events
	default:
		return 0
	}
	left := uint64(1000 - ns/1e6%1000)
	return events + uint32((uint64(before)*left+500)/1000)
}

// Max is the greatest number of events in one second since the beginning or Reset.
func (f *Frequency) Max() uint32 { return f.most.Load() }

// Reset forgets the maximum.
func (f *Frequency) Reset() { f.most.Store(0) }
