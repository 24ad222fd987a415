package netio

import (
	"os"
	"strings"

	"golang.org/x/sys/unix"
)

// Bound is what the kernel knows about a listener that another process opened.
type Bound struct {
	Sockaddr  Sockaddr // where it is bound
	Path      string   // of a UNIX socket that has a file; a name that listening put beside it is taken off
	Interface string   // SO_BINDTODEVICE
	V6Only    bool
}

// Examine asks the kernel what a descriptor is bound to. It refuses everything but stream sockets of
// TCP and UNIX that have an address.
func Examine(fd int) (b Bound, err error) {
	refuse := func(cause error) (Bound, error) {
		return Bound{}, &OpError{"use as a listener", "inherited descriptor", cause}
	}
	kind, err := unix.GetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_TYPE)
	if err != nil {
		return refuse(err)
	}
	if e := LocalAddr(fd, &b.Sockaddr); e != 0 {
		return refuse(e)
	}
	switch b.Sockaddr.Family() {
	case unix.AF_UNIX:
		if path := b.Sockaddr.Path(); hasFile(path) {
			b.Path = finalPath(path)
		}
		if b.Sockaddr.n <= 2 {
			return refuse(unix.EADDRNOTAVAIL)
		}
	case unix.AF_INET, unix.AF_INET6:
		protocol, err := unix.GetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_PROTOCOL)
		switch {
		case err != nil:
			return refuse(err)
		case protocol != unix.IPPROTO_TCP:
			return refuse(unix.EPROTONOSUPPORT)
		case b.Sockaddr.Port() == 0:
			return refuse(unix.EADDRNOTAVAIL)
		}
		if b.Interface, err = unix.GetsockoptString(fd, unix.SOL_SOCKET, unix.SO_BINDTODEVICE); err != nil {
			return refuse(err)
		}
	default:
		return refuse(unix.EAFNOSUPPORT)
	}
	if kind != unix.SOCK_STREAM {
		return refuse(unix.ESOCKTNOSUPPORT)
	}
	if _, err := unix.Getpeername(fd); err == nil {
		return refuse(unix.EISCONN)
	}
	b.V6Only = b.Sockaddr.Family() == unix.AF_INET6 && getBool(fd, unix.IPPROTO_IPV6, unix.IPV6_V6ONLY)
	return b, nil
}

func getBool(fd, level, name int) bool {
	v, err := unix.GetsockoptInt(fd, level, name)
	return err == nil && v != 0
}

// finalPath takes the ending ".<pid>.tmp" off, which a UNIX listener is bound with before it is renamed.
func finalPath(path string) string {
	rest, found := strings.CutSuffix(path, ".tmp")
	if !found {
		return path
	}
	final := strings.TrimRight(rest, "0123456789")
	if final == rest {
		return path
	}
	if final, found = strings.CutSuffix(final, "."); !found || final == "" {
		return path
	}
	return final
}

// Serves reports whether a listener that is to be opened on sa, or on a UNIX path, with these options
// is this one.
func (b *Bound) Serves(sa *Sockaddr, path string, o *ListenOptions) bool {
	if sa.Family() == unix.AF_UNIX {
		if !hasFile(path) {
			return b.Sockaddr == *sa
		}
		return b.Path == path && isSocket(path)
	}
	// The whole form of the kernel has fields that do not matter, such as the flow label.
	if b.Sockaddr.Addr() != sa.Addr() || b.Interface != o.Interface {
		return false
	}
	return sa.Family() != unix.AF_INET6 || b.V6Only == (o.V6Only || !o.V4V6 && v6OnlyByDefault())
}

// isSocket reports whether clients that connect to path would find a socket there. One that lost its
// file serves nobody any more.
func isSocket(path string) bool {
	st, err := os.Lstat(path)
	return err == nil && st.Mode().Type() == os.ModeSocket
}

