package admin

import (
	"strings"

	"github.com/penstock/penstock/internal/config"
	"github.com/penstock/penstock/internal/engine"
	"github.com/penstock/penstock/internal/runtimeapi"
)

// dynamicCommands are the commands by which servers come and go.
func dynamicCommands(e func() *engine.Engine) []runtimeapi.Command {
	on := func(f func(*engine.Engine, *runtimeapi.Request)) func(*runtimeapi.Request) {
		return func(r *runtimeapi.Request) { f(e(), r) }
	}
	return []runtimeapi.Command{
		{
			Words: []string{"add", "server"}, Usage: "add server <bk>/<srv> <addr> [params]", Level: runtimeapi.LevelAdmin,
			Help: "add a server, in maintenance", Example: "add server be/s9 10.0.0.9:3306 check inter 1s", Run: on(addServer),
		},
		{
			Words: []string{"del", "server"}, Usage: "del server <bk>/<srv>", Level: runtimeapi.LevelAdmin,
			Help: "delete a server that is in maintenance and has no session", Example: "del server be/s9", Run: on(deleteServer),
		},
	}
}

func addServer(e *engine.Engine, r *runtimeapi.Request) {
	of, name, _ := strings.Cut(arg(r, 0), "/")
	if of == "help" && name == "" {
		r.Reply("The parameters of a server that is added: %s.", strings.Join(config.DynamicServerParams(), " "))
		return
	}
	if of == "" || name == "" {
		r.Fail("Require 'backend/server'.")
		return
	}
	proxy := findProxy(e, of, config.Kind.HasBackend)
	switch {
	case proxy < 0:
		r.Fail(noBackend)
		return
	case e.Config().Proxies[proxy].Disabled || !e.Backend(proxy).Dynamic():
		r.Fail("Backend must use a dynamic load balancing to support dynamic servers.")
		return
	}
	s, ready, err := config.ParseDynamicServer(e.Config().Proxies[proxy], append([]string{name}, r.Args[1:]...))
	if err == nil {
		err = e.AddServer(proxy, s)
	}
	if err != nil {
		r.Fail("%v", err)
		return
	}
	if ready {
		enable(e, proxy, name)
	}
	r.Message(runtimeapi.SeverityInfo, "New server registered.")
}

// enable takes a server out of maintenance that was just added.
func enable(e *engine.Engine, proxy int, name string) {
	e.Steady(func() {
		for i, s := range e.Servers(proxy) {
			if s.Name == name && !s.Departed {
				e.Checker().SetReady(e.Backend(proxy).ID, i)
			}
		}
	})
}

func deleteServer(e *engine.Engine, r *runtimeapi.Request) {
	t, ok := findAnyTarget(e, r, true)
	if !ok {
		return
	}
	if err := e.DeleteServer(t.proxy, t.config.Name); err != nil {
		r.Fail("%v", err)
		return
	}
	r.Message(runtimeapi.SeverityInfo, "Server deleted.")
}
