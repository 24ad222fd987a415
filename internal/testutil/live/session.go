package live

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"sync"
	"sync/atomic"
	"syscall"
	"time"
)

// Guard is how long an end waits for a byte that is due before its session counts as stuck. It is
// generous: no passing test ever waits for it.
const Guard = time.Minute

// kind is what a session does.
type kind byte

const (
	stream     kind = iota + 1 // both ways at a rate, all the time
	talk                       // a question, its answer, a pause
	rest                       // one round trip at the beginning and one at the end
	halfClosed                 // one way ends at once, the other streams
	stuffed                    // a stream whose reader stops while the load is held
	short                      // of a storm
)

func (k kind) String() string {
	return [...]string{"", "stream", "ping-pong", "idle", "half-closed", "stuffed", "short"}[k]
}

// conn is what both TCP and Unix connections are.
type conn interface {
	net.Conn
	CloseWrite() error
}

// A connection begins with a header that tells the server whose it is.
const (
	headerSize = 16
	magic      = 0x4c495645
)

func header(k kind, size, number int) []byte {
	b := make([]byte, 0, headerSize)
	b = binary.BigEndian.AppendUint32(b, magic)
	b = binary.BigEndian.AppendUint32(b, uint32(k)<<24|uint32(size))
	return binary.BigEndian.AppendUint64(b, uint64(number))
}

func parseHeader(b []byte) (k kind, size, number int, ok bool) {
	word := binary.BigEndian.Uint32(b[4:])
	k = kind(word >> 24)
	return k, int(word & 0xffffff), int(binary.BigEndian.Uint64(b[8:])), binary.BigEndian.Uint32(b) == magic && k >= stream && k <= short
}

// way is one direction of a session.
type way struct {
	text
	rate  float64 // bytes a second of a stream
	burst int     // the longest piece that is written at once
	limit uint64  // the writer ends after so many bytes; 0: with the load
	held  bool    // the reader does not read while the load is held

	sent  atomic.Uint64 // written; final once ended is set
	ended atomic.Bool   // the writer is about to send its FIN
	got   atomic.Uint64 // read and right
}

// session is one connection from client to server.
type session struct {
	load   *Load
	number int
	kind   kind
	pause  time.Duration // between two round trips
	ways   [2]way

	up      chan struct{} // closed once the session has arrived at the server, or has made its first round trip
	upOnce  sync.Once
	dead    chan struct{} // closed at its first failure
	running atomic.Int32  // goroutines at work on it
	talks   talks

	// Guarded by the load's mutex.
	conns  [2]conn
	failed *Failure
}

// The ends of a session. The client writes upwards, the server downwards.
const (
	client = 0
	server = 1
)

// started says that the session works.
func (s *session) started() { s.upOnce.Do(func() { close(s.up) }) }

// run plays one end's part on its connection, which is closed at the end.
func (s *session) run(end int, c conn) {
	defer c.Close()
	switch {
	case s.kind == talk || s.kind == rest:
		if end == client {
			s.ask(c)
		} else {
			s.answer(c)
		}
	default:
		if end == server {
			s.started()
		}
		var writer sync.WaitGroup
		writer.Go(func() { s.write(end, c) })
		s.read(end, c)
		writer.Wait()
	}
}

// write sends the end's text until its limit or the end of the load, and then a FIN.
func (s *session) write(end int, c conn) {
	w := &s.ways[end]
	random := rand.New(rand.NewPCG(w.first, 1))
	buf := make([]byte, w.burst)
	pause := time.NewTimer(w.due(random.IntN(w.burst))) // not all at the same moment
	defer pause.Stop()
	for w.limit == 0 || w.sent.Load() < w.limit {
		n := 1 + random.IntN(len(buf))
		if w.limit > 0 {
			n = min(n, int(w.limit-w.sent.Load()))
		} else if !s.sleep(pause) {
			break
		}
		w.fill(buf[:n], w.sent.Load())
		if _, err := c.Write(buf[:n]); err != nil {
			s.broken(end, c, w.sent.Load(), err)
			return
		}
		w.sent.Add(uint64(n))
		pause.Reset(s.pauseAfter(w, n))
	}
	s.endWriting(end, c)
}

