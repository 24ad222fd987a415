package check

import (
	"cmp"
	"fmt"
	"math/rand/v2"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/penstock/penstock/internal/backend"
	"github.com/penstock/penstock/internal/logging"
	"github.com/penstock/penstock/netio"
	"github.com/penstock/penstock/sched"
)

// Options say what a checker does.
type Options struct {
	Servers   []Server
	Trackers  []Tracker     // a server that another one tracks stands in Servers, or before the other one
	Others    []Server      // those that are neither checked nor track another one
	Agents    []Server      // those with an agent, whose place is the Target; they stand in one of the lists above, too
	Spread    int           // spread-checks, percent
	MaxSpread time.Duration // max-spread-checks; 0: no limit
	BufSize   int           // most of an answer that is kept, bytes
	External  External
	Node      string // name of this host, for the servers

	// Warn and Alert bring a line to the operator. They run in a goroutine of their own and may block.
	Warn, Alert func(text string)
	// Shutdown ends the sessions on a server that went down, ShutdownBackups those on all backup servers of a
	// backend of which an active server came up. Both must not block.
	Shutdown        func(b *Backend, server int)
	ShutdownBackups func(b *Backend)
}

// Checker runs the checks of all servers.
type Checker struct {
	opt    Options
	checks []*Check
	starts []*subject // with slow start
	owners owners     // of timers and sockets
	epoll  *netio.Epoll
	waker  *netio.Waker
	clock  *sched.Clock
	timers *sched.Timers
	events [64]netio.Event
	free   [][]byte // buffers for answers
	waste  [4096]byte

	scratch logging.Scratch
	lines   chan message
	lost    atomic.Uint64 // lines for the operator that found no room

	known    sync.RWMutex          // held by the goroutine while it changes subjects, and by others while they look
	subjects map[serverID]*subject // all servers
	starting bool                  // states of a former process are being restored
	restored func(line string)     // who wants to know what that changes; nil: nobody
	started  atomic.Bool
	orders   struct { // what others want the goroutine to do, see do
		sync.Mutex
		list  []func()
		ended bool
	}
	observed struct { // what Observe left
		sync.Mutex
		open bool // the waker can be used
		list []observation
	}
	untold   untold
	external external

	stopping atomic.Bool
	done     chan struct{}
	stop     sync.Once
}

// serverID is a server by numbers.
type serverID struct{ backend, server int }

// message is a line for the operator.
type message struct {
	say  func(string)
	text string
}

// wakerID is the id of no check.
const wakerID = ^uint32(0)

// pendingLines is how many lines for the operator wait when its terminal does not take them.
const pendingLines = 4096

// New makes a checker. It opens nothing before Start.
func New(o Options) *Checker {
	c := &Checker{
		opt: o, subjects: map[serverID]*subject{}, clock: sched.NewClock(), timers: sched.NewTimers(),
		lines: make(chan message, pendingLines), done: make(chan struct{}),
	}
	for i := range o.Servers {
		k := newCheck(&o.Servers[i])
		c.checks = append(c.checks, k)
		c.subjects[serverID{k.backend.State.ID, k.server}] = k.subject
		k.id = c.owners.add(owner{check: k})
	}
	for _, s := range o.Others {
		c.subjects[serverID{s.Backend.State.ID, s.Index}] = newSubject(s.Backend, s.Index, s.Config)
	}
	c.addTrackers()
	c.addAgents()
	c.addStarts()
	return c
}

func newCheck(s *Server) *Check {
	cfg := &s.Config.Check
	k := &Check{
		subject:   newSubject(s.Backend, s.Index, s.Config),
		initState: s.Backend.Program.initState(cfg.InitState),
		onError:   cmp.Or(s.Config.OnError, "fail-check"),
		intervals: Intervals{Inter: cfg.Inter, Fast: cfg.FastInter, Down: cfg.DownInter},
		target:    s.Target,
		checking:  cfg,
		tls:       s.TLS,
		address:   s.Address,
		run:       run{fd: -1},
	}
	k.check = k
	k.state = State{Status: Initial, Health: NewHealth(cfg.Rise, cfg.Fall, k.initState)}
	if !k.shared().Enabled() {
		k.state.Health.Value = 0
	}
	return k
}

