package reload

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/penstock/penstock/bench/peers"
	"github.com/penstock/penstock/bench/place"
	"github.com/penstock/penstock/bench/report"
	"github.com/penstock/penstock/internal/testutil/live"
)

// Options say what is done to each proxy.
type Options struct {
	Reloads int
	Idle    int // sessions at rest: an equal part of them is opened before each reload, as pools of clients do
	Talkers int // ping-pong sessions, opened before the first reload
	Streams int // sessions that stream both ways, opened before the first reload
	Storm   int // short connections a second

	Threads int
	Settle  time.Duration // that an old process gets to leave before the next reload
	Dir     string        // for files; the caller removes it
	Where   place.Party   // where the proxies run

	Progress func(line string)
}

// About says in words what is done.
func (o *Options) About() string {
	return fmt.Sprintf("%d sessions at rest, opened between the reloads, %d ping-pong, %d streaming both ways, every byte compared; "+
		"%d short connections a second; %d threads; haproxy with `-x` and `expose-fd listeners`.",
		o.Idle, o.Talkers, o.Streams, o.Storm, o.Threads)
}

const patience = 30 * time.Second

// Run does the reloads to a peer. A peer that is missing is reported as such.
func Run(ctx context.Context, o *Options, p *peers.Peer) (report.Reload, error) {
	r := report.Reload{Peer: p.Name, Version: p.Version, Missing: p.Missing, Reloads: o.Reloads}
	if p.Missing != "" {
		return r, nil
	}
	l, err := live.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return r, err
	}
	defer l.Close()
	s, err := newSeries(o, p, l)
	if err != nil {
		return r, err
	}
	defer s.stop()
	if err := s.run(ctx, &r); err != nil {
		return r, fmt.Errorf("%s: %w", p.Name, err)
	}
	return r, nil
}

// series is one proxy through its reloads.
type series struct {
	*Options
	peer  *peers.Peer
	load  *live.Load
	to    live.Target
	cfg   string
	stats string
	all   []*peers.Process // the newest last
}

func newSeries(o *Options, p *peers.Peer, l *live.Load) (*series, error) {
	port, err := o.Where.FreePort()
	if err != nil {
		return nil, err
	}
	s := &series{Options: o, peer: p, load: l, to: live.TCP(fmt.Sprintf("127.0.0.1:%d", port))}
	s.cfg, s.stats = filepath.Join(o.Dir, p.Name+"-reload.cfg"), filepath.Join(o.Dir, p.Name+".sock")
	config := fmt.Sprintf(`global
    maxconn %d
    nbthread %d
    stats socket %s level admin expose-fd listeners

defaults
    mode tcp
    timeout connect 10s
    timeout client 10m
    timeout server 10m

listen main
    bind %s
    server one %s
`, 2*(o.Idle+o.Talkers+o.Streams)+500, o.Threads, s.stats, s.to.Addr, l.Addr())
	return s, os.WriteFile(s.cfg, []byte(config), 0o600)
}

// newest is the process that serves.
func (s *series) newest() *peers.Process { return s.all[len(s.all)-1] }

func (s *series) run(ctx context.Context, r *report.Reload) error {
	if err := s.start(ctx); err != nil {
		return err
	}
	if err := s.load.Open(live.Mix{Talkers: s.Talkers, Streams: s.Streams}, s.to); err != nil {
		return err
	}
	storm := s.load.Storm(s.Storm, s.to)
	defer storm.Stop()
	var windows []live.Window
	for i := range s.Reloads {
		s.Progress(fmt.Sprintf("%s: reload %d of %d", s.peer.Name, i+1, s.Reloads))
		if err := s.load.Open(live.Mix{Idle: s.share(i)}, s.to); err != nil {
			return fmt.Errorf("sessions before reload %d: %w", i+1, err)
		}
		began, old := time.Now(), s.newest()
		if err := s.start(ctx); err != nil {
			return fmt.Errorf("reload %d: %w", i+1, err)
		}
		select {
		case <-old.Ended():
			r.Gone = append(r.Gone, time.Since(began))
		case <-time.After(s.Settle):
		case <-ctx.Done():
			return ctx.Err()
		}
		windows = append(windows, live.Window{From: began, To: time.Now()})
	}
	return s.sum(storm, windows, r)
}

// share is how many of the sessions at rest are opened before a reload.
func (s *series) share(i int) int {
	return (i+1)*s.Idle/s.Reloads - i*s.Idle/s.Reloads
}

// sum fills the figures.
func (s *series) sum(storm *live.Storm, windows []live.Window, r *report.Reload) error {
	short := storm.Stop()
	r.Connections, r.Lost, r.LostHow = short.Connections, short.Counts.Total(), causes(&short.Counts)
	s.all = slices.DeleteFunc(s.all, func(p *peers.Process) bool { return p.Alive() != nil })
	if len(s.all) == 0 {
		return errors.New("no process is left")
	}
	r.Old = len(s.all) - 1
	for _, p := range s.all {
		pss, err := p.PSS()
		if err != nil {
			return fmt.Errorf("memory of process %d: %w", p.PID(), err)
		}
		r.Memory += pss
	}
	with, err := s.field("CurrConns")
	if err != nil {
		return err
	}
	stalls := s.load.Stalls(windows...)
	r.StallP50, r.StallP99, r.StallMax = stalls.P50, stalls.P99, stalls.Max
	end := s.load.Finish()
	r.Sessions, r.Cut, r.Wrong = end.Sessions, end.Counts.Total(), end.Counts[live.Wrong]
	r.Left = max(0, r.Sessions-r.Cut-with)
	return nil
}

// causes are those that occurred.
func causes(c *live.Counts) string {
	var parts []string
	for cause, n := range c {
		if n > 0 {
			parts = append(parts, fmt.Sprintf("%d %v", n, live.Cause(cause)))
		}
	}
	return strings.Join(parts, ", ")
}

// start starts a process, which takes over from the newest if there is one, and waits until it answers.
func (s *series) start(ctx context.Context) error {
	args := append(s.peer.Command[:len(s.peer.Command):len(s.peer.Command)], "-db", "-f", s.cfg)
	if len(s.all) > 0 {
		if s.peer.Name == peers.HAProxy {
			args = append(args, "-x", s.stats)
		}
		args = append(args, "-sf", strconv.Itoa(s.newest().PID()))
	}
	p, err := peers.StartProgram(s.peer.Name, args, s.Where)
	if err != nil {
		return err
	}
	s.all = append(s.all, p)
	for deadline := time.Now().Add(patience); ; {
		if pid, err := s.field("Pid"); err == nil && pid == p.PID() {
			return nil
		}
		if err := p.Alive(); err != nil {
			return err
		}
		if time.Now().After(deadline) {
			return fmt.Errorf("process %d does not answer on %s", p.PID(), s.stats)
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(5 * time.Millisecond):
		}
	}
}

func (s *series) stop() {
	for _, p := range s.all {
		p.Stop()
	}
}
