package scenarios

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"os"
	"runtime"
	"slices"
	"strings"
	"time"

	"github.com/penstock/penstock/bench/load"
	"github.com/penstock/penstock/bench/peers"
	"github.com/penstock/penstock/bench/report"
	"golang.org/x/sys/unix"
)

// Options say how a run is done.
type Options struct {
	Scenarios []Scenario
	Peers     []peers.Peer
	Reference string // the peer that ratios refer to
	Place     Placement
	Rounds    int
	WarmUp    time.Duration
	Window    time.Duration
	Budget    time.Duration // no round is begun that would end beyond it; 0 is no limit
	Calls     bool          // count system calls with strace, after the rounds
	Dir       string        // for configurations and the like
	Progress  func(line string)
}

// run is a run under way.
type run struct {
	Options
	rig     *load.Rig
	proxies map[key]*proxy
	failed  map[[2]string]bool // scenario, peer
	report  *report.Report
	began   time.Time
}

// key names a process: each peer runs once for each configuration.
type key struct {
	peer   string
	splice bool
}

type proxy struct {
	*peers.Process
	echo, source uint16
}

// Run does all rounds and returns what they gave. Failed traffic is in the report; the error is of the
// harness itself. All processes that it started have ended when it returns.
func Run(ctx context.Context, o Options) (*report.Report, error) {
	r := &run{Options: o, proxies: map[key]*proxy{}, failed: map[[2]string]bool{}, report: newReport(&o), began: time.Now()}
	if err := raiseFileLimit(); err != nil {
		return nil, err
	}
	rig, err := load.NewRig(o.Place.Client, o.Place.Server)
	if err != nil {
		return nil, err
	}
	r.rig = rig
	defer rig.Close()
	defer r.stopAll()

	var longest time.Duration
	for round := range o.Rounds {
		before := time.Now()
		if o.Budget > 0 && round > 0 && before.Sub(r.began)+longest > o.Budget {
			break
		}
		if err := r.round(ctx, round); err != nil {
			return nil, err
		}
		longest = max(longest, time.Since(before))
		r.report.Host.Rounds = round + 1
	}
	if o.Calls {
		if err := r.countCalls(ctx); err != nil {
			return nil, err
		}
	}
	r.report.Summarise()
	return r.report, nil
}

func newReport(o *Options) *report.Report {
	rep := &report.Report{Reference: o.Reference, Host: host(o)}
	for _, p := range o.Peers {
		rep.Peers = append(rep.Peers, report.Peer{Name: p.Name, Version: p.Version, Missing: p.Missing})
	}
	for _, s := range o.Scenarios {
		rep.Scenarios = append(rep.Scenarios, report.Scenario{Name: s.Name, About: s.About, Unit: s.Unit})
	}
	return rep
}

func host(o *Options) report.Host {
	h := report.Host{
		Time: time.Now(), Kernel: "unknown", CPU: "unknown", CPUs: runtime.NumCPU(), Go: runtime.Version(),
		Placement: o.Place.String(), Window: o.Window.String(),
	}
	var u unix.Utsname
	if unix.Uname(&u) == nil {
		h.Kernel = unix.ByteSliceToString(u.Release[:])
	}
	if b, err := os.ReadFile("/proc/cpuinfo"); err == nil {
		for line := range strings.Lines(string(b)) {
			if name, value, ok := strings.Cut(line, ":"); ok && strings.TrimSpace(name) == "model name" {
				h.CPU = strings.TrimSpace(value)
				break
			}
		}
	}
	return h
}

// raiseFileLimit lets the load open what the hard limit allows; the Go runtime has done it for itself,
// but children would get the old limit back.
func raiseFileLimit() error {
	var l unix.Rlimit
	if err := unix.Getrlimit(unix.RLIMIT_NOFILE, &l); err != nil {
		return fmt.Errorf("read the limit of open files: %w", err)
	}
	l.Cur = l.Max
	if err := unix.Setrlimit(unix.RLIMIT_NOFILE, &l); err != nil {
		return fmt.Errorf("raise the limit of open files: %w", err)
	}
	return nil
}

