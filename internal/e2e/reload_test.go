package e2e

import (
	"flag"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/penstock/penstock/internal/testutil"
	"github.com/penstock/penstock/internal/testutil/live"
)

var (
	soakReloads = flag.Int("soak-reloads", 0, "how many reloads TestSoakReload makes; 0 skips it")
	reloadSeed  = flag.Uint64("reload-seed", 0, "of the moments at which processes are killed; 0: another one each time")
)

// buildFacts is what the program says of itself with -vv.
var buildFacts = sync.OnceValue(func() string {
	facts, err := exec.Command(program.path, "-vv").Output()
	if err != nil {
		return err.Error()
	}
	return string(facts)
})

// needHandover skips the test unless the program hands sessions over.
func needHandover(tb testing.TB) {
	tb.Helper()
	skipForeign(tb, "leaves its sessions with the old process")
	if !strings.Contains(buildFacts(), "Session handover") {
		tb.Skip(`the program's -vv does not name "Session handover"`)
	}
}

// needEBPF skips the test unless the program can steer with eBPF here.
func needEBPF(tb testing.TB) {
	tb.Helper()
	status, err := os.ReadFile("/proc/self/status")
	if err != nil {
		tb.Fatal(err)
	}
	effective, err := strconv.ParseUint(mustMatch(tb, "status", string(status), `(?m)^CapEff:\s+([0-9a-f]+)$`)[1], 16, 64)
	if err != nil {
		tb.Fatal(err)
	}
	const sysAdmin, bpf = 21, 39
	if effective&(1<<sysAdmin|1<<bpf) == 0 {
		tb.Skip("needs CAP_BPF")
	}
	cfg := testutil.WriteFile(tb, testutil.TempDir(tb), "steer.cfg", "global\n    steer ebpf\nlisten l\n    mode tcp\n    bind 127.0.0.1:1\n")
	if out, err := exec.Command(program.path, "-c", "-f", cfg).CombinedOutput(); err != nil {
		tb.Skipf("the program refuses 'steer ebpf': %s", out)
	}
}

// mustLoad returns a server for sessions of all kinds.
func mustLoad(tb testing.TB) *live.Load {
	tb.Helper()
	l, err := live.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(l.Close)
	return l
}

func mustOpen(tb testing.TB, l *live.Load, m live.Mix, targets ...live.Target) {
	tb.Helper()
	if err := l.Open(m, targets...); err != nil {
		tb.Fatal(err)
	}
}

// startStorm begins a storm that ends with the test at the latest.
func startStorm(tb testing.TB, l *live.Load, rate int, targets ...live.Target) *live.Storm {
	storm := l.Storm(rate, targets...)
	tb.Cleanup(func() { storm.Stop() })
	return storm
}

// lineage is a program and the processes that take over from it, one after the other.
type lineage struct {
	*proxy
	binary  string // that the next process runs
	windows []live.Window
	moved   []int // sessions that each process had when the one before was gone
}

// startLineage starts the first process on a configuration.
func startLineage(tb testing.TB, sections string, pairs ...any) *lineage {
	tb.Helper()
	g := &lineage{proxy: prepare(tb, sections, pairs...), binary: program.path}
	g.launch(nil)
	return g
}

// configure writes the configuration that the next process reads.
func (g *lineage) configure(sections string, pairs ...any) {
	g.tb.Helper()
	pairs = append(pairs, "stats", g.stats, "log", g.log.Addr, "dir", g.dir)
	testutil.WriteFile(g.tb, g.dir, filepath.Base(g.cfg), text(preset+sections, pairs...)+"\n")
}

// succeed starts the next process and returns at once. Each process is a child of the test, so that nothing
// is left behind however the test ends.
func (g *lineage) succeed() *testutil.Process {
	g.tb.Helper()
	cmd := exec.Command(g.binary, "-db", "-f", g.cfg, "-sf", strconv.Itoa(g.Pid))
	cmd.Dir = g.dir
	return testutil.Start(g.tb, cmd)
}

// awaitWork waits until a process is the one that answers on the stats socket.
func (g *lineage) awaitWork(next *testutil.Process) {
	g.tb.Helper()
	testutil.Eventually(g.tb, "the new process is at work", func() bool {
		if next.Exited() {
			g.tb.Fatalf("the new process ended:\n%s%s", next.Stdout, next.Stderr)
		}
		info, err := g.ask("show info")
		return err == nil && strings.Contains(info, fmt.Sprintf("\nPid: %d\n", next.Pid))
	})
}

