package engine

import (
	"slices"

	"github.com/penstock/penstock/internal/config"
)

// What operators changed about limits and frontends, for a successor. Each figure goes with what the configuration said:
// where the new one says something else, that counts.

// changed is a figure as configured and as it is.
type changed struct{ From, To int }

func (c changed) any() bool { return c.From != c.To }

// changes are all figures that are not as configured.
type changes struct {
	MaxConn   changed           // of the process
	ConnRate  changed           // maxconnrate
	SessRate  changed           // maxsessrate
	Frontends []changedFrontend `json:",omitempty"`
	Servers   []changedServer   `json:",omitempty"`
}

type changedFrontend struct {
	Name    string
	MaxConn changed
	Paused  bool
}

type changedServer struct {
	Backend, Name string
	MaxConn       changed
}

// serverMaxConn is the limit that a server's line sets.
func serverMaxConn(s *config.Server) int { return max(s.MaxConn, s.MinConn) }

func (e *Engine) changes() (c changes) {
	e.mu.Lock()
	c.ConnRate, c.SessRate = changed{e.cfg.Global.MaxConnRate, e.maxConnRate}, changed{e.cfg.Global.MaxSessRate, e.maxSessRate}
	fronts := slices.Clone(e.frontends)
	e.mu.Unlock()
	c.MaxConn = changed{e.cfg.Global.MaxConn, e.shared.Conns.Max()}
	for i, p := range e.cfg.Proxies {
		if p.Departed || p.Disabled {
			continue
		}
		if p.Kind.HasFrontend() {
			f := changedFrontend{p.Name, changed{p.MaxConn, e.proxies[i].Conns.Max()}, fronts != nil && fronts[i] == FrontendPaused}
			if f.Paused || f.MaxConn.any() {
				c.Frontends = append(c.Frontends, f)
			}
		}
		if !p.Kind.HasBackend() {
			continue
		}
		for n, s := range e.Servers(i) {
			limit := changed{serverMaxConn(s), e.proxies[i].Backend.Server(n).MaxConn()}
			if !s.Departed && limit.any() {
				c.Servers = append(c.Servers, changedServer{p.Name, s.Name, limit})
			}
		}
	}
	return c
}

// inheritChanges changes what a former process had changed, before the workers are made.
func (e *Engine) inheritChanges(c *changes) {
	g := &e.cfg.Global
	if c.MaxConn.any() && c.MaxConn.From == g.MaxConn {
		e.SetMaxConn(c.MaxConn.To)
	}
	if c.ConnRate.any() && c.ConnRate.From == g.MaxConnRate {
		e.SetMaxConnRate(c.ConnRate.To)
	}
	if c.SessRate.any() && c.SessRate.From == g.MaxSessRate {
		e.SetMaxSessRate(c.SessRate.To)
	}
	for i, p := range e.cfg.Proxies {
		if p.Departed || p.Disabled {
			continue
		}
		for _, f := range c.Frontends {
			if f.Name != p.Name || !p.Kind.HasFrontend() {
				continue
			}
			if f.MaxConn.any() && f.MaxConn.From == p.MaxConn {
				e.proxies[i].Conns.SetMax(f.MaxConn.To)
			}
			if f.Paused {
				e.makeFrontends()
				e.frontends[i] = FrontendPaused
			}
		}
		for _, s := range c.Servers {
			if s.Backend != p.Name || !p.Kind.HasBackend() {
				continue
			}
			at := placeOfServer(e.Servers(i), s.Name)
			if at < 0 || e.Servers(i)[at].Departed {
				continue
			}
			if serverMaxConn(e.Servers(i)[at]) == s.MaxConn.From {
				e.proxies[i].Backend.SetMaxConn(at, s.MaxConn.To)
			}
		}
	}
}

// makeFrontends makes room for the states of frontends.
func (e *Engine) makeFrontends() {
	if e.frontends == nil {
		e.frontends = make([]FrontendState, len(e.proxies))
	}
}
