package stats

import (
	"bytes"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus/testutil/promlint"
)

// Whatever a row has, the metrics are in order: promlint finds nothing.
func TestMetrics(t *testing.T) {
	var rows []Row
	for _, o := range []Object{Frontend, Listener, Server, Backend} {
		r := Row{Object: o, ProxyID: 2, ID: int(o)}
		for c := range NumColumns {
			if columns[c].kind == text {
				r.SetText(c, "a \"b\\\nc\xff")
			} else {
				r.Set(c, 7)
			}
		}
		rows = append(rows, r)
	}
	var out bytes.Buffer
	AppendMetrics(&out, rows, all)
	AppendMetrics(&bytes.Buffer{}, nil, all)
	h := Handovers{Generation: 1, In: 2, Out: 3, Lost: 4, Took: 50 * time.Millisecond, Migrated: 6, Stuck: 7}
	h.AppendMetrics(&out)
	(&Info{Node: "n", Version: "v"}).AppendMetrics(&out)
	for _, line := range []string{
		"penstock_generation 1", "penstock_handover_sessions_in_total 2", "penstock_handover_sessions_out_total 3",
		"penstock_handover_sessions_lost_total 4", "penstock_handover_duration_seconds 0.05", "penstock_kernel_migrations_total 6",
		"penstock_kernel_migration_failures_total 7", `haproxy_backend_total_time_average_seconds{proxy="a \"b\\\nc` + "\uFFFD" + `"} 0.007`,
	} {
		if !strings.Contains(out.String(), "\n"+line+"\n") {
			t.Errorf("%s is missing", line)
		}
	}
	problems, err := promlint.New(&out).Lint()
	if err != nil || len(problems) > 0 {
		t.Errorf("%v: %v", err, problems)
	}
}
