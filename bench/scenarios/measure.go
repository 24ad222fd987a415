package scenarios

import (
	"cmp"
	"context"
	"errors"
	"maps"
	"slices"
	"time"

	"github.com/penstock/penstock/bench/load"
	"github.com/penstock/penstock/bench/peers"
	"github.com/penstock/penstock/bench/report"
)

// saturated is the share of the reference's closed-loop rate that the open loop offers.
const saturated = 0.7

// meter samples what a proxy, the load and the machine have used at both edges of a window.
type meter struct {
	px               *proxy
	load             func() time.Duration
	cpu              [2]peers.CPU
	loadCPU, machine [2]time.Duration
	switches         [2]uint64
	err              error
}

func (m *meter) begin() {
	m.sampleProxy(0)
	m.sampleMachine(0)
}

func (m *meter) end() {
	m.sampleMachine(1)
	m.sampleProxy(1)
}

func (m *meter) sampleProxy(i int) {
	if m.px.Process == nil {
		return
	}
	var errCPU, errSwitches error
	m.cpu[i], errCPU = m.px.CPU()
	m.switches[i], errSwitches = m.px.Switches()
	m.err = errors.Join(m.err, errCPU, errSwitches)
}

func (m *meter) sampleMachine(i int) {
	var err error
	if m.load != nil {
		m.loadCPU[i] = m.load()
	}
	m.machine[i], err = peers.MachineCPU()
	m.err = errors.Join(m.err, err)
}

// sample is what was used between begin and end.
func (m *meter) sample() (report.Sample, error) {
	if m.px.Process != nil {
		m.err = errors.Join(m.err, m.px.Alive())
	}
	used := m.cpu[1].Sub(m.cpu[0])
	return report.Sample{
		CPU: used.Total, User: used.User, System: used.System,
		LoadCPU: m.loadCPU[1] - m.loadCPU[0], MachineCPU: m.machine[1] - m.machine[0],
		Switches: m.switches[1] - min(m.switches[0], m.switches[1]), // threads end meanwhile
	}, m.err
}

// plan is what the client does in a scenario, through a proxy.
func (r *run) plan(s *Scenario, px *proxy) load.Plan {
	return load.Plan{
		To: px.to[s.route], Source: px.to[toSource], Conns: s.Conns, Streams: s.Streams, Size: messageSize, Batch: s.Batch,
		Rate: s.Rate, WarmUp: time.Duration(max(s.WarmUps, 1)) * r.WarmUp, Measure: r.window(s),
	}
}

func (r *run) window(s *Scenario) time.Duration { return time.Duration(max(s.Windows, 1)) * r.Window }

// traffic measures one window.
func (r *run) traffic(ctx context.Context, s *Scenario, p *peers.Peer) (report.Sample, error) {
	px, err := r.proxy(ctx, s, p)
	if err != nil {
		return report.Sample{}, err
	}
	return r.drive(s, px, r.plan(s, px))
}

func (r *run) drive(s *Scenario, px *proxy, plan load.Plan) (report.Sample, error) {
	st, err := r.stage(s)
	if err != nil {
		return report.Sample{}, err
	}
	m := &meter{px: px, load: st.rig.CPU}
	plan.Begin, plan.End = m.begin, m.end
	w, err := s.drive(st.rig, plan)
	sample, sampling := m.sample()
	if err := errors.Join(err, sampling); err != nil {
		return report.Sample{}, err
	}
	sample.Ops, sample.Bytes, sample.Elapsed = w.Ops, w.Bytes, w.Elapsed
	if h := w.Latency; h != nil {
		sample.LatencyNs = &report.Latency{P50: h.ValueAtQuantile(50), P99: h.ValueAtQuantile(99), P999: h.ValueAtQuantile(99.9)}
	}
	return sample, nil
}

// openLoop measures latencies at a rate that is the same for all peers of a round.
func (r *run) openLoop(ctx context.Context, s *Scenario, p *peers.Peer) (report.Sample, error) {
	if r.saturation[r.round] == 0 {
		if err := r.saturate(ctx, s); err != nil {
			return report.Sample{}, err
		}
	}
	px, err := r.proxy(ctx, s, p)
	if err != nil {
		return report.Sample{}, err
	}
	plan := r.plan(s, px)
	plan.Rate = saturated * r.saturation[r.round]
	sample, err := r.drive(s, px, plan)
	sample.OfferedRate = plan.Rate
	return sample, err
}

// saturate finds the rate of a closed loop with the reference, or with the first peer that is there.
func (r *run) saturate(ctx context.Context, s *Scenario) error {
	var chosen *peers.Peer
	for i := range r.Peers {
		if p := &r.Peers[i]; p.Missing == "" && (chosen == nil || p.Name == r.Reference) {
			chosen = p
		}
	}
	px, err := r.proxy(ctx, s, chosen)
	if err != nil {
		return err
	}
	closed := *s
	closed.drive = (*load.Rig).RoundTrips
	sample, err := r.drive(&closed, px, r.plan(&closed, px))
	if err == nil {
		r.saturation[r.round] = float64(sample.Ops) / sample.Elapsed.Seconds()
	}
	return err
}

