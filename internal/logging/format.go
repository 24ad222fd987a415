package logging

import (
	"net/netip"
	"strconv"

	"github.com/penstock/penstock/netio"
)

// The formats of option tcplog and option tcplog clf.
const (
	TCPLogFormat    = "%ci:%cp [%t] %ft %b/%s %Tw/%Tc/%Tt %B %ts %ac/%fc/%bc/%sc/%rc %sq/%bq"
	TCPLogCLFFormat = `%{+Q}o %{-Q}ci - - [%T] "TCP " 000 %B "" "" %cp %ms %ft %b %s %Th %Tw %Tc %Tt %U %ts-- %ac %fc %bc %sc %rc %sq %bq "" "" `
)

// Format is a compiled log format. It is immutable and shared by all workers.
type Format struct {
	items    []item
	kinds    uint64 // one bit per kind of item
	warnings []FormatError
}

// Warnings lists what the format asks for that has no effect, such as an unknown flag.
func (f *Format) Warnings() []FormatError { return f.warnings }

// flags change how one item is printed.
type flags uint8

const (
	flagQuote     flags = 1 << iota // Q: texts between double quotes
	flagHex                         // X: addresses, ports and some numbers in hexadecimal
	flagEscape                      // E: backslash before '"', '\' and ']', as RFC 5424 wants
	flagMandatory                   // M: a missing text is printed as '-'
)

// item is one piece of a format: a literal, or a field of the record.
type item struct {
	kind   kind
	flags  flags
	sample bool   // from %[…]: numbers are texts too, so they obey Q and ignore X
	text   string // of a literal or constant
}

type kind uint8

const (
	kindLiteral kind = iota
	kindConstant
	kindMissing // a value that a TCP session never has
	kindClientIP
	kindClientPort
	kindBindIP
	kindBindPort
	kindLocalIP
	kindLocalPort
	kindServerIP
	kindServerPort
	kindFrontend
	kindBackend
	kindServer
	kindListener
	kindFrontendID
	kindBackendID
	kindServerID
	kindListenerID
	kindAcceptLocalMs
	kindAcceptLocal
	kindAcceptUTC
	kindAcceptUnix
	kindAcceptUnixMs
	kindAcceptUnixUs
	kindAcceptMs
	kindHandshake
	kindQueue
	kindConnect
	kindData
	kindTotal
	kindUser
	kindBytesIn
	kindBytesOut
	kindTerm
	kindTermCookie
	kindActConn
	kindFeConn
	kindBeConn
	kindSrvConn
	kindRetries
	kindRedispatched
	kindSrvQueue
	kindBackendQueue
	kindLogCount
	kindCounter
	kindPid
	kindHostname
	kindUniqueID
	kindOrigin // the last one
)

const _ = 63 - kindOrigin // does not compile when Format.kinds has too few bits

// Append appends the record in this format to dst and returns the longer slice, without a line feed.
// It allocates only when dst is too small.
func (f *Format) Append(dst []byte, r *Record) []byte {
	for i := range f.items {
		it := &f.items[i]
		if it.kind == kindLiteral {
			dst = append(dst, it.text...)
			continue
		}
		dst = it.append(dst, r)
	}
	return dst
}

// NeedsBindAddr reports whether the format shows the address that the client connected to.
func (f *Format) NeedsBindAddr() bool { return f.shows(kindBindIP) || f.shows(kindBindPort) }

// NeedsLocalAddr reports whether the format shows our end of the server connection.
func (f *Format) NeedsLocalAddr() bool { return f.shows(kindLocalIP) || f.shows(kindLocalPort) }

func (f *Format) shows(k kind) bool { return f.kinds>>k&1 != 0 }

