package pollers

import (
	"testing"
	"time"

	"github.com/penstock/penstock/bench/peers"
	"github.com/penstock/penstock/bench/place"
	"github.com/penstock/penstock/bench/report"
	"github.com/penstock/penstock/netio"
)

// A small run of what is there.
func TestRun(t *testing.T) {
	cpus, err := netio.UsableCPUs()
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	list, err := peers.Find(t.Context(), "../..", dir, []string{peers.Penstock, peers.HAProxy}, nil)
	if err != nil {
		t.Fatal(err)
	}
	o := &Options{
		Rounds: 2, Window: 50 * time.Millisecond, Conns: 2, Sessions: 20, Stat: 3, Sess: 2, Dir: dir, Place: place.Apart(cpus), Progress: func(string) {},
	}
	results, err := Run(t.Context(), o, list)
	if err != nil {
		t.Fatal(err)
	}
	for _, r := range results {
		if r.Missing != "" {
			continue
		}
		for i := range o.Rounds {
			if w := r.With[i]; r.Without[i].Polls != 0 || w.Polls == 0 || w.PolledBytes == 0 || w.P99 == 0 || r.Without[i].P99 == 0 {
				t.Errorf("%s: %+v", r.Peer, r)
			}
		}
	}
	if text := report.PollersTable(&report.Host{}, o.About(), results); text == "" {
		t.Error("no table")
	}
}
