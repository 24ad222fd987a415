package engine

import (
	"fmt"
	"time"

	"github.com/penstock/penstock/internal/backend"
	"github.com/penstock/penstock/internal/check"
	"github.com/penstock/penstock/internal/config"
	"github.com/penstock/penstock/internal/session"
	"github.com/penstock/penstock/internal/stats"
)

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
