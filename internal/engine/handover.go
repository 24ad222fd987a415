package engine

import (
	"bytes"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/penstock/penstock/internal/config"
	"github.com/penstock/penstock/internal/session"
	"github.com/penstock/penstock/internal/statefile"
)

// Handover, both roles: the old process freezes sessions and lets go of them, the new one places them in its
// own configuration by the names of frontend, backend and server.
//
// What the new configuration lacks departs: the old process describes it (Topology), the new one builds
// it from that description like anything else, without listeners and never to be chosen, so that the
// sessions keep their timeouts, their log lines and their place in all figures. A proxy or server without
// sessions does not depart, it is just gone.

// topology is what the process that takes over should know. That of the first version was the list of proxies alone.
type topology struct {
	Proxies []*config.Proxy `json:"proxies"`          // those with sessions, with the servers that have some
	States  string          `json:"states,omitempty"` // of all servers, as a state file has them
	Moved   []moved         `json:"moved,omitempty"`
	Changed changes         `json:"changed"`
}

// Topology describes the proxies and servers that have sessions, and the states of all servers, for the process that
// takes over.
func (e *Engine) Topology() ([]byte, error) {
	var out []*config.Proxy
	for i, c := range e.cfg.Proxies {
		p := e.proxies[i]
		if p.Conns.Current() == 0 && p.BeConns.Load() == 0 {
			continue
		}
		described := *c
		described.Binds, described.Servers = nil, nil
		for n, s := range e.Servers(i) {
			if p.Backend.Server(n).Served() > 0 {
				resolved := *s
				if ap := p.Server(n).Destination().Addr.Addr(); ap.AddrPort().IsValid() {
					resolved.Addr.IP = ap.AddrPort().Addr()
				}
				described.Servers = append(described.Servers, &resolved)
			}
		}
		out = append(out, &described)
	}
	var states strings.Builder
	if err := statefile.Write(&states, e.States(-1)); err != nil {
		return nil, fmt.Errorf("describe servers: %w", err)
	}
	text, err := json.Marshal(topology{Proxies: out, States: states.String(), Moved: e.movedServers(), Changed: e.changes()})
	if err != nil {
		return nil, fmt.Errorf("describe proxies: %w", err)
	}
	return text, nil
}

// readTopologies reads what former processes say of themselves.
func readTopologies(texts [][]byte) ([]topology, error) {
	list := make([]topology, len(texts))
	for i, text := range texts {
		if text = bytes.TrimSpace(text); len(text) == 0 {
			continue
		}
		into := any(&list[i])
		if text[0] == '[' {
			into = &list[i].Proxies
		}
		if err := json.Unmarshal(text, into); err != nil {
			return nil, fmt.Errorf("description of the former process's proxies: %w", err)
		}
	}
	return list, nil
}

// inheritStates gives the servers the states that they had in former processes.
func (e *Engine) inheritStates(former []topology) {
	for _, f := range former {
		if f.States != "" {
			list, err := statefile.Read(strings.NewReader(f.States))
			if err != nil {
				e.opt.Report.Warningf("The states of servers are not taken over: %v.", err)
			}
			for i, c := range e.cfg.Proxies {
				if c.Kind.HasBackend() && !c.Disabled && !c.Departed {
					e.restore(i, list, false)
				}
			}
		}
		e.move(f.Moved)
		e.inheritChanges(&f.Changed)
	}
}

// addDeparted adds to the configuration what only a former process has.
func addDeparted(cfg *config.Config, former []*config.Proxy) {
	for _, f := range former {
		if f == nil {
			continue
		}
		f.Binds = nil
		f.Logs = slices.DeleteFunc(f.Logs, func(l config.LogTarget) bool {
			return l.Kind == config.LogFD && l.FD > 2 // here the number is something else
		})
		for _, s := range f.Servers {
			if s != nil {
				s.Departed, s.Disabled, s.Weight = true, true, 0
			}
		}
		f.Servers = slices.DeleteFunc(f.Servers, func(s *config.Server) bool { return s == nil })
		at := slices.IndexFunc(cfg.Proxies, func(p *config.Proxy) bool {
			return p.Name == f.Name && (p.Kind.HasFrontend() || !f.Kind.HasFrontend()) && (p.Kind.HasBackend() || !f.Kind.HasBackend())
		})
		if at < 0 {
			f.Departed, f.Disabled = true, false
			cfg.Proxies = append(cfg.Proxies, f)
			continue
		}
		p := cfg.Proxies[at]
		for _, s := range f.Servers {
			if !slices.ContainsFunc(p.Servers, func(have *config.Server) bool { return have.Name == s.Name }) {
				p.Servers = append(p.Servers, s)
			}
		}
	}
}

