package balance

import (
	"slices"
)

// Server is one server as a table sees it.
type Server struct {
	// Index is what the tables answer with; the caller's own number of the server, below 65536.
	Index int32
	// Weight is the effective weight, 1..4096. Servers of weight 0 do not belong in a table.
	Weight int
	// Key is where the server's points on a Ring begin; see Key.
	Key uint32
}

// WeightScale is what one unit of configured weight counts for in a dynamic algorithm. Ramping a
// server up in steps needs weights below one unit.
const WeightScale = 16

// MaxWeight is the largest effective weight: 256 units.
const MaxWeight = 256 * WeightScale

// maxSequence bounds the entries of a round robin's table: 128 KiB. The weights of 16 servers of
// the largest weight fit without loss.
const maxSequence = 1 << 16

// maxLaps bounds how long building a round robin waits for its laps to repeat.
const maxLaps = 4

// Sequence is an order of visits that repeats: a few that come only once, then a loop for ever.
type Sequence struct {
	order []uint16
	once  int // entries before the loop
	loop  int
}

// At is the n-th visit, counted from 0.
func (s *Sequence) At(n uint64) int32 {
	if n >= uint64(len(s.order)) {
		n = uint64(s.once) + (n-uint64(s.once))%uint64(s.loop)
	}
	return int32(s.order[n])
}

// Lookup is the server that a hash falls on when the loop serves as a map.
func (s *Sequence) Lookup(hash uint32) int32 {
	return int32(s.order[s.once+int(hash%uint32(s.loop))])
}

// Len is the number of entries stored: after so many visits every server was met.
func (s *Sequence) Len() int { return len(s.order) }

// NewRoundRobin builds the smooth weighted round robin over servers, or nil when there are none.
//
// The idea. Picture a road with one place for every unit of weight, W in all. A server of weight w
// wants every (W/w)-th place. At each place the server that is due there drives on; when none is
// due, the heaviest one that has not started yet does, because the heavy ones need their places
// early; when all have started, the one that is due soonest. A server that drove on is due W/w
// places later, the fraction of the division being carried along. Whoever is due beyond the end of
// the road waits there for the next lap, in which all start anew, the heaviest first and those of
// one weight in the order in which they arrived.
//
// With weights that do not divide W evenly, one that started late may be sent to wait a visit short
// of its share, which is one in sixteen times its weight at most.
//
// A lap therefore depends on nothing but the order of arrival of the lap before, and the laps
// repeat after one or two. So the drive is made once, here, with a heap; what a worker does later
// is count and look up, without a lock, and the workers together visit the servers in exactly the
// order that one alone would.
//
// The cost is two bytes for every place of the lap, less when the lap itself repeats, which it does
// about sixteen times when nothing ramps up. Weights whose sum exceeds 65536 are first divided by
// what they have in common and then, if that is not enough, scaled down: each keeps its share
// within one part in 65536 and at least one place.
//
// Ties between servers due at the same place go to the one with the larger weight less its carried
// fraction, in whole units of WeightScale, and then to the one that was due first.
func NewRoundRobin(servers []Server) *Sequence {
	if len(servers) == 0 {
		return nil
	}
	r := newRoad(servers)
	var starts []int     // where each lap begins in order
	var fields [][]int32 // who started it, in which order
	for {
		again := slices.IndexFunc(fields, func(f []int32) bool { return slices.Equal(f, r.fresh) })
		if again < 0 && len(fields) == maxLaps {
			again = 0
		}
		if again < 0 && len(fields) > 0 && len(r.order)+r.total > maxSequence {
			again = len(fields) - 1
		}
		if again >= 0 {
			return trim(r.order, starts[again])
		}
		starts = append(starts, len(r.order))
		fields = append(fields, slices.Clone(r.fresh))
		r.lap()
	}
}

// trim shortens the loop of order, which begins at once, to its smallest period, and drops a
// beginning that is part of the loop anyway.
func trim(order []uint16, once int) *Sequence {
	loop := order[once:]
	// fail[i] is the length of the longest proper prefix of loop[:i+1] that also ends it.
	fail := make([]int32, len(loop))
	for i, k := 1, int32(0); i < len(loop); i++ {
		for k > 0 && loop[i] != loop[k] {
			k = fail[k-1]
		}
		if loop[i] == loop[k] {
			k++
		}
		fail[i] = k
	}
	period := len(loop) - int(fail[len(loop)-1])
	if len(loop)%period != 0 {
		period = len(loop)
	}
	return &Sequence{order: slices.Clone(order[:once+period]), once: once, loop: period}
}

// driver is a server on the road.
type driver struct {
	index  uint16
	weight int
	due    int // the place it is due at; 0: it has not started in this lap
	carry  int // the fraction of its distance carried along, in parts of weight
}

// road is the state of the drive that NewRoundRobin describes.
type road struct {
	drivers []driver
	total   int // W
	place   int
	fresh   []int32 // not started in this lap, next one first
	arrived []int32 // beyond the end, in order of arrival
	due     dueHeap
	clock   uint32 // numbers the entries of due
	order   []uint16
}

