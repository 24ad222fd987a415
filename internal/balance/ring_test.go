package balance

import (
	"math/rand/v2"
	"testing"
)

// TestRingNearest compares with a search through all points.
func TestRingNearest(t *testing.T) {
	r := NewRing(servers(WeightScale, 1, 2, 3))
	if r.Len() != 6*WeightScale {
		t.Fatalf("%d points, want %d", r.Len(), 6*WeightScale)
	}
	distance := func(p int, hash uint32) uint32 {
		at := r.points[p].at
		return min(at-hash, hash-at)
	}
	random := rand.New(rand.NewPCG(9, 10))
	hashes := []uint32{0, 1, 1<<32 - 1, 1 << 31}
	for _, p := range r.points {
		hashes = append(hashes, p.at-1, p.at, p.at+1)
	}
	for range 1000 {
		hashes = append(hashes, random.Uint32())
	}
	for _, hash := range hashes {
		got := distance(r.Lookup(hash), hash)
		for p := range r.points {
			if d := distance(p, hash); d < got {
				t.Fatalf("Lookup(%#x) is %d away, but a point is %d away", hash, got, d)
			}
		}
	}
}

// TestRingKeeps checks that the loss of a server moves only its own hashes.
func TestRingKeeps(t *testing.T) {
	all := NewRing(servers(WeightScale, 4, 4, 4, 4))
	less := NewRing(servers(WeightScale, 4, 0, 4, 4))
	random := rand.New(rand.NewPCG(11, 12))
	counts := make([]int, 5)
	const n = 20000
	for range n {
		hash := random.Uint32()
		was, is := all.Server(all.Lookup(hash)), less.Server(less.Lookup(hash))
		if was != 2 && was != is {
			t.Fatalf("hash %#x moved from %d to %d", hash, was, is)
		}
		counts[was]++
	}
	for i, c := range counts[1:] {
		if c < n/8 || c > n*3/8 {
			t.Errorf("server %d has %d of %d hashes", i+1, c, n)
		}
	}
}

func TestRingNextGoesRound(t *testing.T) {
	r := NewRing(servers(1, 2, 3))
	p := 0
	for range r.Len() {
		p = r.Next(p)
	}
	if p != 0 {
		t.Errorf("once round the ring ends at %d", p)
	}
}

func TestLeastConnKey(t *testing.T) {
	for _, tc := range []struct{ inflight, weight, want int }{
		{0, 1, 0},
		{0, MaxWeight, 0},
		{1, 16, 512},
		{1, 32, 256},
		{3, 16, 1024},
	} {
		if got := LeastConnKey(tc.inflight, tc.weight); got != tc.want {
			t.Errorf("LeastConnKey(%d, %d) = %d, want %d", tc.inflight, tc.weight, got, tc.want)
		}
	}
}

func TestLessLoaded(t *testing.T) {
	for _, tc := range []struct {
		served, weight, otherServed, otherWeight int
		want                                     bool
	}{
		{1, 16, 2, 16, true},
		{2, 16, 2, 16, false},
		{2, 32, 2, 16, true},
		{3, 48, 1, 16, false},
		{0, 1, 0, 9, false},
	} {
		if got := LessLoaded(tc.served, tc.weight, tc.otherServed, tc.otherWeight); got != tc.want {
			t.Errorf("LessLoaded(%d, %d, %d, %d) = %v", tc.served, tc.weight, tc.otherServed, tc.otherWeight, got)
		}
	}
}

// TestShareSumsUp checks that all shares together are the slots there are.
func TestShareSumsUp(t *testing.T) {
	weights := []int{16, 48, 32, 160}
	const total = 256
	for served := range 2000 {
		for _, factor := range []int{101, 125, 200} {
			slots := ((served+1)*factor + 99) / 100
			sum, below := 0, 0
			for _, w := range weights {
				share := Share(served, factor, below, w, total)
				if share < 1 {
					t.Fatalf("share %d", share)
				}
				sum += share
				below += w
			}
			if slots > total && sum != slots || sum < slots {
				t.Fatalf("%d served, factor %d: shares sum up to %d of %d slots", served, factor, sum, slots)
			}
		}
	}
}

func BenchmarkRingLookup(b *testing.B) {
	r := NewRing(servers(WeightScale, 10, 10, 10, 10))
	hash := uint32(0)
	for b.Loop() {
		hash = Avalanche(hash + uint32(r.Lookup(hash)))
	}
}
