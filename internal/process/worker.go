package process

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"strconv"
	"strings"
	"sync"

	"golang.org/x/sys/unix"
)

// Between a master and each of its workers there are two descriptors that nobody else can reach:
//
//	startup pipe   worker ──> master   the worker's messages, then a zero byte when it serves;
//	                                   an end without that byte is a failed start
//	link           master ──> worker   connections to the worker's Runtime API, one descriptor a message,
//	                                   with a byte that says what the connection may do;
//	                                   its end is the end of the master

// workerVariable names both to the worker: "startup link", and "background" when it shall leave the terminal.
const workerVariable = "PENSTOCK_WORKER"

const startupDone = 0

// Child is a worker as its master sees it right after the start.
type Child struct {
	Pid     int
	Startup io.ReadCloser // what ReadStartup reads
	Link    Link
}

// Link is the master's end of the link to a worker: a descriptor, which a master keeps when its program is replaced.
type Link int

// StartWorker starts this program again, as a worker of this process. args begin with the program's
// name. With background the worker leaves the terminal once it serves.
func StartWorker(path string, args, env []string, dir string, background bool) (child Child, err error) {
	var opened []int
	defer func() {
		for _, fd := range opened {
			unix.Close(fd)
		}
	}()
	var pipe, link [2]int
	if err = unix.Pipe2(pipe[:], unix.O_CLOEXEC); err != nil {
		return Child{}, fmt.Errorf("open startup pipe: %w", err)
	}
	startup := os.NewFile(uintptr(pipe[0]), "startup pipe")
	opened = append(opened, pipe[1])
	if link, err = unix.Socketpair(unix.AF_UNIX, unix.SOCK_SEQPACKET|unix.SOCK_CLOEXEC, 0); err != nil {
		startup.Close()
		return Child{}, fmt.Errorf("open link: %w", err)
	}
	opened = append(opened, link[1])
	described := fmt.Sprintf("%s=%d %d", workerVariable, pipe[1], link[1])
	if background {
		described += " background"
	}
	var handle *os.Process
	err = unmasked(func() (err error) {
		for _, fd := range opened {
			if _, err = unix.FcntlInt(uintptr(fd), unix.F_SETFD, 0); err != nil {
				return fmt.Errorf("pass descriptor %d: %w", fd, err)
			}
		}
		handle, err = os.StartProcess(path, args, &os.ProcAttr{
			Dir:   dir,
			Env:   append(withoutVariable(env, workerVariable), described),
			Files: []*os.File{os.Stdin, os.Stdout, os.Stderr},
		})
		return err
	})
	if err != nil {
		startup.Close()
		unix.Close(link[0])
		return Child{}, fmt.Errorf("start worker: %w", err)
	}
	child = Child{Pid: handle.Pid, Startup: startup, Link: Link(link[0])}
	_ = handle.Release() // Gone and Reap wait for it
	return child, nil
}

func withoutVariable(env []string, name string) []string {
	kept := make([]string, 0, len(env)+1)
	for _, entry := range env {
		if !strings.HasPrefix(entry, name+"=") {
			kept = append(kept, entry)
		}
	}
	return kept
}

// maxStartup bounds the messages of a start that are kept.
const maxStartup = 1 << 20

// ReadStartup waits until a worker serves or has failed to start, and returns its messages meanwhile.
func ReadStartup(startup io.Reader) (text []byte, ready bool) {
	var chunk [4096]byte
	for {
		n, err := startup.Read(chunk[:])
		end := bytes.IndexByte(chunk[:n], startupDone)
		if end >= 0 {
			n = end
		}
		text = append(text, chunk[:min(n, maxStartup-len(text))]...)
		if end >= 0 || err != nil {
			return text, end >= 0
		}
	}
}

// Adopt checks a link that was kept from an earlier program of this master.
func (l Link) Adopt() error {
	if kind, err := unix.GetsockoptInt(int(l), unix.SOL_SOCKET, unix.SO_TYPE); err != nil || kind != unix.SOCK_SEQPACKET {
		return fmt.Errorf("descriptor %d is no link to a worker", l)
	}
	unix.CloseOnExec(int(l))
	return nil
}

// Connect opens a connection to the worker's Runtime API. allowed goes with it.
func (l Link) Connect(allowed byte) (net.Conn, error) {
	pair, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_STREAM|unix.SOCK_CLOEXEC|unix.SOCK_NONBLOCK, 0)
	if err != nil {
		return nil, fmt.Errorf("open connection to worker: %w", err)
	}
	defer unix.Close(pair[1])
	own := os.NewFile(uintptr(pair[0]), "worker")
	defer own.Close()
	if err = unix.Sendmsg(int(l), []byte{allowed}, unix.UnixRights(pair[1]), nil, unix.MSG_DONTWAIT|unix.MSG_NOSIGNAL); err != nil {
		return nil, fmt.Errorf("send connection to worker: %w", err)
	}
	conn, err := net.FileConn(own)
	if err != nil {
		return nil, fmt.Errorf("use connection to worker: %w", err)
	}
	return conn, nil
}

