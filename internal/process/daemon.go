package process

import (
	"errors"
	"fmt"
	"os"
	"strconv"
	"syscall"

	"golang.org/x/sys/unix"
)

// A Go process cannot fork: the child would have one thread of many. It goes into the background by
// starting its own program again, in a new session:
//
//	foreground:  Detach ── starts ──> background: Background() is not nil
//	    │ waits on a pipe                 │ parses, binds, writes the pid file, starts
//	    │ <──────── one byte ──────────── │ Ready: closes the terminal, then says so
//	  exit 0                            serves
//
// When the pipe closes without a byte, the background process has failed: it has written its messages
// to the terminal it still shares, and its exit code becomes the foreground's. The descriptors that the
// foreground inherited reach the background process under the same numbers, for the configuration may name them.

// readyVariable names the pipe's writing end to the background process.
const readyVariable = "PENSTOCK_READY_FD"

const readyByte = '.'

// Detach starts this program again with args (without the program's name) as a background process in
// directory dir, with the environment env, and waits until it is ready or has failed. It returns the
// exit code for this process; an error says that the background process could not be started.
func Detach(args []string, dir string, env []string) (code int, err error) {
	path, err := os.Executable()
	if err != nil {
		return 1, fmt.Errorf("find own program: %w", err)
	}
	var pipe [2]int
	if err = unix.Pipe2(pipe[:], unix.O_CLOEXEC); err != nil {
		return 1, fmt.Errorf("open readiness pipe: %w", err)
	}
	reader := os.NewFile(uintptr(pipe[0]), "readiness pipe")
	defer reader.Close()
	if _, err = unix.FcntlInt(uintptr(pipe[1]), unix.F_SETFD, 0); err != nil {
		unix.Close(pipe[1])
		return 1, fmt.Errorf("pass readiness pipe: %w", err)
	}
	child, err := os.StartProcess(path, append([]string{os.Args[0]}, args...), &os.ProcAttr{
		Dir:   dir,
		Env:   append(withoutVariable(env, readyVariable), readyVariable+"="+strconv.Itoa(pipe[1])),
		Files: []*os.File{os.Stdin, os.Stdout, os.Stderr},
		Sys:   &syscall.SysProcAttr{Setsid: true},
	})
	unix.Close(pipe[1])
	if err != nil {
		return 1, fmt.Errorf("start background process: %w", err)
	}
	var said [1]byte
	if n, _ := reader.Read(said[:]); n == 1 && said[0] == readyByte {
		if err = child.Release(); err != nil {
			return 1, fmt.Errorf("release background process: %w", err)
		}
		return 0, nil
	}
	state, err := child.Wait()
	if err != nil {
		return 1, fmt.Errorf("wait for background process: %w", err)
	}
	if code = state.ExitCode(); code <= 0 {
		code = 1 // killed, or gone without having served
	}
	return code, nil
}

// BackgroundProcess is this process's end of the readiness pipe.
type BackgroundProcess struct {
	pipe int
	null int // /dev/null, which a new root directory may lack
}

// Background returns what Detach left for this process, or nil when it was started by anyone else. It
// removes its trace from the environment, and answers nil from then on.
func Background() (*BackgroundProcess, error) {
	text, found := os.LookupEnv(readyVariable)
	if !found {
		return nil, nil
	}
	os.Unsetenv(readyVariable)
	fd, err := strconv.Atoi(text)
	if err != nil || fd < 3 {
		return nil, nil
	}
	var st unix.Stat_t
	if unix.Fstat(fd, &st) != nil || st.Mode&unix.S_IFMT != unix.S_IFIFO {
		return nil, nil
	}
	unix.CloseOnExec(fd)
	null, err := unix.Open("/dev/null", unix.O_RDWR|unix.O_CLOEXEC, 0)
	if err != nil {
		return nil, fmt.Errorf("open /dev/null: %w", err)
	}
	return &BackgroundProcess{pipe: fd, null: null}, nil
}

// Ready leaves the terminal (standard input and outputs become /dev/null) and lets the foreground
// process go. It may be called once.
func (b *BackgroundProcess) Ready() error {
	defer unix.Close(b.pipe)
	defer unix.Close(b.null)
	if err := redirect(b.null); err != nil {
		return err
	}
	for {
		_, err := unix.Write(b.pipe, []byte{readyByte})
		switch {
		case err == nil, errors.Is(err, unix.EPIPE): // the foreground process may have been interrupted
			return nil
		case errors.Is(err, unix.EINTR):
		default:
			return fmt.Errorf("report readiness: %w", err)
		}
	}
}

// redirect makes the standard input and outputs the file null.
func redirect(null int) error {
	for fd := 0; fd <= 2; fd++ {
		if err := unix.Dup3(null, fd, 0); err != nil {
			return fmt.Errorf("redirect descriptor %d: %w", fd, err)
		}
	}
	return nil
}

// Pass prepares the readiness pipe for the program that replaces this one (see Replace): it returns the
// environment with which Background finds it there, and the descriptor to keep.
func (b *BackgroundProcess) Pass(env []string) (passed []string, keep int) {
	return append(withoutVariable(env, readyVariable), readyVariable+"="+strconv.Itoa(b.pipe)), b.pipe
}
