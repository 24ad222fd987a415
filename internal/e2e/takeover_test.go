package e2e

import (
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/penstock/penstock/internal/testutil"
	"github.com/penstock/penstock/internal/testutil/live"
)

// rain is a storm of short connections, of which none may be lost.
type rain struct {
	*live.Storm
	tb testing.TB
}

func startRain(tb testing.TB, l *live.Load, target live.Target) *rain {
	return &rain{startStorm(tb, l, 1000, target), tb}
}

// more waits until n further connections have been tried.
func (r *rain) more(n int) {
	r.tb.Helper()
	goal := r.Connections() + n
	testutil.Eventually(r.tb, "the storm goes on", func() bool { return r.Connections() >= goal })
}

// check ends the storm.
func (r *rain) check() {
	r.tb.Helper()
	report := r.Stop()
	if r.tb.Log(&report); report.Counts.Total() > 0 {
		r.tb.Errorf("the first losses: %v", report.Errors)
	}
}

// askOnce makes one connection that must get its bytes back.
func askOnce(network, addr string) error {
	c, err := net.DialTimeout(network, addr, testutil.Deadline)
	if err != nil {
		return err
	}
	defer c.Close()
	c.SetDeadline(time.Now().Add(testutil.Deadline))
	if _, err := io.WriteString(c, "once"); err != nil {
		return err
	}
	_, err = io.ReadFull(c, make([]byte, 4))
	return err
}

const exposed = `
global
    stats socket {dir}/{who} level admin expose-fd listeners
`

// launchAs starts a program on the configuration of p, with a stats socket of its own by the name of who, and
// waits until it is at work there.
func (p *proxy) launchAs(who, path string, sections string, args ...string) *testutil.Process {
	p.tb.Helper()
	cfg := testutil.WriteFile(p.tb, p.dir, who+".cfg", text(exposed+sections, "dir", p.dir, "who", who)+"\n")
	cmd := exec.Command(path, append([]string{"-db", "-f", cfg}, args...)...)
	cmd.Dir = p.dir
	run := testutil.Start(p.tb, cmd)
	p.waitAt(run, filepath.Join(p.dir, who))
	return run
}

func (p *proxy) waitAt(run *testutil.Process, stats string) {
	p.tb.Helper()
	watched := proxy{tb: p.tb, stats: stats}
	testutil.Eventually(p.tb, "the program is at work", func() bool {
		if run.Exited() {
			p.tb.Fatalf("the program ended at once:\n%s%s", run.Stdout, run.Stderr)
		}
		info, err := watched.ask("show info")
		return err == nil && strings.Contains(info, fmt.Sprintf("Pid: %d\n", run.Pid))
	})
}

func (p *proxy) socket(who string) string { return filepath.Join(p.dir, who) }

func finish(run *testutil.Process) []string {
	return []string{"-sf", fmt.Sprint(run.Pid)}
}

const takeoverTemplate = `
    nbthread {threads}
defaults
    mode tcp
    timeout connect 20s
    timeout client 60s
    timeout server 60s
listen l
    bind 127.0.0.1:{port} {bind}
    server s1 {s1}
`

// A chain of processes, HAProxy and Penstock, each of which takes the listeners of the one before: no client of
// a storm notices. HAProxy takes as many sockets of an address as it has shards.
func TestTakeOverListeners(t *testing.T) {
	t.Parallel()
	skipForeign(t, "the partner is HAProxy already")
	haproxy := testutil.Need(t, "haproxy")
	type link struct {
		path    string
		threads int
	}
	own := func(threads int) link { return link{program.path, threads} }
	for _, test := range []struct {
		name, bind string
		links      []link
	}{
		{"there and back", "", []link{{haproxy, 1}, own(1), {haproxy, 1}, own(1)}},
		{"shards there and back", "shards 2", []link{{haproxy, 2}, own(2), {haproxy, 2}, own(2)}},
		{"other numbers of threads", "", []link{{haproxy, 2}, own(2), own(1), own(2), own(3)}},
		{"defer-accept", "defer-accept", []link{{haproxy, 2}, own(2), own(1), own(2)}},
		{"options come and go", "backlog 500 mss 1400", []link{{haproxy, 1}, own(2), own(1)}},
	} {
		t.Run(test.name, func(t *testing.T) {
			server := mustLoad(t)
			port := testutil.FreePort(t)
			p := &proxy{tb: t, dir: testutil.TempDir(t)}
			var old *testutil.Process
			var rain *rain
			for n, next := range test.links {
				who := string(rune('a' + n))
				var args []string
				if old != nil {
					args = append([]string{"-x", p.socket(string(rune('a' + n - 1)))}, finish(old)...)
				}
				run := p.launchAs(who, next.path, text(takeoverTemplate,
					"threads", next.threads, "port", port, "bind", test.bind, "s1", server.Addr()), args...)
				if old == nil {
					rain = startRain(t, server, live.TCP(testutil.Loopback(port)))
				} else {
					old.WaitCode(t, 0)
				}
				rain.more(100)
				if out := run.Stderr.String(); strings.Contains(out, "Failed") {
					t.Errorf("program %s complains: %s", who, out)
				}
				old = run
			}
			rain.check()
		})
	}
}

