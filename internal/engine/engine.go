package engine

import (
	"errors"
	"os"
	"runtime"
	"runtime/debug"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/penstock/penstock/internal/check"
	"github.com/penstock/penstock/internal/config"
	"github.com/penstock/penstock/internal/logging"
	"github.com/penstock/penstock/internal/session"
	"github.com/penstock/penstock/internal/statefile"
	"github.com/penstock/penstock/internal/worker"
	"github.com/penstock/penstock/netio"
)

// Options say how an engine is built, besides its configuration.
type Options struct {
	Report        *config.Reporter
	Program       string // for the syslog tag
	NoResolveFail bool   // a server whose name does not resolve starts disabled (-dr)

	// Former are the Topology of the processes whose sessions will be taken over.
	Former [][]byte
	// FormerStates are those of processes of which only the states of servers are taken over.
	FormerStates [][]byte
	// Inherited are listening sockets of a former process, which bind lines of the same address use instead
	// of opening their own. New owns them from its call on, whatever it returns, and closes those that it does
	// not use; see Taken.
	Inherited []Inherited
	// MakeRoom is called when an address is in use, and says whether it is worth another try. Nil: it is not.
	MakeRoom func() bool
}

// Engine is one running configuration. Its methods may be called from any goroutine; a stop, once
// begun, is not taken back.
type Engine struct {
	cfg     *config.Config
	opt     Options
	shared  *session.Shared
	proxies []*session.Proxy                   // by place in cfg.Proxies
	servers []atomic.Pointer[[]*config.Server] // by place of the proxy, see Servers
	places  sync.RWMutex                       // held while servers come or go, and by those who must not be met by that; taken before mu
	workers []*worker.Worker
	outlets *logging.Outlets
	checker *check.Checker   // of all servers, checked or not
	checked []*check.Backend // by place; nil: the proxy has no servers
	usage   usage

	steering steering

	checking  bool     // nothing is to be opened
	null      *os.File // for external checks; nil: there are none
	listeners int      // sockets opened
	inherited []int
	handed    inheritance
	sockets   []socket // that a successor may take

	unpublished []opened             // by bindAll, while it runs
	remembered  [][]statefile.Server // by proxy: what state files have

	mu       sync.Mutex // guards what follows
	scratch  logging.Scratch
	stopping bool
	held     []bool // what StopAccepting was told; nil: it is not in force
	left     bool   // DrainListeners was called
	paused   bool
	running  bool
	checkAt  map[serverKey]checkPlace
	agentAt  map[serverKey]checkPlace

	frontends                []FrontendState // by place; nil: all ready
	maxConnRate, maxSessRate int
	cleared                  map[serverKey]checkCounts // of checks, when the counters were cleared
	checks                   bool                      // the checker runs

	freezeFrom int // worker that Freeze asks first; the handover's goroutine only

	live   chan struct{} // closed when nothing is left to serve
	closed chan struct{} // closed by Close
	quit   sync.Once

	complaints atomic.Uint64
}

// ErrConfig says that the configuration cannot run; every reason was reported.
var ErrConfig = errors.New("configuration cannot run")

// mailboxSize is the number of grants that fit a worker's mailbox; more go a slower way.
const mailboxSize = 4096

