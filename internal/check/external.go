package check

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
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
//	     few enough       started          its end is seen
//	begin ────────> launching ────> running ────────────> gone: the check passed or failed
//	  │ too many        │              │
//	  v                 │ cannot be    │ too late: the check failed
//	waiting             v              v                its end is seen
//	                  gone          dying: SIGTERM to the program and those that it started, later SIGKILL ──> gone
//
// Only the start leaves the checker's goroutine, because it waits for the disk. The loop waits for the end as for a socket, on
// a handle of the process (pidfd), and collects it itself. So nobody else can have done that, and the number is
// the program's for as long as it is sent signals.
const (
	maxPrograms  = 32 // at once; more wait for their turn, and their time does not run
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

// program is one that runs.
type program struct {
	id     uint32 // of its timer and its handle
	gen    uint32 // no two have the same, so that late reports are told
	check  *Check // that waits for its end; nil: none any more
	pid    int    // 0: it is being started
	handle int
	killAt sched.Tick
}

func (p *program) word() uint64 { return uint64(p.gen)<<32 | uint64(p.id) }

// external are all programs.
type external struct {
	running   []*program
	waiting   []*Check
	gen       uint32
	launching sync.WaitGroup
}

// launch starts the program of a check, or has it wait for its turn.
func (c *Checker) launch(k *Check) {
	if k.queued {
		return
	}
	if len(c.external.running) >= maxPrograms {
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
	c.external.gen++
	p := &program{check: k, handle: -1, gen: c.external.gen}
	p.id = c.owners.add(owner{program: p})
	c.timers.Grow(c.owners.number())
	c.external.running = append(c.external.running, p)
	k.run.program = p
	argv, env := c.commandLine(k)
	path, null := k.backend.Command.Path, c.opt.External.Null.Fd()
	c.external.launching.Go(func() {
		pid, handle, err := spawn(path, argv, env, null)
		if !c.post(func() { c.launched(p, pid, handle, err) }) && err == nil {
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
func (c *Checker) launched(p *program, pid, handle int, err error) {
	var e syscall.Errno
	if err == nil {
		p.pid, p.handle = pid, handle
		if e = c.epoll.Add(handle, netio.Readable, p.word()); e == 0 {
			if p.check == nil { // it was given up meanwhile
				c.terminate(p)
			}
			return
		}
		err = e
		kill(pid, syscall.SIGKILL)
		collect(pid, 0)
		netio.Close(handle)
	}
	c.forget(p)
	if k := p.check; k != nil {
		r := result{status: ProcErr, code: wontStart, info: fmt.Sprintf("cannot start the program: %v", err)}
		if errors.Is(err, syscall.EAGAIN) || errors.Is(err, syscall.ENOMEM) || e != 0 {
			r.status, r.code = SockErr, 0
		}
		c.finish(k, r)
	}
	c.launchNext()
}

// programEnded collects a program that has ended.
func (c *Checker) programEnded(p *program) {
	status, ended := collect(p.pid, syscall.WNOHANG)
	if !ended {
		return
	}
	c.epoll.Del(p.handle)
	netio.Close(p.handle)
	c.forget(p)
	if k := p.check; k != nil {
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

// forget lets go of a program that is gone.
func (c *Checker) forget(p *program) {
	c.release(p.id)
	c.external.running = slices.DeleteFunc(c.external.running, func(other *program) bool { return other == p })
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
	c.abandon(k)
	c.finish(k, result{status: ProcTout})
}

// abandon has nobody wait for the program of a check, or for its turn.
func (c *Checker) abandon(k *Check) {
	c.external.waiting = slices.DeleteFunc(c.external.waiting, func(other *Check) bool { return other == k })
	k.queued = false
	p := k.run.program
	if p == nil {
		return
	}
	k.run.program, p.check = nil, nil
	if p.pid != 0 {
		c.terminate(p)
	}
}

// terminate asks a program to end. SIGKILL follows.
func (c *Checker) terminate(p *program) {
	kill(p.pid, syscall.SIGTERM)
	p.killAt = c.clock.Now().Add(programGrace)
	c.timers.Schedule(p.id, p.killAt)
}

// programDue kills a program that did not want to end. Its timer may have come early.
func (c *Checker) programDue(p *program, now sched.Tick) {
	if now.Before(p.killAt) {
		c.timers.Schedule(p.id, p.killAt)
		return
	}
	kill(p.pid, syscall.SIGKILL)
}

// endPrograms leaves no program behind.
func (c *Checker) endPrograms() {
	c.external.launching.Wait()
	for _, p := range c.external.running {
		if p.pid != 0 { // otherwise who started it has ended it
			kill(p.pid, syscall.SIGKILL)
			collect(p.pid, 0)
			netio.Close(p.handle)
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