// held measures traffic through a process of its own, and the memory that it takes.
func (r *run) held(ctx context.Context, s *Scenario, p *peers.Peer) (report.Sample, error) {
	px, err := r.start(ctx, s, p, s.Conns)
	if err != nil {
		return report.Sample{}, err
	}
	defer px.stop()
	var before, after int64
	if px.Process != nil {
		if before, err = px.PSS(); err != nil {
			return report.Sample{}, err
		}
	}
	st, err := r.stage(s)
	if err != nil {
		return report.Sample{}, err
	}
	var sampling error
	withMemory := *s
	withMemory.drive = func(rig *load.Rig, plan load.Plan) (load.Window, error) {
		end := plan.End
		plan.End = func() {
			end()
			if px.Process != nil {
				after, sampling = px.PSS()
			}
		}
		return s.drive(st.rig, plan)
	}
	sample, err := r.drive(&withMemory, px, r.plan(s, px))
	sample.Sessions, sample.UserBytes = s.Conns, after-before
	return sample, errors.Join(err, sampling)
}

// memory measures sessions at rest in a process of its own, which has seen a little traffic before.
func (r *run) memory(ctx context.Context, s *Scenario, p *peers.Peer) (report.Sample, error) {
	px, err := r.start(ctx, s, p, s.Conns)
	if err != nil {
		return report.Sample{}, err
	}
	defer px.stop()
	st, err := r.stage(s)
	if err != nil {
		return report.Sample{}, err
	}
	const calm = 150 * time.Millisecond
	warm := load.Plan{To: px.to[s.route], Conns: 50, Size: messageSize, Measure: calm}
	if err := st.rig.Idle(warm); err != nil {
		return report.Sample{}, err
	}
	var user, kernel [2]int64
	var sampling error
	take := func(i int) func() {
		return func() {
			var errUser, errKernel error
			if px.Process != nil {
				user[i], errUser = px.PSS()
			}
			kernel[i], errKernel = peers.KernelMemory()
			sampling = errors.Join(sampling, errUser, errKernel)
		}
	}
	plan := load.Plan{To: px.to[s.route], Conns: s.Conns, Size: messageSize, Measure: calm, Begin: take(0), End: take(1)}
	if err := errors.Join(st.rig.Idle(plan), sampling); err != nil {
		return report.Sample{}, err
	}
	return report.Sample{Sessions: s.Conns, UserBytes: user[1] - user[0], KernelBytes: kernel[1] - kernel[0]}, nil
}

// wakeups counts how often threads of an idle process wake up. Its workers are the threads that did the
// work before.
func (r *run) wakeups(ctx context.Context, s *Scenario, p *peers.Peer) (report.Sample, error) {
	px, err := r.start(ctx, s, p, s.Conns)
	if err != nil {
		return report.Sample{}, err
	}
	defer px.stop()
	st, err := r.stage(s)
	if err != nil {
		return report.Sample{}, err
	}
	var samples [3]map[int]peers.Thread // before the traffic, at rest, at the end
	if samples[0], err = px.Threads(); err != nil {
		return report.Sample{}, err
	}
	const calm = 300 * time.Millisecond // for what follows the last connection
	plan := load.Plan{To: px.to[s.route], Conns: s.Conns, Size: messageSize, Measure: r.Window}
	if _, err := st.rig.RoundTrips(plan); err != nil {
		return report.Sample{}, err
	}
	if err := st.rig.Rest(calm); err != nil {
		return report.Sample{}, err
	}
	if samples[1], err = px.Threads(); err != nil {
		return report.Sample{}, err
	}
	began := time.Now()
	if err := st.rig.Rest(r.window(s)); err != nil {
		return report.Sample{}, err
	}
	if samples[2], err = px.Threads(); err != nil {
		return report.Sample{}, err
	}
	sample := report.Sample{Elapsed: time.Since(began)}
	workers := busiest(samples[0], samples[1], len(st.place.Proxy.CPUs))
	for tid, t := range samples[2] {
		n := t.Voluntary - samples[1][tid].Voluntary
		sample.Wakeups += n
		if slices.Contains(workers, tid) {
			sample.WorkerWakeups += n
		}
	}
	return sample, px.Alive()
}

// busiest are the n threads that used most CPU time between two samples.
func busiest(before, after map[int]peers.Thread, n int) []int {
	used := func(tid int) time.Duration { return after[tid].CPU - before[tid].CPU }
	tids := slices.SortedFunc(maps.Keys(after), func(a, b int) int { return cmp.Compare(used(b), used(a)) })
	return tids[:min(n, len(tids))]
}