// New builds everything that a configuration asks for: it resolves names, compiles formats, opens
// and binds every listener, and starts nothing. Every mistake is reported; on error all is closed
// again.
func New(cfg *config.Config, opt Options) (e *Engine, err error) {
	e = &Engine{cfg: cfg, opt: opt, outlets: logging.NewOutlets(), checkAt: map[serverKey]checkPlace{}, agentAt: map[serverKey]checkPlace{}, live: make(chan struct{}), closed: make(chan struct{})}
	e.handed = newInheritance(opt.Inherited)
	defer e.handed.closeRest()
	defer func() {
		if err != nil {
			e.Close()
			e = nil
		}
	}()
	hostname, _ := os.Hostname()
	g := &cfg.Global
	cpus, err := netio.UsableCPUs()
	if err != nil {
		return e, err
	}
	threads := g.NbThread
	if threads == 0 {
		threads = len(cpus)
	}
	e.shared = &session.Shared{
		BufSize:   g.BufSize,
		MaxAccept: g.MaxAccept,
		IdleMs:    uint32(g.IdleTimer / time.Millisecond),
		PipeSize:  g.PipeSize,
		MaxPipes:  e.pipesPerWorker(threads),
		Pid:       os.Getpid(),
		Hostname:  hostname,
		WakeAll:   e.limitsFreed,
		Complain:  e.complain,
	}
	if g.MaxAccept <= 0 {
		e.shared.MaxAccept = 1 << 16
	}
	if e.shared.IdleMs == 0 {
		e.shared.IdleMs = 1000
	}
	e.shared.Conns.SetMax(g.MaxConn)
	e.SetMaxConnRate(g.MaxConnRate)
	e.SetMaxSessRate(g.MaxSessRate)
	former, err := readTopologies(opt.Former)
	if err != nil {
		return e, err
	}
	for _, f := range former {
		addDeparted(cfg, f.Proxies)
	}
	others, err := readTopologies(opt.FormerStates)
	if err != nil {
		return e, err
	}
	e.readStateFiles()
	ok := e.buildProxies(hostname) && e.buildChecks()
	if ok {
		e.loadStates()
		e.inheritStates(slices.Concat(former, others))
	}
	for i := range threads {
		w, err := worker.New(e.shared, worker.Options{
			ID:        i,
			CPUs:      workerCPUs(g.CPUMap, cpus, i, threads),
			MaxEvents: max(g.MaxPollEvts, 16),
			Mailbox:   mailboxSize,
		})
		if err != nil {
			return e, err
		}
		e.workers = append(e.workers, w)
	}
	if !ok || !e.bindAll() {
		return e, ErrConfig
	}
	e.loadSteering()
	return e, nil
}

// Check reports whether New would accept the configuration, binding nothing.
func Check(cfg *config.Config, opt Options) bool {
	e := &Engine{cfg: cfg, opt: opt, shared: &session.Shared{}, checkAt: map[serverKey]checkPlace{}, agentAt: map[serverKey]checkPlace{}, checking: true}
	hostname, _ := os.Hostname()
	e.readStateFiles()
	if !e.buildProxies(hostname) || !e.buildChecks() {
		return false
	}
	e.loadStates()
	return true
}

// pipeBudget is the number of pipes of the usual size that an unprivileged user may have
// (fs.pipe-user-pages-soft, 64 MiB).
const pipeBudget = 256

func (e *Engine) pipesPerWorker(threads int) int {
	g := &e.cfg.Global
	n := g.MaxPipes
	if n == 0 {
		n = min(pipeBudget, max(g.MaxConn/4, 16))
	}
	return max(n/threads, 1)
}

// workerCPUs is where worker i of n may run: what cpu-map says, or a CPU of its own when there are enough.
func workerCPUs(maps []config.CPUMap, usable []int, i, n int) []int {
	var cpus []int
	for _, m := range maps {
		for at, thread := range m.Threads {
			if thread != i+1 {
				continue
			}
			cpus = m.CPUs
			if m.Auto {
				cpus = m.CPUs[at : at+1]
			}
		}
	}
	if cpus == nil && n <= len(usable) {
		cpus = usable[i : i+1]
	}
	return cpus
}

// Start starts the workers.
func (e *Engine) Start() {
	runtime.GOMAXPROCS(len(e.workers) + 2)
	// The heap is small and does not grow with the connections: collecting it seldom costs little memory.
	debug.SetGCPercent(400)
	e.mu.Lock()
	defer e.mu.Unlock()
	e.usage.measure(time.Now(), e.Loads()) // the first one to ask is told what was since the start
	e.running = true
	e.startChecks() // first: no session shall go to a server that begins as down
	for _, w := range e.workers {
		for i, state := range e.frontends {
			if state == FrontendPaused {
				w.BeginPaused(i)
			}
		}
		if err := w.Start(); err != nil {
			e.opt.Report.Warningf("thread %d is not bound to its CPUs: %v", w.ID+1, err)
		}
	}
	for _, fd := range e.inherited {
		netio.Close(fd)
	}
	e.steer()
}

