package load

import (
	"syscall"
	"unsafe"

	"github.com/penstock/penstock/netio"
	"golang.org/x/sys/unix"
)

// discard takes up to n bytes off a TCP socket without copying them anywhere (MSG_TRUNC).
func discard(fd, n int) (int, netio.Errno) {
	var b byte
	m, _, e := syscall.RawSyscall6(unix.SYS_RECVFROM, uintptr(fd), uintptr(unsafe.Pointer(&b)), uintptr(n), unix.MSG_TRUNC, 0, 0)
	return int(m), e
}
