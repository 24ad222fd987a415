package process

import (
	"unsafe"

	"golang.org/x/sys/unix"
)

// sigaction is what rt_sigaction(2) takes: the first word is the handler.
type sigaction [8]uint64

// The handlers of the kernel's own.
var (
	actDefault = sigaction{0}
	actIgnore  = sigaction{1}
)

// act sets the action of sig and returns the one before. It goes behind the back of the Go runtime, whose own
// changes take several steps: a signal between them may be lost, or kill.
func act(sig unix.Signal, action sigaction) (before sigaction) {
	const maskSize = 8
	// It cannot fail: the signal exists, and so does the memory.
	unix.RawSyscall6(unix.SYS_RT_SIGACTION, uintptr(sig), uintptr(unsafe.Pointer(&action)), uintptr(unsafe.Pointer(&before)), maskSize, 0, 0)
	return before
}
