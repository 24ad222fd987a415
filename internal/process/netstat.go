package process

import (
	"os"
	"strconv"
	"strings"
)

// Migrations are the connections that waited at a listener which was closed: how many the kernel moved to
// another listener of the address, and how many it could not. They count for the whole network namespace (Linux 5.14).
type Migrations struct{ Moved, Lost uint64 }

// ReadMigrations reads the counters TCPMigrateReqSuccess and TCPMigrateReqFailure; zero where there are none.
func ReadMigrations() Migrations {
	text, err := os.ReadFile("/proc/net/netstat")
	if err != nil {
		return Migrations{}
	}
	return parseMigrations(string(text))
}

// Since is what came after another reading.
func (m Migrations) Since(before Migrations) Migrations {
	return Migrations{m.Moved - min(before.Moved, m.Moved), m.Lost - min(before.Lost, m.Lost)}
}

// parseMigrations reads pairs of lines, names above values.
func parseMigrations(text string) (m Migrations) {
	lines := strings.Split(text, "\n")
	for i := 0; i+1 < len(lines); i += 2 {
		names, values := strings.Fields(lines[i]), strings.Fields(lines[i+1])
		for n := range min(len(names), len(values)) {
			v, err := strconv.ParseUint(values[n], 10, 64)
			if err != nil {
				continue
			}
			switch names[n] {
			case "TCPMigrateReqSuccess":
				m.Moved = v
			case "TCPMigrateReqFailure":
				m.Lost = v
			}
		}
	}
	return m
}
