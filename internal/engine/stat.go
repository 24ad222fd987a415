package engine

import (
	"fmt"
	"net/netip"
	"slices"
	"time"

	"github.com/penstock/penstock/internal/backend"
	"github.com/penstock/penstock/internal/check"
	"github.com/penstock/penstock/internal/config"
	"github.com/penstock/penstock/internal/session"
	"github.com/penstock/penstock/internal/stats"
	"github.com/penstock/penstock/netio"
	"github.com/penstock/penstock/sched"
)

// checkCounts are what a check counts.
type checkCounts struct{ failures, downs uint64 }

// ProxyID is the number of the proxy with a name, false when there is none.
func (e *Engine) ProxyID(name string) (id int, ok bool) {
	for _, c := range e.cfg.Proxies {
		if c.Name == name && !c.Departed {
			return c.ID, true
		}
	}
	return 0, false
}

// Stat is what "show stat" shows: of each proxy in the order of the configuration the frontend, the
// listeners, the servers and the backend. Any goroutine may ask; no worker is stopped.
func (e *Engine) Stat(sel stats.Selection) []stats.Row {
	f := filler{e: e, sel: sel, now: sched.NewClock().MonoNs()}
	e.mu.Lock()
	f.status = "OPEN"
	switch {
	case e.stopping || e.left:
		f.status = "STOP"
	case e.paused:
		f.status = "PAUSED"
	}
	f.cleared, f.fronts = e.cleared, slices.Clone(e.frontends)
	e.mu.Unlock()
	for i, c := range e.cfg.Proxies {
		if c.Disabled || c.Departed || sel.Proxy >= 0 && c.ID != sel.Proxy {
			continue
		}
		f.at, f.c, f.p = i, c, e.proxies[i]
		if c.Kind.HasFrontend() {
			f.frontend()
			f.listeners()
		}
		if c.Kind.HasBackend() {
			f.servers()
			f.backend()
		}
	}
	return f.rows
}

// filler makes rows; at, c and p are the proxy that it is at.
type filler struct {
	e       *Engine
	sel     stats.Selection
	now     int64
	status  string          // of frontends
	fronts  []FrontendState // by place; nil: all ready
	cleared map[serverKey]checkCounts

	at   int
	c    *config.Proxy
	p    *session.Proxy
	rows []stats.Row

	up, known int // servers of the proxy that are up, and all
}

// row begins one with what all have.
func (f *filler) row(o stats.Object, name string, id int) *stats.Row {
	f.rows = append(f.rows, stats.Row{Object: o, ProxyID: f.c.ID, ID: id})
	r := &f.rows[len(f.rows)-1]
	r.SetText(stats.PxName, f.c.Name)
	r.SetText(stats.SvName, name)
	mode := "tcp"
	if f.c.HTTP {
		mode = "http"
	}
	r.SetText(stats.Mode, mode)
	r.Set(stats.Pid, 1)
	r.Set(stats.IID, int64(f.c.ID))
	r.Set(stats.SID, int64(id))
	r.Set(stats.Type, int64(o))
	r.Zero(stats.Dresp, stats.Wrew, stats.Eint)
	return r
}

func setBytes(r *stats.Row, t *session.Totals) {
	r.Count(stats.BytesIn, t.BytesIn)
	r.Count(stats.BytesOut, t.BytesOut)
	r.Count(stats.Reqbin, t.BytesIn)
	r.Count(stats.Reqbout, t.BytesIn)
	r.Count(stats.Resbin, t.BytesOut)
	r.Count(stats.Resbout, t.BytesOut)
}

