package netio

import (
	"syscall"

	"golang.org/x/sys/unix"
)

// Socket families of [Socket].
const (
	FamilyUnix = unix.AF_UNIX
	FamilyInet = unix.AF_INET
	FamilyIn6  = unix.AF_INET6
)

// Socket opens a non-blocking, close-on-exec stream socket.
func Socket(family int) (int, Errno) {
	fd, _, e := syscall.RawSyscall(unix.SYS_SOCKET, uintptr(family), unix.SOCK_STREAM|unix.SOCK_NONBLOCK|unix.SOCK_CLOEXEC, 0)
	return int(fd), e
}

// Close closes a descriptor. The kernel releases it whatever is returned (close(2)), so nothing is.
func Close(fd int) { syscall.RawSyscall(unix.SYS_CLOSE, uintptr(fd), 0, 0) }

// ShutdownWrite sends FIN behind everything that was written.
func ShutdownWrite(fd int) Errno {
	_, _, e := syscall.RawSyscall(unix.SYS_SHUTDOWN, uintptr(fd), unix.SHUT_WR, 0)
	return e
}

// Dup copies a descriptor, close-on-exec.
func Dup(fd int) (int, Errno) {
	n, _, e := syscall.RawSyscall(unix.SYS_FCNTL, uintptr(fd), unix.F_DUPFD_CLOEXEC, 0)
	return int(n), e
}

// SetNonblock sets O_NONBLOCK on the open file behind fd, for everyone who shares it.
func SetNonblock(fd int) error {
	if err := unix.SetNonblock(fd, true); err != nil {
		return &OpError{"set O_NONBLOCK on", "descriptor", err}
	}
	return nil
}

// NewDatagram opens a non-blocking datagram socket for "udp4", "udp6" or "unixgram".
func NewDatagram(network string) (int, error) {
	family := map[string]int{"udp4": unix.AF_INET, "udp6": unix.AF_INET6, "unixgram": unix.AF_UNIX}[network]
	if family == 0 {
		return -1, &OpError{"socket", network, unix.EAFNOSUPPORT}
	}
	fd, err := unix.Socket(family, unix.SOCK_DGRAM|unix.SOCK_NONBLOCK|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return -1, &OpError{"socket", network, err}
	}
	return fd, nil
}
