package scenarios

import (
	"os/exec"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/penstock/penstock/bench/peers"
	"github.com/penstock/penstock/bench/report"
	"github.com/penstock/penstock/netio"
)

func mustPlace(tb testing.TB) Placement {
	tb.Helper()
	cpus, err := netio.UsableCPUs()
	if err != nil {
		tb.Fatal(err)
	}
	return Place(cpus)
}

func TestPlace(t *testing.T) {
	for _, tc := range []struct {
		cpus []int
		want Placement
		text string
	}{
		{[]int{3}, Placement{[]int{3}, []int{3}, []int{3}}, "Everything on CPU 3: figures per operation include the load's cache misses"},
		{[]int{0, 1}, Placement{[]int{0}, []int{1}, []int{1}}, "Proxy on CPU 0, client and server on CPU 1"},
		{[]int{2, 4, 6, 8}, Placement{[]int{2}, []int{4}, []int{6}}, "Proxy on CPU 2, client on CPU 4, server on CPU 6"},
	} {
		got := Place(tc.cpus)
		if diff := cmp.Diff(tc.want, got); diff != "" || got.String() != tc.text {
			t.Errorf("%v: %s %q", tc.cpus, diff, got)
		}
	}
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
		{nil, []string{"roundtrip-1", "roundtrip-50", "connect-20", "bulk-4", "bulk-splice-4", "idle-5000"}},
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

// TestRunDirect runs every kind of scenario with nothing between client and server.
func TestRunDirect(t *testing.T) {
	all := Short()
	for i := range all {
		all[i].Conns = min(all[i].Conns, 30)
	}
	var lines int
	rep, err := Run(t.Context(), Options{
		Scenarios: all, Reference: peers.HAProxy, Place: mustPlace(t), Rounds: 2, Window: 5 * time.Millisecond, Dir: t.TempDir(),
		Peers:    []peers.Peer{{Name: peers.HAProxy, Missing: "left out"}, {Name: peers.Direct, Kind: peers.NoProxy}},
		Progress: func(string) { lines++ },
	})
	if err != nil {
		t.Fatal(err)
	}
	if len(rep.Failures) > 0 || len(rep.Samples) != 2*len(all) || len(rep.Rows) != len(all) || lines != 2*len(all) || rep.Host.Rounds != 2 {
		t.Errorf("%d failures %v, %d samples, %d rows, %d lines, %d rounds", len(rep.Failures), rep.Failures, len(rep.Samples), len(rep.Rows), lines, rep.Host.Rounds)
	}
	for _, row := range rep.Rows {
		if row.Unit != report.PerSession && row.Rate.Min <= 0 {
			t.Errorf("%s: rate %+v", row.Scenario, row.Rate)
		}
	}
}

// TestRunProxy measures one real proxy and one that cannot work.
func TestRunProxy(t *testing.T) {
	path, err := exec.LookPath("haproxy")
	if err != nil {
		t.Skip("haproxy is not installed")
	}
	all := Short()
	for i := range all {
		all[i].Conns = min(all[i].Conns, 20)
	}
	rep, err := Run(t.Context(), Options{
		Scenarios: all, Reference: peers.HAProxy, Place: mustPlace(t), Rounds: 1, Window: 5 * time.Millisecond, Dir: t.TempDir(),
		Peers:    []peers.Peer{{Name: peers.HAProxy, Command: []string{path}}, {Name: "broken", Command: []string{"/bin/false"}}},
		Progress: func(string) {},
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
	if len(rep.Rows) != len(all) {
		t.Fatalf("%d rows, want %d", len(rep.Rows), len(all))
	}
	for _, row := range rep.Rows {
		if row.Peer != peers.HAProxy || row.Unit != report.PerSession && (row.Cost.Min <= 0 || row.Ratio.Median != 1) {
			t.Errorf("%+v", row)
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
		Scenarios: some, Place: mustPlace(t), Rounds: 1, Window: 20 * time.Millisecond, Calls: true, Dir: t.TempDir(),
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
		Scenarios: all, Place: mustPlace(t), Rounds: 100, Window: 10 * time.Millisecond, Budget: time.Millisecond, Dir: t.TempDir(),
		Peers: []peers.Peer{{Name: peers.Direct, Kind: peers.NoProxy}}, Progress: func(string) {},
	})
	if err != nil || rep.Host.Rounds != 1 {
		t.Errorf("%d rounds, %v; want the one that is always done", rep.Host.Rounds, err)
	}
}
