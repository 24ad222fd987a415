package session

import (
	"github.com/penstock/penstock/netio"
)

// AcceptStatus says why [Table.Accept] returned.
type AcceptStatus uint8

// The outcomes of Accept.
const (
	AcceptMore        AcceptStatus = iota // the budget is used up: wait for the next report
	AcceptEmpty                           // nobody waits: wait for the next report
	AcceptLimited                         // a maxconn is reached: stop watching until [Shared.WakeAll]
	AcceptNoResources                     // out of descriptors or memory: stop watching for a moment
	AcceptTooFast                         // a rate limit is reached: stop watching for Table.RateDelayMs
)

// Accept takes connections from a listener.
//
// Its budget grows from one, because the usual queue holds one connection and asking once more costs a
// system call that finds nothing; a listener that is readable in consecutive rounds doubles it, up to
// tune.maxaccept.
func (t *Table) Accept(l *Listener) AcceptStatus {
	p := t.Proxies[l.Proxy]
	if l.round+1 == t.round {
		l.budget = min(2*max(l.budget, 1), t.MaxAccept)
	} else {
		l.budget = 1
	}
	l.round = t.round
	for range l.budget {
		if t.RateDelayMs = t.rateDelay(p); t.RateDelayMs > 0 {
			return AcceptTooFast
		}
		if !t.takeLimits(p, l) {
			return AcceptLimited
		}
		fd, e := netio.Accept(l.FD, &t.sa)
		if e != 0 {
			t.giveLimits(p, l)
			switch e {
			case netio.EINTR, netio.ECONNABORTED, netio.EPROTO:
				continue
			case netio.EMFILE, netio.ENFILE, netio.ENOBUFS, netio.ENOMEM:
				t.complain(p, e)
				return AcceptNoResources
			}
			return AcceptEmpty
		}
		t.open(p, l, fd)
	}
	return AcceptMore
}

// rateDelay is how long the rate limits ask to wait, in milliseconds.
func (t *Table) rateDelay(p *Proxy) uint32 {
	now := t.Clock.MonoNs()
	return max(t.ConnRate.delayMs(now), p.SessRate.delayMs(now))
}

func (t *Table) takeLimits(p *Proxy, l *Listener) bool {
	if !t.Conns.take() {
		t.MaxReached.Add(1)
		if t.Conns.wait() {
			return false
		}
		return t.takeLimits(p, l)
	}
	if !p.Conns.take() {
		t.giveBack(&t.Conns)
		if p.Conns.wait() {
			return false
		}
		return t.takeLimits(p, l)
	}
	if l.Limit != nil && !l.Limit.take() {
		t.giveBack(&p.Conns)
		t.giveBack(&t.Conns)
		if l.Limit.wait() {
			return false
		}
		return t.takeLimits(p, l)
	}
	return true
}

func (t *Table) giveLimits(p *Proxy, l *Listener) {
	if l.Limit != nil {
		t.giveBack(l.Limit)
	}
	t.giveBack(&p.Conns)
	t.giveBack(&t.Conns)
}

func (t *Table) giveBack(l *Limit) {
	if l.release() {
		t.WakeAll()
	}
}

// complain passes a lack of resources on, at most once a second.
func (t *Table) complain(p *Proxy, e netio.Errno) {
	if now := t.Clock.MonoNs(); t.complainedNs == 0 || now-t.complainedNs >= 1e9 {
		t.complainedNs = now
		t.Complain(p, e)
	}
}

// open makes a session of an accepted connection and sets it going. The socket has inherited its
// options from the listener; its address is in t.sa.
func (t *Table) open(p *Proxy, l *Listener, fd int) {
	id, s := t.alloc()
	t.live.Add(1)
	now := t.Clock.MonoNs()
	t.begun(p, l, now)
	t.ConnRate.count(now)
	p.SessRate.count(now)

	s.state = stateConnecting
	s.number = t.CumReq.Add(1)
	s.acceptNs, s.acceptWallNs = now, t.Clock.WallNs()
	s.queueMs, s.connectMs = -1, -1
	s.srv, s.avoid, s.be = -1, -1, -1
	s.fe = uint16(l.Proxy)
	s.peer = t.sa.Addr()
	s.lis = uint32(l.Index)
	s.flow[client].mode = p.SpliceUp
	s.side[client] = side{fd: int32(fd), flags: writable, last: t.Clock.Now()}
	s.side[server].fd = -1
	if p.Independent {
		s.flags |= independent
	}
	if p.ContStats {
		s.flags |= continuous
	}

	if p.Logger != nil && p.Format == nil {
		t.logAccept(p, s)
	}
	if p.DefaultBackend >= 0 {
		be := t.Proxies[p.DefaultBackend]
		s.be = int16(p.DefaultBackend)
		s.flow[server].mode = be.SpliceDown
		s.flags |= beCounted
		be.enters(now)
		if be.IndependentServer {
			s.flags |= independentServer
		}
	}
	// The connection to the server starts first: while its handshake travels, the client is registered.
	if !t.assign(id, s) {
		return
	}
	if e := t.Epoll.Add(fd, sessionEvents&^netio.Writable, Word(KindClient, id, t.slots.Gen(id), 0)); e != 0 {
		t.complain(p, e)
		s.fail('R')
		t.end(id, s)
	}
}
