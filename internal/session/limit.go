package session

import "sync/atomic"

// Limit is a maxconn: a count shared by all workers, and the wish of those who found it full to be
// told. Taking and giving back are one atomic add each.
type Limit struct {
	_       [cacheLine]byte // keep neighbours' writes off this line, and its prefetched twin
	cur     atomic.Int64
	max     atomic.Int64 // 0: no limit
	waiting atomic.Bool
	most    atomic.Int64 // the largest cur
	_       [cacheLine]byte
}

// SetMax sets the limit; 0 is none.
func (l *Limit) SetMax(n int) { l.max.Store(int64(n)) }

// Max is the limit, 0 for none.
func (l *Limit) Max() int { return int(l.max.Load()) }

// Current is the number taken.
func (l *Limit) Current() int { return int(l.cur.Load()) }

// Most is the largest Current since the start or since it was cleared.
func (l *Limit) Most() int { return int(l.most.Load()) }

// ClearMost forgets the largest Current.
func (l *Limit) ClearMost() { l.most.Store(0) }

// take reserves one; false when the limit is reached.
func (l *Limit) take() bool {
	n := l.cur.Add(1)
	if m := l.max.Load(); m > 0 && n > m {
		l.cur.Add(-1)
		return false
	}
	return true
}

// raise notes how many are taken, once what was taken is in use.
func (l *Limit) raise() {
	n := l.cur.Load()
	for {
		most := l.most.Load()
		if n <= most || l.most.CompareAndSwap(most, n) {
			return
		}
	}
}

// force reserves one whatever the limit says: the connection exists.
func (l *Limit) force() {
	l.cur.Add(1)
	l.raise()
}

// wait asks to be told of the next release. It reports whether the limit is still reached; if
// not, the caller can go on at once: a release that came before the wish tells nobody.
func (l *Limit) wait() bool {
	l.waiting.Store(true)
	m := l.max.Load()
	return m > 0 && l.cur.Load() >= m
}

// release gives one back and reports whether somebody waits and must be told by the caller.
func (l *Limit) release() bool {
	l.cur.Add(-1)
	return l.waiting.Load() && l.waiting.Swap(false)
}
