package process

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/sys/unix"
)

// playWorker says something, serves, and answers each connection with what it may do.
func playWorker(arg string) {
	w, err := Worker()
	if w == nil || err != nil {
		os.Exit(98)
	}
	if again, _ := Worker(); again != nil {
		os.Exit(97)
	}
	fmt.Fprintf(w, "first\x00\nsecond\n")
	if arg == "fail" {
		os.Exit(7)
	}
	if err = w.Ready(); err != nil {
		os.Exit(96)
	}
	if n, err := fmt.Fprintf(w, "too late\n"); n == 0 || err != nil {
		os.Exit(95)
	}
	for {
		conn, allowed, err := w.Accept()
		if err != nil {
			break
		}
		fmt.Fprintf(conn, "allowed %d", allowed)
		conn.Close()
	}
	w.Close()
	os.Exit(5)
}

func mustStart(tb testing.TB, text string, background bool) Child {
	tb.Helper()
	child, err := StartWorker(os.Args[0], os.Args[:1], role(tb, text).Env, tb.TempDir(), background)
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() { child.Startup.Close() })
	return child
}

func TestWorker(t *testing.T) {
	child := mustStart(t, "worker", true)
	text, ready := ReadStartup(child.Startup)
	if diff := cmp.Diff("first?\nsecond\n", string(text)); diff != "" || !ready {
		t.Errorf("ready %v: %s", ready, diff)
	}
	if target, err := os.Readlink(fmt.Sprintf("/proc/%d/fd/2", child.Pid)); err != nil || target != os.DevNull {
		t.Errorf("its standard error is %s, %v", target, err)
	}
	for _, allowed := range []byte{0, 1, 255} {
		conn, err := child.Link.Connect(allowed)
		if err != nil {
			t.Fatal(err)
		}
		if err = conn.SetDeadline(time.Now().Add(time.Minute)); err != nil {
			t.Fatal(err)
		}
		answer, err := io.ReadAll(conn)
		if diff := cmp.Diff(fmt.Sprintf("allowed %d", allowed), string(answer)); diff != "" || err != nil {
			t.Errorf("%v: %s", err, diff)
		}
		conn.Close()
	}
	child.Link.Close()
	if err := Gone(child.Pid); err != nil {
		t.Fatal(err)
	}
	if err := Gone(child.Pid); err != nil {
		t.Errorf("it is not there any more: %v", err)
	}
	if status, err := Reap(child.Pid); status != 5 || err != nil {
		t.Errorf("status %d, %v, want 5", status, err)
	}
	if err := Gone(child.Pid); !errors.Is(err, unix.ECHILD) {
		t.Errorf("after it was reaped: %v", err)
	}
}

func TestWorkerThatFails(t *testing.T) {
	child := mustStart(t, "worker fail", false)
	text, ready := ReadStartup(child.Startup)
	if diff := cmp.Diff("first?\nsecond\n", string(text)); diff != "" || ready {
		t.Errorf("ready %v: %s", ready, diff)
	}
	if status, err := Reap(child.Pid); status != 7 || err != nil {
		t.Errorf("status %d, %v, want 7", status, err)
	}
	if conn, err := child.Link.Connect(0); err == nil {
		conn.Close()
		t.Error("connected to a worker that is gone")
	}
	child.Link.Close()
}

func TestWorkerThatIsKilled(t *testing.T) {
	child := mustStart(t, "worker", false)
	defer child.Link.Close()
	if _, ready := ReadStartup(child.Startup); !ready {
		t.Fatal("it did not start")
	}
	Tell([]int{child.Pid}, unix.SIGKILL)
	if status, err := Reap(child.Pid); status != 137 || err != nil {
		t.Errorf("status %d, %v, want 137", status, err)
	}
}

func TestStartWorkerFails(t *testing.T) {
	if _, err := StartWorker("/nonexistent/program", []string{"x"}, nil, "", false); !errors.Is(err, unix.ENOENT) {
		t.Errorf("error %v, want %v", err, unix.ENOENT)
	}
}

func TestWorkerIgnoresForeignVariable(t *testing.T) {
	for _, text := range []string{"", "x", "3", "x 4", "4 x", "1 2", "99999 99998", "0 0 background"} {
		t.Setenv(workerVariable, text)
		if w, err := Worker(); w != nil || err != nil {
			t.Errorf("%q was believed: %v, %v", text, w, err)
		}
		if _, found := os.LookupEnv(workerVariable); found {
			t.Errorf("%q stays in the environment", text)
		}
	}
}

