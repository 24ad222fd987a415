package netio

import (
	"fmt"
	"os"
	"strconv"

	"golang.org/x/sys/unix"
)

// CloseAllOnExec keeps every descriptor above 2 that the process has open from the programs that it starts. What this
// package opens is kept from them anyway; whoever started the process may have left others.
func CloseAllOnExec() error {
	const where = "/proc/self/fd"
	entries, err := os.ReadDir(where)
	if err != nil {
		return fmt.Errorf("close descriptors on exec: %w", err)
	}
	for _, e := range entries {
		if fd, err := strconv.Atoi(e.Name()); err == nil && fd > 2 {
			unix.CloseOnExec(fd)
		}
	}
	return nil
}
