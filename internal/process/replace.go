package process

import (
	"errors"
	"fmt"
	"os"
	"runtime"

	"golang.org/x/sys/unix"
)

// A master process obeys a reload by starting its program anew under its own process id, so that a new
// version on disk is what runs from then on. A signal that comes on the way must neither be lost nor do harm,
// and exec gives every caught signal its default action, which is mostly to kill:
//
//	USR1, USR2, TTIN, TTOU   are blocked in all threads of a master. The mask outlives exec, what comes
//	                         meanwhile stays pending, and os/signal unblocks on a thread of its own what is
//	                         subscribed to.
//	HUP                      the Go runtime lets no thread block it. It is ignored on the way: it asks for
//	                         the reload that is being made, and nothing was read from disk yet.
//	TERM, INT                neither can they be blocked. They have their default action on the way and
//	                         kill, and the workers, who see their master gone, end too: that is what was
//	                         asked for. A handler that still runs when exec ends its thread would swallow
//	                         one, so all handlers are waited for.
//	QUIT                     is ignored in a master always.
//
// What arrived before and was not obeyed yet goes over in the master's state (Signals.Defer). The first program
// of a master has no such mask; it replaces itself at once, before it has done anything.

// blockedSignals are blocked while a program replaces itself, and in a master always.
var blockedSignals = []unix.Signal{unix.SIGUSR1, unix.SIGUSR2, unix.SIGTTIN, unix.SIGTTOU}

// Replace starts the program at path in the place of this one, with the same process id and the same
// children. args begin with the program's name. The descriptors of keep stay open, with the standard
// ones and those that were inherited; all others that this program opened are closed. Replace returns only
// when it failed; all is as before then.
func Replace(path string, args, env []string, keep []int) error {
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	blocked, before := signalSet(blockedSignals), unix.Sigset_t{}
	if err := unix.PthreadSigmask(unix.SIG_BLOCK, &blocked, &before); err != nil {
		return fmt.Errorf("block signals: %w", err)
	}
	defer restoreMask(&before)
	hangup := act(unix.SIGHUP, actIgnore)
	defer act(unix.SIGHUP, hangup) // as it was
	for _, fd := range keep {
		if _, err := unix.FcntlInt(uintptr(fd), unix.F_SETFD, 0); err != nil {
			return fmt.Errorf("pass descriptor %d: %w", fd, err)
		}
		defer unix.CloseOnExec(fd)
	}
	return fmt.Errorf("start %s: %w", path, unix.Exec(path, args, env))
}

// restoreMask cannot fail: its arguments are valid.
func restoreMask(set *unix.Sigset_t) { _ = unix.PthreadSigmask(unix.SIG_SETMASK, set, nil) }

// signalSet is a set as the kernel wants it. All of signals are in its first word.
func signalSet(signals []unix.Signal) (set unix.Sigset_t) {
	for _, sig := range signals {
		set.Val[0] |= 1 << (sig - 1)
	}
	return set
}

// unmasked calls f on a thread that blocks no signal: a child inherits the mask of the thread that starts it.
func unmasked(f func() error) error {
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	none, before := unix.Sigset_t{}, unix.Sigset_t{}
	if err := unix.PthreadSigmask(unix.SIG_SETMASK, &none, &before); err != nil {
		return fmt.Errorf("unblock signals: %w", err)
	}
	defer restoreMask(&before)
	return f()
}

// Gone waits until the child with this id has ended. It stays a zombie until Reap, so that its id
// means nobody else and its end is not forgotten. An error says that there is no such child.
func Gone(pid int) error {
	for {
		err := unix.Waitid(unix.P_PID, pid, nil, unix.WEXITED|unix.WNOWAIT, nil)
		if !errors.Is(err, unix.EINTR) {
			return os.NewSyscallError("waitid", err)
		}
	}
}

// Reap releases a child that has ended and returns its exit code, or 128 and the signal that ended it.
func Reap(pid int) (status int, err error) {
	var wait unix.WaitStatus
	for {
		_, err = unix.Wait4(pid, &wait, 0, nil)
		if !errors.Is(err, unix.EINTR) {
			break
		}
	}
	switch {
	case err != nil:
		return 0, os.NewSyscallError("wait4", err)
	case wait.Signaled():
		return 128 + int(wait.Signal()), nil
	}
	return wait.ExitStatus(), nil
}
