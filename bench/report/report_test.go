package report

import (
	"bytes"
	"encoding/json"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

func TestSpreadOf(t *testing.T) {
	for _, tc := range []struct {
		in   []float64
		want Spread
	}{
		{nil, Spread{}},
		{[]float64{3}, Spread{3, 3, 3, 1}},
		{[]float64{4, 1}, Spread{2.5, 1, 4, 2}},
		{[]float64{9, 1, 5}, Spread{5, 1, 9, 3}},
		{[]float64{4, 3, 2, 1}, Spread{2.5, 1, 4, 4}},
	} {
		in := append([]float64(nil), tc.in...)
		if diff := cmp.Diff(tc.want, SpreadOf(in)); diff != "" {
			t.Errorf("%v: %s", tc.in, diff)
		}
		if diff := cmp.Diff(tc.in, in); diff != "" {
			t.Errorf("%v was changed: %s", tc.in, diff)
		}
	}
}

func TestRatios(t *testing.T) {
	of := map[int]float64{0: 2, 1: 9, 2: 4, 5: 1}
	ref := map[int]float64{0: 4, 1: 3, 2: 0, 7: 1}
	if diff := cmp.Diff([]float64{0.5, 3}, Ratios(of, ref)); diff != "" {
		t.Error(diff)
	}
	if got := Ratios(of, nil); got != nil {
		t.Errorf("ratios to nothing: %v", got)
	}
}

func sample(scenario, peer string, round int, ops uint64, cpu time.Duration) Sample {
	return Sample{
		Scenario: scenario, Peer: peer, Round: round, Ops: ops, Elapsed: time.Second, CPU: cpu,
		User: cpu / 4, System: cpu - cpu/4, LoadCPU: 2 * cpu,
		LatencyNs: &Latency{P50: 1000, P99: 2000 * int64(round+1), P999: 3000},
	}
}

func example() *Report {
	return &Report{
		Reference: "haproxy",
		Host:      Host{Kernel: "6.18", CPUs: 2, CPU: "some", Go: "go1.26", Placement: "Proxy on CPU 0", Rounds: 3, Window: "1s", Time: time.Unix(0, 0)},
		Peers: []Peer{
			{Name: "penstock", Version: "1"},
			{Name: "haproxy", Version: "2.6"},
			{Name: "nginx", Missing: "not installed"},
			{Name: "direct"},
		},
		Scenarios: []Scenario{
			{"rr", "round trips", PerOp}, {"bulk", "streams", PerGiB}, {"idle", "sessions at rest", PerSession},
		},
		Samples: []Sample{
			sample("rr", "penstock", 0, 100_000, time.Second), sample("rr", "haproxy", 0, 100_000, 2*time.Second),
			sample("rr", "haproxy", 1, 100_000, time.Second), sample("rr", "penstock", 1, 50_000, time.Second),
			sample("rr", "penstock", 2, 100_000, time.Second), sample("rr", "haproxy", 2, 100_000, time.Second),
			{Scenario: "rr", Peer: "direct", Ops: 1000, Elapsed: time.Second},
			{Scenario: "bulk", Peer: "haproxy", Bytes: 3 << 30, Elapsed: 2 * time.Second, CPU: time.Second},
			{Scenario: "idle", Peer: "haproxy", Sessions: 10, UserBytes: 40960, KernelBytes: 1000},
			{Scenario: "idle", Peer: "penstock", Sessions: 10, UserBytes: 4096, KernelBytes: 1000},
		},
	}
}

func TestSummarise(t *testing.T) {
	r := example()
	r.Summarise()
	var got []string
	for _, row := range r.Rows {
		got = append(got, row.Scenario+" "+row.Peer)
	}
	want := []string{"rr penstock", "rr haproxy", "rr direct", "bulk haproxy", "idle penstock", "idle haproxy"}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Fatal(diff)
	}
	if diff := cmp.Diff(Row{
		Scenario: "rr", Peer: "penstock", Unit: PerOp,
		Rate:     Spread{100_000, 50_000, 100_000, 3},
		Cost:     Spread{1e-5, 1e-5, 2e-5, 3},
		LoadCost: Spread{2e-5, 2e-5, 4e-5, 3},
		UserPart: 0.25,
		P50:      Spread{1e-6, 1e-6, 1e-6, 3}, P99: Spread{4e-6, 2e-6, 6e-6, 3}, P999: Spread{3e-6, 3e-6, 3e-6, 3},
		Ratio: Spread{1, 0.5, 2, 3},
	}, r.Rows[0]); diff != "" {
		t.Error(diff)
	}
	if got := r.Rows[3].Rate.Median; got != 1.5 {
		t.Errorf("bulk rate %v GiB/s, want 1.5", got)
	}
	idle := r.Rows[4]
	if idle.Cost.Median != 409.6 || idle.Kernel.Median != 100 || idle.Ratio.Median != 0.1 {
		t.Errorf("idle: %+v", idle)
	}
	first := r.Rows
	r.Summarise()
	if diff := cmp.Diff(first, r.Rows); diff != "" {
		t.Errorf("a second summary differs: %s", diff)
	}
}

