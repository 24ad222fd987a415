package logging

import (
	"fmt"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/penstock/penstock/netio"
)

// Outlets are the places where the log lines of a process leave it: one datagram socket per address
// family, which serves any number of addresses, and one writer per descriptor. All loggers of a
// process share them.
type Outlets struct {
	dropped atomic.Uint64

	mu      sync.Mutex
	sockets map[string]int      // by network; protected by mu
	writers map[int]*lineWriter // by descriptor; protected by mu
}

// NewOutlets makes an empty set; loggers open what they need in it.
func NewOutlets() *Outlets {
	return &Outlets{sockets: map[string]int{}, writers: map[int]*lineWriter{}}
}

func (o *Outlets) socket(network string) (int, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if fd, ok := o.sockets[network]; ok {
		return fd, nil
	}
	fd, err := netio.NewDatagram(network)
	if err != nil {
		return -1, err
	}
	o.sockets[network] = fd
	return fd, nil
}

func (o *Outlets) descriptor(fd int) (*lineWriter, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if w, ok := o.writers[fd]; ok {
		return w, nil
	}
	var st syscall.Stat_t
	if err := syscall.Fstat(fd, &st); err != nil {
		return nil, fmt.Errorf("stat descriptor %d: %w", fd, err)
	}
	w := newLineWriter(fd, &o.dropped)
	o.writers[fd] = w
	go w.run()
	return w, nil
}

// Dropped is the number of lines lost in the whole process: those that no target could take, and those
// that a descriptor refused later.
func (o *Outlets) Dropped() uint64 { return o.dropped.Load() }

// Flush waits until every descriptor has its lines, for at most timeout, and reports whether it has.
func (o *Outlets) Flush(timeout time.Duration) bool {
	timer := time.NewTimer(timeout)
	defer timer.Stop()
	for _, w := range o.allWriters() {
		select {
		case <-w.drained():
		case <-timer.C:
			return false
		}
	}
	return true
}

// Close closes the sockets and ends the writers; their descriptors stay open, for they are not ours.
// Lines that are still waiting are dropped and counted: call Flush first. A writer that is blocked in
// a write ends when that returns. No Send may be under way or follow.
func (o *Outlets) Close() {
	for _, w := range o.allWriters() {
		w.close()
	}
	o.mu.Lock()
	defer o.mu.Unlock()
	for network, fd := range o.sockets {
		netio.Close(fd)
		delete(o.sockets, network)
	}
	clear(o.writers)
}

func (o *Outlets) allWriters() []*lineWriter {
	o.mu.Lock()
	defer o.mu.Unlock()
	ws := make([]*lineWriter, 0, len(o.writers))
	for _, w := range o.writers {
		ws = append(ws, w)
	}
	return ws
}
