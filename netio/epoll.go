package netio

import "golang.org/x/sys/unix"

// Event is one readiness report: a mask and the data word given at [Epoll.Add].
type Event unix.EpollEvent

// Data is the word given at registration.
func (e *Event) Data() uint64 { return uint64(uint32(e.Fd)) | uint64(uint32(e.Pad))<<32 }

// The masks of events. Hangup and Failure are reported whether asked for or not (epoll_ctl(2)).
const (
	Readable   = unix.EPOLLIN
	Writable   = unix.EPOLLOUT
	PeerClosed = unix.EPOLLRDHUP // the peer will send no more
	Urgent     = unix.EPOLLPRI   // TCP urgent data; reads stop short at it, and a splice does not get past it
	Hangup     = unix.EPOLLHUP   // both directions are closed
	Failure    = unix.EPOLLERR
	Edge       = unix.EPOLLET
	Exclusive  = unix.EPOLLEXCLUSIVE // wake one of several epoll instances; only at Add
)

// Epoll is one epoll instance, used by the thread that owns it; Add, Mod and Del may come from any.
type Epoll struct{ fd int }

// NewEpoll opens an instance.
func NewEpoll() (*Epoll, error) {
	fd, err := unix.EpollCreate1(unix.EPOLL_CLOEXEC)
	if err != nil {
		return nil, &OpError{"create", "epoll instance", err}
	}
	return &Epoll{fd: fd}, nil
}

// Close closes the instance.
func (p *Epoll) Close() { Close(p.fd) }

// Add registers fd; data comes back with its events. Closing the last copy of fd removes it.
func (p *Epoll) Add(fd int, events uint32, data uint64) Errno {
	return epollCtl(p.fd, unix.EPOLL_CTL_ADD, fd, events, data)
}

// Mod changes the mask and the data of a registered fd.
func (p *Epoll) Mod(fd int, events uint32, data uint64) Errno {
	return epollCtl(p.fd, unix.EPOLL_CTL_MOD, fd, events, data)
}

// Del removes fd; needed before closing a descriptor whose open file others share.
func (p *Epoll) Del(fd int) Errno { return epollCtl(p.fd, unix.EPOLL_CTL_DEL, fd, 0, 0) }

// Poll fetches events without waiting.
func (p *Epoll) Poll(evs []Event) (int, Errno) { return epollPoll(p.fd, evs) }

// Wait fetches events, waiting up to timeoutMs (-1: for ever). EINTR is an ordinary outcome: the Go
// runtime signals threads.
func (p *Epoll) Wait(evs []Event, timeoutMs int) (int, Errno) {
	return epollWait(p.fd, evs, timeoutMs)
}

// Waker is an eventfd: Wake may be called from any thread and makes the owner's Epoll report it.
type Waker struct{ fd int }

// NewWaker opens an eventfd.
func NewWaker() (*Waker, error) {
	fd, err := unix.Eventfd(0, unix.EFD_NONBLOCK|unix.EFD_CLOEXEC)
	if err != nil {
		return nil, &OpError{"create", "eventfd", err}
	}
	return &Waker{fd: fd}, nil
}

// FD is the descriptor to register, readable while a wake-up is pending.
func (w *Waker) FD() int { return w.fd }

// Wake makes the descriptor readable.
func (w *Waker) Wake() { writeCounter(w.fd) }

// Clear takes the pending wake-ups back.
func (w *Waker) Clear() { readCounter(w.fd) }

// Close closes the eventfd.
func (w *Waker) Close() { Close(w.fd) }
