package testutil

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// FDs returns the open descriptors of a process and what each one is, as /proc/PID/fd names it.
func FDs(tb testing.TB, pid int) map[string]string {
	tb.Helper()
	fds, err := readFDs(fmt.Sprintf("/proc/%d/fd", pid))
	if err != nil {
		tb.Fatal(err)
	}
	return fds
}

func readFDs(dir string) (map[string]string, error) {
	entries, err := os.ReadDir(dir)
	if err != nil {
		return nil, err
	}
	fds := make(map[string]string, len(entries))
	for _, entry := range entries {
		// A descriptor may have been closed since, the one that read the directory among them.
		if target, err := os.Readlink(filepath.Join(dir, entry.Name())); err == nil {
			fds[entry.Name()] = target
		}
	}
	return fds, nil
}

// TaskStatus returns the value of one field of /proc/PID/task/*/status for every thread, such as
// "Uid" with its four numbers.
func TaskStatus(tb testing.TB, pid int, field string) []string {
	tb.Helper()
	files, err := filepath.Glob(fmt.Sprintf("/proc/%d/task/*/status", pid))
	if err != nil || len(files) == 0 {
		tb.Fatalf("no threads of process %d: %v", pid, err)
	}
	var values []string
	for _, file := range files {
		status, err := os.ReadFile(file)
		if err != nil {
			continue // the thread has ended
		}
		for line := range strings.Lines(string(status)) {
			if value, ok := strings.CutPrefix(line, field+":"); ok {
				values = append(values, strings.TrimSpace(value))
			}
		}
	}
	return values
}

// AwaitEnd waits until a process has ended that need not be a child of the test.
func AwaitEnd(tb testing.TB, pid int) {
	tb.Helper()
	fd, err := unix.PidfdOpen(pid, 0)
	if err == unix.ESRCH {
		return
	}
	if err != nil {
		tb.Fatalf("pidfd of process %d: %v", pid, err)
	}
	defer unix.Close(fd)
	for deadline := time.Now().Add(Deadline); ; {
		poll := []unix.PollFd{{Fd: int32(fd), Events: unix.POLLIN}}
		n, err := unix.Poll(poll, int(max(0, time.Until(deadline).Milliseconds())))
		switch {
		case n == 1:
			return
		case err == unix.EINTR:
		case err != nil:
			tb.Fatalf("wait for process %d: %v", pid, err)
		default:
			tb.Fatalf("process %d does not end", pid)
		}
	}
}

// Sockets counts the open sockets of a process.
func Sockets(tb testing.TB, pid int) (n int) {
	tb.Helper()
	for _, target := range FDs(tb, pid) {
		if strings.HasPrefix(target, "socket:") {
			n++
		}
	}
	return n
}
