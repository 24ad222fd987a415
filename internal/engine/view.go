package engine

import (
	"strconv"
	"strings"

	"github.com/penstock/penstock/internal/session"
	"github.com/penstock/penstock/internal/worker"
)

// Views calls f with the sessions of all workers, a few hundred at a time, until f returns false. The slice is
// f's until it returns. No worker is kept for longer than it takes to copy those, nor for more than a part of its time; the engine
// must have been started.
func (e *Engine) Views(f func([]session.View) bool) {
	var batch []session.View
	for _, w := range e.workers {
		for from, more := uint32(0), true; more; more = from != 0 {
			batch = batch[:0]
			if !w.Watch(func(t *session.Table) { batch, from = t.Views(batch, from) }) {
				break
			}
			if len(batch) > 0 && !f(batch) {
				return
			}
		}
	}
}

// ViewOf is the view of one session.
func (e *Engine) ViewOf(id session.SessionID) (v session.View, found bool) {
	if w := e.workerOf(id); w != nil {
		w.Call(func(t *session.Table) { v, found = t.ViewOf(id) })
	}
	return v, found
}

// Examine adds to views what only the kernel knows. Those of one worker should follow each other.
func (e *Engine) Examine(views []session.View) {
	for len(views) > 0 {
		n := 1
		for n < len(views) && n < session.ExamineMost && views[n].Worker == views[0].Worker {
			n++
		}
		part := views[:n]
		if w := e.workerOf(part[0].ID); w != nil {
			w.Watch(func(t *session.Table) { t.Examine(part) })
		}
		views = views[n:]
	}
}

// Kill ends sessions on an operator's order and returns how many of them were still there.
func (e *Engine) Kill(ids []session.SessionID) (killed int) {
	for len(ids) > 0 {
		n := 1
		for n < len(ids) && n < session.KillMost && ids[n].Worker() == ids[0].Worker() {
			n++
		}
		part := ids[:n]
		if w := e.workerOf(part[0]); w != nil {
			w.Call(func(t *session.Table) { killed += t.Kill(part) })
		}
		ids = ids[n:]
	}
	return killed
}

func (e *Engine) workerOf(id session.SessionID) *worker.Worker {
	if n := id.Worker(); n >= 0 && n < len(e.workers) {
		return e.workers[n]
	}
	return nil
}

// ProxyName is the name of the frontend, or of the backend, that operators call by its name or by # and its number.
func (e *Engine) ProxyName(ref string, frontend bool) (name string, found bool) {
	for _, c := range e.cfg.Proxies {
		if isCalled(ref, c.Name, c.ID) && (frontend && c.Kind.HasFrontend() || !frontend && c.Kind.HasBackend()) {
			return c.Name, true
		}
	}
	return "", false
}

// ServerName is the name of a server of the named backend, called by its name or by # and its number.
func (e *Engine) ServerName(backend, ref string) (name string, found bool) {
	for i, c := range e.cfg.Proxies {
		b := e.proxies[i].Backend
		if c.Name != backend || b == nil {
			continue
		}
		former := ""
		for n, server := range e.Servers(i) {
			switch s := b.Server(n); {
			case !isCalled(ref, s.Name, s.ID):
			case !server.Departed:
				return s.Name, true
			case !s.Idle():
				former = s.Name
			}
		}
		return former, former != ""
	}
	return "", false
}

func isCalled(ref, name string, id int) bool {
	if number, ok := strings.CutPrefix(ref, "#"); ok {
		n, err := strconv.Atoi(number)
		return err == nil && n == id
	}
	return ref == name
}

// Resources are what the workers hold, in the order of their numbers.
func (e *Engine) Resources() []session.Resources {
	all := make([]session.Resources, 0, len(e.workers))
	for _, w := range e.workers {
		w.Call(func(t *session.Table) { all = append(all, t.Resources()) })
	}
	return all
}

// WorkerCPU is the CPU that a worker is pinned to, if it is one.
func (e *Engine) WorkerCPU(n int) (cpu int, ok bool) { return e.workers[n].CPU() }

// ListenerViews are the listeners of all workers.
func (e *Engine) ListenerViews() []session.ListenerView {
	var all []session.ListenerView
	for _, w := range e.workers {
		w.Call(func(t *session.Table) { all = t.ListenerViews(all) })
	}
	return all
}

// Removable is whether a server is in maintenance, and whether no session has or waits for a slot of it.
func (e *Engine) Removable(backend, server string) (maintenance, idle bool) {
	for i, c := range e.cfg.Proxies {
		b := e.proxies[i].Backend
		if c.Name != backend || b == nil {
			continue
		}
		if n := placeOfServer(e.Servers(i), server); n >= 0 {
			return !b.Server(n).Enabled(), b.Server(n).Idle()
		}
	}
	return false, false
}
