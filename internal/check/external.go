package check

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"time"

	"github.com/penstock/penstock/internal/config"
	"github.com/penstock/penstock/netio"
	"github.com/penstock/penstock/sched"
)

// An external check is a program that looks at a server and ends with 0 when it works.
//
//	      slot free      started          its end is seen
//	begin ────────> launching ────> running ────────────> free: the check passed or failed
//	  │ none free       │              │
//	  v                 │ cannot be    │ too late: the check failed
//	waiting             v              v                its end is seen
//	                  free          dying: SIGTERM to the program and those that it started, later SIGKILL ──> free
//
// Only the start leaves the checker's goroutine, because it waits for the disk. The loop waits for the end as for a socket, on
// a handle of the process (pidfd), and collects it itself. So nobody else can have done that, and the number is
// the program's for as long as it is sent signals.
const (
	maxPrograms  = 32      // at once; more wait for their turn, and their time does not run
	programID    = 1 << 31 // from here on words of epoll mean programs
	programGrace = time.Second
	wontStart    = 255 // the code of a program that cannot be started
)

// External says how programs are started. Nobody may be asked for one while Null is closed.
type External struct {
	Allowed bool     // insecure-fork-wanted
	Environ []string // what they get besides their own variables
	Null    *os.File // their input and output
	// Address is where a server is, as text; port is empty for a UNIX socket.
	Address func(backendID, server int) (addr, port string)
}

// Command is the program of a backend.
type Command struct {
	Name    string // external-check command
	Path    string // external-check path
	ProxyID int
	Addr    string // where the proxy listens first, as text; empty: nowhere
	Port    string // empty: nowhere, or not on a port
}

// program is a slot for one that runs.
type program struct {
	busy   bool
	check  *Check // that waits for its end; nil: none any more
	pid    int    // 0: it is being started
	handle int
	gen    uint32
	killAt sched.Tick
}

// external are all programs.
type external struct {
	slots     [maxPrograms]program
	waiting   []*Check
	launching sync.WaitGroup
}

func (c *Checker) programWord(slot int) uint64 {
	return uint64(c.external.slots[slot].gen)<<32 | uint64(programID+slot)
}

// programTimer is the timer of a slot.
func (c *Checker) programTimer(slot int) uint32 { return uint32(len(c.checks) + len(c.starts) + slot) }

// launch starts the program of a check, or has it wait for its turn.
func (c *Checker) launch(k *Check) {
	if k.queued {
		return
	}
	slot := -1
	for i := range c.external.slots {
		if !c.external.slots[i].busy {
			slot = i
			break
		}
	}
	if slot < 0 {
		k.queued = true
		c.external.waiting = append(c.external.waiting, k)
		return
	}
	k.run = run{fd: -1, began: c.clock.MonoNs()}
	k.running = true
	k.mu.Lock()
	k.state.Running = true
	k.mu.Unlock()
	if !c.opt.External.Allowed {
		c.finish(k, result{status: SockErr, info: "insecure-fork-wanted is not set in the global section"})
		return
	}
	now := c.clock.Now()
	k.run.deadline = now.Add(k.intervals.Inter)
	if b := k.backend; b.CheckTimeout > 0 && b.ConnectTimeout > 0 {
		k.run.deadline = sched.Earliest(k.run.deadline, now.Add(b.ConnectTimeout))
	}
	c.schedule(k, k.run.deadline)
	p := &c.external.slots[slot]
	*p = program{busy: true, check: k, handle: -1, gen: p.gen + 1}
	k.run.program = p
	argv, env := c.commandLine(k)
	path, null := k.backend.Command.Path, c.opt.External.Null.Fd()
	c.external.launching.Go(func() {
		pid, handle, err := spawn(path, argv, env, null)
		if !c.post(func() { c.launched(slot, pid, handle, err) }) && err == nil {
			kill(pid, syscall.SIGKILL)
			collect(pid, 0)
			netio.Close(handle)
		}
	})
}

// commandLine is what the program of a check is told.
func (c *Checker) commandLine(k *Check) (argv, env []string) {
	const none = "NOT_USED"
	cmd, s := k.backend.Command, k.shared()
	addr, port := c.opt.External.Address(k.backend.State.ID, k.server)
	argv = []string{cmd.Name, cmd.Addr, cmd.Port, addr, port}
	for i := range argv {
		if argv[i] == "" {
			argv[i] = none
		}
	}
	own := []string{
		"PATH=" + cmd.Path, "HAPROXY_PROXY_NAME=" + k.backend.Name, "HAPROXY_PROXY_ID=" + strconv.Itoa(cmd.ProxyID),
		"HAPROXY_PROXY_ADDR=" + cmd.Addr, "HAPROXY_PROXY_PORT=" + cmd.Port, "HAPROXY_SERVER_NAME=" + k.name,
		"HAPROXY_SERVER_ID=" + strconv.Itoa(s.ID), "HAPROXY_SERVER_ADDR=" + addr, "HAPROXY_SERVER_PORT=" + port,
		"HAPROXY_SERVER_MAXCONN=" + strconv.Itoa(s.MaxConn()), "HAPROXY_SERVER_CURCONN=" + strconv.Itoa(s.Served()),
		"HAPROXY_SERVER_SSL=0", "HAPROXY_SERVER_PROTO=tcp",
	}
	if cmd.Path == "" && len(c.opt.External.Environ) > 0 { // theirs has one
		own = own[1:]
	}
	for _, v := range c.opt.External.Environ {
		name, _, _ := strings.Cut(v, "=")
		if name == "PATH" && cmd.Path != "" {
			continue
		}
		env = append(env, v)
	}
	return argv, append(env, own...)
}

