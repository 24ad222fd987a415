package session

import "sync/atomic"

// Rate limits events per second over all workers, by the generic cell rate algorithm (ITU-T I.371): one
// date, which every event moves ahead by its share of a second. Events may come while that date is
// less than a tenth of a second ahead, so that a pause earns a small burst and no more.
type Rate struct {
	perEventNs atomic.Int64 // 0: no limit
	_          [cacheLine]byte
	ahead      atomic.Int64 // monotonic ns
	_          [cacheLine]byte
}

const (
	cacheLine   = 128
	burstNs     = int64(1e8)
	minDelayMs  = 1
	nsPerMs     = int64(1e6)
	nsPerSecond = int64(1e9)
)

// SetMax sets the limit in events per second; 0 is none.
func (r *Rate) SetMax(perSecond int) {
	perEvent := int64(0)
	if perSecond > 0 {
		perEvent = max(nsPerSecond/int64(perSecond), 1)
	}
	r.perEventNs.Store(perEvent)
}

// delayMs is how long to wait for room, 0 when there is some.
func (r *Rate) delayMs(nowNs int64) uint32 {
	if r.perEventNs.Load() == 0 {
		return 0
	}
	over := r.ahead.Load() - nowNs - burstNs
	if over < 0 {
		return 0
	}
	return uint32(over/nsPerMs) + minDelayMs
}

// count notes an event. Workers that found room at the same time may each have one.
func (r *Rate) count(nowNs int64) {
	perEvent := r.perEventNs.Load()
	if perEvent == 0 {
		return
	}
	for {
		old := r.ahead.Load()
		if r.ahead.CompareAndSwap(old, max(old, nowNs)+perEvent) {
			return
		}
	}
}
