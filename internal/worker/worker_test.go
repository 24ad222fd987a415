package worker_test

import (
	"fmt"
	"net"
	"os"
	"runtime"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/penstock/penstock/internal/config"
	"github.com/penstock/penstock/internal/engine"
	"github.com/penstock/penstock/internal/stats"
	"github.com/penstock/penstock/internal/testutil"
)

// mustEngine runs a configuration. The word {port} in it stands for a free port, which is returned.
func mustEngine(tb testing.TB, text string, args ...string) (*engine.Engine, int) {
	tb.Helper()
	port := testutil.FreePort(tb)
	text = strings.NewReplacer(append(args, "{port}", fmt.Sprint(port))...).Replace(text)
	report := &config.Reporter{W: &testutil.Output{}}
	cfg, found := config.LoadText("test.cfg", text, config.Options{})
	if found.Fatal() {
		found.Print(report)
		tb.Fatalf("%s", report.W)
	}
	e, err := engine.New(cfg, engine.Options{Report: report, Program: "test"})
	if err != nil {
		tb.Fatalf("%v: %s", err, report.W)
	}
	procs := runtime.GOMAXPROCS(0)
	e.Start()
	tb.Cleanup(func() { e.Close(); runtime.GOMAXPROCS(procs) })
	return e, port
}

// A thousand open sessions cost no goroutine, and all of them are alive.
func TestNoGoroutinePerConnection(t *testing.T) {
	listener := testutil.Listen(t)
	_, port := mustEngine(t, `
global
    nbthread 2
listen l
    bind 127.0.0.1:{port}
    server s1 `+listener.Addr)
	warm := testutil.Dial(t, "tcp", testutil.Loopback(port))
	listener.Accept()
	before := runtime.NumGoroutine()
	type ends struct{ c, s *testutil.Conn }
	var list []ends
	for range 400 {
		c := testutil.Dial(t, "tcp", testutil.Loopback(port))
		list = append(list, ends{c, listener.Accept()})
	}
	if n := runtime.NumGoroutine(); n > before {
		t.Errorf("%d goroutines with 400 sessions, %d with one", n, before)
	}
	for _, e := range list {
		e.c.Send("x")
		e.s.Expect("x")
	}
	warm.Close()
}

// A limit of any kind is never exceeded across workers, and nobody waits for ever once there is room.
func TestLimits(t *testing.T) {
	for _, test := range []struct{ name, global, proxy, bind, server string }{
		{name: "global", global: "maxconn 5"},
		{name: "frontend", proxy: "maxconn 5"},
		{name: "bind", bind: "maxconn 5"},
		{name: "server", server: "maxconn 5"},
	} {
		t.Run(test.name, func(t *testing.T) {
			var now, most atomic.Int64
			server := testutil.Serve(t, func(c *testutil.Conn) {
				n := now.Add(1)
				for old := most.Load(); n > old && !most.CompareAndSwap(old, n); old = most.Load() {
				}
				c.Expect("ping")
				now.Add(-1) // before the answer, which lets the client leave
				c.Send("pong")
			})
			_, port := mustEngine(t, `
global
    nbthread 2
    {global}
listen l
    bind 127.0.0.1:{port} {bind}
    timeout queue 1m
    {proxy}
    server s1 {addr} {server}
`, "{global}", test.global, "{proxy}", test.proxy, "{bind}", test.bind, "{server}", test.server, "{addr}", server.Addr)
			var clients sync.WaitGroup
			for range 60 {
				clients.Go(func() {
					for range 3 {
						c, err := net.Dial("tcp", testutil.Loopback(port))
						if err != nil {
							t.Error(err)
							return
						}
						c.SetDeadline(time.Now().Add(testutil.Deadline))
						fmt.Fprint(c, "ping")
						answer := make([]byte, 4)
						if _, err := c.Read(answer); err != nil || string(answer) != "pong" {
							t.Errorf("answer %q, %v", answer, err)
						}
						c.Close()
					}
				})
			}
			clients.Wait()
			if most.Load() > 5 {
				t.Errorf("%d at once, 5 allowed", most.Load())
			}
		})
	}
}

