package scenarios

import (
	"testing"
	"time"

	"github.com/penstock/penstock/bench/report"
)

// FuzzPrograms feeds the readers of other programs' output: an answer is a result above zero or an error.
func FuzzPrograms(f *testing.F) {
	for _, seed := range []string{
		"\"test\",\"rps\",\"p50_latency_ms\",\"p99_latency_ms\"\n\"GET\",\"1000.5\",\"0.2\",\"1.5\"\n",
		"\"rps\"\n\"NaN\"\n", "\"rps\"\n\"1e-320\"\n",
		"    transactions:    1000 (100.0 per sec.)\n    total time:    1.5s\n 99th percentile:   2.5\n",
		"transactions: 1 total time: 1e9s 99th percentile: 9.9.9",
		`{"end":{"sum_received":{"bytes":1e10,"seconds":1.5}}}`, `{"error":"no route"}`, `{"end":{"sum_received":{"bytes":-1,"seconds":1e300}}}`,
	} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, output []byte) {
		redis := func(b []byte, _ time.Duration) (report.Sample, error) { return parseRedisBenchmark(b, 1000) }
		for i, parse := range []func([]byte, time.Duration) (report.Sample, error){redis, parseSysbench, parseIperf3} {
			s, err := parse(output, time.Second)
			if err == nil && (s.Elapsed <= 0 || s.Ops+s.Bytes == 0) {
				t.Errorf("reader %d: %+v without an error", i, s)
			}
		}
	})
}