func TestMarkdown(t *testing.T) {
	r := example()
	r.Calls = []Calls{{Scenario: "rr", Peer: "haproxy", Units: 10, Counts: map[string]uint64{"sendto": 20, "recvfrom": 20, "epoll_wait": 1}}}
	r.Failures = []Failure{{"rr", "nginx", "wrong bytes"}}
	r.Notes = []string{"nothing was counted"}
	r.Summarise()
	var b bytes.Buffer
	if err := r.Markdown(&b); err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{
		"- nginx: skipped: not installed\n",
		"- rr: round trips\n",
		"| rr       | penstock | 100.0k [50.0k–100.0k] op/s  | 1.0 µs / 4.0 µs | 10.0 µs [10.0 µs–20.0 µs]/op | 25 % | 1.00 [0.50–2.00] |",
		"| bulk     | haproxy  | 1.50 GiB/s ",
		"| idle     | penstock | 410 B ",
		"| idle     | haproxy  | 4.00 KiB ",
		"| rr       | haproxy | 4.10/op      | recvfrom 2.00, sendto 2.00, epoll_wait 0.10 |",
		"FAILED: rr, nginx: wrong bytes\n",
		"Note: nothing was counted\n",
	} {
		if !strings.Contains(b.String(), want) {
			t.Errorf("no %q in\n%s", want, b.String())
		}
	}
	columns := 0
	for line := range strings.Lines(b.String()) {
		switch n := strings.Count(line, "|"); {
		case n == 0:
			columns = 0
		case columns == 0:
			columns = n
		case n != columns:
			t.Errorf("%d bars, want %d: %s", n, columns, line)
		}
	}
}

func TestJSON(t *testing.T) {
	r := example()
	r.Summarise()
	var b bytes.Buffer
	if err := r.JSON(&b); err != nil {
		t.Fatal(err)
	}
	var back Report
	if err := json.Unmarshal(b.Bytes(), &back); err != nil {
		t.Fatal(err)
	}
	back.Host.Time = r.Host.Time
	if diff := cmp.Diff(r, &back); diff != "" {
		t.Error(diff)
	}
}

func TestFormats(t *testing.T) {
	for _, tc := range []struct{ got, want string }{
		{duration(12e-9), "12 ns"},
		{duration(1.25e-5), "12.5 µs"},
		{duration(0.0042), "4.2 ms"},
		{duration(1.5), "1.50 s"},
		{count(1.234), "1.23"},
		{count(4321), "4321"},
		{count(43210), "43.2k"},
		{size(117), "117 B"},
		{size(3892), "3.80 KiB"},
		{ratio(Spread{}), "–"},
		{ratio(SpreadOf([]float64{0.5})), "0.50"},
	} {
		if tc.got != tc.want {
			t.Errorf("%q, want %q", tc.got, tc.want)
		}
	}
}
