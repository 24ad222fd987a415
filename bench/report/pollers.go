package report

import (
	"fmt"
	"strings"
)

// Pollers is how the round trips through one proxy did with and without clients that poll its stats socket. The windows of
// a round have the same index.
type Pollers struct {
	Peer    string
	Version string
	Missing string // why it could not be measured; then the rest is empty

	Without, With []PollersWindow
}

// PollersWindow is one window. Latencies are in nanoseconds, rates in a second.
type PollersWindow struct {
	P50, P99    int64
	Rate        float64 // round trips
	Polls       int     // answers
	PollRate    float64
	PolledBytes int64
}

// PollersTable compares proxies: a line for each figure, a column for each proxy. Ratios are medians over the rounds.
func PollersTable(h *Host, about string, results []Pollers) string {
	var b strings.Builder
	fmt.Fprintf(&b, "Linux %s, %d CPUs (%s), %s, %s", h.Kernel, h.CPUs, h.CPU, h.Go, h.Time.UTC().Format("2006-01-02"))
	heads := []string{""}
	var measured []*Pollers
	for i := range results {
		r := &results[i]
		if r.Missing != "" {
			fmt.Fprintf(&b, "; %s: skipped: %s", r.Peer, r.Missing)
			continue
		}
		fmt.Fprintf(&b, "; %s %s", r.Peer, r.Version)
		heads, measured = append(heads, r.Peer), append(measured, r)
	}
	b.WriteString(". " + about + "\n")
	var t table
	line := func(what string, cell func(r *Pollers) string) {
		cells := []string{what}
		for _, r := range measured {
			cells = append(cells, cell(r))
		}
		t.add(cells...)
	}
	latency := func(windows []PollersWindow, of func(*PollersWindow) float64) string {
		return duration(overRounds(windows, of).Median / 1e9)
	}
	p50 := func(w *PollersWindow) float64 { return float64(w.P50) }
	p99 := func(w *PollersWindow) float64 { return float64(w.P99) }
	rate := func(w *PollersWindow) float64 { return w.Rate }
	line("round trip p50, nobody polls", func(r *Pollers) string { return latency(r.Without, p50) })
	line("round trip p50, polled", func(r *Pollers) string { return latency(r.With, p50) })
	line("round trip p99, nobody polls", func(r *Pollers) string { return latency(r.Without, p99) })
	line("round trip p99, polled", func(r *Pollers) string { return latency(r.With, p99) })
	line("p50, ratio", func(r *Pollers) string { return r.ratio(p50) })
	line("p99, ratio", func(r *Pollers) string { return r.ratio(p99) })
	line("round trips a second, ratio", func(r *Pollers) string { return r.ratio(rate) })
	line("answers a second", func(r *Pollers) string {
		return fmt.Sprintf("%.0f", overRounds(r.With, func(w *PollersWindow) float64 { return w.PollRate }).Median)
	})
	line("bytes of an answer", func(r *Pollers) string {
		return fmt.Sprintf("%.0f", overRounds(r.With, func(w *PollersWindow) float64 { return float64(w.PolledBytes) / float64(max(w.Polls, 1)) }).Median)
	})
	t.write(&b, heads...)
	return b.String()
}

func overRounds(windows []PollersWindow, of func(*PollersWindow) float64) Spread {
	values := make([]float64, len(windows))
	for i := range windows {
		values[i] = of(&windows[i])
	}
	return SpreadOf(values)
}

// ratio is a figure with pollers by that without, in the same round: the median, the least and the most.
func (r *Pollers) ratio(of func(*PollersWindow) float64) string {
	with, without := map[int]float64{}, map[int]float64{}
	for i := range r.With {
		with[i], without[i] = of(&r.With[i]), of(&r.Without[i])
	}
	s := SpreadOf(Ratios(with, without))
	return fmt.Sprintf("%.2f (%.2f to %.2f)", s.Median, s.Min, s.Max)
}
