package netio

import (
	"time"

	"golang.org/x/sys/unix"
)

// KeepAlive is TCP keep-alive; zero counts and times leave the kernel's.
type KeepAlive struct {
	Enabled     bool
	Count       int
	Idle, Intvl time.Duration // whole seconds are used
}

// ConnOptions are the options that a connected stream has; on a listener they are set once and
// inherited by every accepted socket.
type ConnOptions struct {
	NoDelay      bool
	KeepAlive    KeepAlive
	UserTimeout  time.Duration // TCP_USER_TIMEOUT
	RcvBuf       int
	SndBuf       int
	NotSentLowat int    // TCP_NOTSENT_LOWAT
	CC           string // TCP_CONGESTION, on listeners
}

// option is one integer socket option.
type option struct{ level, name, value int32 }

// OptionSet is ConnOptions compiled to the setsockopt calls that they need.
type OptionSet struct {
	opts [10]option
	n    int
}

// Compile lists the calls.
func (o *ConnOptions) Compile() OptionSet {
	var s OptionSet
	add := func(cond bool, level, name, value int) {
		if cond {
			s.opts[s.n] = option{int32(level), int32(name), int32(value)}
			s.n++
		}
	}
	add(o.RcvBuf > 0, unix.SOL_SOCKET, unix.SO_RCVBUF, o.RcvBuf)
	add(o.SndBuf > 0, unix.SOL_SOCKET, unix.SO_SNDBUF, o.SndBuf)
	add(o.NoDelay, unix.IPPROTO_TCP, unix.TCP_NODELAY, 1)
	add(o.KeepAlive.Enabled, unix.SOL_SOCKET, unix.SO_KEEPALIVE, 1)
	add(o.KeepAlive.Enabled && o.KeepAlive.Count > 0, unix.IPPROTO_TCP, unix.TCP_KEEPCNT, o.KeepAlive.Count)
	add(o.KeepAlive.Enabled && o.KeepAlive.Idle > 0, unix.IPPROTO_TCP, unix.TCP_KEEPIDLE, seconds(o.KeepAlive.Idle))
	add(o.KeepAlive.Enabled && o.KeepAlive.Intvl > 0, unix.IPPROTO_TCP, unix.TCP_KEEPINTVL, seconds(o.KeepAlive.Intvl))
	add(o.UserTimeout > 0, unix.IPPROTO_TCP, unix.TCP_USER_TIMEOUT, int(o.UserTimeout/time.Millisecond))
	add(o.NotSentLowat > 0, unix.IPPROTO_TCP, unix.TCP_NOTSENT_LOWAT, o.NotSentLowat)
	return s
}

func seconds(d time.Duration) int { return int((d + time.Second - 1) / time.Second) }

// Apply sets the options on a socket and returns the first refusal; the rest is set all the same.
func (s *OptionSet) Apply(fd int) Errno {
	var first Errno
	for i := range s.opts[:s.n] {
		o := &s.opts[i]
		if e := SetInt(fd, int(o.level), int(o.name), int(o.value)); e != 0 && first == 0 {
			first = e
		}
	}
	return first
}

// SetQuickAck turns delayed acknowledgements off or on (TCP_QUICKACK), until the kernel decides anew.
func SetQuickAck(fd int, on bool) Errno {
	v := 0
	if on {
		v = 1
	}
	return SetInt(fd, unix.IPPROTO_TCP, unix.TCP_QUICKACK, v)
}

// SetBindNoPort lets the kernel choose the source port at connect time, when it knows the
// destination, instead of at bind time (IP_BIND_ADDRESS_NO_PORT).
func SetBindNoPort(fd int) Errno {
	return SetInt(fd, unix.IPPROTO_IP, unix.IP_BIND_ADDRESS_NO_PORT, 1)
}

// SetReuseAddr sets SO_REUSEADDR.
func SetReuseAddr(fd int) Errno { return SetInt(fd, unix.SOL_SOCKET, unix.SO_REUSEADDR, 1) }

// BindToDevice restricts a socket to one network interface (SO_BINDTODEVICE).
func BindToDevice(fd int, name string) error {
	if err := unix.BindToDevice(fd, name); err != nil {
		return &OpError{"bind to interface", name, err}
	}
	return nil
}