func (f *filler) frontend() {
	if !f.sel.Wants(stats.Frontend) {
		return
	}
	p := f.p
	r := f.row(stats.Frontend, "FRONTEND", 0)
	t := session.Sum(p.Front)
	setBytes(r, &t)
	limit := p.Conns.Max()
	if limit == 0 {
		limit = f.e.shared.Conns.Max()
	}
	n := p.CumConns.Load()
	total, rate, most := n-p.ClearedFE.Load(), int64(p.Accepted.Rate(f.now, n)), int64(p.Accepted.Max())
	r.Set(stats.SCur, int64(p.Conns.Current()))
	r.Set(stats.SMax, int64(p.Conns.Most()))
	r.Set(stats.SLim, int64(limit))
	r.Count(stats.STot, total)
	status := f.status
	if f.fronts != nil && status != "STOP" {
		switch f.fronts[f.at] {
		case FrontendPaused:
			status = "PAUSED"
		case FrontendStopped:
			status = "STOP"
		}
	}
	r.SetText(stats.Status, status)
	r.Set(stats.Rate, rate)
	r.Set(stats.RateLim, int64(f.c.RateLimitSessions))
	r.Set(stats.RateMax, most)
	r.Set(stats.ConnRate, rate)
	r.Set(stats.ConnRateMax, most)
	r.Count(stats.ConnTot, total)
	r.Count(stats.SessOther, total)
	r.Zero(
		stats.Dreq, stats.Ereq, stats.Dcon, stats.Dses, stats.ReqRate, stats.ReqRateMax, stats.ReqTot,
		stats.CompIn, stats.CompOut, stats.CompByp, stats.CompRsp, stats.H1sess, stats.H2sess, stats.H3sess,
	)
}

// listeners makes the rows that option socket-stats asks for: one for each address, of all its sockets together.
func (f *filler) listeners() {
	if !f.c.SocketStats || !f.sel.Wants(stats.Listener) {
		return
	}
	byID := map[int][]*session.Traffic{}
	var order []*session.Listener
	for _, w := range f.e.workers {
		for _, l := range w.Table.Listeners {
			if l.Proxy != f.at || !f.sel.WantsID(l.ID) {
				continue
			}
			if byID[l.ID] == nil {
				order = append(order, l)
			}
			byID[l.ID] = append(byID[l.ID], l.Traffic)
		}
	}
	for _, l := range order {
		name := l.Name
		if name == "" {
			name = fmt.Sprintf("sock-%d", l.ID)
		}
		r := f.row(stats.Listener, name, l.ID)
		t := session.Sum(byID[l.ID])
		setBytes(r, &t)
		r.Set(stats.SCur, int64(l.Limit.Current()))
		r.Set(stats.SMax, int64(l.Limit.Most()))
		r.Set(stats.SLim, int64(l.Limit.Max()))
		r.Count(stats.STot, t.Sessions)
		status := "OPEN"
		if m := l.Limit.Max(); m > 0 && l.Limit.Current() >= m {
			status = "FULL"
		}
		r.SetText(stats.Status, status)
		addr, protocol := endpoint(l.Addr)
		r.SetText(stats.Addr, addr)
		r.SetText(stats.Proto, protocol)
		r.Zero(stats.Dreq, stats.Ereq, stats.Dcon, stats.Dses)
	}
}

// endpoint is an address and the name of its protocol as rows show them.
func endpoint(a netio.Addr) (addr, protocol string) {
	ap := a.AddrPort()
	switch {
	case !ap.IsValid():
		return "unix", "unix_stream"
	case ap.Addr().Is6() && !ap.Addr().Is4In6():
		protocol = "tcpv6"
	default:
		protocol = "tcpv4"
	}
	return netip.AddrPortFrom(ap.Addr().WithZone(""), ap.Port()).String(), protocol
}

func (f *filler) servers() {
	f.up, f.known = 0, 0
	for i, c := range f.e.Servers(f.at) {
		if c.Departed {
			continue
		}
		s := f.p.Backend.Server(i)
		f.known++
		if s.Up() {
			f.up++
		}
		switch {
		case !f.sel.Wants(stats.Server), !f.sel.WantsID(s.ID),
			(f.sel.NoMaint || f.sel.Up) && !s.Enabled(), f.sel.Up && !s.Up():
		default:
			f.server(i, c, s)
		}
	}
}

