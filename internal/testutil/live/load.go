package live

import (
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"slices"
	"sync"
	"sync/atomic"
	"time"
)

// Target is where clients connect: a network ("tcp", "unix") and an address of it.
type Target struct{ Network, Addr string }

// TCP is the target at an address with a port.
func TCP(addr string) Target { return Target{"tcp", addr} }

// Mix says how many sessions of which kind there are, and how busy they are together.
type Mix struct {
	Streams    int // both ways all the time; every 16th has bursts up to 512 KiB and as much bandwidth as 15 others
	Talkers    int // ping-pong; every 16th is as busy as 15 others
	Idle       int // one round trip at the beginning, one at the end
	HalfClosed int // streams of which one way has ended, by turns the client's and the server's
	Stuffed    int // streams whose reader stops while the load is held

	Bandwidth  int // bytes a second, of all streams and both ways together; 0: 8 MiB
	RoundTrips int // a second, of all talkers together; 0: 1000
}

// Sessions is their number.
func (m Mix) Sessions() int { return m.Streams + m.Talkers + m.Idle + m.HalfClosed + m.Stuffed }

// Cause is what is wrong with a session or a connection.
type Cause int

// The causes.
const (
	Refused Cause = iota // nobody listens
	Reset                // by an RST
	Ended                // by a FIN that nobody has sent
	Wrong                // bytes lost, doubled, out of order, or of others
	Stuck                // nothing moves for as long as Guard
	Other
	causes
)

func (c Cause) String() string {
	return [...]string{"refused", "reset", "ended", "wrong bytes", "stuck", "other"}[c]
}

// Counts are numbers of sessions or connections by cause.
type Counts [causes]int

// Total is the number of all.
func (c *Counts) Total() (n int) {
	for _, k := range c {
		n += k
	}
	return n
}

func (c Counts) String() string {
	return fmt.Sprintf("%d refused, %d reset, %d ended, %d with wrong bytes, %d stuck, %d other",
		c[Refused], c[Reset], c[Ended], c[Wrong], c[Stuck], c[Other])
}

// Failure is what is wrong with a session.
type Failure struct {
	Session int
	Kind    string
	End     string // that noticed it: client or server
	Cause   Cause
	At      uint64 // the position in the text that was read or written
	When    time.Time
	Err     error
}

func (f *Failure) Error() string {
	return fmt.Sprintf("%s session %d: %s: %v at the %s, position %d: %v",
		f.Kind, f.Session, f.When.Format("15:04:05.000"), f.Cause, f.End, f.At, f.Err)
}

// Unwrap returns the connection's error.
func (f *Failure) Unwrap() error { return f.Err }

// Load is a server with its clients. Its methods may be called by several goroutines, except that Open
// and Storm must have returned before Finish and Close begin.
type Load struct {
	texts    texts
	listener net.Listener
	stop     chan struct{} // closed when the sessions are to end
	gate     gate
	running  sync.WaitGroup
	strays   atomic.Int64 // connections that arrived without a header of ours

	mu       sync.Mutex
	sessions []*session
	shorts   int           // numbers given to short connections
	refuted  map[int]error // short connections whose question the server found wrong
	open     map[net.Conn]bool
	closed   bool
	stopped  bool
}

// Listen starts the server on an address of a network, "tcp" or "unix".
func Listen(network, addr string) (*Load, error) {
	listener, err := net.Listen(network, addr)
	if err != nil {
		return nil, err
	}
	l := &Load{
		texts: texts{seed: rand.Uint64()}, listener: listener,
		stop: make(chan struct{}), open: map[net.Conn]bool{}, refuted: map[int]error{},
	}
	l.running.Go(l.serve)
	return l, nil
}

// Addr is the server's address.
func (l *Load) Addr() string { return l.listener.Addr().String() }

func (l *Load) serve() {
	for {
		c, err := l.listener.Accept()
		if err != nil {
			return // closed
		}
		if !l.own(c) {
			continue
		}
		l.running.Go(func() {
			defer l.disown(c)
			l.welcome(c.(conn))
		})
	}
}

// own keeps a connection so that Close can end it. When that has happened already, the connection is closed.
func (l *Load) own(c net.Conn) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.closed {
		c.Close()
		return false
	}
	l.open[c] = true
	return true
}

// disown closes a connection.
func (l *Load) disown(c net.Conn) {
	c.Close()
	l.mu.Lock()
	delete(l.open, c)
	l.mu.Unlock()
}

// welcome reads the header of a connection and plays the server's part.
func (l *Load) welcome(c conn) {
	var head [headerSize]byte
	c.SetReadDeadline(time.Now().Add(Guard))
	if _, err := io.ReadFull(c, head[:]); err != nil {
		return // a probe, or a connection that was cut before it said who it is; its client knows
	}
	c.SetReadDeadline(time.Time{})
	k, size, number, ok := parseHeader(head[:])
	if ok && k == short {
		l.answerShort(c, number, size)
		return
	}
	l.mu.Lock()
	var s *session
	if ok && number >= 0 && number < len(l.sessions) && l.sessions[number].conns[server] == nil {
		s = l.sessions[number]
		s.conns[server] = c
	}
	l.mu.Unlock()
	if s == nil {
		l.strays.Add(1)
		return
	}
	s.running.Add(1)
	defer s.running.Add(-1)
	s.run(server, c)
}

