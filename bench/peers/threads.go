package peers

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"
)

// Thread is what one thread has used so far.
type Thread struct {
	CPU         time.Duration
	Voluntary   uint64 // context switches because it waited: each ends with a wake-up
	Involuntary uint64 // because another had its turn
}

// Threads samples all threads of the process by id. Those that ended are not told of.
func (p *Process) Threads() (map[int]Thread, error) {
	out := map[int]Thread{}
	for _, pid := range p.pids() {
		tasks, err := filepath.Glob(fmt.Sprintf("/proc/%d/task/*", pid))
		if err != nil {
			return nil, err
		}
		for _, task := range tasks {
			t, err := threadAt(task)
			if errors.Is(err, fs.ErrNotExist) {
				continue // it has just ended
			}
			if err != nil {
				return nil, err
			}
			tid, err := strconv.Atoi(filepath.Base(task))
			if err != nil {
				return nil, err
			}
			out[tid] = t
		}
	}
	if len(out) == 0 {
		return nil, fmt.Errorf("threads of process %d: there are none", p.PID())
	}
	return out, nil
}

func threadAt(task string) (t Thread, err error) {
	status, err := os.ReadFile(filepath.Join(task, "status"))
	if err != nil {
		return t, err
	}
	if t.Voluntary, t.Involuntary, err = parseSwitches(string(status)); err != nil {
		return t, err
	}
	stat, err := os.ReadFile(filepath.Join(task, "schedstat"))
	if err != nil {
		return t, err
	}
	t.CPU, err = parseSchedstat(string(stat))
	return t, err
}

// parseSwitches reads the counts of context switches from the text of /proc/PID/task/TID/status.
func parseSwitches(text string) (voluntary, involuntary uint64, err error) {
	found := 0
	for line := range strings.Lines(text) {
		name, value, _ := strings.Cut(line, ":")
		var into *uint64
		switch name {
		case "voluntary_ctxt_switches":
			into = &voluntary
		case "nonvoluntary_ctxt_switches":
			into = &involuntary
		default:
			continue
		}
		found++
		if *into, err = strconv.ParseUint(strings.TrimSpace(value), 10, 64); err != nil {
			return 0, 0, fmt.Errorf("status: %w", err)
		}
	}
	if found != 2 {
		return 0, 0, errors.New("status: no context switches")
	}
	return voluntary, involuntary, nil
}

// parseSchedstat reads the time on a CPU from the text of /proc/PID/task/TID/schedstat.
func parseSchedstat(text string) (time.Duration, error) {
	first, _, _ := strings.Cut(text, " ")
	ns, err := strconv.ParseInt(first, 10, 64)
	if err != nil {
		return 0, fmt.Errorf("schedstat: %w", err)
	}
	return time.Duration(ns), nil
}

// Switches sums up the context switches of all threads.
func (p *Process) Switches() (n uint64, err error) {
	threads, err := p.Threads()
	for _, t := range threads {
		n += t.Voluntary + t.Involuntary
	}
	return n, err
}

// MachineCPU is the time that all CPUs of the machine together have spent on anything so far, those
// that client and server use included. It has the resolution of the kernel's tick.
func MachineCPU() (time.Duration, error) {
	b, err := os.ReadFile("/proc/stat")
	if err != nil {
		return 0, err
	}
	return parseMachine(string(b))
}

// parseMachine sums up user, nice, system, irq and softirq of the first line of /proc/stat; idle,
// waiting for disks, and what a hypervisor took are left out, and guests are in user already.
func parseMachine(text string) (time.Duration, error) {
	f := strings.Fields(firstLine(text))
	if len(f) < 8 || f[0] != "cpu" {
		return 0, errors.New("stat: no CPU times")
	}
	var ticks int64
	for _, i := range []int{1, 2, 3, 6, 7} {
		n, err := strconv.ParseInt(f[i], 10, 64)
		if err != nil {
			return 0, fmt.Errorf("stat: %w", err)
		}
		ticks += n
	}
	return time.Duration(ticks) * tick, nil
}
