package netio

import (
	"fmt"
	"time"

	"golang.org/x/sys/unix"
)

// Process is one process for good (pidfd): its number may be given to another one, the handle is not.
type Process struct {
	fd int
}

// OpenProcess returns a handle of a process of any user. When there is none the error is ESRCH. The number
// names the process that is meant only if that one is seen alive afterwards.
func OpenProcess(pid int) (*Process, error) {
	fd, err := unix.PidfdOpen(pid, 0)
	if err != nil {
		return nil, &OpError{"open process", fmt.Sprint(pid), err}
	}
	return &Process{fd: fd}, nil
}

// Died waits until the process is dead, at most for limit, and tells whether it is. A dead process has closed all of its
// descriptors; it may still be a zombie. Died blocks its thread.
func (p *Process) Died(limit time.Duration) bool {
	end := time.Now().Add(limit)
	for {
		left := max(time.Until(end), 0)
		polled := []unix.PollFd{{Fd: int32(p.fd), Events: unix.POLLIN}}
		n, err := unix.Poll(polled, int((left+time.Millisecond-1)/time.Millisecond))
		if n > 0 {
			return polled[0].Revents&unix.POLLIN != 0
		}
		if left == 0 || err != nil && err != unix.EINTR {
			return false
		}
	}
}

// Close releases the handle.
func (p *Process) Close() { Close(p.fd) }

// MonotonicNs is the time of CLOCK_MONOTONIC in nanoseconds. All processes of the machine read the same clock, so that
// one can tell another a moment.
func MonotonicNs() int64 {
	var now unix.Timespec
	_ = unix.ClockGettime(unix.CLOCK_MONOTONIC, &now) // it fails for a clock that does not exist
	return now.Nano()
}
