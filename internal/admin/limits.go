package admin

import (
	"github.com/penstock/penstock/internal/config"
	"github.com/penstock/penstock/internal/engine"
	"github.com/penstock/penstock/internal/runtimeapi"
)

// limitCommands are the commands that change limits.
func limitCommands(e func() *engine.Engine) []runtimeapi.Command {
	of := func(f func(e *engine.Engine, r *runtimeapi.Request)) func(*runtimeapi.Request) {
		return func(r *runtimeapi.Request) { f(e(), r) }
	}
	return []runtimeapi.Command{
		{Words: []string{"set", "maxconn", "frontend"}, Usage: "set maxconn frontend <frontend> <value>", Example: "set maxconn frontend fe 5000", Help: "change the connection limit of a frontend", Level: runtimeapi.LevelAdmin, Run: of(setMaxConnFrontend)},
		{Words: []string{"set", "maxconn", "global"}, Usage: "set maxconn global <value>", Example: "set maxconn global 20000", Help: "change the connection limit of the process", Level: runtimeapi.LevelAdmin, Run: of(setMaxConnGlobal)},
		{Words: []string{"set", "maxconn", "server"}, Usage: "set maxconn server <bk>/<srv> <value>", Example: "set maxconn server be/s1 100", Help: "change the connection limit of a server", Level: runtimeapi.LevelAdmin, Run: of(setMaxConnServer)},
		{Words: []string{"set", "rate-limit"}, Usage: "set rate-limit <setting> <value>", Example: "set rate-limit connections global 1000", Help: "change a rate limit", Level: runtimeapi.LevelAdmin, Run: of(setRateLimit)},
	}
}

func setMaxConnServer(e *engine.Engine, r *runtimeapi.Request) {
	e.Steady(func() { setMaxConnOf(e, r) })
}

func setMaxConnOf(e *engine.Engine, r *runtimeapi.Request) {
	t, ok := findTarget(e, r)
	if !ok {
		return
	}
	if complaint := t.backend().RequestMaxConn(t.server, arg(r, 1)); complaint != "" {
		r.Fail("%s", complaint)
	}
}

func setMaxConnFrontend(e *engine.Engine, r *runtimeapi.Request) {
	proxy, ok := findFrontend(e, r)
	if !ok {
		return
	}
	n, _ := leading(arg(r, 1))
	switch {
	case arg(r, 1) == "":
		r.Fail("Integer value expected.")
	case n < 0:
		r.Fail("Value out of range.")
	default:
		e.SetFrontendMaxConn(proxy, n)
	}
}

func setMaxConnGlobal(e *engine.Engine, r *runtimeapi.Request) {
	n, _ := leading(arg(r, 0))
	most := e.Config().Global.MaxConn
	switch {
	case arg(r, 0) == "":
		r.Fail("Expects an integer value.")
	case n > most:
		r.Fail("Value out of range.")
	case n <= 0:
		e.SetMaxConn(most)
	default:
		e.SetMaxConn(n)
	}
}

const rateLimits = `'set rate-limit' only supports :
   - 'connections global' to set the per-process maximum connection rate
   - 'sessions global' to set the per-process maximum session rate
   - 'ssl-sessions global' to set the per-process maximum SSL session rate
   - 'http-compression global' to set the per-process maximum compression speed in kB/s`

// setRateLimit changes what applies to TCP. The others are accepted: what they limit does not exist.
func setRateLimit(e *engine.Engine, r *runtimeapi.Request) {
	set, known := map[string]func(int){
		"connections": e.SetMaxConnRate, "sessions": e.SetMaxSessRate, "ssl-sessions": nil, "http-compression": nil,
	}[arg(r, 0)]
	n, _ := leading(arg(r, 2))
	switch {
	case !known || arg(r, 1) != "global":
		r.Fail(rateLimits)
	case arg(r, 2) == "":
		r.Fail("Expects an integer value.")
	case n < 0:
		r.Fail("Value out of range.")
	case set != nil:
		set(n)
	}
}

// findFrontend finds the frontend of the first argument, and answers when there is none.
func findFrontend(e *engine.Engine, r *runtimeapi.Request) (proxy int, ok bool) {
	if len(r.Args) == 0 {
		r.Fail("A frontend name is expected.")
		return -1, false
	}
	if proxy = findProxy(e, r.Args[0], config.Kind.HasFrontend); proxy < 0 {
		r.Fail(noFrontend)
		return -1, false
	}
	return proxy, true
}
