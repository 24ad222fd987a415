package config

import (
	"fmt"
	"strconv"
	"strings"
)

// maxCPU is the highest CPU number that cpu-map accepts.
const maxCPU = 1023

func parseCPUMap(p *parser, s *stmt) {
	if len(s.words) < 3 {
		p.alert(s, len(s.words), codeMissingValue, "%s expects a thread group number ('all', 'odd', 'even', a number from 1 to 64 or a range), "+
			"followed by a list of CPU ranges with numbers from 0 to %d.", s.keyword(), maxCPU)
		return
	}
	spec, auto := strings.CutPrefix(s.arg(1), "auto:")
	groupText, threadText, split := strings.Cut(spec, "/")
	groups, err := numberSet(groupText, 1, 64)
	m := CPUMap{Auto: auto, Pos: p.pos(s, 1)}
	if err == nil && split {
		m.Threads, err = numberSet(threadText, 1, 64)
	}
	if err != nil {
		p.alert(s, 1, codeInvalidValue, "%s : %s.", s.keyword(), err)
		return
	}
	for i := 2; i < len(s.words); i++ {
		for _, part := range strings.Split(s.arg(i), ",") {
			cpus, err := numberSet(part, 0, maxCPU)
			if err != nil {
				p.alert(s, i, codeInvalidValue, "%s : %s.", s.keyword(), err)
				return
			}
			m.CPUs = append(m.CPUs, cpus...)
		}
	}
	if auto && (len(groups) > 1 || len(m.Threads) != len(m.CPUs)) {
		p.alert(s, 1, codeInvalidValue, "%s : TGROUP/THREAD range and CPU sets must have the same size to be automatically bound", s.keyword())
		return
	}
	if len(groups) > 1 && split {
		p.alert(s, 1, codeInvalidValue, "%s : the thread range must refer to one thread group", s.keyword())
		return
	}
	// There is one thread group; lines about others concern no thread.
	if groups[0] == 1 {
		p.cfg.Global.CPUMap = append(p.cfg.Global.CPUMap, m)
	}
}

// numberSet reads all, odd, even, a number or a range with an optional upper end.
func numberSet(text string, low, high int) ([]int, error) {
	first, last, step := low, high, 1
	switch text {
	case "all":
	case "odd":
		first, step = low|1, 2
	case "even":
		first, step = (low+1)&^1, 2
	default:
		from, to, isRange := strings.Cut(text, "-")
		var err error
		first, err = strconv.Atoi(from)
		last = first
		if err == nil && isRange {
			last = high
			if to != "" {
				last, err = strconv.Atoi(to)
			}
		}
		if err != nil || strings.HasPrefix(to, "+") || strings.HasPrefix(from, "+") {
			return nil, fmt.Errorf("'%s' is not a valid number/range", text)
		}
		if first > last {
			first, last = last, first
		}
		if first < low || last > high {
			return nil, fmt.Errorf("'%s' is not a valid number/range. It supports numbers from %d to %d", text, low, high)
		}
	}
	out := make([]int, 0, (last-first)/step+1)
	for n := first; n <= last; n += step {
		out = append(out, n)
	}
	return out, nil
}