// v6OnlyByDefault is what an IPv6 socket has without being told (net.ipv6.bindv6only).
func v6OnlyByDefault() bool {
	fd, e := Socket(unix.AF_INET6)
	if e != 0 {
		return false
	}
	defer Close(fd)
	return getBool(fd, unix.IPPROTO_IPV6, unix.IPV6_V6ONLY)
}

// CanInherit reports why [Inherit] with these options would fail on a listener of an address, without changing one.
func CanInherit(sa *Sockaddr, o *ListenOptions) error {
	if sa.Family() == unix.AF_UNIX {
		return nil
	}
	model, err := newModel(sa.Family(), o)
	if err == nil {
		Close(model)
	}
	return err
}

// Inherit makes a listener of another process one's own: non-blocking, closed on exec, listening, and with
// the options that [Listen] would give it. Options that are off now and were on are off again, so that
// accepted sockets do not depend on who opened the listener; only connections that wait in its queue
// have the options of before. O_NONBLOCK and all options are shared with whoever else holds the socket. The path
// of a UNIX socket (empty for an abstract name) gets mode and owner. On error the descriptor stays open.
func Inherit(fd int, path string, o *ListenOptions) error {
	unix.CloseOnExec(fd)
	if err := SetNonblock(fd); err != nil {
		return err
	}
	var sa Sockaddr
	if e := LocalAddr(fd, &sa); e != 0 {
		return &OpError{"use as a listener", "inherited descriptor", e}
	}
	if sa.Family() != unix.AF_UNIX {
		if err := imitate(fd, sa.Family(), o); err != nil {
			return err
		}
	} else if hasFile(path) {
		if err := setOwner(path, o); err != nil {
			return err
		}
	}
	if err := unix.Listen(fd, o.Backlog); err != nil {
		return &OpError{"listen to", "inherited socket", err}
	}
	return nil
}

func setOwner(path string, o *ListenOptions) error {
	if o.Mode >= 0 {
		if err := os.Chmod(path, os.FileMode(o.Mode)); err != nil {
			return err
		}
	}
	if o.UID >= 0 || o.GID >= 0 {
		return os.Chown(path, o.UID, o.GID)
	}
	return nil
}

// imitated are the options that a listener hands down to accepted sockets, or that decide how it
// listens. A buffer reads as twice what was set.
var imitated = []struct {
	what        string
	level, name int
	halved      bool
	optional    bool // kernels that lack it lack the difference
}{
	{what: "SO_REUSEADDR", level: unix.SOL_SOCKET, name: unix.SO_REUSEADDR},
	{what: "SO_REUSEPORT", level: unix.SOL_SOCKET, name: unix.SO_REUSEPORT},
	{what: "SO_RCVBUF", level: unix.SOL_SOCKET, name: unix.SO_RCVBUF, halved: true},
	{what: "SO_SNDBUF", level: unix.SOL_SOCKET, name: unix.SO_SNDBUF, halved: true},
	{what: "SO_BUF_LOCK", level: unix.SOL_SOCKET, name: unix.SO_BUF_LOCK, optional: true},
	{what: "SO_INCOMING_CPU", level: unix.SOL_SOCKET, name: unix.SO_INCOMING_CPU, optional: true},
	{what: "SO_KEEPALIVE", level: unix.SOL_SOCKET, name: unix.SO_KEEPALIVE},
	{what: "TCP_KEEPCNT", level: unix.IPPROTO_TCP, name: unix.TCP_KEEPCNT},
	{what: "TCP_KEEPIDLE", level: unix.IPPROTO_TCP, name: unix.TCP_KEEPIDLE},
	{what: "TCP_KEEPINTVL", level: unix.IPPROTO_TCP, name: unix.TCP_KEEPINTVL},
	{what: "TCP_NODELAY", level: unix.IPPROTO_TCP, name: unix.TCP_NODELAY},
	{what: "TCP_USER_TIMEOUT", level: unix.IPPROTO_TCP, name: unix.TCP_USER_TIMEOUT},
	{what: "TCP_NOTSENT_LOWAT", level: unix.IPPROTO_TCP, name: unix.TCP_NOTSENT_LOWAT},
	{what: "TCP_DEFER_ACCEPT", level: unix.IPPROTO_TCP, name: unix.TCP_DEFER_ACCEPT},
	{what: "TCP_FASTOPEN", level: unix.IPPROTO_TCP, name: unix.TCP_FASTOPEN, optional: true},
	{what: "TCP_SAVE_SYN", level: unix.IPPROTO_TCP, name: unix.TCP_SAVE_SYN, optional: true},
}

