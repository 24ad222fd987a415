package main

import (
	"sync"
	"syscall"
	"time"
)

// moment is what had been used up at a time.
type moment struct {
	at       time.Time
	cpu      time.Duration // of the process
	bytesOut uint64
}

// recent compares the present with a moment that is at least a second past, as soon as there is one. Nothing is measured while nobody
// asks: what is told then is the mean since the last question.
type recent struct {
	mu           sync.Mutex
	before, last moment
}

// since returns the earlier moment. begun stands for it at first.
func (r *recent) since(now, begun moment) moment {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.last.at.IsZero() {
		r.before, r.last = begun, begun
	}
	if now.at.Sub(r.last.at) >= time.Second {
		r.before, r.last = r.last, now
	}
	return r.before
}

// idlePercent is how much of their time so many threads had no work between two moments.
func idlePercent(from, to moment, threads int) int {
	whole := to.at.Sub(from.at) * time.Duration(max(threads, 1))
	if whole <= 0 {
		return 100
	}
	return int(min(max(100-100*float64(to.cpu-from.cpu)/float64(whole), 0), 100))
}

// perSecond is what came to bytesOut in a second between two moments.
func perSecond(from, to moment) uint64 {
	elapsed := to.at.Sub(from.at).Seconds()
	if elapsed <= 0 || to.bytesOut < from.bytesOut {
		return 0
	}
	return uint64(float64(to.bytesOut-from.bytesOut) / elapsed)
}

// cpuTime is what the process has used so far.
func cpuTime() time.Duration {
	var usage syscall.Rusage
	if syscall.Getrusage(syscall.RUSAGE_SELF, &usage) != nil {
		return 0
	}
	return time.Duration(usage.Utime.Nano() + usage.Stime.Nano())
}
