package e2e

import (
	"encoding/binary"
	"errors"
	"fmt"
	"hash/maphash"
	"io"
	"math/rand/v2"
	"net"
	"os"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/penstock/penstock/internal/testutil"
)

// The relay is tested as a property: whatever the sizes, the pauses, the order of the ends and the
// resets, each side receives exactly what the other sent, once and in order.
//
// A session follows a plan that both ends derive from a seed, which the client sends first. Each
// end writes a stretch of one pseudo-random text and compares what it reads with the stretch that
// the other end writes, byte by byte; the hashes of both are compared at the end as well, so that
// a mistake in the comparison itself shows.

// ending is how a session's ends leave.
type ending int

const (
	bothClose   ending = iota // each end sends its FIN when it has written all
	clientFirst               // the server writes only after the client's FIN
	serverFirst               // the client writes only after the server's FIN
	clientReset               // the client resets in the middle
	serverReset               // the server resets in the middle
	endings
)

// plan is what one session does.
type plan struct {
	seed   uint64
	ending ending
	size   [2]int // bytes that the client and the server write
	offset [2]int // where in the text their stretches begin
	slow   [2]bool
}

// noise is the text; a stretch begins anywhere and goes round.
var noise = func() []byte {
	random := rand.NewChaCha8([32]byte{7})
	text := make([]byte, 1<<20+4099)
	random.Read(text)
	return text
}()

func newPlan(seed uint64) plan {
	random := rand.New(rand.NewPCG(seed, 1))
	p := plan{seed: seed, ending: ending(random.IntN(int(endings)))}
	for side := range p.size {
		switch share := random.IntN(100); {
		case share < 10: // nothing
		case share < 55:
			p.size[side] = random.IntN(1 << 10)
		case share < 85:
			p.size[side] = random.IntN(1 << 16)
		case share < 98:
			p.size[side] = random.IntN(1 << 19)
		default:
			p.size[side] = random.IntN(1 << 22)
		}
		p.offset[side] = random.IntN(len(noise))
		p.slow[side] = random.IntN(8) == 0
	}
	return p
}

// stretch returns up to max bytes of the text that begins at offset, from its position done on.
func stretch(offset, done, max int) []byte {
	at := (offset + done) % len(noise)
	return noise[at:min(at+max, len(noise))]
}

// end is one end of a session: 0 the client, 1 the server.
type end struct {
	plan
	side   int
	conn   *net.TCPConn
	random *rand.Rand
	seed   maphash.Seed
}

func newEnd(p plan, side int, conn *net.TCPConn) *end {
	// The kernel counts whole pages of spliced data against a receive buffer. With the small one that a new
	// connection has, a slow reader's window may stay shut, and megabytes come by window probes, five a second.
	_ = conn.SetReadBuffer(4 << 20)
	return &end{plan: p, side: side, conn: conn, random: rand.New(rand.NewPCG(p.seed, uint64(2+side))), seed: maphash.MakeSeed()}
}

// write writes the first n bytes of this end's stretch in chunks, with pauses.
func (e *end) write(n int) error {
	random := rand.New(rand.NewPCG(e.plan.seed, uint64(4+e.side)))
	for done := 0; done < n; {
		chunk := stretch(e.offset[e.side], done, 1+random.IntN(1<<random.IntN(18)))
		chunk = chunk[:min(len(chunk), n-done)]
		if _, err := e.conn.Write(chunk); err != nil {
			return fmt.Errorf("write after %d of %d bytes: %w", done, n, err)
		}
		done += len(chunk)
		if random.IntN(16) == 0 {
			time.Sleep(time.Duration(random.IntN(3000)) * time.Microsecond)
		}
	}
	return nil
}

// read reads to the end of the stream and compares. It returns how much was right, and an error
// that wraps the connection's, if that ended otherwise than by a FIN.
func (e *end) read() (int, error) {
	other := 1 - e.side
	var got, want maphash.Hash
	got.SetSeed(e.seed)
	want.SetSeed(e.seed)
	buf := make([]byte, 1+e.random.IntN(1<<16))
	done := 0
	for {
		n, err := e.conn.Read(buf)
		for part := buf[:n]; len(part) > 0; {
			expected := stretch(e.offset[other], done, len(part))
			if string(part[:len(expected)]) != string(expected) {
				return done, fmt.Errorf("%w after %d bytes", errWrongBytes, done)
			}
			got.Write(part[:len(expected)])
			want.Write(expected)
			done += len(expected)
			part = part[len(expected):]
		}
		if done > e.size[other] {
			return done, fmt.Errorf("%w: %d bytes, %d were sent", errWrongBytes, done, e.size[other])
		}
		if err == io.EOF {
			if got.Sum64() != want.Sum64() {
				return done, fmt.Errorf("%w: the hashes differ", errWrongBytes)
			}
			return done, nil
		}
		if err != nil {
			return done, fmt.Errorf("read after %d bytes: %w", done, err)
		}
		if e.slow[e.side] && e.random.IntN(4) == 0 {
			time.Sleep(time.Duration(e.random.IntN(4000)) * time.Microsecond)
		}
	}
}

