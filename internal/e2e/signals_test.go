package e2e

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/penstock/penstock/internal/testutil"
)

func TestSoftStop(t *testing.T) {
	t.Parallel()
	server := testutil.Listen(t)
	port := testutil.FreePort(t)
	p := start(t, `
global
    nbthread 2
listen l
    bind 127.0.0.1:{port}
    server s1 {s1}
`, "port", port, "s1", server.Addr)
	client := dial(t, port)
	remote := server.Accept()
	client.Send("before")
	remote.Expect("before")
	p.Signal(t, syscall.SIGUSR1)
	p.log.WaitLine(t, `^<132>.*: Proxy l stopped \(cumulated conns: FE: 1, BE: 1\)\.\n`)
	testutil.Eventually(t, "new connections are refused", func() bool { return refused(port) })
	client.Send("after")
	remote.Expect("after")
	remote.Send("answer")
	client.Expect("answer")
	if p.Exited() {
		t.Fatal("the program ended before its last session")
	}
	client.Close()
	remote.ExpectEOF()
	remote.Close()
	p.logged(client, `l l/s1 \d+/\d+/\d+ 6 -- .*`)
	p.WaitCode(t, 0)
}

func TestSoftStopWhenIdle(t *testing.T) {
	t.Parallel()
	port := testutil.FreePort(t)
	p := start(t, `
listen l
    bind 127.0.0.1:{port}
    server s1 127.0.0.1:{dead}
`, "port", port, "dead", testutil.FreePort(t))
	p.Signal(t, syscall.SIGUSR1)
	p.WaitCode(t, 0)
	p.log.WaitLine(t, `Proxy l stopped \(cumulated conns: FE: 0, BE: 0\)\.`)
}

func TestHardStop(t *testing.T) {
	t.Parallel()
	for _, sig := range []syscall.Signal{syscall.SIGTERM, syscall.SIGINT} {
		t.Run(sig.String(), func(t *testing.T) {
			t.Parallel()
			server := testutil.Listen(t)
			port := testutil.FreePort(t)
			p := start(t, `
listen l
    bind 127.0.0.1:{port}
    server s1 {s1}
`, "port", port, "s1", server.Addr)
			client := dial(t, port)
			remote := server.Accept()
			p.Signal(t, sig)
			status := p.Wait(t).Sys().(syscall.WaitStatus)
			if !status.Signaled() || status.Signal() != sig {
				t.Errorf("the program left with %v, want death by %v", status, sig)
			}
			client.ExpectClosed()
			remote.ExpectClosed()
			if lines := p.log.Lines(); len(lines) > 0 {
				t.Errorf("logged at a hard stop: %q", lines)
			}
		})
	}
}

func TestHardStopAfter(t *testing.T) {
	t.Parallel()
	server := testutil.Listen(t)
	port := testutil.FreePort(t)
	p := start(t, `
global
    hard-stop-after 300ms
listen fe
    bind 127.0.0.1:{port}
    server s1 {s1}
`, "port", port, "s1", server.Addr)
	client := dial(t, port)
	remote := server.Accept()
	remote.Send("x")
	client.Expect("x")
	begun := time.Now()
	p.Signal(t, syscall.SIGUSR1)
	client.ExpectClosed()
	p.WaitCode(t, 0)
	if took := time.Since(begun); took < 300*time.Millisecond {
		t.Errorf("stopped hard after %v", took)
	}
	p.log.WaitLine(t, `soft-stop running for too long, performing a hard-stop\.`)
	p.log.WaitLine(t, `Proxy fe hard-stopped \(1 remaining conns will be closed\)\.`)
}

func TestPauseAndResume(t *testing.T) {
	t.Parallel()
	server := testutil.Serve(t, testutil.Echo)
	port := testutil.FreePort(t)
	p := start(t, `
global
    nbthread 2
listen l
    bind 127.0.0.1:{port}
    server s1 {s1}
`, "port", port, "s1", server.Addr)
	client := dial(t, port)
	client.Send("x")
	client.Expect("x")
	for range 2 {
		p.Signal(t, syscall.SIGTTOU)
		p.log.WaitLine(t, `^<132>.*: Paused proxy l\.\n`)
		testutil.Eventually(t, "new connections are refused", func() bool { return refused(port) })
		client.Send("y")
		client.Expect("y")
		p.Signal(t, syscall.SIGTTIN)
		p.log.WaitLine(t, `^<132>.*: Resumed proxy l\.\n`)
		testutil.Eventually(t, "new connections are served", func() bool {
			answer, err := askThenFIN(port, "request")
			return err == nil && answer == "request"
		})
	}
}

