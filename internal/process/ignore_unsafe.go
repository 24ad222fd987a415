package process

import (
	"unsafe"

	"golang.org/x/sys/unix"
)

// sigaction is what rt_sigaction(2) takes: the first word is the handler.
type sigaction [8]uint64

// ignore makes the kernel ignore sig, behind the back of the Go runtime, whose own change of a handler is not
// one step: a signal in the middle of it kills. The action before is returned for act.
func ignore(sig unix.Signal) (before sigaction, err error) {
	err = act(sig, &sigaction{1}, &before) // SIG_IGN
	return before, err
}

// act sets the action of sig and returns the one before, when that is wanted.
func act(sig unix.Signal, action, before *sigaction) error {
	const maskSize = 8
	_, _, errno := unix.RawSyscall6(unix.SYS_RT_SIGACTION, uintptr(sig), uintptr(unsafe.Pointer(action)), uintptr(unsafe.Pointer(before)), maskSize, 0, 0)
	if errno != 0 {
		return errno
	}
	return nil
}
