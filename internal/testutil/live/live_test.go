package live

import (
	"io"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/penstock/penstock/internal/testutil"
)

func TestMain(m *testing.M) {
	os.Exit(testutil.Main(m))
}

func mustListen(tb testing.TB, network, addr string) *Load {
	tb.Helper()
	l, err := Listen(network, addr)
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(l.Close)
	return l
}

// meddle moves one direction of a connection and may change it.
type meddle func(to *net.TCPConn, from io.Reader) error

func copyAll(to *net.TCPConn, from io.Reader) error {
	_, err := io.Copy(to, from)
	return err
}

// relay connects clients to a server, and returns where.
func relay(tb testing.TB, to string, up, down meddle) Target {
	tb.Helper()
	l := testutil.Serve(tb, func(c *testutil.Conn) {
		in := c.Conn.(*net.TCPConn)
		raw, err := net.Dial("tcp", to)
		if err != nil {
			return // the load has been closed
		}
		out := raw.(*net.TCPConn)
		defer out.Close()
		var both sync.WaitGroup
		pass := func(to, from *net.TCPConn, m meddle) {
			if m(to, from) == nil {
				to.CloseWrite()
				return
			}
			to.SetLinger(0)
			to.Close()
		}
		both.Go(func() { pass(out, in, up) })
		both.Go(func() { pass(in, out, down) })
		both.Wait()
	})
	return TCP(l.Addr)
}

var everything = Mix{Streams: 20, Talkers: 20, Idle: 5, HalfClosed: 6, Stuffed: 6, Bandwidth: 8 << 20, RoundTrips: 500}

func TestLoad(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		name, network string
		target        func(t *testing.T, l *Load) Target
	}{
		{"nothing between", "tcp", func(_ *testing.T, l *Load) Target { return TCP(l.Addr()) }},
		{"unix", "unix", func(_ *testing.T, l *Load) Target { return Target{"unix", l.Addr()} }},
		{"a relay", "tcp", func(t *testing.T, l *Load) Target { return relay(t, l.Addr(), copyAll, copyAll) }},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			addr := "127.0.0.1:0"
			if test.network == "unix" {
				addr = filepath.Join(testutil.TempDir(t), "sock")
			}
			l := mustListen(t, test.network, addr)
			target := test.target(t, l)
			l.Hold()
			if err := l.Open(everything, target); err != nil {
				t.Fatal(err)
			}
			storm := l.Storm(100, target)
			testutil.Eventually(t, "what lies between full ends is full", func() bool {
				return l.stuffed(func(w *way) bool { return w.sent.Load() > w.got.Load()+32<<10 })
			})
			if err := l.AwaitProgress(Guard); err != nil {
				t.Fatal(err)
			}
			l.Release()
			testutil.Eventually(t, "readers catch up", func() bool {
				return l.stuffed(func(w *way) bool { return w.got.Load() > 32<<10 })
			})
			testutil.Eventually(t, "the storm blows", func() bool { return storm.Connections() >= 8 })
			short := storm.Stop()
			r := l.Finish()
			for _, err := range short.Errors {
				t.Error(err)
			}
			for _, f := range r.Failures {
				t.Error(f)
			}
			if r.Sessions != everything.Sessions() || r.Counts.Total() != 0 || r.Strays != 0 {
				t.Errorf("%v", &r)
			}
			if r.Bytes < 1<<20 || r.RoundTrips < everything.Talkers+2*everything.Idle {
				t.Errorf("too little was moved: %v", &r)
			}
		})
	}
}

// stuffed tells whether all held ways fulfil a condition.
func (l *Load) stuffed(is func(*way) bool) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, s := range l.sessions {
		for w := range s.ways {
			if s.ways[w].held && !is(&s.ways[w]) {
				return false
			}
		}
	}
	return true
}

