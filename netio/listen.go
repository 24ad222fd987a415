package netio

import (
	"fmt"
	"os"
	"sync"

	"golang.org/x/sys/unix"
)

// ListenOptions say how a listener is opened.
type ListenOptions struct {
	Conn        ConnOptions // inherited by accepted sockets
	Backlog     int         // of listen(2); capped by net.core.somaxconn
	ReusePort   bool
	Interface   string
	Transparent bool
	V4V6        bool // an IPv6 wildcard serves IPv4 too
	V6Only      bool // it does not; wins over V4V6
	MSS         int  // TCP_MAXSEG
	DeferAccept bool // TCP_DEFER_ACCEPT, one second
	FastOpen    bool
	BindCPU     bool // prefer connections whose SYN arrived on CPU (SO_INCOMING_CPU, in a group since Linux 6.2)
	CPU         int

	// UNIX sockets only.
	Mode     int // permissions; -1: as umask gives
	UID, GID int // owner; -1: unchanged
}

// Listen opens a non-blocking listener. For a UNIX path (empty for an abstract name) the socket is made
// beside it and renamed into place, so that clients always find one. On error nothing stays open and no file stays behind.
func Listen(sa *Sockaddr, path string, o *ListenOptions) (fd int, err error) {
	if fd, err = Open(sa, path, o); err != nil {
		return -1, err
	}
	if err = Publish(fd, path, o); err != nil {
		Withdraw(fd, path)
		return -1, err
	}
	return fd, nil
}

// Open is the first half of [Listen]: the address is taken, and nobody can connect before [Publish]. Until then
// clients reach whoever listens at the address already, and go on doing so after [Withdraw].
func Open(sa *Sockaddr, path string, o *ListenOptions) (fd int, err error) {
	fd, e := Socket(sa.Family())
	if e != 0 {
		return -1, &OpError{"create", "socket", e}
	}
	defer func() {
		if err != nil {
			Withdraw(fd, path)
			fd = -1
		}
	}()
	if sa.Family() == unix.AF_UNIX {
		return fd, bindUnix(fd, sa, path, o)
	}
	if err := setListenOptions(fd, sa.Family(), o); err != nil {
		return fd, err
	}
	if e := Bind(fd, sa); e != 0 {
		return fd, &OpError{"bind", "socket", e}
	}
	return fd, nil
}

// Publish is the second half of [Listen]. On error the socket can only be withdrawn.
func Publish(fd int, path string, o *ListenOptions) error {
	if err := unix.Listen(fd, o.Backlog); err != nil {
		return &OpError{"listen to", "socket", err}
	}
	if hasFile(path) {
		return os.Rename(besidePath(path), path)
	}
	return nil
}

// Withdraw closes a socket that was opened and not published.
func Withdraw(fd int, path string) {
	Close(fd)
	RemoveUnpublished(path)
}

// RemoveUnpublished removes the file of a UNIX socket that was opened and not published, for who closes the
// descriptor otherwise. Without a path there is none.
func RemoveUnpublished(path string) {
	if hasFile(path) {
		_ = os.Remove(besidePath(path))
	}
}

// hasFile tells a path from no name and from an abstract one.
func hasFile(path string) bool { return path != "" && path[0] != 0 }

// besidePath is where the file of a UNIX socket is before it is published.
func besidePath(path string) string { return fmt.Sprintf("%s.%d.tmp", path, os.Getpid()) }