// replace starts the next process, which becomes the current one, and returns the old one.
func (g *lineage) replace() (old *testutil.Process) {
	g.tb.Helper()
	old = g.Process
	next := g.succeed()
	g.awaitWork(next)
	g.Process = next
	return old
}

// reload replaces the process and waits until the old one has left.
func (g *lineage) reload() {
	g.tb.Helper()
	began := time.Now()
	old := g.replace()
	old.WaitCode(g.tb, 0)
	g.windows = append(g.windows, live.Window{From: began, To: time.Now()})
	g.moved = append(g.moved, g.current())
}

// current is how many sessions the current process has.
func (g *lineage) current() int {
	g.tb.Helper()
	info, err := g.ask("show info")
	if err != nil {
		g.tb.Fatal(err)
	}
	return mustInt(g.tb, mustMatch(g.tb, "show info", info, `\nCurrConns: (\d+)\n`)[1])
}

// judge fails the test for every session and connection that was not served as if nothing had happened.
func judge(tb testing.TB, r live.Report, storms ...live.StormReport) {
	tb.Helper()
	tb.Logf("%v", &r)
	for i := range storms {
		tb.Logf("%v", &storms[i])
		for _, err := range storms[i].Errors {
			tb.Error(err)
		}
	}
	const shown = 20
	for _, f := range r.Failures[:min(len(r.Failures), shown)] {
		tb.Error(f)
	}
	if r.Counts.Total() > 0 || r.Strays > 0 {
		tb.Errorf("%v", &r)
	}
}

// sessionLine is a log line of a session, with its termination code.
var sessionLine = regexp.MustCompile(`\] \S+ \S+/s1 [-\d/]+ \+?\d+ (\S\S) `)

// judgeLog fails the test for log lines that name another end than a regular one, and for more lines than
// there were sessions. Fewer may arrive: they are datagrams.
func (g *lineage) judgeLog(sessions int) {
	g.tb.Helper()
	n := 0
	for _, line := range g.log.Lines() {
		code := sessionLine.FindStringSubmatch(line)
		if code == nil {
			continue
		}
		n++
		if code[1] != "--" {
			g.tb.Errorf("a session did not end by itself: %s", line)
		}
	}
	if n > sessions {
		g.tb.Errorf("%d log lines of %d sessions", n, sessions)
	}
}

// variation is what changes from one generation to the next.
type variation struct {
	workers     bool // their number: 2, 1, 2, …
	listeners   bool // a bind line and a proxy come and go
	builds      bool // the program's file is replaced by another build
	deferAccept bool // the listeners wait for the client's first bytes
	global      string
}

// ports are where the frontends of a reload test listen.
type ports struct {
	main, bind, extra int
	unix              string
}

// sections is the configuration of one generation.
func (v variation) sections(generation int) string {
	threads, bind, extra, options := 2, "", "", ""
	if v.workers && generation%2 == 1 {
		threads = 1
	}
	if v.deferAccept {
		options = "defer-accept"
	}
	if v.has(generation) {
		bind = "bind 127.0.0.1:{bind}"
		extra = `
listen extra
    bind 127.0.0.1:{extra}
    timeout client 10m
    timeout server 10m
    server s1 {server}
`
	}
	return text(`
global
    nbthread {threads}
    maxconn 7000
    {global}
listen main
    bind 127.0.0.1:{main} {options}
    bind {unix}
    {another}
    timeout client 10m
    timeout server 10m
    server s1 {server}
`, "threads", threads, "global", v.global, "options", options, "another", bind) + extra
}

// has tells whether a generation has the listeners that come and go.
func (v variation) has(generation int) bool { return v.listeners && generation%4 >= 2 }

// trial is a series of reloads under load.
type trial struct {
	variation
	reloads int
	mix     live.Mix
	storm   int // short connections a second
}

// perReload is how many short connections are made between two reloads, at least.
const perReload = 20