func newRoad(servers []Server) *road {
	r := &road{drivers: make([]driver, len(servers)), arrived: make([]int32, len(servers))}
	weights := fit(servers, maxSequence)
	for i, s := range servers {
		r.drivers[i] = driver{index: uint16(s.Index), weight: weights[i]}
		r.total += weights[i]
		r.arrived[i] = int32(i)
	}
	r.order = make([]uint16, 0, r.total)
	r.lineUp()
	return r
}

// lineUp puts those who arrived at the start of the next lap.
func (r *road) lineUp() {
	slices.SortStableFunc(r.arrived, func(a, b int32) int { return r.drivers[b].weight - r.drivers[a].weight })
	r.fresh, r.arrived = r.arrived, r.fresh[:0]
	r.place = r.total
}

// lap drives one lap and lines up for the next. Places count from total, so that 0 means "not yet".
func (r *road) lap() {
	started := 0
	for started < len(r.fresh) || len(r.due) > 0 {
		var i int32
		switch {
		case len(r.due) > 0 && (r.drivers[r.due[0].driver].due <= r.place || started == len(r.fresh)):
			i = r.due.pop()
		default:
			i = r.fresh[started]
			r.drivers[i].due, r.drivers[i].carry = r.place, 0
			started++
		}
		d := &r.drivers[i]
		r.order = append(r.order, d.index)
		d.due += r.total / d.weight
		d.carry += r.total % d.weight
		if d.carry >= d.weight {
			d.carry -= d.weight
			d.due++
		}
		r.place++
		if d.due >= 2*r.total {
			r.arrived = append(r.arrived, i)
			continue
		}
		r.clock++
		r.due.push(dueEntry{
			key:    uint64(d.due)<<8 + uint64((MaxWeight+d.carry-d.weight)/WeightScale),
			clock:  r.clock,
			driver: i,
		})
	}
	r.lineUp()
}

// fit returns the weights of servers with a sum of at most limit, in proportion.
func fit(servers []Server, limit int) []int {
	weights := make([]int, len(servers))
	sum := 0
	for i, s := range servers {
		weights[i] = s.Weight
		sum += s.Weight
	}
	if sum <= limit {
		return weights
	}
	common := GCD(weights)
	if sum/common <= limit {
		for i := range weights {
			weights[i] /= common
		}
		return weights
	}
	room := limit - len(servers) // what remains when every server has its one place
	for i := range weights {
		weights[i] = 1 + weights[i]*room/sum
	}
	return weights
}

// GCD is the greatest common divisor of the positive values, and 1 when there are none.
func GCD(values []int) int {
	gcd := 0
	for _, v := range values {
		for v > 0 {
			gcd, v = v, gcd%v
		}
	}
	return max(gcd, 1)
}

// dueEntry is one driver that is due; the heap is ordered by key, then by clock.
type dueEntry struct {
	key    uint64
	clock  uint32
	driver int32
}

func (e dueEntry) before(f dueEntry) bool {
	return e.key < f.key || e.key == f.key && e.clock < f.clock
}

// dueHeap is a binary heap, soonest first.
type dueHeap []dueEntry

func (h *dueHeap) push(e dueEntry) {
	*h = append(*h, e)
	a := *h
	i := len(a) - 1
	for i > 0 {
		up := (i - 1) / 2
		if !e.before(a[up]) {
			break
		}
		a[i] = a[up]
		i = up
	}
	a[i] = e
}

func (h *dueHeap) pop() int32 {
	a := *h
	first := a[0].driver
	last := a[len(a)-1]
	a = a[:len(a)-1]
	*h = a
	i := 0
	for {
		down := 2*i + 1
		if down >= len(a) {
			break
		}
		if down+1 < len(a) && a[down+1].before(a[down]) {
			down++
		}
		if !a[down].before(last) {
			break
		}
		a[i] = a[down]
		i = down
	}
	if len(a) > 0 {
		a[i] = last
	}
	return first
}

// NewMap builds the static map over servers, or nil when there are none: as many slots as the
// weights sum up to, each given to the server that lags furthest behind its share, the first
// declared one among equals. It is both the order of a static round robin and, read by hash modulo
// its length, the map of a hash. Weights should have no common divisor.
func NewMap(servers []Server) *Sequence {
	if len(servers) == 0 {
		return nil
	}
	total := 0
	for _, s := range servers {
		total += s.Weight
	}
	order := make([]uint16, total)
	credit := make([]int, len(servers))
	for slot := range order {
		best, lead := -1, 0
		for i, s := range servers {
			credit[i] += s.Weight
			// Whole laps of credit, shifted so that a small debt counts as less than none.
			if laps := (credit[i] + total) / total; best < 0 || laps > lead {
				best, lead = i, laps
			}
		}
		order[slot] = uint16(servers[best].Index)
		credit[best] -= total
	}
	return &Sequence{order: order, loop: total}
}
