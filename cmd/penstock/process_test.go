package main

import (
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/urfave/cli/v2"

	"github.com/penstock/penstock/internal/testutil"
)

// mustSettings reads the settings from a normal form.
func mustSettings(tb testing.TB, words []string) settings {
	tb.Helper()
	var s settings
	app := newApp(&environment{stdout: io.Discard, stderr: io.Discard})
	for _, c := range app.Commands {
		c.Action = func(c *cli.Context) error {
			s = settingsOf(c)
			return nil
		}
	}
	if err := app.Run(append([]string{programName}, words...)); err != nil {
		tb.Fatal(err)
	}
	return s
}

// setup is a configuration with a stats socket, in a folder of its own.
type setup struct {
	dir, cfg, stats, pid string
	port                 int
}

func newSetup(tb testing.TB, global string) *setup {
	tb.Helper()
	dir := testutil.TempDir(tb)
	s := &setup{dir: dir, stats: filepath.Join(dir, "stats"), pid: filepath.Join(dir, "pid"), port: testutil.FreePort(tb)}
	s.cfg = testutil.WriteFile(tb, dir, "haproxy.cfg", fmt.Sprintf(
		"global\n    stats socket %s level admin mode 600\n    pidfile %s\n    nbthread 1\n    maxconn 100\n%s\n%slisten l\n    bind 127.0.0.1:%d\n    server s 127.0.0.1:%d\n",
		s.stats, s.pid, global, timeouts, s.port, testutil.FreePort(tb)))
	return s
}

// start starts the program and waits until it answers.
func (s *setup) start(tb testing.TB, args ...string) *testutil.Process {
	tb.Helper()
	p := testutil.Start(tb, program(append(args, "-f", s.cfg)...))
	testutil.Eventually(tb, "the stats socket answers", func() bool {
		if p.Exited() {
			tb.Fatalf("the program ended: %s%s", p.Stdout, p.Stderr)
		}
		return s.serving() == p.Pid
	})
	return p
}

// ask sends a line to the stats socket.
func (s *setup) ask(line string) (string, error) {
	conn, err := net.Dial("unix", s.stats)
	if err != nil {
		return "", err
	}
	defer conn.Close()
	if _, err = io.WriteString(conn, line+"\n"); err != nil {
		return "", err
	}
	answer, err := io.ReadAll(conn)
	return string(answer), err
}

var pidLine = regexp.MustCompile(`(?m)^Pid: (\d+)$`)

// serving is the process that answers at the stats socket, 0 when none does.
func (s *setup) serving() int {
	answer, err := s.ask("show info")
	if err != nil {
		return 0
	}
	match := pidLine.FindStringSubmatch(answer)
	if match == nil {
		return 0
	}
	pid, _ := strconv.Atoi(match[1])
	return pid
}

func (s *setup) mustPIDFile(tb testing.TB) int {
	tb.Helper()
	text, err := os.ReadFile(s.pid)
	if err != nil {
		tb.Fatal(err)
	}
	pid, err := strconv.Atoi(strings.TrimSuffix(string(text), "\n"))
	if err != nil {
		tb.Fatalf("the pid file holds %q", text)
	}
	return pid
}

// gone tells whether a process has ended; a zombie has.
func gone(pid int) bool {
	stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return true
	}
	_, state, _ := strings.Cut(string(stat), ") ")
	return strings.HasPrefix(state, "Z")
}

func endAtCleanup(tb testing.TB, pid int) {
	tb.Cleanup(func() {
		if !gone(pid) {
			if err := syscall.Kill(pid, syscall.SIGKILL); err != nil {
				tb.Errorf("end process %d: %v", pid, err)
			}
		}
	})
}

func TestEndsBySignal(t *testing.T) {
	for _, sig := range []syscall.Signal{syscall.SIGTERM, syscall.SIGINT} {
		p := newSetup(t, "").start(t)
		p.Signal(t, sig)
		status := p.Wait(t).Sys().(syscall.WaitStatus)
		if !status.Signaled() || status.Signal() != sig {
			t.Errorf("%v: ended with %v", sig, p.Wait(t))
		}
	}
}

