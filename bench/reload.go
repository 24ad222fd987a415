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
	"github.com/penstock/penstock/bench/reload"
	"github.com/penstock/penstock/bench/report"
	"github.com/penstock/penstock/netio"
)

// reloads compares what reloads do to the clients of penstock and haproxy.
func reloads(ctx context.Context, args []string, out, errs io.Writer) int {
	fs := flag.NewFlagSet("reload", flag.ContinueOnError)
	fs.SetOutput(errs)
	fs.Usage = func() {
		fmt.Fprint(errs, usage)
		fs.PrintDefaults()
	}
	o := reload.Options{Threads: 2}
	var peerFlags list
	fs.Var(&peerFlags, "peer", "`name=command` of penstock or haproxy, in place of the one that is found")
	put := fs.String("put", "", "put the table between the marks of this `document` too")
	fs.IntVar(&o.Reloads, "reloads", 10, "reloads of each proxy")
	fs.IntVar(&o.Idle, "idle", 200, "sessions at rest, opened between the reloads")
	fs.IntVar(&o.Talkers, "ping-pong", 50, "sessions with round trips")
	fs.IntVar(&o.Streams, "streams", 10, "sessions that stream both ways")
	fs.IntVar(&o.Storm, "storm", 100, "short connections a second")
	fs.DurationVar(&o.Settle, "settle", 2*time.Second, "how long an old process may take to leave before the next reload")
	if err := fs.Parse(args); err != nil {
		if errors.Is(err, flag.ErrHelp) {
			return exitOK
		}
		return exitUsage
	}
	if fs.NArg() > 0 || min(o.Reloads, o.Storm) < 1 || min(o.Idle, o.Talkers, o.Streams) < 0 || o.Reloads > 1000 || o.Storm > 2000 || o.Settle <= 0 {
		fmt.Fprintln(errs, "bench: reload: 1 to 1000 reloads, 1 to 2000 short connections a second, and no words after the flags")
		return exitUsage
	}
	results, err := compareReloads(ctx, errs, &o, peerFlags)
	var table string
	if err == nil {
		host := report.ThisHost()
		table = report.ReloadTable(&host, o.About(), results)
		_, err = io.WriteString(out, table)
	}
	if err == nil && *put != "" {
		err = report.Put(*put, "reload", table)
	}
	if err != nil {
		fmt.Fprintln(errs, "bench:", err)
		return exitHarness
	}
	for _, r := range results {
		if r.Peer == report.Judged && r.Lost+r.Cut > 0 {
			return exitTraffic
		}
	}
	return exitOK
}

// compareReloads does the reloads to one proxy after the other.
func compareReloads(ctx context.Context, errs io.Writer, o *reload.Options, overrides []string) (results []report.Reload, err error) {
	cpus, err := netio.UsableCPUs()
	if err != nil {
		return nil, err
	}
	o.Where = place.Apart(cpus).Proxy
	o.Where.CPUs = cpus
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
	for i := range list {
		if list[i].Kind != peers.HAProxyLike {
			continue
		}
		r, err := reload.Run(ctx, o, &list[i])
		if err != nil {
			return nil, err
		}
		results = append(results, r)
	}
	return results, nil
}
