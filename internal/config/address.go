package config

import (
	"net/netip"
	"strconv"
	"strings"
)

// addrRules says what an address may be in the place where it stands.
type addrRules uint8

const (
	portNeeded    addrRules = 1 << iota // a port from 1 to 65535 must be there
	portRangeOK                         // low-high
	portOffsetOK                        // +N and -N
	descriptorOK                        // fd@N
	datagramFirst                       // datagram sockets, also without a prefix; without this rule none
	nameLater                           // a host name is resolved later, so that its refusal is a failed resolution
)

// socketAddress is one parsed address with its range of ports.
type socketAddress struct {
	Address
	portHigh int
	datagram bool
}

// The longest paths of UNIX sockets: a file keeps room for the suffix of its temporary name.
const (
	maxUnixPath     = 97
	maxAbstractName = 107
)

// addressPrefixes are the words before the @ of an address, with what they ask for.
var addressPrefixes = map[string]struct {
	kind     AddrKind
	family   int
	datagram bool
	stream   bool
	notYet   bool
}{
	"ip": {kind: AddrTCP}, "ipv4": {kind: AddrTCP, family: 4}, "ipv6": {kind: AddrTCP, family: 6},
	"tcp":  {kind: AddrTCP, stream: true},
	"tcp4": {kind: AddrTCP, family: 4, stream: true},
	"tcp6": {kind: AddrTCP, family: 6, stream: true},
	"udp":  {kind: AddrTCP, datagram: true},
	"udp4": {kind: AddrTCP, family: 4, datagram: true},
	"udp6": {kind: AddrTCP, family: 6, datagram: true},
	"unix": {kind: AddrUnix}, "uxst": {kind: AddrUnix, stream: true}, "uxdg": {kind: AddrUnix, datagram: true},
	"abns": {kind: AddrAbstract}, "fd": {kind: AddrFD},
	"abnsz": {notYet: true}, "sockpair": {notYet: true}, "rhttp": {notYet: true},
	"mptcp": {notYet: true}, "mptcp4": {notYet: true}, "mptcp6": {notYet: true},
	"quic": {notYet: true}, "quic4": {notYet: true}, "quic6": {notYet: true},
}

// parseAddresses reads the addresses of a bind line (a list with commas, port ranges expanded) or the
// one address of a server. Names of variables that reach it unexpanded are replaced by their value in
// env, or by nothing. Every error is a *wordError with HAProxy's sentence.
func parseAddresses(words string, bind bool, env func(string) (string, bool)) ([]Address, error) {
	if !bind {
		a, err := parseAddress(words, portOffsetOK|nameLater, env)
		if err != nil {
			return nil, err
		}
		return []Address{a.Address}, nil
	}
	var list []Address
	for rest := words; rest != "" || list == nil; {
		var word string
		word, rest, _ = strings.Cut(rest, ",")
		a, err := parseAddress(word, portNeeded|portRangeOK|descriptorOK, env)
		if err != nil {
			return nil, err
		}
		for port := a.Port; port <= a.portHigh; port++ {
			next := a.Address
			next.Port = port
			list = append(list, next)
		}
	}
	return list, nil
}

