package main

import (
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/penstock/penstock/internal/testutil"
)

// mastered is a running master with a command line.
type mastered struct {
	*setup
	*testutil.Process
	tb  testing.TB
	cli string // path of the master's socket
}

// startMaster starts a master and waits until its worker answers.
func startMaster(tb testing.TB, s *setup, args ...string) *mastered {
	tb.Helper()
	m := &mastered{setup: s, tb: tb, cli: filepath.Join(s.dir, "master")}
	m.Process = testutil.Start(tb, program(append([]string{"-W", "-S", m.cli, "-p", s.pid, "-f", s.cfg}, args...)...))
	m.settle(0, 0)
	return m
}

// command sends a line to the master's command line and returns the answer, "" while nothing listens.
func (m *mastered) command(line string) string {
	m.tb.Helper()
	return testutil.Ask(m.tb, m.cli, line)
}

// proc is what show proc says.
type proc struct {
	master          int
	reloads, failed int
	workers, old    []int
	outlived        map[int]int // reloads of each worker
}

var (
	masterLine = regexp.MustCompile(`^(\d+) +master +(\d+) \[failed: (\d+)\] +\d+d\d\dh\d\dm\d\ds +\S+ *$`)
	workerLine = regexp.MustCompile(`^(\d+) +worker +(\d+) +\d+d\d\dh\d\dm\d\ds +\S+ *$`)
	headLine   = regexp.MustCompile(`^#<PID> +<type> +<reloads> +<uptime> +<version> *$`)
)

// parseProc reads the answer to show proc.
func parseProc(text string) (p proc, err error) {
	p.outlived = map[int]int{}
	lines := strings.Split(text, "\n")
	if len(lines) < 4 || !headLine.MatchString(lines[0]) || !masterLine.MatchString(lines[1]) || strings.TrimSpace(lines[2]) != "# workers" {
		return p, fmt.Errorf("no answer to show proc: %q", text)
	}
	number := func(text string) int {
		n, _ := strconv.Atoi(text)
		return n
	}
	match := masterLine.FindStringSubmatch(lines[1])
	p.master, p.reloads, p.failed = number(match[1]), number(match[2]), number(match[3])
	list := &p.workers
	for _, line := range lines[3:] {
		match = workerLine.FindStringSubmatch(line)
		switch {
		case match != nil:
			*list = append(*list, number(match[1]))
			p.outlived[number(match[1])] = number(match[2])
		case strings.HasPrefix(line, "# old workers"):
			list = &p.old
		case line != "" && !strings.HasPrefix(line, "# programs"):
			return p, fmt.Errorf("line %q", line)
		}
	}
	return p, nil
}

// settle waits until the master has seen this many reloads, of which so many failed last, and the worker answers. It
// reads the master's messages.
func (m *mastered) settle(reloads, failed int) (p proc) {
	m.tb.Helper()
	testutil.Eventually(m.tb, fmt.Sprintf("reload %d is over", reloads), func() bool {
		if m.Exited() {
			m.tb.Fatalf("the master ended: %s%s", m.Stdout, m.Stderr)
		}
		said := m.Stderr.String()
		over := strings.Count(said, "Loading success.") + strings.Count(said, "Failed to load worker") + strings.Count(said, "Failed to reexecute")
		if over != reloads+1 {
			return false
		}
		var err error
		p, err = parseProc(m.command("show proc"))
		return err == nil && p.reloads == reloads && p.failed == failed && len(p.workers) == 1 && m.serving() == p.workers[0]
	})
	if p.master != m.Pid || m.mustPIDFile(m.tb) != m.Pid {
		m.tb.Errorf("the master is %d, show proc says %d, the pid file %d", m.Pid, p.master, m.mustPIDFile(m.tb))
	}
	return p
}

// change writes the configuration anew with a part of it replaced.
func (s *setup) change(tb testing.TB, from, to string) {
	tb.Helper()
	text, err := os.ReadFile(s.cfg)
	if err != nil {
		tb.Fatal(err)
	}
	changed := strings.Replace(string(text), from, to, 1)
	if changed == string(text) {
		tb.Fatalf("no %q in the configuration", from)
	}
	testutil.WriteFile(tb, filepath.Dir(s.cfg), filepath.Base(s.cfg), changed)
}

