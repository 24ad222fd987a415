package report

import (
	"encoding/json"
	"fmt"
	"io"
	"strings"
)

// Read reads what [Report.JSON] wrote.
func Read(r io.Reader) (*Report, error) {
	var rep Report
	if err := json.NewDecoder(r).Decode(&rep); err != nil {
		return nil, fmt.Errorf("read a report: %w", err)
	}
	return &rep, nil
}

// compared are the metrics that two runs are compared by.
var compared = []Metric{CPU, Machine, P99, P999, Memory, Workers}

// Compare writes how two runs differ, for what is in both. Where a peer has a ratio to the reference
// the ratios are compared, since they survive a change of the machine's mood; figures are shown beside.
// What lies outside the other run's range is marked.
func Compare(w io.Writer, before, after *Report) error {
	var b strings.Builder
	for _, h := range []struct {
		name string
		*Report
	}{{"Before", before}, {"After", after}} {
		fmt.Fprintf(&b, "%s: %s, Linux %s, %s, %d rounds of %s.\n", h.name, h.Host.Time.UTC().Format("2006-01-02 15:04 UTC"), h.Host.Kernel, h.Host.CPU, h.Host.Rounds, h.Host.Window)
	}
	if before.Host.Kernel != after.Host.Kernel || before.Host.CPU != after.Host.CPU || before.Host.Placement != after.Host.Placement {
		b.WriteString("The machines or the placements differ: only ratios mean something.\n")
	}
	var t table
	for i := range after.Rows {
		now := &after.Rows[i]
		was := before.row(now.Scenario, now.Peer)
		if was == nil {
			continue
		}
		for _, m := range compared {
			x, y := was.Values[m], now.Values[m]
			if x.N == 0 || y.N == 0 || x.Max == 0 && y.Max == 0 {
				continue
			}
			relX, relY, rel := was.Ratios[m], now.Ratios[m], "–"
			change, clear := difference(x, y)
			if now.Peer != after.Reference && relX.N > 0 && relY.N > 0 {
				rel = ratio(relX) + " → " + ratio(relY)
				change, clear = difference(relX, relY)
			}
			mark := ""
			if clear {
				mark = "*"
			}
			t.add(now.Scenario, now.Peer, string(m), spread(x, m.format), spread(y, m.format), rel, change, mark)
		}
	}
	t.write(&b, "scenario", "peer", "metric", "before", "after", "ratio to "+after.Reference, "change", "")
	if len(t.rows) == 0 {
		b.WriteString("\nThe two runs have nothing in common.\n")
	} else {
		b.WriteString("\nChanges are of the ratio where there is one. * the ranges do not overlap.\n")
	}
	_, err := io.WriteString(w, b.String())
	return err
}

// difference is the change of the median, and whether the ranges are apart.
func difference(x, y Spread) (change string, clear bool) {
	change = "–"
	if x.Median != 0 {
		change = fmt.Sprintf("%+.1f %%", 100*(y.Median/x.Median-1))
	}
	return change, y.Min > x.Max || y.Max < x.Min
}