// launched takes note of a program that was started, or could not be.
func (c *Checker) launched(slot, pid, handle int, err error) {
	p := &c.external.slots[slot]
	var e syscall.Errno
	if err == nil {
		p.pid, p.handle = pid, handle
		if e = c.epoll.Add(handle, netio.Readable, c.programWord(slot)); e == 0 {
			if p.check == nil { // it was given up meanwhile
				c.terminate(slot)
			}
			return
		}
		err = e
		kill(pid, syscall.SIGKILL)
		collect(pid, 0)
		netio.Close(handle)
	}
	k := p.check
	p.busy, p.check = false, nil
	if k != nil {
		r := result{status: ProcErr, code: wontStart, info: fmt.Sprintf("cannot start the program: %v", err)}
		if errors.Is(err, syscall.EAGAIN) || errors.Is(err, syscall.ENOMEM) || e != 0 {
			r.status, r.code = SockErr, 0
		}
		c.finish(k, r)
	}
	c.launchNext()
}

// programEnded collects a program that has ended.
func (c *Checker) programEnded(slot int) {
	p := &c.external.slots[slot]
	status, ended := collect(p.pid, syscall.WNOHANG)
	if !ended {
		return
	}
	c.freeProgram(slot)
	if k := p.check; k != nil {
		p.check = nil
		r := result{status: ProcErr, code: -1}
		if status.Exited() {
			r.code = status.ExitStatus()
		}
		if r.code == 0 {
			r.status = ProcOK
		}
		c.finish(k, r)
	}
	c.launchNext()
}

func (c *Checker) freeProgram(slot int) {
	p := &c.external.slots[slot]
	c.epoll.Del(p.handle)
	netio.Close(p.handle)
	c.timers.Cancel(c.programTimer(slot))
	p.busy, p.pid, p.handle = false, 0, -1
}

// launchNext lets a check begin that waited for a slot.
func (c *Checker) launchNext() {
	if len(c.external.waiting) == 0 {
		return
	}
	k := c.external.waiting[0]
	c.external.waiting = c.external.waiting[1:]
	k.queued = false
	if !k.running {
		c.begin(k)
	}
}

// overdue gives up waiting for the program of a check.
func (c *Checker) overdue(k *Check) {
	p := k.run.program
	p.check = nil
	if p.pid != 0 {
		for slot := range c.external.slots {
			if &c.external.slots[slot] == p {
				c.terminate(slot)
			}
		}
	}
	c.finish(k, result{status: ProcTout})
}

// terminate asks a program to end, and does not ask twice.
func (c *Checker) terminate(slot int) {
	p := &c.external.slots[slot]
	kill(p.pid, syscall.SIGTERM)
	p.killAt = c.clock.Now().Add(programGrace)
	c.timers.Schedule(c.programTimer(slot), p.killAt)
}

// programDue kills a program that did not want to end. Its timer may have come early.
func (c *Checker) programDue(slot int, now sched.Tick) {
	p := &c.external.slots[slot]
	switch {
	case p.pid == 0:
	case now.Before(p.killAt):
		c.timers.Schedule(c.programTimer(slot), p.killAt)
	default:
		kill(p.pid, syscall.SIGKILL)
	}
}

// endPrograms leaves no program behind.
func (c *Checker) endPrograms() {
	c.external.launching.Wait()
	for slot := range c.external.slots {
		if p := &c.external.slots[slot]; p.pid != 0 {
			kill(p.pid, syscall.SIGKILL)
			collect(p.pid, 0)
			c.freeProgram(slot)
		}
	}
}

// kill sends a signal to a program that was not collected yet, and to those that it started.
func kill(pid int, sig syscall.Signal) { _ = syscall.Kill(-pid, sig) }

// collect takes the end of a program, if it has ended.
func collect(pid, options int) (status syscall.WaitStatus, ended bool) {
	for {
		got, err := syscall.Wait4(pid, &status, options, nil)
		if err != syscall.EINTR {
			return status, got == pid
		}
	}
}

// spawn starts the program that argv[0] names: a file, or the name of one in a folder of path. It gets a group of
// its own, and null for input and output.
func spawn(path string, argv, env []string, null uintptr) (pid, handle int, err error) {
	handle = -1
	attr := &syscall.ProcAttr{Env: env, Files: []uintptr{null, null, null}, Sys: &syscall.SysProcAttr{Setpgid: true, PidFD: &handle}}
	files := []string{argv[0]}
	if !strings.Contains(argv[0], "/") {
		files = nil
		for _, folder := range filepath.SplitList(path) {
			files = append(files, filepath.Join(folder, argv[0]))
		}
	}
	err = syscall.ENOENT
	for _, file := range files {
		pid, _, failed := syscall.StartProcess(file, argv, attr)
		if failed == syscall.ENOEXEC { // a script that does not say whose
			pid, _, failed = syscall.StartProcess("/bin/sh", append([]string{"/bin/sh", file}, argv[1:]...), attr)
		}
		switch {
		case failed == nil && handle < 0:
			kill(pid, syscall.SIGKILL)
			collect(pid, 0)
			return 0, -1, errors.New("this kernel has no handles of processes")
		case failed == nil:
			return pid, handle, nil
		case failed == syscall.EACCES:
			err = failed
		case failed != syscall.ENOENT && failed != syscall.ENOTDIR:
			return 0, -1, failed
		}
	}
	return 0, -1, err
}

// isExternal reports whether a check is made by a program.
func (k *Check) isExternal() bool { return k.program().kind == config.CheckExternal }
