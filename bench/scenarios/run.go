package scenarios

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/penstock/penstock/bench/peers"
	"github.com/penstock/penstock/bench/place"
	"github.com/penstock/penstock/bench/report"
	"golang.org/x/sys/unix"
)

// Options say how a run is done.
type Options struct {
	Scenarios []Scenario
	Peers     []peers.Peer
	Reference string // the peer that ratios refer to,
	Limit     string // and the one that is as cheap as it gets
	CPUs      []int  // that may be used
	Place     place.Placement
	Global    map[string][]string // lines for the global section, by peer
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
	stages     map[bool]*stage
	proxies    map[key]*proxy
	backends   *backends             // of real programs, once one is asked for
	saturation map[int]float64       // operations a second of the reference, by round
	failed     map[[2]string]bool    // scenario, peer
	skipped    map[*program]struct{} // for want of a program
	report     *report.Report
	round      int
	files      int // that a process may open
}

// Run does all rounds and returns what they gave. Failed traffic is in the report; the error is of the
// harness itself. All processes that it started have ended when it returns.
func Run(ctx context.Context, o Options) (*report.Report, error) {
	r := &run{
		Options: o, stages: map[bool]*stage{}, proxies: map[key]*proxy{}, saturation: map[int]float64{},
		failed: map[[2]string]bool{}, skipped: map[*program]struct{}{}, report: newReport(&o),
	}
	var err error
	if r.files, err = raiseFileLimit(); err != nil {
		return nil, err
	}
	defer r.stopAll()

	began := time.Now()
	var longest time.Duration
	for r.round = range o.Rounds {
		before := time.Now()
		if o.Budget > 0 && r.round > 0 && before.Sub(began)+longest > o.Budget {
			break
		}
		if err := r.allOnce(ctx); err != nil {
			return nil, err
		}
		longest = max(longest, time.Since(before))
		r.report.Host.Rounds = r.round + 1
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
	rep := &report.Report{Reference: o.Reference, Limit: o.Limit, Host: host(o)}
	for _, p := range o.Peers {
		rep.Peers = append(rep.Peers, report.Peer{Name: p.Name, Version: p.Version, Missing: p.Missing})
	}
	for _, s := range o.Scenarios {
		rep.Scenarios = append(rep.Scenarios, report.Scenario{Name: s.Name, About: s.About, Unit: s.Unit})
	}
	return rep
}

func host(o *Options) report.Host {
	h := report.ThisHost()
	h.Placement, h.Window = o.Place.String(), o.Window.String()
	return h
}

// raiseFileLimit lets the load open what the hard limit allows; the Go runtime has done it for itself,
// but children would get the old limit back.
func raiseFileLimit() (int, error) {
	var l unix.Rlimit
	if err := unix.Getrlimit(unix.RLIMIT_NOFILE, &l); err != nil {
		return 0, fmt.Errorf("read the limit of open files: %w", err)
	}
	l.Cur = l.Max
	if err := unix.Setrlimit(unix.RLIMIT_NOFILE, &l); err != nil {
		return 0, fmt.Errorf("raise the limit of open files: %w", err)
	}
	return int(min(l.Max, 1<<30)), nil
}

// allOnce measures every scenario with every peer once, every second time in reverse order.
func (r *run) allOnce(ctx context.Context) error {
	for i := range r.Scenarios {
		s := &r.Scenarios[i]
		if s.MaxRounds > 0 && r.round >= s.MaxRounds {
			continue
		}
		order := slices.Clone(r.Peers)
		if r.round%2 == 1 {
			slices.Reverse(order)
		}
		for j := range order {
			p := &order[j]
			if !r.takesPart(s, p) || !r.fits(s, p) {
				continue
			}
			if err := ctx.Err(); err != nil {
				return err
			}
			r.Progress(fmt.Sprintf("round %d/%d  %d/%d  %s  %s", r.round+1, r.Rounds, i+1, len(r.Scenarios), s.Name, p.Name))
			sample, err := s.measure(r, ctx, s, p)
			r.stopChecking()
			switch {
			case err == nil:
				sample.Scenario, sample.Peer, sample.Round = s.Name, p.Name, r.round
				r.report.Samples = append(r.report.Samples, sample)
			case ctx.Err() != nil:
				return ctx.Err()
			case errors.Is(err, errNoProgram):
				r.skipped[s.program] = struct{}{}
				r.report.Notes = append(r.report.Notes, fmt.Sprintf("%s is skipped: %v", s.Name, err))
			default:
				r.fail(s, p, err)
			}
		}
	}
	return nil
}

func (r *run) takesPart(s *Scenario, p *peers.Peer) bool {
	_, skipped := r.skipped[s.program]
	return p.Missing == "" && s.applies(p) && !r.failed[[2]string{s.Name, p.Name}] && !(skipped && s.program != nil)
}

// fits tells whether the limit of open files lets a peer take part; that it does not is noted.
func (r *run) fits(s *Scenario, p *peers.Peer) bool {
	need := s.Conns*max(p.FilesPerSession, 2) + 100
	if need <= r.files {
		return true
	}
	if r.round == 0 {
		r.report.Notes = append(r.report.Notes, fmt.Sprintf("%s is skipped for %s: it needs %d open files, the limit is %d", s.Name, p.Name, need, r.files))
	}
	return false
}

func (r *run) fail(s *Scenario, p *peers.Peer, err error) {
	r.failed[[2]string{s.Name, p.Name}] = true
	r.report.Failures = append(r.report.Failures, report.Failure{Scenario: s.Name, Peer: p.Name, Error: err.Error()})
}
