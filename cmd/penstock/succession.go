package main

import (
	"encoding/json"
	"errors"
	"sync"
	"syscall"
	"time"

	"github.com/penstock/penstock/internal/config"
	"github.com/penstock/penstock/internal/engine"
	"github.com/penstock/penstock/internal/handover"
	"github.com/penstock/penstock/internal/process"
	"github.com/penstock/penstock/internal/session"
)

// Succession: what this process takes over from older ones (-sf, -st).
//
//	meet ──> engine.New ──> pid file, privileges ──> engine.Start ──> ready ──> receive
//	listeners and           opens what is missing                     the old   sessions,
//	descriptions of                                                   ones stop while this
//	old processes                                                     accepting one serves
//
// An old process that does not answer, or not in time, is signalled as ever: it closes its listeners and
// lives as long as its sessions.
type succession struct {
	settings settings
	global   *config.Global
	report   *config.Reporter
	begun    time.Time
	before   process.Migrations

	old    []*predecessor
	stats  []bool // which of the sockets that were passed are stats sockets
	moving sync.WaitGroup

	mu     sync.Mutex // guards status
	status takeover
}

// takeover is how a succession went. Its JSON text answers penstock reload.
type takeover struct {
	Generation int   `json:"generation"` // takeovers since the first process
	From       []int `json:"from"`       // pids of the old processes that answered

	Kept    int   `json:"kept"`   // listeners that were passed
	Opened  int   `json:"opened"` // listeners that were not there before
	Closed  int   `json:"closed"` // listeners that were passed, and are not in the configuration
	Moved   int   `json:"moved"`  // sessions
	Left    int   `json:"left"`   // sessions that end in the old process
	ReadyMs int64 `json:"ready_ms"`
	MoveMs  int64 `json:"sessions_ms"` // from ready to the last session

	// Connections that waited at a listener which was closed meanwhile, on any address of the network namespace.
	Migrated    uint64 `json:"migrated"`
	NotMigrated uint64 `json:"not_migrated"`

	Done  bool   `json:"done"`
	Error string `json:"error,omitempty"`
}

// predecessor is an old process that answers.
type predecessor struct {
	pid     int
	taker   *handover.Taker
	sockets int // it passed
	first   int // place of its first one among all that were passed
	ends    bool
}

// meet looks for the old processes, and fetches their listeners and descriptions for the engine's options.
func (s *succession) meet(o *engine.Options) {
	s.before = process.ReadMigrations()
	for _, pid := range s.settings.Finish {
		s.meetOne(pid, false, o)
	}
	for _, pid := range s.settings.Terminate {
		s.meetOne(pid, true, o)
	}
}

func (s *succession) meetOne(pid int, ends bool, o *engine.Options) {
	t, err := handover.Dial(pid, !ends && !s.global.NoSessionHandover)
	if errors.Is(err, handover.ErrNobody) {
		return
	}
	var sockets []handover.Socket
	if err == nil {
		if sockets, err = t.Sockets(); err != nil {
			_ = t.Close()
		}
	}
	if err != nil {
		s.report.Warningf("Nothing is taken over from process %d: %v.", pid, err)
		return
	}
	s.old = append(s.old, &predecessor{pid: pid, taker: t, sockets: len(sockets), first: len(o.Inherited), ends: ends})
	for _, k := range sockets {
		o.Inherited = append(o.Inherited, engine.Inherited{FD: k.FD, Netns: k.Netns, Index: k.Index})
		s.stats = append(s.stats, k.Proxy == "")
	}
	switch topology := t.Welcome().Topology; {
	case len(topology) == 0:
	case t.Welcome().Moves:
		o.Former = append(o.Former, topology)
	default:
		o.FormerStates = append(o.FormerStates, topology)
	}
	s.status.From = append(s.status.From, pid)
	s.status.Generation = max(s.status.Generation, t.Welcome().Generation+1)
}

// knows reports whether an old process answered, so that it needs no signal for now.
func (s *succession) knows(pid int) bool {
	for _, p := range s.old {
		if p.pid == pid {
			return true
		}
	}
	return false
}

// ready tells the old processes that this one accepts, and begins to receive their sessions.
func (s *succession) ready(e *engine.Engine) {
	taken := e.Taken()
	s.mu.Lock()
	for i, stats := range s.stats {
		switch {
		case taken[i]:
			s.status.Kept++
		case !stats:
			s.status.Closed++
		}
	}
	s.status.Opened = e.Opened()
	s.mu.Unlock()
	for _, p := range s.old {
		err := p.taker.Ready(taken[p.first:][:p.sockets])
		switch {
		case err != nil:
			s.failed(p, err)
		case p.ends:
			s.signal(p)
		default:
			s.moving.Go(func() { s.receive(p, e) })
		}
	}
	s.mu.Lock()
	s.status.ReadyMs = time.Since(s.begun).Milliseconds()
	s.mu.Unlock()
	if len(s.settings.Finish)+len(s.settings.Terminate) > 0 {
		e.Kick()
	}
	e.DrainDeparted(s.global.DrainDeparted)
	go s.finish()
}

// signal is the way without a handover.
func (s *succession) signal(p *predecessor) {
	_ = p.taker.Close() // it accepts again, until the signal
	signal := syscall.SIGUSR1
	if p.ends {
		signal = syscall.SIGTERM
	}
	process.Tell([]int{p.pid}, signal)
}

func (s *succession) failed(p *predecessor, err error) {
	s.report.Warningf("The handover from process %d failed: %v.", p.pid, err)
	s.mu.Lock()
	s.status.Error = err.Error()
	s.mu.Unlock()
	s.signal(p)
}

// receive takes the sessions of one old process.
func (s *succession) receive(p *predecessor, e *engine.Engine) {
	got, err := p.taker.Sessions(e.Misplaced, func(batch []session.Snapshot) {
		e.Adopt(batch)
		s.mu.Lock()
		s.status.Moved += len(batch)
		s.mu.Unlock()
	})
	if err != nil {
		s.failed(p, err)
		return
	}
	s.mu.Lock()
	s.status.Left += got.Left
	s.mu.Unlock()
	_ = p.taker.Close()
}

// finish notes when all is done.
func (s *succession) finish() {
	s.moving.Wait()
	s.mu.Lock()
	defer s.mu.Unlock()
	s.status.MoveMs = time.Since(s.begun).Milliseconds() - s.status.ReadyMs
	m := process.ReadMigrations().Since(s.before)
	s.status.Migrated, s.status.NotMigrated = m.Moved, m.Lost
	s.status.Done = true
}

// text is the status as JSON.
func (s *succession) text() ([]byte, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return json.Marshal(s.status)
}

// close takes nothing more: what the old processes still have stays with them.
func (s *succession) close() {
	for _, p := range s.old {
		p.taker.Break()
	}
	s.moving.Wait()
}
