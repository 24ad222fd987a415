package worker

import (
	"fmt"
	"runtime"
	"sync"
	"sync/atomic"
	"time"

	"github.com/penstock/penstock/ebpf/steer"
	"github.com/penstock/penstock/internal/backend"
	"github.com/penstock/penstock/internal/session"
	"github.com/penstock/penstock/netio"
	"github.com/penstock/penstock/sched"
)

// Worker is one pinned thread and its loop. Everything but the fields of the second block belongs to
// that thread once Start was called.
//
//	      ┌──────────────────────────────────────────────────────────────┐
//	      v                                                              │
//	orders and grants ─> due timers ─> run queue ─> epoll ─> events ─> clock
//	                                                  │
//	                     nothing to run: publish "sleeping", look again, block
//	                     until the next timer; else: poll without waiting
type Worker struct {
	ID    int
	Table *session.Table

	epoll       *netio.Epoll
	clock       *sched.Clock
	events      []netio.Event
	cpus        []int
	backlogs    []int        // by listener, for resuming
	watched     []watchState // by listener
	retryAt     sched.Tick   // when listeners that rest are watched again
	holds       []bool       // by listener: not to be watched until AcceptAgain; nil: none
	kickAt      sched.Tick   // when all listeners are tried, Never: not at all
	kicks       int          // how often after that
	allPaused   bool         // by Pause
	proxyPaused map[int]bool // by PauseProxy

	slot      *steer.Slot // what the steering program sees of the worker; nil: nobody looks
	yieldedNs int64       // when the scheduler was last called

	sleeping atomic.Bool
	orders   atomic.Uint32
	waker    *netio.Waker
	grants   *sched.Mailbox[Grant]
	spill    struct { // grants that found the mailbox full
		sync.Mutex
		waiting atomic.Bool
		list    []Grant
	}
	calls struct { // what others want the thread to do, see do
		sync.Mutex
		list []func()
	}
	watching struct { // see Watch
		sync.Mutex
		from time.Time // when the next one may look
	}
	done   chan struct{}
	thread atomic.Int64 // 0: not started
}

// Grant is a server's slot handed to a session that waited for it.
type Grant struct {
	Waiter  backend.Waiter
	Backend int32
	Server  int32
}

// Orders that other goroutines give; several may be pending, an order given twice is one.
const (
	orderLimits uint32 = 1 << iota // a maxconn has room again
	orderPause
	orderResume
	orderKill // end all sessions
	orderCall // there are calls
	orderQuit // leave the loop
)

// watchState is why a listener is watched, or not.
type watchState uint8

const (
	watching watchState = iota
	limited             // a maxconn is reached
	resting             // descriptors or memory are short, or a rate limit is reached
	held                // on order; connections wait in the queue
	paused
	taken // resumed, but somebody else has the address
	closed
)

// retryMs is how long a listener rests when the kernel has nothing left to give, or not its address.
const retryMs = 100

// Options say how a worker is built.
type Options struct {
	ID        int
	CPUs      []int // where its thread may run; empty: anywhere
	MaxEvents int   // reports fetched at a time
	Mailbox   int   // grants that fit the fast mailbox
}

// New makes a worker; it runs nothing until Start.
func New(sh *session.Shared, o Options) (w *Worker, err error) {
	ep, err := netio.NewEpoll()
	if err != nil {
		return nil, fmt.Errorf("worker %d: %w", o.ID, err)
	}
	defer func() {
		if err != nil {
			ep.Close()
		}
	}()
	waker, err := netio.NewWaker()
	if err != nil {
		return nil, fmt.Errorf("worker %d: %w", o.ID, err)
	}
	if e := ep.Add(waker.FD(), netio.Readable, session.Word(session.KindWaker, 0, 0, 0)); e != 0 {
		waker.Close()
		return nil, fmt.Errorf("worker %d: register waker: %w", o.ID, e)
	}
	clock := sched.NewClock()
	return &Worker{
		ID:     o.ID,
		Table:  session.NewTable(sh, uint16(o.ID), ep, clock),
		epoll:  ep,
		clock:  clock,
		events: make([]netio.Event, o.MaxEvents),
		cpus:   o.CPUs,
		waker:  waker,
		grants: sched.NewMailbox[Grant](o.Mailbox),
		done:   make(chan struct{}),
	}, nil
}

// CPU is the CPU that the worker is pinned to, if it is one.
func (w *Worker) CPU() (cpu int, ok bool) {
	if len(w.cpus) != 1 {
		return 0, false
	}
	return w.cpus[0], true
}

// AddListener gives the worker a listener to own; before Start only. The backlog is what it listens
// with again after a pause.
func (w *Worker) AddListener(l *session.Listener, backlog int) {
	w.Table.AddListener(l)
	w.backlogs = append(w.backlogs, backlog)
	w.watched = append(w.watched, watching)
}

// Steer makes the worker show its state to the steering program; before Start only. The steering must stay
// open until the worker is done.
func (w *Worker) Steer(s *steer.Steering) {
	w.clock.Update()
	w.slot = s.Slot(w.ID, w.clock.MonoNs())
}

// Start runs the loop on a thread of its own. The error is that of the pinning, which is not fatal:
// the loop runs all the same.
func (w *Worker) Start() error {
	pinned := make(chan error)
	go func() {
		runtime.LockOSThread()
		var err error
		if len(w.cpus) > 0 {
			err = netio.PinThread(w.cpus)
		}
		w.thread.Store(int64(netio.Thread()))
		pinned <- err
		w.loop()
		w.close()
		close(w.done)
		// The thread ends with the goroutine: it is pinned, and of no use to others.
	}()
	return <-pinned
}