// parseAddress reads one address.
func parseAddress(word string, rules addrRules, env func(string) (string, bool)) (socketAddress, error) {
	expanded := expandVariables(word, env)
	if expanded == "" {
		return socketAddress{}, wordErrorf(codeInvalidAddress, "'%s' resolves to an empty address (environment variable missing?)", word)
	}
	a := socketAddress{datagram: rules&datagramFirst != 0}
	text := expanded
	if rest, ok := strings.CutPrefix(text, "stream+"); ok {
		text, a.datagram = rest, false
	} else if rest, ok := strings.CutPrefix(text, "dgram+"); ok {
		text, a.datagram = rest, true
	}
	a.Kind = AddrTCP
	if strings.HasPrefix(text, "/") {
		a.Kind = AddrUnix
	} else if prefix, rest, ok := strings.Cut(text, "@"); ok {
		if p, known := addressPrefixes[prefix]; known {
			if p.notYet {
				return socketAddress{}, wordErrorf(codeNotImplemented, "address prefix '%s@' is not implemented yet in '%s'", prefix, word)
			}
			a.Kind, a.Family, text = p.kind, p.family, rest
			a.datagram = p.datagram || a.datagram && !p.stream
		}
	}
	switch a.Kind {
	case AddrFD:
		fd, err := strconv.ParseUint(text, 10, 31)
		if err != nil {
			return socketAddress{}, wordErrorf(codeInvalidAddress, "file descriptor '%s' is not a valid integer in '%s'", text, word)
		}
		if rules&descriptorOK == 0 {
			return socketAddress{}, wordErrorf(codeInvalidAddress, "a file descriptor is not acceptable here in '%s'", word)
		}
		a.FD = int(fd)
	case AddrUnix, AddrAbstract:
		limit := maxUnixPath
		if a.Kind == AddrAbstract {
			limit = maxAbstractName
		}
		if len(text) > limit {
			return socketAddress{}, wordErrorf(codeInvalidAddress, "socket path '%s' too long (max %d)", word, limit)
		}
		a.Path = text
	case AddrTCP:
		if err := a.parseHostPort(text, word, rules); err != nil {
			return socketAddress{}, err
		}
	}
	if a.datagram && rules&datagramFirst == 0 {
		return socketAddress{}, wordErrorf(codeInvalidAddress, "dgram-type address not acceptable in '%s'", word)
	}
	return a, nil
}

// parseHostPort splits text at its last colon, unless that stands inside brackets, and reads both parts.
func (a *socketAddress) parseHostPort(text, word string, rules addrRules) error {
	host, port := text, ""
	if i := strings.LastIndexAny(text, ":]"); i >= 0 && text[i] == ':' {
		host, port = text[:i], text[i+1:]
	}
	switch {
	case port == "":
		if rules&portNeeded != 0 {
			return wordErrorf(codeInvalidAddress, "missing port specification in '%s'", word)
		}
		a.PortOffset = rules&portOffsetOK != 0
	case port[0] >= '0' && port[0] <= '9':
		low, high, isRange := strings.Cut(port, "-")
		if !isRange {
			high = low
		} else if rules&portRangeOK == 0 {
			return wordErrorf(codeInvalidAddress, "port range not permitted here in '%s'", word)
		}
		lowest := 0
		if rules&portNeeded != 0 {
			lowest = 1
		}
		a.Port, a.portHigh = parseAtol(low), parseAtol(high)
		if a.Port < lowest || a.Port > 65535 {
			return wordErrorf(codeInvalidAddress, "invalid port '%s'", low)
		}
		if a.portHigh < lowest || a.portHigh > 65535 {
			return wordErrorf(codeInvalidAddress, "invalid port '%s'", high)
		}
		if a.Port > a.portHigh {
			return wordErrorf(codeInvalidAddress, "invalid port range '%d-%d'", a.Port, a.portHigh)
		}
		a.PortOffset = a.Port == 0 && rules&portOffsetOK != 0
	case port[0] == '-' || port[0] == '+':
		if rules&portOffsetOK == 0 {
			return wordErrorf(codeInvalidAddress, "port offset not permitted here in '%s'", word)
		}
		a.PortOffset = true
		a.Port = parseAtol(port)
		if a.Port < -65535 || a.Port > 65535 {
			return wordErrorf(codeInvalidAddress, "invalid port '%s'", port)
		}
	default:
		return wordErrorf(codeInvalidAddress, "invalid character '%c' in port number '%s' in '%s'", port[0], port, word)
	}
	if !a.setHost(host) {
		if rules&nameLater != 0 && a.Family == 0 {
			return wordErrorf(codeInvalidAddress, "could not resolve address '%s'.", host)
		}
		return wordErrorf(codeInvalidAddress, "invalid address: '%s' in '%s'", host, word)
	}
	return nil
}

