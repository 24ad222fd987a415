package balance

import (
	"fmt"
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
