package scenarios

import (
	"os/exec"
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/penstock/penstock/bench/peers"
	"github.com/penstock/penstock/bench/place"
	"github.com/penstock/penstock/bench/report"
	"github.com/penstock/penstock/netio"
)

func mustCPUs(tb testing.TB) []int {
	tb.Helper()
	cpus, err := netio.UsableCPUs()
	if err != nil {
		tb.Fatal(err)
	}
	return cpus
}

func TestSelect(t *testing.T) {
	names := func(s []Scenario) (out []string) {
		for _, x := range s {
			out = append(out, x.Name)
		}
		return out
	}
	all := Short()
	for _, tc := range []struct {
		ask, want []string
	}{
		{nil, []string{"roundtrip-1", "roundtrip-50", "connect-20", "bulk-4", "bulk-splice-4", "idle-5000", "wakeups"}},
		{[]string{"bulk"}, []string{"bulk-4", "bulk-splice-4"}},
		{[]string{"idle", "roundtrip-50"}, []string{"roundtrip-50", "idle-5000"}},
	} {
		got, err := Select(all, tc.ask)
		if diff := cmp.Diff(tc.want, names(got)); diff != "" || err != nil {
			t.Errorf("%v: %s %v", tc.ask, diff, err)
		}
	}
	if got, err := Select(all, []string{"bulk", "nonsense"}); err == nil {
		t.Errorf("unknown scenario: %v", names(got))
	}
}

// small is every scenario that needs no program of others, with few connections.
func small() []Scenario {
	var out []Scenario
	for _, s := range All() {
		if s.program == nil {
			s.Conns = min(s.Conns, 20)
			out = append(out, s)
		}
	}
	return out
}

// TestRunDirect runs every kind of scenario with nothing between client and server.
func TestRunDirect(t *testing.T) {
	all := small()
	all = slices.DeleteFunc(all, func(s Scenario) bool { return s.proxied })
	var lines int
	rep, err := Run(t.Context(), Options{
		Scenarios: all, Reference: peers.HAProxy, CPUs: mustCPUs(t), Place: place.Apart(mustCPUs(t)), Rounds: 2, Window: 5 * time.Millisecond, Dir: t.TempDir(),
		Peers:    []peers.Peer{{Name: peers.HAProxy, Missing: "left out"}, {Name: peers.Direct, Kind: peers.NoProxy, Splices: true}},
		Progress: func(string) { lines++ },
	})
	if err != nil {
		t.Fatal(err)
	}
	if len(rep.Failures) > 0 || len(rep.Samples) != 2*len(all) || len(rep.Rows) != len(all) || lines != 2*len(all) || rep.Host.Rounds != 2 {
		t.Errorf("%d failures %v, %d samples, %d rows, %d lines, %d rounds", len(rep.Failures), rep.Failures, len(rep.Samples), len(rep.Rows), lines, rep.Host.Rounds)
	}
	for _, row := range rep.Rows {
		if row.Unit != report.PerSession && row.Values[report.Rate].Min <= 0 {
			t.Errorf("%s: %+v", row.Scenario, row.Values)
		}
	}
}

// TestRunProxies measures the real proxies that are there, our own relays, and one that cannot work.
func TestRunProxies(t *testing.T) {
	dir := t.TempDir()
	list, err := peers.Find(t.Context(), "../..", dir, []string{peers.HAProxy, peers.Bare, peers.IOCopy, peers.Nginx}, []string{"broken=/bin/false"})
	if err != nil {
		t.Fatal(err)
	}
	all := small()
	rep, err := Run(t.Context(), Options{
		Scenarios: all, Reference: peers.IOCopy, Limit: peers.Bare, CPUs: mustCPUs(t), Place: place.Apart(mustCPUs(t)),
		Rounds: 1, Window: 5 * time.Millisecond, Dir: dir, Peers: list, Progress: func(string) {},
	})
	if err != nil {
		t.Fatal(err)
	}
	if len(rep.Failures) != len(all) {
		t.Errorf("failures %v, want one for each scenario of the broken peer", rep.Failures)
	}
	for _, f := range rep.Failures {
		if f.Peer != "broken" {
			t.Errorf("%+v", f)
		}
	}
	want := 0
	for i := range list {
		p := &list[i]
		if p.Missing != "" {
			t.Logf("%s is left out: %s", p.Name, p.Missing)
			continue
		}
		for j := range all {
			if p.Name != "broken" && all[j].applies(p) {
				want++
			}
		}
	}
	if len(rep.Rows) != want {
		t.Errorf("%d rows, want %d", len(rep.Rows), want)
	}
	used := map[string]float64{} // a single window is so short that a proxy may sleep through it
	for _, row := range rep.Rows {
		used[row.Peer] += row.Values[report.CPU].Max
	}
	for i := range list {
		if p := &list[i]; p.Missing == "" && p.Name != "broken" && (used[p.Name] > 0) != (p.Kind != peers.NoProxy) {
			t.Errorf("%s used CPU time: %v", p.Name, used[p.Name])
		}
	}
}