func TestSoftStop(t *testing.T) {
	s := newSetup(t, "")
	p := s.start(t)
	for _, harmless := range []syscall.Signal{syscall.SIGUSR2, syscall.SIGPIPE, syscall.SIGQUIT} {
		p.Signal(t, harmless)
	}
	p.Signal(t, syscall.SIGHUP)
	p.Stderr.Wait(t, `\[WARNING\]  \(\d+\) : SIGHUP received, dumping servers states for proxy l\.\n`)
	p.Signal(t, syscall.SIGTTOU)
	p.Stderr.Wait(t, `Paused`)
	p.Signal(t, syscall.SIGTTIN)
	p.Stderr.Wait(t, `Resumed`)
	p.Signal(t, syscall.SIGUSR1)
	p.WaitCode(t, 0)
	if _, err := s.ask("show version"); err == nil {
		t.Error("the stats socket answers after the end")
	}
}

func TestGraceAndHardStop(t *testing.T) {
	log := testutil.ListenSyslog(t)
	s := newSetup(t, fmt.Sprintf("    grace 50ms\n    hard-stop-after 50ms\n    log %s local0\n", log.Addr))
	server := testutil.Listen(t)
	text, err := os.ReadFile(s.cfg)
	if err != nil {
		t.Fatal(err)
	}
	testutil.WriteFile(t, s.dir, "haproxy.cfg", regexp.MustCompile(`server s \S+`).ReplaceAllString(string(text), "server s "+server.Addr))
	p := s.start(t)
	client := testutil.Dial(t, "tcp", testutil.Loopback(s.port))
	remote := server.Accept()
	client.Send("x")
	remote.Expect("x")
	p.Signal(t, syscall.SIGUSR1)
	p.Signal(t, syscall.SIGUSR1)
	p.Stderr.Wait(t, `Scheduling a soft-stop in 50 ms\.`)
	p.Stderr.Wait(t, `soft-stop running for too long, performing a hard-stop\.`)
	p.WaitCode(t, 0)
	client.ExpectClosed()
	log.WaitLine(t, `^<132>.*: Scheduling a soft-stop in 50 ms\.`)
	log.WaitLine(t, `^<132>.*: soft-stop running for too long, performing a hard-stop\.`)
	if n := strings.Count(p.Stderr.String(), "Scheduling"); n != 1 {
		t.Errorf("the second signal scheduled again: %d", n)
	}
}

func TestPIDFileOnlyWhereExpected(t *testing.T) {
	s := newSetup(t, "")
	p := s.start(t)
	if _, err := os.Stat(s.pid); !os.IsNotExist(err) {
		t.Errorf("a pid file in the foreground: %v", err)
	}
	successor := s.start(t, "-sf", strconv.Itoa(p.Pid))
	p.WaitCode(t, 0)
	if _, err := os.Stat(s.pid); !os.IsNotExist(err) {
		t.Errorf("a pid file in the foreground: %v", err)
	}
	last := s.start(t, "-st", strconv.Itoa(successor.Pid))
	if status := successor.Wait(t).Sys().(syscall.WaitStatus); status.Signal() != syscall.SIGTERM {
		t.Errorf("the replaced process ended with %v", successor.Wait(t))
	}
	if got := s.serving(); got != last.Pid {
		t.Errorf("process %d serves, want %d", got, last.Pid)
	}
}

func TestDaemon(t *testing.T) {
	for _, test := range []struct {
		global string
		args   []string
	}{
		{"", []string{"-D"}},
		{"    daemon\n", nil},
	} {
		s := newSetup(t, test.global)
		cmd := program(append(test.args, "-C", filepath.Base(s.dir), "-f", "haproxy.cfg")...)
		cmd.Dir = filepath.Dir(s.dir)
		testutil.Run(t, 0, cmd)
		pid := s.mustPIDFile(t)
		endAtCleanup(t, pid)
		if got := s.serving(); got != pid {
			t.Errorf("process %d serves, the pid file says %d", got, pid)
		}
		for fd := range 3 {
			if got := testutil.FDs(t, pid)[strconv.Itoa(fd)]; got != "/dev/null" {
				t.Errorf("descriptor %d of the daemon is %s", fd, got)
			}
		}
		testutil.Run(t, 0, program(append(test.args, "-sf", strconv.Itoa(pid), "-f", s.cfg)...))
		successor := s.mustPIDFile(t)
		endAtCleanup(t, successor)
		testutil.Eventually(t, "the first daemon ends", func() bool { return gone(pid) })
		if got := s.serving(); got != successor || successor == pid {
			t.Errorf("process %d serves, the pid file says %d, before it said %d", got, successor, pid)
		}
		if err := syscall.Kill(successor, syscall.SIGUSR1); err != nil {
			t.Fatal(err)
		}
		testutil.Eventually(t, "the second daemon ends", func() bool { return gone(successor) })
	}
}