// The sockets themselves change hands: no new one appears for an address that the old process served.
func TestTakenListenersAreTheSame(t *testing.T) {
	t.Parallel()
	skipForeign(t, "the partner is HAProxy already")
	haproxy := testutil.Need(t, "haproxy")
	server := testutil.Serve(t, testutil.Echo)
	port := testutil.FreePort(t)
	p := &proxy{tb: t, dir: testutil.TempDir(t)}
	sections := text(takeoverTemplate+`
    bind {dir}/front
    bind abns@penstock-take-{port}
`, "threads", 1, "port", port, "bind", "", "s1", server.Addr, "dir", p.dir)
	old := p.launchAs("a", haproxy, sections)
	before := sockets(t, old.Pid)
	front, err := os.Stat(p.socket("front"))
	if err != nil {
		t.Fatal(err)
	}
	run := p.launchAs("b", program.path, sections, append([]string{"-x", p.socket("a")}, finish(old)...)...)
	old.WaitCode(t, 0)
	kept := 0
	for what := range sockets(t, run.Pid) {
		if before[what] {
			kept++
		}
	}
	if kept != 3 {
		t.Errorf("%d sockets are the old process's, want 3", kept)
	}
	if now, err := os.Stat(p.socket("front")); err != nil || !os.SameFile(front, now) {
		t.Errorf("the UNIX socket is another file: %v", err)
	}
	echoes(t, "tcp", testutil.Loopback(port))
	echoes(t, "unix", p.socket("front"))
	echoes(t, "unix", abstractAddr(fmt.Sprintf("penstock-take-%d", port)))
}

// Whoever took listeners serves every connection while the former process stands still, and after it was killed.
// With listeners of its own it would miss those that the kernel puts into the queues of the other.
func TestTakenListenersOutliveTheirProcess(t *testing.T) {
	t.Parallel()
	skipForeign(t, "the partner is HAProxy already")
	haproxy := testutil.Need(t, "haproxy")
	for _, test := range []struct{ name, old, next string }{
		{"from HAProxy", haproxy, program.path},
		{"to HAProxy", program.path, haproxy},
		{"from Penstock to Penstock", program.path, program.path},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			server := testutil.Serve(t, testutil.Echo)
			port := testutil.FreePort(t)
			p := &proxy{tb: t, dir: testutil.TempDir(t)}
			sections := text(takeoverTemplate, "threads", 2, "port", port, "bind", "shards 2", "s1", server.Addr)
			old := p.launchAs("a", test.old, sections)
			p.launchAs("b", test.next, sections, "-x", p.socket("a"))
			old.Signal(t, syscall.SIGSTOP)
			testutil.Eventually(t, "the old process stands still", func() bool {
				for _, state := range testutil.TaskStatus(t, old.Pid, "State") {
					if !strings.HasPrefix(state, "T") {
						return false
					}
				}
				return true
			})
			for range 50 {
				echoes(t, "tcp", testutil.Loopback(port))
			}
			old.Signal(t, syscall.SIGKILL)
			old.Wait(t)
			for range 50 {
				echoes(t, "tcp", testutil.Loopback(port))
			}
		})
	}
}

// sockets are the sockets of a process, as /proc names them.
func sockets(tb testing.TB, pid int) map[string]bool {
	tb.Helper()
	all := map[string]bool{}
	for _, what := range testutil.FDs(tb, pid) {
		if strings.HasPrefix(what, "socket:") {
			all[what] = true
		}
	}
	return all
}

// Without an old process there is a warning, and the program opens its own listeners.
func TestTakeOverFails(t *testing.T) {
	t.Parallel()
	skipForeign(t, "HAProxy gives up")
	server := testutil.Serve(t, testutil.Echo)
	port := testutil.FreePort(t)
	p := prepare(t, "listen l\n    bind 127.0.0.1:{port}\n    server s1 {s1}", "port", port, "s1", server.Addr)
	p.launch(nil, "-x", "/nonexistent/socket")
	p.Stderr.Wait(t, `\[WARNING\] .* Failed to connect to the old process socket '/nonexistent/socket'`)
	echoes(t, "tcp", testutil.Loopback(port))
}

