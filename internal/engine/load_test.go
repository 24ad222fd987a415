package engine

import (
	"bufio"
	"bytes"
	"encoding/binary"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"runtime"
	"runtime/debug"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/penstock/penstock/internal/config"
	"github.com/penstock/penstock/internal/testutil"
)

// The load runs in a process of its own: what its own runtime does is no part of what is measured, and it
// still has a clock when the world of the measured process stands still. It obeys lines on its standard
// input and answers each with one line:
//
//	dial ADDRESS TRIPS STREAMS   connect: TRIPS connections for round trips, STREAMS that are kept full
//	run MS                       round trips for a while: their number and percentiles in ns
//	guard MS                     abort the parent unless the next line comes in time
//	churn MS                     make the garbage of a control plane, collected every so often; 0: when it has grown
//	calm                         stop that
//
// The first line that it writes is the address of its echo server.

const loadVariable = "PENSTOCK_TEST_LOAD"

func init() {
	if os.Getenv(loadVariable) == "" {
		return
	}
	if err := serveLoad(os.Stdin, os.Stdout); err != nil {
		fmt.Println("error", err)
		os.Exit(1)
	}
	os.Exit(0)
}

const messageSize = 64

func serveLoad(orders io.Reader, answers io.Writer) error {
	debug.SetGCPercent(-1)
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return err
	}
	go func() {
		for {
			c, err := listener.Accept()
			if err != nil {
				return
			}
			go echo(c)
		}
	}()
	fmt.Fprintln(answers, listener.Addr())

	var l generator
	lines := bufio.NewScanner(orders)
	var guard *time.Timer
	var calm func()
	for lines.Scan() {
		if guard != nil {
			guard.Stop()
			guard = nil
		}
		words := strings.Fields(lines.Text())
		switch words[0] {
		case "dial":
			trips, _ := strconv.Atoi(words[2])
			streams, _ := strconv.Atoi(words[3])
			if err := l.dial(words[1], trips, streams); err != nil {
				return err
			}
			fmt.Fprintln(answers, "ready")
		case "run":
			ms, _ := strconv.Atoi(words[1])
			if err := l.run(time.Duration(ms) * time.Millisecond); err != nil {
				return err
			}
			fmt.Fprintln(answers, l.summary())
		case "guard":
			ms, _ := strconv.Atoi(words[1])
			guard = time.AfterFunc(time.Duration(ms)*time.Millisecond, func() {
				syscall.Kill(os.Getppid(), syscall.SIGABRT)
			})
			fmt.Fprintln(answers, "ready")
		case "churn":
			ms, _ := strconv.Atoi(words[1])
			runtime.GOMAXPROCS(churnProcs)
			debug.SetGCPercent(400)
			calm = churn(time.Duration(ms) * time.Millisecond)
			fmt.Fprintln(answers, "ready")
		case "calm":
			calm()
			debug.SetGCPercent(-1)
			fmt.Fprintln(answers, "ready")
		default:
			return fmt.Errorf("order %q is not known", words[0])
		}
	}
	return lines.Err()
}

func echo(c net.Conn) {
	defer c.Close()
	buf := make([]byte, 64<<10)
	for {
		n, err := c.Read(buf)
		if err != nil {
			return
		}
		if _, err := c.Write(buf[:n]); err != nil {
			return
		}
	}
}

type generator struct {
	trips   []net.Conn
	seq     uint64
	samples [][]time.Duration // by connection
}

func (l *generator) dial(addr string, trips, streams int) error {
	for range trips {
		c, err := net.Dial("tcp", addr)
		if err != nil {
			return err
		}
		l.trips = append(l.trips, c)
		l.samples = append(l.samples, make([]time.Duration, 0, 1<<17))
	}
	for range streams {
		c, err := net.Dial("tcp", addr)
		if err != nil {
			return err
		}
		go func() {
			buf := make([]byte, 64<<10)
			for {
				if _, err := c.Write(buf); err != nil {
					return
				}
			}
		}()
		go io.Copy(io.Discard, c)
	}
	return nil
}

