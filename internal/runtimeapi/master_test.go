package runtimeapi

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/penstock/penstock/internal/config"
)

// mustPair returns both ends of a connection.
func mustPair(tb testing.TB) (a, b net.Conn) {
	tb.Helper()
	fds, err := syscall.Socketpair(syscall.AF_UNIX, syscall.SOCK_STREAM|syscall.SOCK_CLOEXEC, 0)
	if err != nil {
		tb.Fatal(err)
	}
	ends := [2]net.Conn{}
	for i, fd := range fds {
		file := os.NewFile(uintptr(fd), "pair")
		if ends[i], err = net.FileConn(file); err != nil {
			tb.Fatal(err)
		}
		file.Close()
	}
	return ends[0], ends[1]
}

// fakeMaster has worker 50, which serves, worker 49, which finishes and is out of reach, and no reloads.
func fakeMaster(tb testing.TB) *Master {
	worker := mustListen(tb, testOptions)
	started := time.Now()
	return &Master{
		Processes: func() (Process, []Process) {
			return Process{Pid: 40, Reloads: 3, Failed: 1, Started: started, Version: "3.4.0-test", Link: -1}, []Process{
				{Pid: 50, Started: started.Add(-90061 * time.Second), Version: "3.4.0-test", Link: 7},
				{Pid: 49, Reloads: 2, Started: started.Add(time.Hour), Version: "3.4.0-before", Former: true, Link: 8},
			}
		},
		Connect: func(pid int, allowed byte) (net.Conn, error) {
			if pid != 50 {
				return nil, errors.New("out of reach")
			}
			own, theirs := mustPair(tb)
			worker.Attend(theirs, allowed)
			return own, nil
		},
		Reload:      func(int, bool) error { return errors.New("no reload today") },
		StartupLogs: func() string { return "[NOTICE]   (40) : line\n" },
	}
}

func mustListenMaster(tb testing.TB, m *Master, level string) *Server {
	tb.Helper()
	b := bindUnix(filepath.Join(tb.TempDir(), "m"))
	b.Level = level
	opt := testOptions
	opt.Version, opt.Master = "3.4.0-master", m
	return mustListen(tb, opt, b)
}

func TestMasterAnswers(t *testing.T) {
	s := mustListenMaster(t, fakeMaster(t), "admin")
	const table = "#<PID>          <type>          <reloads>       <uptime>        <version>      \n" +
		"40              master          3 [failed: 1]   0d00h00m00s     3.4.0-test     \n# workers\n" +
		"50              worker          0               1d01h01m01s     3.4.0-test     \n# old workers\n" +
		"49              worker          2               0d00h00m00s     3.4.0-before   \n\n"
	for _, test := range []struct{ send, want string }{
		{"show proc\n", table},
		{"show version\n@1 show version\nshow version\n", "3.4.0-master\n\n3.4.0-test\n\n3.4.0-master\n\n"},
		{"@1 show version; @!50 show version ;@ show version;@master show version;@0 show version\n", "3.4.0-test\n\n3.4.0-test\n\n3.4.0-master\n\n3.4.0-master\n\n3.4.0-master\n\n"},
		{"@1;show version;@;show version\n", "3.4.0-test\n\n3.4.0-master\n\n"},
		{"@1 echo a\\;b\\ c;show version\n", "a;b c\n\n3.4.0-master\n\n"},
		{"@!49 show version\n", "Can't connect to the target CLI!\n\n"},
		{"@@!49 show version\nshow version\n", "Can't connect to the target CLI!\n\n3.4.0-master\n\n"},
		{"@2 x\n@-1 x\n@!0 x\n@! x\n@1x x\n", "Can't find the target PID matching the prefix '@2'\n\nCan't find the target PID matching the prefix '@-1'\n\n" +
			"Can't find the target PID matching the prefix '@!0'\n\nCan't find the target PID matching the prefix '@!'\n\nCan't find the target PID matching the prefix '@1x'\n\n"},
		{"@@1 show version\n", "3.4.0-test\n\n"},
		{"reload\n", "no reload today\n\n"},
		{"show startup-logs\n", "[NOTICE]   (40) : line\n\n"},
		{"prompt\n@1\nprompt\nshow version\n", "master> 50> 3.4.0-test\n\n"},
		{"prompt timed p\n@1 quit\nshow version\n", "[0:00:00:00]master> "},
		{"@1;user;show cli level;show env\n", "user\n\nPermission denied\n\n"},
		{"operator;hard-reload;user;hard-reload\n", "no reload today\n\nPermission denied\n\n"},
		{"prompt x\n", "Unknown prompt mode, 'prompt help' lists them.\n\n"},
		{"\n;;\n", "\n\n\n"},
		{"show version", ""},
	} {
		if diff := cmp.Diff(test.want, mustAsk(t, mustDial(t, s), test.send)); diff != "" {
			t.Errorf("%q: %s", test.send, diff)
		}
	}
}

