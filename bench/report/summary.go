package report

import (
	"fmt"
	"os"
	"strings"
)

// Summary is the report on half a page, for a README: one line for each scenario with a cost, and the
// targets that were judged.
func (r *Report) Summary() string {
	var b strings.Builder
	h := &r.Host
	fmt.Fprintf(&b, "Linux %s, %d CPUs (%s), %s, %s; haproxy %s; %d interleaved rounds of %s, medians, ranges in brackets. %s\n",
		h.Kernel, h.CPUs, h.CPU, h.Go, h.Time.UTC().Format("2006-01-02"), r.version(r.Reference), h.Rounds, h.Window, h.Placement)
	var t table
	for _, s := range r.Scenarios {
		metric := CPU
		if s.Unit == PerSession {
			metric = Memory
		}
		own, ref := r.row(s.Name, Judged), r.row(s.Name, r.Reference)
		if own == nil || ref == nil || s.Unit == PerSecond || own.Ratios[metric].N == 0 {
			continue
		}
		t.add(s.About, r.median(own, metric), r.median(ref, metric), ratio(own.Ratios[metric]), ratio(own.ToLimit[metric]))
	}
	t.write(&b, "what", Judged, r.Reference, "ratio", "to "+r.Limit)
	r.targets(&b)
	return b.String()
}

func (r *Report) median(row *Row, m Metric) string {
	v := row.Values[m].Median
	if m == Memory {
		return size(v)
	}
	return duration(v) + "/" + string(row.Unit)
}

func (r *Report) version(peer string) string {
	for _, p := range r.Peers {
		if p.Name == peer {
			return p.Version
		}
	}
	return "unknown"
}

// PutSummary puts the summary between the marks "bench" of a document.
func (r *Report) PutSummary(file string) error { return Put(file, "bench", r.Summary()) }

// marks are the lines of a document between which something of a name stands.
func marks(name string) (begin, end string) {
	return "<!-- " + name + ":begin -->\n", "<!-- " + name + ":end -->\n"
}

// Put replaces what stands between the marks of a name in a document.
func Put(file, name, text string) error {
	begin, end := marks(name)
	was, err := os.ReadFile(file)
	if err != nil {
		return fmt.Errorf("put %s: %w", name, err)
	}
	head, rest, begun := strings.Cut(string(was), begin)
	_, tail, ended := strings.Cut(rest, end)
	if !begun || !ended {
		return fmt.Errorf("put %s into %s: the marks %s:begin and %s:end are not there", name, file, name, name)
	}
	if err := os.WriteFile(file, []byte(head+begin+"\n"+text+"\n"+end+tail), 0o644); err != nil {
		return fmt.Errorf("put %s: %w", name, err)
	}
	return nil
}
