package peers

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"time"

	"github.com/penstock/penstock/bench/place"
	"github.com/penstock/penstock/netio"
	"golang.org/x/sys/unix"
)

// Process is a running peer.
type Process struct {
	cmd    *exec.Cmd
	output tail
	ended  chan struct{}
}

const (
	patience = 30 * time.Second
	tick     = time.Second / 100 // USER_HZ of /proc, the same on every architecture that Go knows
)

// Start configures the peer, runs it in the proxy's place, and returns when every route accepts
// connections from the client's.
func Start(ctx context.Context, p *Peer, s *Setup, dir string, at place.Placement) (*Process, error) {
	args, err := p.arguments(s, dir)
	if err != nil {
		return nil, err
	}
	pr, err := StartProgram(p.Name, append(p.Command[:len(p.Command):len(p.Command)], args...), at.Proxy)
	if err != nil {
		return nil, err
	}
	var addrs []netip.AddrPort
	for _, r := range s.Routes {
		addrs = append(addrs, s.listen(r))
	}
	if err := pr.Await(ctx, at.Client, addrs...); err != nil {
		pr.Stop()
		return nil, fmt.Errorf("start %s: %w%s", p.Name, err, pr.output.quote())
	}
	return pr, nil
}

// StartProgram runs a command in a place, which it has from its first instruction on: a child inherits
// that of the thread that forks it.
func StartProgram(name string, command []string, at place.Party) (*Process, error) {
	pr := &Process{ended: make(chan struct{})}
	pr.cmd = exec.Command(command[0], command[1:]...)
	pr.cmd.Stdout, pr.cmd.Stderr = &pr.output, &pr.output
	pr.cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true} // a Ctrl-C ends it through Stop, not beside it
	if err := at.Do(pr.cmd.Start); err != nil {
		return nil, fmt.Errorf("start %s: %w", name, err)
	}
	go func() {
		_ = pr.cmd.Wait() // how it ended is in ProcessState
		close(pr.ended)
	}()
	return pr, nil
}

// Await returns when all addresses accept connections from a place.
func (p *Process) Await(ctx context.Context, from place.Party, addrs ...netip.AddrPort) error {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	for _, addr := range addrs {
		for {
			err := from.Do(func() error { return knock(addr) })
			if err == nil {
				break
			}
			select {
			case <-p.ended:
				return fmt.Errorf("it ended at once: %v", p.cmd.ProcessState)
			case <-ctx.Done():
				return fmt.Errorf("%v: no connection: %w", addr, err)
			case <-time.After(5 * time.Millisecond):
			}
		}
	}
	return nil
}

// knock connects and leaves.
func knock(addr netip.AddrPort) error {
	sa := netio.SockaddrFrom(addr)
	fd, e := netio.Socket(sa.Family())
	if e != 0 {
		return e
	}
	defer netio.Close(fd)
	if e := netio.Connect(fd, &sa); e != 0 && e != netio.EINPROGRESS {
		return e
	}
	poll := []unix.PollFd{{Fd: int32(fd), Events: unix.POLLOUT}}
	if n, err := unix.Poll(poll, int(patience.Milliseconds())); n == 0 || err != nil {
		return errors.Join(netio.ETIMEDOUT, err)
	}
	if e := netio.SocketError(fd); e != 0 {
		return e
	}
	return nil
}

// PID is the process's id.
func (p *Process) PID() int { return p.cmd.Process.Pid }

// Ended is closed when the process has ended.
func (p *Process) Ended() <-chan struct{} { return p.ended }

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

// pids are the process and its children, which nginx has.
func (p *Process) pids() []int {
	pids := []int{p.PID()}
	b, err := os.ReadFile(fmt.Sprintf("/proc/%d/task/%d/children", p.PID(), p.PID()))
	if err != nil {
		return pids // a kernel that does not tell (CONFIG_PROC_CHILDREN)
	}
	for _, f := range strings.Fields(string(b)) {
		if pid, err := strconv.Atoi(f); err == nil {
			pids = append(pids, pid)
		}
	}
	return pids
}

// CPU samples the use so far.
func (p *Process) CPU() (sum CPU, err error) {
	for _, pid := range p.pids() {
		c, err := cpuOf(pid)
		if err != nil {
			return CPU{}, err
		}
		sum = sum.Add(c)
	}
	return sum, nil
}

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
func (p *Process) PSS() (sum int64, err error) {
	for _, pid := range p.pids() {
		b, err := os.ReadFile(filepath.Join("/proc", strconv.Itoa(pid), "smaps_rollup"))
		if err != nil {
			return 0, err
		}
		n, err := kilobytes(string(b), "Pss:")
		if err != nil {
			return 0, err
		}
		sum += n
	}
	return sum, nil
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
