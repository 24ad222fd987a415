// Command bench measures what a proxy costs, next to other proxies, on this machine.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"strings"
	"syscall"
	"time"

	"github.com/penstock/penstock/bench/peers"
	"github.com/penstock/penstock/bench/place"
	"github.com/penstock/penstock/bench/report"
	"github.com/penstock/penstock/bench/scenarios"
	"github.com/penstock/penstock/netio"
)

// Exit codes. Nothing is failed for being slow.
const (
	exitOK      = 0
	exitTraffic = 1 // a proxy lost, changed or refused something
	exitUsage   = 2
	exitHarness = 3 // the benchmark itself could not go on
)

const usage = `usage: go run . all [flags]                      every scenario and peer: some minutes
       go run . short [flags]                    the most important: under a minute
       go run . compare before.json after.json   how two runs differ
       go run . readme run.json README.md        put a run's summary between the marks of a document
       go run . reload [flags]                   what reloads do to live sessions, some minutes
       go run . pollers [flags]                  what those who poll the stats socket do to round trips, some minutes

`

// mode is what "all" and "short" differ in.
type mode struct {
	scenarios func() []scenarios.Scenario
	peers     []string // of the known ones; none: all
	rounds    int
	window    time.Duration
	budget    time.Duration
	calls     bool
}

var modes = map[string]mode{
	"all": {scenarios: scenarios.All, rounds: 3, window: 400 * time.Millisecond, calls: true},
	"short": {
		scenarios: scenarios.Short, peers: []string{peers.Penstock, peers.HAProxy, peers.Bare},
		rounds: 5, window: 400 * time.Millisecond, budget: 55 * time.Second,
	},
}

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	code := command(ctx, os.Args[1:], os.Stdout, os.Stderr)
	stop()
	os.Exit(code)
}

// list is a flag that may be given several times.
type list []string

func (l *list) String() string { return strings.Join(*l, ",") }

func (l *list) Set(s string) error {
	*l = append(*l, s)
	return nil
}

func command(ctx context.Context, args []string, out, errs io.Writer) int {
	name := ""
	if len(args) > 0 {
		name, args = args[0], args[1:]
	}
	m, known := modes[name]
	switch {
	case name == "compare":
		return compare(args, out, errs)
	case name == "readme":
		return readme(args, errs)
	case name == "reload":
		return reloads(ctx, args, out, errs)
	case name == "pollers":
		return poll(ctx, args, out, errs)
	case !known:
		fmt.Fprint(errs, usage)
		return exitUsage
	}
	fs := flag.NewFlagSet(name, flag.ContinueOnError)
	fs.SetOutput(errs)
	fs.Usage = func() {
		fmt.Fprint(errs, usage)
		fs.PrintDefaults()
	}
	var peerFlags, onlyFlags, scenarioFlags, globalFlags list
	fs.Var(&peerFlags, "peer", "`name=command` of a proxy that takes -f haproxy.cfg -db; a known name replaces its command")
	fs.Var(&onlyFlags, "only", "of the known peers only this `name`; may be repeated")
	fs.Var(&globalFlags, "global", "`name=line` for the global section of that peer's configuration; may be repeated")
	fs.Var(&scenarioFlags, "scenario", "only scenarios whose `name` begins so; may be repeated")
	rounds := fs.Int("rounds", m.rounds, "rounds of every peer and scenario")
	window := fs.Duration("window", m.window, "measured time of a window")
	warmUp := fs.Duration("warm-up", 100*time.Millisecond, "time before each window")
	budget := fs.Duration("budget", m.budget, "begin no round that would end after this time; 0: no limit")
	congestion := fs.String("congestion", "cubic", "congestion control of all sockets, if we may make a network namespace; cubic is Linux's default")
	lab := fs.Bool("lab", false, "in three network namespaces joined by veth instead of the loopback; needs root")
	jsonFile := fs.String("json", "", "write all samples to this `file`")
	plots := fs.String("plots", "", "write charts, as SVG, into this `folder`")
	calls := fs.Bool("calls", m.calls, "count system calls too, with strace, after the rounds (takes longer)")
	if err := fs.Parse(args); err != nil {
		if errors.Is(err, flag.ErrHelp) {
			return exitOK
		}
		return exitUsage
	}
	chosen, err := scenarios.Select(m.scenarios(), scenarioFlags)
	global, errGlobal := globals(globalFlags)
	if err = errors.Join(err, errGlobal); err == nil && (fs.NArg() > 0 || *rounds < 1 || *window <= 0 || *warmUp < 0) {
		err = errors.New("rounds and window must be above zero, and no words may follow the flags")
	}
	if err != nil {
		fmt.Fprintln(errs, "bench:", err)
		return exitUsage
	}
	if len(onlyFlags) > 0 {
		m.peers = onlyFlags
	}
	rep, err := measure(ctx, errs, m.peers, peerFlags, *lab, *congestion, scenarios.Options{
		Scenarios: chosen, Rounds: *rounds, WarmUp: *warmUp, Window: *window, Budget: *budget, Calls: *calls, Global: global,
	})
	if errors.Is(err, place.ErrNoLab) {
		fmt.Fprintln(out, "SKIPPED:", err)
		return exitOK
	}
	if err == nil {
		err = rep.Markdown(out)
	}
	if err == nil && *jsonFile != "" {
		err = writeJSON(rep, *jsonFile)
	}
	if err == nil && *plots != "" {
		err = rep.Plots(*plots)
	}
	if err != nil {
		fmt.Fprintln(errs, "bench:", err)
		return exitHarness
	}
	if len(rep.Failures) > 0 {
		return exitTraffic
	}
	return exitOK
}

