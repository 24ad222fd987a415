package balance

import (
	"cmp"
	"slices"
)

// Ring is the table of consistent hashing: every server owns as many points on the circle of 32-bit
// numbers as its effective weight, and a hash belongs to the nearest point. A server that comes or
// goes moves only the hashes near its own points.
type Ring struct {
	points []point
}

type point struct {
	at     uint32
	server int32
}

// Key is where the points of the server with this identifier begin: each identifier owns MaxWeight numbers.
func Key(id int) uint32 { return uint32(id) * MaxWeight }

// NewRing builds the ring over servers, or nil when there are none.
func NewRing(servers []Server) *Ring {
	total := 0
	for _, s := range servers {
		total += s.Weight
	}
	if total == 0 {
		return nil
	}
	r := &Ring{points: make([]point, 0, total)}
	for _, s := range servers {
		for i := range s.Weight {
			r.points = append(r.points, point{at: Avalanche(s.Key + uint32(i)), server: s.Index})
		}
	}
	slices.SortStableFunc(r.points, func(a, b point) int { return cmp.Compare(a.at, b.at) })
	return r
}

// Lookup is the number of the point nearest to hash; the one before wins when two are equally near.
func (r *Ring) Lookup(hash uint32) int {
	after, _ := slices.BinarySearchFunc(r.points, hash, func(p point, h uint32) int { return cmp.Compare(p.at, h) })
	before := after - 1
	if after == len(r.points) {
		after = 0
	}
	if before < 0 {
		before = len(r.points) - 1
	}
	// Subtraction wraps as the circle does.
	if hash-r.points[before].at <= r.points[after].at-hash {
		return before
	}
	return after
}

// Server is the owner of a point.
func (r *Ring) Server(point int) int32 { return r.points[point].server }

// Next is the point after a point, clockwise.
func (r *Ring) Next(point int) int {
	if point++; point == len(r.points) {
		return 0
	}
	return point
}

// Len is the number of points.
func (r *Ring) Len() int { return len(r.points) }