func TestForegroundWinsOverDaemon(t *testing.T) {
	for _, flag := range []string{"-db", "-d"} {
		p := newSetup(t, "    daemon\n").start(t, flag, "-D")
		p.Signal(t, syscall.SIGUSR1)
		p.WaitCode(t, 0)
	}
}

func TestStartFails(t *testing.T) {
	taken, err := net.Listen("tcp4", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer taken.Close()
	for _, test := range []struct {
		name, global, stderr string
		args                 []string
	}{
		{"pid file", "", `\[ALERT\] .*Cannot create pidfile /nonexistent/p`, []string{"-W", "-p", "/nonexistent/p"}},
		{"pid file of a daemon", "", `\[ALERT\] .*Cannot create pidfile /nonexistent/p`, []string{"-D", "-p", "/nonexistent/p"}},
		{"root directory", "    chroot /nonexistent\n", `\[ALERT\] .*Cannot chroot /nonexistent: no such file`, nil},
		{"stats socket", "    stats socket " + taken.Addr().String() + "\n", `(?s)\[ALERT\] .*cannot bind socket \(Address already in use\) for \[127.*Some protocols failed to start`, nil},
		{"descriptors", "    ulimit-n 99\n", `\[ALERT\] .*FD limit \(99\) too low for maxconn=100/maxsock=\d+\.`, nil},
		{"impossible descriptors", "    ulimit-n 2000000000\n", `\[ALERT\] .*Cannot raise FD limit to 2000000000, limit is \d+\.`, nil},
		{"warnings", "", `(?s)\[WARNING\] .*'-S' has no effect without a master.*zero-warning`, []string{"-dW", "-S", "/nonexistent/m"}},
	} {
		s := newSetup(t, test.global)
		_, stderr := testutil.Run(t, 1, program(append(test.args, "-f", s.cfg)...))
		mustMatch(t, test.name, stderr, test.stderr)
		if s.serving() != 0 {
			t.Errorf("%s: something serves", test.name)
		}
	}
}

func TestLenientLimits(t *testing.T) {
	p := newSetup(t, "    ulimit-n 99\n    no strict-limits\n").start(t)
	mustMatch(t, "stderr", p.Stderr.String(), `\[WARNING\] .*FD limit \(99\) too low`)
}

func TestShowInfo(t *testing.T) {
	s := newSetup(t, "    description some words\n    node n1\n")
	p := s.start(t, "-n", "50", "-m", "512")
	answer, err := s.ask("show info")
	if err != nil {
		t.Fatal(err)
	}
	got := map[string]string{}
	for line := range strings.Lines(answer) {
		name, value, _ := strings.Cut(strings.TrimSuffix(line, "\n"), ": ")
		got[name] = value
	}
	for name, want := range map[string]string{
		"Pid":          strconv.Itoa(p.Pid),
		"Nbthread":     "1",
		"Maxconn":      "50",
		"Hard_maxconn": "50",
		"Memmax_MB":    "512",
		"node":         "n1",
		"description":  "some words",
		"Listeners":    "2",
		"Stopping":     "0",
	} {
		if got[name] != want {
			t.Errorf("%s: %s, want %s", name, got[name], want)
		}
	}
	version, err := s.ask("show version")
	if err != nil || version != got["Version"]+"\n\n" {
		t.Errorf("show version gave %q, %v, show info %q", version, err, got["Version"])
	}
}

func TestAutomaticMaxConn(t *testing.T) {
	s := newSetup(t, "    ulimit-n 5000\n")
	text, err := os.ReadFile(s.cfg)
	if err != nil {
		t.Fatal(err)
	}
	testutil.WriteFile(t, s.dir, "haproxy.cfg", strings.Replace(string(text), "    maxconn 100\n", "", 1))
	p := s.start(t, "-V")
	noticed := p.Stderr.Wait(t, `\[NOTICE\]   \(\d+\) : Automatically setting global\.maxconn to (\d+)\.`)[1]
	answer, err := s.ask("show info")
	if err != nil {
		t.Fatal(err)
	}
	mustMatch(t, "show info", answer, `\nUlimit-n: 5000\n(.*\n)*Maxconn: `+noticed+`\n`)
	n, err := strconv.Atoi(noticed)
	if err != nil || n < 2000 || n > 2500 {
		t.Errorf("5000 descriptors make %s connections", noticed)
	}
}

func TestInheritedStatsSocket(t *testing.T) {
	listener, err := net.Listen("tcp4", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	file, err := listener.(*net.TCPListener).File()
	if err != nil {
		t.Fatal(err)
	}
	listener.Close()
	defer file.Close()
	cmd := program("-d", "-f", testutil.WriteFile(t, testutil.TempDir(t), "cfg", "global\n    stats socket \"fd@${cli}\" level admin\n"))
	cmd.ExtraFiles = []*os.File{file}
	cmd.Env = append(cmd.Env, "cli=3")
	p := testutil.Start(t, cmd)
	conn, err := net.Dial("tcp4", file2addr(t, file))
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	if err = conn.SetDeadline(time.Now().Add(testutil.Deadline)); err != nil {
		t.Fatal(err)
	}
	if _, err = io.WriteString(conn, "show cli level;show cli sockets\n"); err != nil {
		t.Fatal(err)
	}
	answer, err := io.ReadAll(conn)
	if diff := cmp.Diff("admin\n\n# socket lvl processes\nfd@3 admin all\n\n", string(answer)); diff != "" || err != nil {
		t.Errorf("%v: %s", err, diff)
	}
	p.Signal(t, syscall.SIGUSR1)
	p.WaitCode(t, 0)
}

func file2addr(tb testing.TB, file *os.File) string {
	tb.Helper()
	listener, err := net.FileListener(file)
	if err != nil {
		tb.Fatal(err)
	}
	defer listener.Close()
	return listener.Addr().String()
}

func TestRunWithoutFile(t *testing.T) {
	server := testutil.Serve(t, testutil.Echo)
	port := testutil.FreePort(t)
	p := testutil.Start(t, program("run", "--listen", testutil.Loopback(port), "--to", server.Addr))
	p.Stdout.Wait(t, `(?s)listen penstock\n    bind \S+\n.*    server s1 \S+\n`)
	var conn net.Conn
	testutil.Eventually(t, "it listens", func() (ok bool) {
		var err error
		conn, err = net.Dial("tcp", testutil.Loopback(port))
		return err == nil
	})
	conn.Close()
	p.Stdout.Wait(t, `penstock penstock/s1 `)
	p.Signal(t, syscall.SIGTERM)
	p.Wait(t)
}

func TestPrivileges(t *testing.T) {
	testutil.NeedRoot(t)
	s := newSetup(t, "    uid 65534\n    gid 65534\n    chroot auto\n")
	p := s.start(t)
	for _, field := range []string{"Uid", "Gid"} {
		for thread, ids := range testutil.TaskStatus(t, p.Pid, field) {
			if diff := cmp.Diff("65534 65534 65534 65534", strings.Join(strings.Fields(ids), " ")); diff != "" {
				t.Errorf("%s of thread %d: %s", field, thread, diff)
			}
		}
	}
	root, err := os.Readlink(fmt.Sprintf("/proc/%d/root", p.Pid))
	if err != nil || !strings.Contains(root, "penstock-root-") {
		t.Errorf("root directory %q, %v", root, err)
	}
}

func TestServiceManager(t *testing.T) {
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
	cmd := program("-f", s.cfg)
	cmd.Env = append(cmd.Env, "NOTIFY_SOCKET="+name)
	p := testutil.Start(t, cmd)
	var buf [100]byte
	n, err := manager.Read(buf[:])
	if diff := cmp.Diff("READY=1\nSTATUS=Ready.\n", string(buf[:n])); diff != "" || err != nil {
		t.Errorf("%v: %s", err, diff)
	}
	if got := s.serving(); got != p.Pid {
		t.Errorf("ready, but process %d serves", got)
	}
	p.Signal(t, syscall.SIGUSR1)
	n, err = manager.Read(buf[:])
	if diff := cmp.Diff("STOPPING=1\n", string(buf[:n])); diff != "" || err != nil {
		t.Errorf("%v: %s", err, diff)
	}
	p.WaitCode(t, 0)
}

// A program that a shell starts in the background ignores SIGINT, as its other children do.
func TestIgnoredInterrupt(t *testing.T) {
	s := newSetup(t, "")
	cmd := exec.Command("/bin/sh", "-c", `trap "" INT; exec "$0" -f "$1"`, os.Args[0], s.cfg)
	cmd.Env = append(os.Environ(), asProgram+"=1")
	p := testutil.Start(t, cmd)
	testutil.Eventually(t, "the stats socket answers", func() bool { return s.serving() == p.Pid })
	p.Signal(t, syscall.SIGINT)
	p.Signal(t, syscall.SIGTERM)
	if status := p.Wait(t).Sys().(syscall.WaitStatus); status.Signal() != syscall.SIGTERM {
		t.Errorf("ended with %v", p.Wait(t))
	}
}