func TestMasterEnds(t *testing.T) {
	for _, test := range []struct {
		sig    syscall.Signal
		code   int
		worker string
	}{
		{syscall.SIGTERM, 0, `143 \(Terminated\)`},
		{syscall.SIGINT, 130, `130 \(Interrupt\)`},
		{syscall.SIGUSR1, 0, `0 \(Exit\)`},
	} {
		t.Run(test.sig.String(), func(t *testing.T) {
			m := startMaster(t, newSetup(t, ""))
			worker := m.settle(0, 0).workers[0]
			m.Signal(t, test.sig)
			m.WaitCode(t, test.code)
			mustMatch(t, "stderr", m.Stderr.String(), fmt.Sprintf(
				`(?s)^\[NOTICE\]   \(%[1]d\) : Initializing new worker \(%[2]d\)\n\[NOTICE\]   \(%[1]d\) : Loading success\.\n`+
					`.*\[WARNING\]  \(%[1]d\) : Exiting Master process\.\.\.\n.*\(%[1]d\) : Current worker \(%[2]d\) exited with code %[3]s\n`+
					`\[WARNING\]  \(%[1]d\) : All workers exited\. Exiting\.\.\. \(%[4]d\)\n$`,
				m.Pid, worker, test.worker, test.code))
			if !gone(worker) {
				t.Errorf("worker %d is left", worker)
			}
		})
	}
}

func TestMasterReloads(t *testing.T) {
	s := newSetup(t, "")
	s.change(t, "    pidfile", "    master-worker\n    pidfile")
	m := startMaster(t, s)
	former := m.settle(0, 0).workers[0]
	descriptors := len(testutil.FDs(t, m.Pid))
	for i, ask := range []func(){
		func() { m.Signal(t, syscall.SIGUSR2) },
		func() { m.Signal(t, syscall.SIGHUP) },
		func() {
			mustMatch(t, "the answer", m.command("reload"), `(?s)^Success=1\n--\n\[NOTICE\] .* : Initializing new worker \(\d+\)\n.* : Loading success\.\n\n$`)
		},
		func() { mustMatch(t, "the answer", m.command("@master hard-reload"), `^Success=1\n--\n`) },
	} {
		ask()
		p := m.settle(i+1, 0)
		if p.workers[0] == former || p.outlived[p.workers[0]] != 0 {
			t.Errorf("after reload %d: %+v, before the worker was %d", i+1, p, former)
		}
		code := `0 \(Exit\)`
		if i == 3 {
			code = `143 \(Terminated\)`
		}
		m.Stderr.Wait(t, fmt.Sprintf(`\(%d\) : Former worker \(%d\) exited with code %s\n`, m.Pid, former, code))
		former = p.workers[0]
	}
	mustMatch(t, "stderr", m.Stderr.String(), `Reloading HAProxy\n(?s:.*)Reloading HAProxy \(hard-reload\)\n`)
	testutil.Eventually(t, "the master has no more descriptors than at first", func() bool { return len(testutil.FDs(t, m.Pid)) <= descriptors })
	m.Signal(t, syscall.SIGTERM)
	m.WaitCode(t, 0)
}

