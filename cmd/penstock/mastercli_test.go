package main

import (
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/penstock/penstock/internal/testutil"
)

func TestMasterCLI(t *testing.T) {
	m := startMaster(t, newSetup(t, ""))
	worker := strconv.Itoa(m.settle(0, 0).workers[0])
	version := strings.TrimSpace(m.command("show version"))
	for _, test := range []struct{ send, want string }{
		{"@1 show info", `(?s)^Name: HAProxy\n.*\nPid: ` + worker + `\n.*\n\n$`},
		{"@!" + worker + " show info", `\nPid: ` + worker + `\n`},
		{"@1; show cli level; @master show cli level; show version", "^admin\n\nadmin\n\n" + version + "\n\n$"},
		{"@9 show info", `^Can't find the target PID matching the prefix '@9'\n\n$`},
		{"@!1 show info;show version", `^Can't find the target PID matching the prefix '@!1'\n\n` + version + `\n\n$`},
		{"@! x", `^Can't find the target PID matching the prefix '@!'\n\n$`},
		{"operator; @1 show cli level", "^operator\n\n$"},
		{"user; reload; show cli level", "^Permission denied\n\nuser\n\n$"},
		{"user; @1 show env", "^Permission denied\n\n$"},
		{"prompt\n@1\nshow cli level\n@\nquit", "^master> " + worker + "> admin\n\n" + worker + "> master> $"},
		{"prompt\nshow version\n@1 show version\n@@1 show version\n", "^master> " + version + "\n\nmaster> " + version + "\n\nmaster> " + version + "\n\nmaster> $"},
		{"@@1\nshow cli level\nshow cli level\nquit", "^\nadmin\n\nadmin\n\n$"},
		{"@1 show env HAPROXY_MWORKER;@1 show env HAPROXY_MASTER_CLI", "^HAPROXY_MWORKER=1\n\nHAPROXY_MASTER_CLI=unix@" + m.cli + "\n\n$"},
		{"@1 show env PENSTOCK_WORKER;show env PENSTOCK_MASTER", "^Variable not found\n\nVariable not found\n\n$"},
		{"show startup-logs", `^\[NOTICE\] .* Initializing new worker \(` + worker + `\)\n\[NOTICE\] .* Loading success\.\n\n$`},
		{"show cli sockets", `^# socket lvl processes\nunix@` + m.cli + ` admin all\n\n$`},
		{"show proc debug", `(?s)<version>  *<ipc_fd> *\n.*\n# old workers\n\n$`},
		{"help", `(?s)^The following commands are valid at this level:\n  @!<pid> .*  hard-reload  *: .*  show proc \[debug\] .*  quit  *: `},
		{"shwo proc", `^Unknown command: 'shwo', but maybe one of the following ones is a better match:\n(?s).*  show proc`},
		{"@master @!<pid>", `^Unknown command: '@!<pid>'`},
		{"", "^\n$"},
	} {
		mustMatch(t, test.send, m.command(test.send), test.want)
	}
	// One command is one command here, too, although a master would take more.
	if code, stdout, stderr := call(t, "ctl", "-s", m.cli, "@1", "show", "cli", "level"); code != exitOK || stdout != "admin\n" {
		t.Errorf("ctl: code %d, %q, %q", code, stdout, stderr)
	}
	if code, _, stderr := call(t, "top", "-s", m.cli, "--once"); code != exitFailure || !strings.Contains(stderr, "not its master's") {
		t.Errorf("top: code %d, %q", code, stderr)
	}
}

