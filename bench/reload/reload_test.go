package reload

import (
	"testing"
	"time"

	"github.com/penstock/penstock/bench/peers"
	"github.com/penstock/penstock/bench/place"
	"github.com/penstock/penstock/netio"
)

func TestNumber(t *testing.T) {
	const answer = "Name: HAProxy\nPid: 12\nCurrConns: 7\n\n"
	for name, want := range map[string]int{"Pid": 12, "CurrConns": 7} {
		if got, err := number(answer, name); err != nil || got != want {
			t.Errorf("%s is %d, %v", name, got, err)
		}
	}
	for _, name := range []string{"Conns", "Name", "urrConns"} {
		if got, err := number(answer, name); err == nil {
			t.Errorf("%s is %d", name, got)
		}
	}
}

func TestShares(t *testing.T) {
	s := series{Options: &Options{Reloads: 7, Idle: 200}}
	sum := 0
	for i := range s.Reloads {
		share := s.share(i)
		if share < 28 || share > 29 {
			t.Errorf("share %d is %d", i, share)
		}
		sum += share
	}
	if sum != 200 {
		t.Errorf("the shares are %d together", sum)
	}
}

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
		Reloads: 2, Idle: 10, Talkers: 5, Streams: 3, Storm: 50, Threads: 1, Settle: 100 * time.Millisecond, Dir: dir,
		Where: place.Apart(cpus).Client, Progress: func(string) {},
	}
	for i := range list {
		p := &list[i]
		if p.Kind != peers.HAProxyLike {
			continue
		}
		t.Run(p.Name, func(t *testing.T) {
			r, err := Run(t.Context(), o, p)
			if err != nil {
				t.Fatal(err)
			}
			if r.Missing != "" {
				t.Skip(r.Missing)
			}
			if r.Sessions != 18 || r.Cut != 0 || r.Memory == 0 || r.Left > 18 || len(r.Gone) > 2 || r.Old > 2 {
				t.Errorf("%+v", r)
			}
		})
	}
}
