package check

import (
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

// dial opens a socket and starts to connect it, as step s says. On error nothing stays open, and the status tells
// whose fault it is.
func (t *Target) dial(s *step) (fd int, e netio.Errno, status Status) {
	to := t.Addr
	if s.to.IsValid() {
		to = netio.SockaddrFrom(netip.AddrPortFrom(s.to, to.Port()))
	}
	if s.port != 0 && to.Family() != netio.FamilyUnix {
		to.SetPort(s.port)
	}
	if fd, e = netio.Socket(to.Family()); e != 0 {
		return -1, e, SockErr
	}
	if to.Family() != netio.FamilyUnix {
		_ = t.Options.Apply(fd) // an option that this kernel refuses is no reason not to look at the server
	}
	status = SockErr
	if e = t.bind(fd); e == 0 {
		e = netio.Connect(fd, &to)
		if to.Family() != netio.FamilyUnix && e != netio.EADDRNOTAVAIL && e != netio.ENOBUFS && e != netio.ENOMEM {
			status = L4Con
		}
	}
	if e != 0 && e != netio.EINPROGRESS {
		netio.Close(fd)
		return -1, e, status
	}
	return fd, e, status
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
