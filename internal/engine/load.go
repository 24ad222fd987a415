package engine

import (
	"sync"
	"time"
)

// Load is what one worker carries and has moved.
type Load struct {
	Sessions  int
	BytesOut  uint64
	Spliced   uint64 // of BytesOut, through pipes
	PipesUsed int
	Busy      time.Duration // CPU time of its thread
}

// Loads are those of all workers; any goroutine may ask.
func (e *Engine) Loads() []Load {
	list := make([]Load, len(e.workers))
	for i, w := range e.workers {
		used, _ := w.Table.Pipes()
		list[i] = Load{w.Table.Live(), w.Table.BytesOut(), w.Table.SplicedOut(), used, w.Busy()}
	}
	return list
}

// usage measures between those who ask: a worker keeps no history, and an idle process makes no wake-ups for one. What
// it tells is an average since somebody last asked, at least a second ago.
type usage struct {
	mu       sync.Mutex
	at       time.Time
	busy     time.Duration // of all workers at that time
	bytes    uint64
	idle     int // percent
	byteRate uint64
}

// shortest is the least time that is measured; who asks sooner is told the same again.
const shortest = time.Second

func (u *usage) measure(now time.Time, loads []Load) (idlePercent int, bytesPerSecond uint64) {
	var busy time.Duration
	var bytes uint64
	for _, l := range loads {
		busy += l.Busy
		bytes += l.BytesOut
	}
	u.mu.Lock()
	defer u.mu.Unlock()
	passed := now.Sub(u.at)
	switch {
	case u.at.IsZero():
		u.idle = 100
	case passed < shortest:
		return u.idle, u.byteRate
	default:
		share := float64(max(busy-u.busy, 0)) / float64(passed) / float64(max(len(loads), 1))
		u.idle = 100 - int(min(share, 1)*100+0.5)
		u.byteRate = uint64(float64(bytes-min(u.bytes, bytes)) / passed.Seconds())
	}
	u.at, u.busy, u.bytes = now, busy, bytes
	return u.idle, u.byteRate
}
