package master

import (
	"fmt"
	"os"
	"slices"
	"strings"
	"sync"
	"syscall"
	"time"

	"github.com/penstock/penstock/internal/config"
	"github.com/penstock/penstock/internal/process"
	"github.com/penstock/penstock/internal/runtimeapi"
)

// The life of a master. Only its own goroutine touches its fields; others hand it functions.
//
//	            Replace, first of all
//	start ────────────────────────────┐
//	                                  v     it fails for the first time
//	    ┌──── reload: Replace ──> loading ───────────────────────────────> leave with its code
//	    │                           │  it serves, or fails and the old worker stays
//	    │                           v
//	    └─────────────────────── serving
//	                                │  SIGTERM, SIGINT, SIGUSR1; a worker crashes
//	                                v
//	                             stopping ── the last worker has ended ──> leave with the code of the first
//	                                                                       that failed
//
// While one reload is under way others wait, as one. Each reload starts the program anew: what it reads
// from disk, itself and the configuration, is what is there then.

// Options say what a master keeps and how it shows itself. Its functions are called by the goroutine of Run.
type Options struct {
	Name    string   // of the program in messages
	Program string   // path of the program for a reload, as the command line named it
	Own     string   // path of the program that runs
	Args    []string // of the command line, with the program's name
	Dir     string   // where it was started; empty: unknown, it stays where it is
	Environ []string
	Version string

	// WorkerArgs are the arguments of a worker, with the program's name, that shall let the processes of
	// finish end and terminate those of terminate. first is the first start, when the command line may name some.
	WorkerArgs func(first bool, finish, terminate []int) []string
	// Settings reads what the configuration says about the master.
	Settings func() Settings
	// Ready is called when the first worker serves.
	Ready func() error

	Background bool // the first worker leaves the terminal when it serves
	Report     *config.Reporter
	Logs       *Logs // what Report writes goes there too
	Manager    *process.Supervisor
	CLI        []*config.Bind
}

// Settings are what the configuration says about the master. They are read at every reload.
type Settings struct {
	PIDFile         string
	NoExitOnFailure bool
	MaxReloads      int
}

// outcome is how the start of a worker went.
type outcome struct {
	ready bool
	text  []byte
}

// Master is a master process.
type Master struct {
	opt      Options
	settings Settings
	state    state
	first    bool // no worker has served yet

	loading *worker        // also in state.Workers; nil when no start is under way
	again   bool           // a reload was asked for meanwhile
	hard    bool           // and a hard one
	stopped bool           // no reload any more
	stopBy  syscall.Signal // what the workers were stopped by
	code    int            // of the first worker that failed
	over    bool

	signals *process.Signals
	api     *runtimeapi.Server
	calls   chan func()
	done    chan struct{}  // closed when nobody takes calls any more
	answers sync.WaitGroup // under way to those who asked for a reload
}

// Replace makes this process a master: its program takes its own place, with the signals of a master
// blocked, and Run goes on there. It returns only with an error.
func Replace(opt *Options, keep ...int) error {
	m := &Master{opt: *opt, state: state{Pid: os.Getpid(), Started: time.Now()}}
	return m.replace(opt.Own, keep)
}

// replace starts the program at path in the place of this one.
func (m *Master) replace(path string, keep []int) error {
	entry, err := m.state.encode()
	if err != nil {
		return err
	}
	if m.opt.Dir != "" {
		if err = os.Chdir(m.opt.Dir); err != nil {
			return fmt.Errorf("go back to the directory of the start: %w", err)
		}
	}
	return process.Replace(path, m.opt.Args, append(withoutState(m.opt.Environ), entry), append(keep, m.state.keep()...))
}

func withoutState(environ []string) []string {
	return slices.DeleteFunc(slices.Clone(environ), func(entry string) bool { return strings.HasPrefix(entry, stateVariable+"=") })
}

