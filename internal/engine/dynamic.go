package engine

import (
	"fmt"
	"maps"
	"slices"

	"github.com/penstock/penstock/internal/backend"
	"github.com/penstock/penstock/internal/check"
	"github.com/penstock/penstock/internal/config"
	"github.com/penstock/penstock/internal/session"
	"github.com/penstock/penstock/internal/worker"
	"github.com/penstock/penstock/netio"
)

// Servers that come and go at run time. Why nobody is hurt by that, backend/place.go tells. Here the parts are put
// together in the order in which they are found: who shows or names servers goes by the list of Servers, so it
// changes last when one comes and first when one goes.

// Servers are the servers of a proxy by place, with those that departed: of former processes, or deleted. Neither the list
// nor what is in it changes; a later call may return another list, which is never shorter.
func (e *Engine) Servers(proxy int) []*config.Server { return *e.servers[proxy].Load() }

// Steady runs f while no server comes or goes, so that a place means the same server all the time. f must be short.
func (e *Engine) Steady(f func()) {
	e.places.RLock()
	defer e.places.RUnlock()
	f()
}

// placeOfServer finds a server by its name, -1 for none. One that departed is found only when no other has the name.
func placeOfServer(servers []*config.Server, name string) int {
	departed := -1
	for i, s := range servers {
		switch {
		case s.Name != name:
		case !s.Departed:
			return i
		default:
			departed = i
		}
	}
	return departed
}

// refusal is an answer to an operator, which programs read, with its full stop.
type refusal string

func (r refusal) Error() string { return string(r) }

func refuse(format string, args ...any) error { return refusal(fmt.Sprintf(format, args...)) }

// AddServer adds a server to a proxy, in maintenance and unchecked; the engine must have been started. s belongs to
// the engine from now on. The error is the answer to the operator.
func (e *Engine) AddServer(proxy int, s *config.Server) error {
	e.places.Lock()
	defer e.places.Unlock()
	e.mu.Lock()
	serving := e.running && !e.stopping
	e.mu.Unlock()
	if !serving {
		return refusal("The process is stopping.")
	}
	if err := e.identify(proxy, s); err != nil {
		return err
	}
	arrival := check.Arrival{Server: check.Server{Backend: e.checked[proxy], Config: s}}
	if s.Track.Server != "" {
		p, n, err := e.findTracked(s)
		if err != nil {
			return err
		}
		arrival.Of, arrival.OfIndex = e.checked[p], n
	}
	c, p := e.cfg.Proxies[proxy], e.proxies[proxy]
	if s.Check.Enabled {
		if c.Check.NeedsTLS(&s.Check) {
			if err := s.Check.CompleteTLS(&e.cfg.Global); err != nil {
				return fmt.Errorf("'server %s/%s' : %w", c.Name, s.Name, err)
			}
		}
		var err error
		if arrival.TLS, err = e.checkTLS(c, s); err != nil {
			return fmt.Errorf("'server %s/%s' : %w", c.Name, s.Name, err)
		}
	}
	server := &session.Server{}
	e.mu.Lock()
	usable, ok := e.buildServer(c, s, server)
	e.mu.Unlock()
	if !ok {
		return refuse("'server %s/%s' : the address cannot be used.", c.Name, s.Name)
	}
	server.Count(len(e.workers))

	place := e.freePlace(proxy)
	replaced := place != backend.None
	if !replaced {
		place = int32(p.NumServers())
	}
	at := checkPlace{port: s.Check.Port}
	if a := &s.Check.Addr; a.Kind == config.AddrTCP {
		if at.ip = a.IP; at.port == 0 {
			at.port = a.Port
		}
	}
	asked, err := agentPlace(s)
	if err != nil {
		return fmt.Errorf("'server %s/%s' : %w", c.Name, s.Name, err)
	}
	key := serverKey{proxy, int(place)}
	e.mu.Lock()
	e.checkAt[key] = at
	e.agentAt[key] = asked
	if _, cleared := e.cleared[key]; cleared { // others may look at the map
		e.cleared = maps.Clone(e.cleared)
		delete(e.cleared, key)
	}
	e.mu.Unlock()
	arrival.Index = int(place)
	arrival.Address = func() netio.Sockaddr { return server.Destination().Addr }
	arrival.Target = newCheckTarget(server)
	arrival.Target.Addr = checkAddr(server, s, at)
	arrival.Agent = arrival.Target
	arrival.Agent.Addr = agentAddr(server, s, asked)

	p.SetServer(int(place), server)
	if replaced {
		p.Backend.Add(s, place)
	} else {
		p.Backend.Add(s, backend.None)
	}
	if !usable {
		p.Backend.SetAdmin(int(place), p.Backend.Server(int(place)).Admin()|backend.Unresolved)
	}
	e.checker.Add(arrival)
	list := slices.Clone(e.Servers(proxy))
	if replaced {
		list[place] = s
	} else {
		list = append(list, s)
	}
	e.servers[proxy].Store(&list)
	return nil
}

