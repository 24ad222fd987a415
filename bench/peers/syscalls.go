package peers

import (
	"bufio"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// Tracer counts the system calls of a process with strace, which slows it down: never while measuring.
type Tracer struct {
	cmd   *exec.Cmd
	table string
}

// Trace attaches to a process; dir takes the counts.
func Trace(p *Process, dir string) (*Tracer, error) {
	t := &Tracer{table: filepath.Join(dir, fmt.Sprintf("strace-%d.txt", p.PID()))}
	t.cmd = exec.Command("strace", "-c", "-f", "-U", "calls,name", "-o", t.table)
	for _, pid := range p.pids() {
		t.cmd.Args = append(t.cmd.Args, "-p", strconv.Itoa(pid))
	}
	said, err := t.cmd.StderrPipe()
	if err != nil {
		return nil, err
	}
	if err := t.cmd.Start(); err != nil {
		return nil, err
	}
	attached := make(chan string, 1)
	go func() {
		lines := bufio.NewScanner(said)
		var first string
		for lines.Scan() {
			if first == "" {
				first = lines.Text()
				attached <- first
			}
		}
		if first == "" {
			attached <- "it says nothing"
		}
	}()
	select {
	case line := <-attached:
		if strings.Contains(line, "attached") {
			return t, nil
		}
		t.end()
		return nil, fmt.Errorf("strace: %s", line)
	case <-time.After(patience):
		t.end()
		return nil, errors.New("strace does not attach")
	}
}

func (t *Tracer) end() {
	_ = t.cmd.Process.Signal(syscall.SIGINT)
	_ = t.cmd.Wait() // strace ends by the signal it was sent
}

// Stop detaches and returns the calls by name.
func (t *Tracer) Stop() (map[string]uint64, error) {
	t.end()
	b, err := os.ReadFile(t.table)
	if err != nil {
		return nil, err
	}
	return parseCalls(string(b))
}

// parseCalls reads the two-column table of strace -c -U calls,name.
func parseCalls(text string) (map[string]uint64, error) {
	counts := map[string]uint64{}
	for line := range strings.Lines(text) {
		f := strings.Fields(line)
		if len(f) != 2 || f[1] == "total" {
			continue
		}
		n, err := strconv.ParseUint(f[0], 10, 64)
		if err != nil {
			continue // the heading and its rules
		}
		counts[f[1]] = n
	}
	if len(counts) == 0 {
		return nil, errors.New("strace counted nothing")
	}
	return counts, nil
}
