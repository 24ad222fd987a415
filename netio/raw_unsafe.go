package netio

import (
	"syscall"
	"unsafe"

	"golang.org/x/sys/unix"
)

// This file holds every raw system call. Each is non-blocking by its arguments or by the
// descriptor's O_NONBLOCK, except epollWait, which goes through the scheduler.

// Accept takes one connection from a listener, non-blocking and close-on-exec, and stores the peer in sa.
func Accept(fd int, sa *Sockaddr) (int, Errno) {
	sa.n = sockaddrMax
	nfd, _, e := syscall.RawSyscall6(unix.SYS_ACCEPT4, uintptr(fd), uintptr(unsafe.Pointer(&sa.raw)),
		uintptr(unsafe.Pointer(&sa.n)), unix.SOCK_NONBLOCK|unix.SOCK_CLOEXEC, 0, 0)
	return int(nfd), e
}

// Connect starts a connection; on a non-blocking socket EINPROGRESS means that it is under way.
func Connect(fd int, sa *Sockaddr) Errno {
	_, _, e := syscall.RawSyscall(unix.SYS_CONNECT, uintptr(fd), uintptr(unsafe.Pointer(&sa.raw)), uintptr(sa.n))
	return e
}

// Bind gives a socket its local address.
func Bind(fd int, sa *Sockaddr) Errno {
	_, _, e := syscall.RawSyscall(unix.SYS_BIND, uintptr(fd), uintptr(unsafe.Pointer(&sa.raw)), uintptr(sa.n))
	return e
}

// LocalAddr stores the socket's own address in sa.
func LocalAddr(fd int, sa *Sockaddr) Errno {
	sa.n = sockaddrMax
	_, _, e := syscall.RawSyscall(unix.SYS_GETSOCKNAME, uintptr(fd), uintptr(unsafe.Pointer(&sa.raw)), uintptr(unsafe.Pointer(&sa.n)))
	return e
}

// Recv reads what is there, at most len(b) bytes; 0 with no error is the peer's FIN. b must not be empty.
func Recv(fd int, b []byte) (int, Errno) {
	n, _, e := syscall.RawSyscall6(unix.SYS_RECVFROM, uintptr(fd), uintptr(unsafe.Pointer(&b[0])), uintptr(len(b)), 0, 0, 0)
	return int(n), e
}

// Peek is [Recv] that leaves the bytes in the socket.
func Peek(fd int, b []byte) (int, Errno) {
	n, _, e := syscall.RawSyscall6(unix.SYS_RECVFROM, uintptr(fd), uintptr(unsafe.Pointer(&b[0])), uintptr(len(b)), unix.MSG_PEEK, 0, 0)
	return int(n), e
}

// Send writes what fits; it never raises SIGPIPE. b must not be empty.
func Send(fd int, b []byte) (int, Errno) {
	n, _, e := syscall.RawSyscall6(unix.SYS_SENDTO, uintptr(fd), uintptr(unsafe.Pointer(&b[0])), uintptr(len(b)), unix.MSG_NOSIGNAL, 0, 0)
	return int(n), e
}

// SendTo sends one datagram without waiting. b must not be empty.
func SendTo(fd int, b []byte, sa *Sockaddr) Errno {
	_, _, e := syscall.RawSyscall6(unix.SYS_SENDTO, uintptr(fd), uintptr(unsafe.Pointer(&b[0])), uintptr(len(b)),
		unix.MSG_NOSIGNAL|unix.MSG_DONTWAIT, uintptr(unsafe.Pointer(&sa.raw)), uintptr(sa.n))
	return e
}

// Splice moves up to n bytes between a socket and a pipe without waiting for the pipe. Whether a read
// waits for data depends on the socket's own O_NONBLOCK (splice(2), tcp_splice_read).
func Splice(from, to, n int) (int, Errno) {
	m, _, e := syscall.RawSyscall6(unix.SYS_SPLICE, uintptr(from), 0, uintptr(to), 0, uintptr(n), unix.SPLICE_F_NONBLOCK|unix.SPLICE_F_MOVE)
	return int(m), e
}

