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

const usage = `usage: go run . short [flags]

Measures round trips, connections, streams and idle memory of every peer within a minute.

`

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	code := command(ctx, os.Args[1:], os.Stdout, os.Stderr)
	stop()
	os.Exit(code)
}

// list is a flag that may be given several times, or once with commas.
type list []string

func (l *list) String() string { return strings.Join(*l, ",") }

func (l *list) Set(s string) error {
	*l = append(*l, s)
	return nil
}

func command(ctx context.Context, args []string, out, errs io.Writer) int {
	fs := flag.NewFlagSet("short", flag.ContinueOnError)
	fs.SetOutput(errs)
	fs.Usage = func() {
		fmt.Fprint(errs, usage)
		fs.PrintDefaults()
	}
	var peerFlags, scenarioFlags list
	fs.Var(&peerFlags, "peer", "`name=command` of a proxy that takes -f haproxy.cfg -db; a known name replaces its command")
	fs.Var(&scenarioFlags, "scenario", "only scenarios whose `name` begins so; may be repeated")
	rounds := fs.Int("rounds", 5, "rounds of every peer and scenario")
	window := fs.Duration("window", 400*time.Millisecond, "measured time of a window")
	warmUp := fs.Duration("warm-up", 100*time.Millisecond, "time before each window")
	budget := fs.Duration("budget", 55*time.Second, "begin no round that would end after this time; 0: no limit")
	jsonFile := fs.String("json", "", "write all samples to this `file`")
	calls := fs.Bool("calls", false, "count system calls too, with strace, after the rounds (takes longer)")
	if len(args) == 0 || args[0] != "short" {
		fs.Usage()
		return exitUsage
	}
	if err := fs.Parse(args[1:]); err != nil {
		if errors.Is(err, flag.ErrHelp) {
			return exitOK
		}
		return exitUsage
	}
	chosen, err := scenarios.Select(scenarios.Short(), scenarioFlags)
	if err == nil && (fs.NArg() > 0 || *rounds < 1 || *window <= 0 || *warmUp < 0) {
		err = errors.New("rounds and window must be above zero, and no words may follow the flags")
	}
	if err != nil {
		fmt.Fprintln(errs, "bench:", err)
		return exitUsage
	}
	rep, err := measure(ctx, errs, peerFlags, scenarios.Options{
		Scenarios: chosen, Rounds: *rounds, WarmUp: *warmUp, Window: *window, Budget: *budget, Calls: *calls,
	})
	if err == nil {
		err = rep.Markdown(out)
	}
	if err == nil && *jsonFile != "" {
		err = writeJSON(rep, *jsonFile)
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

// measure finds the peers, places everybody and runs.
func measure(ctx context.Context, errs io.Writer, overrides []string, o scenarios.Options) (*report.Report, error) {
	cpus, err := netio.UsableCPUs()
	if err != nil {
		return nil, err
	}
	if o.Dir, err = os.MkdirTemp("", "penstock-bench-"); err != nil {
		return nil, err
	}
	defer os.RemoveAll(o.Dir)
	line := newProgress(errs)
	defer line.clear()
	o.Progress = line.show
	line.show("building penstock")
	if o.Peers, err = peers.Find(ctx, "..", o.Dir, overrides); err != nil {
		return nil, err
	}
	o.Reference = peers.HAProxy
	o.Place = scenarios.Place(cpus)
	if err := o.Place.Confine(); err != nil {
		return nil, err
	}
	return scenarios.Run(ctx, o)
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
