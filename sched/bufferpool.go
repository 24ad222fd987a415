package sched

// BufferPool lends byte buffers of one size. The buffer that came back last goes out first, while
// its memory is still in the cache. A BufferPool belongs to one goroutine.
type BufferPool struct {
	idle [][]byte
	size int
}

// NewBufferPool returns an empty pool of buffers of size bytes that keeps at most limit idle ones.
// It panics unless size is positive and limit is not negative.
func NewBufferPool(size, limit int) *BufferPool {
	if size <= 0 || limit < 0 {
		panic("sched: a buffer pool needs a positive size and a limit of at least 0")
	}
	return &BufferPool{idle: make([][]byte, 0, limit), size: size}
}

// Get returns a buffer of the pool's size with whatever bytes its last user left in it. It belongs
// to the caller until Put. Get allocates when no buffer is idle.
func (p *BufferPool) Get() []byte {
	n := len(p.idle) - 1
	if n < 0 {
		return make([]byte, p.size)
	}
	b := p.idle[n]
	p.idle[n] = nil
	p.idle = p.idle[:n]
	return b
}

// Put gives back a buffer got from Get; the caller must not use it any more. It may have been cut
// short at its end, not at its start: a buffer of another capacity panics. When the pool is full
// the buffer is left to the garbage collector.
func (p *BufferPool) Put(b []byte) {
	if cap(b) != p.size {
		panic("sched: a buffer was put into a pool of another size")
	}
	if len(p.idle) < cap(p.idle) {
		p.idle = append(p.idle, b[:p.size])
	}
}

// Idle returns how many buffers the pool holds.
func (p *BufferPool) Idle() int { return len(p.idle) }
