package netio

import (
	"time"

	"golang.org/x/sys/unix"
)

// Thread names the calling thread, for ThreadTime.
func Thread() int { return unix.Gettid() }

// ThreadTime is the CPU time that a thread of this process has used, 0 when it has ended. It costs the thread nothing.
func ThreadTime(thread int) time.Duration {
	// A clock of a thread: its number inverted, above three bits that say "of one thread, as the scheduler counts".
	const perThread, scheduler = 4, 2
	var used unix.Timespec
	if unix.ClockGettime(int32(^thread<<3|perThread|scheduler), &used) != nil {
		return 0
	}
	return time.Duration(used.Nano())
}
