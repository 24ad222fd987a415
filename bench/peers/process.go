package peers

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"time"

	"github.com/penstock/penstock/netio"
	"golang.org/x/sys/unix"
)

// Process is a running peer.
type Process struct {
	cmd    *exec.Cmd
	output tail
	ended  chan struct{}
}

const patience = 10 * time.Second

// Start writes the configuration into dir, runs the peer on CPUs, and returns when every route accepts
// connections.
func Start(ctx context.Context, p *Peer, s *Setup, dir string, cpus []int) (*Process, error) {
	file, err := os.CreateTemp(dir, p.Name+"-*.cfg")
	if err != nil {
		return nil, err
	}
	if _, err := file.WriteString(s.Config()); err != nil {
		return nil, err
	}
	if err := file.Close(); err != nil {
		return nil, err
	}
	pr := &Process{ended: make(chan struct{})}
	args := append(p.Command[1:len(p.Command):len(p.Command)], "-f", file.Name(), "-db")
	pr.cmd = exec.Command(p.Command[0], args...)
	pr.cmd.Stdout, pr.cmd.Stderr = &pr.output, &pr.output
	pr.cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true} // a Ctrl-C ends it through Stop, not beside it
	if err := startOn(pr.cmd, cpus); err != nil {
		return nil, fmt.Errorf("start %s: %w", p.Name, err)
	}
	go func() {
		_ = pr.cmd.Wait() // how it ended is in ProcessState
		close(pr.ended)
	}()
	if err := pr.awaitRoutes(ctx, s.Routes); err != nil {
		pr.Stop()
		return nil, fmt.Errorf("start %s: %w%s", p.Name, err, pr.output.quote())
	}
	return pr, nil
}

// startOn starts a process that is bound to CPUs from its first instruction on: a child inherits the
// mask of the thread that forks it.
func startOn(cmd *exec.Cmd, cpus []int) error {
	result := make(chan error)
	go func() {
		runtime.LockOSThread() // never unlocked: the thread dies with its mask
		if err := netio.PinThread(cpus); err != nil {
			result <- err
			return
		}
		result <- cmd.Start()
	}()
	return <-result
}

func (p *Process) awaitRoutes(ctx context.Context, routes []Route) error {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	for _, r := range routes {
		addr := netip.AddrPortFrom(netip.AddrFrom4([4]byte{127, 0, 0, 1}), r.Port).String()
		for {
			var d net.Dialer
			c, err := d.DialContext(ctx, "tcp", addr)
			if err == nil {
				c.Close()
				break
			}
			select {
			case <-p.ended:
				return fmt.Errorf("it ended at once: %v", p.cmd.ProcessState)
			case <-ctx.Done():
				return fmt.Errorf("%s: no connection: %w", r.Name, err)
			case <-time.After(5 * time.Millisecond):
			}
		}
	}
	return nil
}

// PID is the process's id.
func (p *Process) PID() int { return p.cmd.Process.Pid }

// Alive fails when the process has ended, with what it said.
func (p *Process) Alive() error {
	select {
	case <-p.ended:
		return fmt.Errorf("it ended: %v%s", p.cmd.ProcessState, p.output.quote())
	default:
		return nil
	}
}

// Stop ends the process, by force when it does not go by itself.
func (p *Process) Stop() {
	_ = p.cmd.Process.Signal(syscall.SIGTERM)
	select {
	case <-p.ended:
	case <-time.After(patience):
		_ = p.cmd.Process.Kill()
		<-p.ended
	}
}

// CPU is what a process has used so far, over all its threads, those that ended included.
type CPU struct {
	Total time.Duration // ns resolution
	// User and System have the resolution of the kernel's tick: only sums of many windows mean something.
	User, System time.Duration
}

// Sub is the use since an earlier sample.
func (c CPU) Sub(earlier CPU) CPU {
	return CPU{c.Total - earlier.Total, c.User - earlier.User, c.System - earlier.System}
}

// Add sums two uses.
func (c CPU) Add(o CPU) CPU { return CPU{c.Total + o.Total, c.User + o.User, c.System + o.System} }

// CPU samples the use so far.
func (p *Process) CPU() (CPU, error) { return cpuOf(p.PID()) }