// TestCalls counts what a proxy asks of the kernel, or says why not.
func TestCalls(t *testing.T) {
	path, err := exec.LookPath("haproxy")
	if err != nil {
		t.Skip("haproxy is not installed")
	}
	if _, err := exec.LookPath("strace"); err != nil {
		t.Skip("strace is not installed")
	}
	some, err := Select(Short(), []string{"connect"})
	if err != nil {
		t.Fatal(err)
	}
	rep, err := Run(t.Context(), Options{
		Scenarios: some, CPUs: mustCPUs(t), Place: place.Apart(mustCPUs(t)), Rounds: 1, Window: 20 * time.Millisecond, Calls: true, Dir: t.TempDir(),
		Peers: []peers.Peer{{Name: peers.HAProxy, Command: []string{path}}}, Progress: func(string) {},
	})
	if err != nil {
		t.Fatal(err)
	}
	if len(rep.Notes) > 0 {
		t.Skip(rep.Notes[0])
	}
	if len(rep.Failures) > 0 || len(rep.Calls) != 1 {
		t.Fatalf("failures %v, calls %v", rep.Failures, rep.Calls)
	}
	c := rep.Calls[0]
	if c.Units == 0 || len(c.Counts) == 0 || c.Counts["total"] != 0 {
		t.Errorf("%+v", c)
	}
}

func TestBudget(t *testing.T) {
	all, err := Select(Short(), []string{"roundtrip-1"})
	if err != nil {
		t.Fatal(err)
	}
	rep, err := Run(t.Context(), Options{
		Scenarios: all, CPUs: mustCPUs(t), Place: place.Apart(mustCPUs(t)), Rounds: 100, Window: 10 * time.Millisecond, Budget: time.Millisecond, Dir: t.TempDir(),
		Peers: []peers.Peer{{Name: peers.Direct, Kind: peers.NoProxy, Splices: true}}, Progress: func(string) {},
	})
	if err != nil || rep.Host.Rounds != 1 {
		t.Errorf("%d rounds, %v; want the one that is always done", rep.Host.Rounds, err)
	}
}

func TestFits(t *testing.T) {
	r := &run{Options: Options{}, files: 1000}
	r.report = &report.Report{}
	s, p := idle(300), peers.Peer{Name: "x", FilesPerSession: 6}
	if r.fits(&s, &p) || len(r.report.Notes) != 1 {
		t.Errorf("300 sessions of 6 files fit into 1000: %v", r.report.Notes)
	}
	p.FilesPerSession = 0
	if !r.fits(&s, &p) {
		t.Error("300 sessions of 2 files do not fit into 1000")
	}
}

func TestParsePrograms(t *testing.T) {
	redis := "\"test\",\"rps\",\"avg_latency_ms\",\"min_latency_ms\",\"p50_latency_ms\",\"p95_latency_ms\",\"p99_latency_ms\",\"max_latency_ms\"\n" +
		"\"GET\",\"50000.00\",\"0.5\",\"0.1\",\"0.400\",\"0.9\",\"1.500\",\"3\"\n"
	sysbench := "SQL statistics:\n    transactions:                        2500   (1250.00 per sec.)\nGeneral statistics:\n" +
		"    total time:                          2.0005s\nLatency (ms):\n         99th percentile:                        3.50\n"
	iperf := `{"end":{"sum_received":{"bytes":3000000,"seconds":1.5}}}`
	for name, tc := range map[string]struct {
		got  func(string) (report.Sample, error)
		text string
		want report.Sample
	}{
		"redis": {
			func(s string) (report.Sample, error) { return parseRedisBenchmark([]byte(s), 1000) }, redis,
			report.Sample{Ops: 1000, Elapsed: 20 * time.Millisecond, LatencyNs: &report.Latency{P50: 400_000, P99: 1_500_000}},
		},
		"sysbench": {
			func(s string) (report.Sample, error) { return parseSysbench([]byte(s), 0) }, sysbench,
			report.Sample{Ops: 2500, Elapsed: 2000500 * time.Microsecond, LatencyNs: &report.Latency{P99: 3_500_000}},
		},
		"iperf3": {
			func(s string) (report.Sample, error) { return parseIperf3([]byte(s), 0) }, iperf,
			report.Sample{Bytes: 3_000_000, Elapsed: 1500 * time.Millisecond},
		},
	} {
		got, err := tc.got(tc.text)
		if diff := cmp.Diff(tc.want, got); diff != "" || err != nil {
			t.Errorf("%s: %v %s", name, err, diff)
		}
		for _, bad := range []string{"", "{}", `{"error":"busy"}`, "a,b\n", "a\n\"", "rps\n0\n", "transactions: 0\n"} {
			if got, err := tc.got(bad); err == nil {
				t.Errorf("%s: %q gives %+v", name, bad, got)
			}
		}
	}
}

// TestProgram measures real programs through a proxy, as far as they are there.
func TestProgram(t *testing.T) {
	dir := t.TempDir()
	list, err := peers.Find(t.Context(), "../..", dir, []string{peers.Bare}, nil)
	if err != nil {
		t.Fatal(err)
	}
	var some []Scenario
	for _, s := range programs() {
		if s.program.route != toMariaDB { // which takes its time to start
			some = append(some, s)
		}
	}
	rep, err := Run(t.Context(), Options{
		Scenarios: some, CPUs: mustCPUs(t), Place: place.Apart(mustCPUs(t)), Rounds: 1, Window: 10 * time.Millisecond,
		Dir: dir, Peers: list, Progress: func(string) {},
	})
	if err != nil {
		t.Fatal(err)
	}
	for _, n := range rep.Notes {
		t.Log(n)
	}
	if len(rep.Failures) > 0 || len(rep.Samples) != 2*(len(some)-len(rep.Notes)) {
		t.Errorf("failures %v, %d samples", rep.Failures, len(rep.Samples))
	}
}
