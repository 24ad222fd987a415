package report

import (
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"
)

// Markdown writes the report for people.
func (r *Report) Markdown(w io.Writer) error {
	var b strings.Builder
	h := &r.Host
	fmt.Fprintf(&b, "Linux %s, %d CPUs (%s), %s, %s.\n", h.Kernel, h.CPUs, h.CPU, h.Go, h.Time.UTC().Format("2006-01-02 15:04 UTC"))
	fmt.Fprintf(&b, "%s; %d interleaved rounds, windows of %s.\nMedians, ranges in brackets; ratios are taken within a round, of the proxy's CPU time where nothing else is said.\n\n", h.Placement, h.Rounds, h.Window)
	for _, p := range r.Peers {
		switch {
		case p.Missing != "":
			fmt.Fprintf(&b, "- %s: skipped: %s\n", p.Name, p.Missing)
		default:
			fmt.Fprintf(&b, "- %s: %s\n", p.Name, p.Version)
		}
	}
	for _, s := range r.Scenarios {
		fmt.Fprintf(&b, "- %s: %s\n", s.Name, s.About)
	}
	r.costs(&b)
	r.latencies(&b)
	r.machine(&b)
	r.memory(&b)
	r.wakeups(&b)
	r.calls(&b)
	r.targets(&b)
	for _, n := range r.Notes {
		fmt.Fprintf(&b, "\nNote: %s\n", n)
	}
	for _, f := range r.Failures {
		fmt.Fprintf(&b, "\nFAILED: %s, %s: %s\n", f.Scenario, f.Peer, f.Error)
	}
	_, err := io.WriteString(w, b.String())
	return err
}

func (r *Report) costs(b *strings.Builder) {
	var t table
	for _, row := range r.Rows {
		rate, known := row.Values[Rate]
		if !known {
			continue
		}
		unit := string(row.Unit)
		cost, user, switches := "–", "–", "–"
		if row.Values[CPU].Max > 0 {
			cost = spread(row.Values[CPU], duration) + "/" + unit
			user = fmt.Sprintf("%.0f %%", 100*row.UserPart)
			switches = count(row.Values[Switches].Median) + "/" + unit
		}
		loadCost := "–"
		if row.Values[LoadCPU].Max > 0 {
			loadCost = duration(row.Values[LoadCPU].Median) + "/" + unit
		}
		rates := spread(rate, count) + " " + unit + "/s"
		if beside := row.Values[Beside]; beside.N > 0 {
			rates += ", " + spread(beside, count) + " GiB/s"
		}
		t.add(row.Scenario, row.Peer, rates, cost, user, ratio(row.Ratios[CPU]), ratio(row.ToLimit[CPU]), switches, loadCost)
	}
	t.write(b, "scenario", "peer", "rate", "CPU of the proxy", "user", "ratio to "+r.Reference, "to "+r.Limit, "context switches", "CPU of the load")
}

func (r *Report) latencies(b *strings.Builder) {
	var t table
	for _, row := range r.Rows {
		if row.Values[P99].N == 0 {
			continue
		}
		cells := []string{row.Scenario, row.Peer}
		for _, m := range []Metric{P50, P99, P999} {
			if row.Values[m].N == 0 {
				cells = append(cells, "–")
				continue
			}
			cells = append(cells, spread(row.Values[m], duration))
		}
		t.add(append(cells, ratio(row.Ratios[P99]), ratio(row.Ratios[P999]))...)
	}
	t.write(b, "scenario", "peer", "p50", "p99", "p99.9", "p99 to "+r.Reference, "p99.9 to "+r.Reference)
}

func (r *Report) machine(b *strings.Builder) {
	var t table
	for _, row := range r.Rows {
		if m := row.Values[Machine]; m.Max > 0 {
			together := "–"
			if row.Values[Together].N > 0 {
				together = spread(row.Values[Together], duration) + "/" + string(row.Unit)
			}
			t.add(row.Scenario, row.Peer, spread(m, duration)+"/"+string(row.Unit), ratio(row.Ratios[Machine]), ratio(row.ToLimit[Machine]), together, ratio(row.Ratios[Together]))
		}
	}
	t.write(b, "scenario", "peer", "CPU of the whole machine", "ratio to "+r.Reference, "to "+r.Limit, "proxy and load alone", "ratio to "+r.Reference)
}

func (r *Report) memory(b *strings.Builder) {
	var t table
	for _, row := range r.Rows {
		if row.Values[Memory].N == 0 {
			continue
		}
		user, kernel := "–", "–"
		if row.Values[Memory].Max > 0 {
			user = spread(row.Values[Memory], size)
		}
		if row.Values[Kernel].N > 0 {
			kernel = spread(row.Values[Kernel], size)
		}
		t.add(row.Scenario, row.Peer, user, ratio(row.Ratios[Memory]), kernel)
	}
	t.write(b, "scenario", "peer", "user space per session", "ratio to "+r.Reference, "kernel per session, both ends included")
}

