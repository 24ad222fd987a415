package admin

import (
	"bytes"
	"fmt"
	"runtime/debug"
	"strconv"
	"strings"
	"time"

	"github.com/penstock/penstock/internal/engine"
	"github.com/penstock/penstock/internal/runtimeapi"
	"github.com/penstock/penstock/internal/session"
)

// internalCommands show what the process is made of, for whoever looks for a fault. Their form is nobody's contract.
func internalCommands(e func() *engine.Engine) []runtimeapi.Command {
	on := func(f func(*engine.Engine, *runtimeapi.Request)) func(*runtimeapi.Request) {
		return func(r *runtimeapi.Request) { f(e(), r) }
	}
	return []runtimeapi.Command{
		{Words: []string{"show", "activity"}, Usage: "show activity", Help: "show what each worker has done", Run: on(showActivity)},
		{
			Words: []string{"show", "errors"}, Usage: "show errors [<px>] [request|response]", Level: runtimeapi.LevelOperator,
			Help: "show the protocol errors that were caught; there are none in TCP", Run: on(showErrors),
		},
		{Words: []string{"show", "events"}, Usage: "show events [<sink>]", Help: "list the event sinks; there are none", Run: showEvents},
		{
			Words: []string{"show", "fd"}, Usage: "show fd [<n>]", Level: runtimeapi.LevelOperator,
			Help: "list the descriptors of listeners and sessions", Run: on(showFD),
		},
		{Words: []string{"show", "libs"}, Usage: "show libs", Level: runtimeapi.LevelOperator, Help: "list the modules that the program is made of", Run: showLibs},
		{Words: []string{"show", "pools"}, Usage: "show pools", Help: "show the memory that sessions use", Run: on(showPools)},
		{Words: []string{"show", "threads"}, Usage: "show threads", Help: "show the workers", Run: on(showThreads)},
		{
			Words: []string{"wait"}, Usage: "wait <delay> [srv-removable <bk>/<srv>]", Example: "wait 10s srv-removable be/s1",
			Help: "wait that long (ms), or until the server can be deleted", Run: on(wait),
		},
	}
}

// showActivity prints a line for each figure: the sum, and the workers' in brackets.
func showActivity(e *engine.Engine, r *runtimeapi.Request) {
	all := e.Resources()
	r.Reply("thread_id: 1 (1..%d)", len(all))
	now := time.Now()
	r.Reply("date_now: %d.%06d", now.Unix(), now.Nanosecond()/1000)
	for _, figure := range []struct {
		name  string
		value func(*session.Resources) uint64
	}{
		{"loops", func(w *session.Resources) uint64 { return uint64(w.Rounds) }},
		{"sessions", func(w *session.Resources) uint64 { return uint64(w.Sessions) }},
		{"runnable", func(w *session.Resources) uint64 { return uint64(w.Runnable) }},
		{"timers", func(w *session.Resources) uint64 { return uint64(w.Timers) }},
		{"bytes_out", func(w *session.Resources) uint64 { return w.BytesOut }},
		{"spliced_bytes_out", func(w *session.Resources) uint64 { return w.SplicedOut }},
	} {
		var each strings.Builder
		sum := uint64(0)
		for i := range all {
			v := figure.value(&all[i])
			sum += v
			each.WriteString(" " + strconv.FormatUint(v, 10))
		}
		r.Reply("%s: %d [%s ]", figure.name, sum, each.String())
	}
}

func showErrors(e *engine.Engine, r *runtimeapi.Request) {
	if len(r.Args) > 0 && r.Args[0] != "request" && r.Args[0] != "response" && r.Args[0] != "-1" {
		_, frontend := e.ProxyName(r.Args[0], true)
		_, backend := e.ProxyName(r.Args[0], false)
		if !frontend && !backend {
			r.Fail("No such proxy.")
			return
		}
	}
	r.Reply("Total events captured on [%s] : 0", time.Now().Format("02/Jan/2006:15:04:05.000"))
}

func showEvents(r *runtimeapi.Request) {
	if len(r.Args) > 0 && !strings.HasPrefix(r.Args[0], "-") {
		if r.Level() < runtimeapi.LevelOperator {
			r.Fail("Permission denied")
			return
		}
		r.Fail("No such event sink")
		return
	}
	r.Reply("Supported events sinks are listed below. Add -0(zero), -w(wait), -n(new). Any key to stop.")
}

