package live

import (
	"fmt"
	"slices"
	"sync"
	"time"
)

// mostTalks bounds the round trips that are kept of one session.
const mostTalks = 1 << 17

// talks are the round trips of one session.
type talks struct {
	mu   sync.Mutex
	n    int
	kept []roundTrip
}

type roundTrip struct {
	began time.Time
	took  time.Duration
}

func (t *talks) add(began time.Time, took time.Duration) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.n++
	if len(t.kept) < mostTalks {
		t.kept = append(t.kept, roundTrip{began, took})
	}
}

func (t *talks) count() int {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.n
}

// Window is a time during which something happened that may make clients wait.
type Window struct{ From, To time.Time }

// Stalls sums up how long ping-pong clients waited for answers in some windows.
type Stalls struct {
	RoundTrips    int // that ran, at least in part, in a window
	P50, P99, Max time.Duration

	Clients  int           // counted once for each window in which it had a round trip
	WorstP99 time.Duration // 99 % of those had no round trip above this in the window
}

func (s Stalls) String() string {
	return fmt.Sprintf("%d round trips: p50 %v, p99 %v, max %v; the longest of each of %d clients: p99 %v",
		s.RoundTrips, s.P50.Round(time.Microsecond), s.P99.Round(time.Microsecond), s.Max.Round(time.Microsecond),
		s.Clients, s.WorstP99.Round(time.Microsecond))
}

// Stalls looks at the round trips of all talkers that overlap one of the windows, which must not
// overlap each other. Those that have not ended yet are not in it.
func (l *Load) Stalls(windows ...Window) Stalls {
	l.mu.Lock()
	sessions := slices.Clone(l.sessions)
	l.mu.Unlock()
	var all, worst []time.Duration
	for _, s := range sessions {
		s.talks.mu.Lock()
		longest := make(map[int]time.Duration)
		for _, trip := range s.talks.kept {
			// The first window that ends after the trip began; round trips are rarely longer than a window,
			// and one that is counts in the first that it meets.
			i, _ := slices.BinarySearchFunc(windows, trip.began, func(w Window, t time.Time) int { return w.To.Compare(t) })
			if i == len(windows) || trip.began.Add(trip.took).Before(windows[i].From) {
				continue
			}
			all = append(all, trip.took)
			longest[i] = max(longest[i], trip.took)
		}
		s.talks.mu.Unlock()
		for _, d := range longest {
			worst = append(worst, d)
		}
	}
	slices.Sort(all)
	slices.Sort(worst)
	stalls := Stalls{RoundTrips: len(all), Clients: len(worst), P50: quantile(all, 0.5), P99: quantile(all, 0.99), WorstP99: quantile(worst, 0.99)}
	if len(all) > 0 {
		stalls.Max = all[len(all)-1]
	}
	return stalls
}

// quantile is the smallest value that a share of the sorted values does not exceed.
func quantile(sorted []time.Duration, share float64) time.Duration {
	if len(sorted) == 0 {
		return 0
	}
	i := int(share*float64(len(sorted))+0.999999) - 1
	return sorted[min(max(i, 0), len(sorted)-1)]
}