// Each kind of damage is found, and called by its name.
func TestDamage(t *testing.T) {
	t.Parallel()
	const size = 8 << 10 // of the piece that is damaged
	piece := func(damage func(l *Load, b []byte) []byte) func(*Load) meddle {
		return func(l *Load) meddle {
			return func(to *net.TCPConn, from io.Reader) error {
				b := make([]byte, size)
				if n, err := io.ReadFull(from, b); err != nil {
					_, err = to.Write(b[:n])
					return err
				}
				if _, err := to.Write(damage(l, b)); err != nil {
					return err
				}
				return copyAll(to, from)
			}
		}
	}
	for _, test := range []struct {
		name   string
		meddle func(l *Load) meddle
		cause  Cause
		text   string
	}{
		{"lost", piece(func(_ *Load, b []byte) []byte { return slices.Delete(b, 4096, 4196) }), Wrong, "100 bytes are missing"},
		{"doubled", piece(func(_ *Load, b []byte) []byte { return slices.Insert(b, 4096, b[4000:4096]...) }), Wrong, "96 bytes are doubled"},
		{"out of order", piece(func(_ *Load, b []byte) []byte {
			return slices.Concat(b[:1000], b[1500:2000], b[1000:1500], b[2000:])
		}), Wrong, "500 bytes are missing or come later"},
		{"changed", piece(func(_ *Load, b []byte) []byte { b[5000] ^= 1; return b }), Wrong, "some bytes are changed"},
		{"of another session", piece(func(l *Load, b []byte) []byte {
			l.texts.of(7, downwards).fill(b[3001:3100], 4003)
			return b
		}), Wrong, "bytes of session 7, way 1, from position 40"},
		{"of nobody", piece(func(_ *Load, b []byte) []byte { clear(b[6000:7000]); return b }), Wrong, "bytes that nobody sent"},
		{"end too early", func(*Load) meddle {
			return func(to *net.TCPConn, from io.Reader) error {
				_, err := io.CopyN(to, from, size)
				return err
			}
		}, Ended, "nobody has ended it"},
		{"reset", func(*Load) meddle {
			return func(to *net.TCPConn, from io.Reader) error {
				io.CopyN(to, from, size)
				return net.ErrClosed
			}
		}, Reset, ""},
		{"tail lost", func(*Load) meddle {
			return func(to *net.TCPConn, from io.Reader) error {
				b := make([]byte, 64<<10)
				for last := []byte(nil); ; {
					n, err := from.Read(b)
					if err != nil {
						if len(last) > 0 {
							to.Write(last[:len(last)-1])
						}
						return nil
					}
					to.Write(last)
					last = slices.Clone(b[:n])
				}
			}
		}, Wrong, "1 bytes are missing"},
	} {
		for way, name := range []string{"upwards", "downwards"} {
			t.Run(test.name+" "+name, func(t *testing.T) {
				t.Parallel()
				l := mustListen(t, "tcp", "127.0.0.1:0")
				passes := [2]meddle{copyAll, copyAll}
				passes[way] = test.meddle(l)
				target := relay(t, l.Addr(), passes[upwards], passes[downwards])
				if err := l.Open(Mix{Streams: 1, Bandwidth: 4 << 20}, target); err != nil {
					t.Fatal(err)
				}
				if strings.HasPrefix(test.name, "tail") {
					testutil.Eventually(t, "something passes", func() bool {
						l.mu.Lock()
						defer l.mu.Unlock()
						return l.sessions[0].ways[way].got.Load() > 0
					})
				} else {
					testutil.Eventually(t, "it is noticed", func() bool { return len(l.Failures()) > 0 })
				}
				r := l.Finish()
				if len(r.Failures) != 1 || r.Counts[test.cause] != 1 || r.Counts.Total() != 1 {
					t.Fatalf("%v: %v", &r, r.Failures)
				}
				if f := r.Failures[0]; !strings.Contains(f.Error(), test.text) {
					t.Errorf("%v does not say %q", f, test.text)
				}
			})
		}
	}
}

