package check

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/penstock/penstock/internal/testutil"
	"github.com/penstock/penstock/netio"
)

// mustScript writes a program of the shell, in a folder that may be looked through.
func mustScript(tb testing.TB, dir, name, text string) string {
	tb.Helper()
	path := testutil.WriteFile(tb, dir, name, "#!/bin/sh\n"+text)
	if err := os.Chmod(path, 0o755); err != nil {
		tb.Fatal(err)
	}
	return path
}

// report has a program tell what it was given, in a file of its own that is there at once or not at all.
const report = `
{ echo "$@"; /usr/bin/env | /usr/bin/grep -v '^PWD=\|^_=\|^SHLVL='; /usr/bin/readlink /proc/$$/fd/0; } > %[1]s/$HAPROXY_SERVER_NAME.new
/usr/bin/ls -l /proc/self/fd > %[1]s/$HAPROXY_SERVER_NAME.fds
/usr/bin/mv %[1]s/$HAPROXY_SERVER_NAME.new %[1]s/$HAPROXY_SERVER_NAME
case $HAPROXY_SERVER_NAME in
bad) exit 3 ;;
killed) kill -9 $$ ;;
slow) exec /usr/bin/sleep 1000 ;;
stubborn) trap '' TERM; echo $$ > %[1]s/pid.new; /usr/bin/sleep 1000 & echo $! >> %[1]s/pid.new; /usr/bin/mv %[1]s/pid.new %[1]s/pid; wait; wait ;;
esac
`

var externalServers = []string{"good 127.0.0.1:80 maxconn 7", "bad 127.0.0.2:80", "killed [::1]:80", "local unix@/nowhere"}

// externalLines are servers on which a program has a different opinion each.
func externalLines(more ...string) string {
	var b strings.Builder
	for _, s := range append(slices.Clone(externalServers), more...) {
		fmt.Fprintf(&b, " server %s check inter 1h\n", s)
	}
	return b.String()
}

// checkAll has the first so many servers checked now, and not within the hour.
func (r *rig) checkAll(servers int) {
	for i := range servers {
		r.order(0, i, func(s *subject) { r.checkNow(s.check) })
	}
}

func TestExternalOutcomes(t *testing.T) {
	if err := netio.CloseAllOnExec(); err != nil { // whoever started the test may have left something open
		t.Fatal(err)
	}
	dir := testutil.TempDir(t)
	script := mustScript(t, dir, "script.sh", fmt.Sprintf(report, dir))
	r := mustRig(t, "option external-check\n external-check command script.sh\n external-check path /nowhere:"+dir+"\n"+externalLines())
	r.checkAll(len(externalServers))
	for i, want := range []string{"PROCOK/0", "PROCERR/3", "PROCERR/-1", "PROCOK/0"} {
		if got := r.outcome(t, i); got != want {
			t.Errorf("server %d: %s, want %s", i, got, want)
		}
	}
	text, err := os.ReadFile(dir + "/good")
	if err != nil {
		t.Fatal(err)
	}
	want := "127.0.0.1 80 127.0.0.1 80\nHAPROXY_PROXY_ADDR=127.0.0.1\nHAPROXY_PROXY_ID=2\nHAPROXY_PROXY_NAME=be\nHAPROXY_PROXY_PORT=80\n" +
		"HAPROXY_SERVER_ADDR=127.0.0.1\nHAPROXY_SERVER_CURCONN=0\nHAPROXY_SERVER_ID=1\nHAPROXY_SERVER_MAXCONN=7\nHAPROXY_SERVER_NAME=good\n" +
		"HAPROXY_SERVER_PORT=80\nHAPROXY_SERVER_PROTO=tcp\nHAPROXY_SERVER_SSL=0\nPATH=/nowhere:" + dir + "\n/dev/null"
	lines := strings.Split(strings.TrimSpace(string(text)), "\n")
	slices.Sort(lines[1 : len(lines)-1])
	if diff := cmp.Diff(want, strings.Join(lines, "\n")); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	// Its own are input, output, errors, and the folder that ls looks into.
	if text, err = os.ReadFile(dir + "/good.fds"); err != nil {
		t.Fatal(err)
	}
	if n := strings.Count(string(text), " -> "); n > 4 {
		t.Errorf("a program has descriptors that it was not given:\n%s", text)
	}
	for _, c := range []struct{ command, want string }{
		{dir + "/nowhere", "PROCERR/255 cannot start the program: no such file or directory"},
		{dir, "PROCERR/255 cannot start the program: permission denied"},
		{testutil.WriteFile(t, dir, "plain", "exit 4\n"), "PROCERR/255 cannot start the program: permission denied"},
		{script, "PROCOK/0"},
	} {
		r := mustRig(t, "option external-check\n external-check command "+c.command+"\n server good 127.0.0.1:80 check inter 1h")
		if got := r.outcome(t, 0); got != c.want {
			t.Errorf("%s: %s, want %s", c.command, got, c.want)
		}
	}
	bare := testutil.WriteFile(t, dir, "bare", "exit 4\n") // which names no shell
	if err := os.Chmod(bare, 0o755); err != nil {
		t.Fatal(err)
	}
	if got := mustRig(t, "option external-check\n external-check command "+bare+"\n server good 127.0.0.1:80 check inter 1h").outcome(t, 0); got != "PROCERR/4" {
		t.Error(got)
	}
}