func TestMasterKeepsTheWorkerWhenReloadFails(t *testing.T) {
	m := startMaster(t, newSetup(t, ""))
	worker := m.settle(0, 0).workers[0]
	m.change(t, "listen l", "lisent l")
	m.Signal(t, syscall.SIGUSR2)
	p := m.settle(1, 1)
	m.Stderr.Wait(t, `\[ALERT\] .*unknown keyword 'lisent'`)
	mustMatch(t, "stderr", m.Stderr.String(), fmt.Sprintf(`\(%d\) : Failed to load worker \(\d+\) exited with code 1 \(Exit\)\n`, m.Pid))
	if p.workers[0] != worker {
		t.Errorf("worker %d serves, want %d", p.workers[0], worker)
	}
	answer := m.command("reload")
	mustMatch(t, "the answer", answer, `(?s)^Success=0\n--\n.*\[ALERT\] .*unknown keyword 'lisent'.*Failed to load worker .*\n\n$`)
	mustMatch(t, "show startup-logs", m.command("show startup-logs"), `(?s)unknown keyword 'lisent'.*Failed to load worker`)
	m.settle(2, 2)
	// What only starting finds keeps the old worker too.
	taken := testutil.HoldPort(t)
	m.change(t, "lisent l", "listen l")
	m.change(t, fmt.Sprintf("bind 127.0.0.1:%d", m.port), fmt.Sprintf("bind 127.0.0.1:%d", taken))
	m.Signal(t, syscall.SIGHUP)
	m.settle(3, 3)
	m.Stderr.Wait(t, `cannot bind socket \(Address already in use\)`)
	m.change(t, fmt.Sprintf("bind 127.0.0.1:%d", taken), fmt.Sprintf("bind 127.0.0.1:%d", m.port))
	m.Signal(t, syscall.SIGUSR2)
	if p = m.settle(4, 0); p.workers[0] == worker {
		t.Errorf("the old worker %d still serves", worker)
	}
}

func TestMasterFirstStartFails(t *testing.T) {
	taken := testutil.HoldPort(t)
	for _, test := range []struct {
		name, from, to, stderr string
		args                   []string
	}{
		{"configuration", "listen l", "lisent l", `unknown keyword 'lisent'`, nil},
		{"bind", "listen l\n", fmt.Sprintf("listen l\n    bind 127.0.0.1:%d\n", taken), `(?s)Address already in use.*Failed to load worker \(\d+\) exited with code 1 \(Exit\)\n$`, nil},
		{"no listener", "    bind", "    disabled\n    bind", ``, []string{"-S", "127.0.0.1"}},
		{"command line", "listen l", "listen l", `'-S /nonexistent/m,levle,x' : .*unknown keyword 'levle'`, []string{"-S", "/nonexistent/m,levle,x"}},
		{"command line's address", "listen l", "listen l", `(?s)cannot bind UNIX socket.*Can't create the master's CLI\.`, []string{"-S", "/nonexistent/m"}},
	} {
		for _, mode := range []string{"-W", "-WD"} {
			s := newSetup(t, "")
			text, err := os.ReadFile(s.cfg)
			if err != nil {
				t.Fatal(err)
			}
			testutil.WriteFile(t, s.dir, "haproxy.cfg", strings.Replace(string(text), test.from, test.to, 1))
			_, stderr := testutil.Run(t, 1, program(append([]string{mode, "-f", s.cfg}, test.args...)...))
			mustMatch(t, test.name, stderr, test.stderr)
			if s.serving() != 0 {
				t.Errorf("%s: something serves", test.name)
			}
		}
	}
}

func TestMasterAfterCrash(t *testing.T) {
	m := startMaster(t, newSetup(t, ""))
	worker := m.settle(0, 0).workers[0]
	mustKill(t, worker, syscall.SIGKILL)
	m.WaitCode(t, 137)
	mustMatch(t, "stderr", m.Stderr.String(), fmt.Sprintf(
		`(?s)\[ALERT\]    \(%[1]d\) : Current worker \(%[2]d\) exited with code 137 \(Killed\)\n.*exit-on-failure: killing every processes with SIGTERM\n`+
			`.*All workers exited\. Exiting\.\.\. \(137\)\n$`, m.Pid, worker))
}

func mustKill(tb testing.TB, pid int, sig syscall.Signal) {
	tb.Helper()
	if err := syscall.Kill(pid, sig); err != nil {
		tb.Fatal(err)
	}
}

