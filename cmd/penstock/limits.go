package main

import (
	"runtime/debug"

	"github.com/penstock/penstock/internal/config"
	"github.com/penstock/penstock/internal/process"
	"github.com/penstock/penstock/netio"
)

// limits are what the process was given and what it needs.
type limits struct {
	threads   int
	openFiles int // the limit in force
	maxSock   int // descriptors needed at most, without optional pipes
}

// optionalPipes is how many pipes the engine makes, where descriptors allow, when nothing is configured
// about them. Without them data is copied.
const optionalPipes = 256

// standardFiles are the descriptors of a process that does nothing yet: the standard streams, those of
// the runtime, and room for name look-ups and the files of a moment.
const standardFiles = 16

// setLimits decides how many connections the process takes, unless that is configured, and makes the
// system allow the descriptors for them.
func (b *balancer) setLimits() bool {
	g := &b.cfg.Global
	atStart, err := process.OpenFileLimit()
	if err != nil {
		b.report.Alertf("%v", err)
		return false
	}
	b.limits.threads = g.NbThread
	if b.limits.threads == 0 {
		cpus, err := netio.UsableCPUs()
		if err != nil {
			b.report.Alertf("%v", err)
			return false
		}
		b.limits.threads = len(cpus)
	}
	needed, optional := budget(b.cfg, b.limits.threads, atStart)
	if g.MaxConn == 0 {
		all := needed
		if optional > 0 {
			all.Pipes = optional
		}
		g.MaxConn = all.MaxConn()
		if b.settings.Memory > 0 {
			g.MaxConn = min(g.MaxConn, process.ConnForMemory(b.settings.Memory, g.BufSize))
		}
		if b.settings.Verbose || b.settings.Debug {
			b.report.Noticef("Automatically setting global.maxconn to %d.", g.MaxConn)
		}
	}
	if b.settings.Memory > 0 {
		debug.SetMemoryLimit(int64(b.settings.Memory) << 20)
	}
	b.limits.maxSock = needed.MaxSock(g.MaxConn)
	return b.raiseOpenFiles(b.limits.maxSock + 2*optional)
}

func (b *balancer) raiseOpenFiles(wanted int) bool {
	g := &b.cfg.Global
	complain := b.report.Warningf
	if g.StrictLimits {
		complain = b.report.Alertf
	}
	var err error
	if g.ULimitN > 0 {
		wanted = g.ULimitN
		b.limits.openFiles, err = process.SetOpenFileLimit(wanted)
	} else {
		b.limits.openFiles, err = process.RaiseOpenFileLimit(wanted)
	}
	if err != nil && (g.ULimitN > 0 || b.limits.openFiles < b.limits.maxSock) {
		complain("[%s.main()] Cannot raise FD limit to %d, limit is %d.", programName, wanted, b.limits.openFiles)
		return !g.StrictLimits
	}
	if b.limits.openFiles < b.limits.maxSock {
		complain("[%s.main()] FD limit (%d) too low for maxconn=%d/maxsock=%d. Please raise 'ulimit-n' to %d or more to avoid any trouble.",
			programName, b.limits.openFiles, g.MaxConn, b.limits.maxSock, b.limits.maxSock)
		return !g.StrictLimits
	}
	return true
}

// budget counts the descriptors that a configuration takes besides those of connections, and the pipes
// that it would like but does not need.
func budget(cfg *config.Config, threads, limit int) (needed process.FDBudget, optional int) {
	g := &cfg.Global
	if g.ULimitN > 0 {
		limit = g.ULimitN
	}
	fixed := standardFiles + g.StatsMaxConn + len(g.Logs)
	for _, bind := range g.StatsSockets {
		fixed += len(bind.Addrs)
	}
	wanted, forced := false, false
	for _, p := range cfg.Proxies {
		if p.Disabled {
			continue
		}
		for _, bind := range p.Binds {
			fixed += len(bind.Addrs) * threads
		}
		for _, server := range p.Servers {
			if server.Check.Enabled {
				fixed++
			}
		}
		wanted = wanted || p.SpliceAuto != config.Off
		forced = forced || p.SpliceRequest || p.SpliceResponse
	}
	needed = process.FDBudget{Limit: limit, HardLimit: g.FDHardLimit, Threads: threads, Fixed: fixed}
	switch {
	case g.NoSplice:
	case forced && g.MaxPipes > 0:
		needed.Pipes = g.MaxPipes
	case forced:
		needed.Pipes = process.PipesUnknown
	case wanted && g.MaxPipes > 0:
		optional = g.MaxPipes
	case wanted:
		optional = optionalPipes
	}
	return needed, optional
}
