package session

import "sync/atomic"

// Traffic is what one worker counts of one frontend, backend, server or listener. Only that worker writes it,
// with plain loads and stores of atomics, and whoever asks adds the workers up. Each stands on cache lines of its
// own, so that counting costs a worker nothing that others do.
//
// A session is counted when it ends, as HAProxy does it, or with option contstats whenever it moves bytes.
type Traffic struct {
	sessions   atomic.Uint64 // of a listener; elsewhere a limit or a slot counts them
	bytesIn    atomic.Uint64
	bytesOut   atomic.Uint64
	connErrors atomic.Uint64
	respErrors atomic.Uint64
	cliAborts  atomic.Uint64
	srvAborts  atomic.Uint64
	attempts   atomic.Uint64
	lastNs     atomic.Int64
	samples    atomic.Uint64
	times      [numTimes]average
	_          [2*cacheLine - (10+2*numTimes)*8]byte
}

// The times of a session.
const (
	timeQueue = iota
	timeConnect
	timeTotal
	numTimes
)

// average is a mean that forgets: the weight of a value falls by 1/n with each further one. sum/n is the mean,
// where n is the number of values, up to averageOf.
type average struct {
	sum atomic.Uint64
	max atomic.Uint64
}

const averageOf = 512

// add is for the one writer.
func add(c *atomic.Uint64, n uint64) { c.Store(c.Load() + n) }

func (a *average) note(v, n uint64) {
	sum := a.sum.Load()
	if n > averageOf {
		sum -= (sum + averageOf - 1) / averageOf
	}
	a.sum.Store(sum + v)
	if v > a.max.Load() {
		a.max.Store(v)
	}
}

func (c *Traffic) addBytes(in, out uint64) {
	add(&c.bytesIn, in)
	add(&c.bytesOut, out)
}

// Totals are the counts of all workers together.
type Totals struct {
	Sessions   uint64 // of a listener
	BytesIn    uint64 // from clients
	BytesOut   uint64
	ConnErrors uint64 // sessions of a backend that got no server
	RespErrors uint64 // that the server broke
	CliAborts  uint64
	SrvAborts  uint64
	Attempts   uint64 // connections begun
	LastNs     int64  // of the last of them, on the workers' clocks; 0: there was none

	// The mean of the last sessions and the longest, in milliseconds.
	QueueMs, ConnectMs, TotalMs          uint64
	MaxQueueMs, MaxConnectMs, MaxTotalMs uint64
}

func (t *totalling) add(c *Traffic) {
	o := &t.Totals
	o.Sessions += c.sessions.Load()
	o.BytesIn += c.bytesIn.Load()
	o.BytesOut += c.bytesOut.Load()
	o.ConnErrors += c.connErrors.Load()
	o.RespErrors += c.respErrors.Load()
	o.CliAborts += c.cliAborts.Load()
	o.SrvAborts += c.srvAborts.Load()
	o.Attempts += c.attempts.Load()
	o.LastNs = max(o.LastNs, c.lastNs.Load())
	t.samples += min(c.samples.Load(), averageOf)
	for i := range t.sums {
		t.sums[i] += c.times[i].sum.Load()
		t.most[i] = max(t.most[i], c.times[i].max.Load())
	}
}

type totalling struct {
	Totals
	samples uint64
	sums    [numTimes]uint64
	most    [numTimes]uint64
}

// Sum adds the counts of workers up.
func Sum(workers []*Traffic) Totals {
	var t totalling
	for _, c := range workers {
		t.add(c)
	}
	mean := func(i int) uint64 {
		if t.samples == 0 {
			return 0
		}
		return (t.sums[i] + t.samples - 1) / t.samples
	}
	t.QueueMs, t.ConnectMs, t.TotalMs = mean(timeQueue), mean(timeConnect), mean(timeTotal)
	t.MaxQueueMs, t.MaxConnectMs, t.MaxTotalMs = t.most[timeQueue], t.most[timeConnect], t.most[timeTotal]
	return t.Totals
}

// counters makes list one for workers 0 to worker.
func counters(list []*Traffic, worker int) []*Traffic {
	for len(list) <= worker {
		list = append(list, new(Traffic))
	}
	return list
}

// count gives a proxy and its servers counters for one more worker; nothing runs yet.
func (p *Proxy) count(worker int) {
	p.Front, p.Back = counters(p.Front, worker), counters(p.Back, worker)
	for i := range p.NumServers() {
		p.Server(i).Count(worker + 1)
	}
}

// Count gives a server counters for workers. It must be called before any worker knows the server.
func (s *Server) Count(workers int) { s.Traffic = counters(s.Traffic, workers-1) }