// Sessions is the number of sessions that live here; any goroutine may ask.
func (e *Engine) Sessions() int {
	n := 0
	for _, w := range e.workers {
		n += w.Table.Live()
	}
	return n
}

// Offer begins a handover: sessions that came back from an earlier one are offered again.
func (e *Engine) Offer() {
	for _, w := range e.workers {
		w.Call((*session.Table).Offer)
	}
}

// Freeze takes up to n sessions out of service, from all workers in turn. Of the others, later can still be moved,
// never cannot. Commit, Restore or Lose must follow for each; until then its descriptors are open and untouched.
func (e *Engine) Freeze(n int) (batch []session.Snapshot, later, never int) {
	share := max(n/len(e.workers), 1)
	for i := range e.workers {
		w := e.workers[(e.freezeFrom+i)%len(e.workers)]
		if len(batch) >= n {
			later += w.Table.Live()
			continue
		}
		w.Call(func(t *session.Table) {
			var l, v int
			batch, l, v = t.Freeze(batch, min(share, n-len(batch)))
			later, never = later+l, never+v
		})
	}
	e.freezeFrom++
	return batch, later, never
}

// Commit lets go of sessions that the new process has.
func (e *Engine) Commit(batch []session.Snapshot) { e.settle(batch, (*session.Table).Release) }

// Lose lets go of sessions of which nobody knows whether the new process has them; they get a log line.
func (e *Engine) Lose(batch []session.Snapshot) { e.settle(batch, (*session.Table).Lose) }

// Restore takes frozen sessions back into service, until the next Offer.
func (e *Engine) Restore(batch []session.Snapshot) { e.settle(batch, (*session.Table).Restore) }

func (e *Engine) settle(batch []session.Snapshot, f func(*session.Table, session.Leaving)) {
	e.eachWorker(batch, func(t *session.Table, s *session.Snapshot) {
		f(t, session.Leaving{Slot: s.Slot, Gen: s.Gen})
	})
}

// eachWorker runs f for every session on the thread of its worker.
func (e *Engine) eachWorker(batch []session.Snapshot, f func(*session.Table, *session.Snapshot)) {
	var wait sync.WaitGroup
	for i, w := range e.workers {
		if !slices.ContainsFunc(batch, func(s session.Snapshot) bool { return s.Worker%len(e.workers) == i }) {
			continue
		}
		wait.Go(func() {
			w.Call(func(t *session.Table) {
				for n := range batch {
					if s := &batch[n]; s.Worker%len(e.workers) == i {
						f(t, s)
					}
				}
			})
		})
	}
	wait.Wait()
}

// Misplaced returns the indexes of sessions that have no place here: their proxies or servers are in neither
// this configuration nor the description that it was built with.
func (e *Engine) Misplaced(batch []session.Snapshot) (refused []int) {
	for i := range batch {
		if _, ok := e.placeOf(&batch[i]); !ok {
			refused = append(refused, i)
		}
	}
	return refused
}

func (e *Engine) placeOf(s *session.Snapshot) (at session.Place, ok bool) {
	fe := slices.IndexFunc(e.cfg.Proxies, func(p *config.Proxy) bool {
		return p.Name == s.Frontend && p.Kind.HasFrontend()
	})
	be := slices.IndexFunc(e.cfg.Proxies, func(p *config.Proxy) bool {
		return p.Name == s.Backend && p.Kind.HasBackend()
	})
	if fe < 0 || be < 0 || s.Client.FD < 0 || s.Far.FD < 0 {
		return at, false
	}
	srv := placeOfServer(e.Servers(be), s.Server)
	return session.Place{Frontend: fe, Backend: be, Server: int32(srv)}, srv >= 0
}

// Adopt goes on with sessions of another process, none of them Misplaced, and owns their descriptors from now
// on. A worker takes those of the worker with its number.
func (e *Engine) Adopt(batch []session.Snapshot) {
	e.places.RLock()
	defer e.places.RUnlock()
	places := make(map[*session.Snapshot]session.Place, len(batch))
	for i := range batch {
		if at, ok := e.placeOf(&batch[i]); ok {
			places[&batch[i]] = at
		}
	}
	e.eachWorker(batch, func(t *session.Table, s *session.Snapshot) {
		if at, ok := places[s]; ok {
			t.Adopt(s, at)
		}
	})
}

// DrainDeparted ends the sessions of departed proxies and servers after a while; 0 lets them live.
func (e *Engine) DrainDeparted(after time.Duration) {
	if after <= 0 {
		return
	}
	timer := time.NewTimer(after)
	go func() {
		defer timer.Stop()
		select {
		case <-timer.C:
			for _, w := range e.workers {
				w.Call((*session.Table).KillDeparted)
			}
		case <-e.live:
		case <-e.closed:
		}
	}()
}