// A session that its relay drops is one failure, whatever the session does, and the others go on.
func TestCut(t *testing.T) {
	t.Parallel()
	l := mustListen(t, "tcp", "127.0.0.1:0")
	var through sync.Mutex
	var cut []*net.TCPConn
	target := relay(t, l.Addr(), func(to *net.TCPConn, from io.Reader) error {
		through.Lock()
		cut = append(cut, to)
		through.Unlock()
		return copyAll(to, from)
	}, copyAll)
	if err := l.Open(everything, target); err != nil {
		t.Fatal(err)
	}
	through.Lock()
	for _, c := range cut {
		c.SetLinger(0)
		c.Close()
	}
	through.Unlock()
	if err := l.Open(Mix{Talkers: 5, Streams: 5}, TCP(l.Addr())); err != nil {
		t.Fatal(err)
	}
	testutil.Eventually(t, "the cuts are noticed", func() bool { return len(l.Failures()) >= everything.Sessions()-everything.Idle })
	if err := l.AwaitProgress(Guard); err != nil {
		t.Error(err)
	}
	r := l.Finish()
	if got := r.Counts.Total(); got != everything.Sessions() || r.Counts[Wrong]+r.Counts[Stuck]+r.Counts[Other] > 0 {
		t.Errorf("%v", &r)
		for _, f := range r.Failures {
			t.Log(f)
		}
	}
}

func TestStormCounts(t *testing.T) {
	t.Parallel()
	l := mustListen(t, "tcp", "127.0.0.1:0")
	resets := testutil.Serve(t, func(c *testutil.Conn) { c.Read(make([]byte, 1)); c.Reset() })
	changes := relay(t, l.Addr(), func(to *net.TCPConn, from io.Reader) error {
		b := make([]byte, headerSize+smallest)
		io.ReadFull(from, b)
		b[headerSize+10]++
		to.Write(b)
		return copyAll(to, from)
	}, copyAll)
	refuses := TCP(testutil.Loopback(testutil.FreePort(t)))
	storm := l.Storm(200, TCP(l.Addr()), refuses, TCP(resets.Addr), changes)
	testutil.Eventually(t, "each target had its share", func() bool { return storm.Connections() >= 16 })
	r := storm.Stop()
	for _, cause := range []Cause{Refused, Reset, Wrong} {
		if n := r.Counts[cause]; n < r.Connections/4-1 || n > r.Connections/4+1 {
			t.Errorf("%d %v of %v", n, cause, &r)
		}
	}
	if good := r.Connections - r.Counts.Total(); good < 3 || len(r.Errors) < 9 {
		t.Errorf("%v, with %d errors", &r, len(r.Errors))
	}
}

func TestOpenFails(t *testing.T) {
	t.Parallel()
	l := mustListen(t, "tcp", "127.0.0.1:0")
	if err := l.Open(Mix{Talkers: 2}, TCP(testutil.Loopback(testutil.FreePort(t)))); err == nil {
		t.Error("sessions came up where nobody listens")
	}
	if r := l.Finish(); r.Counts[Refused] != 2 {
		t.Errorf("%v", &r)
	}
}

func TestStalls(t *testing.T) {
	l := &Load{}
	begin := time.Now()
	at := func(ms int) time.Time { return begin.Add(time.Duration(ms) * time.Millisecond) }
	for range 2 {
		s := &session{kind: talk}
		for i := range 100 {
			took := time.Millisecond
			if i == 50 {
				took = 8 * time.Millisecond
			}
			s.talks.add(at(10*i), took)
		}
		l.sessions = append(l.sessions, s)
	}
	got := l.Stalls(Window{at(100), at(200)}, Window{at(505), at(507)}, Window{at(2000), at(3000)})
	want := Stalls{
		RoundTrips: 2*11 + 2, P50: time.Millisecond, P99: 8 * time.Millisecond, Max: 8 * time.Millisecond,
		Clients: 4, WorstP99: 8 * time.Millisecond,
	}
	if got != want {
		t.Errorf("%+v, want %+v", got, want)
	}
	if got := l.Stalls(); got != (Stalls{}) {
		t.Errorf("without a window: %v", got)
	}
}
