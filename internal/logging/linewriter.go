package logging

import (
	"sync"
	"sync/atomic"
	"syscall"
	"time"
)

const (
	pendingBytes = 256 << 10
	pendingLines = 8192

	// atomicWriteBytes is PIPE_BUF: writes up to this size never mingle with those of another process
	// that has the same pipe, such as the generation before or after this one.
	atomicWriteBytes = 4096

	retryDelay = 5 * time.Millisecond
)

// lineWriter feeds one descriptor. Workers must never wait for it, and the descriptor is shared with
// other processes, so it must not be made non-blocking either. Hence two buffers and one goroutine:
//
//	workers ── put ──> filling ┐  swapped by the goroutine   ┌ writing ── write(2) ──> descriptor
//	                           └─────── when it is idle ─────┘
//
// A put is a lock, a copy and, when the goroutine sleeps, a wake-up. The goroutine writes outside the
// lock and may block there for as long as the reader likes; meanwhile filling takes what it can hold,
// and what comes on top is refused. Lines are kept apart by their ends, so that writes always carry
// whole ones and losses are counted in lines, whatever is in them.
type lineWriter struct {
	fd   int
	lost *atomic.Uint64 // lines that were taken but never written
	wake chan struct{}  // holds one token while the goroutine has something to look at

	mu      sync.Mutex
	filling lineBuffer      // protected by mu
	idle    bool            // the goroutine found nothing to write; protected by mu
	closed  bool            // protected by mu
	waiters []chan struct{} // closed at the next idle moment; protected by mu

	writing lineBuffer // the goroutine's
}

// lineBuffer is lines one after the other, with the offset of each one's end.
type lineBuffer struct {
	bytes []byte
	ends  []uint32
}

func newLineBuffer() lineBuffer {
	return lineBuffer{bytes: make([]byte, 0, pendingBytes), ends: make([]uint32, 0, pendingLines)}
}

func newLineWriter(fd int, lost *atomic.Uint64) *lineWriter {
	return &lineWriter{
		fd: fd, lost: lost, wake: make(chan struct{}, 1),
		filling: newLineBuffer(), writing: newLineBuffer(),
	}
}

// put takes a copy of line, or refuses it when there is no room.
func (w *lineWriter) put(line []byte) bool {
	w.mu.Lock()
	b := &w.filling
	if w.closed || len(b.bytes)+len(line) > cap(b.bytes) || len(b.ends) == cap(b.ends) {
		w.mu.Unlock()
		return false
	}
	b.bytes = append(b.bytes, line...)
	b.ends = append(b.ends, uint32(len(b.bytes)))
	wake := w.idle
	w.idle = false
	w.mu.Unlock()
	if wake {
		w.signal()
	}
	return true
}

func (w *lineWriter) signal() {
	select {
	case w.wake <- struct{}{}:
	default:
	}
}

// run is the goroutine; it returns after close.
func (w *lineWriter) run() {
	for {
		w.mu.Lock()
		w.filling, w.writing = w.writing, w.filling
		closed := w.closed
		if len(w.writing.ends) == 0 {
			w.idle = true
			for _, c := range w.waiters {
				close(c)
			}
			w.waiters = nil
		}
		w.mu.Unlock()

		switch {
		case len(w.writing.ends) > 0:
			w.writeOut()
		case closed:
			return
		default:
			<-w.wake
		}
	}
}

// writeOut writes the buffer, as many whole lines at a time as stay atomic, and empties it.
func (w *lineWriter) writeOut() {
	b := &w.writing
	start := uint32(0)
	for i := 0; i < len(b.ends); {
		first := i
		for i++; i < len(b.ends) && b.ends[i]-start <= atomicWriteBytes; i++ {
		}
		if !w.write(b.bytes[start:b.ends[i-1]]) {
			w.lost.Add(uint64(i - first))
		}
		start = b.ends[i-1]
	}
	b.bytes, b.ends = b.bytes[:0], b.ends[:0]
}

// write writes all of p and reports whether that went well. It waits as long as the descriptor makes
// it wait, also when somebody else made that non-blocking; only close ends such a wait.
func (w *lineWriter) write(p []byte) bool {
	for len(p) > 0 {
		n, err := syscall.Write(w.fd, p)
		switch {
		case err == nil:
			p = p[n:]
		case err == syscall.EINTR:
		case err == syscall.EAGAIN && !w.isClosed():
			time.Sleep(retryDelay)
		default:
			return false
		}
	}
	return true
}

func (w *lineWriter) isClosed() bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.closed
}

// drained returns a channel that is closed once everything put so far is written.
func (w *lineWriter) drained() <-chan struct{} {
	c := make(chan struct{})
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.idle {
		close(c)
	} else {
		w.waiters = append(w.waiters, c)
	}
	return c
}

// close refuses further lines, drops those that the goroutine has not fetched, and lets it end.
func (w *lineWriter) close() {
	w.mu.Lock()
	w.closed = true
	w.lost.Add(uint64(len(w.filling.ends)))
	w.filling.bytes, w.filling.ends = w.filling.bytes[:0], w.filling.ends[:0]
	w.mu.Unlock()
	w.signal()
}