// A former worker that is still there is killed with the others, or outlives the current one.
func TestMasterExitOnFailure(t *testing.T) {
	for _, keep := range []string{"", " no-exit-on-failure"} {
		m := startMaster(t, newSetup(t, "    master-worker"+keep+"\n    grace 1h\n"))
		first := m.settle(0, 0).workers[0]
		m.Signal(t, syscall.SIGUSR2)
		p := m.settle(1, 0)
		if diff := cmp.Diff([]int{first}, p.old); diff != "" {
			t.Fatal(diff)
		}
		mustKill(t, p.workers[0], syscall.SIGSEGV)
		m.Stderr.Wait(t, `Current worker \(\d+\) exited with code \d+`)
		if keep != "" {
			testutil.Eventually(t, "the command line shows the rest", func() bool {
				p, err := parseProc(m.command("show proc"))
				return err == nil && len(p.workers) == 0 && slices.Contains(p.old, first)
			})
			mustKill(t, first, syscall.SIGTERM)
		}
		if code := m.Wait(t).ExitCode(); code == 0 {
			t.Error("the master ends with success")
		}
		m.Stderr.Wait(t, fmt.Sprintf(`Former worker \(%d\) exited with code 143 \(Terminated\)`, first))
	}
}

func TestMasterMaxReloads(t *testing.T) {
	m := startMaster(t, newSetup(t, "    mworker-max-reloads 2\n    grace 1h\n"))
	first := m.settle(0, 0).workers[0]
	for i := range 2 {
		m.Signal(t, syscall.SIGUSR2)
		if p := m.settle(i+1, 0); p.outlived[first] != i+1 || len(p.old) != i+1 {
			t.Errorf("after reload %d: %+v", i+1, p)
		}
	}
	if gone(first) {
		t.Error("the first worker was ended too early")
	}
	m.Signal(t, syscall.SIGUSR2)
	m.Stderr.Wait(t, fmt.Sprintf(`Former worker \(%d\) exited with code 143 \(Terminated\)`, first))
	if p := m.settle(3, 0); len(p.old) != 2 {
		t.Errorf("old workers %v", p.old)
	}
}

// A program that took the place of the running one is what runs after the reload, the master included.
func TestMasterRunsTheNewProgram(t *testing.T) {
	s := newSetup(t, "")
	path := filepath.Join(s.dir, "penstock")
	install := func() {
		text, err := os.ReadFile(os.Args[0])
		if err != nil {
			t.Fatal(err)
		}
		if err = os.WriteFile(path+".new", text, 0o755); err != nil {
			t.Fatal(err)
		}
		if err = os.Rename(path+".new", path); err != nil {
			t.Fatal(err)
		}
	}
	install()
	cmd := program("-W", "-S", "master,level,admin", "-p", s.pid, "-f", s.cfg)
	cmd.Path, cmd.Args[0], cmd.Dir = path, "./penstock", s.dir
	cmd.Args[3] = filepath.Join(s.dir, "master") + ",level,admin"
	m := &mastered{setup: s, tb: t, cli: filepath.Join(s.dir, "master"), Process: testutil.Start(t, cmd)}
	m.settle(0, 0)
	install()
	for pid, want := range map[int]string{m.Pid: path + " (deleted)", m.serving(): path + " (deleted)"} {
		if got, err := os.Readlink(fmt.Sprintf("/proc/%d/exe", pid)); err != nil || got != want {
			t.Errorf("before: %d runs %s, %v", pid, got, err)
		}
	}
	m.Signal(t, syscall.SIGUSR2)
	m.settle(1, 0)
	for _, pid := range []int{m.Pid, m.serving()} {
		if got, err := os.Readlink(fmt.Sprintf("/proc/%d/exe", pid)); err != nil || got != path {
			t.Errorf("after: %d runs %s, %v", pid, got, err)
		}
	}
	// Without a program there is no reload, and nothing else happens.
	if err := os.Remove(path); err != nil {
		t.Fatal(err)
	}
	worker := m.serving()
	mustMatch(t, "the answer", m.command("reload"), `^Success=0\n`)
	m.Stderr.Wait(t, `Failed to reexecute the master process \[\d+\]: start \S+/penstock: no such file`)
	if p, err := parseProc(m.command("show proc")); err != nil || p.reloads != 1 || p.failed != 1 || p.workers[0] != worker {
		t.Errorf("%+v, %v, before the worker was %d", p, err, worker)
	}
	m.Signal(t, syscall.SIGHUP)
	testutil.Eventually(t, "it tries again", func() bool { return strings.Count(m.Stderr.String(), "Failed to reexecute") == 2 })
	install()
	mustMatch(t, "the answer", m.command("reload"), `^Success=1\n`)
	if p, err := parseProc(m.command("show proc")); err != nil || p.reloads != 2 || p.failed != 0 || p.workers[0] == worker {
		t.Errorf("%+v, %v, before the worker was %d", p, err, worker)
	}
	if err := os.Remove(path); err != nil {
		t.Fatal(err)
	}
	m.Signal(t, syscall.SIGUSR2)
	m.Stderr.Wait(t, `(?s)(Failed to reexecute.*){3}`)
	m.Signal(t, syscall.SIGTERM)
	m.WaitCode(t, 0)
}

