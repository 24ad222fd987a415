package process

import (
	"os"
	"strconv"
	"strings"
)

// Children lists the child processes of a process, as /proc shows them.
func Children(parent int) (children []int) {
	entries, err := os.ReadDir("/proc")
	if err != nil {
		return nil
	}
	for _, e := range entries {
		pid, err := strconv.Atoi(e.Name())
		if err != nil {
			continue
		}
		stat, err := os.ReadFile("/proc/" + e.Name() + "/stat")
		if err == nil && parentIn(string(stat)) == parent { // otherwise it has ended
			children = append(children, pid)
		}
	}
	return children
}

// parentIn is the parent in a line of /proc/PID/stat, 0 when there is none. The name of the program before it may
// hold anything (proc_pid_stat(5)).
func parentIn(stat string) int {
	fields := strings.Fields(stat[strings.LastIndexByte(stat, ')')+1:])
	if len(fields) < 2 {
		return 0
	}
	parent, err := strconv.Atoi(fields[1])
	if err != nil {
		return 0
	}
	return parent
}
