package process

import (
	"os"
	"os/signal"
	"slices"
	"time"

	"golang.org/x/sys/unix"
)

// Event is what a signal asks the process to do.
type Event uint8

// The events.
const (
	// Terminate asks for an immediate end by the signal that came.
	Terminate Event = iota + 1
	// SoftStop asks to accept no more and to end with the last session.
	SoftStop
	// Pause asks to stop listening, Resume to listen again.
	Pause
	Resume
	// Dump asks for the states of all servers.
	Dump
	// Collect asks to return unused memory to the system.
	Collect
	// Reload asks a master for new workers.
	Reload
)

// Request is one event and the signal that carried it.
type Request struct {
	Event  Event
	Signal unix.Signal
}

var events = map[unix.Signal]Event{
	unix.SIGTERM: Terminate,
	unix.SIGINT:  Terminate,
	unix.SIGUSR1: SoftStop,
	unix.SIGTTOU: Pause,
	unix.SIGTTIN: Resume,
	unix.SIGHUP:  Dump,
	unix.SIGQUIT: Collect,
}

// masterEvents are what the signals mean to a master.
var masterEvents = map[unix.Signal]Event{
	unix.SIGTERM: Terminate,
	unix.SIGINT:  Terminate,
	unix.SIGUSR1: SoftStop,
	unix.SIGTTOU: Pause,
	unix.SIGTTIN: Resume,
	unix.SIGHUP:  Reload,
	unix.SIGUSR2: Reload,
}

// Signals is the subscription of a process to its signals.
type Signals struct {
	C       <-chan Request
	events  map[unix.Signal]Event
	arrived chan os.Signal
	done    chan struct{}
	ended   chan struct{}
	before  map[unix.Signal]sigaction // what Defer changed
	pending []Request                 // taken by forward and by nobody behind it; valid once ended is closed
}

// Watch takes over the signals of the process: they arrive as requests on C instead
// of having their default action, in their order as far as the kernel keeps it. SIGPIPE and SIGUSR2 are ignored, and so stays a terminating signal
// that the parent had ignored, as a shell does for what it puts in the background. Only one subscription may exist.
func Watch() *Signals {
	signal.Ignore(unix.SIGPIPE, unix.SIGUSR2)
	return watch(events)
}

// WatchMaster is Watch for a master process, for which SIGHUP and SIGUSR2 are requests to reload. SIGQUIT is ignored.
func WatchMaster() *Signals {
	signal.Ignore(unix.SIGPIPE, unix.SIGQUIT)
	return watch(masterEvents)
}

func watch(events map[unix.Signal]Event) *Signals {
	out := make(chan Request)
	s := &Signals{C: out, events: events, arrived: make(chan os.Signal, 64), done: make(chan struct{}), ended: make(chan struct{})}
	for sig, event := range events {
		if event == Terminate && signal.Ignored(sig) {
			continue
		}
		signal.Notify(s.arrived, sig)
	}
	go s.forward(out)
	return s
}

func (s *Signals) forward(out chan<- Request) {
	defer close(s.ended)
	for {
		select {
		case <-s.done:
			return
		case got := <-s.arrived:
			requests := s.inOrder(got)
			for i, request := range requests {
				select {
				case <-s.done:
					s.pending = append(s.pending, requests[i:]...)
					return
				case out <- request:
				}
			}
		}
	}
}

// resumeHold is how long a Resume waits for a Pause that was sent before it, see inOrder.
const resumeHold = 100 * time.Millisecond

// inOrder is the request of a signal, and that of the next one if it belongs before it. Of signals that wait for a
// process the kernel delivers the lowest first. A process that fails to replace this one sends SIGTTOU, and soon after it
// SIGTTIN, which is lower: taken in the order of their delivery they would leave this process paused for ever. So a
// SIGTTOU that comes right behind a SIGTTIN counts as the older one; who wants a pause repeats it.
func (s *Signals) inOrder(got os.Signal) (requests []Request) {
	requests = s.add(requests, got)
	if len(requests) == 0 || requests[0].Event != Resume {
		return requests
	}
	var next os.Signal
	select {
	case next = <-s.arrived:
	default:
		hold := time.NewTimer(resumeHold)
		defer hold.Stop()
		select {
		case <-s.done:
		case <-hold.C:
		case next = <-s.arrived:
		}
	}
	if requests = s.add(requests, next); requests[len(requests)-1].Event == Pause {
		slices.Reverse(requests)
	}
	return requests
}

func (s *Signals) add(requests []Request, got os.Signal) []Request {
	sig, ok := got.(unix.Signal)
	if !ok {
		return requests
	}
	return append(requests, Request{Event: s.events[sig], Signal: sig})
}

// Stop ends the subscription; the signals have their default action again, unless they are blocked.
func (s *Signals) Stop() {
	signal.Stop(s.arrived)
	close(s.done)
}

// Defer ends the subscription of a master whose program is to be replaced, and returns the requests that
// arrived and that nobody has taken from C. What comes later waits for the next program, or does what Replace's
// file says. When there is no next program, Again goes on.
func (s *Signals) Defer() []Request {
	s.before = map[unix.Signal]sigaction{unix.SIGHUP: act(unix.SIGHUP, actIgnore)}
	for _, sig := range []unix.Signal{unix.SIGTERM, unix.SIGINT} {
		if !signal.Ignored(sig) {
			s.before[sig] = act(sig, actDefault)
		}
	}
	_ = finishHandlers() // what it misses is lost in the worst case
	s.Stop()
	<-s.ended
	left := s.pending
	for {
		select {
		case got := <-s.arrived:
			if sig, ok := got.(unix.Signal); ok {
				left = append(left, MasterRequest(sig))
			}
		default:
			return left
		}
	}
}

// Again is a new subscription of a master after Defer.
func (s *Signals) Again() *Signals {
	again := WatchMaster()
	for sig, action := range s.before {
		act(sig, action)
	}
	return again
}

// MasterRequest is what a signal asks a master for.
func MasterRequest(sig unix.Signal) Request { return Request{Event: masterEvents[sig], Signal: sig} }

// DieBy ends the process by sig, so that the parent's wait status tells it apart from an exit. The
// signal gets its default action back first. Should it not kill, the exit code names it as a shell does.
func DieBy(sig unix.Signal) {
	signal.Reset(sig)
	if err := unix.Kill(unix.Getpid(), sig); err != nil {
		os.Exit(128 + int(sig))
	}
	time.Sleep(time.Second) // the signal may land on another thread a moment later
	os.Exit(128 + int(sig))
}

// Tell sends sig to every process of pids and returns those that it could not be sent to.
func Tell(pids []int, sig unix.Signal) (missed []int) {
	for _, pid := range pids {
		if err := unix.Kill(pid, sig); err != nil {
			missed = append(missed, pid)
		}
	}
	return missed
}