// health is the one that a server shows, which may be that of the one it tracks.
func (f *filler) health(i int, c *config.Server) (h health) {
	at := serverKey{f.at, i}
	for range len(f.e.cfg.Proxies) + 1 { // a circle ends somewhere
		if c.Track.Server == "" {
			break
		}
		proxy, server, ok := f.e.findServer(c.Track)
		if !ok {
			break
		}
		at = serverKey{proxy, server}
		c = f.e.Servers(proxy)[server]
	}
	h.State, h.checked = f.e.CheckState(at.proxy, at.server)
	h.agent, h.asked = f.e.AgentState(at.proxy, at.server)
	h.own = h.checked && at == serverKey{f.at, i}
	h.checked = h.checked && !h.Off
	h.asked = h.asked && !h.agent.Off
	return h
}

// health is what checks and an agent say of a server.
type health struct {
	check.State
	checked, own bool // by checks that are made; which are its own, made or not
	agent        check.State
	asked        bool
}

// serverStatus is what a server is called. h is of the server that it tracks in the end, or its own; via is the server
// that it tracks, or empty.
func serverStatus(s *backend.Server, h *health, via string) string {
	operation, health, checked, word := s.Operation(), h.Health, h.checked, "UP"
	switch {
	case s.Admin()&backend.Unresolved != 0:
		return "MAINT (resolution)"
	case s.Admin()&backend.InheritedMaint != 0:
		return "MAINT (via " + via + ")"
	case !s.Enabled():
		return "MAINT"
	case operation == backend.Stopped && h.asked && !h.agent.Health.Up():
		return "DOWN (agent)"
	case operation == backend.Stopped && !checked:
		return "DOWN"
	case operation == backend.Stopped: // also by order, whatever its checks say
		if n, of := health.Value, health.Rise; n > 0 {
			return fmt.Sprintf("DOWN %d/%d", n, of)
		}
		return "DOWN"
	case operation == backend.Stopping:
		word = "NOLB"
	case s.Admin()&backend.Drain != 0 && h.asked:
		return "DRAIN (agent)"
	case s.Admin()&backend.Drain != 0:
		word = "DRAIN"
	case !checked:
		return "no check"
	}
	if n, of := health.Progress(); checked && health.Up() && n < of {
		return fmt.Sprintf("%s %d/%d", word, n, of)
	}
	return word
}

func (f *filler) server(i int, c *config.Server, s *backend.Server) {
	r := f.row(stats.Server, c.Name, s.ID)
	out := f.p.Server(i)
	t := session.Sum(out.Traffic)
	setBytes(r, &t)
	h := f.health(i, c)
	via := ""
	if c.Track.Server != "" {
		via = c.Track.Proxy + "/" + c.Track.Server
		r.SetText(stats.Tracked, via)
	}
	n := s.CumSessions()
	r.Set(stats.QCur, int64(s.Queued()))
	r.Set(stats.QMax, int64(f.p.Backend.MaxQueued(int32(i))))
	r.Set(stats.SCur, int64(s.Served()))
	r.Set(stats.SMax, int64(s.MaxServed()))
	if m := s.MaxConn(); m > 0 {
		r.Set(stats.SLim, int64(m))
	}
	if m := s.MaxQueue(); m > 0 {
		r.Set(stats.Qlimit, int64(m))
	}
	r.Count(stats.STot, t.Attempts)
	r.Count(stats.Econ, s.ConnErrors())
	r.Count(stats.Wretr, s.Retries())
	r.Count(stats.Wredis, s.Redispatches())
	r.SetText(stats.Status, serverStatus(s, &h, via))
	weight, share := f.p.Backend.Share(i)
	r.Set(stats.Weight, int64(weight))
	if s.Operation() == backend.Starting && s.Weight() > 0 && s.Admin()&backend.Drain == 0 {
		r.Set(stats.Throttle, int64(share))
	}
	r.Set(stats.Uweight, int64(s.Weight()))
	r.Set(stats.Act, number(!s.Backup))
	r.Set(stats.Bck, number(s.Backup))
	same, down := s.Since()
	r.Set(stats.Lastchg, int64(same/time.Second))
	r.Count(stats.Lbtot, s.Chosen()-out.Cleared.Load())
	r.Set(stats.Rate, int64(out.Assigned.Rate(f.now, n)))
	r.Set(stats.RateMax, int64(out.Assigned.Max()))
	if h.own && !h.Off {
		r.Set(stats.Downtime, int64(down/time.Second))
		f.checked(r, i, &h.State)
	}
	if a, ok := f.e.AgentState(f.at, i); ok && !a.Off {
		asked(r, &a)
	}
	f.times(r, &t)
	addr, _ := endpoint(out.Destination().Addr.Addr())
	r.SetText(stats.Addr, addr)
	r.Zero(stats.SrvIcur, stats.IdleConnCur, stats.SafeConnCur, stats.UsedConnCur, stats.NeedConnEst, stats.SRID, stats.PrivIdleCur)
}