// setHost sets IP or Host from the host part of an address. It reports false for what can be neither an
// address of the family asked for nor a host name.
func (a *socketAddress) setHost(host string) bool {
	if host == "" || host == "*" {
		a.IP = netip.IPv4Unspecified()
		if a.Family == 6 {
			a.IP = netip.IPv6Unspecified()
		}
		return true
	}
	literal := host
	if len(host) > 2 && host[0] == '[' && host[len(host)-1] == ']' {
		literal = host[1 : len(host)-1]
	}
	ip, err := netip.ParseAddr(literal)
	if err != nil {
		ip, _ = parseClassfulIPv4(literal)
	}
	if ip.IsValid() {
		a.IP = ip
		return ip.Zone() == "" && (a.Family == 0 || ip.Is4() == (a.Family == 4))
	}
	if !isHostName(literal) {
		return false
	}
	a.Host = literal
	return true
}

// isHostName reports whether a resolver can know the name: labels of letters, digits, hyphens and underscores, with
// dots between them, of which the first begins with a letter or a digit and the last is not a number.
func isHostName(s string) bool {
	labels := strings.Split(strings.TrimSuffix(s, "."), ".")
	for _, label := range labels {
		if label == "" || label[0] == '-' {
			return false
		}
		for i := range len(label) {
			c := label[i]
			if (c|0x20 < 'a' || c|0x20 > 'z') && (c < '0' || c > '9') && c != '-' && c != '_' {
				return false
			}
		}
	}
	return len(s) <= 255 && s[0] != '_' && strings.Trim(labels[len(labels)-1], "0123456789") != ""
}

// parseClassfulIPv4 reads the old forms of an IPv4 address that resolvers still accept: one to four numbers,
// decimal, octal or hexadecimal, of which the last one fills the bytes that are left ("127.1").
func parseClassfulIPv4(s string) (netip.Addr, bool) {
	parts := strings.Split(s, ".")
	if len(parts) > 4 {
		return netip.Addr{}, false
	}
	var sum uint64
	for i, part := range parts {
		if part == "" || part[0] < '0' || part[0] > '9' || strings.ContainsAny(part, "_oObB") && !isHex(part) {
			return netip.Addr{}, false
		}
		n, err := strconv.ParseUint(part, 0, 32)
		if err != nil {
			return netip.Addr{}, false
		}
		if i < len(parts)-1 {
			if n > 255 {
				return netip.Addr{}, false
			}
			sum |= n << (24 - 8*i)
			continue
		}
		if n >= 1<<(32-8*i) {
			return netip.Addr{}, false
		}
		sum |= n
	}
	return netip.AddrFrom4([4]byte{byte(sum >> 24), byte(sum >> 16), byte(sum >> 8), byte(sum)}), true
}

// isHex reports whether s is 0x and hexadecimal digits.
func isHex(s string) bool {
	rest, ok := strings.CutPrefix(strings.ToLower(s), "0x")
	return ok && rest != "" && strings.Trim(rest, "0123456789abcdef") == ""
}

// expandVariables replaces $NAME and ${NAME} by their values, unknown names by nothing. A word in double
// quotes was expanded before; this is for the addresses written without quotes.
func expandVariables(word string, env func(string) (string, bool)) string {
	var out strings.Builder
	for {
		before, rest, found := strings.Cut(word, "$")
		out.WriteString(before)
		if !found {
			return out.String()
		}
		rest, braced := strings.CutPrefix(rest, "{")
		n := 0
		for n < len(rest) && (rest[n] == '_' || rest[n] >= '0' && rest[n] <= '9' || rest[n]|0x20 >= 'a' && rest[n]|0x20 <= 'z') {
			n++
		}
		if env != nil {
			value, _ := env(rest[:n])
			out.WriteString(value)
		}
		word = rest[n:]
		if braced {
			word = strings.TrimPrefix(word, "}")
		}
	}
}