func showFD(e *engine.Engine, r *runtimeapi.Request) {
	only := -1
	if len(r.Args) > 0 {
		n, err := strconv.Atoi(r.Args[0])
		if err != nil || n < 0 {
			r.Fail("'show fd' expects the number of a descriptor, not '%s'.", r.Args[0])
			return
		}
		only = n
	}
	var text bytes.Buffer
	line := func(fd int, format string, args ...any) {
		if fd >= 0 && (only < 0 || fd == only) {
			fmt.Fprintf(&text, "%7d : "+format+"\n", append([]any{fd}, args...)...)
		}
	}
	for _, l := range e.ListenerViews() {
		line(l.FD, "listener worker=%d fe=%s name=%s id=%d addr=%s", l.Worker+1, l.Frontend, orNone(l.Name, "?"), l.ID, new(sheet).addr("", &l.Addr).b)
	}
	e.Views(func(batch []session.View) bool {
		for i := range batch {
			v := &batch[i]
			line(v.Client.FD, "client worker=%d sess=0x%x fe=%s peer=%s state=%s", v.Worker+1, uint64(v.ID), v.Frontend, new(sheet).addr("", &v.Peer).b, v.State)
			line(v.Far.FD, "server worker=%d sess=0x%x sv=%s/%s state=%s", v.Worker+1, uint64(v.ID), v.Backend, v.Server, v.State)
		}
		_, err := r.Write(text.Bytes())
		text.Reset()
		return err == nil
	})
	_, _ = r.Write(text.Bytes()) // who is gone gets nothing
}

func showLibs(r *runtimeapi.Request) {
	info, ok := debug.ReadBuildInfo()
	if !ok {
		return
	}
	r.Reply("%s", info.GoVersion)
	for _, m := range info.Deps {
		r.Reply("%s %s", m.Path, m.Version)
	}
}

func showPools(e *engine.Engine, r *runtimeapi.Request) {
	var sessions, used, buffers, buffersUsed, pipes, pipesUsed int
	var size session.Resources
	for _, w := range e.Resources() {
		size = w
		sessions, used = sessions+w.SessionSlots, used+w.Sessions
		buffers, buffersUsed = buffers+w.Buffers, buffersUsed+w.BuffersUsed
		pipes, pipesUsed = pipes+w.Pipes, pipesUsed+w.PipesUsed
	}
	r.Reply("Dumping pools usage.")
	total, totalUsed := 0, 0
	for _, p := range []struct {
		name               string
		bytes, count, used int
	}{
		{"session", size.SessionBytes, sessions, used},
		{"buffer", size.BufferBytes, buffers, buffersUsed},
		{"pipe", size.PipeBytes, pipes, pipesUsed},
	} {
		r.Reply("  - Pool %s (%d bytes) : %d allocated (%d bytes), %d used", p.name, p.bytes, p.count, p.bytes*p.count, p.used)
		total, totalUsed = total+p.bytes*p.count, totalUsed+p.bytes*p.used
	}
	r.Reply("Total: 3 pools, %d bytes allocated, %d used.", total, totalUsed)
}

func showThreads(e *engine.Engine, r *runtimeapi.Request) {
	for _, w := range e.Resources() {
		where := "any CPU"
		if cpu, ok := e.WorkerCPU(w.Worker); ok {
			where = fmt.Sprintf("CPU %d", cpu)
		}
		r.Reply("  Thread %d : %s, sessions=%d runnable=%d timers=%d loops=%d pipes=%d/%d buffers=%d/%d",
			w.Worker+1, where, w.Sessions, w.Runnable, w.Timers, w.Rounds, w.PipesUsed, w.Pipes, w.BuffersUsed, w.Buffers)
	}
}

// removablePoll is how often wait looks whether its server has no session left.
const removablePoll = 20 * time.Millisecond

func wait(e *engine.Engine, r *runtimeapi.Request) {
	if len(r.Args) == 0 {
		r.Fail("Expects a duration in milliseconds.")
		return
	}
	delay, ok := runtimeapi.Delay(r.Args[0], time.Millisecond)
	if !ok {
		r.Fail("Invalid duration.")
		return
	}
	if len(r.Args) == 1 {
		if r.Sleep(delay) {
			r.Message(runtimeapi.SeverityInfo, "Done.")
		}
		return
	}
	if r.Args[1] != "srv-removable" {
		r.Fail("Unknown condition '%s', expecting srv-removable <backend>/<server>.", r.Args[1])
		return
	}
	if len(r.Args) == 2 {
		r.Fail("Missing server name (<backend>/<server>).")
		return
	}
	backend, server, err := findServer(e, r.Args[2])
	if err != nil {
		r.Fail("%v", err)
		return
	}
	for end := time.Now().Add(delay); ; {
		maintenance, idle := e.Removable(backend, server)
		switch {
		case !maintenance:
			r.Fail("Failed. Only servers in maintenance mode can be deleted.")
			return
		case idle:
			r.Message(runtimeapi.SeverityInfo, "Done.")
			return
		case !time.Now().Before(end):
			r.Fail("Failed. Server still has connections attached to it, cannot remove it.")
			return
		}
		if !r.Sleep(removablePoll) {
			return
		}
	}
}