func setListenOptions(fd, family int, o *ListenOptions) error {
	type set struct {
		when        bool
		what        string
		level, name int
		value       int
	}
	v6only := 0
	if o.V6Only {
		v6only = 1
	}
	for _, s := range []set{
		{true, "SO_REUSEADDR", unix.SOL_SOCKET, unix.SO_REUSEADDR, 1},
		{o.ReusePort, "SO_REUSEPORT", unix.SOL_SOCKET, unix.SO_REUSEPORT, 1},
		{family == unix.AF_INET6 && (o.V6Only || o.V4V6), "IPV6_V6ONLY", unix.IPPROTO_IPV6, unix.IPV6_V6ONLY, v6only},
		{o.Transparent && family == unix.AF_INET, "IP_TRANSPARENT", unix.IPPROTO_IP, unix.IP_TRANSPARENT, 1},
		{o.Transparent && family == unix.AF_INET6, "IPV6_TRANSPARENT", unix.IPPROTO_IPV6, unix.IPV6_TRANSPARENT, 1},
		{o.MSS > 0, "TCP_MAXSEG", unix.IPPROTO_TCP, unix.TCP_MAXSEG, o.MSS},
		{o.DeferAccept, "TCP_DEFER_ACCEPT", unix.IPPROTO_TCP, unix.TCP_DEFER_ACCEPT, 1},
		{o.BindCPU, "SO_INCOMING_CPU", unix.SOL_SOCKET, unix.SO_INCOMING_CPU, o.CPU},
		{o.FastOpen, "TCP_FASTOPEN", unix.IPPROTO_TCP, unix.TCP_FASTOPEN, max(o.Backlog, 1)},
	} {
		if !s.when {
			continue
		}
		if e := SetInt(fd, s.level, s.name, s.value); e != 0 {
			return &OpError{"set", s.what, e}
		}
	}
	if o.Interface != "" {
		if err := BindToDevice(fd, o.Interface); err != nil {
			return err
		}
	}
	if o.Conn.CC != "" {
		if err := unix.SetsockoptString(fd, unix.IPPROTO_TCP, unix.TCP_CONGESTION, o.Conn.CC); err != nil {
			return &OpError{"set congestion control", o.Conn.CC, err}
		}
	}
	compiled := o.Conn.Compile()
	if e := compiled.Apply(fd); e != 0 {
		return &OpError{"set options of", "socket", e}
	}
	return nil
}

func bindUnix(fd int, sa *Sockaddr, path string, o *ListenOptions) error {
	if !hasFile(path) {
		if e := Bind(fd, sa); e != 0 {
			return &OpError{"bind", "socket", e}
		}
		return nil
	}
	beside, err := SockaddrUnix(besidePath(path))
	if err != nil {
		return err
	}
	_ = os.Remove(besidePath(path))
	if e := Bind(fd, &beside); e != 0 {
		return &OpError{"bind", "UNIX socket", e}
	}
	return setOwner(besidePath(path), o)
}

// Adopt makes an inherited listener usable: non-blocking, and with the options that accepted sockets
// inherit; connections that wait in its queue already have the options of before. The descriptor is
// copied, so that several owners may each close theirs; what it is bound to comes back in the address.
func Adopt(inherited int, o *ListenOptions) (fd int, sa Sockaddr, err error) {
	fd, e := Dup(inherited)
	if e != 0 {
		return -1, sa, &OpError{"use", fmt.Sprintf("inherited descriptor %d", inherited), e}
	}
	defer func() {
		if err != nil {
			Close(fd)
			fd = -1
		}
	}()
	if e := LocalAddr(fd, &sa); e != 0 {
		return fd, sa, &OpError{"use as a socket", fmt.Sprintf("inherited descriptor %d", inherited), e}
	}
	if err := SetNonblock(fd); err != nil {
		return fd, sa, err
	}
	if sa.Family() != unix.AF_UNIX {
		compiled := o.Conn.Compile()
		if e := compiled.Apply(fd); e != 0 {
			return fd, sa, &OpError{"set options of", fmt.Sprintf("inherited descriptor %d", inherited), e}
		}
	}
	if err := unix.Listen(fd, o.Backlog); err != nil {
		return fd, sa, &OpError{"listen to", fmt.Sprintf("inherited descriptor %d", inherited), err}
	}
	return fd, sa, nil
}

// Pause stops a listener without giving its address up: connections are refused until [Resume].
// Linux does this for shutdown(2) of the reading side of a listening TCP socket. Connections that wait
// in its queue are reset. A listener bound to port 0 loses the port that the kernel chose. While it is
// paused epoll reports [Hangup] for it without end, so it must not be registered.
//
// A socket that has several holders is paused once. A second shutdown fails, but leaves a mark behind that every
// connection accepted after Resume inherits: a read that finds no byte yet reports the end of the stream.
func Pause(fd int) error {
	pausing.Lock()
	defer pausing.Unlock()
	listening, err := unix.GetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_ACCEPTCONN)
	if err == nil && listening != 0 {
		err = unix.Shutdown(fd, unix.SHUT_RD)
	}
	if err != nil {
		return &OpError{"pause", "listener", err}
	}
	return nil
}

var pausing sync.Mutex // between the look and the shutdown

// Resume makes a paused listener listen again.
func Resume(fd, backlog int) error {
	if err := unix.Listen(fd, backlog); err != nil {
		return &OpError{"resume", "listener", err}
	}
	return nil
}