func TestReadStartupIsBounded(t *testing.T) {
	long := bytes.Repeat([]byte("x"), maxStartup+5000)
	text, ready := ReadStartup(io.MultiReader(bytes.NewReader(long), strings.NewReader("\x00")))
	if len(text) != maxStartup || !ready {
		t.Errorf("%d bytes, ready %v", len(text), ready)
	}
}

// playReplace is three programs, one after the other, in one process. Each says what it finds.
func playReplace(arg string) {
	report := func(format string, args ...any) { fmt.Printf(arg+": "+format+"\n", args...) }
	pass := func(next string, keep ...int) {
		os.Setenv(roleVariable, "replace "+next)
		report("%v", Replace(os.Args[0], os.Args[:1], os.Environ(), keep))
		os.Exit(99)
	}
	switch arg {
	case "first":
		kept, err := unix.Open("/dev/null", unix.O_RDONLY|unix.O_CLOEXEC, 0)
		if err != nil {
			os.Exit(98)
		}
		dropped, err := unix.Dup(kept)
		if err != nil {
			os.Exit(97)
		}
		unix.CloseOnExec(dropped)
		os.Setenv("PROCESS_TEST_PID", fmt.Sprint(os.Getpid(), " ", kept, " ", dropped))
		if err := Replace("/nonexistent/program", nil, nil, []int{kept}); !errors.Is(err, unix.ENOENT) {
			os.Exit(96)
		}
		pass("second", kept)
	case "second":
		var pid, kept, dropped int
		if _, err := fmt.Sscan(os.Getenv("PROCESS_TEST_PID"), &pid, &kept, &dropped); err != nil {
			os.Exit(95)
		}
		_, keptErr := unix.FcntlInt(uintptr(kept), unix.F_GETFD, 0)
		_, droppedErr := unix.FcntlInt(uintptr(dropped), unix.F_GETFD, 0)
		report("same process: %v, kept: %v, dropped: %v", pid == os.Getpid(), keptErr, droppedErr)
		s := WatchMaster()
		for _, sig := range []unix.Signal{unix.SIGTTIN, unix.SIGUSR1, unix.SIGTTOU} {
			unix.Kill(pid, sig)
		}
		got := map[Event]bool{(<-s.C).Event: true}
		for _, request := range s.Defer() {
			got[request.Event] = true
		}
		s = s.Again()
		for len(got) < 3 { // what Defer was too early for
			got[(<-s.C).Event] = true
		}
		report("got: %v", got[Pause] && got[Resume] && got[SoftStop])
		unix.Kill(pid, unix.SIGHUP)
		report("hangup: %v", (<-s.C).Event == Reload)
		s.Defer()
		for _, sig := range []unix.Signal{unix.SIGHUP, unix.SIGUSR2, unix.SIGQUIT} {
			unix.Kill(pid, sig)
		}
		pass("third")
	case "third":
		s := WatchMaster()
		report("after the change: %v", (<-s.C).Signal)
		unix.Kill(os.Getpid(), unix.SIGUSR1)
		report("later: %v", (<-s.C).Signal)
		child := exec.Command("/bin/sh", "-c", "grep SigBlk /proc/self/status; kill -USR1 $$")
		child.Stdout = os.Stdout
		err := unmasked(child.Start)
		if err == nil {
			err = child.Wait()
		}
		var exit *exec.ExitError
		report("child: %v", errors.As(err, &exit) && exit.Sys().(syscall.WaitStatus).Signal() == unix.SIGUSR1)
	}
	os.Exit(0)
}

func TestReplace(t *testing.T) {
	cmd := role(t, "replace first")
	out, err := cmd.Output()
	if err != nil {
		t.Errorf("%v: %s", err, out)
	}
	want := "second: same process: true, kept: <nil>, dropped: bad file descriptor\n" +
		"second: got: true\nsecond: hangup: true\n" +
		"third: after the change: user defined signal 2\nthird: later: user defined signal 1\n" +
		"SigBlk:\t0000000000000000\nthird: child: true\n"
	if diff := cmp.Diff(want, string(out)); diff != "" {
		t.Error(diff)
	}
}

func TestMonotonicGrows(t *testing.T) {
	if first := Monotonic(); first <= 0 || Monotonic() < first {
		t.Errorf("the clock says %v", first)
	}
}