// Clients that leave while they wait for a slot, at the moment when it comes, take no slot with them.
func TestQueueWithoutLosses(t *testing.T) {
	server := testutil.Serve(t, testutil.Echo)
	_, port := mustEngine(t, `
global
    nbthread 2
listen l
    bind 127.0.0.1:{port}
    timeout queue 1m
    server s1 `+server.Addr+` maxconn 3`)
	var clients sync.WaitGroup
	for n := range 60 {
		clients.Go(func() {
			for round := range 4 {
				c, err := net.Dial("tcp", testutil.Loopback(port))
				if err != nil {
					t.Error(err)
					return
				}
				if (n+round)%3 == 0 { // vanishes
					c.(*net.TCPConn).SetLinger(0)
					time.Sleep(time.Duration(n*37%500) * time.Microsecond)
					c.Close()
					continue
				}
				c.SetDeadline(time.Now().Add(testutil.Deadline))
				fmt.Fprint(c, "x")
				if _, err := c.Read(make([]byte, 1)); err != nil {
					t.Errorf("a client that stayed: %v", err)
				}
				c.Close()
			}
		})
	}
	clients.Wait()
	// Every slot is there: as many sessions as slots are served at once.
	var last []*testutil.Conn
	for range 3 {
		c := testutil.Dial(t, "tcp", testutil.Loopback(port))
		c.Send("y")
		c.Expect("y")
		last = append(last, c)
	}
	slices.Reverse(last)
	for _, c := range last {
		c.Close()
	}
}

// Stopping the world never waits for a worker, busy or asleep.
func TestStopTheWorld(t *testing.T) {
	server := testutil.Serve(t, testutil.Echo)
	_, port := mustEngine(t, `
global
    nbthread 2
listen l
    bind 127.0.0.1:{port}
    server s1 `+server.Addr)
	stop := make(chan struct{})
	var busy sync.WaitGroup
	for range 4 {
		c := testutil.Dial(t, "tcp", testutil.Loopback(port))
		busy.Go(func() {
			chunk := make([]byte, 1<<16)
			for {
				select {
				case <-stop:
					return
				default:
				}
				c.Write(chunk)
				c.Read(chunk)
			}
		})
	}
	watchdog := time.AfterFunc(2*time.Minute, func() { panic("the world does not stop") })
	defer watchdog.Stop()
	var took []time.Duration
	for n := range 150 {
		if n == 100 {
			close(stop)
			busy.Wait() // from here on the workers sleep
		}
		begun := time.Now()
		if n%10 == 0 {
			runtime.GC()
		} else {
			runtime.ReadMemStats(new(runtime.MemStats))
		}
		took = append(took, time.Since(begun))
	}
	slices.Sort(took)
	t.Logf("stopping the world: median %v, p99 %v", took[len(took)/2], took[len(took)*99/100])
}

// Closing an engine leaves neither a descriptor nor a thread of its own, whatever its sessions do.
func TestCloseLeavesNothing(t *testing.T) {
	before := len(testutil.FDs(t, os.Getpid()))
	for _, stop := range []string{"close", "soft", "hard"} {
		listener := testutil.Listen(t)
		e, port := mustEngine(t, `
global
    nbthread 2
listen l
    bind 127.0.0.1:{port}
    server s1 `+listener.Addr+` maxconn 1`)
		c := testutil.Dial(t, "tcp", testutil.Loopback(port))
		s := listener.Accept()
		c.Send("x")
		s.Expect("x")
		queued := testutil.Dial(t, "tcp", testutil.Loopback(port))
		queued.Send("y")
		testutil.Eventually(t, "both were accepted", func() bool {
			var i stats.Info
			e.Fill(&i)
			return i.CurrConns == 2
		})
		switch stop {
		case "soft":
			e.SoftStop()
			c.Close()
			s.ExpectEOF()
			s.Close()
			s = listener.Accept() // the queue goes on in a soft stop
			s.Expect("y")
			queued.Close()
			s.ExpectEOF()
			s.Close()
			<-e.Done()
		case "hard":
			e.SoftStop()
			e.HardStop()
			<-e.Done()
		}
		e.Close()
		c.ExpectClosed()
		queued.ExpectClosed()
		c.Close()
		s.Close()
		queued.Close()
		listener.Close()
	}
	testutil.Eventually(t, "all descriptors are closed", func() bool {
		return len(testutil.FDs(t, os.Getpid())) <= before
	})
}
