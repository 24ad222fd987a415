package admin

import (
	"bytes"
	"strconv"
	"strings"

	"github.com/penstock/penstock/internal/engine"
	"github.com/penstock/penstock/internal/runtimeapi"
	"github.com/penstock/penstock/internal/stats"
)

func statCommands(e func() *engine.Engine) []runtimeapi.Command {
	return []runtimeapi.Command{
		{
			Words: []string{"show", "stat"}, Usage: "show stat [<proxy> <type> <id>] [desc|json|no-maint|typed|up]*",
			Help: "show the counters of proxies, servers and listeners",
			Run:  func(r *runtimeapi.Request) { showStat(e(), r) },
		},
		{
			Words: []string{"clear", "counters"}, Usage: "clear counters [all] [server <bk>/<srv>]", Level: runtimeapi.LevelOperator,
			Help: "forget the highest values, or all counters, of all or of one server", Example: "clear counters all server be/s1",
			Run: func(r *runtimeapi.Request) { clearCounters(e(), r) },
		},
	}
}

// showStat ignores words that it does not know, as HAProxy does. Three words or more begin with a selection.
func showStat(e *engine.Engine, r *runtimeapi.Request) {
	args, sel := r.Args, stats.Everything
	if len(args) >= 2 && args[0] == "domain" {
		if args[1] != "proxy" {
			r.Fail("Invalid statistics domain.")
			return
		}
		args = args[2:]
	}
	if len(args) >= 3 {
		id, ok := e.ProxyID(args[0])
		if !ok {
			id = leadingNumber(args[0])
		}
		if id == 0 {
			r.Fail("No such proxy.")
			return
		}
		sel.Proxy, sel.Types, sel.ID = id, leadingNumber(args[1]), leadingNumber(args[2])
		args = args[3:]
	}
	typed, json, described := false, false, false
	for _, word := range args {
		switch word {
		case "typed":
			typed, json = true, false
		case "json":
			typed, json = false, true
		case "desc":
			described = true
		case "no-maint":
			sel.NoMaint = true
		case "up":
			sel.Up = true
		}
	}
	rows := e.Stat(sel)
	var out bytes.Buffer
	switch {
	case json:
		stats.AppendJSON(&out, rows)
	case typed:
		stats.AppendTyped(&out, rows, described)
	default:
		stats.AppendCSV(&out, rows)
	}
	_, _ = r.Write(out.Bytes())
}

// leadingNumber is the number that a word begins with, 0 without one.
func leadingNumber(word string) int {
	end := len(word) - len(strings.TrimLeft(strings.TrimPrefix(word, "-"), "0123456789"))
	n, err := strconv.ParseInt(word[:end], 10, 32)
	if err != nil {
		return 0
	}
	return int(n)
}

func clearCounters(e *engine.Engine, r *runtimeapi.Request) {
	all := len(r.Args) > 0 && r.Args[0] == "all"
	if all && r.Level() < runtimeapi.LevelAdmin {
		r.Fail("Permission denied")
		return
	}
	args := r.Args
	if all {
		args = args[1:]
	}
	if len(args) == 0 || args[0] != "server" {
		e.ClearCounters(all)
		return
	}
	e.Steady(func() {
		ref := ""
		if len(args) > 1 {
			ref = args[1]
		}
		if t, ok := findTargetNamed(e, r, ref, true); ok {
			e.ClearServer(t.proxy, t.server, all)
		}
	})
}
