package runtimeapi

import (
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"slices"
	"strings"
	"syscall"

	"github.com/penstock/penstock/internal/config"
	"github.com/penstock/penstock/netio"
)

// Name is the address of a stats socket as HAPROXY_CLI and show cli sockets write it.
func Name(a *config.Address) string {
	name, _, _, _ := describe(a) // the name does not depend on whether the address can be bound
	return name
}

// endpoint is one listening socket with what its line says about its sessions.
type endpoint struct {
	listener    net.Listener
	name        string // as the line writes it, for show cli sockets
	level       level
	severity    severityForm
	inherited   int    // descriptor that the listener was copied from, -1 for none
	inheritedID uint64 // inode of that socket
}

// backlog of a stats socket; few clients come at once.
const backlog = 128

// open opens one address of a stats socket line, or takes the next of the kept sockets for it.
func (o *Options) open(b *config.Bind, a *config.Address) (*endpoint, error) {
	e := &endpoint{level: levelOf(b.Level), severity: severityOf(b.SeverityOut), inherited: -1}
	if len(o.Sockets) > 0 {
		fd := o.Sockets[0]
		o.Sockets = o.Sockets[1:]
		var err error
		if e.name, _, _, err = describe(a); err != nil {
			netio.Close(fd)
			return nil, err
		}
		if err = e.listen(fd); err != nil {
			return nil, err
		}
		return e, nil
	}
	options := &netio.ListenOptions{
		Backlog:   max(b.Backlog, backlog),
		ReusePort: true,
		Interface: b.Interface,
		V4V6:      b.V4V6,
		V6Only:    b.V6Only,
		Mode:      b.Mode,
		UID:       b.UID,
		GID:       b.GID,
	}
	fd, err := e.bind(a, options)
	if err != nil {
		return nil, err
	}
	if err = e.listen(fd); err != nil {
		return nil, err
	}
	return e, nil
}

// listen makes the listener of a descriptor, which it takes.
func (e *endpoint) listen(fd int) (err error) {
	file := os.NewFile(uintptr(fd), e.name)
	e.listener, err = net.FileListener(file)
	if closeErr := file.Close(); err == nil && closeErr != nil {
		e.listener.Close()
		err = closeErr
	}
	if err != nil {
		return fmt.Errorf("use socket %s: %w", e.name, err)
	}
	return nil
}

// copyDescriptor copies the descriptor of a listener or a connection, which goes on using its own.
func copyDescriptor(of any) (int, error) {
	holder, ok := of.(syscall.Conn)
	if !ok {
		return -1, errNoDescriptor
	}
	raw, err := holder.SyscallConn()
	if err != nil {
		return -1, err
	}
	copied, errno := -1, netio.Errno(0)
	if err = raw.Control(func(fd uintptr) { copied, errno = netio.Dup(int(fd)) }); err != nil {
		return -1, err
	}
	if errno != 0 {
		return -1, errno
	}
	return copied, nil
}

// describe returns the name of an address and its socket address, with the path when it is a file.
func describe(a *config.Address) (name, path string, sa netio.Sockaddr, err error) {
	switch a.Kind {
	case config.AddrFD:
		name = fmt.Sprintf("fd@%d", a.FD)
	case config.AddrUnix:
		name, path = "unix@"+a.Path, a.Path
		sa, err = netio.SockaddrUnix(path)
	case config.AddrAbstract:
		name = "abns@" + a.Path
		sa, err = netio.SockaddrAbstract(a.Path)
	default:
		ap := netip.AddrPortFrom(a.IP, uint16(a.Port))
		name = "ipv4@" + ap.String()
		if a.IP.Is6() {
			name = fmt.Sprintf("ipv6@%s:%d", a.IP, a.Port)
		}
		sa = netio.SockaddrFrom(ap)
	}
	return name, path, sa, err
}

func (e *endpoint) bind(a *config.Address, options *netio.ListenOptions) (fd int, err error) {
	var path string
	var sa netio.Sockaddr
	if e.name, path, sa, err = describe(a); err != nil {
		return -1, err
	}
	if a.Kind == config.AddrFD {
		e.inherited = a.FD
		if fd, _, err = netio.Adopt(a.FD, options); err == nil {
			e.inheritedID, err = socketID(a.FD)
		}
		return fd, err
	}
	return netio.Listen(&sa, path, options)
}

// socketID identifies a socket whatever its descriptor.
func socketID(fd int) (uint64, error) {
	var st syscall.Stat_t
	if err := syscall.Fstat(fd, &st); err != nil {
		return 0, fmt.Errorf("examine descriptor %d: %w", fd, err)
	}
	return st.Ino, nil
}

// release closes the descriptors that listeners were copied from. Another owner may have closed one
// already, and its number may be something else by now: only the same socket is closed.
func release(endpoints []*endpoint) {
	var closed []int
	for _, e := range endpoints {
		if e.inherited < 0 || slices.Contains(closed, e.inherited) {
			continue
		}
		closed = append(closed, e.inherited)
		if id, err := socketID(e.inherited); err == nil && id == e.inheritedID {
			netio.Close(e.inherited)
		}
	}
}

// bindError words the failure to open an address like any other bind line's.
func bindError(b *config.Bind, a *config.Address, err error) error {
	protocol, where := "tcpv4", netip.AddrPortFrom(a.IP, uint16(a.Port)).String()
	switch {
	case a.Kind == config.AddrUnix, a.Kind == config.AddrAbstract:
		protocol, where = "unix_stream", a.Path
	case a.Kind == config.AddrFD:
		protocol, where = "fd", fmt.Sprintf("fd@%d", a.FD)
	case a.IP.Is6():
		protocol = "tcpv6"
	}
	what := err.Error()
	var op *netio.OpError
	var errno syscall.Errno
	if errors.As(err, &op) && errors.As(err, &errno) {
		cause := errno.Error()
		what = fmt.Sprintf("cannot %s %s (%s)", op.Op, op.Object, strings.ToUpper(cause[:1])+cause[1:])
	}
	return &BindError{
		text: fmt.Sprintf("Binding [%s:%d] for frontend GLOBAL: protocol %s: %s for [%s].", b.Pos.File, b.Pos.Line, protocol, what, where),
		err:  err,
	}
}

// BindError says which line could not be bound, and why; its text is a complete message.
type BindError struct {
	text string
	err  error
}

func (e *BindError) Error() string { return e.text }

// Unwrap is the cause.
func (e *BindError) Unwrap() error { return e.err }