// most bounds what a writer sends ahead of a reader that does not read, should nothing else do so.
const most = 64 << 20

// pauseAfter is the time until the next piece. Towards a reader that does not read, writing alone takes
// the time.
func (s *session) pauseAfter(w *way, n int) time.Duration {
	if w.held && s.load.gate.isShut() && w.sent.Load()-w.got.Load() < most {
		return 0
	}
	return w.due(n)
}

// due is the time that n bytes take at the way's rate.
func (w *way) due(n int) time.Duration {
	if w.rate <= 0 {
		return 0
	}
	return time.Duration(float64(n) / w.rate * float64(time.Second))
}

// sleep waits for the timer. It is false when the load or the session ends before.
func (s *session) sleep(pause *time.Timer) bool {
	select {
	case <-s.load.stop:
		return false
	case <-s.dead:
		return false
	case <-pause.C:
		return true
	}
}

// endWriting says how much was sent, and sends the FIN.
func (s *session) endWriting(end int, c conn) {
	w := &s.ways[end]
	w.ended.Store(true)
	if err := c.CloseWrite(); err != nil {
		s.broken(end, c, w.sent.Load(), err)
	}
}

// read reads what the other end sends, to its FIN.
func (s *session) read(end int, c conn) {
	w := &s.ways[1-end]
	buf := make([]byte, min(w.burst, 64<<10))
	for {
		if w.held {
			select {
			case <-s.load.gate.open():
			case <-s.dead:
				return
			}
		}
		c.SetReadDeadline(time.Now().Add(Guard))
		n, err := c.Read(buf)
		if !s.right(end, c, buf[:n]) {
			return
		}
		if err == io.EOF {
			s.atEnd(end, c)
			return
		}
		if err != nil {
			s.broken(end, c, w.got.Load(), err)
			return
		}
	}
}

// right compares what an end has received.
func (s *session) right(end int, c conn, got []byte) bool {
	w := &s.ways[1-end]
	at := w.got.Load()
	if i := w.differs(got, at); i >= 0 {
		want := place{session: s.number, way: 1 - end, at: at + uint64(i)}
		s.fail(end, c, Wrong, want.at, errors.New(s.load.texts.explain(want, readOn(c, got[i:]))))
		return false
	}
	w.got.Add(uint64(len(got)))
	return true
}

// readOn makes wrong bytes more when they are too few to tell where they come from, if more come soon.
func readOn(c conn, got []byte) []byte {
	if len(got) >= recognisable {
		return got
	}
	buf := make([]byte, 4*recognisable)
	n := copy(buf, got)
	c.SetReadDeadline(time.Now().Add(time.Second))
	more, _ := io.ReadAtLeast(c, buf[n:], recognisable-n)
	return buf[:n+more]
}

// atEnd judges the end of a stream.
func (s *session) atEnd(end int, c conn) bool {
	w := &s.ways[1-end]
	got := w.got.Load()
	select {
	case <-s.dead: // its other end broke, and the writer stopped for that
		s.fail(end, c, Ended, got, errors.New("the stream ends with the session"))
		return false
	default:
	}
	switch {
	case !w.ended.Load():
		s.fail(end, c, Ended, got, errors.New("the stream ends, and nobody has ended it"))
		return false
	case got != w.sent.Load():
		s.fail(end, c, Wrong, got, fmt.Errorf("the stream ends, and %d bytes are missing", w.sent.Load()-got))
		return false
	}
	return true
}

// The sizes of questions and answers.
const (
	smallest = 64
	largest  = 1024
)

