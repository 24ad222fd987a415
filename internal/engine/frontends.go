package engine

import (
	"github.com/penstock/penstock/internal/config"
	"github.com/penstock/penstock/internal/logging"
)

// FrontendState says whether a frontend takes connections.
type FrontendState uint8

// The states of frontends. One that is stopped stays so.
const (
	FrontendReady FrontendState = iota
	FrontendPaused
	FrontendStopped
)

// Frontend is the state of a frontend, by its place.
func (e *Engine) Frontend(proxy int) FrontendState {
	e.mu.Lock()
	defer e.mu.Unlock()
	return e.frontend(proxy)
}

func (e *Engine) frontend(proxy int) FrontendState {
	if e.frontends == nil {
		return FrontendReady
	}
	return e.frontends[proxy]
}

// SetFrontend pauses, resumes or stops a frontend; its sessions go on. It returns the state before: when that is
// the same, or FrontendStopped, nothing was done. It reports false when not all addresses could be had again, which
// goes on being tried, or when the engine is leaving its listeners to another process.
func (e *Engine) SetFrontend(proxy int, to FrontendState) (was FrontendState, ok bool) {
	e.mu.Lock()
	defer e.mu.Unlock()
	if was = e.frontend(proxy); was == FrontendStopped || was == to {
		return was, true
	}
	if !e.running || e.stopping || e.left || e.held != nil {
		return was, false
	}
	e.makeFrontends()
	e.frontends[proxy] = to
	ok = true
	switch to {
	case FrontendReady:
		for _, w := range e.workers {
			ok = w.ResumeProxy(proxy) && ok
		}
		e.steer()
		e.tell(proxy, "Resumed %s %s.", capability(e.cfg.Proxies[proxy].Kind), e.cfg.Proxies[proxy].Name)
	case FrontendPaused:
		for _, w := range e.workers {
			w.PauseProxy(proxy)
		}
		e.tell(proxy, "Paused %s %s.", capability(e.cfg.Proxies[proxy].Kind), e.cfg.Proxies[proxy].Name)
	case FrontendStopped:
		e.stopFrontend(proxy)
	}
	return was, ok
}

func (e *Engine) stopFrontend(proxy int) {
	c, p := e.cfg.Proxies[proxy], e.proxies[proxy]
	var kept []socket
	for _, s := range e.sockets {
		if s.opening.proxy != c {
			kept = append(kept, s)
		}
	}
	for _, w := range e.workers {
		w.CloseProxy(proxy)
	}
	e.listeners -= len(e.sockets) - len(kept)
	e.sockets = kept
	e.tell(proxy, "Proxy %s stopped (cumulated conns: FE: %d, BE: %d).", c.Name, p.CumConns.Load(), p.CumBeConns.Load())
}

// tell brings a line about a proxy to the operator and its loggers; e.mu is held.
func (e *Engine) tell(proxy int, format string, args ...any) {
	e.opt.Report.Warningf(format, args...)
	e.logProxy(e.proxies[proxy], logging.LevelWarning, format, args...)
}

// capability is the word for a kind of proxy in lines about its state.
func capability(k config.Kind) string {
	if k == config.Listen {
		return "proxy"
	}
	return k.String()
}

// SetFrontendMaxConn changes the limit of connections of a frontend; 0 is none.
func (e *Engine) SetFrontendMaxConn(proxy, n int) {
	e.proxies[proxy].Conns.SetMax(n)
	e.limitsFreed()
}

// SetMaxConn changes the limit of connections of the process.
func (e *Engine) SetMaxConn(n int) {
	e.shared.Conns.SetMax(n)
	e.limitsFreed()
}

// SetMaxConnRate limits the connections per second, SetMaxSessRate the sessions; 0 is no limit. Nothing comes between a
// connection and its session yet, so that the lower one counts.
func (e *Engine) SetMaxConnRate(n int) { e.setRate(&e.maxConnRate, n) }

// SetMaxSessRate limits the sessions per second, see SetMaxConnRate.
func (e *Engine) SetMaxSessRate(n int) { e.setRate(&e.maxSessRate, n) }

func (e *Engine) setRate(which *int, n int) {
	e.mu.Lock()
	defer e.mu.Unlock()
	*which = n
	rate := e.maxConnRate
	if e.maxSessRate > 0 && (rate == 0 || e.maxSessRate < rate) {
		rate = e.maxSessRate
	}
	e.shared.ConnRate.SetMax(rate)
}
