package netio

import (
	"fmt"
	"syscall"

	"golang.org/x/sys/unix"
)

// Errno is a kernel error number; zero is success.
type Errno = syscall.Errno

// The error numbers that event loops branch on.
const (
	EAGAIN        = unix.EAGAIN
	EINTR         = unix.EINTR
	EINPROGRESS   = unix.EINPROGRESS
	EALREADY      = unix.EALREADY
	EISCONN       = unix.EISCONN
	ECONNABORTED  = unix.ECONNABORTED
	ECONNREFUSED  = unix.ECONNREFUSED
	ECONNRESET    = unix.ECONNRESET
	EPIPE         = unix.EPIPE
	EINVAL        = unix.EINVAL
	EMFILE        = unix.EMFILE
	ENFILE        = unix.ENFILE
	ENOBUFS       = unix.ENOBUFS
	ENOMEM        = unix.ENOMEM
	EADDRINUSE    = unix.EADDRINUSE
	EADDRNOTAVAIL = unix.EADDRNOTAVAIL
	ETIMEDOUT     = unix.ETIMEDOUT
	EPROTO        = unix.EPROTO
	ENOENT        = unix.ENOENT
	EPERM         = unix.EPERM
)

// OpError is a failed set-up call: the call's name, what it was about, and the errno.
type OpError struct {
	Op     string
	Object string
	Err    error
}

func (e *OpError) Error() string { return fmt.Sprintf("%s %s: %v", e.Op, e.Object, e.Err) }

// Unwrap returns the cause, usually an [Errno].
func (e *OpError) Unwrap() error { return e.Err }
