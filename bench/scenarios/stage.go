package scenarios

import (
	"context"
	"maps"
	"net/netip"
	"slices"

	"github.com/penstock/penstock/bench/load"
	"github.com/penstock/penstock/bench/peers"
	"github.com/penstock/penstock/bench/place"
	"github.com/penstock/penstock/bench/report"
)

// stage is a placement with the client and the servers that are in it.
type stage struct {
	place   place.Placement
	rig     *load.Rig
	proxies int // started so far
}

// stage is the one that a scenario is played on, made at need.
func (r *run) stage(s *Scenario) (*stage, error) {
	if st := r.stages[s.Roam]; st != nil {
		return st, nil
	}
	st := &stage{place: r.Place}
	if s.Roam {
		st.place = r.Place.Roam(r.CPUs)
	}
	var err error
	if st.rig, err = load.NewRig(st.place.Client, st.place.Server); err != nil {
		return nil, err
	}
	r.stages[s.Roam] = st
	return st, nil
}

// servers are what the next proxy leads to on a stage, by the route's name.
func (st *stage) servers() map[string]netip.AddrPort {
	own := st.rig.Echoes[st.proxies%len(st.rig.Echoes)]
	return map[string]netip.AddrPort{toEcho: own, toSource: st.rig.Source, toExchange: st.rig.Exchange}
}

// key names a process: each peer runs once for each configuration.
type key struct {
	peer     string
	splice   bool
	roam     bool
	checks   int
	programs bool // it leads to real programs
}

// proxy is a running peer; for the peer without a proxy there is only where its routes lead.
type proxy struct {
	*peers.Process
	to map[string]netip.AddrPort // the client's way, by the route's name
}

// proxy is the one that a scenario needs of a peer, started at need and kept.
func (r *run) proxy(ctx context.Context, s *Scenario, p *peers.Peer) (*proxy, error) {
	k := key{p.Name, s.Splice, s.Roam, s.Checks, s.program != nil}
	if px := r.proxies[k]; px != nil {
		return px, nil
	}
	most := programConns
	for i := range r.Scenarios {
		if o := &r.Scenarios[i]; o.drive != nil && o.Splice == s.Splice && o.Roam == s.Roam {
			most = max(most, o.Conns+o.Streams)
		}
	}
	px, err := r.start(ctx, s, p, most)
	if err != nil {
		return nil, err
	}
	r.proxies[k] = px
	return px, nil
}

// start runs a peer that is to carry so many sessions.
func (r *run) start(ctx context.Context, s *Scenario, p *peers.Peer, sessions int) (*proxy, error) {
	st, err := r.stage(s)
	if err != nil {
		return nil, err
	}
	servers := st.servers()
	st.proxies++
	if s.program != nil {
		servers = r.backends.addrs
	}
	if p.Kind == peers.NoProxy {
		return &proxy{to: servers}, nil
	}
	const spare = 100 // sessions that are still ending, and the probes of the start
	setup := &peers.Setup{
		MaxConn: sessions + spare, Threads: len(st.place.Proxy.CPUs), Splice: s.Splice,
		Listen: st.place.Proxy.Addr, Global: r.Global[p.Name], Checks: s.Checks,
	}
	if setup.Threads > 1 && p.Name == report.Judged {
		// The target for two workers is about keeping a connection where its packets are.
		setup.Global = append([]string{"steer cpu"}, setup.Global...)
	}
	px := &proxy{to: map[string]netip.AddrPort{}}
	for _, name := range slices.Sorted(maps.Keys(servers)) {
		port, err := st.place.Proxy.FreePort()
		if err != nil {
			return nil, err
		}
		setup.Routes = append(setup.Routes, peers.Route{Name: name, Port: port, Server: servers[name]})
		px.to[name] = netip.AddrPortFrom(setup.Listen, port)
	}
	px.Process, err = peers.Start(ctx, p, setup, r.Dir, st.place)
	return px, err
}

// stop ends the process, if there is one.
func (px *proxy) stop() {
	if px.Process != nil {
		px.Stop()
	}
}

// stopChecking ends the proxies that check servers: they would go on beside what others are measured by.
func (r *run) stopChecking() {
	maps.DeleteFunc(r.proxies, func(k key, px *proxy) bool {
		if k.checks > 0 {
			px.stop()
		}
		return k.checks > 0
	})
}

func (r *run) stopAll() {
	for _, px := range r.proxies {
		px.stop()
	}
	r.backends.stop()
	for _, st := range r.stages {
		st.rig.Close()
	}
}
