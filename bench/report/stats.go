package report

import "slices"

// Spread is what several rounds gave for one figure.
type Spread struct {
	Median float64 `json:"median"`
	Min    float64 `json:"min"`
	Max    float64 `json:"max"`
	N      int     `json:"n"`
}

// SpreadOf sums up values; of none it is zero.
func SpreadOf(values []float64) Spread {
	n := len(values)
	if n == 0 {
		return Spread{}
	}
	v := slices.Sorted(slices.Values(values))
	return Spread{Median: (v[(n-1)/2] + v[n/2]) / 2, Min: v[0], Max: v[n-1], N: n}
}

// Ratios divides what a peer has in each round by what the reference has in the same round; rounds that
// one of them lacks are left out.
func Ratios(of, reference map[int]float64) []float64 {
	var out []float64
	for round, v := range of {
		if r := reference[round]; r > 0 {
			out = append(out, v/r)
		}
	}
	slices.Sort(out)
	return out
}
