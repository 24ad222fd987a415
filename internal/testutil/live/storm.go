package live

import (
	"errors"
	"fmt"
	"io"
	"net"
	"sync"
	"time"
)

// stormers bounds the short connections that are under way at the same time.
const stormers = 64

// firstShort is the number of the first short connection; sessions have lower ones.
const firstShort = 1 << 24

// Storm opens short connections, one after the other at a rate: connect, a question and its answer,
// close. The server must have been listening through its targets when it began.
type Storm struct {
	load *Load
	stop chan struct{}
	once sync.Once
	done sync.WaitGroup

	mu     sync.Mutex
	report StormReport
}

// StormReport is what became of short connections.
type StormReport struct {
	Connections int
	Counts      Counts // of those that failed
	Errors      []error
	Slowest     time.Duration // from the first packet to the answer
}

func (r *StormReport) String() string {
	return fmt.Sprintf("%d short connections, slowest %v: %v", r.Connections, r.Slowest.Round(time.Microsecond), &r.Counts)
}

// maxErrors bounds the errors that are kept.
const maxErrors = 20

// Storm begins a storm of rate connections a second over the targets by turns; fewer when 64 are under way
// already.
func (l *Load) Storm(rate int, targets ...Target) *Storm {
	s := &Storm{load: l, stop: make(chan struct{})}
	s.done.Go(func() {
		tick := time.NewTicker(time.Second / time.Duration(rate))
		defer tick.Stop()
		slots := make(chan struct{}, stormers)
		for i := 0; ; i++ {
			select {
			case <-s.stop:
				return
			case <-tick.C:
			}
			slots <- struct{}{}
			s.done.Go(func() {
				defer func() { <-slots }()
				began := time.Now()
				s.count(began, l.Try(targets[i%len(targets)]))
			})
		}
	})
	return s
}

// Stop ends the storm, waits for what is under way, and tells what became of all. It may be called again.
func (s *Storm) Stop() StormReport {
	s.once.Do(func() { close(s.stop) })
	s.done.Wait()
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.report
}

// Connections is how many have been made so far.
func (s *Storm) Connections() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.report.Connections
}

func (s *Storm) count(began time.Time, err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.report.Connections++
	if err == nil {
		s.report.Slowest = max(s.report.Slowest, time.Since(began))
		return
	}
	s.report.Counts[causeOf(err)]++
	if len(s.report.Errors) < maxErrors {
		s.report.Errors = append(s.report.Errors, fmt.Errorf("short connection of %s: %w", began.Format("15:04:05.000"), err))
	}
}

var errWrong = errors.New("wrong bytes")

// hesitation is how long some clients are silent after their connection is made. A listener that waits for
// data (defer-accept) has half a handshake meanwhile.
const hesitation = 50 * time.Millisecond

// Try makes one short connection. Its errors are the connection's. Of every eight, two send their FIN before they
// read the answer, and one hesitates before it speaks.
func (l *Load) Try(to Target) error {
	l.mu.Lock()
	number := firstShort + l.shorts
	l.shorts++
	l.mu.Unlock()
	began := time.Now()
	raw, err := net.DialTimeout(to.Network, to.Addr, Guard)
	if err != nil {
		return err
	}
	defer raw.Close()
	c := raw.(conn)
	c.SetDeadline(began.Add(Guard))
	size := smallest + number*37%(largest-smallest) // any
	buf := make([]byte, headerSize+size)
	copy(buf, header(short, size, number))
	l.texts.of(number, upwards).fill(buf[headerSize:], 0)
	habit := mix(uint64(number)) % 8
	if habit == 0 {
		time.Sleep(hesitation)
	}
	if _, err := c.Write(buf); err != nil {
		return fmt.Errorf("from %v: %w", c.LocalAddr(), err)
	}
	if habit == 1 || habit == 2 {
		if err := c.CloseWrite(); err != nil {
			return fmt.Errorf("from %v: %w", c.LocalAddr(), err)
		}
	}
	if err := l.expectShort(c, buf[:size], number, downwards); err != nil {
		l.mu.Lock()
		refuted := l.refuted[number]
		l.mu.Unlock()
		return fmt.Errorf("from %v: %w", c.LocalAddr(), errors.Join(refuted, err))
	}
	return nil
}

// answerShort is its server.
func (l *Load) answerShort(c conn, number, size int) {
	c.SetDeadline(time.Now().Add(Guard))
	buf := make([]byte, size)
	if err := l.expectShort(c, buf, number, upwards); err != nil {
		if errors.Is(err, errWrong) {
			l.mu.Lock()
			l.refuted[number] = err
			l.mu.Unlock()
		}
		return // the client gets no answer
	}
	l.texts.of(number, downwards).fill(buf, 0)
	if _, err := c.Write(buf); err != nil {
		return // the client knows
	}
	io.Copy(io.Discard, c) // the client ends it
}

// expectShort reads a text and compares it.
func (l *Load) expectShort(c conn, buf []byte, number, way int) error {
	n, err := io.ReadFull(c, buf)
	if i := l.texts.of(number, way).differs(buf[:n], 0); i >= 0 {
		return fmt.Errorf("%w at position %d: %s", errWrong, i, l.texts.explain(place{number, way, uint64(i)}, buf[i:n]))
	}
	return err
}