// round measures every scenario with every peer once, every second time in reverse order.
func (r *run) round(ctx context.Context, n int) error {
	for i := range r.Scenarios {
		s := &r.Scenarios[i]
		if s.MaxRounds > 0 && n >= s.MaxRounds {
			continue
		}
		order := slices.Clone(r.Peers)
		if n%2 == 1 {
			slices.Reverse(order)
		}
		for j := range order {
			p := &order[j]
			if p.Missing != "" || r.failed[[2]string{s.Name, p.Name}] {
				continue
			}
			if err := ctx.Err(); err != nil {
				return err
			}
			r.Progress(fmt.Sprintf("round %d/%d  %s  %s", n+1, r.Rounds, s.Name, p.Name))
			measure := r.traffic
			if s.drive == nil {
				measure = r.memory
			}
			sample, err := measure(ctx, s, p)
			if err != nil {
				if ctx.Err() != nil {
					return ctx.Err()
				}
				r.fail(s, p, err)
				continue
			}
			sample.Scenario, sample.Peer, sample.Round = s.Name, p.Name, n
			r.report.Samples = append(r.report.Samples, sample)
		}
	}
	return nil
}

func (r *run) fail(s *Scenario, p *peers.Peer, err error) {
	r.failed[[2]string{s.Name, p.Name}] = true
	r.report.Failures = append(r.report.Failures, report.Failure{Scenario: s.Name, Peer: p.Name, Error: err.Error()})
}

// traffic measures one window.
func (r *run) traffic(ctx context.Context, s *Scenario, p *peers.Peer) (report.Sample, error) {
	to, px, err := r.route(ctx, s, p)
	if err != nil {
		return report.Sample{}, err
	}
	var begin, end peers.CPU
	var loadBegin, loadEnd time.Duration
	var sampling error
	sampleCPU := func(into *peers.CPU) {
		if px != nil {
			var err error
			*into, err = px.CPU()
			sampling = errors.Join(sampling, err)
		}
	}
	plan := load.Plan{
		To: to, Conns: s.Conns, Size: messageSize, WarmUp: r.WarmUp, Measure: r.Window,
		Begin: func() { sampleCPU(&begin); loadBegin = r.rig.CPU() },
		End:   func() { loadEnd = r.rig.CPU(); sampleCPU(&end) },
	}
	w, err := s.drive(r.rig, plan)
	if px != nil {
		err = errors.Join(err, sampling, px.Alive())
	}
	if err != nil {
		return report.Sample{}, err
	}
	used := end.Sub(begin)
	sample := report.Sample{
		Ops: w.Ops, Bytes: w.Bytes, Elapsed: w.Elapsed,
		CPU: used.Total, User: used.User, System: used.System, LoadCPU: loadEnd - loadBegin,
	}
	if h := w.Latency; h != nil {
		sample.LatencyNs = &report.Latency{P50: h.ValueAtQuantile(50), P99: h.ValueAtQuantile(99), P999: h.ValueAtQuantile(99.9)}
	}
	return sample, nil
}

// memory measures sessions at rest in a process of its own, which has seen a little traffic before.
func (r *run) memory(ctx context.Context, s *Scenario, p *peers.Peer) (report.Sample, error) {
	to := r.rig.Echo
	var px *proxy
	if p.Kind != peers.NoProxy {
		var err error
		if px, err = r.start(ctx, p, s.Splice, s.Conns); err != nil {
			return report.Sample{}, err
		}
		defer px.Stop()
		to = loopback(px.echo)
	}
	const calm = 150 * time.Millisecond
	warm := load.Plan{To: to, Conns: 50, Size: messageSize, Measure: calm}
	if err := r.rig.Idle(warm); err != nil {
		return report.Sample{}, err
	}
	var user, kernel [2]int64
	var sampling error
	take := func(i int) func() {
		return func() {
			var errUser, errKernel error
			if px != nil {
				user[i], errUser = px.PSS()
			}
			kernel[i], errKernel = peers.KernelMemory()
			sampling = errors.Join(sampling, errUser, errKernel)
		}
	}
	plan := load.Plan{To: to, Conns: s.Conns, Size: messageSize, Measure: calm, Begin: take(0), End: take(1)}
	if err := errors.Join(r.rig.Idle(plan), sampling); err != nil {
		return report.Sample{}, err
	}
	return report.Sample{Sessions: s.Conns, UserBytes: user[1] - user[0], KernelBytes: kernel[1] - kernel[0]}, nil
}

