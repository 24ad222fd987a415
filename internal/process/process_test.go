package process

import (
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/sys/unix"
)

func TestDieByIsSeenAsSignal(t *testing.T) {
	for _, sig := range []unix.Signal{unix.SIGTERM, unix.SIGINT} {
		err := role(t, "die "+strconv.Itoa(int(sig))).Run()
		var exit *exec.ExitError
		if !errors.As(err, &exit) {
			t.Fatalf("%v: the process did not fail: %v", sig, err)
		}
		status := exit.Sys().(interface {
			Signaled() bool
			Signal() unix.Signal
		})
		if !status.Signaled() || status.Signal() != sig {
			t.Errorf("died by %v, want %v", exit, sig)
		}
	}
}

func TestWatchLeavesIgnoredSignals(t *testing.T) {
	cmd := exec.Command("/bin/sh", "-c", `trap "" INT; exec "$0"`, os.Args[0])
	cmd.Env = append(os.Environ(), roleVariable+"=ignore")
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Errorf("%v: %s", err, out)
	}
}

func TestWatchDeliversInOrder(t *testing.T) {
	s := Watch()
	defer s.Stop()
	order := []Request{
		{SoftStop, unix.SIGUSR1},
		{Pause, unix.SIGTTOU},
		{Resume, unix.SIGTTIN},
		{Dump, unix.SIGHUP},
		{Collect, unix.SIGQUIT},
		{Terminate, unix.SIGTERM},
		{Terminate, unix.SIGINT},
	}
	for _, want := range order {
		for _, ignored := range []unix.Signal{unix.SIGUSR2, unix.SIGPIPE, want.Signal} {
			if missed := Tell([]int{os.Getpid()}, ignored); missed != nil {
				t.Fatalf("cannot signal %v", missed)
			}
		}
		if diff := cmp.Diff(want, <-s.C); diff != "" {
			t.Error(diff)
		}
	}
}

func TestTellNamesTheMissing(t *testing.T) {
	gone := exec.Command("true")
	if err := gone.Run(); err != nil {
		t.Fatal(err)
	}
	pid := gone.Process.Pid
	if diff := cmp.Diff([]int{pid}, Tell([]int{os.Getpid(), pid}, 0)); diff != "" {
		t.Error(diff)
	}
}

func TestWritePIDFile(t *testing.T) {
	path := filepath.Join(t.TempDir(), "pid")
	for _, test := range []struct {
		pids []int
		want string
	}{
		{[]int{1234567}, "1234567\n"},
		{[]int{1, 22}, "1\n22\n"},
	} {
		if err := CheckPIDFile(path); err != nil {
			t.Fatal(err)
		}
		if err := WritePIDFile(path, test.pids...); err != nil {
			t.Fatal(err)
		}
		got, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(test.want, string(got)); diff != "" {
			t.Error(diff)
		}
	}
	if err := WritePIDFile(filepath.Join(path, "below-a-file"), 1); err == nil {
		t.Error("no error for an impossible path")
	}
	if err := CheckPIDFile(filepath.Join(path, "below-a-file")); err == nil {
		t.Error("an impossible path passes the check")
	}
	if left, err := os.ReadDir(filepath.Dir(path)); err != nil || len(left) != 1 {
		t.Errorf("left behind: %v, %v", left, err)
	}
}

func TestDetach(t *testing.T) {
	t.Run("failure keeps code and messages", func(t *testing.T) {
		cmd := role(t, "detach fail")
		out, err := cmd.Output()
		if code := cmd.ProcessState.ExitCode(); code != 7 {
			t.Errorf("exit code %d (%v), want 7", code, err)
		}
		if diff := cmp.Diff("session leader: true\n", string(out)); diff != "" {
			t.Error(diff)
		}
	})
	t.Run("killed before it was ready", func(t *testing.T) {
		cmd := role(t, "detach killed")
		if err := cmd.Run(); cmd.ProcessState.ExitCode() != 1 {
			t.Errorf("ended with %v, want exit code 1", err)
		}
	})
	t.Run("ready", func(t *testing.T) {
		file := filepath.Join(t.TempDir(), "stdout")
		out, err := role(t, "detach "+file).Output()
		if err != nil {
			t.Fatalf("foreground process: %v", err)
		}
		if diff := cmp.Diff("session leader: true\n", string(out)); diff != "" {
			t.Error(diff)
		}
		var target []byte
		for deadline := time.Now().Add(time.Minute); len(target) == 0; time.Sleep(5 * time.Millisecond) {
			if target, err = os.ReadFile(file); time.Now().After(deadline) {
				t.Fatalf("the background process left nothing: %v", err)
			}
		}
		if diff := cmp.Diff("/dev/null", string(target)); diff != "" {
			t.Error(diff)
		}
	})
}

