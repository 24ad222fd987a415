package main

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"regexp"
	"runtime/debug"
	"slices"
	"strings"
	"sync"
	"syscall"
	"time"

	"github.com/penstock/penstock/internal/admin"
	"github.com/penstock/penstock/internal/config"
	"github.com/penstock/penstock/internal/engine"
	"github.com/penstock/penstock/internal/logging"
	"github.com/penstock/penstock/internal/master"
	"github.com/penstock/penstock/internal/process"
	"github.com/penstock/penstock/internal/runtimeapi"
	"github.com/penstock/penstock/internal/web"
	"github.com/penstock/penstock/netio"
)

// balancer is the process that serves: the engine, the stats sockets, and what the system around
// them asks for.
type balancer struct {
	env        *environment
	settings   settings
	cfg        *config.Config
	report     *config.Reporter
	background *process.BackgroundProcess // nil in the foreground
	worker     *process.WorkerProcess     // nil without a master
	messages   *master.Logs               // of the start

	limits  limits
	engine  *engine.Engine
	api     *runtimeapi.Server
	web     *web.Server
	log     *logging.Logger // events of the process as a whole
	scratch logging.Scratch
	elders  *process.Elders // to be replaced
	logging sync.Mutex      // guards scratch

	succession *succession
	offer      *offer
	succeeded  chan struct{} // closed when a younger process has taken over
	signals    *process.Signals
	manager    *process.Supervisor // nil when nobody wants to know

	begun    time.Time
	bootTime time.Duration
	stopping bool
}

// run starts everything in the order that privileges ask for: limits, sockets, pid file, the old
// processes, then another root directory and user, and only then the threads that serve.
func (b *balancer) run() error {
	b.begun = time.Now()
	b.succeeded = make(chan struct{})
	b.succession = &succession{settings: b.settings, global: &b.cfg.Global, report: b.report, begun: b.begun}
	b.elders = process.NewElders(slices.Concat(b.settings.Finish, b.settings.Terminate)...)
	defer b.elders.Restore() // last, when nothing is bound any more
	if !b.setLimits() || !b.open() {
		return exitCode(exitFailure)
	}
	defer b.close()
	if refusedByWarnings(b.cfg, b.report) || !b.announce() || !b.dropPrivileges() {
		return exitCode(exitFailure)
	}
	b.bootTime = time.Since(b.begun)
	b.engine.Start()
	b.offer.begin()
	b.succession.ready(b.engine)
	b.api.Serve()
	b.web.Serve()
	if b.background != nil {
		if err := b.background.Ready(); err != nil {
			b.report.Alertf("Cannot become a background process: %v", err)
			return exitCode(exitFailure)
		}
	}
	if b.worker != nil {
		if err := b.worker.Ready(); err != nil {
			b.report.Alertf("Cannot tell the master: %v", err)
			return exitCode(exitFailure)
		}
	}
	b.messages.Stop()
	ready := []string{"READY=1", "STATUS=Ready."}
	if len(b.settings.Finish)+len(b.settings.Terminate) > 0 {
		ready = append(ready, fmt.Sprintf("MAINPID=%d", os.Getpid()))
	}
	b.tell(ready...)
	return b.serve()
}

// escapes are what colours the messages on a terminal.
var escapes = regexp.MustCompile("\x1b\\[[0-9;]*m")

// attend serves the connections that the master passes on. The channel is closed at the end of the master.
func (b *balancer) attend() <-chan struct{} {
	if b.worker == nil {
		return nil
	}
	gone := make(chan struct{})
	go func() {
		defer close(gone)
		for {
			conn, allowed, err := b.worker.Accept()
			if err != nil {
				return
			}
			b.api.Attend(conn, allowed)
		}
	}()
	return gone
}

// open binds everything and takes over the signals.
func (b *balancer) open() bool {
	g := &b.cfg.Global
	hostname, err := os.Hostname()
	if err != nil {
		hostname = ""
	}
	if g.LogHostname != "" {
		hostname = g.LogHostname
	}
	options := b.settings.engineOptions(b.report)
	options.MakeRoom = b.elders.MakeRoom
	tag := g.LogTag
	if tag == "" {
		tag = options.Program
	}
	b.log, err = logging.NewLogger(g.Logs, logging.Options{Tag: tag, Hostname: hostname, SendHostname: g.LogSendHostname})
	if err != nil {
		b.report.Alertf("%v", err)
		return false
	}
	if !b.bind(options) {
		b.log.Close()
		return false
	}
	b.offer = newOffer(b)
	b.signals = process.Watch()
	name, _ := b.env.lookup("NOTIFY_SOCKET")
	if b.manager, err = process.FindSupervisor(name); err != nil {
		b.report.Warningf("Cannot %v.", err)
	}
	return true
}

