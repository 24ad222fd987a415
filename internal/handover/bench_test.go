package handover

import (
	"slices"
	"testing"
)

// BenchmarkHandover moves sessions between two goroutines. It reports how long a session takes on average; a batch
// stands still for as long as all of its sessions together.
func BenchmarkHandover(b *testing.B) {
	const sessions = 2000
	w := mustWorld(b, sessions)
	list := slices.Clone(w.sessions)
	b.ReportAllocs()
	for b.Loop() {
		k, a := newKeeper(list), &adopter{}
		giver, taker := mustControl(b)
		report, err := handoverBetween(k, a, giver, taker, defaultLimits)
		if err != nil || report.Moved != sessions {
			b.Fatalf("%+v, %v", report, err)
		}
		list = a.adopted
	}
	b.ReportMetric(float64(b.Elapsed().Microseconds())/float64(b.N*sessions), "µs/session")
	closeSessions(list)
}
