package engine

import (
	"fmt"
	"net/netip"
	"slices"
	"time"

	"github.com/penstock/penstock/internal/backend"
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
