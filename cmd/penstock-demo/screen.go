package main

import (
	"fmt"
	"io"
	"strings"
	"time"
)

// screen shows the state: live, one screen that is drawn again each time; otherwise a line each time.
type screen struct {
	out  io.Writer
	live bool
}

const (
	clearScreen = "\x1b[H\x1b[2J"
	barWidth    = 40
)

// show shows what happened between two samples.
func (v screen) show(s *stage, before, now sample) {
	if !v.live {
		fmt.Fprintln(v.out, line(before, now))
		return
	}
	var b strings.Builder
	b.WriteString(clearScreen)
	fmt.Fprintf(&b, "Penstock, pid %d, in front of three Redis servers. Ctrl-C ends.\n\n", s.pid())
	b.WriteString(bars(before, now))
	b.WriteString("\n" + costs(before, now) + "\n")
	b.WriteString(s.lastSession())
	b.WriteString(s.hints())
	io.WriteString(v.out, b.String())
}

// summary says what the whole run came to.
func (v screen) summary(s *stage, first, last sample) {
	fmt.Fprintf(v.out, "\n%s%d requests over %d connections, every answer checked.\n%s%s", bars(first, last),
		last.requests-first.requests, last.connections-first.connections, s.lastSession(), s.hints())
}

// line is the short form of show.
func line(before, now sample) string {
	var b strings.Builder
	for i := range now.served {
		fmt.Fprintf(&b, "redis%d %6d   ", i+1, now.served[i]-before.served[i])
	}
	return b.String() + costs(before, now)
}

// bars draws each server's share.
func bars(before, now sample) string {
	most := 1
	for i := range now.served {
		most = max(most, now.served[i]-before.served[i])
	}
	var b strings.Builder
	for i := range now.served {
		served := now.served[i] - before.served[i]
		fmt.Fprintf(&b, "  redis%d %-*s %8d commands %6d connections\n", i+1, barWidth,
			strings.Repeat("#", served*barWidth/most), served, now.accepted[i]-before.accepted[i])
	}
	return b.String()
}

// costs says how fast it went and what the balancer took for it.
func costs(before, now sample) string {
	elapsed := now.at.Sub(before.at)
	requests := now.requests - before.requests
	text := fmt.Sprintf("%.0f requests/s, %.0f connections/s", float64(requests)/elapsed.Seconds(),
		float64(now.connections-before.connections)/elapsed.Seconds())
	if now.cpu < before.cpu || now.memoryKiB == 0 {
		return text + "; Penstock has ended"
	}
	cpu := now.cpu - before.cpu
	text += fmt.Sprintf("; Penstock: %.0f %% of a CPU", 100*cpu.Seconds()/elapsed.Seconds())
	if requests > 0 {
		text += fmt.Sprintf(", %.1f µs per request", float64(cpu)/float64(time.Microsecond)/float64(requests))
	}
	return text + fmt.Sprintf(", %.1f MiB", float64(now.memoryKiB)/1024)
}

func (s *stage) lastSession() string {
	if last := s.logLine.Load(); last != nil {
		return "\nA session in the log:\n  " + *last + "\n"
	}
	return ""
}

func (s *stage) hints() string {
	return fmt.Sprintf(`
Try, while it runs on a terminal:
  redis-cli -p %d get server              # again and again: roundrobin
  redis-cli -p %d get server              # leastconn
  echo "show info" | socat stdio %s
  kill -USR1 %d                           # a soft stop
  cat %s
`, s.ports[0], s.ports[1], s.stats, s.pid(), s.config)
}