// checked fills what the check of a server found.
func (f *filler) checked(r *stats.Row, i int, state *check.State) {
	before := f.cleared[serverKey{f.at, i}]
	r.Count(stats.Chkfail, state.Failures-before.failures)
	r.Count(stats.Chkdown, state.Downs-before.downs)
	if !f.p.Backend.Server(i).Enabled() {
		return // no check is made
	}
	if state.Running {
		r.SetText(stats.CheckStatus, "* "+state.Status.String())
	} else {
		r.SetText(stats.CheckStatus, state.Status.String())
		r.SetText(stats.LastChk, state.Info)
	}
	if state.Status.HasCode() {
		r.Set(stats.CheckCode, int64(uint32(state.Code))) // -1: a signal
	}
	if state.Status >= check.Checked {
		r.Set(stats.CheckDuration, state.Duration)
	}
	r.SetText(stats.CheckDesc, state.Status.Text())
	r.Set(stats.CheckRise, int64(state.Health.Rise))
	r.Set(stats.CheckFall, int64(state.Health.Fall))
	r.Set(stats.CheckHealth, int64(state.Health.Value))
}

// asked fills what the agent of a server said. It says it in maintenance, too.
func asked(r *stats.Row, state *check.State) {
	status := state.Status.String()
	if state.Running {
		status = "* " + status
	}
	r.SetText(stats.AgentStatus, status)
	if state.Status.HasCode() {
		r.Set(stats.AgentCode, int64(state.Code))
	}
	r.Set(stats.AgentDuration, state.Duration)
	r.SetText(stats.LastAgt, state.Info)
	r.SetText(stats.AgentDesc, state.Status.Text())
	r.Set(stats.AgentRise, int64(state.Health.Rise))
	r.Set(stats.AgentFall, int64(state.Health.Fall))
	r.Set(stats.AgentHealth, int64(state.Health.Value))
}

// times fills what servers and backends have in common.
func (f *filler) times(r *stats.Row, t *session.Totals) {
	last := int64(-1)
	if t.LastNs > 0 {
		last = max(f.now-t.LastNs, 0) / int64(time.Second)
	}
	r.Set(stats.Lastsess, last)
	r.Count(stats.Eresp, t.RespErrors)
	r.Count(stats.CliAbrt, t.CliAborts)
	r.Count(stats.SrvAbrt, t.SrvAborts)
	r.Count(stats.Connect, t.Attempts)
	r.Count(stats.Qtime, t.QueueMs)
	r.Count(stats.Ctime, t.ConnectMs)
	r.Count(stats.Ttime, t.TotalMs)
	r.Count(stats.QtimeMax, t.MaxQueueMs)
	r.Count(stats.CtimeMax, t.MaxConnectMs)
	r.Count(stats.TtimeMax, t.MaxTotalMs)
	r.Zero(stats.Rtime, stats.RtimeMax, stats.Reuse)
}