// begun counts a session at its frontend, its listener and, if it has one, its backend.
func (t *Table) begun(p *Proxy, l *Listener, nowNs int64) {
	t.Accepted.Note(nowNs, t.CumConns.Add(1))
	p.Accepted.Note(nowNs, p.CumConns.Add(1))
	add(&l.Traffic.sessions, 1)
	t.Conns.raise()
	p.Conns.raise()
	if l.Limit != nil {
		l.Limit.raise()
	}
}

// enters counts a session at its backend.
func (be *Proxy) enters(nowNs int64) {
	be.joins()
	be.Entered.Note(nowNs, be.CumBeConns.Add(1))
}

// joins counts one among the present sessions of a backend.
func (be *Proxy) joins() {
	n := be.BeConns.Add(1)
	for {
		most := be.mostBeConns.Load()
		if n <= most || be.mostBeConns.CompareAndSwap(most, n) {
			return
		}
	}
}

// MaxBeConns is the largest BeConns since the start or ClearMaxima.
func (be *Proxy) MaxBeConns() int { return int(be.mostBeConns.Load()) }

// attempted counts a connection to a server that was begun.
func (t *Table) attempted(be *Proxy, srv int32) {
	now := t.Clock.MonoNs()
	for _, c := range [...]*Traffic{be.Back[t.Worker], be.at(srv).Traffic[t.Worker]} {
		add(&c.attempts, 1)
		c.lastNs.Store(now)
	}
}

// countBytes counts what a session moved since the last time.
func (t *Table) countBytes(s *Session) {
	in, out := s.flow[client].bytes-s.counted[client], s.flow[server].bytes-s.counted[server]
	if in|out == 0 {
		return
	}
	s.counted = [2]uint64{s.flow[client].bytes, s.flow[server].bytes}
	t.Proxies[s.fe].Front[t.Worker].addBytes(in, out)
	t.listener(s).Traffic.addBytes(in, out)
	if s.be < 0 {
		return
	}
	be := t.Proxies[s.be]
	be.Back[t.Worker].addBytes(in, out)
	if s.srv >= 0 {
		be.at(s.srv).Traffic[t.Worker].addBytes(in, out)
	}
}

// countEnd counts how a session ended: who broke it off, and how long it took.
func (t *Table) countEnd(s *Session) {
	t.countBytes(s)
	if s.be < 0 || s.state == stateLeaving {
		return
	}
	be := t.Proxies[s.be]
	fronts := t.Proxies[s.fe].Front[t.Worker]
	back := be.Back[t.Worker]
	if s.connectMs < 0 {
		switch s.term[0] {
		case 's', 'S', 'R':
			add(&back.connErrors, 1)
		}
		return
	}
	srv := be.at(s.srv).Traffic[t.Worker]
	for _, c := range [...]*Traffic{fronts, back, srv} {
		switch s.term[0] {
		case 'C', 'c':
			add(&c.cliAborts, 1)
		case 'S', 's':
			add(&c.srvAborts, 1)
		}
	}
	total := uint64(max((t.Clock.MonoNs()-s.acceptNs)/1e6, 0))
	for _, c := range [...]*Traffic{back, srv} {
		if s.term[0] == 'S' {
			add(&c.respErrors, 1)
		}
		n := c.samples.Load() + 1
		c.samples.Store(n)
		c.times[timeQueue].note(uint64(max(s.queueMs, 0)), n)
		c.times[timeConnect].note(uint64(max(s.connectMs-s.queueMs, 0)), n)
		c.times[timeTotal].note(total, n)
	}
}

// ClearMaxima forgets the highest values of a proxy and its servers, as far as sessions count them.
func (p *Proxy) ClearMaxima() {
	p.Conns.most.Store(0)
	p.mostBeConns.Store(0)
	p.Accepted.Reset()
	p.Entered.Reset()
	clearTimes(p.Back)
	for i := range p.NumServers() {
		p.Server(i).ClearMaxima()
	}
}

func clearTimes(list []*Traffic) {
	for _, c := range list {
		for i := range c.times {
			c.times[i].max.Store(0)
		}
	}
}

// ClearCounters sets to zero what this worker counts.
func (t *Table) ClearCounters() {
	for _, p := range t.Proxies {
		p.Front[t.Worker].clear()
		p.Back[t.Worker].clear()
		for i := range p.NumServers() {
			t.ClearServer(p.Server(i))
		}
	}
	for _, l := range t.Listeners {
		l.Traffic.clear()
	}
}

// clear keeps the date of the last connection.
func (c *Traffic) clear() {
	for _, n := range [...]*atomic.Uint64{
		&c.sessions, &c.bytesIn, &c.bytesOut, &c.connErrors, &c.respErrors, &c.cliAborts, &c.srvAborts, &c.attempts, &c.samples,
	} {
		n.Store(0)
	}
	for i := range c.times {
		c.times[i].sum.Store(0)
		c.times[i].max.Store(0)
	}
}
