package netio

import (
	"errors"

	"golang.org/x/sys/unix"
)

// Answer is the outcome of a probe. The kernel may also leave the question open, as when a sandbox
// refuses the call: then the feature is used and its fallback serves.
type Answer uint8

// The answers.
const (
	Unknown Answer = iota
	Yes
	No
)

func (a Answer) String() string {
	return [...]string{Unknown: "unknown", Yes: "yes", No: "no"}[a]
}

// Feature is something optional that this package uses when the kernel has it.
type Feature struct {
	Name   string
	Answer Answer
	Reason string // why the answer is not yes
}

// Probe asks the kernel for each optional feature. It opens sockets and pipes, binds nothing to the
// outside and closes all of them.
func Probe() []Feature {
	return []Feature{
		feature("splice", probeSplice()),
		feature("pipe of 256 KiB", probePipeSize()),
		feature("SO_REUSEPORT", probeOption(unix.SOL_SOCKET, unix.SO_REUSEPORT, 1)),
		feature("EPOLLEXCLUSIVE", probeExclusive()),
		feature("IP_BIND_ADDRESS_NO_PORT", probeOption(unix.IPPROTO_IP, unix.IP_BIND_ADDRESS_NO_PORT, 1)),
		feature("TCP_USER_TIMEOUT", probeOption(unix.IPPROTO_TCP, unix.TCP_USER_TIMEOUT, 1000)),
		feature("TCP_FASTOPEN", probeOption(unix.IPPROTO_TCP, unix.TCP_FASTOPEN, 16)),
		feature("IP_TRANSPARENT", probeOption(unix.IPPROTO_IP, unix.IP_TRANSPARENT, 1)),
	}
}

// feature judges what a probe found: only an error that means "no such thing" is a no.
func feature(name string, err error) Feature {
	switch {
	case err == nil:
		return Feature{Name: name, Answer: Yes}
	case errors.Is(err, unix.ENOSYS), errors.Is(err, unix.ENOPROTOOPT), errors.Is(err, unix.EINVAL), errors.Is(err, unix.EOPNOTSUPP):
		return Feature{Name: name, Answer: No, Reason: err.Error()}
	case errors.Is(err, unix.EPERM), errors.Is(err, unix.EACCES):
		return Feature{Name: name, Answer: No, Reason: "this user may not: " + err.Error()}
	}
	return Feature{Name: name, Reason: err.Error()}
}

func probeOption(level, option, value int) error {
	fd, e := Socket(unix.AF_INET)
	if e != 0 {
		return e
	}
	defer Close(fd)
	if e := SetInt(fd, level, option, value); e != 0 {
		return e
	}
	return nil
}

func probeSplice() error {
	pair, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_STREAM|unix.SOCK_NONBLOCK|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return err
	}
	defer Close(pair[0])
	defer Close(pair[1])
	pool := NewPipePool(0, 1)
	defer pool.Close()
	h := pool.Get()
	if h == 0 {
		return unix.EMFILE
	}
	if _, e := Send(pair[0], []byte{1}); e != 0 {
		return e
	}
	if _, e := Splice(pair[1], int(pool.At(h).W), 1); e != 0 {
		return e
	}
	return nil
}

func probePipeSize() error {
	var fds [2]int
	if err := unix.Pipe2(fds[:], unix.O_CLOEXEC); err != nil {
		return err
	}
	defer Close(fds[0])
	defer Close(fds[1])
	_, err := unix.FcntlInt(uintptr(fds[0]), unix.F_SETPIPE_SZ, DefaultPipeSize)
	return err
}

func probeExclusive() error {
	ep, err := NewEpoll()
	if err != nil {
		return err
	}
	defer ep.Close()
	w, err := NewWaker()
	if err != nil {
		return err
	}
	defer w.Close()
	if e := ep.Add(w.FD(), Readable|Exclusive, 0); e != 0 {
		return e
	}
	return nil
}
