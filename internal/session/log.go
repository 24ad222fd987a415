package session

import (
	"github.com/penstock/penstock/internal/logging"
	"github.com/penstock/penstock/netio"
)

// log writes the line of a session, if its frontend wants one. With asap the session is still alive. onServer is how
// many sessions its server has.
func (t *Table) log(s *Session, asap bool, onServer int) {
	p := t.Proxies[s.fe]
	if p.Logger == nil || p.Format == nil {
		return
	}
	failed := s.term[0] != 0
	troubled := failed || s.retries > 0 || s.flags&redispatched != 0
	switch {
	case p.DontLogNull && !asap && s.flow[client].bytes == 0 && s.flow[server].bytes == 0,
		p.DontLogNormal && !troubled:
		return
	}
	level := logging.LevelInfo
	if p.LogSepErrors && troubled {
		level = logging.LevelErr
	}
	if !p.Logger.Wanted(level) {
		return
	}
	t.fillRecord(p, s)
	t.record.ASAP, t.record.SrvConn = asap, onServer
	if p.SDFormat != nil && p.Logger.UsesSD() {
		t.scratch.SD = p.SDFormat.Append(t.scratch.SD[:0], &t.record)
	}
	t.line = p.Format.Append(t.line[:0], &t.record)
	p.Logger.Send(t.scratch, level, t.Clock.WallNs(), t.line)
	s.flags |= logged
}

// logAccept writes the line of a frontend without a log format, at accept.
func (t *Table) logAccept(p *Proxy, s *Session) {
	if !p.Logger.Wanted(logging.LevelInfo) {
		return
	}
	t.fillRecord(p, s)
	t.line = logging.AppendConnect(t.line[:0], &t.record)
	p.Logger.Send(t.scratch, logging.LevelInfo, t.Clock.WallNs(), t.line)
}

func (t *Table) fillRecord(p *Proxy, s *Session) {
	l := t.listener(s)
	r := &t.record
	r.Reset()
	r.ClientAddr = s.peer
	r.BindAddr = l.Addr
	if l.Wildcard && (p.Format == nil || p.Format.NeedsBindAddr()) {
		r.BindAddr = localAddr(s.side[client].fd)
	}
	r.FrontendName, r.FrontendID = p.Name, p.ID
	r.ListenerName, r.ListenerID = l.Name, l.ID
	r.AcceptTimeNs = s.acceptWallNs
	r.HandshakeMs = 0
	r.QueueMs = int64(s.queueMs)
	if s.connectMs >= 0 {
		r.ConnectMs = int64(s.connectMs - s.queueMs)
	}
	r.TotalMs = (t.Clock.MonoNs() - s.acceptNs) / 1e6
	r.UserMs = r.TotalMs
	if s.connectMs >= 0 {
		r.DataMs = r.TotalMs - int64(s.connectMs)
	}
	r.BytesIn, r.BytesOut = s.flow[client].bytes, s.flow[server].bytes
	r.Term = s.term
	r.ActConn, r.FeConn = t.Conns.Current(), p.Conns.Current()
	r.Retries = int(s.retries)
	r.Redispatched = s.flags&redispatched != 0
	r.SrvQueue, r.BackendQueue = int(s.serverQueue), int(s.backendQueue)
	r.Counter = s.number
	r.LogCount = p.Lines.Add(1)
	if s.be < 0 {
		return
	}
	be := t.Proxies[s.be]
	r.BackendName, r.BackendID = be.Name, be.ID
	r.BeConn = int(be.BeConns.Load())
	if s.srv < 0 {
		return
	}
	srv := be.at(s.srv)
	r.ServerName, r.ServerID = srv.Name, be.Backend.Server(int(s.srv)).ID
	r.ServerAddr = srv.Destination().Addr.Addr()
	if p.Format != nil && p.Format.NeedsLocalAddr() && s.side[server].fd >= 0 {
		r.LocalAddr = localAddr(s.side[server].fd)
	}
}

func localAddr(fd int32) netio.Addr {
	var sa netio.Sockaddr
	if fd < 0 || netio.LocalAddr(int(fd), &sa) != 0 {
		return netio.Addr{}
	}
	return sa.Addr()
}