// Signals that tell a program nothing here leave it alone.
func TestSignalsWithoutEffect(t *testing.T) {
	t.Parallel()
	server := testutil.Serve(t, testutil.Echo)
	port := testutil.FreePort(t)
	p := start(t, `
listen l
    bind 127.0.0.1:{port}
    server s1 {s1}
`, "port", port, "s1", server.Addr)
	for _, sig := range []syscall.Signal{syscall.SIGPIPE, syscall.SIGHUP, syscall.SIGUSR2, syscall.SIGQUIT} {
		p.Signal(t, sig)
		p.logged(oneSession(t, port), `l l/s1 .* 7 -- .*`)
	}
	if p.Exited() {
		t.Fatal("the program ended")
	}
}

// endDaemon ends a daemon that pidfile names when the test ends, and waits until it is gone.
func endDaemon(t *testing.T, pid int) {
	t.Helper()
	t.Cleanup(func() {
		if process, err := os.FindProcess(pid); err == nil {
			process.Signal(syscall.SIGKILL)
			process.Release()
		}
		testutil.Eventually(t, "the daemon is gone", func() bool { return gone(pid) })
	})
}

// gone tells whether a process has ended; one that nobody has waited for yet counts as ended.
func gone(pid int) bool {
	stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return true
	}
	_, fields, _ := strings.Cut(string(stat), ") ")
	return strings.HasPrefix(fields, "Z")
}

func TestDaemon(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		name   string
		global string
		args   []string
	}{
		{"by the file", "daemon\n    pidfile {dir}/pid", nil},
		{"by the command line", "", []string{"-D", "-p", "pid"}},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			server := testutil.Serve(t, testutil.Echo)
			port := testutil.FreePort(t)
			p := prepare(t, text(`
global
    {global}
listen l
    bind 127.0.0.1:{port}
    server s1 {s1}
`, "global", test.global), "port", port, "s1", server.Addr)
			cmd := exec.Command(program.path, append([]string{"-f", p.cfg}, test.args...)...)
			cmd.Dir = p.dir
			testutil.Run(t, 0, cmd) // it leaves only when the daemon is at work
			pidfile, err := os.ReadFile(filepath.Join(p.dir, "pid"))
			if err != nil {
				t.Fatal(err)
			}
			pid, err := strconv.Atoi(strings.TrimSuffix(string(pidfile), "\n"))
			if err != nil {
				t.Fatalf("pidfile holds %q", pidfile)
			}
			endDaemon(t, pid)
			oneSession(t, port)
			for fd, want := range map[string]string{"0": "/dev/null", "1": "/dev/null", "2": "/dev/null"} {
				if got := testutil.FDs(t, pid)[fd]; got != want {
					t.Errorf("descriptor %s of the daemon is %s", fd, got)
				}
			}
			if err := syscall.Kill(pid, syscall.SIGUSR1); err != nil {
				t.Fatal(err)
			}
			testutil.Eventually(t, "the daemon stops", func() bool { return gone(pid) })
		})
	}
}

func TestUserAndGroup(t *testing.T) {
	t.Parallel()
	testutil.NeedRoot(t)
	for _, global := range []string{"user nobody\n    group nogroup", "uid 65534\n    gid 65534"} {
		t.Run(strings.Fields(global)[0], func(t *testing.T) {
			t.Parallel()
			server := testutil.Serve(t, testutil.Echo)
			port := testutil.FreePort(t)
			p := start(t, text(`
global
    nbthread 2
    {global}
listen l
    bind 127.0.0.1:{port}
    server s1 {s1}
`, "global", global), "port", port, "s1", server.Addr)
			for _, field := range []string{"Uid", "Gid"} {
				for i, ids := range testutil.TaskStatus(t, p.Pid, field) {
					if want := []string{"65534", "65534", "65534", "65534"}; !slices.Equal(strings.Fields(ids), want) {
						t.Errorf("thread %d has %s %s", i, field, ids)
					}
				}
			}
			oneSession(t, port)
		})
	}
}

func TestChroot(t *testing.T) {
	t.Parallel()
	testutil.NeedRoot(t)
	server := testutil.Serve(t, testutil.Echo)
	port := testutil.FreePort(t)
	jail := testutil.TempDir(t)
	p := start(t, `
global
    chroot {jail}
    user nobody
    pidfile {dir}/pid
listen l
    bind 127.0.0.1:{port}
    server s1 {s1}
`, "port", port, "s1", server.Addr, "jail", jail)
	root, err := os.Readlink(fmt.Sprintf("/proc/%d/root", p.Pid))
	if err != nil || root != jail {
		t.Errorf("the root directory is %q (%v), want %s", root, err, jail)
	}
	p.logged(oneSession(t, port), `l l/s1 .*`)
}