func (f *filler) backend() {
	if !f.sel.Wants(stats.Backend) {
		return
	}
	p, b := f.p, f.p.Backend
	r := f.row(stats.Backend, "BACKEND", 0)
	t := session.Sum(p.Back)
	setBytes(r, &t)
	chosen, retries, redispatches := p.Replaced.Load()
	for i := range f.e.Servers(f.at) {
		chosen += b.Server(i).Chosen() - p.Server(i).Cleared.Load()
		retries += b.Server(i).Retries()
		redispatches += b.Server(i).Redispatches()
	}
	n := p.CumBeConns.Load()
	r.Set(stats.QCur, int64(b.BackendQueue()))
	r.Set(stats.QMax, int64(b.MaxQueued(backend.None)))
	r.Set(stats.SCur, p.BeConns.Load())
	r.Set(stats.SMax, int64(p.MaxBeConns()))
	r.Set(stats.SLim, int64(f.c.FullConn))
	r.Count(stats.STot, n-p.ClearedBE.Load())
	r.Count(stats.Econ, t.ConnErrors)
	r.Count(stats.Wretr, retries)
	r.Count(stats.Wredis, redispatches)
	active, backups, weight := b.Members()
	status := "DOWN"
	if b.Alive() || f.known == 0 {
		status = "UP"
	}
	if f.sel.NoMaint || f.sel.Up {
		status += fmt.Sprintf(" (%d/%d)", f.up, f.known)
	}
	r.SetText(stats.Status, status)
	r.Set(stats.Weight, int64(b.EffectiveWeight()))
	r.Set(stats.Uweight, int64(weight))
	r.Set(stats.Act, int64(active))
	r.Set(stats.Bck, int64(backups))
	same, down := b.Since()
	r.Count(stats.Chkdown, b.Downs())
	r.Set(stats.Lastchg, int64(same/time.Second))
	r.Set(stats.Downtime, int64(down/time.Second))
	r.Count(stats.Lbtot, chosen)
	r.Set(stats.Rate, int64(p.Entered.Rate(f.now, n)))
	r.Set(stats.RateMax, int64(p.Entered.Max()))
	r.SetText(stats.Algo, algorithm(f.c.Balance.Algorithm))
	f.times(r, &t)
	r.Zero(
		stats.Dreq, stats.CompIn, stats.CompOut, stats.CompByp, stats.CompRsp,
		stats.AggServerStatus, stats.AggServerCheckStatus, stats.AggCheckStatus,
	)
}

func number(b bool) int64 {
	if b {
		return 1
	}
	return 0
}

// algorithm is the name that rows show; not all have one.
func algorithm(a config.Algorithm) string {
	switch a {
	case config.RoundRobin:
		return "roundrobin"
	case config.StaticRR:
		return "static-rr"
	case config.LeastConn:
		return "leastconn"
	case config.First:
		return "first"
	case config.SourceHash:
		return "source"
	}
	return "unknown"
}

// ClearCounters forgets the highest values, and with all everything that was counted.
func (e *Engine) ClearCounters(all bool) {
	e.shared.Conns.ClearMost()
	e.shared.Accepted.Reset()
	for _, p := range e.proxies {
		p.ClearMaxima()
		if p.Backend != nil {
			p.Backend.ClearMaxima()
		}
	}
	for _, w := range e.workers {
		for _, l := range w.Table.Listeners {
			if l.Limit != nil {
				l.Limit.ClearMost()
			}
		}
	}
	if !all {
		return
	}
	for _, w := range e.workers {
		w.Call((*session.Table).ClearCounters)
	}
	cleared := map[serverKey]checkCounts{}
	for i, p := range e.proxies {
		p.ClearedFE.Store(p.CumConns.Load())
		p.ClearedBE.Store(p.CumBeConns.Load())
		if p.Backend == nil {
			continue
		}
		p.Backend.ClearCounters()
		p.Replaced.Clear()
		for n := range e.Servers(i) {
			p.Server(n).Cleared.Store(p.Backend.Server(n).Chosen())
			if state, ok := e.CheckState(i, n); ok {
				cleared[serverKey{i, n}] = checkCounts{state.Failures, state.Downs}
			}
		}
	}
	e.mu.Lock()
	e.cleared = cleared
	e.mu.Unlock()
}
