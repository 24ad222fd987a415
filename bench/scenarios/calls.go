package scenarios

import (
	"context"
	"errors"
	"fmt"

	"github.com/penstock/penstock/bench/peers"
	"github.com/penstock/penstock/bench/report"
)

// errTrace says that strace, not the traffic, is at fault.
var errTrace = errors.New("system calls are not counted")

// countCalls runs the scenarios that are worth it once more under strace. A machine that does not allow
// it is noted.
func (r *run) countCalls(ctx context.Context) error {
	for i := range r.Scenarios {
		s := &r.Scenarios[i]
		for j := range r.Peers {
			p := &r.Peers[j]
			if !s.Calls || p.Kind == peers.NoProxy || !r.takesPart(s, p) {
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
	px, err := r.proxy(ctx, s, p)
	if err != nil {
		return report.Calls{}, err
	}
	st, err := r.stage(s)
	if err != nil {
		return report.Calls{}, err
	}
	out := report.Calls{Scenario: s.Name, Peer: p.Name}
	var tracer *peers.Tracer
	var tracing error
	plan := r.plan(s, px)
	plan.Begin = func() { tracer, tracing = peers.Trace(px.Process, r.Dir) }
	plan.End = func() {
		if tracing == nil {
			out.Counts, tracing = tracer.Stop()
		}
	}
	w, err := s.drive(st.rig, plan)
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
