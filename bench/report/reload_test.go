package report

import (
	"strings"
	"testing"
	"time"
)

func TestReloadTable(t *testing.T) {
	h := Host{Kernel: "6.1", CPUs: 2, CPU: "chip", Go: "go1.26", Time: time.Unix(0, 0)}
	got := ReloadTable(&h, "What was done.", []Reload{
		{
			Peer: "penstock", Version: "0.1", Reloads: 3, Connections: 100, Sessions: 50, Memory: 3 << 20,
			Gone:     []time.Duration{300 * time.Millisecond, 100 * time.Millisecond, 200 * time.Millisecond},
			StallP50: 50 * time.Microsecond, StallP99: time.Millisecond, StallMax: 5 * time.Millisecond,
		},
		{Peer: "haproxy", Version: "2.6", Reloads: 3, Connections: 90, Lost: 2, LostHow: "2 reset", Sessions: 50, Cut: 1, Left: 49, Old: 3, Memory: 40 << 20},
		{Peer: "other", Missing: "not installed"},
	})
	for _, want := range []string{
		"Linux 6.1, 2 CPUs (chip), go1.26, 1970-01-01; penstock 0.1; haproxy 2.6; other: skipped: not installed. What was done.\n",
		"| after 3 reloads ", "| 0 of 100 ", "| 2 of 90 (2 reset) ", "| 49 of 50 ", "| 200.0 ms, at most 300.0 ms ", "| its last session ",
		"| 3.0 MiB ", "| 5.0 ms ",
	} {
		if !strings.Contains(got, want) {
			t.Errorf("no %q in\n%s", want, got)
		}
	}
	if strings.Contains(got, "| other") {
		t.Errorf("a column for a peer that is missing:\n%s", got)
	}
}
