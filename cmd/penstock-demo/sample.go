package main

import (
	"fmt"
	"os"
	"strconv"
	"strings"
	"time"
)

// sample is what all counters said at one moment.
type sample struct {
	at          time.Time
	requests    int64
	connections int64
	served      [serverCount]int // commands, per server
	accepted    [serverCount]int // connections, per server
	cpu         time.Duration    // of the balancer since its start
	memoryKiB   int              // of the balancer, its share of shared pages counted in part (PSS)
}

func (s *stage) sample(t *traffic) sample {
	now := sample{at: time.Now(), requests: t.requests.Load(), connections: t.connections.Load()}
	for i, server := range s.servers {
		now.served[i] = server.CommandCount()
		now.accepted[i] = server.TotalConnectionCount()
	}
	// A balancer that has ended costs nothing any more: what cannot be read stays zero.
	if stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", s.pid())); err == nil {
		now.cpu = cpuTime(string(stat))
	}
	if rollup, err := os.ReadFile(fmt.Sprintf("/proc/%d/smaps_rollup", s.pid())); err == nil {
		now.memoryKiB = pss(string(rollup))
	}
	return now
}

// clockTick is the unit of the times in /proc/PID/stat: 1/100 s on every Linux architecture that Go
// runs on.
const clockTick = 10 * time.Millisecond

// cpuTime returns user and system time of a process from its /proc/PID/stat; 0 when it is not one.
func cpuTime(stat string) time.Duration {
	// The second field, the name in parentheses, may hold blanks and parentheses itself.
	end := strings.LastIndexByte(stat, ')')
	fields := strings.Fields(stat[end+1:])
	if end < 0 || len(fields) < 13 {
		return 0
	}
	var ticks int64
	for _, field := range fields[11:13] {
		n, err := strconv.ParseInt(field, 10, 64)
		if err != nil {
			return 0
		}
		ticks += n
	}
	return time.Duration(ticks) * clockTick
}

// pss returns the proportional set size in KiB from /proc/PID/smaps_rollup; 0 when it has none.
func pss(rollup string) int {
	for line := range strings.Lines(rollup) {
		if fields := strings.Fields(line); len(fields) == 3 && fields[0] == "Pss:" {
			n, err := strconv.Atoi(fields[1])
			if err != nil {
				return 0
			}
			return n
		}
	}
	return 0
}