// run makes the reloads, and fails the test for everything that a client could notice.
func (tr trial) run(t *testing.T) {
	l := mustLoad(t)
	dir := testutil.TempDir(t)
	at := ports{main: testutil.FreePort(t), bind: testutil.FreePort(t), extra: testutil.FreePort(t), unix: filepath.Join(dir, "front")}
	pairs := []any{"main", at.main, "bind", at.bind, "extra", at.extra, "unix", at.unix, "server", l.Addr()}
	g := startLineage(t, tr.sections(0), pairs...)
	main, local := live.TCP(testutil.Loopback(at.main)), live.Target{Network: "unix", Addr: at.unix}
	var builds []string
	if tr.builds {
		builds = []string{program.path, buildAnother(t)}
		g.binary = filepath.Join(g.dir, "penstock")
	}
	l.Hold()
	mustOpen(t, l, tr.mix, main, main, main, local)
	storm := startStorm(t, l, tr.storm, main, main, main, local)
	added := 0
	for generation := 1; generation <= tr.reloads; generation++ {
		g.configure(tr.sections(generation), pairs...)
		if tr.builds {
			mustReplaceFile(t, g.binary, builds[generation%len(builds)])
		}
		wanted := storm.Connections() + perReload
		testutil.Eventually(t, "the storm blows", func() bool { return storm.Connections() >= wanted })
		g.reload()
		if g.moved[len(g.moved)-1] < l.Sessions() {
			t.Errorf("generation %d has %d sessions of %d", generation, g.moved[len(g.moved)-1], l.Sessions())
		}
		switch had, has := tr.has(generation-1), tr.has(generation); {
		case has && !had:
			mix := live.Mix{Talkers: 2, Streams: 2, Bandwidth: 256 << 10, RoundTrips: 20}
			mustOpen(t, l, mix, live.TCP(testutil.Loopback(at.bind)), live.TCP(testutil.Loopback(at.extra)))
			added += mix.Sessions()
		case had && !has:
			for _, port := range []int{at.bind, at.extra} {
				testutil.Eventually(t, "the removed listeners refuse", func() bool { return refused(port) })
			}
		}
		// What is full stays full over some reloads, and is emptied between two others.
		if generation%3 == 0 {
			l.Release()
			if err := l.AwaitProgress(live.Guard); err != nil {
				t.Fatal(err)
			}
			l.Hold()
		}
		if failures := l.Failures(); len(failures) > 0 {
			t.Errorf("generation %d: %d sessions failed", generation, len(failures))
			break
		}
	}
	if err := l.AwaitProgress(live.Guard); err != nil {
		t.Error(err)
	}
	short := storm.Stop()
	r := l.Finish()
	judge(t, r, short)
	g.waitInfo(t, "CurrConns", 0)
	g.judgeLog(r.Sessions + short.Connections)
	figures(t, l, g, added)
}

// figures prints what the reloads cost the clients. Nothing is judged by it.
func figures(t *testing.T, l *live.Load, g *lineage, added int) {
	var took []time.Duration
	for _, w := range g.windows {
		took = append(took, w.To.Sub(w.From))
	}
	if len(took) == 0 {
		return
	}
	slices.Sort(took)
	t.Logf("%d reloads; the old process was gone after %v (median), %v (longest); %d to %d sessions moved",
		len(took), took[len(took)/2].Round(time.Millisecond), took[len(took)-1].Round(time.Millisecond), slices.Min(g.moved), slices.Max(g.moved))
	t.Logf("ping-pong during the reloads: %v", l.Stalls(g.windows...))
	if added > 0 {
		t.Logf("%d of the sessions came through listeners that a later configuration lacked", added)
	}
}

// buildAnother builds the program with another version.
func buildAnother(tb testing.TB) string {
	tb.Helper()
	path := filepath.Join(testutil.TempDir(tb), "penstock")
	args := []string{"build", "-o", path, "-ldflags", "-X main.version=0.1.1"}
	if raceEnabled {
		args = append(args, "-race")
	}
	testutil.Run(tb, 0, exec.Command("go", append(args, "github.com/penstock/penstock/cmd/penstock")...))
	return path
}

// mustReplaceFile puts a copy of a file in the place of another, as a package manager does.
func mustReplaceFile(tb testing.TB, path, by string) {
	tb.Helper()
	from, err := os.Open(by)
	if err != nil {
		tb.Fatal(err)
	}
	defer from.Close()
	to, err := os.OpenFile(path+".new", os.O_CREATE|os.O_WRONLY|os.O_TRUNC, 0o755)
	if err != nil {
		tb.Fatal(err)
	}
	_, err = io.Copy(to, from)
	if closing := to.Close(); err == nil {
		err = closing
	}
	if err == nil {
		err = os.Rename(path+".new", path)
	}
	if err != nil {
		tb.Fatal(err)
	}
}