// Run is the life of a master after Replace, until the exit code of the process.
func Run(opt Options) int {
	m := &Master{opt: opt, code: -1, calls: make(chan func()), done: make(chan struct{})}
	defer close(m.done)
	s := decode(os.Getenv(stateVariable), os.Getpid())
	if s == nil {
		opt.Report.Alertf("The state of the master is lost.")
		return 1
	}
	m.state = *s
	m.state.Signals = nil
	m.first = len(s.Workers) == 0
	m.opt.Environ = withoutState(opt.Environ)
	os.Unsetenv(stateVariable)
	m.settings = opt.Settings()
	m.signals = process.WatchMaster()
	defer func() { m.signals.Stop() }()
	if !m.open() {
		return 1
	}
	defer m.api.Close()
	for _, w := range m.state.Workers {
		m.observe(w)
	}
	if path := m.settings.PIDFile; path != "" && m.first {
		if err := process.CheckPIDFile(path); err != nil {
			m.noPIDFile(err)
			return 1
		}
	}
	m.api.Serve()
	m.load()
	for _, sig := range s.Signals {
		m.obey(process.MasterRequest(syscall.Signal(sig)))
	}
	for !m.over {
		select {
		case request := <-m.signals.C:
			m.obey(request)
		case call := <-m.calls:
			call()
		}
	}
	m.answers.Wait()
	return max(m.code, 0)
}

// open opens the command line, or takes up its sockets, and the links to the workers.
func (m *Master) open() bool {
	report := m.opt.Report
	m.state.Workers = slices.DeleteFunc(m.state.Workers, func(w *worker) bool {
		err := w.Link.Adopt()
		if err != nil {
			report.Alertf("Worker %d is out of reach: %v.", w.Pid, err)
		}
		return err != nil
	})
	for _, fd := range slices.Concat(m.state.Sockets, m.state.Waiting) {
		syscall.CloseOnExec(fd)
	}
	var err error
	m.api, err = runtimeapi.Listen(m.opt.CLI, runtimeapi.Options{
		Version: m.opt.Version,
		Environ: m.opt.Environ,
		Master:  m.commandLine(),
		Sockets: m.state.Sockets,
	})
	m.state.Sockets = nil
	if err == nil {
		return true
	}
	for line := range strings.SplitSeq(err.Error(), "\n") {
		report.Alertf("%s", line)
	}
	report.Alertf("Can't create the master's CLI.")
	if !m.first { // the workers are worth more
		m.api, err = runtimeapi.Listen(nil, runtimeapi.Options{Version: m.opt.Version})
	}
	return err == nil
}

// writePIDFile writes the file once for each name that the configuration gives it. Whoever waits for it may
// expect that a worker serves.
func (m *Master) writePIDFile() {
	path := m.settings.PIDFile
	if path == "" || path == m.state.PIDFile {
		return
	}
	if err := process.WritePIDFile(path, m.state.Pid); err != nil {
		m.noPIDFile(err)
		return
	}
	m.state.PIDFile = path
}

func (m *Master) noPIDFile(err error) {
	m.opt.Report.Alertf("[%s.main()] Cannot create pidfile %s : %v", m.opt.Name, m.settings.PIDFile, err)
}

// call makes the master's goroutine call f, and waits for that. Once the master is over nothing is called.
func (m *Master) call(f func()) {
	called := make(chan struct{})
	select {
	case m.calls <- func() { defer close(called); f() }:
		<-called
	case <-m.done:
	}
}

// obey does what a signal asks for.
func (m *Master) obey(request process.Request) {
	switch request.Event {
	case process.Terminate, process.SoftStop:
		m.stop(request.Signal)
	case process.Pause, process.Resume:
		m.tell(request.Signal)
	case process.Reload:
		m.reload(false)
	}
}

// tell sends a signal to every worker. Those that have ended are zombies until they are reaped, so that
// nobody else is hit.
func (m *Master) tell(sig syscall.Signal) {
	for _, w := range m.state.Workers {
		if !w.ended {
			process.Tell([]int{w.Pid}, sig)
		}
	}
}

// stop ends all workers by a signal; the last one takes the master with it.
func (m *Master) stop(sig syscall.Signal) {
	m.notify("STOPPING=1")
	m.opt.Report.Warningf("Exiting Master process...")
	m.end(sig)
}

// end tells all workers to end. One that starts may not hear it yet, and is told again.
func (m *Master) end(sig syscall.Signal) {
	m.stopped, m.stopBy = true, sig
	m.answerWaiting(false)
	m.tell(sig)
}

// notify lets the service manager know.
func (m *Master) notify(assignments ...string) {
	if err := m.opt.Manager.Tell(assignments...); err != nil {
		m.opt.Report.Warningf("Cannot %v.", err)
	}
}