// ask is the client of a conversation.
func (s *session) ask(c conn) {
	random := rand.New(rand.NewPCG(s.ways[upwards].first, 1))
	buf := make([]byte, largest)
	if !s.roundTrip(c, buf[:smallest]) {
		return
	}
	s.started()
	pause := time.NewTimer(time.Duration(random.Float64() * float64(s.pause)))
	defer pause.Stop()
	if s.kind == rest {
		pause.Stop()
	}
	for s.sleep(pause) {
		if !s.roundTrip(c, buf[:smallest+random.IntN(largest-smallest)]) {
			return
		}
		pause.Reset(s.pause)
	}
	select {
	case <-s.dead: // nothing more can be learned from it
		return
	default:
	}
	if s.kind == rest && !s.roundTrip(c, buf) {
		return
	}
	s.endWriting(client, c)
	c.SetReadDeadline(time.Now().Add(Guard))
	n, err := c.Read(buf)
	switch {
	case err != nil && err != io.EOF:
		s.broken(client, c, s.ways[downwards].got.Load(), err)
	case n > 0:
		at := s.ways[downwards].got.Load()
		s.fail(client, c, Wrong, at, fmt.Errorf("%d bytes more than were asked for", n))
	default:
		s.atEnd(client, c)
	}
}

// roundTrip asks with as many bytes as buf has, and reads the answer of the same size.
func (s *session) roundTrip(c conn, buf []byte) bool {
	up, down := &s.ways[upwards], &s.ways[downwards]
	up.fill(buf, up.sent.Load())
	began := time.Now()
	if _, err := c.Write(buf); err != nil {
		s.broken(client, c, up.sent.Load(), err)
		return false
	}
	up.sent.Add(uint64(len(buf)))
	c.SetReadDeadline(began.Add(Guard))
	for rest := buf; len(rest) > 0; {
		n, err := c.Read(rest)
		if !s.right(client, c, rest[:n]) {
			return false
		}
		rest = rest[n:]
		if err != nil && len(rest) > 0 {
			if err == io.EOF {
				s.atEnd(client, c)
			} else {
				s.broken(client, c, down.got.Load(), err)
			}
			return false
		}
	}
	s.talks.add(began, time.Since(began))
	return true
}

// answer is the server of a conversation: for each byte that it gets it sends one of its own.
func (s *session) answer(c conn) {
	up, down := &s.ways[upwards], &s.ways[downwards]
	buf := make([]byte, largest)
	for {
		n, err := c.Read(buf)
		if !s.right(server, c, buf[:n]) {
			return
		}
		if err == io.EOF {
			if s.atEnd(server, c) {
				s.endWriting(server, c)
			}
			return
		}
		if err != nil {
			s.broken(server, c, up.got.Load(), err)
			return
		}
		down.fill(buf[:n], down.sent.Load())
		if _, err := c.Write(buf[:n]); err != nil {
			s.broken(server, c, down.sent.Load(), err)
			return
		}
		down.sent.Add(uint64(n))
	}
}

// broken records an error of the connection.
func (s *session) broken(end int, c conn, at uint64, err error) {
	s.fail(end, c, causeOf(err), at, err)
}

func causeOf(err error) Cause {
	switch {
	case errors.Is(err, errWrong):
		return Wrong
	case errors.Is(err, syscall.ECONNREFUSED), errors.Is(err, syscall.ENOENT):
		return Refused
	case errors.Is(err, syscall.ECONNRESET), errors.Is(err, syscall.EPIPE):
		return Reset
	case errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF):
		return Ended
	}
	var timeout net.Error
	if errors.As(err, &timeout) && timeout.Timeout() {
		return Stuck
	}
	return Other
}

// fail records what is wrong with a session, and closes the end's connection. What follows from the
// first failure is not recorded, except that bytes are wrong.
func (s *session) fail(end int, c conn, cause Cause, at uint64, err error) {
	s.load.mu.Lock()
	first := s.failed == nil
	if first || cause == Wrong && s.failed.Cause != Wrong {
		f := &Failure{
			Session: s.number, Kind: s.kind.String(), End: [...]string{"client", "server"}[end],
			Cause: cause, At: at, When: time.Now(), Err: err,
		}
		if first {
			close(s.dead)
		}
		s.failed = f
	}
	s.load.mu.Unlock()
	c.Close()
}