// bind takes the addresses of the stats sockets first, which disturbs nobody, then those of the frontends, and shows
// all. On failure nothing is left open.
func (b *balancer) bind(options engine.Options) bool {
	g := &b.cfg.Global
	b.succession.meet(&options)
	if len(options.Inherited) == 0 {
		options.Inherited = b.fetchSockets()
	}
	var fds []int
	for _, s := range options.Inherited {
		fds = append(fds, s.FD)
	}
	var err error
	b.api, err = runtimeapi.Open(g.StatsSockets, runtimeapi.Options{
		Version:   fullVersion(),
		Info:      b.info,
		Environ:   withoutSecrets(b.env.environ, b.cfg.SecretVariables()),
		Timeout:   g.StatsTimeout,
		MaxConn:   g.StatsMaxConn,
		LineLimit: g.BufSize,
		Commands:  admin.Commands(func() *engine.Engine { return b.engine }),

		StartupLogs: func() string { return escapes.ReplaceAllString(b.messages.String(), "") },

		Bug:         b.bug,
		PassSockets: b.passSockets,
		Inherited:   fds,
		MakeRoom:    options.MakeRoom,
	})
	if err != nil {
		for _, fd := range fds {
			netio.Close(fd)
		}
		return b.notBound(err)
	}
	source := web.Source{
		Info: b.info, Engine: func() *engine.Engine { return b.engine }, Handovers: b.handovers,
		Run:   func(words ...string) string { return b.api.Run(runtimeapi.LevelAdmin, words...) },
		Event: func(format string, args ...any) { b.event(logging.LevelNotice, format, args...) },
		Bug:   func(line string) { b.event(logging.LevelAlert, "BUG: %s", line) },
	}
	if b.web, err = web.Open(b.cfg, source, options.MakeRoom); err != nil {
		b.api.Close()
		for _, fd := range fds {
			netio.Close(fd)
		}
		return b.webNotBound(err)
	}
	if b.engine, err = engine.New(b.cfg, options); err != nil {
		b.api.Close()
		b.web.Close()
		if !errors.Is(err, engine.ErrConfig) {
			b.report.Alertf("%v", err)
		}
		return false
	}
	if err = b.api.Publish(); err != nil {
		b.api.Close()
		b.web.Close()
		b.engine.Close()
		return b.notBound(err)
	}
	if err = b.web.Publish(); err != nil {
		b.api.Close()
		b.web.Close()
		b.engine.Close()
		return b.webNotBound(err)
	}
	return true
}

// webNotBound is notBound for sections in HTTP mode.
func (b *balancer) webNotBound(err error) bool {
	return b.notBound(errors.New("Binding " + strings.ReplaceAll(err.Error(), "\n", "\nBinding ")))
}

// notBound reports the addresses that could not be had, one to a line of the error.
func (b *balancer) notBound(err error) bool {
	for line := range strings.SplitSeq(err.Error(), "\n") {
		b.report.Alertf("%s", line)
	}
	b.report.Alertf("Some protocols failed to start their listeners! Exiting.")
	return false
}

// tell lets the service manager know.
func (b *balancer) tell(assignments ...string) {
	if err := b.manager.Tell(assignments...); err != nil {
		b.report.Warningf("Cannot %v.", err)
	}
}

func (b *balancer) close() {
	b.offer.close()
	b.succession.close()
	b.api.Close()
	b.web.Close()
	b.engine.Close()
	b.log.Flush(logPatience)
	b.log.Close()
	b.signals.Stop()
	b.manager.Close()
}

