package testutil

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
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
