package report

import (
	"fmt"
	"slices"
	"strings"
	"time"
)

// Reload is what a series of reloads did to the clients of one proxy, and what it left behind.
type Reload struct {
	Peer    string
	Version string
	Missing string // why it could not be measured; then the rest is empty

	Reloads     int
	Connections int    // made while it was reloaded
	Lost        int    // of these
	LostHow     string // by cause

	Sessions int // that lived through the reloads
	Cut      int // of these
	Wrong    int // of those cut: that received wrong bytes
	Left     int // that are still with an old process at the end

	Old    int             // processes at the end besides the newest
	Gone   []time.Duration // from the start of a new process to the end of the one before, where it ended at all
	Memory int64           // bytes, PSS of all processes at the end

	StallP50, StallP99, StallMax time.Duration // of ping-pong round trips during the reloads
}

// ReloadTable compares proxies: a line for each figure, a column for each proxy.
func ReloadTable(h *Host, about string, results []Reload) string {
	var b strings.Builder
	fmt.Fprintf(&b, "Linux %s, %d CPUs (%s), %s, %s", h.Kernel, h.CPUs, h.CPU, h.Go, h.Time.UTC().Format("2006-01-02"))
	heads := []string{"after " + reloads(results)}
	var measured []Reload
	for _, r := range results {
		if r.Missing != "" {
			fmt.Fprintf(&b, "; %s: skipped: %s", r.Peer, r.Missing)
			continue
		}
		fmt.Fprintf(&b, "; %s %s", r.Peer, r.Version)
		heads = append(heads, r.Peer)
		measured = append(measured, r)
	}
	b.WriteString(". " + about + "\n")
	var t table
	line := func(what string, cell func(*Reload) string) {
		cells := []string{what}
		for i := range measured {
			cells = append(cells, cell(&measured[i]))
		}
		t.add(cells...)
	}
	line("connections refused or reset while it reloads", func(r *Reload) string {
		if r.Lost == 0 {
			return fmt.Sprintf("0 of %d", r.Connections)
		}
		return fmt.Sprintf("%d of %d (%s)", r.Lost, r.Connections, r.LostHow)
	})
	line("live sessions cut", func(r *Reload) string {
		text := fmt.Sprintf("%d of %d", r.Cut, r.Sessions)
		if r.Wrong > 0 {
			text += fmt.Sprintf(", %d with wrong bytes", r.Wrong)
		}
		return text
	})
	line("live sessions left with old processes", func(r *Reload) string { return fmt.Sprintf("%d of %d", r.Left, r.Sessions) })
	line("old processes still there", func(r *Reload) string { return fmt.Sprint(r.Old) })
	line("an old process is gone after", func(r *Reload) string {
		if len(r.Gone) == 0 {
			return "its last session"
		}
		gone := slices.Sorted(slices.Values(r.Gone))
		text := fmt.Sprintf("%s, at most %s", duration(gone[len(gone)/2].Seconds()), duration(gone[len(gone)-1].Seconds()))
		if len(gone) < r.Reloads {
			text += fmt.Sprintf("; %d of %d: its last session", r.Reloads-len(gone), r.Reloads)
		}
		return text
	})
	line("memory of all its processes (PSS)", func(r *Reload) string { return fmt.Sprintf("%.1f MiB", float64(r.Memory)/(1<<20)) })
	line("round trips meanwhile, p50", func(r *Reload) string { return duration(r.StallP50.Seconds()) })
	line("round trips meanwhile, p99", func(r *Reload) string { return duration(r.StallP99.Seconds()) })
	line("round trips meanwhile, the longest", func(r *Reload) string { return duration(r.StallMax.Seconds()) })
	t.write(&b, heads...)
	return b.String()
}

// reloads is how many there were.
func reloads(results []Reload) string {
	for _, r := range results {
		if r.Missing == "" {
			return fmt.Sprintf("%d reloads", r.Reloads)
		}
	}
	return "reloads"
}