// identify refuses a name or a number that another server has, and gives a number to a server that has none: the
// lowest that is free.
func (e *Engine) identify(proxy int, s *config.Server) error {
	b := e.proxies[proxy].Backend
	ids := map[int]*config.Server{}
	for i, other := range e.Servers(proxy) {
		if other.Departed {
			continue
		}
		if other.Name == s.Name {
			return refusal("Already exists a server with the same name in backend.")
		}
		ids[b.Server(i).ID] = other
	}
	if other := ids[s.ID]; other != nil {
		return refuse("'id' : custom id %d already used at %s:%d ('server %s').", s.ID, other.Pos.File, other.Pos.Line, other.Name)
	}
	for id := 1; s.ID == 0; id++ {
		if id < 0 {
			return refusal("Cannot attach server : no id left in proxy.")
		}
		if ids[id] == nil {
			s.ID = id
		}
	}
	return nil
}

// findTracked is the place of the server that s is to track.
func (e *Engine) findTracked(s *config.Server) (proxy, server int, err error) {
	proxy = slices.IndexFunc(e.cfg.Proxies, func(p *config.Proxy) bool {
		return p.Name == s.Track.Proxy && p.Kind.HasBackend() && !p.Disabled && !p.Departed
	})
	if proxy < 0 {
		return 0, 0, refuse("unable to find required proxy '%s' for tracking.", s.Track.Proxy)
	}
	server = placeOfServer(e.Servers(proxy), s.Track.Server)
	if server < 0 || e.Servers(proxy)[server].Departed {
		return 0, 0, refuse("unable to find required server '%s' for tracking.", s.Track.Server)
	}
	switch to := e.Servers(proxy)[server]; {
	case s.Check.Enabled:
		return 0, 0, refusal("unable to enable checks and tracking at the same time!")
	case !to.Check.Enabled && !to.Agent.Enabled && to.Track.Server == "":
		return 0, 0, refuse("unable to use %s/%s for tracking as it does not have any check nor agent enabled.", s.Track.Proxy, to.Name)
	}
	return proxy, server, nil
}

// freePlace is the place of a server that departed and that nothing refers to any more, None when there is none.
func (e *Engine) freePlace(proxy int) int32 {
	b := e.proxies[proxy].Backend
	asked := false
	for i, s := range e.Servers(proxy) {
		if !s.Departed || b.Server(i).Enabled() || !b.Server(i).Idle() {
			continue
		}
		if !asked { // whoever loaded a table that has one of these is done with it afterwards
			e.askAll()
			asked = true
		}
		if !b.Server(i).Idle() {
			continue
		}
		for _, w := range e.workers {
			forget(w, b.ID, int32(i))
		}
		return int32(i)
	}
	return backend.None
}

// askAll returns when every worker has begun another round of its loop, or has ended.
func (e *Engine) askAll() {
	for _, w := range e.workers {
		w.Call(func(*session.Table) {})
	}
}

// forget has the sessions of a worker forget a server, a few thousand at a time.
func forget(w *worker.Worker, be int, server int32) {
	for from, more := uint32(0), true; more; more = from != 0 {
		if !w.Call(func(t *session.Table) { from = t.Forget(be, server, from) }) {
			return
		}
	}
}

// DeleteServer deletes a server in maintenance that has no sessions. The error is the answer to the operator.
func (e *Engine) DeleteServer(proxy int, name string) error {
	e.places.Lock()
	defer e.places.Unlock()
	servers := e.Servers(proxy)
	at := placeOfServer(servers, name)
	if at < 0 || servers[at].Departed {
		return refusal("No such server.")
	}
	b := e.proxies[proxy].Backend
	switch s := b.Server(at); {
	case e.checker.Tracked(b.ID, at):
		return refusal("This server cannot be removed at runtime due to other configuration elements pointing to it.")
	case s.Enabled():
		return refusal("Only servers in maintenance mode can be deleted.")
	case !s.Idle():
		return refusal("Server still has connections attached to it, cannot remove it.")
	}
	gone := *servers[at]
	gone.Departed = true
	list := slices.Clone(servers)
	list[at] = &gone
	e.servers[proxy].Store(&list)
	e.checker.Remove(b.ID, at)
	return nil
}
