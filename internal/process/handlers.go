package process

import (
	"fmt"
	"os"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

// While a handler of the Go runtime runs, its thread blocks all signals. A thread that handles SIGURG, which
// means nothing to the runtime when it has not sent it, has therefore come out of every handler that it was in.

// handlersPatience bounds the wait for threads that the kernel does not let run.
const handlersPatience = time.Second

// finishHandlers returns when no thread is in a handler any more that it was in before.
func finishHandlers() error {
	tasks, err := os.ReadDir("/proc/self/task")
	if err != nil {
		return fmt.Errorf("list threads: %w", err)
	}
	for _, task := range tasks {
		if tid, err := strconv.Atoi(task.Name()); err == nil {
			_ = unix.Tgkill(unix.Getpid(), tid, unix.SIGURG) // a thread that has ended is in no handler
		}
	}
	for end := time.Now().Add(handlersPatience); len(tasks) > 0; {
		if !pendingSIGURG(tasks[0].Name()) {
			tasks = tasks[1:]
			continue
		}
		if time.Now().After(end) {
			return fmt.Errorf("thread %s: %w", tasks[0].Name(), unix.ETIMEDOUT)
		}
		time.Sleep(50 * time.Microsecond)
	}
	return nil
}

// pendingSIGURG tells whether a thread of this process has yet to handle it.
func pendingSIGURG(tid string) bool {
	status, err := os.ReadFile("/proc/self/task/" + tid + "/status")
	if err != nil {
		return false // it has ended
	}
	_, rest, _ := strings.Cut(string(status), "\nSigPnd:\t")
	set, _, _ := strings.Cut(rest, "\n")
	pending, err := strconv.ParseUint(set, 16, 64)
	return err == nil && pending&(1<<(unix.SIGURG-1)) != 0
}