// globals sorts the lines of --global by peer.
func globals(flags []string) (map[string][]string, error) {
	out := map[string][]string{}
	for _, f := range flags {
		name, line, ok := strings.Cut(f, "=")
		if !ok || name == "" || line == "" {
			return nil, fmt.Errorf("global %q: want name=line", f)
		}
		out[name] = append(out[name], line)
	}
	return out, nil
}

// readme puts the summary of a run into a document.
func readme(args []string, errs io.Writer) int {
	if len(args) != 2 {
		fmt.Fprint(errs, usage)
		return exitUsage
	}
	rep, err := load(args[0])
	if err == nil {
		err = rep.PutSummary(args[1])
	}
	if err != nil {
		fmt.Fprintln(errs, "bench:", err)
		return exitHarness
	}
	return exitOK
}

// load reads the samples of a run.
func load(name string) (*report.Report, error) {
	f, err := os.Open(name)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	rep, err := report.Read(f)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", name, err)
	}
	return rep, nil
}

// compare shows how two runs differ.
func compare(files []string, out, errs io.Writer) int {
	if len(files) != 2 {
		fmt.Fprint(errs, usage)
		return exitUsage
	}
	var reps [2]*report.Report
	for i, name := range files {
		var err error
		if reps[i], err = load(name); err != nil {
			fmt.Fprintln(errs, "bench:", err)
			return exitHarness
		}
	}
	if err := report.Compare(out, reps[0], reps[1]); err != nil {
		fmt.Fprintln(errs, "bench:", err)
		return exitHarness
	}
	return exitOK
}

// measure finds the peers, places everybody and runs.
func measure(ctx context.Context, errs io.Writer, names, overrides []string, lab bool, congestion string, o scenarios.Options) (rep *report.Report, err error) {
	if o.CPUs, err = netio.UsableCPUs(); err != nil {
		return nil, err
	}
	o.Place = place.Apart(o.CPUs)
	network, err := openNetwork(lab, congestion, &o.Place)
	if err != nil {
		return nil, err
	}
	if network != nil {
		defer func() { err = errors.Join(err, network.Close()) }()
	}
	if o.Dir, err = os.MkdirTemp("", "penstock-bench-"); err != nil {
		return nil, err
	}
	defer os.RemoveAll(o.Dir)
	line := newProgress(errs)
	defer line.clear()
	o.Progress = line.show
	line.show("building the peers of this repository")
	if o.Peers, err = peers.Find(ctx, "..", o.Dir, names, overrides); err != nil {
		return nil, err
	}
	o.Reference, o.Limit = peers.HAProxy, peers.Bare
	if err := o.Place.Confine(); err != nil {
		return nil, err
	}
	return scenarios.Run(ctx, o)
}

// openNetwork gives the parties the network that they share; nil is the machine's.
func openNetwork(lab bool, congestion string, p *place.Placement) (io.Closer, error) {
	if lab {
		return place.OpenLab("../scripts/netns-lab", congestion, p)
	}
	if n, err := place.OpenNet(congestion, p); n != nil || err != nil {
		return n, err
	}
	return nil, nil
}

func writeJSON(rep *report.Report, name string) error {
	f, err := os.Create(name)
	if err != nil {
		return err
	}
	return errors.Join(rep.JSON(f), f.Close())
}

// progress is one line that is written over on a terminal, and line after line elsewhere.
type progress struct {
	w        io.Writer
	terminal bool
	began    time.Time
}

func newProgress(w io.Writer) *progress {
	p := &progress{w: w, began: time.Now()}
	if f, ok := w.(*os.File); ok {
		info, err := f.Stat()
		p.terminal = err == nil && info.Mode()&os.ModeCharDevice != 0
	}
	return p
}

func (p *progress) show(line string) {
	begin, end := "", "\n"
	if p.terminal {
		begin, end = "\r\x1b[K", ""
	}
	fmt.Fprintf(p.w, "%s%4.1f s  %s%s", begin, time.Since(p.began).Seconds(), line, end)
}

func (p *progress) clear() {
	if p.terminal {
		fmt.Fprint(p.w, "\r\x1b[K")
	}
}
