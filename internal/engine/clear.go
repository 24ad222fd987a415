package engine

import (
	"maps"

	"github.com/penstock/penstock/internal/session"
)

// ClearServer is ClearCounters for one server.
func (e *Engine) ClearServer(proxy, server int, all bool) {
	p := e.proxies[proxy]
	s := p.Server(server)
	s.ClearMaxima()
	p.Backend.ClearServer(server, all)
	if !all {
		return
	}
	for _, w := range e.workers {
		w.Call(func(t *session.Table) { t.ClearServer(s) })
	}
	s.Cleared.Store(p.Backend.Server(server).CumSessions())
	if state, ok := e.CheckState(proxy, server); ok {
		e.mu.Lock()
		cleared := maps.Clone(e.cleared) // others may look at the map
		if cleared == nil {
			cleared = map[serverKey]checkCounts{}
		}
		cleared[serverKey{proxy, server}] = checkCounts{state.Failures, state.Downs}
		e.cleared = cleared
		e.mu.Unlock()
	}
}
