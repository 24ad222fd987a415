// Package admin is what operators can do to a running engine: the commands of the stats socket that show or change it,
// and the form of their answers. It neither listens nor keeps any state.
package admin

import (
	"slices"
	"strconv"
	"strings"

	"github.com/penstock/penstock/internal/backend"
	"github.com/penstock/penstock/internal/config"
	"github.com/penstock/penstock/internal/engine"
	"github.com/penstock/penstock/internal/runtimeapi"
)

// Commands are all commands that need the engine. e is called for each use: the commands are made before the engine
// is. They run on the goroutines of the stats socket.
func Commands(e func() *engine.Engine) []runtimeapi.Command {
	return slices.Concat(
		sessionCommands(e),
		internalCommands(e),
		statCommands(e),
		serverCommands(e),
		dynamicCommands(e),
		absentCommands(e),
		developerCommands(e),
		limitCommands(e),
		frontendCommands(e),
	)
}

// The words for a target that is not there.
const (
	noServer   = "No such server."
	noBackend  = "No such backend."
	noFrontend = "No such frontend."
)

// target is a server that a command is for.
type target struct {
	*engine.Engine
	proxy, server int
	config        *config.Server
}

// backend is the state of all servers of the target's backend.
func (t *target) backend() *backend.Backend { return t.Backend(t.proxy) }

// state is the state of the target.
func (t *target) state() *backend.Server { return t.backend().Server(t.server) }

// findTarget finds the server of a first argument such as be/s1, where a name may be #id. It answers when there is
// none.
func findTarget(e *engine.Engine, r *runtimeapi.Request) (t target, ok bool) {
	return findAnyTarget(e, r, false)
}

// findAnyTarget is findTarget, for servers of disabled proxies too.
func findAnyTarget(e *engine.Engine, r *runtimeapi.Request, disabled bool) (t target, ok bool) {
	return findTargetNamed(e, r, arg(r, 0), disabled)
}

// findTargetNamed is findAnyTarget for a name that stands elsewhere.
func findTargetNamed(e *engine.Engine, r *runtimeapi.Request, ref string, disabled bool) (t target, ok bool) {
	of, name, both := strings.Cut(ref, "/")
	if !both || of == "" || name == "" {
		r.Fail("Require 'backend/server'.")
		return t, false
	}
	proxy := findProxy(e, of, config.Kind.HasBackend)
	if proxy < 0 {
		r.Fail(noBackend)
		return t, false
	}
	if !disabled && e.Config().Proxies[proxy].Disabled {
		r.Fail("Proxy is disabled.")
		return t, false
	}
	id, byID := numbered(name)
	b := e.Backend(proxy)
	servers := e.Servers(proxy)
	server := slices.IndexFunc(servers, func(s *config.Server) bool { return !s.Departed && s.Name == name })
	for i := range servers {
		if byID && b.Server(i).ID == id && !servers[i].Departed {
			server = i
		}
	}
	if server < 0 {
		r.Fail(noServer)
		return t, false
	}
	return target{e, proxy, server, servers[server]}, true
}

// findProxy finds a proxy by name or #id, -1 for none.
func findProxy(e *engine.Engine, name string, has func(config.Kind) bool) int {
	id, byID := numbered(name)
	return slices.IndexFunc(e.Config().Proxies, func(p *config.Proxy) bool {
		return !p.Departed && has(p.Kind) && (byID && p.ID == id || !byID && p.Name == name)
	})
}

// numbered reads #id.
func numbered(name string) (id int, ok bool) {
	digits, found := strings.CutPrefix(name, "#")
	id, err := strconv.Atoi(digits)
	return id, found && err == nil
}

// leading is the integer that a text begins with, 0 for none, as the C library's atol has it, and what follows.
func leading(text string) (n int, rest string) {
	end := 0
	if strings.HasPrefix(text, "-") || strings.HasPrefix(text, "+") {
		end = 1
	}
	digits := end
	for end < len(text) && text[end] >= '0' && text[end] <= '9' {
		end++
	}
	if end == digits {
		return 0, text
	}
	n, err := strconv.Atoi(text[:end])
	if err != nil { // too large for any use
		n = 1<<31 - 1
		if text[0] == '-' {
			n = -n
		}
	}
	return n, text[end:]
}

// arg is an argument, empty when it is not there.
func arg(r *runtimeapi.Request, i int) string {
	if i < len(r.Args) {
		return r.Args[i]
	}
	return ""
}
