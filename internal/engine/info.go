package engine

import (
	"time"

	"github.com/penstock/penstock/internal/stats"
	"github.com/penstock/penstock/sched"
)

// Fill sets what the engine knows of the state of the process; any goroutine may ask.
func (e *Engine) Fill(i *stats.Info) {
	sh := e.shared
	i.Threads = len(e.workers)
	i.CurrConns = uint64(max(sh.Conns.Current(), 0))
	i.CumConns, i.CumReq = sh.CumConns.Load(), sh.CumReq.Load()
	i.MaxConn = sh.Conns.Max()
	i.MaxConnReached = sh.MaxReached.Load()
	i.MaxPipes = sh.MaxPipes * len(e.workers)
	i.CumStreams = sh.CumReq.Load()
	i.ConnRate = uint64(sh.Accepted.Rate(sched.NewClock().MonoNs(), i.CumConns))
	i.MaxConnRate = uint64(sh.Accepted.Max())
	i.SessRate, i.MaxSessRate = i.ConnRate, i.MaxConnRate // nothing comes between a connection and its session
	i.DroppedLogs = e.outlets.Dropped()
	for _, w := range e.workers {
		i.CurrStreams += uint64(w.Table.Live())
		i.BytesOut += w.Table.BytesOut()
		i.SplicedBytesOut += w.Table.SplicedOut()
		used, free := w.Table.Pipes()
		i.PipesUsed += uint64(used)
		i.PipesFree += uint64(free)
	}
	i.Tasks = i.CurrStreams
	i.IdlePercent, i.BytesOutRate = e.usage.measure(time.Now(), e.Loads())
	e.mu.Lock()
	defer e.mu.Unlock()
	i.ConnRateLimit, i.SessRateLimit = uint64(max(e.maxConnRate, 0)), uint64(max(e.maxSessRate, 0))
	i.Stopping = e.stopping
	i.Jobs = i.CurrStreams
	if !e.stopping && !e.left {
		i.Listeners = uint64(e.listeners)
		i.Jobs += i.Listeners
	}
}