// alive reports whether a process still does something: one whose parent is slow to collect it does not.
func alive(pid int) bool {
	stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	return err == nil && !strings.Contains(string(stat), ") Z ")
}

// A program that takes too long is killed with what it started, and so are those that run when checks end.
func TestExternalTimeout(t *testing.T) {
	dir := testutil.TempDir(t)
	mustScript(t, dir, "script.sh", fmt.Sprintf(report, dir))
	lines := "option external-check\n external-check command " + dir + "/script.sh\n server stubborn 127.0.0.1:80 check fall 100 inter "
	pids := func() (pids []int) {
		t.Helper()
		testutil.Eventually(t, "the program runs", func() bool { _, err := os.Stat(dir + "/pid"); return err == nil })
		text, err := os.ReadFile(dir + "/pid")
		if err != nil {
			t.Fatal(err)
		}
		for _, word := range strings.Fields(string(text)) {
			pid, err := strconv.Atoi(word)
			if err != nil {
				t.Fatal(err)
			}
			pids = append(pids, pid)
		}
		if err := os.Remove(dir + "/pid"); err != nil {
			t.Fatal(err)
		}
		return pids
	}
	gone := func(pids []int) {
		t.Helper()
		testutil.Eventually(t, "the programs are gone", func() bool { return !slices.ContainsFunc(pids, alive) })
	}
	r := mustRig(t, lines+"1h")
	running := pids()
	if !r.state(t, 0).Running {
		t.Error("not running")
	}
	r.Stop()
	gone(running)

	// Its SIGTERM is ignored, and SIGKILL follows.
	r = mustRig(t, lines+"1h")
	running = pids()
	r.order(0, 0, func(s *subject) { r.expired(s.check) })
	if got := r.outcome(t, 0); got != "PROCTOUT/0" {
		t.Error(got)
	}
	gone(running)
}

// So many programs run at once and no more; the others take their turn.
func TestExternalLimit(t *testing.T) {
	dir := testutil.TempDir(t)
	fifo := filepath.Join(dir, "fifo")
	if err := syscall.Mkfifo(fifo, 0o600); err != nil {
		t.Fatal(err)
	}
	const servers = maxPrograms + 4
	var lines strings.Builder
	fmt.Fprintf(&lines, "option external-check\n external-check command %s\n", mustScript(t, dir, "wait", "exec /usr/bin/cat "+fifo))
	for i := range servers {
		fmt.Fprintf(&lines, " server s%d 127.0.0.1:80 check inter 1h\n", i)
	}
	r := mustRig(t, lines.String())
	r.checkAll(servers)
	count := func() (running, done int) {
		for i := range servers {
			s := r.state(t, i)
			if s.Running {
				running++
			}
			if s.Status == ProcOK {
				done++
			}
		}
		return running, done
	}
	most := 0
	testutil.Eventually(t, "as many as may run", func() bool {
		most, _ = count()
		return most >= maxPrograms
	})
	if most > maxPrograms {
		t.Errorf("%d programs", most)
	}
	testutil.Eventually(t, "all had their turn", func() bool {
		if f, err := os.OpenFile(fifo, os.O_WRONLY|syscall.O_NONBLOCK, 0); err == nil { // somebody reads
			f.Close()
		}
		running, done := count()
		most = max(most, running)
		return done == servers
	})
	if most > maxPrograms {
		t.Errorf("%d programs", most)
	}
}