// addTrackers hangs every tracker to the server that it tracks; those that come later in the configuration are told first.
func (c *Checker) addTrackers() {
	for i := range c.opt.Trackers {
		t := &c.opt.Trackers[i]
		s := newSubject(t.Backend, t.Index, t.Config)
		c.subjects[serverID{t.Backend.State.ID, t.Index}] = s
		if of := c.subjects[serverID{t.Of.State.ID, t.OfIndex}]; of != nil {
			s.of = of
			of.trackers = slices.Insert(of.trackers, 0, s)
		}
	}
}

// addStarts gives a timer to every server that starts slowly.
func (c *Checker) addStarts() {
	for _, s := range c.subjects {
		if s.slowStart > 0 {
			s.warmID = c.owners.add(owner{starts: s})
			c.starts = append(c.starts, s)
		}
	}
}

// Start begins to check. Servers that begin as down are so before it returns.
func (c *Checker) Start() (err error) {
	if c.epoll, err = netio.NewEpoll(); err != nil {
		return fmt.Errorf("start health checks: %w", err)
	}
	defer func() {
		if err != nil {
			c.epoll.Close()
		}
	}()
	if c.waker, err = netio.NewWaker(); err != nil {
		return fmt.Errorf("start health checks: %w", err)
	}
	if e := c.epoll.Add(c.waker.FD(), netio.Readable, uint64(wakerID)); e != 0 {
		c.waker.Close()
		return fmt.Errorf("start health checks: register waker: %w", e)
	}
	c.timers.Grow(c.owners.number())
	c.clock.Update()
	intervals := make([]time.Duration, len(c.checks))
	for i, k := range c.checks {
		intervals[i] = k.state.Health.Interval(k.intervals)
		if !k.state.Health.Up() {
			k.subject.begin(false)
		}
	}
	for _, s := range c.starts {
		if s.shared().Operation() == backend.Starting {
			s.upSince = c.clock.Now()
			c.warm(s)
		}
	}
	for i, delay := range firstChecks(intervals, c.opt.Spread, c.opt.MaxSpread, rand.Float64) {
		k := c.checks[i]
		if k.program().roles { // it waits for that
			delay = 0
		}
		k.next = c.clock.Now().Add(delay)
		c.schedule(k, k.next)
	}
	c.observed.Lock()
	c.observed.open = true
	c.observed.Unlock()
	c.untold = newUntold(c.checks)
	c.started.Store(true)
	go c.loop()
	go c.speak()
	return nil
}

// Stop ends all checks and closes their sockets. It must follow a Start that succeeded.
func (c *Checker) Stop() {
	c.stop.Do(func() {
		c.stopping.Store(true)
		c.waker.Wake()
	})
	<-c.done
}

// State is what is known of a server, false when it is not checked. The backend is meant by its number.
func (c *Checker) State(backendID, server int) (State, bool) {
	s := c.find(backendID, server)
	if s == nil || s.check == nil {
		return State{}, false
	}
	return s.check.snapshot(), true
}

func (k *Check) snapshot() State {
	k.mu.Lock()
	defer k.mu.Unlock()
	state := k.state
	state.Off = k.off.Load()
	return state
}

// LostLines is how many lines for the operator were dropped because nobody took them.
func (c *Checker) LostLines() uint64 { return c.lost.Load() }

// loop waits and works. A timer counts as due only when it was so before the last look for events: what happened in time
// is seen in time, also when this process was kept from running.
func (c *Checker) loop() {
	defer c.close()
	for !c.stopping.Load() {
		looked := c.clock.Now()
		n, e := c.fetch()
		c.clock.Update()
		if e != 0 { // EINTR: the runtime signals threads
			continue
		}
		for i := range c.events[:n] {
			word := c.events[i].Data()
			id := uint32(word)
			if id == wakerID {
				c.waker.Clear()
				c.obey()
				c.takeObserved()
				continue
			}
			switch o := c.owners.list[id]; {
			case o.check != nil && o.check.running && word == o.check.word():
				c.event(o.check, c.events[i].Events)
			case o.program != nil && word == o.program.word():
				c.programEnded(o.program)
			}
		}
		if n < len(c.events) {
			c.expire(looked)
		}
	}
}