// route is the address that leads to the scenario's server through a peer, started at need.
func (r *run) route(ctx context.Context, s *Scenario, p *peers.Peer) (to netip.AddrPort, px *proxy, err error) {
	if p.Kind == peers.NoProxy {
		return s.server(r.rig), nil, nil
	}
	k := key{p.Name, s.Splice}
	px = r.proxies[k]
	if px == nil {
		most := 0
		for i := range r.Scenarios {
			if r.Scenarios[i].drive != nil {
				most = max(most, r.Scenarios[i].Conns)
			}
		}
		if px, err = r.start(ctx, p, s.Splice, most); err != nil {
			return to, nil, err
		}
		r.proxies[k] = px
	}
	if s.stream {
		return loopback(px.source), px, nil
	}
	return loopback(px.echo), px, nil
}

// start runs a peer that is to carry so many sessions.
func (r *run) start(ctx context.Context, p *peers.Peer, splice bool, sessions int) (*proxy, error) {
	px := &proxy{}
	for _, port := range []*uint16{&px.echo, &px.source} {
		var err error
		if *port, err = load.FreePort(); err != nil {
			return nil, err
		}
	}
	const spare = 100 // sessions that are still ending, and the probes of the start
	setup := &peers.Setup{
		MaxConn: sessions + spare, Splice: splice,
		Routes: []peers.Route{{Name: "echo", Port: px.echo, Server: r.rig.Echo}, {Name: "source", Port: px.source, Server: r.rig.Source}},
	}
	var err error
	if px.Process, err = peers.Start(ctx, p, setup, r.Dir, r.Place.Proxy); err != nil {
		return nil, err
	}
	return px, nil
}

func (r *run) stopAll() {
	for _, px := range r.proxies {
		px.Stop()
	}
}

// errTrace says that strace, not the traffic, is at fault.
var errTrace = errors.New("system calls are not counted")

// countCalls runs every scenario of traffic once more under strace. A machine that does not allow it is
// noted.
func (r *run) countCalls(ctx context.Context) error {
	for i := range r.Scenarios {
		s := &r.Scenarios[i]
		for j := range r.Peers {
			p := &r.Peers[j]
			if s.drive == nil || p.Kind == peers.NoProxy || p.Missing != "" || r.failed[[2]string{s.Name, p.Name}] {
				continue
			}
			r.Progress(fmt.Sprintf("system calls  %s  %s", s.Name, p.Name))
			c, err := r.calls(ctx, s, p)
			switch {
			case err == nil:
				r.report.Calls = append(r.report.Calls, c)
			case ctx.Err() != nil:
				return ctx.Err()
			case errors.Is(err, errTrace):
				r.report.Notes = append(r.report.Notes, err.Error())
				return nil
			default:
				r.fail(s, p, err)
			}
		}
	}
	return nil
}

// calls counts within a window of its own: strace is attached at its begin and leaves at its end.
func (r *run) calls(ctx context.Context, s *Scenario, p *peers.Peer) (report.Calls, error) {
	to, px, err := r.route(ctx, s, p)
	if err != nil {
		return report.Calls{}, err
	}
	out := report.Calls{Scenario: s.Name, Peer: p.Name}
	var tracer *peers.Tracer
	var tracing error
	w, err := s.drive(r.rig, load.Plan{
		To: to, Conns: s.Conns, Size: messageSize, WarmUp: r.WarmUp, Measure: r.Window,
		Begin: func() { tracer, tracing = peers.Trace(px.PID(), r.Dir) },
		End: func() {
			if tracing == nil {
				out.Counts, tracing = tracer.Stop()
			}
		},
	})
	if err = errors.Join(err, px.Alive()); err != nil {
		if tracer != nil && out.Counts == nil {
			_, _ = tracer.Stop() // the traffic's error is the one to tell
		}
		return report.Calls{}, err
	}
	if tracing != nil {
		return report.Calls{}, fmt.Errorf("%w: %w", errTrace, tracing)
	}
	out.Units = float64(w.Ops)
	if s.Unit == report.PerGiB {
		out.Units = float64(w.Bytes) / (1 << 30)
	}
	return out, nil
}

func loopback(port uint16) netip.AddrPort {
	return netip.AddrPortFrom(netip.AddrFrom4([4]byte{127, 0, 0, 1}), port)
}