// thousand sessions leave two CPUs time for the reloads.
var thousand = live.Mix{Streams: 460, Talkers: 460, Idle: 40, HalfClosed: 30, Stuffed: 10, Bandwidth: 24 << 20, RoundTrips: 1000}

// sized is a trial of reloads under a thousand sessions, or a small one where everything is slow or in a hurry.
func sized(reloads int, v variation) trial {
	if raceEnabled || testing.Short() {
		mix := live.Mix{Streams: 16, Talkers: 16, Idle: 4, HalfClosed: 4, Stuffed: 3, Bandwidth: 2 << 20, RoundTrips: 100}
		return trial{variation: v, reloads: min(reloads, 4), mix: mix, storm: 300}
	}
	return trial{variation: v, reloads: reloads, mix: thousand, storm: 200}
}

// Nobody notices a reload: not who has a session, not who connects meanwhile, whatever changes.
func TestReload(t *testing.T) {
	needHandover(t)
	sized(100, variation{workers: true, listeners: true, builds: true}).run(t)
}

// The same with listeners that wait for data, whose handshakes hang half-finished in the kernel.
func TestReloadDeferAccept(t *testing.T) {
	needHandover(t)
	trial{variation: variation{deferAccept: true, workers: true}, reloads: 5, mix: live.Mix{Talkers: 8, Streams: 4}, storm: 400}.run(t)
}

// The same with an eBPF program that chooses the listener.
func TestReloadSteerEBPF(t *testing.T) {
	needHandover(t)
	needEBPF(t)
	sized(20, variation{global: "steer ebpf", workers: true, listeners: true}).run(t)
}

// Sessions live on through reloads, and no old process outlives its last session. This holds where sessions
// stay with the process that accepted them, too.
func TestReloadKeepsSessions(t *testing.T) {
	l := mustLoad(t)
	at := live.TCP(testutil.Loopback(testutil.FreePort(t)))
	sections := `
global
    nbthread 2
listen main
    bind {at}
    server s1 {server}
`
	g := startLineage(t, sections, "at", at.Addr, "server", l.Addr())
	mix := live.Mix{Streams: 20, Talkers: 20, Idle: 6, HalfClosed: 4, Stuffed: 3, Bandwidth: 4 << 20, RoundTrips: 100}
	l.Hold()
	mustOpen(t, l, mix, at)
	var old []*testutil.Process
	for range 3 {
		old = append(old, g.replace())
		if err := l.AwaitProgress(live.Guard); err != nil {
			t.Fatal(err)
		}
	}
	r := l.Finish()
	judge(t, r)
	for _, p := range old {
		p.WaitCode(t, 0)
	}
	g.waitInfo(t, "CurrConns", 0)
	g.judgeLog(r.Sessions)
}

// The way that an operator goes: in the background, by the pid file.
func TestReloadDaemon(t *testing.T) {
	needHandover(t)
	l := mustLoad(t)
	at := live.TCP(testutil.Loopback(testutil.FreePort(t)))
	p := prepare(t, `
listen main
    bind {at}
    server s1 {server}
`, "at", at.Addr, "server", l.Addr())
	start := func(args ...string) int {
		cmd := exec.Command(program.path, append([]string{"-D", "-f", p.cfg, "-p", "pid"}, args...)...)
		cmd.Dir = p.dir
		testutil.Run(t, 0, cmd) // it leaves only when the daemon is at work
		pid := mustInt(t, strings.TrimSpace(mustRead(t, filepath.Join(p.dir, "pid"))))
		endDaemon(t, pid)
		return pid
	}
	pid := start()
	mustOpen(t, l, live.Mix{Talkers: 4, Streams: 4, Idle: 2, Bandwidth: 1 << 20, RoundTrips: 50}, at)
	storm := startStorm(t, l, 50, at)
	for range 3 {
		wanted := storm.Connections() + perReload
		testutil.Eventually(t, "the storm blows", func() bool { return storm.Connections() >= wanted })
		old := pid
		pid = start("-sf", mustRead(t, filepath.Join(p.dir, "pid")))
		if pid == old {
			t.Fatal("the pid file still names the old process")
		}
		testutil.AwaitEnd(t, old)
		if err := l.AwaitProgress(live.Guard); err != nil {
			t.Fatal(err)
		}
	}
	shorts := storm.Stop() // before the server ends
	judge(t, l.Finish(), shorts)
}