// Every form of -S stays open over a reload, and the sessions of the old program are closed.
func TestMasterCLISockets(t *testing.T) {
	listener, err := net.Listen("tcp4", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	file, err := listener.(*net.TCPListener).File()
	if err != nil {
		t.Fatal(err)
	}
	inherited := listener.Addr().String()
	listener.Close()
	defer file.Close()
	s := newSetup(t, "")
	m := &mastered{setup: s, tb: t, cli: filepath.Join(s.dir, "master")}
	abstract := fmt.Sprintf("penstock-master-%d", os.Getpid())
	tcp := testutil.Loopback(testutil.FreePort(t))
	cmd := program("-W", "-S", m.cli+",mode,600,level,operator", "-S", "abns@"+abstract, "-S", tcp+",level,user", "-S", "fd@3", "-p", s.pid, "-f", s.cfg)
	cmd.ExtraFiles = []*os.File{file}
	m.Process = testutil.Start(t, cmd)
	for reload := range 3 {
		m.settle(reload, 0)
		info, err := os.Stat(m.cli)
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(os.ModeSocket|0o600, info.Mode()); diff != "" {
			t.Error(diff)
		}
		padded := "@" + abstract + strings.Repeat("\x00", 107-len(abstract))
		var last *testutil.Conn
		for _, place := range []struct{ network, addr, level string }{
			{"unix", m.cli, "operator"}, {"unix", padded, "admin"}, {"tcp", tcp, "user"}, {"tcp", inherited, "admin"},
		} {
			last = testutil.Dial(t, place.network, place.addr)
			last.Send("show cli level\n")
			last.Expect(place.level + "\n\n")
		}
		m.Signal(t, syscall.SIGUSR2)
		last.ExpectClosed()
	}
}

func TestMasterInBackground(t *testing.T) {
	for _, test := range []struct {
		global string
		args   []string
	}{
		{"", []string{"-W", "-D"}},
		{"", []string{"-WD"}},
		{"    master-worker\n", []string{"-D"}},
		{"    daemon\n    master-worker\n", nil},
	} {
		s := newSetup(t, test.global)
		m := &mastered{setup: s, tb: t, cli: filepath.Join(s.dir, "master")}
		_, stderr := testutil.Run(t, 0, program(append(test.args, "-S", m.cli, "-f", s.cfg)...))
		mustMatch(t, "stderr", stderr, `(?s)Initializing new worker .*Loading success\.`)
		pid := m.mustPIDFile(t)
		endAtCleanup(t, pid)
		p, err := parseProc(m.command("show proc"))
		if err != nil || p.master != pid || len(p.workers) != 1 || m.serving() != p.workers[0] {
			t.Fatalf("pid file %d, %d serves, %+v, %v", pid, m.serving(), p, err)
		}
		for _, process := range []int{pid, p.workers[0]} {
			for fd := range 3 {
				if got := testutil.FDs(t, process)[strconv.Itoa(fd)]; got != "/dev/null" {
					t.Errorf("descriptor %d of process %d is %s", fd, process, got)
				}
			}
		}
		mustMatch(t, "the answer", m.command("reload"), `^Success=1\n`)
		if again := m.mustPIDFile(t); again != pid {
			t.Errorf("the pid file says %d, before it said %d", again, pid)
		}
		mustKill(t, pid, syscall.SIGUSR1)
		testutil.Eventually(t, "the master ends", func() bool { return gone(pid) })
	}
}

// A master takes over from processes that have none, and only once.
func TestMasterTakesOver(t *testing.T) {
	s := newSetup(t, "")
	old := s.start(t)
	m := startMaster(t, s, "-sf", strconv.Itoa(old.Pid))
	old.WaitCode(t, 0)
	m.Signal(t, syscall.SIGUSR2)
	m.settle(1, 0)
	if strings.Contains(m.Stderr.String(), "was not there to be signalled") {
		t.Errorf("the first process was signalled again: %s", m.Stderr)
	}
}

func TestMasterTellsServiceManager(t *testing.T) {
	s := newSetup(t, "")
	name := filepath.Join(s.dir, "notify")
	manager, err := net.ListenUnixgram("unixgram", &net.UnixAddr{Net: "unixgram", Name: name})
	if err != nil {
		t.Fatal(err)
	}
	defer manager.Close()
	if err = manager.SetReadDeadline(time.Now().Add(testutil.Deadline)); err != nil {
		t.Fatal(err)
	}
	cmd := program("-Ws", "-p", s.pid, "-f", s.cfg)
	cmd.Env = append(cmd.Env, "NOTIFY_SOCKET="+name)
	p := testutil.Start(t, cmd)
	expect := func(pattern string) {
		t.Helper()
		var buf [500]byte
		n, err := manager.Read(buf[:])
		if err != nil {
			t.Fatal(err)
		}
		mustMatch(t, "the message", string(buf[:n]), pattern)
	}
	ready := fmt.Sprintf("^READY=1\nMAINPID=%d\nSTATUS=Ready\\.\n$", p.Pid)
	reloading := "^RELOADING=1\nMONOTONIC_USEC=[1-9][0-9]+\nSTATUS=Reloading Configuration\\.\n$"
	expect(ready)
	if s.serving() == 0 {
		t.Error("ready, and nothing serves")
	}
	p.Signal(t, syscall.SIGUSR2)
	expect(reloading)
	expect(ready)
	s.change(t, "listen l", "lisent l")
	p.Signal(t, syscall.SIGUSR2)
	expect(reloading)
	expect("^READY=1\nSTATUS=Reload failed!\n$")
	p.Signal(t, syscall.SIGTERM)
	expect("^STOPPING=1\n$")
	p.WaitCode(t, 0)
}

// The command line names what the first worker takes over from. The next ones take over from the worker before.
func TestWorkerArgs(t *testing.T) {
	env := &environment{args: strings.Fields("-W -S /run/m -D -p /run/p -x /run/s -f a.cfg -sf 12 -n 5")}
	for _, test := range []struct {
		first             bool
		finish, terminate []int
		want              string
	}{
		{true, nil, nil, "run --sockets=/run/s --file=a.cfg --finish=12 --maxconn=5"},
		{false, []int{30}, nil, "run --file=a.cfg --maxconn=5 --finish=30"},
		{false, nil, []int{30, 29}, "run --file=a.cfg --maxconn=5 --terminate=30 --terminate=29"},
	} {
		if diff := cmp.Diff(strings.Fields(test.want), env.workerArgs(test.first, test.finish, test.terminate)[1:]); diff != "" {
			t.Errorf("first %v: %s", test.first, diff)
		}
	}
}

// What the unit file runs is a command line of this program.
func TestServiceFile(t *testing.T) {
	text, err := os.ReadFile("../../examples/penstock.service")
	if err != nil {
		t.Fatal(err)
	}
	found := 0
	for line := range strings.Lines(string(text)) {
		_, command, isExec := strings.Cut(strings.TrimSpace(line), "=/usr/sbin/penstock ")
		if !isExec || strings.HasPrefix(line, "#") {
			continue
		}
		found++
		if words, err := normalise(strings.Fields(strings.ReplaceAll(command, "$OPTIONS", "-S /run/m"))); err != nil || parse(words) != nil {
			t.Errorf("%s: %v, %v", line, err, words)
		}
	}
	if found != 2 {
		t.Errorf("%d commands", found)
	}
}

func TestMasterQuiet(t *testing.T) {
	s := newSetup(t, "")
	m := &mastered{setup: s, tb: t, cli: filepath.Join(s.dir, "master")}
	m.Process = testutil.Start(t, program("-W", "-q", "-S", m.cli, "-f", s.cfg))
	testutil.Eventually(t, "the command line answers", func() bool { return m.command("show version") != "" })
	m.Signal(t, syscall.SIGUSR2)
	m.command("reload")
	m.Signal(t, syscall.SIGUSR1)
	m.WaitCode(t, 0)
	if got := m.Stderr.String(); got != "" {
		t.Errorf("said %q", got)
	}
}

// The worker gives up what it does not need, and the master keeps what the next worker needs.
func TestMasterKeepsPrivileges(t *testing.T) {
	testutil.NeedRoot(t)
	m := startMaster(t, newSetup(t, "    uid 65534\n    gid 65534\n    chroot auto\n"))
	for reload := range 2 {
		p := m.settle(reload, 0)
		for pid, want := range map[int]string{m.Pid: "0", p.workers[0]: "65534"} {
			for _, ids := range testutil.TaskStatus(t, pid, "Uid") {
				if strings.Fields(ids)[0] != want {
					t.Errorf("process %d has the ids %s, want %s", pid, ids, want)
				}
			}
		}
		mustMatch(t, "the answer", m.command("@1 show info"), fmt.Sprintf(`\nPid: %d\n`, p.workers[0]))
		m.Signal(t, syscall.SIGUSR2)
	}
	m.settle(2, 0)
}

// The master's directory is that of its start, whatever -C says to the worker.
func TestMasterDirectory(t *testing.T) {
	s := newSetup(t, "")
	cmd := program("-W", "-C", filepath.Base(s.dir), "-p", "pid", "-f", "haproxy.cfg", "-S", filepath.Join(s.dir, "master"))
	cmd.Dir = filepath.Dir(s.dir)
	m := &mastered{setup: s, tb: t, cli: filepath.Join(s.dir, "master"), Process: testutil.Start(t, cmd)}
	m.settle(0, 0)
	m.Signal(t, syscall.SIGUSR2)
	m.settle(1, 0)
}