// announce writes the pid file and tells the old processes that their successor listens.
func (b *balancer) announce() bool {
	path := b.cfg.Global.PidFile
	if path != "" && b.background != nil {
		if err := process.WritePIDFile(path, os.Getpid()); err != nil {
			b.report.Alertf("[%s.main()] Cannot create pidfile %s : %v", programName, path, err)
			return false
		}
	}
	b.elders.Dismiss()
	for _, old := range []struct {
		pids   []int
		signal syscall.Signal
	}{
		{b.settings.Finish, syscall.SIGUSR1},
		{b.settings.Terminate, syscall.SIGTERM},
	} {
		unknown := slices.DeleteFunc(slices.Clone(old.pids), b.succession.knows)
		for _, pid := range process.Tell(unknown, old.signal) {
			b.report.Warningf("Process %d was not there to be signalled.", pid)
		}
	}
	return true
}

// dropPrivileges changes the root directory and the user. Root's numbers count as not set.
func (b *balancer) dropPrivileges() bool {
	g := &b.cfg.Global
	identity := process.Identity{Chroot: g.Chroot, UID: process.Unchanged, GID: process.Unchanged}
	if g.UID > 0 {
		identity.UID = g.UID
	}
	if g.GID > 0 {
		identity.GID = g.GID
	}
	warning, err := identity.Assume()
	if warning != nil {
		b.report.Warningf("[%s.main()] Cannot %v.", programName, warning)
	}
	if err != nil {
		b.report.Alertf("[%s.main()] Cannot %v.", programName, err)
		return false
	}
	return true
}

// logPatience is how long the end of the process waits for log lines to leave.
const logPatience = time.Second

// serve obeys signals until the process is to end. Each timer runs at most once.
func (b *balancer) serve() error {
	var graceOver, hardStop <-chan time.Time
	succeeded := b.succeeded
	alone := b.attend()
	softStop := func() {
		b.api.Close()
		b.web.Close()
		b.succession.close() // who ends takes over nothing more
		b.engine.SoftStop()
		if after := b.cfg.Global.HardStopAfter; after > 0 {
			hardStop = time.After(after)
		}
	}
	finish := func() {
		b.stopping = true
		if grace := b.cfg.Global.Grace; grace > 0 {
			b.event(logging.LevelWarning, "Scheduling a soft-stop in %d ms.", grace.Milliseconds())
			graceOver = time.After(grace)
			return
		}
		softStop()
	}
	for {
		select {
		case request := <-b.signals.C:
			switch request.Event {
			case process.Terminate:
				b.die(request)
			case process.SoftStop:
				if b.stopping {
					break
				}
				b.tell("STOPPING=1")
				finish()
			case process.Pause:
				b.engine.Pause()
			case process.Resume:
				b.engine.Resume()
			case process.Dump:
				b.dump()
			case process.Collect:
				debug.FreeOSMemory()
			}
		case <-succeeded:
			succeeded = nil // the successor speaks to the service manager from now on
			if !b.stopping {
				finish()
			}
		case <-graceOver:
			softStop()
		case <-hardStop:
			b.event(logging.LevelWarning, "soft-stop running for too long, performing a hard-stop.")
			b.engine.HardStop()
		case <-alone:
			b.report.Alertf("The master is gone, and this worker ends with it.")
			return exitCode(exitFailure)
		case <-b.engine.Done():
			return nil
		}
	}
}

// event reports and logs something about the whole process.
func (b *balancer) event(level int, format string, args ...any) {
	b.report.Warningf(format, args...)
	b.logging.Lock()
	defer b.logging.Unlock()
	b.log.Send(&b.scratch, level, time.Now().UnixNano(), fmt.Appendf(nil, format, args...))
}

// bug reports and logs a command of the Runtime API that panicked.
func (b *balancer) bug(command string, panicked any, stack []byte) {
	b.event(logging.LevelAlert, "BUG: '%s' panicked: %v", command, panicked)
	for line := range strings.Lines(string(stack)) {
		b.event(logging.LevelAlert, "BUG: %s", strings.TrimRight(line, "\n"))
	}
}

// dump reports the states of all servers; the engine logs them.
func (b *balancer) dump() {
	var text bytes.Buffer
	b.engine.DumpState(&text)
	for line := range strings.Lines(text.String()) {
		b.report.Warningf("%s", strings.TrimSuffix(line, "\n"))
	}
}

// die ends the process by the signal that asked for it. What was logged gets a moment to leave.
func (b *balancer) die(request process.Request) {
	late := time.AfterFunc(logPatience, func() { process.DieBy(request.Signal) })
	defer late.Stop()
	b.engine.Close()
	b.log.Flush(logPatience)
	process.DieBy(request.Signal)
}