// fetch gets the next events, and waits for them until the next timer.
func (c *Checker) fetch() (int, netio.Errno) {
	timeout := -1
	if at, ok := c.timers.Next(); ok {
		timeout = int(max(at.Sub(c.clock.Now()), 0))
	}
	if timeout == 0 {
		return c.epoll.Poll(c.events[:])
	}
	return c.epoll.Wait(c.events[:], timeout)
}

func (c *Checker) expire(now sched.Tick) {
	for {
		id, ok := c.timers.Expire(now)
		if !ok {
			return
		}
		switch o := c.owners.list[id]; {
		case o.check != nil:
			c.due(o.check, now)
		case o.starts != nil:
			c.warm(o.starts)
		case o.program != nil:
			c.programDue(o.program, now)
		}
	}
}

func (c *Checker) close() {
	c.endOrders()
	c.endPrograms()
	for _, k := range c.checks {
		c.hangUp(k)
	}
	c.observed.Lock()
	c.observed.open = false
	c.observed.Unlock()
	c.waker.Close()
	c.epoll.Close()
	close(c.lines)
	close(c.done)
}

// speak hands lines to the operator, whose terminal may be slow.
func (c *Checker) speak() {
	for m := range c.lines {
		m.say(m.text)
	}
}

func (c *Checker) say(to func(string), text string) {
	select {
	case c.lines <- message{to, text}:
	default:
		c.lost.Add(1)
	}
}

func (c *Checker) schedule(k *Check, at sched.Tick) { c.timers.Schedule(k.id, at) }

// due looks after a check whose timer came. It may have come early, see sched.Timers.
func (c *Checker) due(k *Check, now sched.Tick) {
	at := k.next
	if k.running {
		at = k.run.deadline
	}
	switch {
	case now.Before(at):
		c.schedule(k, at)
	case k.running:
		c.expired(k)
	default:
		c.begin(k)
	}
}

// begin starts a check unless the server is in maintenance. Agents are asked then, too.
func (c *Checker) begin(k *Check) {
	k.asks = k.asking
	if k.off.Load() || !k.shared().Enabled() && !k.isAgent() {
		k.next = c.clock.Now().Add(k.intervals.Inter)
		c.schedule(k, k.next)
		return
	}
	if k.isExternal() {
		c.launch(k)
		return
	}
	k.mu.Lock()
	k.state.Running = true
	k.mu.Unlock()
	c.start(k)
}

// finish takes note of a result and sets the date of the next check.
func (c *Checker) finish(k *Check, r result) {
	c.hangUp(k)
	if k.run.in != nil {
		c.free = append(c.free, k.run.in[:0])
	}
	r.duration = max(c.clock.MonoNs()-k.run.began, 0) / int64(time.Millisecond)
	k.run = run{fd: -1}
	k.running = false
	k.mu.Lock()
	k.state.Running = false
	k.state.Checks++
	k.mu.Unlock()
	c.settle(k, r)
	c.untold.tell(k)
	interval := k.interval()
	k.fast = false
	k.next = c.clock.Now().Add(interval + jitter(interval, c.opt.Spread, rand.Float64))
	c.schedule(k, k.next)
}

// interval is the time until the next check.
func (k *Check) interval() time.Duration {
	if h := k.state.Health; k.fast && h.Value == h.most() {
		return cmp.Or(k.intervals.Fast, k.intervals.Inter)
	}
	return k.state.Health.Interval(k.intervals)
}

// buffer is room for an answer.
func (c *Checker) buffer() []byte {
	if n := len(c.free); n > 0 {
		b := c.free[n-1]
		c.free = c.free[:n-1]
		return b
	}
	return make([]byte, 0, c.opt.BufSize)
}
