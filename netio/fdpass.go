package netio

import (
	"errors"
	"fmt"
	"io"
	"net"

	"golang.org/x/sys/unix"
)

// Passing descriptors between processes.
//
// What SCM_RIGHTS passes is a new descriptor for the same open file: socket, pipe, flags such as
// O_NONBLOCK and epoll registrations are one, however many copies exist, and only the last close ends them. A
// stream has no messages, so the kernel ties the copies to a byte instead:
//
//	sent      "abc"          "defgh" + {3,4}        "ijk" + {5}
//	read        └───── one read may give ─────┘      └ another
//	                 "abcdefgh" + {3,4}
//
// They come with the read that takes the first byte of their message, and that read goes no further
// than the message. A reader that asks for what lies before that byte first gets it without them. A
// read that has no room for descriptors closes them.
//
// The functions of this file are for control connections: they wait like any call on a net.Conn, until its
// deadline, and belong to ordinary goroutines.

// MaxPassed is the number of descriptors that one message can carry (SCM_MAX_FD of the kernel).
const MaxPassed = 253

// SendDescriptors writes b, which must not be empty, to a UNIX stream. At most [MaxPassed] descriptors
// travel with its first byte; they stay the caller's. After an error a part of b may have been sent, and the
// descriptors with it.
func SendDescriptors(c *net.UnixConn, b []byte, fds []int) error {
	if len(fds) == 0 {
		_, err := c.Write(b)
		return err
	}
	if len(fds) > MaxPassed {
		return &OpError{"send", fmt.Sprintf("%d descriptors at once", len(fds)), unix.ETOOMANYREFS}
	}
	n, _, err := c.WriteMsgUnix(b, unix.UnixRights(fds...), nil)
	if err == nil && n < len(b) {
		_, err = c.Write(b[n:])
	}
	return err
}

// ReceiveDescriptors reads at most len(b) bytes from a UNIX stream, and the descriptors that came with them,
// close-on-exec; they are the caller's. At the end of the stream the error is io.EOF. With any error no
// descriptor stays open: one cause is that this process may not open more, and then the kernel has
// dropped some.
func ReceiveDescriptors(c *net.UnixConn, b []byte) (n int, fds []int, err error) {
	control := make([]byte, unix.CmsgSpace(4*MaxPassed))
	n, controlLen, flags, _, err := c.ReadMsgUnix(b, control) // sets MSG_CMSG_CLOEXEC
	fds, parseErr := passed(control[:controlLen])
	switch {
	case errors.Is(err, io.EOF):
		err = io.EOF
	case err != nil:
	case parseErr != nil:
		err = &OpError{"receive", "descriptors", parseErr}
	case flags&unix.MSG_CTRUNC != 0:
		err = &OpError{"receive", "descriptors", unix.EMFILE}
	default:
		return n, fds, nil
	}
	CloseAll(fds)
	return n, nil, err
}

// passed takes the descriptors out of control messages.
func passed(control []byte) ([]int, error) {
	if len(control) == 0 {
		return nil, nil
	}
	messages, err := unix.ParseSocketControlMessage(control)
	if err != nil {
		return nil, err
	}
	var fds []int
	for i := range messages {
		m := &messages[i]
		if m.Header.Level != unix.SOL_SOCKET || m.Header.Type != unix.SCM_RIGHTS {
			continue
		}
		more, err := unix.ParseUnixRights(m)
		if err != nil {
			return fds, err
		}
		fds = append(fds, more...)
	}
	return fds, nil
}

// CloseAll closes descriptors.
func CloseAll(fds []int) {
	for _, fd := range fds {
		Close(fd)
	}
}

// Credentials say who a peer is: the one that connected as it was at that moment, the one that listens
// as it was when it began to.
type Credentials struct {
	PID      int // 0: not visible from here (another PID namespace)
	UID, GID uint32
}

// PeerCredentials asks the kernel for the peer of a UNIX connection (SO_PEERCRED).
func PeerCredentials(c *net.UnixConn) (Credentials, error) {
	raw, err := c.SyscallConn()
	if err != nil {
		return Credentials{}, &OpError{"examine peer of", "connection", err}
	}
	var peer *unix.Ucred
	var optErr error
	err = raw.Control(func(fd uintptr) {
		peer, optErr = unix.GetsockoptUcred(int(fd), unix.SOL_SOCKET, unix.SO_PEERCRED)
	})
	if err == nil {
		err = optErr
	}
	if err != nil {
		return Credentials{}, &OpError{"examine peer of", "connection", err}
	}
	return Credentials{PID: int(peer.Pid), UID: peer.Uid, GID: peer.Gid}, nil
}

// ListenAbstract listens on a name of the abstract namespace: no file, gone with its socket, one for
// each network namespace, and open to whoever knows it, so that peers are to be checked. An occupied name is
// [EADDRINUSE].
func ListenAbstract(name string) (*net.UnixListener, error) {
	return net.ListenUnix("unix", &net.UnixAddr{Net: "unix", Name: "@" + name})
}

// DialAbstract connects to a name of the abstract namespace. When nobody listens the error is [ECONNREFUSED].
func DialAbstract(name string) (*net.UnixConn, error) {
	return net.DialUnix("unix", nil, &net.UnixAddr{Net: "unix", Name: "@" + name})
}
