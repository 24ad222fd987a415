package logging

import (
	"context"
	"fmt"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"sync/atomic"
	"time"

	"github.com/penstock/penstock/internal/config"
	"github.com/penstock/penstock/netio"
)

const (
	defaultLineLen = 1024
	resolveTimeout = 5 * time.Second
)

// Scratch is what one sender of log lines needs: buffers that grow once, and the dates of the current
// second. It belongs to one worker or goroutine.
type Scratch struct {
	Record Record
	Line   []byte // for the message
	SD     []byte // structured data of the next line, for targets in RFC 5424 format; Send empties it
	dates  headerDates
	out    []byte
}

// Options are the settings that all targets of a logger share.
type Options struct {
	Tag          string // log-tag; empty: the program's name
	Hostname     string // log-send-hostname
	SendHostname bool
	Pid          int      // 0: this process
	Outlets      *Outlets // the process's sockets and descriptors; nil: the logger has its own
}

// Logger brings the lines of one proxy to its log targets. Its methods may be called from any number
// of workers at once, each with its own Scratch.
type Logger struct {
	targets    []target
	outlets    *Outlets
	ownOutlets bool
	dropped    atomic.Uint64
}

// target is one log line of the configuration, ready for use. Exactly one of lines and sock is set.
type target struct {
	format   config.LogHeader
	facility int
	level    int
	minLevel int
	maxLen   int
	origin   string
	sampler  *sampler

	lines *lineWriter
	sock  int
	addr  netio.Sockaddr
}

// NewLogger makes the logger of one proxy. Host names are resolved here, once. It takes what it needs
// from o.Outlets, where proxies that log to the same place share a socket or descriptor.
func NewLogger(targets []config.LogTarget, o Options) (*Logger, error) {
	if o.Tag == "" {
		o.Tag = filepath.Base(os.Args[0])
	}
	if o.Pid == 0 {
		o.Pid = os.Getpid()
	}
	new(headerDates).at(0) // reads the zone file while it is still reachable: a chroot may hide it

	l := &Logger{outlets: o.Outlets, targets: make([]target, 0, len(targets))}
	if l.outlets == nil {
		l.outlets, l.ownOutlets = NewOutlets(), true
	}
	for i := range targets {
		t, err := newTarget(&targets[i], &o, l.outlets)
		if err != nil {
			l.Close()
			return nil, err
		}
		l.targets = append(l.targets, t)
	}
	return l, nil
}

func newTarget(c *config.LogTarget, o *Options, outlets *Outlets) (target, error) {
	t := target{
		format: c.Format, facility: c.Facility, level: c.Level, minLevel: c.MinLevel, maxLen: c.Len,
		sock: -1,
	}
	if t.maxLen <= 0 {
		t.maxLen = defaultLineLen
	}
	if o.SendHostname && !c.FormatSet && c.Format == config.HeaderLocal {
		t.format = config.HeaderRFC3164
	}
	t.origin = headerOrigin(t.format, o)
	if c.SampleRanges != "" {
		var err error
		if t.sampler, err = newSampler(c.SampleRanges, c.SampleSize); err != nil {
			return t, err
		}
	}

	switch c.Kind {
	case config.LogUDP:
		ap := c.Addr
		if !ap.Addr().IsValid() {
			ip, err := resolve(c.Host)
			if err != nil {
				return t, fmt.Errorf("resolve log target %s: %w", c.Host, err)
			}
			ap = netip.AddrPortFrom(ip, ap.Port())
		}
		network := "udp6"
		if ap.Addr().Is4() {
			network = "udp4"
		}
		sock, err := outlets.socket(network)
		if err != nil {
			return t, fmt.Errorf("open log target %s: %w", ap, err)
		}
		t.sock, t.addr = sock, netio.SockaddrFrom(ap)
	case config.LogUnix:
		addr, err := netio.SockaddrUnix(c.Path)
		if err != nil {
			return t, fmt.Errorf("open log target %s: %w", c.Path, err)
		}
		sock, err := outlets.socket("unixgram")
		if err != nil {
			return t, fmt.Errorf("open log target %s: %w", c.Path, err)
		}
		t.sock, t.addr = sock, addr
	case config.LogFD:
		lines, err := outlets.descriptor(c.FD)
		if err != nil {
			return t, fmt.Errorf("open log target fd@%d: %w", c.FD, err)
		}
		t.lines = lines
	default:
		return t, fmt.Errorf("open log target: unknown kind %d", c.Kind)
	}
	return t, nil
}

func resolve(host string) (netip.Addr, error) {
	ctx, cancel := context.WithTimeout(context.Background(), resolveTimeout)
	defer cancel()
	ips, err := net.DefaultResolver.LookupNetIP(ctx, "ip", host)
	if err != nil {
		return netip.Addr{}, err
	}
	return ips[0].Unmap(), nil
}

// Wanted reports whether any target takes lines of this level, so that nobody renders one in vain.
func (l *Logger) Wanted(level int) bool {
	for i := range l.targets {
		if level <= l.targets[i].level {
			return true
		}
	}
	return false
}

// UsesSD reports whether any target prints structured data, so that [Scratch.SD] is worth filling.
func (l *Logger) UsesSD() bool {
	for i := range l.targets {
		if l.targets[i].format == config.HeaderRFC5424 {
			return true
		}
	}
	return false
}

// Send gives msg to every target that wants its level, each with its own header and length limit, and
// ends it with one line feed. now is the wall clock in Unix nanoseconds. Send neither blocks nor
// allocates; a target that cannot take the line at once loses it, which is counted.
func (l *Logger) Send(w *Scratch, level int, now int64, msg []byte) {
	if n := len(msg); n > 0 && msg[n-1] == '\n' {
		msg = msg[:n-1]
	}
	for i := range l.targets {
		t := &l.targets[i]
		if level > t.level || t.sampler != nil && !t.sampler.next() {
			continue
		}
		out := t.appendHeader(w.out[:0], w, max(level, t.minLevel), now)
		room := t.maxLen - 1
		if len(out) > room {
			out = out[:room]
		}
		out = append(out, msg[:min(len(msg), room-len(out))]...)
		out = append(out, '\n')
		w.out = out
		if !t.deliver(out) {
			l.dropped.Add(1)
			l.outlets.dropped.Add(1)
		}
	}
	w.SD = w.SD[:0]
}

func (t *target) deliver(line []byte) bool {
	if t.lines != nil {
		return t.lines.put(line)
	}
	return netio.SendTo(t.sock, line, &t.addr) == 0
}

// Dropped is the number of lines that a target could not take when they were sent, one per target.
func (l *Logger) Dropped() uint64 { return l.dropped.Load() }

// Flush waits until the lines for descriptors are written, for at most timeout, and reports whether
// they all are.
func (l *Logger) Flush(timeout time.Duration) bool { return l.outlets.Flush(timeout) }

// Close ends a logger that has its own outlets; shared ones stay as they are. No Send may be under way
// or follow.
func (l *Logger) Close() {
	if l.ownOutlets {
		l.outlets.Close()
	}
}
