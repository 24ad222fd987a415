package engine

import (
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"runtime"
	"syscall"
	"testing"
	"time"

	"github.com/penstock/penstock/internal/config"
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

func echoes(addr string) bool {
	c, err := net.DialTimeout("tcp", addr, testutil.Deadline)
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

// cpuTime is what this process has used.
func cpuTime() time.Duration {
	var u syscall.Rusage
	if syscall.Getrusage(syscall.RUSAGE_SELF, &u) != nil {
		return 0
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
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
	used := cpuTime()
	time.Sleep(500 * time.Millisecond)
	if used = cpuTime() - used; used > 250*time.Millisecond {
		t.Errorf("used %v of CPU time while it could not listen", used)
	}
	other.Close()
	testutil.Eventually(t, "it listens again", func() bool { return echoes(addr) })
}

const childVariable = "PENSTOCK_TEST_STARVE"

// Out of descriptors: the process lives, says so, serves whom it has, and accepts again afterwards.
func TestOutOfDescriptors(t *testing.T) {
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(self)
	cmd.Env = append(os.Environ(), childVariable+"=1")
	p := testutil.Start(t, cmd)
	p.Stdout.Wait(t, `recovered`)
	p.Stderr.Wait(t, `reached process FD limit`)
}

// starve is the process that runs out of descriptors. Its clients are its own; they use descriptors too.
func starve() int {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return 2
	}
	go func() {
		for {
			c, err := listener.Accept()
			if err != nil {
				time.Sleep(time.Millisecond)
				continue
			}
			go func() { defer c.Close(); io.Copy(c, c) }()
		}
	}()
	path := fmt.Sprintf("%s/penstock-starve-%d", os.TempDir(), os.Getpid())
	defer os.Remove(path)
	e, err := build(fmt.Sprintf(`
global
    nbthread 2
    maxconn 1000
listen l
    bind unix@%s
    retries 0
    server s1 %s
`, path, listener.Addr()), os.Stderr)
	if err != nil {
		return 3
	}
	e.Start()
	defer e.Close()
	dial := func() (net.Conn, error) { return net.Dial("unix", path) }
	held, err := dial()
	if err != nil {
		fmt.Println(err)
		return 4
	}
	fmt.Fprint(held, "x")
	if _, err := held.Read(make([]byte, 1)); err != nil {
		return 5
	}
	limit := syscall.Rlimit{Cur: 40, Max: 40}
	if syscall.Setrlimit(syscall.RLIMIT_NOFILE, &limit) != nil {
		return 6
	}
	var conns []net.Conn
	for {
		c, err := dial()
		if err != nil {
			break // no descriptor left for a client either
		}
		conns = append(conns, c)
		time.Sleep(2 * time.Millisecond)
	}
	for e.complaints.Load() == 0 {
		time.Sleep(time.Millisecond)
	}
	fmt.Fprint(held, "y") // who is there is served
	if _, err := held.Read(make([]byte, 1)); err != nil {
		return 7
	}
	for _, c := range conns {
		c.Close()
	}
	for {
		c, err := dial()
		if err == nil {
			fmt.Fprint(c, "z")
			c.SetDeadline(time.Now().Add(time.Second))
			_, err = c.Read(make([]byte, 1))
			c.Close()
		}
		if err == nil {
			fmt.Println("recovered")
			return 0
		}
		time.Sleep(10 * time.Millisecond)
	}
}
