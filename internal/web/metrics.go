package web

import (
	"bytes"
	"net/http"
	"slices"
	"strconv"

	"github.com/penstock/penstock/internal/stats"
)

// metrics knows HAProxy's parameters scope and no-maint.
func (s *site) metrics(w http.ResponseWriter, r *http.Request) {
	query := r.URL.Query()
	wants := func(scope string) bool {
		list := query["scope"]
		return len(list) == 0 || slices.Contains(list, scope) || slices.Contains(list, "*")
	}
	types := 0
	for o, scope := range map[stats.Object]string{
		stats.Frontend: "frontend", stats.Backend: "backend", stats.Server: "server", stats.Listener: "listener",
	} {
		if wants(scope) {
			types |= 1 << o
		}
	}
	sel := stats.Everything
	sel.NoMaint = query.Has("no-maint")
	var out bytes.Buffer
	if wants("global") {
		info := s.source.Info()
		info.AppendMetrics(&out)
		s.appendLoads(&out)
		handovers := s.source.Handovers()
		handovers.AppendMetrics(&out)
	}
	stats.AppendMetrics(&out, s.source.Engine().Stat(sel), types)
	w.Header().Set("Content-Type", "text/plain; version=0.0.4; charset=utf-8")
	_, _ = w.Write(out.Bytes()) // the client may be gone
}

// appendLoads appends what each worker carries.
func (s *site) appendLoads(out *bytes.Buffer) {
	loads := s.source.Engine().Loads()
	for _, m := range []struct {
		name, help string
		value      func(i int) float64
	}{
		{"penstock_worker_sessions", "present sessions of a worker", func(i int) float64 { return float64(loads[i].Sessions) }},
		{"penstock_worker_cpu_seconds_total", "CPU time of a worker's thread", func(i int) float64 { return loads[i].Busy.Seconds() }},
		{"penstock_worker_pipes", "pipes of a worker that hold bytes", func(i int) float64 { return float64(loads[i].PipesUsed) }},
		{"penstock_worker_spliced_bytes_total", "bytes that a worker moved through pipes", func(i int) float64 { return float64(loads[i].Spliced) }},
		{"penstock_worker_copied_bytes_total", "bytes that a worker copied", func(i int) float64 {
			return float64(loads[i].BytesOut) - float64(min(loads[i].Spliced, loads[i].BytesOut))
		}},
	} {
		stats.Family(out, m.name, m.help)
		for i := range loads {
			stats.Sample(out, m.name, m.value(i), "worker", strconv.Itoa(i+1))
		}
	}
}