func (r *Report) wakeups(b *strings.Builder) {
	var t table
	for _, row := range r.Rows {
		if row.Values[Wakeups].N > 0 {
			t.add(row.Scenario, row.Peer, spread(row.Values[Workers], count)+"/s", spread(row.Values[Wakeups], count)+"/s")
		}
	}
	t.write(b, "scenario", "peer", "wake-ups of workers", "of all threads")
}

func (r *Report) targets(b *strings.Builder) {
	var t table
	for i := range r.Targets {
		v := &r.Targets[i]
		measured := "–"
		if v.Measured.N > 0 {
			measured = ratio(v.Measured)
			if v.Against == Absolute {
				measured = spread(v.Measured, v.Metric.format)
			}
		}
		t.add(v.Name, r.limit(&v.Target), measured, v.outcome())
	}
	t.write(b, "target", "limit", "measured", "outcome")
}

func (r *Report) calls(b *strings.Builder) {
	var t table
	for _, c := range r.Calls {
		if c.Units == 0 {
			continue
		}
		unit := PerOp
		for _, s := range r.Scenarios {
			if s.Name == c.Scenario {
				unit = s.Unit
			}
		}
		names := slices.SortedFunc(maps.Keys(c.Counts), func(x, y string) int {
			if c.Counts[x] != c.Counts[y] {
				return int(c.Counts[y]) - int(c.Counts[x])
			}
			return strings.Compare(x, y)
		})
		var total uint64
		var parts []string
		for _, n := range names {
			total += c.Counts[n]
			if per := float64(c.Counts[n]) / c.Units; per >= 0.01 {
				parts = append(parts, fmt.Sprintf("%s %.2f", n, per))
			}
		}
		t.add(c.Scenario, c.Peer, fmt.Sprintf("%.2f/%s", float64(total)/c.Units, unit), strings.Join(parts, ", "))
	}
	t.write(b, "scenario", "peer", "system calls", "of which")
}

// format writes a figure of the metric with its unit.
func (m Metric) format(v float64) string {
	switch m {
	case Memory, Kernel:
		return size(v)
	case Rate, Switches, Wakeups, Workers:
		return count(v)
	default:
		return duration(v)
	}
}

func ratio(s Spread) string {
	if s.N == 0 || s.Max == 0 {
		return "–"
	}
	return spread(s, func(v float64) string { return fmt.Sprintf("%.2f", v) })
}

// spread is "median [min–max]", or the median alone when there is but one.
func spread(s Spread, format func(float64) string) string {
	if s.N == 1 {
		return format(s.Median)
	}
	return fmt.Sprintf("%s [%s–%s]", format(s.Median), format(s.Min), format(s.Max))
}

func duration(seconds float64) string {
	switch {
	case seconds < 1e-6:
		return fmt.Sprintf("%.0f ns", seconds*1e9)
	case seconds < 1e-3:
		return fmt.Sprintf("%.1f µs", seconds*1e6)
	case seconds < 1:
		return fmt.Sprintf("%.1f ms", seconds*1e3)
	default:
		return fmt.Sprintf("%.2f s", seconds)
	}
}

func count(n float64) string {
	switch {
	case n < 100:
		return fmt.Sprintf("%.2f", n)
	case n < 10e3:
		return fmt.Sprintf("%.0f", n)
	default:
		return fmt.Sprintf("%.1fk", n/1e3)
	}
}

func size(bytes float64) string {
	if bytes < 1024 && bytes > -1024 {
		return fmt.Sprintf("%.0f B", bytes)
	}
	return fmt.Sprintf("%.2f KiB", bytes/1024)
}

// table is aligned, so that it reads well before it is rendered.
type table struct{ rows [][]string }

func (t *table) add(cells ...string) { t.rows = append(t.rows, cells) }

func (t *table) write(b *strings.Builder, heads ...string) {
	if len(t.rows) == 0 {
		return
	}
	width := make([]int, len(heads))
	for _, row := range append([][]string{heads}, t.rows...) {
		for i, cell := range row {
			width[i] = max(width[i], len([]rune(cell)))
		}
	}
	line := func(cells []string) {
		for i, cell := range cells {
			b.WriteString("| " + cell + strings.Repeat(" ", width[i]-len([]rune(cell))+1))
		}
		b.WriteString("|\n")
	}
	b.WriteString("\n")
	line(heads)
	for i := range heads {
		b.WriteString("|" + strings.Repeat("-", width[i]+2))
	}
	b.WriteString("|\n")
	for _, row := range t.rows {
		line(row)
	}
}