// Only sockets that expose them give listeners away.
func TestListenersAreNotExposed(t *testing.T) {
	t.Parallel()
	p := start(t, "listen l\n    bind 127.0.0.1:{port}\n    server s1 127.0.0.1:1", "port", testutil.FreePort(t))
	if answer, err := p.ask("_getsocks"); err != nil || answer != "" {
		t.Errorf("answer %q, %v", answer, err)
	}
}

// When a port cannot be shared, the old process is asked to leave it; when the new one fails all the same, the
// old one goes on.
func TestPortThatCannotBeShared(t *testing.T) {
	t.Parallel()
	skipForeign(t, "the partner is HAProxy already")
	for _, partner := range []string{"penstock", "haproxy"} {
		t.Run(partner, func(t *testing.T) {
			t.Parallel()
			path := program.path
			if partner == "haproxy" {
				path = testutil.Need(t, "haproxy")
			}
			server := testutil.Serve(t, testutil.Echo)
			ports := testutil.FreePorts(t, 2)
			p := &proxy{tb: t, dir: testutil.TempDir(t)}
			sections := text("    noreuseport"+takeoverTemplate, "threads", 2, "port", ports, "bind", "", "s1", server.Addr)
			addr := testutil.Loopback(ports)
			old := p.launchAs("a", path, sections)
			before := testutil.Dial(t, "tcp", addr)
			before.Send("x")
			before.Expect("x")

			held, err := net.Listen("tcp", testutil.Loopback(ports+1))
			if err != nil {
				t.Fatal(err)
			}
			cfg := testutil.WriteFile(t, p.dir, "bad.cfg", text(exposed+sections+"    bind 127.0.0.1:{held}\n", "dir", p.dir, "who", "bad", "held", ports+1))
			failed := exec.Command(program.path, append([]string{"-db", "-f", cfg}, finish(old)...)...)
			_, stderr := testutil.Run(t, 1, failed)
			held.Close()
			if !strings.Contains(stderr, "Address already in use") {
				t.Errorf("no reason given: %s", stderr)
			}
			testutil.Eventually(t, "the old process serves again", func() bool { return askOnce("tcp", addr) == nil })
			if old.Exited() {
				t.Fatal("the old process ended")
			}

			p.launchAs("b", program.path, sections, finish(old)...)
			echoes(t, "tcp", addr)
			before.Send("y") // it lives on in the old process
			before.Expect("y")
			before.Close()
			old.WaitCode(t, 0)
		})
	}
}

// Clients of a UNIX socket do not notice either.
func TestTakeOverUnixListeners(t *testing.T) {
	t.Parallel()
	skipForeign(t, "the partner is HAProxy already")
	server := mustLoad(t)
	p := &proxy{tb: t, dir: testutil.TempDir(t)}
	sections := func(threads int) string {
		return text(`
    nbthread {threads}
defaults
    mode tcp
    timeout connect 20s
    timeout client 60s
    timeout server 60s
listen l
    bind {dir}/front
    server s1 {s1}
`, "threads", threads, "dir", p.dir, "s1", server.Addr())
	}
	old := p.launchAs("a", program.path, sections(2))
	rain := startRain(t, server, live.Target{Network: "unix", Addr: p.socket("front")})
	rain.more(100)
	for n := range 4 {
		who, next := string(rune('a'+n)), string(rune('b'+n))
		run := p.launchAs(next, program.path, sections(1+n%2), append([]string{"-x", p.socket(who)}, finish(old)...)...)
		old.WaitCode(t, 0)
		rain.more(100)
		old = run
	}
	rain.check()
}

// A process that is killed right after it took the listeners leaves the old one as it was.
func TestTakerDies(t *testing.T) {
	t.Parallel()
	skipForeign(t, "the partner is HAProxy already")
	server := testutil.Serve(t, testutil.Echo)
	port := testutil.FreePort(t)
	p := &proxy{tb: t, dir: testutil.TempDir(t)}
	sections := text(takeoverTemplate, "threads", 2, "port", port, "bind", "", "s1", server.Addr)
	old := p.launchAs("a", program.path, sections)
	run := p.launchAs("b", program.path, sections, "-x", p.socket("a"))
	run.Signal(t, syscall.SIGKILL)
	run.Wait(t)
	for range 20 {
		if err := askOnce("tcp", testutil.Loopback(port)); err != nil {
			t.Fatal(err)
		}
	}
	if old.Exited() {
		t.Fatal("the old process ended")
	}
}