func TestMasterLevels(t *testing.T) {
	for level, want := range map[string]string{"user": "user\n\nuser\n\n", "operator": "operator\n\noperator\n\n", "admin": "admin\n\nadmin\n\n"} {
		s := mustListenMaster(t, fakeMaster(t), level)
		if diff := cmp.Diff(want, mustAsk(t, mustDial(t, s), "show cli level;@1 show cli level\n")); diff != "" {
			t.Errorf("%s: %s", level, diff)
		}
	}
}

// A worker that finishes has closed its sockets, and answers its master.
func TestAttendAfterClose(t *testing.T) {
	s := mustListen(t, testOptions)
	s.Close()
	own, theirs := mustPair(t)
	defer own.Close()
	s.Attend(theirs, 200) // more than there is
	if diff := cmp.Diff("admin\n\n", mustAsk(t, own, "show cli level\n")); diff != "" {
		t.Error(diff)
	}
}

// The client of a reload gets its answer from whoever has the copy of its connection.
func TestMasterReload(t *testing.T) {
	m := fakeMaster(t)
	hards := make(chan bool, 2)
	m.Reload = func(client int, hard bool) error {
		hards <- hard
		go func() {
			if err := Answer(client, hard, "some\nlines"); err != nil {
				t.Error(err)
			}
		}()
		return nil
	}
	s := mustListenMaster(t, m, "admin")
	for line, want := range map[string]string{
		"show version;reload;show version\n": "3.4.0-master\n\nSuccess=0\n--\nsome\nlines\n\n",
		"hard-reload\n":                      "Success=1\n--\nsome\nlines\n\n",
	} {
		if diff := cmp.Diff(want, mustAsk(t, mustDial(t, s), line)); diff != "" {
			t.Errorf("%q: %s", line, diff)
		}
		if hard := <-hards; hard != strings.HasPrefix(line, "hard") {
			t.Errorf("%q: hard %v", line, hard)
		}
	}
}

// The next life of a process listens on the same sockets.
func TestSocketsGoOn(t *testing.T) {
	binds := []*config.Bind{bindUnix(filepath.Join(t.TempDir(), "a")), {Addrs: []config.Address{{Kind: config.AddrAbstract, Path: fmt.Sprintf("penstock-sockets-%d", os.Getpid())}}, Level: "user"}}
	opt := testOptions
	first := mustListen(t, opt, binds...)
	var err error
	if opt.Sockets, err = first.Keep(); err != nil || len(opt.Sockets) != 2 {
		t.Fatalf("%v, %v", opt.Sockets, err)
	}
	surplus, err := syscall.Socket(syscall.AF_UNIX, syscall.SOCK_STREAM|syscall.SOCK_CLOEXEC, 0)
	if err != nil {
		t.Fatal(err)
	}
	before, err := socketID(surplus)
	if err != nil {
		t.Fatal(err)
	}
	opt.Sockets = append(opt.Sockets, surplus)
	conn := mustDial(t, first) // may be taken by either
	second := mustListen(t, opt, binds...)
	first.Close()
	for range 3 {
		if diff := cmp.Diff("# socket lvl processes\n"+second.endpoints[0].name+" admin all\n"+second.endpoints[1].name+" user all\n\n", mustAsk(t, conn, "show cli sockets\n")); diff != "" {
			t.Error(diff)
		}
		conn = mustDial(t, second)
	}
	if id, err := socketID(surplus); err == nil && id == before {
		t.Error("a socket too many stays open")
	}
}

func FuzzMasterLine(f *testing.F) {
	for _, seed := range []string{
		"", "show proc", "@1 show info;@;@!50", "@@1", "@@", "@", "@!", "@ ;@1;;quit", "reload;hard-reload", "prompt timed p;@1", "@1 \\;", "@\x80 x", "help @", "@master @!<pid>",
	} {
		f.Add(seed)
	}
	opt := testOptions
	opt.Master = fakeMaster(f)
	opt.Master.Connect = func(int, byte) (net.Conn, error) { return nil, errors.New("out of reach") }
	server := &Server{table: masterCommands, opt: opt, started: time.Now()}
	own, theirs := mustPair(f)
	f.Cleanup(func() { own.Close(); theirs.Close() })
	f.Fuzz(func(t *testing.T, line string) {
		s := &session{server: server, level: LevelOperator, conn: own, in: bufio.NewReader(strings.NewReader("")), interactive: true}
		s.obeyLine(line)
		if s.level > LevelOperator || s.target != 0 && s.target != 50 && s.target != 49 {
			t.Errorf("%q: level %v, target %d", line, s.level, s.target)
		}
		if answer := s.answer.String(); answer != "" && !s.prompted && !strings.HasSuffix(answer, "\n") {
			t.Errorf("%q is answered %q", line, answer)
		}
		drain(theirs)
	})
}

// drain reads what is there.
func drain(conn net.Conn) {
	if conn.SetReadDeadline(time.Now()) == nil {
		_, _ = io.Copy(io.Discard, conn)
	}
}
