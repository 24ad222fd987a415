package testutil

import (
	"bytes"
	"errors"
	"os"
	"os/exec"
	"regexp"
	"sync"
	"syscall"
	"testing"
	"time"
)

// Process is a child process with its output kept. It is ended, by its own id, when the test ends.
type Process struct {
	Pid            int
	Stdout, Stderr *Output

	name   string
	exited chan struct{}
	state  *os.ProcessState // valid once exited is closed
	handle *os.Process
}

// Output collects what a process writes. It is safe for concurrent use.
type Output struct {
	mu   sync.Mutex
	text bytes.Buffer
}

func (o *Output) Write(p []byte) (int, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.text.Write(p)
}

func (o *Output) String() string {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.text.String()
}

// Wait waits until the output matches pattern and returns the match with its groups.
func (o *Output) Wait(tb testing.TB, pattern string) []string {
	tb.Helper()
	re := regexp.MustCompile(pattern)
	var match []string
	if !poll(Deadline, func() bool { match = re.FindStringSubmatch(o.String()); return match != nil }) {
		tb.Fatalf("no output like %q in:\n%s", pattern, o.String())
	}
	return match
}

// Start starts cmd, whose Stdout and Stderr must be unset. The child dies with the test binary,
// even when that is killed.
func Start(tb testing.TB, cmd *exec.Cmd) *Process {
	tb.Helper()
	p := &Process{Stdout: &Output{}, Stderr: &Output{}, name: cmd.Args[0], exited: make(chan struct{})}
	cmd.Stdout, cmd.Stderr = p.Stdout, p.Stderr
	// A grandchild may keep the output pipes open after the child is gone.
	cmd.WaitDelay = 5 * time.Second
	if cmd.SysProcAttr == nil {
		cmd.SysProcAttr = &syscall.SysProcAttr{}
	}
	cmd.SysProcAttr.Pdeathsig = syscall.SIGKILL
	if err := begin(cmd); err != nil {
		tb.Fatal(err)
	}
	p.Pid, p.handle = cmd.Process.Pid, cmd.Process
	go func() {
		cmd.Wait() // the state tells what the error would
		p.state = cmd.ProcessState
		close(p.exited)
	}()
	tb.Cleanup(func() {
		p.end()
		if tb.Failed() {
			tb.Logf("output of %s (pid %d, %v):\n%s%s", p.name, p.Pid, p.state, p.Stdout, p.Stderr)
		}
	})
	return p
}

// end asks the process to leave, and makes it when it does not.
func (p *Process) end() {
	if p.Exited() {
		return
	}
	p.handle.Signal(syscall.SIGTERM)
	select {
	case <-p.exited:
	case <-time.After(5 * time.Second):
		p.handle.Kill()
		<-p.exited
	}
}

// Signal sends sig to the process. One that has ended by itself need not be killed.
func (p *Process) Signal(tb testing.TB, sig os.Signal) {
	tb.Helper()
	if err := p.handle.Signal(sig); err != nil && (sig != os.Kill || !errors.Is(err, os.ErrProcessDone)) {
		tb.Fatalf("signal %v to %s: %v", sig, p.name, err)
	}
}

// Exited tells whether the process has ended.
func (p *Process) Exited() bool {
	select {
	case <-p.exited:
		return true
	default:
		return false
	}
}

// Wait waits for the end of the process.
func (p *Process) Wait(tb testing.TB) *os.ProcessState {
	tb.Helper()
	select {
	case <-p.exited:
		return p.state
	case <-time.After(Deadline):
		tb.Fatalf("%s (pid %d) does not end", p.name, p.Pid)
		return nil
	}
}

// WaitCode waits for the end of the process and fails the test unless it exited with code.
func (p *Process) WaitCode(tb testing.TB, code int) {
	tb.Helper()
	if got := p.Wait(tb); got.ExitCode() != code {
		tb.Fatalf("%s: %v, want exit status %d; output:\n%s%s", p.name, got, code, p.Stdout, p.Stderr)
	}
}

// Run runs cmd to its end, which must be an exit with code, and returns what it wrote.
func Run(tb testing.TB, code int, cmd *exec.Cmd) (stdout, stderr string) {
	tb.Helper()
	p := Start(tb, cmd)
	select {
	case <-p.exited:
	case <-time.After(4 * Deadline):
		tb.Fatalf("%v does not end", cmd.Args)
	}
	p.WaitCode(tb, code)
	return p.Stdout.String(), p.Stderr.String()
}

// Need returns the path of a program, and skips the test when the machine does not have it.
func Need(tb testing.TB, program string) string {
	tb.Helper()
	path, err := exec.LookPath(program)
	if err != nil {
		tb.Skipf("%s is not installed", program)
	}
	return path
}

// NeedRoot skips the test unless it runs as root.
func NeedRoot(tb testing.TB) {
	tb.Helper()
	if os.Geteuid() != 0 {
		tb.Skip("needs root")
	}
}
