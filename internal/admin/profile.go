package admin

import (
	"os"
	"runtime"
	"strings"

	"github.com/penstock/penstock/internal/engine"
	"github.com/penstock/penstock/internal/runtimeapi"
)

// developerCommands are those that HAProxy's developers ask for. Nothing is profiled here by command, and the tasks of the
// workers are their sessions.
func developerCommands(e func() *engine.Engine) []runtimeapi.Command {
	return []runtimeapi.Command{
		{
			Words: []string{"set", "profiling"}, Usage: "set profiling <what> {auto|on|off}", Level: runtimeapi.LevelAdmin,
			Help: "accepted; nothing is profiled", Example: "set profiling tasks off", Run: setProfiling,
		},
		{Words: []string{"show", "dev"}, Usage: "show dev", Help: "show what the program runs on", Level: runtimeapi.LevelOperator, Run: func(r *runtimeapi.Request) { showDev(e(), r) }},
		{Words: []string{"show", "profiling"}, Usage: "show profiling [<what>]*", Level: runtimeapi.LevelAdmin, Help: "show that nothing is profiled", Run: showProfiling},
		{Words: []string{"show", "tasks"}, Usage: "show tasks", Help: "show how many sessions have something to do", Run: func(r *runtimeapi.Request) { showTasks(e(), r) }},
	}
}

func setProfiling(r *runtimeapi.Request) {
	to := arg(r, 1)
	switch arg(r, 0) {
	case "tasks":
		if to != "on" && to != "auto" && to != "off" {
			r.Fail("Expects 'on', 'auto', or 'off'.")
		}
	case "memory":
		r.Fail("Memory profiling not compiled in.")
	default:
		r.Fail("Expects either 'tasks' or 'memory'.")
	}
}

func showProfiling(r *runtimeapi.Request) {
	if arg(r, 0) == "memory" {
		return
	}
	r.Reply("Per-task CPU profiling              : off           # set profiling tasks {on|auto|off}")
	r.Reply("Memory usage profiling              : off           # set profiling memory {on|off}")
	r.Reply("Tasks activity:\n  function                      calls   cpu_tot   cpu_avg   lat_tot   lat_avg")
}

func showTasks(e *engine.Engine, r *runtimeapi.Request) {
	runnable, workers := 0, e.Resources()
	for i := range workers {
		runnable += workers[i].Runnable
	}
	r.Reply("Running tasks: %d (%d threads)\n  function                     places     %%    lat_tot   lat_avg", runnable, len(workers))
}

func showDev(e *engine.Engine, r *runtimeapi.Request) {
	r.Reply("Platform info")
	r.Reply("  program: %s %s/%s", runtime.Version(), runtime.GOOS, runtime.GOARCH)
	if text, err := os.ReadFile("/proc/sys/kernel/osrelease"); err == nil { // in a chroot there is none
		r.Reply("  kernel: %s", strings.TrimSpace(string(text)))
	}
	r.Reply("Process info")
	r.Reply("  pid: %d", os.Getpid())
	r.Reply("  cpus: %d, workers: %d", runtime.NumCPU(), len(e.Loads()))
	r.Reply("  uid: %d, gid: %d", os.Geteuid(), os.Getegid())
}