func TestBackgroundIgnoresForeignVariable(t *testing.T) {
	for _, text := range []string{"", "x", "-1", "2", "99999", "0x3"} {
		t.Setenv(readyVariable, text)
		if b, err := Background(); b != nil || err != nil {
			t.Errorf("%q was believed: %v, %v", text, b, err)
		}
		if _, found := os.LookupEnv(readyVariable); found {
			t.Errorf("%q stays in the environment", text)
		}
	}
}

func TestAssumeReachesEveryThread(t *testing.T) {
	if os.Getuid() != 0 {
		t.Skip("changing the root directory and the user needs root")
	}
	named := t.TempDir()
	if err := os.WriteFile(filepath.Join(named, "one"), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Chmod(named, 0o755); err != nil {
		t.Fatal(err)
	}
	temporary := t.TempDir()
	ids := strings.Repeat("65534 65533 0\n", 4)
	for _, test := range []struct{ root, want string }{
		{named, ids + "1 <nil>\n"},
		{ChrootAuto, ids + "0 open /: permission denied\n"},
	} {
		cmd := role(t, "assume "+test.root)
		cmd.Env = append(cmd.Env, "TMPDIR="+temporary)
		out, err := cmd.CombinedOutput()
		if err != nil {
			t.Errorf("%s: %v", test.root, err)
		}
		if diff := cmp.Diff(test.want, string(out)); diff != "" {
			t.Errorf("%s: %s", test.root, diff)
		}
	}
	left, err := os.ReadDir(temporary)
	if err != nil || len(left) != 0 {
		t.Errorf("left behind: %v, %v", left, err)
	}
}

func TestAssumeFails(t *testing.T) {
	_, err := Identity{Chroot: filepath.Join(t.TempDir(), "missing"), UID: Unchanged, GID: Unchanged}.Assume()
	if !errors.Is(err, unix.ENOENT) {
		t.Errorf("error %v, want %v", err, unix.ENOENT)
	}
}

func TestFDBudget(t *testing.T) {
	for _, test := range []struct {
		name             string
		budget           FDBudget
		maxConn, maxSock int
	}{
		{"no pipes", FDBudget{Limit: 20000, Threads: 2, Fixed: 10}, 9992, 20000},
		{"pipes unknown", FDBudget{Limit: 20000, Threads: 2, Fixed: 10, Pipes: PipesUnknown}, 7993, 15986 + 3996 + 16},
		{"pipes given", FDBudget{Limit: 20000, Threads: 2, Fixed: 10, Pipes: 500}, 9492, 20000},
		{"too many pipes", FDBudget{Limit: 1016, Threads: 2, Fixed: 10, Pipes: 500}, 500, 2016},
		{"hard limit", FDBudget{Limit: 20000, HardLimit: 1016, Threads: 2, Fixed: 10}, 500, 1016},
		{"default hard limit", FDBudget{Limit: 1 << 30, Threads: 1}, 524286, 1<<20 - 1},
		{"never below the least", FDBudget{Limit: 64, Threads: 2, Fixed: 10}, MinMaxConn, 216},
		{"never below the least with pipes", FDBudget{Limit: 64, Threads: 2, Fixed: 10, Pipes: PipesUnknown}, MinMaxConn, 266},
	} {
		if got := test.budget.MaxConn(); got != test.maxConn {
			t.Errorf("%s: maxconn %d, want %d", test.name, got, test.maxConn)
		}
		if got := test.budget.MaxSock(test.maxConn); got != test.maxSock {
			t.Errorf("%s: maxsock %d, want %d", test.name, got, test.maxSock)
		}
	}
}

func TestConnForMemory(t *testing.T) {
	for _, test := range []struct{ megabytes, bufSize, want int }{
		{256, 16384, 6355},
		{1, 16384, 24},
		{0, 16384, 1},
		{1 << 30, 16384, int(int64(1<<50) / 100 * 80 / (32768 + 1024))},
	} {
		got := ConnForMemory(test.megabytes, test.bufSize)
		if diff := got - test.want; diff < -1 || diff > test.want/1000000+1 {
			t.Errorf("ConnForMemory(%d, %d) = %d, want %d", test.megabytes, test.bufSize, got, test.want)
		}
	}
}

func TestOpenFileLimit(t *testing.T) {
	before, err := OpenFileLimit()
	if err != nil || before < 3 {
		t.Fatalf("limit %d, %v", before, err)
	}
	if got, err := RaiseOpenFileLimit(16); err != nil || got < 16 {
		t.Errorf("a limit that is high enough became %d, %v", got, err)
	}
	// The kernel's own bound stands above every privilege.
	if got, err := RaiseOpenFileLimit(1 << 40); err == nil || got < 3 {
		t.Errorf("an impossible limit gave %d, %v", got, err)
	}
	after, err := OpenFileLimit()
	if err != nil || after != before {
		t.Errorf("limit %d became %d, %v", before, after, err)
	}
}