// run makes round trips on all connections at once.
func (l *generator) run(d time.Duration) error {
	var all sync.WaitGroup
	var failed atomic.Pointer[error]
	for i, c := range l.trips {
		l.samples[i] = l.samples[i][:0]
		l.seq++
		seq := l.seq << 32
		all.Go(func() {
			var out, in [messageSize]byte
			last := time.Now()
			for end := last.Add(d); last.Before(end); {
				seq++
				binary.LittleEndian.PutUint64(out[:], seq)
				_, err := c.Write(out[:])
				if err == nil {
					_, err = io.ReadFull(c, in[:])
				}
				if err == nil && !bytes.Equal(in[:], out[:]) {
					err = fmt.Errorf("round trip: %x came back for %x", in, out)
				}
				if err != nil {
					failed.Store(&err)
					return
				}
				now := time.Now()
				l.samples[i] = append(l.samples[i], now.Sub(last))
				last = now
			}
		})
	}
	all.Wait()
	if err := failed.Load(); err != nil {
		return *err
	}
	return nil
}

// summary gives the number of round trips and percentiles. A connection that waits sends nothing, so that a
// pause of many round trips would count as one: those that would have been made in the pause, one
// for each median, are counted with the rest of it that they would have waited.
func (l *generator) summary() string {
	sorted := slices.Sorted(slices.Values(slices.Concat(l.samples...)))
	n := len(sorted)
	if n == 0 {
		return "0 0 0 0"
	}
	usual := max(sorted[n/2], time.Microsecond)
	for _, s := range sorted[n/2:] {
		for rest := s - usual; rest > usual; rest -= usual {
			sorted = append(sorted, rest)
		}
	}
	slices.Sort(sorted)
	at := func(p float64) int64 { return int64(sorted[int(p*float64(len(sorted)-1))]) }
	return fmt.Sprint(n, at(0.5), at(0.99), at(0.999))
}

// load is the process from the side of the test.
type load struct {
	tb      testing.TB
	orders  io.Writer
	answers *bufio.Scanner
	server  string
}

func mustLoad(tb testing.TB) *load {
	tb.Helper()
	cmd := exec.Command(os.Args[0])
	cmd.Env = append(os.Environ(), loadVariable+"=1")
	cmd.Stderr = os.Stderr
	orders, err := cmd.StdinPipe()
	if err != nil {
		tb.Fatal(err)
	}
	answers, err := cmd.StdoutPipe()
	if err != nil {
		tb.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		tb.Fatal(err)
	}
	l := &load{tb: tb, orders: orders, answers: bufio.NewScanner(answers)}
	tb.Cleanup(func() {
		orders.Close()
		if err := cmd.Wait(); err != nil {
			tb.Errorf("load: %v", err)
		}
	})
	l.server = l.answer()
	return l
}

func (l *load) answer() string {
	l.tb.Helper()
	if !l.answers.Scan() {
		l.tb.Fatalf("the load ended: %v", l.answers.Err())
	}
	text := l.answers.Text()
	if strings.HasPrefix(text, "error") {
		l.tb.Fatalf("load: %s", text)
	}
	return text
}

func (l *load) order(format string, args ...any) string {
	l.tb.Helper()
	if _, err := fmt.Fprintf(l.orders, format+"\n", args...); err != nil {
		l.tb.Fatal(err)
	}
	return l.answer()
}

// window is what a run gave.
type window struct {
	trips          int
	p50, p99, p999 time.Duration
}

func (l *load) run(d time.Duration) window {
	l.tb.Helper()
	var w window
	text := l.order("run %d", d.Milliseconds())
	if _, err := fmt.Sscan(text, &w.trips, (*int64)(&w.p50), (*int64)(&w.p99), (*int64)(&w.p999)); err != nil {
		l.tb.Fatalf("%q: %v", text, err)
	}
	return w
}

// mustProxy runs an engine in front of the load's server and returns where it listens.
func mustProxy(tb testing.TB, workers int, server string) string {
	tb.Helper()
	addr := testutil.Loopback(testutil.FreePort(tb))
	cfg, found := config.LoadText("test", fmt.Sprintf(`
global
    nbthread %d
defaults
    mode tcp
    timeout connect 5s
    timeout client 1m
    timeout server 1m
listen test
    bind %s
    server s %s
`, workers, addr, server), config.Options{})
	if found.Fatal() {
		tb.Fatalf("%v", found.List)
	}
	e, err := New(cfg, Options{Report: &config.Reporter{W: io.Discard}})
	if err != nil {
		tb.Fatal(err)
	}
	e.Start()
	tb.Cleanup(e.Close)
	return addr
}