// Without insecure-fork-wanted nothing is started.
func TestExternalNotAllowed(t *testing.T) {
	r := mustRig(t, "option external-check\n external-check command /bin/true\n server s 127.0.0.1:80 check inter 1h")
	r.Stop()
	o := r.opt
	o.External.Allowed = false
	c := New(o)
	if err := c.Start(); err != nil {
		t.Fatal(err)
	}
	defer c.Stop()
	testutil.Eventually(t, "the check fails", func() bool { s, _ := c.State(0, 0); return s.Status == SockErr })
}

var externalReport = regexp.MustCompile(`Health check for server [a-z]+/(\w+) (\w+, reason: .*, code: -?\d+).*, check duration: \d+ms, status: `)

// Programs are told the same as by HAProxy, and their ends mean the same.
func TestExternalLikeHAProxy(t *testing.T) {
	haproxy := testutil.Need(t, "haproxy")
	dirs := [2]string{testutil.TempDir(t), testutil.TempDir(t)}
	section := func(i int) string {
		mustScript(t, dirs[i], "script.sh", fmt.Sprintf(report, dirs[i]))
		return " option log-health-checks\n option external-check\n external-check command script.sh\n external-check path " + dirs[i] + "\n" +
			externalLines("slow 127.0.0.1:80 downinter 1h")
	}
	soon := strings.NewReplacer("downinter 1h check inter 1h", "downinter 1h check inter 1s")
	port := testutil.FreePort(t)
	theirs := soon.Replace(section(0))
	p := testutil.Start(t, exec.Command(haproxy, "-db", "-f", testutil.WriteFile(t, dirs[0], "h.cfg", fmt.Sprintf(
		"global\n external-check\n insecure-fork-wanted\n max-spread-checks 10ms\ndefaults\n mode tcp\n timeout connect 30s\n timeout server 30s\n timeout client 30s\n"+
			"listen be\n id 2\n bind 127.0.0.1:%d\n%s", port, theirs))))
	r := mustRig(t, soon.Replace(section(1)))
	r.backend.Command.Port = strconv.Itoa(port)
	r.checkAll(len(externalServers) + 1)
	outcomes := func(text string) map[string]string {
		out := map[string]string{}
		for _, m := range externalReport.FindAllStringSubmatch(text, -1) {
			if out[m[1]] == "" {
				out[m[1]] = m[2]
			}
		}
		return out
	}
	all := len(externalServers) + 1
	testutil.Eventually(t, "haproxy has checked all", func() bool { return len(outcomes(p.Stderr.String())) == all || p.Exited() })
	testutil.Eventually(t, "we have checked all", func() bool { return len(outcomes(r.said())) == all })
	if diff := cmp.Diff(outcomes(p.Stderr.String()), outcomes(r.said())); diff != "" {
		t.Errorf("(-haproxy +ours):\n%s", diff)
	}
	for _, s := range externalServers {
		name, _, _ := strings.Cut(s, " ")
		var told [2]string
		for i, dir := range dirs {
			text, err := os.ReadFile(filepath.Join(dir, name))
			if err != nil {
				t.Fatal(err)
			}
			lines := strings.Split(strings.ReplaceAll(string(text), dir, "DIR"), "\n")
			lines = slices.DeleteFunc(lines, func(l string) bool { return l == "/dev/null" || l == "" }) // HAProxy keeps what it has itself
			slices.Sort(lines[1:])
			told[i] = strings.ReplaceAll(strings.Join(lines, "\n"), "PROXY_PORT=80\n", fmt.Sprintf("PROXY_PORT=%d\n", port))
		}
		told[1] = strings.Replace(told[1], "127.0.0.1 80 ", fmt.Sprintf("127.0.0.1 %d ", port), 1)
		if diff := cmp.Diff(told[0], told[1]); diff != "" {
			t.Errorf("%s (-haproxy +ours):\n%s", name, diff)
		}
	}
}
