package process

import (
	"fmt"
	"os"
	"slices"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

// Elders are the processes that this one replaces. While one of them has an address to itself, it can be
// asked to stop listening there:
//
//	bind: address in use ─> SIGTTOU to all ─> 10 ms ─> bind again ─> …  at most 200 times
//	                                                     │
//	                          all is bound: they are told to finish; else SIGTTIN: they listen again
type Elders struct {
	pids   []int
	tries  int // left
	paused bool
}

const (
	elderTries = 200
	elderPause = 10 * time.Millisecond
)

// NewElders names the processes.
func NewElders(pids ...int) *Elders { return &Elders{pids: pids, tries: elderTries} }

// MakeRoom asks them to stop listening and gives them a moment. It reports whether binding is worth another try.
func (e *Elders) MakeRoom() bool {
	if e.tries == 0 || len(Tell(e.pids, unix.SIGTTOU)) == len(e.pids) {
		return false
	}
	e.tries--
	e.paused = true
	time.Sleep(elderPause)
	return true
}

// Dismiss says that they are to finish: nothing is restored.
func (e *Elders) Dismiss() { e.paused = false }

// Restore lets them listen again, when they were asked to stop. All sockets must be closed before.
//
// SIGTTIN would overtake a SIGTTOU that still waits for a process, since it is the lower one.
func (e *Elders) Restore() {
	if !e.paused {
		return
	}
	for range elderTries {
		if !slices.ContainsFunc(e.pids, func(pid int) bool { return waits(pid, unix.SIGTTOU) }) {
			break
		}
		time.Sleep(elderPause)
	}
	Tell(e.pids, unix.SIGTTIN)
}

// waits tells whether a signal was sent to a process that has not taken it yet.
func waits(pid int, sig unix.Signal) bool {
	status, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	return err == nil && isPending(string(status), sig)
}

func isPending(status string, sig unix.Signal) bool {
	_, rest, _ := strings.Cut(status, "\nShdPnd:\t")
	mask, _, _ := strings.Cut(rest, "\n")
	set, err := strconv.ParseUint(mask, 16, 64)
	return err == nil && set>>(sig-1)&1 != 0
}