var errWrongBytes = errors.New("wrong bytes")

// run plays this end's part and returns what went against the plan.
func (e *end) run() error {
	e.conn.SetDeadline(time.Now().Add(2 * testutil.Deadline))
	resets := e.ending == clientReset && e.side == 0 || e.ending == serverReset && e.side == 1
	resetByOther := (e.ending == clientReset || e.ending == serverReset) && !resets
	waits := e.ending == clientFirst && e.side == 1 || e.ending == serverFirst && e.side == 0

	if waits { // the other end has closed before this one writes
		if err := e.readAll(); err != nil {
			return err
		}
		if err := e.write(e.size[e.side]); err != nil {
			return err
		}
		return e.conn.CloseWrite()
	}
	if resets {
		return e.writeThenReset()
	}
	wrote := make(chan error, 1)
	go func() {
		err := e.write(e.size[e.side])
		if err == nil && !resetByOther {
			err = e.conn.CloseWrite()
		}
		wrote <- err
	}()
	if resetByOther {
		// What arrives before the reset is right, and the end comes.
		_, err := e.read()
		if errors.Is(err, errWrongBytes) || errors.Is(err, os.ErrDeadlineExceeded) {
			return err
		}
		e.conn.Close()
		<-wrote
		return nil
	}
	err := e.readAll()
	if writeErr := <-wrote; err == nil {
		err = writeErr
	}
	return err
}

// readAll reads exactly the other end's stretch and its FIN.
func (e *end) readAll() error {
	n, err := e.read()
	if err == nil && n != e.size[1-e.side] {
		err = fmt.Errorf("%w: %d bytes, %d were sent", errWrongBytes, n, e.size[1-e.side])
	}
	return err
}

// writeThenReset writes a part, compares what has come meanwhile, and resets.
func (e *end) writeThenReset() error {
	writeErr := e.write(e.random.IntN(e.size[e.side] + 1))
	e.conn.SetReadDeadline(time.Now().Add(time.Duration(e.random.IntN(3000)) * time.Microsecond))
	_, err := e.read()
	e.conn.SetLinger(0)
	e.conn.Close()
	if errors.Is(err, errWrongBytes) {
		return err
	}
	return writeErr
}

func relayServer(t *testing.T, failures chan<- error) *testutil.Listener {
	return testutil.Serve(t, func(c *testutil.Conn) {
		c.SetDeadline(time.Now().Add(2 * testutil.Deadline))
		var seed [8]byte
		if _, err := io.ReadFull(c, seed[:]); err != nil {
			return // reset by the client before the seed had left the program
		}
		p := newPlan(binary.BigEndian.Uint64(seed[:]))
		if err := newEnd(p, 1, c.Conn.(*net.TCPConn)).run(); err != nil {
			failures <- fmt.Errorf("server of plan %+v: %w", p, err)
		}
	})
}

func relaySession(port int, seed uint64) error {
	c, err := net.DialTimeout("tcp", testutil.Loopback(port), testutil.Deadline)
	if err != nil {
		return err
	}
	defer c.Close()
	p := newPlan(seed)
	if _, err := c.Write(binary.BigEndian.AppendUint64(nil, seed)); err != nil {
		return err
	}
	if err := newEnd(p, 0, c.(*net.TCPConn)).run(); err != nil {
		return fmt.Errorf("client of plan %+v: %w", p, err)
	}
	return nil
}

func TestRelayIntegrity(t *testing.T) {
	sessions, concurrency := 2500, 64
	if testing.Short() || raceEnabled {
		sessions = 400
	}
	for _, test := range []struct{ name, global, options string }{
		{"default", "", ""},
		{"nosplice", "nosplice", ""},
		{"splice forced", "", "option splice-request\n    option splice-response"},
		{"small buffers", "tune.bufsize 2048\n    tune.maxrewrite 0\n    tune.pipesize 4096", "option splice-auto"},
	} {
		t.Run(test.name, func(t *testing.T) {
			failures := make(chan error, 2*sessions)
			server := relayServer(t, failures)
			port := testutil.FreePort(t)
			p := start(t, text(`
global
    nbthread 2
    maxconn 1000
    {global}
listen l
    bind 127.0.0.1:{port}
    {options}
    server s1 {s1}
`, "global", test.global, "options", test.options), "port", port, "s1", server.Addr)
			first := rand.Uint64()
			t.Logf("seeds %d and up", first)
			var next, failed atomic.Int64
			var clients sync.WaitGroup
			for range concurrency {
				clients.Go(func() {
					for i := next.Add(1); i <= int64(sessions) && failed.Load() < 5; i = next.Add(1) {
						if err := relaySession(port, first+uint64(i)); err != nil {
							failed.Add(1)
							failures <- err
						}
					}
				})
			}
			clients.Wait()
			p.waitInfo(t, "CurrConns", 0)
			for range len(failures) {
				t.Error(<-failures)
			}
			if p.Exited() {
				t.Fatal("the program ended")
			}
		})
	}
}
