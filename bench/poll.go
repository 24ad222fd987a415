package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"time"

	"github.com/penstock/penstock/bench/peers"
	"github.com/penstock/penstock/bench/place"
	"github.com/penstock/penstock/bench/pollers"
	"github.com/penstock/penstock/bench/report"
	"github.com/penstock/penstock/netio"
)

// poll compares what pollers of the stats socket do to the round trips through penstock and haproxy.
func poll(ctx context.Context, args []string, out, errs io.Writer) int {
	fs := flag.NewFlagSet("pollers", flag.ContinueOnError)
	fs.SetOutput(errs)
	fs.Usage = func() {
		fmt.Fprint(errs, usage)
		fs.PrintDefaults()
	}
	var o pollers.Options
	var peerFlags list
	fs.Var(&peerFlags, "peer", "`name=command` of penstock or haproxy, in place of the one that is found")
	put := fs.String("put", "", "put the table between the marks of this `document` too")
	fs.IntVar(&o.Rounds, "rounds", 15, "rounds, each with a window with pollers and one without, of each proxy")
	fs.DurationVar(&o.Window, "window", 2*time.Second, "length of a window")
	fs.DurationVar(&o.WarmUp, "warm-up", 200*time.Millisecond, "time before each window")
	fs.IntVar(&o.Conns, "conns", 50, "connections with round trips")
	fs.IntVar(&o.Sessions, "sessions", 5000, "sessions at rest")
	fs.IntVar(&o.Stat, "stat", 50, "clients that ask for show stat")
	fs.IntVar(&o.Sess, "sess", 10, "clients that ask for show sess all")
	fs.DurationVar(&o.Every, "every", time.Second, "how often each asks; 0: as soon as it has the answer")
	if err := fs.Parse(args); err != nil {
		if errors.Is(err, flag.ErrHelp) {
			return exitOK
		}
		return exitUsage
	}
	if fs.NArg() > 0 || min(o.Rounds, o.Conns, o.Stat+o.Sess) < 1 || min(o.Sessions, o.Stat, o.Sess) < 0 || o.Window <= 0 || min(o.WarmUp, o.Every) < 0 {
		fmt.Fprintln(errs, "bench: pollers: rounds, window, connections and clients above zero, and no words after the flags")
		return exitUsage
	}
	results, err := comparePollers(ctx, errs, &o, peerFlags)
	var table string
	if err == nil {
		host := report.ThisHost()
		table = report.PollersTable(&host, o.About(), results)
		_, err = io.WriteString(out, table)
	}
	if err == nil && *put != "" {
		err = report.Put(*put, "pollers", table)
	}
	if err != nil {
		fmt.Fprintln(errs, "bench:", err)
		return exitHarness
	}
	return exitOK
}

func comparePollers(ctx context.Context, errs io.Writer, o *pollers.Options, overrides []string) (results []report.Pollers, err error) {
	cpus, err := netio.UsableCPUs()
	if err != nil {
		return nil, err
	}
	o.Place = place.Apart(cpus)
	if o.Dir, err = os.MkdirTemp("", "penstock-bench-"); err != nil {
		return nil, err
	}
	defer os.RemoveAll(o.Dir)
	line := newProgress(errs)
	defer line.clear()
	o.Progress = line.show
	line.show("building penstock")
	list, err := peers.Find(ctx, "..", o.Dir, []string{peers.Penstock, peers.HAProxy}, overrides)
	if err != nil {
		return nil, err
	}
	if err := o.Place.Confine(); err != nil {
		return nil, err
	}
	return pollers.Run(ctx, o, list)
}
