package check

import (
	"fmt"
	"net/netip"

	"github.com/penstock/penstock/netio"
)

// Target is where a check connects to, and from where.
type Target struct {
	Addr       netio.Sockaddr
	Options    netio.OptionSet // of TCP
	HasSource  bool
	Source     netio.Sockaddr
	SourceLow  uint16 // port range of the source; 0: the kernel chooses
	SourceHigh uint16
	Interface  string

	sourceNext uint16
}

// refusal is why no connection is under way; its zero value says that one is.
type refusal struct {
	status Status
	text   string
}

// destination is where step s connects to, false when its expression gives no port.
func (c *Checker) destination(k *Check, s *step) (to netio.Sockaddr, ok bool) {
	to = k.target.Addr
	if s.to.IsValid() {
		to = netio.SockaddrFrom(netip.AddrPortFrom(s.to, to.Port()))
	}
	port := int(s.port)
	if s.portExpr != nil {
		if port, ok = c.number(k, s.portExpr); !ok || port < 1 || port > 65535 {
			return to, false
		}
	}
	if port != 0 && to.Family() != netio.FamilyUnix {
		to.SetPort(uint16(port))
	}
	return to, true
}

// dial opens a socket and starts to connect it. A connection that is there at once is done. With a refusal nothing
// stays open.
func (t *Target) dial(to netio.Sockaddr) (fd int, done bool, r refusal) {
	fd, e := netio.Socket(to.Family())
	if e != 0 {
		return -1, false, refused(SockErr, "General socket error", e)
	}
	status := SockErr
	if to.Family() != netio.FamilyUnix {
		status = L4Con
		_ = t.Options.Apply(fd) // an option that this kernel refuses is no reason not to look at the server
	}
	if e := t.bind(fd); e != 0 {
		netio.Close(fd)
		return -1, false, refused(status, "Can't bind to source address", e)
	}
	switch e := netio.Connect(fd, &to); e {
	case 0:
		return fd, true, refusal{}
	case netio.EINPROGRESS:
		return fd, false, refusal{}
	case netio.EADDRNOTAVAIL:
		r = refused(status, "Out of local source ports on the system", e)
	case netio.EADDRINUSE:
		r = refused(status, "Local source address already in use", e)
	default:
		r = refused(status, "General socket error", e)
	}
	netio.Close(fd)
	return -1, false, r
}

func refused(status Status, what string, e netio.Errno) refusal {
	return refusal{status, fmt.Sprintf("%s (%s)", what, osText(e))}
}

func (t *Target) bind(fd int) netio.Errno {
	if t.Interface != "" && netio.BindToDevice(fd, t.Interface) != nil {
		return netio.EPERM
	}
	if !t.HasSource {
		return 0
	}
	source := t.Source
	if t.SourceLow == 0 {
		_ = netio.SetBindNoPort(fd) // without it the port is chosen earlier, which only costs ports
		return netio.Bind(fd, &source)
	}
	_ = netio.SetReuseAddr(fd)
	span := t.SourceHigh - t.SourceLow + 1
	for range min(int(span), 64) {
		t.sourceNext++
		source.SetPort(t.SourceLow + t.sourceNext%max(span, 1))
		if e := netio.Bind(fd, &source); e != netio.EADDRINUSE {
			return e
		}
	}
	return netio.EADDRINUSE
}
