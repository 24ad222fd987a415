package logging

import (
	"fmt"
	"strconv"
	"strings"
	"sync/atomic"
)

// sampler passes those lines of each round of size lines whose number, from 1, lies in a range.
type sampler struct {
	ranges [][2]uint64 // first and last number of each range
	size   uint64
	count  atomic.Uint64
}

// newSampler reads ranges such as "1,4-6".
func newSampler(ranges string, size int) (*sampler, error) {
	s := &sampler{size: uint64(max(size, 0))}
	for word := range strings.SplitSeq(ranges, ",") {
		low, high, isRange := strings.Cut(word, "-")
		if !isRange {
			high = low
		}
		first, err1 := strconv.ParseUint(low, 10, 31)
		last, err2 := strconv.ParseUint(high, 10, 31)
		if err1 != nil || err2 != nil || first == 0 || first > last || last > s.size {
			return nil, fmt.Errorf("read log sample %s:%d: bad range '%s'", ranges, size, word)
		}
		s.ranges = append(s.ranges, [2]uint64{first, last})
	}
	return s, nil
}

func (s *sampler) next() bool {
	n := (s.count.Add(1)-1)%s.size + 1
	for _, r := range s.ranges {
		if r[0] <= n && n <= r[1] {
			return true
		}
	}
	return false
}
