package e2e

import (
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"

	"github.com/penstock/penstock/internal/testutil"
	"github.com/penstock/penstock/internal/testutil/live"
)

// penstock reload checks first, replaces the process, and tells what became of listeners and sessions.
func TestReloadCommand(t *testing.T) {
	needHandover(t)
	skipForeign(t, "the command is Penstock's own")
	l := mustLoad(t)
	port := testutil.FreePorts(t, 2)
	at := live.TCP(testutil.Loopback(port))
	p := prepare(t, "")
	configure := func(more string) {
		testutil.WriteFile(t, p.dir, "reload.cfg", text(`
global
    nbthread 2
listen main
    timeout connect 5s
    timeout client 1h
    timeout server 1h
    bind {at}
    {more}
    server s1 {server}
`, "at", at.Addr, "server", l.Addr(), "more", more))
	}
	run := func(code int, args ...string) (stdout, stderr string) {
		cmd := exec.Command(program.path, args...)
		cmd.Dir = p.dir
		return testutil.Run(t, code, cmd)
	}
	readPID := func() int {
		pid := mustInt(t, strings.TrimSpace(mustRead(t, filepath.Join(p.dir, "pid"))))
		endDaemon(t, pid)
		return pid
	}
	configure("")
	run(0, "-D", "-f", "reload.cfg", "-p", "pid")
	first := readPID()
	mustOpen(t, l, live.Mix{Talkers: 10, Idle: 5}, at)

	configure("bind " + testutil.Loopback(port+1))
	said, _ := run(0, "reload", "-f", "reload.cfg", "-p", "pid")
	second := readPID()
	for _, want := range []string{
		strconv.Itoa(second) + " has taken over from " + strconv.Itoa(first),
		"2 kept, 2 opened, 0 closed", "15 moved, 0 left",
	} {
		if !strings.Contains(said, want) {
			t.Errorf("want %q in %q", want, said)
		}
	}
	testutil.AwaitEnd(t, first)

	configure("")
	said, _ = run(0, "reload", "--pid", strconv.Itoa(second), "reload.cfg")
	if !strings.Contains(said, "2 kept, 0 opened, 2 closed") {
		t.Errorf("said %q", said)
	}
	third := mustInt(t, regexp.MustCompile(`Process (\d+) has`).FindStringSubmatch(said)[1])
	endDaemon(t, third)
	testutil.AwaitEnd(t, second)

	configure("bind nowhere")
	if _, said := run(1, "reload", "-f", "reload.cfg", "--pid", strconv.Itoa(third)); !strings.Contains(said, "nothing was reloaded") {
		t.Errorf("said %q", said)
	}
	configure("bind " + l.Addr())
	if _, said := run(1, "reload", "-f", "reload.cfg", "--pid", strconv.Itoa(third)); !strings.Contains(said, "process "+strconv.Itoa(third)+" goes on") {
		t.Errorf("said %q", said)
	}
	configure("")
	if _, said := run(1, "reload", "-f", "reload.cfg", "--pid", strconv.Itoa(second)); !strings.Contains(said, "no balancer") {
		t.Errorf("said %q", said)
	}
	if _, said := run(1, "reload", "-f", "reload.cfg"); !strings.Contains(said, "which process is to be replaced") {
		t.Errorf("said %q", said)
	}
	judge(t, l.Finish())
}
