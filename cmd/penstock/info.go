package main

import (
	"os"
	"runtime"
	"runtime/metrics"
	"time"

	"github.com/penstock/penstock/internal/engine"
	"github.com/penstock/penstock/internal/process"
	"github.com/penstock/penstock/internal/stats"
)

// info is the state of the process for show info.
func (b *balancer) info() stats.Info {
	g := &b.cfg.Global
	total, used := memory()
	info := stats.Info{
		Name:          "HAProxy", // programs that check it mean the interface
		Version:       fullVersion(),
		ReleaseDate:   release(),
		BuildInfo:     programName + " " + version + " " + runtime.Version(),
		Node:          engine.NodeName(g),
		Description:   g.Description,
		Pid:           os.Getpid(),
		Started:       b.begun,
		BootTime:      b.bootTime,
		MemMax:        uint64(max(b.settings.Memory, 0)) << 20,
		PoolAlloc:     total,
		PoolUsed:      used,
		OpenFileLimit: b.limits.openFiles,
		MaxSock:       b.limits.maxSock,
		HardMaxConn:   g.MaxConn,
		Warnings:      uint64(b.report.Warnings()),
	}
	b.engine.Fill(&info)
	if !info.Stopping {
		own := uint64(b.api.Listeners() + b.web.Listeners())
		info.Listeners += own
		info.Jobs += own
	}
	return info
}

// handovers are what this process took over and gave away.
func (b *balancer) handovers() stats.Handovers {
	s := b.succession
	s.mu.Lock()
	h := stats.Handovers{Generation: s.status.Generation, In: uint64(s.status.Moved)}
	if s.status.Done && len(s.status.From) > 0 {
		h.Took = time.Duration(s.status.MoveMs) * time.Millisecond
	}
	s.mu.Unlock()
	m := process.ReadMigrations()
	h.Out, h.Lost, h.Migrated, h.Stuck = b.offer.given.Load(), b.offer.lost.Load(), m.Moved, m.Lost
	return h
}

// memory is what the program took from the system and what of it is in use. Reading it does not stop
// the threads.
func memory() (total, used uint64) {
	samples := []metrics.Sample{
		{Name: "/memory/classes/total:bytes"},
		{Name: "/memory/classes/heap/free:bytes"},
		{Name: "/memory/classes/heap/released:bytes"},
	}
	metrics.Read(samples)
	value := func(i int) uint64 {
		if samples[i].Value.Kind() != metrics.KindUint64 {
			return 0
		}
		return samples[i].Value.Uint64()
	}
	total = value(0) - value(2)
	return total, total - value(1)
}
