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
	fmt.Fprintf(&b, "%s; %d interleaved rounds, windows of %s.\nMedians, ranges in brackets; ratios are taken within a round, to %s.\n\n", h.Placement, h.Rounds, h.Window, r.Reference)
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
	r.memory(&b)
	r.calls(&b)
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
		if row.Unit == PerSession {
			continue
		}
		unit := string(row.Unit)
		latency := "–"
		if row.P50.N > 0 {
			latency = duration(row.P50.Median) + " / " + duration(row.P99.Median)
		}
		cost, user := "–", "–"
		if row.Cost.Max > 0 {
			cost = spread(row.Cost, duration) + "/" + unit
			user = fmt.Sprintf("%.0f %%", 100*row.UserPart)
		}
		t.add(row.Scenario, row.Peer, spread(row.Rate, count)+" "+unit+"/s", latency, cost, user, ratio(row.Ratio), duration(row.LoadCost.Median)+"/"+unit)
	}
	t.write(b, "scenario", "peer", "rate", "p50 / p99", "CPU of the proxy", "user", "ratio", "CPU of the load")
}

func (r *Report) memory(b *strings.Builder) {
	var t table
	for _, row := range r.Rows {
		if row.Unit != PerSession {
			continue
		}
		user := "–"
		if row.Cost.Max > 0 {
			user = spread(row.Cost, size)
		}
		t.add(row.Scenario, row.Peer, user, ratio(row.Ratio), spread(row.Kernel, size))
	}
	t.write(b, "scenario", "peer", "user space per session", "ratio", "kernel per session, both ends included")
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
