package engine

import (
	"fmt"
	"io"
	"net"
	"runtime"
	"syscall"
	"testing"
	"time"

	"github.com/penstock/penstock/internal/config"
	"github.com/penstock/penstock/internal/session"
	"github.com/penstock/penstock/internal/testutil"
)

func build(text string, w io.Writer) (*Engine, error) {
	report := &config.Reporter{W: w}
	cfg, found := config.LoadText("test.cfg", text, config.Options{})
	if found.Fatal() {
		found.Print(report)
		return nil, ErrConfig
	}
	return New(cfg, Options{Report: report, Program: "test"})
}

func mustStart(tb testing.TB, text string) (*Engine, *testutil.Output) {
	tb.Helper()
	out := &testutil.Output{}
	e, err := build(text, out)
	if err != nil {
		tb.Fatalf("%v: %s", err, out)
	}
	procs := runtime.GOMAXPROCS(0)
	e.Start()
	tb.Cleanup(func() { e.Close(); runtime.GOMAXPROCS(procs) })
	return e, out
}

func echoes(addr string) bool { return echoesOn("tcp", addr) }

func echoesOn(network, addr string) bool {
	c, err := net.DialTimeout(network, addr, testutil.Deadline)
	if err != nil {
		return false
	}
	defer c.Close()
	c.SetDeadline(time.Now().Add(testutil.Deadline))
	fmt.Fprint(c, "x")
	_, err = c.Read(make([]byte, 1))
	return err == nil
}

// A paused engine refuses connections and serves those that it has; a resumed one takes new ones.
func TestPauseResume(t *testing.T) {
	server := testutil.Serve(t, testutil.Echo)
	port := testutil.FreePort(t)
	addr := testutil.Loopback(port)
	e, _ := mustStart(t, fmt.Sprintf(`
global
    nbthread 2
listen l
    bind %s
    server s1 %s
`, addr, server.Addr))
	old := testutil.Dial(t, "tcp", addr)
	old.Send("a")
	old.Expect("a")
	for range 3 {
		e.Pause()
		testutil.Eventually(t, "connections are refused", func() bool {
			c, err := net.Dial("tcp", addr)
			if err == nil {
				c.Close()
			}
			return err != nil
		})
		old.Send("b")
		old.Expect("b")
		e.Resume()
		testutil.Eventually(t, "connections are taken", func() bool { return echoes(addr) })
	}
}

// mustCPUTime is what the thread of worker 0 has used.
func mustCPUTime(tb testing.TB, e *Engine) (used time.Duration) {
	tb.Helper()
	e.workers[0].Call(func(*session.Table) {
		var u syscall.Rusage
		if err := syscall.Getrusage(syscall.RUSAGE_THREAD, &u); err != nil {
			tb.Errorf("usage of a thread: %v", err)
		}
		used = time.Duration(u.Utime.Nano() + u.Stime.Nano())
	})
	return used
}

// The address was taken while the listener was paused: it is said, the worker does not spin, and it listens
// again once the address is free.
func TestResumeFindsTheAddressTaken(t *testing.T) {
	server := testutil.Serve(t, testutil.Echo)
	port := testutil.FreePort(t)
	addr := testutil.Loopback(port)
	e, out := mustStart(t, fmt.Sprintf(`
global
    nbthread 1
    noreuseport
listen l
    bind %s
    server s1 %s
`, addr, server.Addr))
	if !echoes(addr) {
		t.Fatal("no answer")
	}
	e.Pause()
	var other net.Listener
	testutil.Eventually(t, "another listener has the address", func() (ok bool) {
		var err error
		other, err = net.Listen("tcp", addr)
		return err == nil
	})
	e.Resume()
	out.Wait(t, "ALERT")
	used := mustCPUTime(t, e)
	time.Sleep(500 * time.Millisecond) // not to wait for something: a worker that spins uses most of it
	if used = mustCPUTime(t, e) - used; used > 250*time.Millisecond {
		t.Errorf("the worker used %v of CPU time while it could not listen", used)
	}
	other.Close()
	testutil.Eventually(t, "it listens again", func() bool { return echoes(addr) })
}
