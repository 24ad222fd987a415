package pollers

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"path/filepath"
	"time"

	"github.com/penstock/penstock/bench/load"
	"github.com/penstock/penstock/bench/peers"
	"github.com/penstock/penstock/bench/place"
	"github.com/penstock/penstock/bench/report"
)

// Options say what is done to each proxy.
type Options struct {
	Rounds   int
	Window   time.Duration // of round trips, with and without those who poll
	WarmUp   time.Duration
	Conns    int           // with round trips
	Sessions int           // at rest
	Stat     int           // clients that ask for "show stat",
	Sess     int           // and for "show sess all",
	Every    time.Duration // each so often; 0: as soon as it has the answer

	Dir      string // for files; the caller removes it
	Place    place.Placement
	Progress func(line string)
}

// About says in words what is done.
func (o *Options) About() string {
	often := "without a pause"
	if o.Every > 0 {
		often = "every " + o.Every.String()
	}
	return fmt.Sprintf("64 bytes there and back on %d connections, beside %d sessions at rest, in windows of %v; "+
		"in every second one %d clients ask for `show stat` and %d for `show sess all`, %s.", o.Conns, o.Sessions, o.Window, o.Stat, o.Sess, often)
}

const messageSize = 64

// bench is one proxy and the load.
type bench struct {
	*Options
	peer  *peers.Peer
	rig   *load.Rig
	stats string
	to    netip.AddrPort
}

// Run measures all peers that can be measured, one after the other in each round.
func Run(ctx context.Context, o *Options, list []peers.Peer) ([]report.Pollers, error) {
	rig, err := load.NewRig(o.Place.Client, o.Place.Server)
	if err != nil {
		return nil, err
	}
	defer rig.Close()
	results := make([]report.Pollers, 0, len(list))
	benches := make([]*bench, 0, len(list))
	for i := range list {
		if list[i].Kind != peers.HAProxyLike {
			continue
		}
		p := &list[i]
		results = append(results, report.Pollers{Peer: p.Name, Version: p.Version, Missing: p.Missing})
		benches = append(benches, nil)
		if p.Missing != "" {
			continue
		}
		b := &bench{Options: o, peer: p, rig: rig, stats: filepath.Join(o.Dir, p.Name+"-pollers.sock")}
		pr, err := b.start(ctx, i)
		if err != nil {
			return nil, err
		}
		defer pr.Stop()
		benches[len(benches)-1] = b
	}
	for round := range o.Rounds {
		for i, b := range benches {
			if b == nil {
				continue
			}
			if err := ctx.Err(); err != nil {
				return nil, err
			}
			o.Progress(fmt.Sprintf("round %d/%d  %s", round+1, o.Rounds, b.peer.Name))
			if err := b.round(round, &results[i]); err != nil {
				return nil, fmt.Errorf("%s: %w", b.peer.Name, err)
			}
		}
	}
	return results, nil
}

func (b *bench) start(ctx context.Context, n int) (*peers.Process, error) {
	port, err := b.Place.Proxy.FreePort()
	if err != nil {
		return nil, err
	}
	setup := &peers.Setup{
		MaxConn: b.Sessions + b.Conns + 100, Threads: len(b.Place.Proxy.CPUs), Listen: b.Place.Proxy.Addr,
		Routes: []peers.Route{{Name: "echo", Port: port, Server: b.rig.Echoes[n%len(b.rig.Echoes)]}},
		Global: []string{"stats socket " + b.stats + " level admin", fmt.Sprintf("stats maxconn %d", b.Stat+b.Sess+10)},
	}
	b.to = netip.AddrPortFrom(setup.Listen, port)
	return peers.Start(ctx, b.peer, setup, b.Dir, b.Place)
}

// round measures a window with and one without, the other way round in every second round.
func (b *bench) round(n int, r *report.Pollers) error {
	var both [2]report.PollersWindow
	for i := range both {
		with := (i+n)%2 == 1
		w, err := b.window(with)
		if err != nil {
			return err
		}
		if with {
			both[1] = w
		} else {
			both[0] = w
		}
	}
	r.Without, r.With = append(r.Without, both[0]), append(r.With, both[1])
	return nil
}

func (b *bench) window(with bool) (report.PollersWindow, error) {
	plan := load.Plan{To: b.to, Conns: b.Conns, Resting: b.Sessions, Size: messageSize, WarmUp: b.WarmUp, Measure: b.Window}
	var crowd *crowd
	if with {
		crowd = b.crowd()
		plan.Begin, plan.End = crowd.begin, crowd.stop
	}
	w, err := b.rig.Crowd(plan)
	var out report.PollersWindow
	if with {
		crowd.stop()
		var polling error
		out.Polls, out.PolledBytes, polling = crowd.wait()
		err = errors.Join(err, polling)
	}
	if err != nil {
		return out, err
	}
	out.P50, out.P99 = w.Latency.ValueAtQuantile(50), w.Latency.ValueAtQuantile(99)
	out.Rate = float64(w.Ops) / w.Elapsed.Seconds()
	out.PollRate = float64(out.Polls) / w.Elapsed.Seconds()
	return out, nil
}
