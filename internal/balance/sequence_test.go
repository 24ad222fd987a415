package balance

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// servers makes servers 1, 2, … of the given weights times scale; a weight of 0 leaves one out.
func servers(scale int, weights ...int) []Server {
	var list []Server
	for i, w := range weights {
		if w > 0 {
			list = append(list, Server{Index: int32(i + 1), Weight: w * scale, Key: Key(i + 1)})
		}
	}
	return list
}

func visits(s *Sequence, n int) []int32 {
	list := make([]int32, n)
	for i := range list {
		list[i] = s.At(uint64(i))
	}
	return list
}

func TestRoundRobinSequence(t *testing.T) {
	for _, tc := range []struct {
		weights []int
		want    string
	}{
		{[]int{1}, "1 1 1"},
		{[]int{1, 1, 1}, "1 2 3 1 2 3 1 2 3 1 2 3"},
		{[]int{1, 2, 3}, "3 2 3 1 3 2 3 2 3 1 3 2"},
		{[]int{10, 10, 5}, "1 2 1 2 3 1 2 1 2 3 1 2"},
	} {
		t.Run(fmt.Sprint(tc.weights), func(t *testing.T) {
			checkVisits(t, NewRoundRobin(servers(WeightScale, tc.weights...)), tc.want)
		})
	}
}

func TestMapSequence(t *testing.T) {
	for _, tc := range []struct {
		weights []int
		want    string
	}{
		{[]int{1}, "1 1 1"},
		{[]int{1, 1, 1}, "1 2 3 1 2 3"},
		{[]int{1, 2, 3}, "1 3 2 3 2 3 1 3 2 3 2 3"},
		{[]int{2, 2, 1}, "1 2 1 2 3 1 2 1 2 3"},
	} {
		t.Run(fmt.Sprint(tc.weights), func(t *testing.T) {
			checkVisits(t, NewMap(servers(1, tc.weights...)), tc.want)
		})
	}
}

func checkVisits(t *testing.T, s *Sequence, want string) {
	t.Helper()
	var list []int32
	for _, word := range strings.Fields(want) {
		n, err := strconv.Atoi(word)
		if err != nil {
			t.Fatal(err)
		}
		list = append(list, int32(n))
	}
	if diff := cmp.Diff(list, visits(s, len(list))); diff != "" {
		t.Errorf("order (-want +got):\n%s", diff)
	}
}

// TestRoundRobinShares checks that every server gets its share of a loop, and that at no time
// anybody is ahead or behind by more than a few visits. In a lap that does not repeat within
// itself, one that starts late may miss one visit at the end.
func TestRoundRobinShares(t *testing.T) {
	random := rand.New(rand.NewPCG(7, 8))
	for range 200 {
		weights := make([]int, 1+random.IntN(12))
		sum := 0
		for i := range weights {
			weights[i] = 1 + random.IntN(40)
			sum += weights[i]
		}
		s := NewRoundRobin(servers(WeightScale, weights...))
		laps := (s.loop + len(weights) - 1) / (sum * WeightScale)
		counts := make([]int, len(weights)+1)
		for n := range s.loop {
			counts[s.At(uint64(s.once+n))]++
			for i, w := range weights {
				if ahead := counts[i+1]*sum - (n+1)*w; ahead > 4*sum || ahead < -4*sum {
					t.Fatalf("weights %v: server %d has %d of the first %d visits", weights, i+1, counts[i+1], n+1)
				}
			}
		}
		for i, w := range weights {
			want := w * s.loop / sum
			if laps > 0 {
				want = laps * w * WeightScale
			}
			if got := counts[i+1]; got > want || got < want-laps {
				t.Errorf("weights %v: server %d has %d of %d visits, want %d", weights, i+1, got, s.loop, want)
			}
		}
	}
}

// TestRoundRobinRamp has weights that are no multiples of a unit, as while a server warms up: nobody
// gets more than the weight says, and at most one visit less in each lap.
func TestRoundRobinRamp(t *testing.T) {
	for _, weights := range [][]int{{16, 16, 1}, {16, 16, 3}, {160, 160, 7, 33}, {5, 4096, 16}} {
		s := NewRoundRobin(servers(1, weights...))
		counts := make([]int, len(weights)+1)
		for n := range s.loop {
			counts[s.At(uint64(s.once+n))]++
		}
		for i, w := range weights {
			if got := counts[i+1]; got > w || got < max(w-1, 1) {
				t.Errorf("weights %v: server %d has %d of %d visits, want %d or one less", weights, i+1, got, s.loop, w)
			}
		}
	}
}

// TestRoundRobinIsBounded has more weight than the table has room for.
func TestRoundRobinIsBounded(t *testing.T) {
	for _, tc := range []struct {
		servers int
		weight  func(i int) int
	}{
		{4095, func(int) int { return MaxWeight }},
		{300, func(i int) int { return (1 + i%256) * WeightScale }},
		{2000, func(i int) int { return 1 + i%MaxWeight }},
	} {
		list := make([]Server, tc.servers)
		for i := range list {
			list[i] = Server{Index: int32(i), Weight: tc.weight(i)}
		}
		s := NewRoundRobin(list)
		if s.Len() > maxSequence {
			t.Errorf("%d servers: %d entries, bound %d", tc.servers, s.Len(), maxSequence)
		}
		met := make([]bool, tc.servers)
		for n := range s.Len() {
			met[s.At(uint64(n))] = true
		}
		if i := slices.Index(met, false); i >= 0 {
			t.Errorf("%d servers: server %d is never visited", tc.servers, i)
		}
	}
}

func TestMapLookup(t *testing.T) {
	s := NewMap(servers(1, 1, 2, 3))
	for hash := range uint32(60) {
		if got, want := s.Lookup(hash), s.At(uint64(hash)); got != want {
			t.Errorf("Lookup(%d) = %d, want %d", hash, got, want)
		}
	}
}

func TestTablesOfNobody(t *testing.T) {
	if NewRoundRobin(nil) != nil || NewMap(nil) != nil || NewRing(nil) != nil {
		t.Error("a table without servers must be nil")
	}
}

func BenchmarkNewRoundRobin(b *testing.B) {
	for _, n := range []int{3, 100, 4095} {
		b.Run(strconv.Itoa(n), func(b *testing.B) {
			list := make([]Server, n)
			for i := range list {
				list[i] = Server{Index: int32(i), Weight: WeightScale * (1 + i%3)}
			}
			for b.Loop() {
				NewRoundRobin(list)
			}
		})
	}
}