// dialers bounds the connections that Open makes at the same time.
const dialers = 64

// Open connects the sessions of a mix to the targets, by turns, and returns when all of them work. It may be
// called again for more. On an error those that work stay.
func (l *Load) Open(m Mix, targets ...Target) error {
	fresh := l.plan(m)
	errs := make(chan error, len(fresh))
	slots := make(chan struct{}, dialers)
	for i, s := range fresh {
		slots <- struct{}{}
		l.running.Go(func() {
			defer func() { <-slots }()
			errs <- l.dial(s, targets[i%len(targets)])
		})
	}
	var first error
	for range fresh {
		if err := <-errs; err != nil && first == nil {
			first = err
		}
	}
	return first
}

// dial connects a session and waits until it works.
func (l *Load) dial(s *session, to Target) error {
	raw, err := net.DialTimeout(to.Network, to.Addr, Guard)
	if err != nil {
		return l.stillborn(s, fmt.Errorf("%v session %d: %w", s.kind, s.number, err))
	}
	c := raw.(conn)
	if !l.own(c) {
		return l.stillborn(s, net.ErrClosed)
	}
	if _, err := c.Write(header(s.kind, 0, s.number)); err != nil {
		l.disown(c)
		return l.stillborn(s, fmt.Errorf("%v session %d: header: %w", s.kind, s.number, err))
	}
	l.mu.Lock()
	s.conns[client] = c
	l.mu.Unlock()
	s.running.Add(1)
	l.running.Go(func() {
		defer s.running.Add(-1)
		defer l.disown(c)
		s.run(client, c)
	})
	timeout := time.NewTimer(Guard)
	defer timeout.Stop()
	select {
	case <-s.up:
		return nil
	case <-s.dead:
		l.mu.Lock()
		defer l.mu.Unlock()
		return s.failed
	case <-timeout.C:
		return fmt.Errorf("%v session %d did not come up", s.kind, s.number)
	}
}

// stillborn records a session that has never been.
func (l *Load) stillborn(s *session, err error) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	if s.failed == nil {
		close(s.dead)
		s.failed = &Failure{Session: s.number, Kind: s.kind.String(), End: "client", Cause: causeOf(err), When: time.Now(), Err: err}
	}
	return err
}

const (
	smallBurst = 16 << 10
	bigBurst   = 512 << 10
	everyNth   = 16 // stream or talker is a busy one
)

// shares divides a rate so that the busy of n get half of it, and the others the other half.
func shares(rate float64, n int) (busy, other float64) {
	many := (n + everyNth - 1) / everyNth
	if n <= many {
		return rate / float64(max(n, 1)), 0
	}
	return rate / 2 / float64(many), rate / 2 / float64(n-many)
}

// plan makes the sessions of a mix.
func (l *Load) plan(m Mix) []*session {
	if m.Bandwidth == 0 {
		m.Bandwidth = 8 << 20
	}
	if m.RoundTrips == 0 {
		m.RoundTrips = 1000
	}
	var fresh []*session
	add := func(n int, k kind, shape func(i int, s *session)) {
		for i := range n {
			s := &session{load: l, kind: k, up: make(chan struct{}), dead: make(chan struct{})}
			shape(i, s)
			fresh = append(fresh, s)
		}
	}
	flows := m.Streams + m.HalfClosed + m.Stuffed
	busy, other := shares(float64(m.Bandwidth)/2, flows)
	flow := func(i int, s *session) {
		for w := range s.ways {
			s.ways[w].rate, s.ways[w].burst = other, smallBurst
			if i%everyNth == 0 {
				s.ways[w].rate, s.ways[w].burst = busy, bigBurst
			}
			// However slow the stream, its reader need not wait for long.
			s.ways[w].burst = min(s.ways[w].burst, max(smallest, int(4*s.ways[w].rate)))
		}
	}
	add(m.Streams, stream, flow)
	add(m.HalfClosed, halfClosed, func(i int, s *session) {
		flow(m.Streams+i, s)
		s.ways[i%2].limit = 4 << 10
	})
	add(m.Stuffed, stuffed, func(i int, s *session) {
		flow(m.Streams+m.HalfClosed+i, s)
		s.ways[upwards].held = i%3 != 1
		s.ways[downwards].held = i%3 != 0
	})
	eager, patient := shares(float64(m.RoundTrips), m.Talkers)
	add(m.Talkers, talk, func(i int, s *session) {
		rate := patient
		if i%everyNth == 0 {
			rate = eager
		}
		s.pause = time.Duration(float64(time.Second) / rate)
	})
	add(m.Idle, rest, func(int, *session) {})

	l.mu.Lock()
	defer l.mu.Unlock()
	for _, s := range fresh {
		s.number = len(l.sessions)
		for w := range s.ways {
			s.ways[w].text = l.texts.of(s.number, w)
		}
		l.sessions = append(l.sessions, s)
	}
	return fresh
}