// Done is closed when a soft or hard stop has come to its end: no listener and no session is left.
func (e *Engine) Done() <-chan struct{} { return e.live }

// SoftStop closes the listeners; sessions go on until they end by themselves.
func (e *Engine) SoftStop() {
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.stopping {
		return
	}
	e.stopping = true
	e.stopChecks()
	// Who reads that a proxy stopped will not connect to it any more.
	if !e.left {
		e.leaveListeners(e.held)
	}
	for i, p := range e.cfg.Proxies {
		if !p.Disabled {
			sp := e.proxies[i]
			e.logProxy(sp, logging.LevelWarning, "Proxy %s stopped (cumulated conns: FE: %d, BE: %d).",
				p.Name, sp.CumConns.Load(), sp.CumBeConns.Load())
		}
	}
	go e.awaitEnd()
}

// endPoll is how often a stopping process looks for sessions that are left.
const endPoll = 20 * time.Millisecond

func (e *Engine) awaitEnd() {
	tick := time.NewTicker(endPoll)
	defer tick.Stop()
	for range tick.C {
		left := 0
		for _, w := range e.workers {
			left += w.Table.Live()
		}
		if left == 0 {
			close(e.live)
			return
		}
	}
}

// HardStop ends all sessions; a soft stop must have begun.
func (e *Engine) HardStop() {
	e.mu.Lock()
	defer e.mu.Unlock()
	for i, p := range e.cfg.Proxies {
		if n := e.proxies[i].Conns.Current(); n > 0 {
			e.opt.Report.Warningf("Proxy %s hard-stopped (%d remaining conns will be closed).", p.Name, n)
			e.logProxy(e.proxies[i], logging.LevelWarning, "Proxy %s hard-stopped (%d remaining conns will be closed).", p.Name, n)
		}
	}
	for _, w := range e.workers {
		w.KillAll()
	}
}

// Pause stops listening and keeps the addresses: new connections are refused. Resume takes it back.
func (e *Engine) Pause() { e.setPaused(true) }

// Resume makes paused listeners listen again.
func (e *Engine) Resume() { e.setPaused(false) }

func (e *Engine) setPaused(paused bool) {
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.stopping || e.paused == paused {
		return
	}
	e.paused = paused
	word := "Resumed"
	if paused {
		word = "Paused"
	}
	for _, w := range e.workers {
		if paused {
			w.Pause()
		} else {
			w.Resume()
		}
	}
	if !paused {
		e.steer()
	}
	for i, p := range e.cfg.Proxies {
		if p.Kind.HasFrontend() && !p.Disabled {
			e.opt.Report.Warningf("%s %s %s.", word, p.Kind, p.Name)
			e.logProxy(e.proxies[i], logging.LevelWarning, "%s %s %s.", word, "proxy", p.Name)
		}
	}
}

// Close ends the workers, if they run, and closes everything. Log lines that wait get a moment.
func (e *Engine) Close() {
	e.quit.Do(func() {
		close(e.closed)
		e.mu.Lock()
		running := e.running
		e.stopChecks()
		_ = e.null.Close() // nil is refused, which does no harm
		e.mu.Unlock()
		e.stopSteering()
		for _, w := range e.workers {
			if running {
				w.Quit()
			} else {
				w.Discard()
			}
		}
		for _, w := range e.workers {
			<-w.Done()
		}
		e.closeSteering()
		e.outlets.Flush(time.Second)
		e.outlets.Close()
	})
}

func (e *Engine) limitsFreed() {
	for _, w := range e.workers {
		w.LimitsFreed()
	}
}