// Close ends the link. A worker that still runs takes it for the end of its master.
func (l Link) Close() { unix.Close(int(l)) }

// WorkerProcess is the worker's end of what StartWorker opened.
type WorkerProcess struct {
	link *net.UnixConn
	null int // /dev/null, -1: it stays at the terminal

	mu      sync.Mutex
	startup int // -1 when the start is over
}

// Worker returns what a master left for this process, or nil when it was started by anyone else. It
// removes its trace from the environment, and answers nil from then on.
func Worker() (*WorkerProcess, error) {
	text, found := os.LookupEnv(workerVariable)
	if !found {
		return nil, nil
	}
	os.Unsetenv(workerVariable)
	fields := strings.Fields(text)
	if len(fields) < 2 {
		return nil, nil
	}
	startup, errPipe := strconv.Atoi(fields[0])
	link, errLink := strconv.Atoi(fields[1])
	var st unix.Stat_t
	if errPipe != nil || errLink != nil || startup < 3 || link < 3 || unix.Fstat(startup, &st) != nil || st.Mode&unix.S_IFMT != unix.S_IFIFO {
		return nil, nil
	}
	if Link(link).Adopt() != nil {
		return nil, nil
	}
	unix.CloseOnExec(startup)
	w := &WorkerProcess{startup: startup, null: -1}
	file := os.NewFile(uintptr(link), "link")
	defer file.Close()
	conn, err := net.FileConn(file)
	if err != nil {
		return nil, fmt.Errorf("use link to master: %w", err)
	}
	w.link, _ = conn.(*net.UnixConn)
	if len(fields) > 2 {
		if w.null, err = unix.Open("/dev/null", unix.O_RDWR|unix.O_CLOEXEC, 0); err != nil {
			return nil, fmt.Errorf("open /dev/null: %w", err)
		}
	}
	return w, nil
}

// Write lets the master have a message of the start, besides whoever else gets it. After the start it does nothing.
func (w *WorkerProcess) Write(p []byte) (int, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.startup >= 0 {
		// Should the master be gone, the link tells.
		_ = writeAll(w.startup, bytes.ReplaceAll(p, []byte{startupDone}, []byte{'?'}))
	}
	return len(p), nil
}

// Ready tells the master that this worker serves, after leaving the terminal if that was asked for.
func (w *WorkerProcess) Ready() error {
	w.mu.Lock()
	defer w.mu.Unlock()
	defer func() {
		unix.Close(w.startup)
		w.startup = -1
	}()
	if w.null >= 0 {
		defer unix.Close(w.null)
		if err := redirect(w.null); err != nil {
			return err
		}
	}
	if err := writeAll(w.startup, []byte{startupDone}); err != nil {
		return fmt.Errorf("report readiness: %w", err)
	}
	return nil
}

func writeAll(fd int, p []byte) error {
	for len(p) > 0 {
		n, err := unix.Write(fd, p)
		if errors.Is(err, unix.EINTR) {
			continue
		}
		if err != nil {
			return err
		}
		p = p[n:]
	}
	return nil
}

// Accept waits for a connection that the master passes on, and what it may do. An error is the end of
// the master. A connection that there is no descriptor left for is dropped; the master sees it closed.
func (w *WorkerProcess) Accept() (conn net.Conn, allowed byte, err error) {
	var note [1]byte
	control := make([]byte, unix.CmsgSpace(4))
	for {
		n, size, _, _, err := w.link.ReadMsgUnix(note[:], control)
		if err != nil {
			return nil, 0, fmt.Errorf("read from master: %w", err)
		}
		if n != len(note) {
			continue
		}
		if conn = received(control[:size]); conn != nil {
			return conn, note[0], nil
		}
	}
}

// received makes a connection of the descriptor that came with a message, nil when there is none.
func received(control []byte) net.Conn {
	messages, err := unix.ParseSocketControlMessage(control)
	if err != nil {
		return nil
	}
	var conn net.Conn
	for i := range messages {
		fds, err := unix.ParseUnixRights(&messages[i])
		if err != nil {
			continue
		}
		for _, fd := range fds {
			file := os.NewFile(uintptr(fd), "master")
			if c, err := net.FileConn(file); err == nil && conn == nil {
				conn = c
			} else if err == nil {
				c.Close()
			}
			file.Close()
		}
	}
	return conn
}

// Close ends the link; Accept returns an error.
func (w *WorkerProcess) Close() { w.link.Close() }