// Whatever comes while the master replaces its program is obeyed behind it.
func TestMasterLosesNoSignal(t *testing.T) {
	for round := range 8 {
		m := startMaster(t, newSetup(t, ""))
		for range 5 * round {
			m.Signal(t, syscall.SIGUSR2)
			m.Signal(t, syscall.SIGHUP)
		}
		if round%2 == 0 {
			m.command("reload")
		}
		m.Signal(t, syscall.SIGUSR1)
		m.WaitCode(t, 0)
	}
}

// A stop ends all processes, also at the moment when the program changes and the signal cannot be caught.
func TestMasterEndsWhileReloading(t *testing.T) {
	for range 8 {
		m := startMaster(t, newSetup(t, ""))
		m.Signal(t, syscall.SIGHUP)
		m.Signal(t, syscall.SIGTERM)
		if status := m.Wait(t).Sys().(syscall.WaitStatus); status.ExitStatus() != 0 && status.Signal() != syscall.SIGTERM {
			t.Errorf("ended with %v", m.Wait(t))
		}
		for _, match := range regexp.MustCompile(`Initializing new worker \((\d+)\)`).FindAllStringSubmatch(m.Stderr.String(), -1) {
			worker, err := strconv.Atoi(match[1])
			if err != nil {
				t.Fatal(err)
			}
			testutil.Eventually(t, "the worker ends", func() bool { return gone(worker) })
		}
	}
}

func TestMasterPassesSignalsOn(t *testing.T) {
	m := startMaster(t, newSetup(t, "    hard-stop-after 50ms\n"))
	m.Signal(t, syscall.SIGTTOU)
	m.Stderr.Wait(t, `Paused`)
	m.Signal(t, syscall.SIGTTIN)
	m.Stderr.Wait(t, `Resumed`)
	server := testutil.Listen(t)
	m.change(t, "server s ", "server s "+server.Addr+" disabled\n    server x ")
	m.change(t, server.Addr+" disabled", server.Addr)
	m.change(t, "listen l\n", "listen l\n    balance first\n")
	m.Signal(t, syscall.SIGUSR2)
	m.settle(1, 0)
	m.Stderr.Wait(t, `Former worker \(\d+\) exited with code 0`) // it may get no connection any more
	client := testutil.Dial(t, "tcp", testutil.Loopback(m.port))
	remote := server.Accept()
	client.Send("x")
	remote.Expect("x")
	m.Signal(t, syscall.SIGUSR1)
	m.Stderr.Wait(t, `soft-stop running for too long, performing a hard-stop\.`)
	m.WaitCode(t, 0)
	client.ExpectClosed()
}

func TestWorkerEndsWithItsMaster(t *testing.T) {
	m := startMaster(t, newSetup(t, ""))
	worker := m.settle(0, 0).workers[0]
	m.Signal(t, syscall.SIGKILL)
	m.Wait(t)
	testutil.Eventually(t, "the worker ends", func() bool { return gone(worker) })
	mustMatch(t, "stderr", m.Stderr.String(), fmt.Sprintf(`\[ALERT\]    \(%d\) : The master is gone`, worker))
}
