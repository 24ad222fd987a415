package netio

import (
	"slices"

	"golang.org/x/sys/unix"
)

// Pipe is one kernel pipe between two splices. Data counts the bytes inside, kept by the user of the pipe.
type Pipe struct {
	R, W int32
	Data int32
}

// PipePool lends pipes to the directions of one worker's sessions; it is not safe for concurrent use.
// Its tables are made for the limit at once, so that neither Get nor Put allocates or moves a [Pipe]; only Adopt may.
//
// A direction holds a pipe only while bytes lie in it, so a handful of pipes serves thousands of
// sessions. A pipe that comes back with bytes inside is closed, never lent again: those bytes
// belong to a dead session. Pipes are created at need up to the limit; the kernel charges their pages
// to the creating user (fs.pipe-user-pages-soft), so a grown size may be refused and the default kept.
type PipePool struct {
	size  int     // wanted capacity in bytes
	pipes []Pipe  // by handle-1
	free  []int32 // handles, LIFO
	lent  int

	opened int // pipes that are open now
}

// DefaultPipeSize is 64 slots of a page: about 92 KB of full Ethernet segments, 256 KiB of large ones.
const DefaultPipeSize = 256 << 10

// NewPipePool makes a pool of at most limit pipes of size bytes (0: [DefaultPipeSize]).
func NewPipePool(size, limit int) *PipePool {
	if size <= 0 {
		size = DefaultPipeSize
	}
	limit = max(limit, 0)
	return &PipePool{size: size, pipes: make([]Pipe, 0, limit), free: make([]int32, 0, limit)}
}

// Get lends a pipe and returns its handle, 0 when the limit is reached or the kernel refuses one.
func (p *PipePool) Get() int32 {
	if n := len(p.free); n > 0 {
		h := p.free[n-1]
		p.free = p.free[:n-1]
		pp := &p.pipes[h-1]
		if pp.R < 0 && !p.open(pp) {
			p.free = append(p.free, h)
			return 0
		}
		p.lent++
		return h
	}
	if len(p.pipes) == cap(p.pipes) {
		return 0
	}
	var np Pipe
	if !p.open(&np) {
		return 0
	}
	p.pipes = append(p.pipes, np)
	p.lent++
	return int32(len(p.pipes))
}

// Adopt lends out a pipe that was opened elsewhere, with the bytes in it. It may go beyond the limit.
func (p *PipePool) Adopt(pipe Pipe) int32 {
	p.lent++
	p.opened++
	if n := len(p.free); n > 0 {
		h := p.free[n-1]
		p.free = p.free[:n-1]
		p.closePipe(&p.pipes[h-1])
		p.pipes[h-1] = pipe
		return h
	}
	p.pipes = append(p.pipes, pipe)
	if cap(p.free) < len(p.pipes) {
		p.free = slices.Grow(p.free, len(p.pipes)-len(p.free))
	}
	return int32(len(p.pipes))
}

func (p *PipePool) open(pp *Pipe) bool {
	var fds [2]int
	if unix.Pipe2(fds[:], unix.O_NONBLOCK|unix.O_CLOEXEC) != nil {
		return false
	}
	_, _ = unix.FcntlInt(uintptr(fds[1]), unix.F_SETPIPE_SZ, p.size)
	*pp = Pipe{R: int32(fds[0]), W: int32(fds[1])}
	p.opened++
	return true
}

// At is the pipe of a handle, valid until the handle is given back.
func (p *PipePool) At(h int32) *Pipe { return &p.pipes[h-1] }

// Put takes a pipe back; with bytes inside it is closed.
func (p *PipePool) Put(h int32) {
	pp := &p.pipes[h-1]
	if pp.Data != 0 {
		p.closePipe(pp)
	}
	p.free = append(p.free, h)
	p.lent--
}

func (p *PipePool) closePipe(pp *Pipe) {
	if pp.R >= 0 {
		Close(int(pp.R))
		Close(int(pp.W))
		p.opened--
	}
	*pp = Pipe{R: -1, W: -1}
}

// Size is the capacity asked of each pipe, in bytes.
func (p *PipePool) Size() int { return p.size }

// Lent is the number of pipes lent out.
func (p *PipePool) Lent() int { return p.lent }

// Idle is the number of open pipes at hand.
func (p *PipePool) Idle() int { return p.opened - p.lent }

// Close closes all pipes; those lent out must not be used any more.
func (p *PipePool) Close() {
	for i := range p.pipes {
		p.closePipe(&p.pipes[i])
	}
	p.pipes, p.free, p.lent = nil, nil, 0
}
