package admin

import (
	"strconv"
	"strings"

	"github.com/penstock/penstock/internal/engine"
	"github.com/penstock/penstock/internal/runtimeapi"
	"github.com/penstock/penstock/internal/session"
)

// sessionCommands show and end sessions.
func sessionCommands(e func() *engine.Engine) []runtimeapi.Command {
	on := func(f func(*engine.Engine, *runtimeapi.Request)) func(*runtimeapi.Request) {
		return func(r *runtimeapi.Request) { f(e(), r) }
	}
	return []runtimeapi.Command{
		{
			Words: []string{"show", "sess"}, Usage: "show sess [<id> | all] [<filter>]*", Level: runtimeapi.LevelOperator,
			Help: "list the sessions, or dump one or all of them", Example: "show sess server be/s1 older 1h", Run: on(showSessions),
		},
		{
			Words: []string{"shutdown", "session"}, Usage: "shutdown session <id>", Level: runtimeapi.LevelAdmin,
			Help: "end a session", Example: "shutdown session 0x40000000", Run: on(shutdownSession),
		},
		{
			Words: []string{"shutdown", "sessions", "server"}, Usage: "shutdown sessions server <bk>/<srv>", Level: runtimeapi.LevelAdmin,
			Help: "end the sessions of a server", Example: "shutdown sessions server be/s1", Run: on(shutdownServerSessions),
		},
		{
			Words: []string{"shutdown", "sessions", "where"}, Usage: "shutdown sessions where <filter>+", Level: runtimeapi.LevelAdmin,
			Help: "end the sessions that show sess would list", Example: "shutdown sessions where client 10.1.0.0/16 idle 30m", Run: on(shutdownSessionsWhere),
		},
	}
}

// parseID reads what programs take for a pointer.
func parseID(text string) (session.SessionID, bool) {
	id, err := strconv.ParseUint(strings.TrimPrefix(strings.ToLower(text), "0x"), 16, 64)
	return session.SessionID(id), err == nil && id != 0
}

func showSessions(e *engine.Engine, r *runtimeapi.Request) {
	var f filter
	whole, only := false, session.SessionID(0)
	for args := r.Args; len(args) > 0; {
		rest, known, err := f.read(e, args)
		if err != nil {
			r.Fail("%v", err)
			return
		}
		if !known {
			word := args[0]
			rest = args[1:]
			id, isID := parseID(word)
			switch {
			case word == "all":
				whole = true
			case word == "show-uri": // there are none in TCP
			case word == "help":
				r.Reply("all: everything about each session; <id>: about this one. Filters, of which all must hold: %s.", filterWords)
				return
			case isID && strings.HasPrefix(word, "0x"):
				only = id
			default:
				r.Fail("Unsupported option '%s', try 'help' for more info.", word)
				return
			}
		}
		args = rest
	}
	if only != 0 {
		v, found := e.ViewOf(only)
		if !found {
			r.Fail("Session not found.")
			return
		}
		new(sheet).dump(e, r, []session.View{v})
		return
	}
	var out sheet
	e.Views(func(batch []session.View) bool {
		kept := batch[:0]
		for i := range batch {
			if f.match(&batch[i]) {
				kept = append(kept, batch[i])
			}
		}
		if whole {
			return out.dump(e, r, kept)
		}
		out.b = out.b[:0]
		for i := range kept {
			out.short(&kept[i])
		}
		_, err := r.Write(out.b)
		return err == nil
	})
	r.Reply("")
}

// dump writes everything about some sessions, and reports whether the client is still there.
func (t *sheet) dump(e *engine.Engine, r *runtimeapi.Request, views []session.View) bool {
	e.Examine(views)
	t.b = t.b[:0]
	for i := range views {
		t.long(&views[i])
	}
	_, err := r.Write(t.b)
	return err == nil
}

func shutdownSession(e *engine.Engine, r *runtimeapi.Request) {
	var id session.SessionID
	ok := len(r.Args) > 0
	if ok {
		id, ok = parseID(r.Args[0])
	}
	switch {
	case !ok:
		r.Fail("Session pointer expected (use 'show sess').")
	case e.Kill([]session.SessionID{id}) == 0:
		r.Fail("No such session (use 'show sess').")
	}
}

func shutdownServerSessions(e *engine.Engine, r *runtimeapi.Request) {
	ref := ""
	if len(r.Args) > 0 {
		ref = r.Args[0]
	}
	backend, server, err := findServer(e, ref)
	if err != nil {
		r.Fail("%v", err)
		return
	}
	f := filter{backend: backend, server: server}
	shutdown(e, func(v *session.View) bool { return v.SlotHeld && f.match(v) })
}

func shutdownSessionsWhere(e *engine.Engine, r *runtimeapi.Request) {
	var f filter
	for args := r.Args; len(args) > 0; {
		rest, known, err := f.read(e, args)
		switch {
		case err != nil:
			r.Fail("%v", err)
			return
		case !known:
			r.Fail("Unknown condition '%s', expecting %s.", args[0], filterWords)
			return
		}
		args = rest
	}
	if f.conditions == 0 {
		r.Fail("At least one condition is required: %s.", filterWords)
		return
	}
	r.Reply("Sessions ended: %d.", shutdown(e, f.match))
}

// shutdown ends the sessions that are meant. One that comes while it runs may be missed.
func shutdown(e *engine.Engine, meant func(*session.View) bool) (ended int) {
	var ids []session.SessionID
	e.Views(func(batch []session.View) bool {
		ids = ids[:0]
		for i := range batch {
			if meant(&batch[i]) {
				ids = append(ids, batch[i].ID)
			}
		}
		ended += e.Kill(ids)
		return true
	})
	return ended
}