func (it *item) append(dst []byte, r *Record) []byte {
	switch it.kind {
	case kindConstant:
		return appendConstant(dst, it.text, it.flags)
	case kindMissing:
		return appendText(dst, "", it.flags)

	case kindClientIP:
		return it.appendIP(dst, &r.ClientAddr)
	case kindClientPort:
		return it.appendPort(dst, &r.ClientAddr, r)
	case kindBindIP:
		return it.appendIP(dst, &r.BindAddr)
	case kindBindPort:
		return it.appendPort(dst, &r.BindAddr, r)
	case kindLocalIP:
		return it.appendIP(dst, &r.LocalAddr)
	case kindLocalPort:
		return it.appendPort(dst, &r.LocalAddr, nil)
	case kindServerIP:
		return it.appendIP(dst, &r.ServerAddr)
	case kindServerPort:
		return it.appendPort(dst, &r.ServerAddr, nil)

	case kindFrontend:
		return appendText(dst, r.FrontendName, it.flags)
	case kindBackend:
		return appendText(dst, r.backend(), it.flags)
	case kindServer:
		if r.ServerName == "" && !it.sample {
			return appendText(dst, "<NOSRV>", it.flags)
		}
		return appendText(dst, r.ServerName, it.flags)
	case kindListener:
		return appendText(dst, r.ListenerName, it.flags)
	case kindFrontendID:
		return it.appendInt(dst, int64(r.FrontendID), 0)
	case kindBackendID:
		if r.BackendName == "" {
			return it.appendInt(dst, int64(r.FrontendID), 0)
		}
		return it.appendInt(dst, int64(r.BackendID), 0)
	case kindServerID:
		if r.ServerName == "" {
			return appendText(dst, "", it.flags)
		}
		return it.appendInt(dst, int64(r.ServerID), 0)
	case kindListenerID:
		return it.appendInt(dst, int64(r.ListenerID), 0)

	case kindAcceptLocalMs:
		sec, frac := splitNs(r.AcceptTimeNs)
		dst = append(dst, r.dates.localAt(sec)[:clfDateLen]...)
		dst = append(dst, '.')
		return append3(dst, int(frac/1e6))
	case kindAcceptLocal:
		sec, _ := splitNs(r.AcceptTimeNs)
		return append(dst, r.dates.localAt(sec)...)
	case kindAcceptUTC:
		sec, _ := splitNs(r.AcceptTimeNs)
		return append(dst, r.dates.utcAt(sec)...)
	case kindAcceptUnix:
		sec, _ := splitNs(r.AcceptTimeNs)
		return it.appendInt(dst, sec, 4)
	case kindAcceptUnixMs:
		return it.appendInt(dst, r.AcceptTimeNs/1e6, 0)
	case kindAcceptUnixUs:
		return it.appendInt(dst, r.AcceptTimeNs/1e3, 0)
	case kindAcceptMs:
		_, frac := splitNs(r.AcceptTimeNs)
		if it.flags&flagHex != 0 {
			return it.appendInt(dst, frac/1e6, 2)
		}
		return append3(dst, int(frac/1e6))

	case kindHandshake:
		return it.appendInt(dst, r.HandshakeMs, 0)
	case kindQueue:
		return it.appendInt(dst, r.QueueMs, 0)
	case kindConnect:
		return it.appendInt(dst, r.ConnectMs, 0)
	case kindData:
		return it.appendInt(dst, r.DataMs, 0)
	case kindTotal:
		return it.appendInt(it.appendPlus(dst, r.ASAP), r.TotalMs, 0)
	case kindUser:
		return it.appendInt(it.appendPlus(dst, r.ASAP), r.UserMs, 0)
	case kindBytesIn:
		return it.appendInt(dst, int64(r.BytesIn), 0)
	case kindBytesOut:
		return it.appendInt(it.appendPlus(dst, r.ASAP), int64(r.BytesOut), 0)
	case kindTerm:
		if it.sample && it.flags&flagQuote != 0 {
			return append(r.appendTerm(append(dst, '"')), '"')
		}
		return r.appendTerm(dst)
	case kindTermCookie:
		return append(r.appendTerm(dst), "--"...)

	case kindActConn:
		return it.appendInt(dst, int64(r.ActConn), 0)
	case kindFeConn:
		return it.appendInt(dst, int64(r.FeConn), 0)
	case kindBeConn:
		return it.appendInt(dst, int64(r.BeConn), 0)
	case kindSrvConn:
		return it.appendInt(dst, int64(r.SrvConn), 0)
	case kindRetries:
		return it.appendInt(it.appendPlus(dst, r.Redispatched), int64(r.Retries), 0)
	case kindRedispatched:
		if r.Redispatched {
			return it.appendInt(dst, 1, 0)
		}
		return it.appendInt(dst, 0, 0)
	case kindSrvQueue:
		return it.appendInt(dst, int64(r.SrvQueue), 0)
	case kindBackendQueue:
		return it.appendInt(dst, int64(r.BackendQueue), 0)

	case kindLogCount:
		return it.appendInt(dst, int64(r.LogCount), 4)
	case kindCounter:
		return it.appendInt(dst, int64(r.Counter), 4)
	case kindPid:
		return it.appendInt(dst, int64(r.Pid), 4)
	case kindHostname:
		return appendText(dst, r.Hostname, it.flags)
	case kindUniqueID:
		return appendText(dst, r.UniqueID, it.flags)
	case kindOrigin:
		return appendText(dst, r.Origin.String(), it.flags)
	}
	panic("log format item of unknown kind " + strconv.Itoa(int(it.kind)))
}

