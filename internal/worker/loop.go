package worker

import (
	"runtime"
	"time"

	"github.com/penstock/penstock/internal/session"
	"github.com/penstock/penstock/netio"
	"github.com/penstock/penstock/sched"
)

// loop runs until it is told to quit.
func (w *Worker) loop() {
	t := w.Table
	for i := range t.Listeners {
		if w.watched[i] != paused {
			w.watch(i)
		}
	}
	for {
		w.takeGrants()
		if w.orders.Load() != 0 && !w.obey(w.orders.Swap(0)) {
			return
		}
		t.Expire()
		w.retryListeners()
		w.kick()
		t.Run()
		w.yield()
		n := w.fetch()
		w.clock.Update()
		if w.slot != nil {
			w.slot.Wake(w.clock.MonoNs())
		}
		for i := range w.events[:n] {
			w.handle(&w.events[i])
		}
	}
}

// yieldEveryNs keeps the worker's scheduling tick younger than the 10 ms after which the runtime takes it
// for a goroutine that hogs its processor.
const yieldEveryNs = 5e6

// yield shows the Go scheduler, every few milliseconds, that this goroutine can be scheduled. Without it
// sysmon takes the worker's P away whenever it finds it in epoll_wait, which puts every return from there on
// the slow path, and itself stays at its shortest period of 20 µs: 2 to 3.5 % of the process's CPU time under
// small round trips, against 0.2 to 0.3 % with it (docs/performance.md).
func (w *Worker) yield() {
	if now := w.clock.MonoNs(); now-w.yieldedNs >= yieldEveryNs {
		w.yieldedNs = now
		runtime.Gosched()
	}
}

// fetch gets the next reports. With sessions in the run queue it only looks. Otherwise it waits, through the
// scheduler, until the next timer: a separate look before would find nothing nearly every time and
// cost a system call per round, while waiting with something ready returns at once.
func (w *Worker) fetch() int {
	if w.Table.Runnable() {
		w.publish(false)
		n, e := w.epoll.Poll(w.events)
		if e != 0 {
			return 0
		}
		return n
	}
	timeout := w.timeoutMs()
	if timeout != 0 {
		w.sleeping.Store(true)
		if !w.idle() {
			timeout = 0
		}
	}
	w.publish(timeout != 0)
	n, e := w.epoll.Wait(w.events, timeout)
	w.sleeping.Store(false)
	if e != 0 { // EINTR: the runtime signals threads to stop them
		return 0
	}
	return n
}

// publish shows the steering program the state that the worker goes to look for events with.
func (w *Worker) publish(sleeping bool) {
	if w.slot != nil {
		w.slot.Publish(w.Table.Live(), w.clock.MonoNs(), sleeping)
	}
}

// timeoutMs is how long the worker may sleep, -1 for ever.
func (w *Worker) timeoutMs() int {
	at, ok := w.Table.NextExpiry()
	if !ok {
		at = sched.Never
	}
	if at = sched.Earliest(sched.Earliest(at, w.retryAt), w.kickAt); at == sched.Never {
		return -1
	}
	return int(max(at.Sub(w.clock.Now()), 0))
}

func (w *Worker) handle(ev *netio.Event) {
	word := ev.Data()
	switch session.WordKind(word) {
	case session.KindClient, session.KindServer:
		w.Table.Event(word, ev.Events)
	case session.KindListener:
		w.accept(int(session.WordSlot(word)))
	case session.KindWaker:
		w.waker.Clear()
	}
}

func (w *Worker) accept(i int) {
	if w.watched[i] != watching {
		return
	}
	switch w.Table.Accept(w.Table.Listeners[i]) {
	case session.AcceptLimited:
		w.unwatch(i, limited)
		// Room may have come between the refusal and this: whoever made it saw nobody waiting, or has
		// already left the order that will be obeyed in this round.
	case session.AcceptNoResources:
		w.rest(i, retryMs)
	case session.AcceptTooFast:
		w.rest(i, w.Table.RateDelayMs)
	}
}

// rest leaves a listener alone for a while. All listeners that rest are watched again at the earliest
// date; one that is too early rests anew.
func (w *Worker) rest(i int, ms uint32) {
	w.unwatch(i, resting)
	at := w.clock.Now() + sched.Tick(ms)
	if at == sched.Never {
		at++
	}
	w.retryAt = sched.Earliest(w.retryAt, at)
}

func (w *Worker) watch(i int) {
	if w.holds != nil && w.holds[i] {
		w.watched[i] = held
		return
	}
	l := w.Table.Listeners[i]
	events := uint32(netio.Readable)
	if l.Shared {
		events |= netio.Exclusive
	}
	if e := w.epoll.Add(l.FD, events, session.Word(session.KindListener, uint32(i), 0, 0)); e != 0 {
		w.Table.Complain(w.Table.Proxies[l.Proxy], e)
		w.rest(i, retryMs)
		return
	}
	w.watched[i] = watching
}

func (w *Worker) unwatch(i int, why watchState) {
	if w.watched[i] == watching {
		w.epoll.Del(w.Table.Listeners[i].FD)
	}
	w.watched[i] = why
}

func (w *Worker) rewatch(from watchState) {
	for i := range w.watched {
		if w.watched[i] == from {
			w.watch(i)
		}
	}
}

func (w *Worker) retryListeners() {
	if w.retryAt == sched.Never || w.clock.Now().Before(w.retryAt) {
		return
	}
	w.retryAt = sched.Never
	w.rewatch(resting)
	for i := range w.watched {
		if w.watched[i] == taken {
			w.listenAgain(i)
		}
	}
}