// Hold makes the readers of stuffed sessions stop reading, so that everything between their ends fills.
func (l *Load) Hold() { l.gate.shut() }

// Release lets them read again.
func (l *Load) Release() { l.gate.release() }

// Sessions is how many were opened, those that failed included.
func (l *Load) Sessions() int {
	l.mu.Lock()
	defer l.mu.Unlock()
	return len(l.sessions)
}

// Failures are the sessions that failed so far, the first first.
func (l *Load) Failures() []*Failure {
	l.mu.Lock()
	defer l.mu.Unlock()
	var failures []*Failure
	for _, s := range l.sessions {
		if s.failed != nil {
			failures = append(failures, s.failed)
		}
	}
	slices.SortStableFunc(failures, func(a, b *Failure) int { return a.When.Compare(b.When) })
	return failures
}

// AwaitProgress returns when each session that has not failed, and neither rests nor is stuffed, has received
// something since the call. A session that does not within limit is the error.
func (l *Load) AwaitProgress(limit time.Duration) error {
	l.mu.Lock()
	before := map[*session]uint64{}
	for _, s := range l.sessions {
		if s.failed == nil && s.kind != rest && s.kind != stuffed {
			before[s] = s.received()
		}
	}
	l.mu.Unlock()
	for deadline := time.Now().Add(limit); ; time.Sleep(5 * time.Millisecond) {
		l.mu.Lock()
		for s, was := range before {
			if s.failed != nil || s.received() > was {
				delete(before, s)
			}
		}
		l.mu.Unlock()
		if len(before) == 0 {
			return nil
		}
		if time.Now().After(deadline) {
			for s := range before {
				return fmt.Errorf("%d sessions do not move, among them %v session %d at positions %d and %d",
					len(before), s.kind, s.number, s.ways[upwards].got.Load(), s.ways[downwards].got.Load())
			}
		}
	}
}

func (s *session) received() uint64 { return s.ways[upwards].got.Load() + s.ways[downwards].got.Load() }

// Report is what became of all sessions.
type Report struct {
	Sessions   int
	Bytes      uint64 // received and right, both ways
	RoundTrips int
	Strays     int // connections that reached the server without belonging to anybody
	Counts     Counts
	Failures   []*Failure
}

func (r *Report) String() string {
	return fmt.Sprintf("%d sessions, %.1f MiB compared, %d round trips: %v, %d strays",
		r.Sessions, float64(r.Bytes)/(1<<20), r.RoundTrips, &r.Counts, r.Strays)
}

// Finish ends all sessions in good order, each comparing the rest of what was sent, and closes the load.
func (l *Load) Finish() Report {
	l.Release()
	l.halt()
	deadline := time.Now().Add(Guard + 5*time.Second)
	for l.unfinished(nil) > 0 && time.Now().Before(deadline) {
		time.Sleep(5 * time.Millisecond)
	}
	l.unfinished(func(s *session) {
		if s.failed == nil {
			s.failed = &Failure{
				Session: s.number, Kind: s.kind.String(), End: "client", Cause: Stuck,
				At: s.ways[downwards].got.Load(), When: time.Now(), Err: fmt.Errorf("it does not end"),
			}
			close(s.dead)
		}
	})
	l.Close()
	r := Report{Sessions: len(l.sessions), Strays: int(l.strays.Load()), Failures: l.Failures()}
	for _, s := range l.sessions {
		r.Bytes += s.received()
		r.RoundTrips += s.talks.count()
	}
	for _, f := range r.Failures {
		r.Counts[f.Cause]++
	}
	return r
}

// unfinished counts the sessions that somebody still works on.
func (l *Load) unfinished(each func(*session)) (n int) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, s := range l.sessions {
		if s.running.Load() > 0 {
			n++
			if each != nil {
				each(s)
			}
		}
	}
	return n
}

func (l *Load) halt() {
	l.mu.Lock()
	defer l.mu.Unlock()
	if !l.stopped {
		l.stopped = true
		close(l.stop)
	}
}

// Close cuts what is left and waits for all goroutines. It may be called after Finish.
func (l *Load) Close() {
	l.halt()
	l.Release()
	l.listener.Close()
	l.mu.Lock()
	l.closed = true
	for c := range l.open {
		c.Close()
	}
	l.mu.Unlock()
	l.running.Wait()
}

// gate stops those who pass while it is shut.
type gate struct {
	mu     sync.Mutex
	opened chan struct{} // nil: open
}

var openGate = func() chan struct{} {
	c := make(chan struct{})
	close(c)
	return c
}()

// open returns a channel that is closed while the gate is open.
func (g *gate) open() <-chan struct{} {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.opened == nil {
		return openGate
	}
	return g.opened
}

func (g *gate) isShut() bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.opened != nil
}

func (g *gate) shut() {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.opened == nil {
		g.opened = make(chan struct{})
	}
}

func (g *gate) release() {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.opened != nil {
		close(g.opened)
		g.opened = nil
	}
}