func (r *Record) backend() string {
	if r.BackendName == "" {
		return r.FrontendName
	}
	return r.BackendName
}

func (r *Record) appendTerm(dst []byte) []byte {
	for _, c := range r.Term {
		if c == 0 {
			c = '-'
		}
		dst = append(dst, c)
	}
	return dst
}

// appendPlus marks a number as growing or redispatched; the samples of the same number are plain.
func (it *item) appendPlus(dst []byte, marked bool) []byte {
	if marked && !it.sample {
		return append(dst, '+')
	}
	return dst
}

// appendInt appends a number. hexWidth is the least number of digits under the flag X; 0 means that
// the number has no hexadecimal form.
func (it *item) appendInt(dst []byte, n int64, hexWidth int) []byte {
	if it.sample {
		if it.flags&flagQuote != 0 {
			return append(strconv.AppendInt(append(dst, '"'), n, 10), '"')
		}
		return strconv.AppendInt(dst, n, 10)
	}
	if hexWidth > 0 && it.flags&flagHex != 0 {
		return appendHex(dst, uint64(n), hexWidth)
	}
	return strconv.AppendInt(dst, n, 10)
}

func (it *item) appendIP(dst []byte, a *netio.Addr) []byte {
	var ip netip.Addr
	switch a.Family {
	case netio.FamilyInet:
		ip = netip.AddrFrom4([4]byte(a.IP[:4]))
	case netio.FamilyIn6:
		ip = netip.AddrFrom16(a.IP)
	case netio.FamilyUnix:
		if it.sample {
			return appendText(dst, "", it.flags)
		}
		if it.flags&flagHex != 0 {
			return dst
		}
		return appendText(dst, "unix", it.flags)
	default:
		return appendText(dst, "", it.flags)
	}
	if it.flags&flagHex != 0 && !it.sample {
		for _, c := range a.IP[:ip.BitLen()/8] {
			dst = append(dst, hexDigits[c>>4], hexDigits[c&15])
		}
		return dst
	}
	if it.flags&flagQuote != 0 {
		return append(ip.AppendTo(append(dst, '"')), '"')
	}
	return ip.AppendTo(dst)
}

// appendPort appends a port. A UNIX socket has none: on the client's side, where r is given, the id of
// the listener stands in.
func (it *item) appendPort(dst []byte, a *netio.Addr, r *Record) []byte {
	switch a.Family {
	case netio.FamilyInet, netio.FamilyIn6:
		return it.appendInt(dst, int64(a.Port), 4)
	case netio.FamilyUnix:
		if it.sample {
			return appendText(dst, "", it.flags)
		}
		if r != nil {
			return strconv.AppendInt(dst, int64(r.ListenerID), 10)
		}
		return it.appendInt(dst, 0, 4)
	}
	return appendText(dst, "", it.flags)
}

const hexDigits = "0123456789ABCDEF"