// SetInt sets an integer socket option.
func SetInt(fd, level, opt, value int) Errno {
	v := int32(value)
	_, _, e := syscall.RawSyscall6(unix.SYS_SETSOCKOPT, uintptr(fd), uintptr(level), uintptr(opt), uintptr(unsafe.Pointer(&v)), 4, 0)
	return e
}

// SocketError reads and clears the pending error of a socket (SO_ERROR).
func SocketError(fd int) Errno {
	var v int32
	n := uint32(4)
	_, _, e := syscall.RawSyscall6(unix.SYS_GETSOCKOPT, uintptr(fd), unix.SOL_SOCKET, unix.SO_ERROR,
		uintptr(unsafe.Pointer(&v)), uintptr(unsafe.Pointer(&n)), 0)
	if e != 0 {
		return e
	}
	return Errno(v)
}

// SetLinger0 makes the coming close send a reset and drop what is unsent (SO_LINGER, zero seconds).
func SetLinger0(fd int) Errno {
	v := [2]int32{1, 0}
	_, _, e := syscall.RawSyscall6(unix.SYS_SETSOCKOPT, uintptr(fd), unix.SOL_SOCKET, unix.SO_LINGER, uintptr(unsafe.Pointer(&v)), 8, 0)
	return e
}

// Unsent is the number of bytes in the send queue that the peer has not acknowledged (SIOCOUTQ).
func Unsent(fd int) int {
	var v int32
	_, _, e := syscall.RawSyscall(unix.SYS_IOCTL, uintptr(fd), unix.TIOCOUTQ, uintptr(unsafe.Pointer(&v)))
	if e != 0 {
		return 0
	}
	return int(v)
}

// Unread is the number of bytes that lie in a pipe or a socket's receive queue (FIONREAD).
func Unread(fd int) int {
	var v int32
	_, _, e := syscall.RawSyscall(unix.SYS_IOCTL, uintptr(fd), unix.TIOCINQ, uintptr(unsafe.Pointer(&v)))
	if e != 0 {
		return 0
	}
	return int(v)
}

func epollCtl(epfd, op, fd int, events uint32, data uint64) Errno {
	ev := unix.EpollEvent{Events: events, Fd: int32(uint32(data)), Pad: int32(uint32(data >> 32))}
	_, _, e := syscall.RawSyscall6(unix.SYS_EPOLL_CTL, uintptr(epfd), uintptr(op), uintptr(fd), uintptr(unsafe.Pointer(&ev)), 0, 0)
	return e
}

func epollPoll(epfd int, evs []Event) (int, Errno) {
	n, _, e := syscall.RawSyscall6(unix.SYS_EPOLL_PWAIT, uintptr(epfd), uintptr(unsafe.Pointer(&evs[0])), uintptr(len(evs)), 0, 0, 0)
	return int(n), e
}

func epollWait(epfd int, evs []Event, timeoutMs int) (int, Errno) {
	n, _, e := syscall.Syscall6(unix.SYS_EPOLL_PWAIT, uintptr(epfd), uintptr(unsafe.Pointer(&evs[0])), uintptr(len(evs)), uintptr(timeoutMs), 0, 0)
	return int(n), e
}

func writeCounter(fd int) Errno {
	one := uint64(1)
	_, _, e := syscall.RawSyscall(unix.SYS_WRITE, uintptr(fd), uintptr(unsafe.Pointer(&one)), 8)
	return e
}

func readCounter(fd int) Errno {
	var v uint64
	_, _, e := syscall.RawSyscall(unix.SYS_READ, uintptr(fd), uintptr(unsafe.Pointer(&v)), 8)
	return e
}

func getTCPInfo(fd int, info *unix.TCPInfo) Errno {
	n := uint32(unix.SizeofTCPInfo)
	_, _, e := syscall.RawSyscall6(unix.SYS_GETSOCKOPT, uintptr(fd), unix.IPPROTO_TCP, unix.TCP_INFO,
		uintptr(unsafe.Pointer(info)), uintptr(unsafe.Pointer(&n)), 0)
	return e
}
