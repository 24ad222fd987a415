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
	line        *config.Bind
	addr        *config.Address // of the line
	listener    net.Listener
	name        string // as the line writes it, for show cli sockets
	level       Level
	severity    severityForm
	exposing    bool   // its clients may have the listening sockets
	device      string // interface that it is bound to
	inherited   int    // descriptor that the listener was copied from, -1 for none
	inheritedID uint64 // inode of that socket

	// Until it is published:
	fd      int // -1 afterwards
	path    string
	options *netio.ListenOptions
	publish func(fd int, path string, o *netio.ListenOptions) error
}

// backlog of a stats socket; few clients come at once.
const backlog = 128

// open takes one address of a stats socket line, or the next of the kept sockets for it.
func (o *Options) open(b *config.Bind, a *config.Address) (e *endpoint, err error) {
	e = &endpoint{
		line: b, addr: a, fd: -1,
		level: levelOf(b.Level), severity: severityOf(b.SeverityOut), exposing: b.ExposeFD, device: b.Interface, inherited: -1,
	}
	e.publish = netio.Publish
	if len(o.Sockets) > 0 {
		e.fd, e.publish, o.Sockets = o.Sockets[0], published, o.Sockets[1:]
		e.name, _, _, err = describe(a)
		return e, err
	}
	e.options = &netio.ListenOptions{
		Backlog:   max(b.Backlog, backlog),
		ReusePort: true,
		Interface: b.Interface,
		V4V6:      b.V4V6,
		V6Only:    b.V6Only,
		Mode:      b.Mode,
		UID:       b.UID,
		GID:       b.GID,
	}
	e.fd, err = e.bind(a, o)
	return e, err
}

// show lets clients connect.
func (e *endpoint) show() (err error) {
	if err = e.publish(e.fd, e.path, e.options); err != nil {
		return err
	}
	file := os.NewFile(uintptr(e.fd), e.name)
	e.fd = -1
	e.listener, err = net.FileListener(file)
	if closeErr := file.Close(); err == nil && closeErr != nil {
		err = closeErr
	}
	if err != nil {
		return fmt.Errorf("use socket %s: %w", e.name, err)
	}
	return nil
}

// close ends the endpoint, published or not.
func (e *endpoint) close() {
	if e.fd >= 0 {
		netio.Withdraw(e.fd, e.path)
		e.fd = -1
	}
	if e.listener != nil {
		e.listener.Close()
	}
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

// published is for a socket that listens already.
func published(int, string, *netio.ListenOptions) error { return nil }

func (e *endpoint) bind(a *config.Address, opt *Options) (fd int, err error) {
	var sa netio.Sockaddr
	if e.name, e.path, sa, err = describe(a); err != nil {
		return -1, err
	}
	if a.Kind == config.AddrFD {
		e.inherited = a.FD
		e.publish = published
		if fd, _, err = netio.Adopt(a.FD, e.options); err == nil {
			e.inheritedID, err = socketID(a.FD)
		}
		return fd, err
	}
	for {
		fd, err = netio.Open(&sa, e.path, e.options)
		if !errors.Is(err, netio.EADDRINUSE) {
			return fd, err
		}
		if fd, found := e.handed(&sa, opt.Inherited); found {
			e.publish = netio.Inherit
			return fd, nil
		}
		if opt.MakeRoom == nil || !opt.MakeRoom() {
			return fd, err
		}
	}
}

// handed copies what a former process had open for an address that cannot be shared, such as an abstract one.
func (e *endpoint) handed(sa *netio.Sockaddr, inherited []int) (fd int, found bool) {
	for _, from := range inherited {
		b, err := netio.Examine(from)
		if err != nil || !b.Serves(sa, e.path, e.options) {
			continue
		}
		if fd, errno := netio.Dup(from); errno == 0 {
			return fd, true
		}
	}
	return -1, false
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