func cpuOf(pid int) (CPU, error) {
	// The clock of another process's CPU time, as clock_getcpuclockid(3) makes it.
	const schedClock = 2
	clock := int32(^pid<<3 | schedClock)
	var ts unix.Timespec
	if err := unix.ClockGettime(clock, &ts); err != nil {
		return CPU{}, fmt.Errorf("CPU time of process %d: %w", pid, err)
	}
	stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return CPU{}, err
	}
	user, system, err := parseStat(string(stat))
	if err != nil {
		return CPU{}, fmt.Errorf("CPU time of process %d: %w", pid, err)
	}
	return CPU{Total: time.Duration(ts.Nano()), User: user, System: system}, nil
}

// parseStat takes utime and stime from the text of /proc/PID/stat (proc_pid_stat(5)).
func parseStat(s string) (user, system time.Duration, err error) {
	const tick = time.Second / 100 // USER_HZ, the same on every architecture that Go knows
	// The name, in parentheses, may hold anything.
	fields := strings.Fields(s[strings.LastIndexByte(s, ')')+1:])
	const utime, stime = 14 - 3, 15 - 3
	if len(fields) <= stime {
		return 0, 0, errors.New("stat: too few fields")
	}
	u, err := strconv.ParseInt(fields[utime], 10, 64)
	if err != nil {
		return 0, 0, fmt.Errorf("stat: %w", err)
	}
	sys, err := strconv.ParseInt(fields[stime], 10, 64)
	if err != nil {
		return 0, 0, fmt.Errorf("stat: %w", err)
	}
	return time.Duration(u) * tick, time.Duration(sys) * tick, nil
}

// PSS is the user-space memory of the process in bytes, shared pages counted in proportion.
func (p *Process) PSS() (int64, error) {
	b, err := os.ReadFile(filepath.Join("/proc", strconv.Itoa(p.PID()), "smaps_rollup"))
	if err != nil {
		return 0, err
	}
	return kilobytes(string(b), "Pss:")
}

// KernelMemory is what the kernel of the whole machine holds that it cannot give back at will, socket
// buffers included, in bytes.
func KernelMemory() (int64, error) {
	b, err := os.ReadFile("/proc/meminfo")
	if err != nil {
		return 0, err
	}
	slab, err := kilobytes(string(b), "SUnreclaim:")
	if err != nil {
		return 0, err
	}
	b, err = os.ReadFile("/proc/net/sockstat")
	if err != nil {
		return 0, err
	}
	pages, err := tcpPages(string(b))
	return slab + pages*int64(os.Getpagesize()), err
}

// kilobytes finds the line of a name in a /proc file of "name: n kB" lines and returns bytes.
func kilobytes(text, name string) (int64, error) {
	for line := range strings.Lines(text) {
		f := strings.Fields(line)
		if len(f) == 3 && f[0] == name && f[2] == "kB" {
			n, err := strconv.ParseInt(f[1], 10, 64)
			return n << 10, err
		}
	}
	return 0, fmt.Errorf("no %q there", name)
}

// tcpPages takes the pages of TCP buffers from the text of /proc/net/sockstat.
func tcpPages(text string) (int64, error) {
	for line := range strings.Lines(text) {
		f := strings.Fields(line)
		if len(f) < 2 || f[0] != "TCP:" {
			continue
		}
		for i := 1; i+1 < len(f); i += 2 {
			if f[i] == "mem" {
				return strconv.ParseInt(f[i+1], 10, 64)
			}
		}
	}
	return 0, errors.New("no TCP memory in sockstat")
}

// tail keeps the last of what a process says.
type tail struct {
	mu  sync.Mutex
	buf []byte
}

func (t *tail) Write(b []byte) (int, error) {
	const most = 4 << 10
	t.mu.Lock()
	defer t.mu.Unlock()
	t.buf = append(t.buf, b...)
	t.buf = t.buf[max(0, len(t.buf)-most):]
	return len(b), nil
}

// quote is what was said, ready to follow an error message.
func (t *tail) quote() string {
	t.mu.Lock()
	defer t.mu.Unlock()
	if s := bytes.TrimSpace(t.buf); len(s) > 0 {
		return "\n" + string(s)
	}
	return ""
}