func appendHex(dst []byte, n uint64, width int) []byte {
	digits := 1
	for n>>(4*digits) != 0 && digits < 16 {
		digits++
	}
	for d := max(digits, width); d > 0; d-- {
		dst = append(dst, hexDigits[n>>(4*(d-1))&15])
	}
	return dst
}

// appendText appends a text of the record. Bytes that a log reader could stumble over are written as
// '#' and two hexadecimal digits; with the flag E, the characters special to RFC 5424 get a backslash
// instead.
func appendText(dst []byte, s string, fl flags) []byte {
	if s == "" {
		return appendEmpty(dst, fl)
	}
	if fl&flagQuote != 0 {
		dst = append(dst, '"')
	}
	for i := 0; i < len(s); i++ {
		c := s[i]
		switch {
		case c < 32 || c > 126:
			dst = append(dst, '#', hexDigits[c>>4], hexDigits[c&15])
		case fl&flagEscape != 0:
			if c == '"' || c == '\\' || c == ']' {
				dst = append(dst, '\\')
			}
			dst = append(dst, c)
		case c == '"' || c == '#':
			dst = append(dst, '#', hexDigits[c>>4], hexDigits[c&15])
		default:
			dst = append(dst, c)
		}
	}
	if fl&flagQuote != 0 {
		dst = append(dst, '"')
	}
	return dst
}

// appendConstant appends a constant of the format, which is its author's and so goes out as written.
func appendConstant(dst []byte, s string, fl flags) []byte {
	if s == "" {
		return appendEmpty(dst, fl)
	}
	if fl&flagQuote != 0 {
		dst = append(dst, '"')
	}
	for i := 0; i < len(s); i++ {
		if c := s[i]; fl&flagEscape != 0 && (c == '"' || c == '\\' || c == ']') {
			dst = append(dst, '\\')
		}
		dst = append(dst, s[i])
	}
	if fl&flagQuote != 0 {
		dst = append(dst, '"')
	}
	return dst
}

func appendEmpty(dst []byte, fl flags) []byte {
	switch {
	case fl&flagQuote != 0:
		return append(dst, '"', '"')
	case fl&flagMandatory != 0:
		return append(dst, '-')
	}
	return dst
}

// AppendConnect appends the line of a frontend that has no log format, written at accept.
func AppendConnect(dst []byte, r *Record) []byte {
	it := item{}
	switch r.ClientAddr.Family {
	case netio.FamilyInet, netio.FamilyIn6:
		dst = append(dst, "Connect from "...)
		dst = it.appendIP(dst, &r.ClientAddr)
		dst = append(dst, ':')
		dst = it.appendPort(dst, &r.ClientAddr, r)
		dst = append(dst, " to "...)
		dst = it.appendIP(dst, &r.BindAddr)
		dst = append(dst, ':')
		dst = it.appendPort(dst, &r.BindAddr, r)
	case netio.FamilyUnix:
		dst = append(dst, "Connect to unix:"...)
		dst = strconv.AppendInt(dst, int64(r.ListenerID), 10)
	default:
		dst = append(dst, "Connect from unknown source to listener "...)
		dst = strconv.AppendInt(dst, int64(r.ListenerID), 10)
	}
	dst = append(dst, " ("...)
	dst = append(dst, r.FrontendName...)
	return append(dst, "/TCP)"...)
}

// AppendError appends the line of a session that failed before it had a backend, such as one with a
// broken PROXY header; message tells the cause.
func AppendError(dst []byte, r *Record, message string) []byte {
	it := item{flags: flagMandatory}
	dst = it.appendIP(dst, &r.ClientAddr)
	dst = append(dst, ':')
	dst = it.appendPort(dst, &r.ClientAddr, r)
	dst = append(dst, " ["...)
	it.kind = kindAcceptLocalMs
	dst = it.append(dst, r)
	dst = append(dst, "] "...)
	dst = append(dst, r.FrontendName...)
	dst = append(dst, '/')
	if r.ListenerName != "" {
		dst = append(dst, r.ListenerName...)
	} else {
		dst = strconv.AppendInt(dst, int64(r.ListenerID), 10)
	}
	dst = append(dst, ": "...)
	return append(dst, message...)
}
