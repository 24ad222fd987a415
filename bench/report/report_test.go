package report

import (
	"bytes"
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
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
		User: cpu / 4, System: cpu - cpu/4, LoadCPU: 2 * cpu, MachineCPU: 4 * cpu, Switches: 100,
		LatencyNs: &Latency{P50: 1000, P99: 2000 * int64(round+1), P999: 3000},
	}
}

func example() *Report {
	return &Report{
		Reference: "haproxy",
		Limit:     "bare",
		Host:      Host{Kernel: "6.18", CPUs: 2, CPU: "some", Go: "go1.26", Placement: "Proxy on CPU 0", Rounds: 3, Window: "1s", Time: time.Unix(0, 0)},
		Peers: []Peer{
			{Name: "penstock", Version: "1"},
			{Name: "haproxy", Version: "2.6"},
			{Name: "nginx", Missing: "not installed"},
			{Name: "direct"},
		},
		Scenarios: []Scenario{
			{"roundtrip-50", "round trips", PerOp},
			{"bulk", "streams", PerGiB},
			{"idle-5000", "sessions at rest", PerSession},
			{"wakeups", "nothing", PerSecond},
			{"mix-4", "round trips and streams", PerOp},
		},
		Samples: []Sample{
			sample("roundtrip-50", "penstock", 0, 100_000, time.Second), sample("roundtrip-50", "haproxy", 0, 100_000, 2*time.Second),
			sample("roundtrip-50", "haproxy", 1, 100_000, time.Second), sample("roundtrip-50", "penstock", 1, 50_000, time.Second),
			sample("roundtrip-50", "penstock", 2, 100_000, time.Second), sample("roundtrip-50", "haproxy", 2, 100_000, time.Second),
			{Scenario: "roundtrip-50", Peer: "direct", Ops: 1000, Elapsed: time.Second},
			{Scenario: "bulk", Peer: "haproxy", Bytes: 3 << 30, Elapsed: 2 * time.Second, CPU: time.Second},
			{Scenario: "idle-5000", Peer: "haproxy", Sessions: 10, UserBytes: 40960, KernelBytes: 1000},
			{Scenario: "idle-5000", Peer: "penstock", Sessions: 10, UserBytes: 4096, KernelBytes: 1000},
			{Scenario: "mix-4", Peer: "penstock", Ops: 500, Bytes: 1 << 30, Elapsed: time.Second, CPU: time.Second, LatencyNs: &Latency{P99: 4e6}},
			{Scenario: "wakeups", Peer: "penstock", Elapsed: 2 * time.Second, Wakeups: 6, WorkerWakeups: 2},
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
	want := []string{"roundtrip-50 penstock", "roundtrip-50 haproxy", "roundtrip-50 direct", "bulk haproxy", "idle-5000 penstock", "idle-5000 haproxy", "wakeups penstock", "mix-4 penstock"}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Fatal(diff)
	}
	first3 := Spread{1, 0.5, 2, 3}
	if diff := cmp.Diff(Row{
		Scenario: "roundtrip-50", Peer: "penstock", Unit: PerOp, UserPart: 0.25,
		Values: map[Metric]Spread{
			Rate: {100_000, 50_000, 100_000, 3}, CPU: {1e-5, 1e-5, 2e-5, 3}, LoadCPU: {2e-5, 2e-5, 4e-5, 3}, Machine: {4e-5, 4e-5, 8e-5, 3}, Together: {3e-5, 3e-5, 6e-5, 3},
			Switches: {0.001, 0.001, 0.002, 3},
			P50:      {1e-6, 1e-6, 1e-6, 3}, P99: {4e-6, 2e-6, 6e-6, 3}, P999: {3e-6, 3e-6, 3e-6, 3},
		},
		Ratios: map[Metric]Spread{
			Rate: {1, 0.5, 1, 3}, CPU: first3, LoadCPU: first3, Machine: first3, Together: first3, Switches: {1, 1, 2, 3},
			P50: {1, 1, 1, 3}, P99: {1, 1, 1, 3}, P999: {1, 1, 1, 3},
		},
		ToLimit: map[Metric]Spread{},
	}, r.Rows[0], cmpopts.EquateApprox(1e-9, 0)); diff != "" {
		t.Error(diff)
	}
	if got := r.Rows[3].Values[Rate].Median; got != 1.5 {
		t.Errorf("bulk rate %v GiB/s, want 1.5", got)
	}
	idle := r.Rows[4]
	if idle.Values[Memory].Median != 409.6 || idle.Values[Kernel].Median != 100 || idle.Ratios[Memory].Median != 0.1 {
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
	r.Calls = []Calls{{Scenario: "roundtrip-50", Peer: "haproxy", Units: 10, Counts: map[string]uint64{"sendto": 20, "recvfrom": 20, "epoll_wait": 1}}}
	r.Failures = []Failure{{"roundtrip-50", "nginx", "wrong bytes"}}
	r.Notes = []string{"nothing was counted"}
	r.Summarise()
	var b bytes.Buffer
	if err := r.Markdown(&b); err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{
		"- nginx: skipped: not installed\n",
		"- roundtrip-50: round trips\n",
		"| roundtrip-50 | penstock | 100.0k [50.0k–100.0k] op/s  | 10.0 µs [10.0 µs–20.0 µs]/op | 25 % | 1.00 [0.50–2.00] | –       | 0.00/op          | 20.0 µs/op      |",
		"| roundtrip-50 | penstock | 1.0 µs [1.0 µs–1.0 µs] | 4.0 µs [2.0 µs–6.0 µs] |",
		"| roundtrip-50 | penstock | 40.0 µs [40.0 µs–80.0 µs]/op | 1.00 [0.50–2.00] |",
		"| bulk         | haproxy  | 1.50 GiB/s ",
		"| idle-5000 | penstock | 410 B ",
		"| idle-5000 | haproxy  | 4.00 KiB ",
		"| mix-4        | penstock | 500 op/s, 1.00 GiB/s        | –                            | –    |",
		"| mix-4        | penstock | –                      | 4.0 ms                 | –                      | –                |",
		"| wakeups  | penstock | 1.00/s              | 3.00/s         |",
		"| roundtrip-50 | haproxy | 4.10/op      | recvfrom 2.00, sendto 2.00, epoll_wait 0.10 |",
		"| CPU per small round trip, 50 connections          | ≤ 0.90 × haproxy | 1.00 [0.50–2.00] | not held     |",
		"| CPU per small round trip, 50 connections          | ≤ 1.03 × bare    | –                | not measured |",
		"| user-space memory per idle session, 5,000 of them | ≤ 512 B          | 410 B            | held         |",
		"| wake-ups of workers per second, idle process      | 0                | 1.00             | not held     |",
		"FAILED: roundtrip-50, nginx: wrong bytes\n",
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
	if diff := cmp.Diff(r, &back, cmpopts.EquateEmpty()); diff != "" {
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

func TestTargetsAreKnown(t *testing.T) {
	known := map[Metric]bool{}
	for _, m := range Metrics {
		known[m] = true
	}
	for _, target := range Targets {
		if !known[target.Metric] || target.Limit < 0 || target.Name == "" {
			t.Errorf("%+v", target)
		}
	}
}

func TestCompare(t *testing.T) {
	before, after := example(), example()
	for i := range after.Samples {
		if s := &after.Samples[i]; s.Peer == "penstock" {
			s.CPU /= 10
		}
	}
	before.Summarise()
	after.Summarise()
	var b bytes.Buffer
	if err := before.JSON(&b); err != nil {
		t.Fatal(err)
	}
	before, err := Read(&b)
	if err != nil {
		t.Fatal(err)
	}
	b.Reset()
	if err := Compare(&b, before, after); err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{"1.00 [0.50–2.00] → 0.10 [0.05–0.20]", "| -90.0 % | * |", "| roundtrip-50 | haproxy  | cpu "} {
		if !strings.Contains(b.String(), want) {
			t.Errorf("no %q in\n%s", want, b.String())
		}
	}
	b.Reset()
	if err := Compare(&b, &Report{}, after); err != nil || !strings.Contains(b.String(), "nothing in common") {
		t.Errorf("%v: %s", err, b.String())
	}
	if rep, err := Read(strings.NewReader("{")); err == nil {
		t.Errorf("read %+v", rep)
	}
}

func TestPlots(t *testing.T) {
	r := example()
	r.Summarise()
	dir := filepath.Join(t.TempDir(), "plots")
	if err := r.Plots(dir); err != nil {
		t.Fatal(err)
	}
	b, err := os.ReadFile(filepath.Join(dir, "cpu.svg"))
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{"<svg", ">penstock<", ">roundtrip", "ratio to haproxy"} {
		if !strings.Contains(string(b), want) {
			t.Errorf("no %q in the chart", want)
		}
	}
	r.Rows = nil
	if err := r.Plots(filepath.Join(dir, "empty")); err != nil {
		t.Errorf("charts of nothing: %v", err)
	}
}