// newModel opens a socket with the options of a bind line. What the line does not name has the kernel's
// default, whatever that is on this machine.
func newModel(family int, o *ListenOptions) (int, error) {
	model, e := Socket(family)
	if e != 0 {
		return -1, &OpError{"create", "socket", e}
	}
	wanted := *o
	wanted.Interface = "" // the listener has it already
	if err := setListenOptions(model, family, &wanted); err != nil {
		Close(model)
		return -1, err
	}
	return model, nil
}

// imitate gives a listener the options of a model.
func imitate(fd, family int, o *ListenOptions) error {
	model, err := newModel(family, o)
	if err != nil {
		return err
	}
	defer Close(model)
	for _, option := range imitated {
		want, err := unix.GetsockoptInt(model, option.level, option.name)
		if err == nil {
			err = equalise(fd, option.level, option.name, want, option.halved)
		}
		if err != nil && !option.optional {
			return &OpError{"set", option.what, err}
		}
	}
	level, name := unix.IPPROTO_IP, unix.IP_TRANSPARENT
	if family == unix.AF_INET6 {
		level, name = unix.IPPROTO_IPV6, unix.IPV6_TRANSPARENT
	}
	transparent := 0
	if o.Transparent {
		transparent = 1
	}
	if err := equalise(fd, level, name, transparent, false); err != nil {
		return &OpError{"set", "IP_TRANSPARENT", err}
	}
	// Without a size of its own a socket reads as having the protocol's least one, so this cannot be compared.
	if e := SetInt(fd, unix.IPPROTO_TCP, unix.TCP_MAXSEG, max(o.MSS, 0)); e != 0 {
		return &OpError{"set", "TCP_MAXSEG", e}
	}
	if err := unix.SetsockoptLinger(fd, unix.SOL_SOCKET, unix.SO_LINGER, &unix.Linger{}); err != nil {
		return &OpError{"set", "SO_LINGER", err}
	}
	return imitateCC(fd, model)
}

func equalise(fd, level, name, want int, halved bool) error {
	have, err := unix.GetsockoptInt(fd, level, name)
	if err != nil || have == want {
		return err
	}
	if halved {
		want /= 2
	}
	return unix.SetsockoptInt(fd, level, name, want)
}

func imitateCC(fd, model int) error {
	want, err := unix.GetsockoptString(model, unix.IPPROTO_TCP, unix.TCP_CONGESTION)
	if err != nil {
		return &OpError{"read", "TCP_CONGESTION", err}
	}
	if have, err := unix.GetsockoptString(fd, unix.IPPROTO_TCP, unix.TCP_CONGESTION); err == nil && have == want {
		return nil
	}
	if err := unix.SetsockoptString(fd, unix.IPPROTO_TCP, unix.TCP_CONGESTION, want); err != nil {
		return &OpError{"set congestion control", want, err}
	}
	return nil
}

// LetJoin sets SO_REUSEPORT on a listener that was opened without it, so that others can be opened on its address.
func LetJoin(fd int) error {
	if e := SetInt(fd, unix.SOL_SOCKET, unix.SO_REUSEPORT, 1); e != 0 {
		return &OpError{"set", "SO_REUSEPORT", e}
	}
	return nil
}