// Busy is the CPU time that the worker's thread has used, 0 before it runs and when it has ended. Any goroutine may ask.
func (w *Worker) Busy() time.Duration {
	if thread := w.thread.Load(); thread != 0 {
		return netio.ThreadTime(int(thread))
	}
	return 0
}

// Done is closed when the loop has ended and everything the worker owned is closed.
func (w *Worker) Done() <-chan struct{} { return w.done }

// Discard closes what a worker that was never started owns.
func (w *Worker) Discard() {
	w.close()
	close(w.done)
}

// Pause stops accepting and refuses new connections, Resume takes it back.
func (w *Worker) Pause() { w.orderInstead(orderPause, orderResume) }

// Resume makes paused listeners listen again.
func (w *Worker) Resume() { w.orderInstead(orderResume, orderPause) }

// BeginPaused has a worker that was not started yet begin as after PauseProxy.
func (w *Worker) BeginPaused(proxy int) { w.pause(proxy) }

// PauseProxy is Pause for the listeners of one proxy, by its place. It returns when it is done.
func (w *Worker) PauseProxy(proxy int) { w.do(func() { w.pause(proxy) }) }

// ResumeProxy takes PauseProxy back. It reports whether all listen again; the others will be tried again. While the whole
// worker is paused, they wait for Resume, which leaves alone those that PauseProxy paused.
func (w *Worker) ResumeProxy(proxy int) (all bool) {
	w.do(func() { all = w.resume(proxy) })
	return all
}

// CloseProxy closes the listeners of one proxy for good.
func (w *Worker) CloseProxy(proxy int) { w.do(func() { w.closeListeners(proxy) }) }

// StopAccepting leaves listeners alone without closing them: connections wait in their queues for whoever else
// holds the sockets. Those named by their place in Table.Listeners are not meant: nobody else has them.
// AcceptAgain takes it back. Both return when it is so.
func (w *Worker) StopAccepting(abandoned []bool) { w.do(func() { w.hold(abandoned) }) }

// AcceptAgain takes StopAccepting back.
func (w *Worker) AcceptAgain() {
	w.do(func() {
		w.holds = nil
		w.rewatch(held)
	})
}

// Kick tries to accept on every listener, now and for two seconds. A connection that the kernel moves here
// from a listener that another process closed may come without a wake-up (Linux 5.14 to 6.18, CVE-2026-46015).
func (w *Worker) Kick() { w.do(w.startKicks) }

// LeaveListeners closes the listeners for good, and returns when it is done; sessions go on. The connections that
// wait in the queues of those named by their place in Table.Listeners are accepted first: nobody else will.
func (w *Worker) LeaveListeners(abandoned []bool) { w.do(func() { w.leaveListeners(abandoned) }) }

// KillAll ends all sessions.
func (w *Worker) KillAll() { w.order(orderKill) }

// Quit ends the loop.
func (w *Worker) Quit() { w.order(orderQuit) }

// Call has the worker's own thread run f between two rounds of its loop. It waits until f has returned, and
// reports false when the worker ended instead. While f runs nobody is served, so it must be short. The worker
// must have been started.
func (w *Worker) Call(f func(*session.Table)) bool { return w.do(func() { f(w.Table) }) }

// watchShare is which part of a worker's time those have who watch it: one of so many.
const watchShare = 25

// Watch is Call for those who look at many sessions, a piece at a time, as often as they like: they get their turn one after the
// other, and all of them together at most a part of the worker's time.
func (w *Worker) Watch(f func(*session.Table)) bool {
	w.watching.Lock()
	defer w.watching.Unlock()
	if pause := time.Until(w.watching.from); pause > 0 {
		timer := time.NewTimer(pause)
		defer timer.Stop()
		select {
		case <-timer.C:
		case <-w.done:
			return false
		}
	}
	return w.Call(func(t *session.Table) {
		begun := time.Now()
		f(t)
		end := time.Now()
		w.watching.from = end.Add((watchShare - 1) * end.Sub(begun))
	})
}

func (w *Worker) do(f func()) bool {
	ran := make(chan struct{})
	w.calls.Lock()
	w.calls.list = append(w.calls.list, func() {
		f()
		close(ran)
	})
	w.calls.Unlock()
	w.order(orderCall)
	select {
	case <-ran:
		return true
	case <-w.done:
	}
	select { // both may be true
	case <-ran:
		return true
	default:
		return false
	}
}

// LimitsFreed tells that a maxconn has room again.
func (w *Worker) LimitsFreed() { w.order(orderLimits) }

func (w *Worker) order(o uint32) {
	w.orders.Or(o)
	w.wake()
}

// orderInstead gives an order that takes back another one which was not obeyed yet.
func (w *Worker) orderInstead(o, instead uint32) {
	for old := w.orders.Load(); !w.orders.CompareAndSwap(old, old&^instead|o); old = w.orders.Load() {
	}
	w.wake()
}

// Post hands a grant to the worker, from any goroutine.
func (w *Worker) Post(g Grant) {
	if !w.grants.Push(g) {
		w.spill.Lock()
		w.spill.list = append(w.spill.list, g)
		w.spill.waiting.Store(true)
		w.spill.Unlock()
	}
	w.wake()
}

// wake interrupts the worker's sleep; one write for all who find it sleeping.
func (w *Worker) wake() {
	if w.sleeping.Load() && w.sleeping.CompareAndSwap(true, false) {
		w.waker.Wake()
	}
}

func (w *Worker) idle() bool {
	return w.orders.Load() == 0 && w.grants.Empty() && !w.spill.waiting.Load()
}