func (w *Worker) takeGrants() {
	for {
		g, ok := w.grants.Pop()
		if !ok {
			break
		}
		w.Table.Grant(g.Waiter, g.Backend, g.Server)
	}
	if !w.spill.waiting.Load() {
		return
	}
	w.spill.Lock()
	list := w.spill.list
	w.spill.list = nil
	w.spill.waiting.Store(false)
	w.spill.Unlock()
	for _, g := range list {
		w.Table.Grant(g.Waiter, g.Backend, g.Server)
	}
}

// obey carries orders out, and reports whether the loop goes on.
func (w *Worker) obey(o uint32) bool {
	if o&orderLimits != 0 {
		w.rewatch(limited)
	}
	if o&orderCall != 0 {
		w.takeCalls()
	}
	if o&orderPause != 0 {
		w.pause(anyProxy)
	}
	if o&orderResume != 0 {
		w.resume(anyProxy)
	}
	if o&orderKill != 0 {
		w.Table.KillAll()
	}
	return o&orderQuit == 0
}

func (w *Worker) takeCalls() {
	w.calls.Lock()
	list := w.calls.list
	w.calls.list = nil
	w.calls.Unlock()
	for _, f := range list {
		f()
	}
}

// hold takes the listeners that accept out of epoll, but for the abandoned ones. One that is paused or closed stays so.
func (w *Worker) hold(abandoned []bool) {
	w.holds = make([]bool, len(w.watched))
	for i := range w.watched {
		if w.holds[i] = i >= len(abandoned) || !abandoned[i]; !w.holds[i] {
			continue
		}
		switch w.watched[i] {
		case watching, limited, resting:
			w.unwatch(i, held)
		}
	}
}

// Two seconds of kicks outlast the handshakes that were under way when the listeners of the other process
// were closed: those move here one by one, at their next segment.
const (
	kicks  = 40
	kickMs = 50
)

func (w *Worker) startKicks() {
	w.kicks = kicks
	w.kickAll()
}

func (w *Worker) kick() {
	if w.kickAt != sched.Never && !w.clock.Now().Before(w.kickAt) {
		w.kickAll()
	}
}

func (w *Worker) kickAll() {
	for i := range w.watched {
		w.accept(i)
	}
	w.kickAt = sched.Never
	if w.kicks--; w.kicks > 0 {
		w.kickAt = w.clock.Now().Add(kickMs * time.Millisecond)
	}
}

// anyProxy stands for the listeners of all proxies.
const anyProxy = -1

// setPaused notes that the listeners of a proxy, or all, shall be paused or not.
func (w *Worker) setPaused(proxy int, on bool) {
	switch {
	case proxy == anyProxy:
		w.allPaused = on
	case !on:
		delete(w.proxyPaused, proxy)
	default:
		if w.proxyPaused == nil {
			w.proxyPaused = map[int]bool{}
		}
		w.proxyPaused[proxy] = true
	}
}

// pause stops listening for a proxy.
func (w *Worker) pause(proxy int) {
	w.setPaused(proxy, true)
	for i, l := range w.Table.Listeners {
		if w.watched[i] == closed || w.watched[i] == paused || proxy != anyProxy && l.Proxy != proxy {
			continue
		}
		w.unwatch(i, paused)
		if l.Addr.Family != netio.FamilyUnix { // a UNIX listener cannot be paused: clients wait in its queue
			_ = netio.Pause(l.FD)
		}
	}
}

// resume takes pause back. It reports whether all listen; those that do not will be tried again.
func (w *Worker) resume(proxy int) (all bool) {
	w.setPaused(proxy, false)
	all = true
	for i, l := range w.Table.Listeners {
		if w.watched[i] != paused || w.allPaused || w.proxyPaused[l.Proxy] {
			continue
		}
		if !w.listenAgain(i) {
			all = false
			w.Table.Complain(w.Table.Proxies[l.Proxy], netio.EADDRINUSE)
		}
	}
	return all
}

// listenAgain takes the pause of a listener back, or tries again later. It must not be watched
// before it listens: epoll would report it without end.
func (w *Worker) listenAgain(i int) bool {
	l := w.Table.Listeners[i]
	if l.Addr.Family != netio.FamilyUnix && netio.Resume(l.FD, w.backlogs[i]) != nil {
		w.rest(i, retryMs)
		w.watched[i] = taken
		return false
	}
	w.watch(i)
	return true
}

// leaveListeners closes all listeners, and accepts before that what waits in the queues of those that
// nobody else has. A queue holds no more than the backlog: what comes after that many came later.
func (w *Worker) leaveListeners(abandoned []bool) {
	for i, l := range w.Table.Listeners {
		if i >= len(abandoned) || !abandoned[i] || w.watched[i] == closed || w.watched[i] == paused {
			continue
		}
		for range w.backlogs[i] + 1 {
			if w.Table.Accept(l) != session.AcceptMore {
				break
			}
		}
	}
	w.closeListeners(anyProxy)
}

// closeListeners closes those of a proxy without shutdown(2): another process may hold the same sockets.
func (w *Worker) closeListeners(proxy int) {
	for i, l := range w.Table.Listeners {
		if w.watched[i] == closed || proxy != anyProxy && l.Proxy != proxy {
			continue
		}
		w.unwatch(i, closed)
		netio.Close(l.FD)
	}
}

func (w *Worker) close() {
	w.Table.Close()
	w.closeListeners(anyProxy)
	w.waker.Close()
	w.epoll.Close()
}
