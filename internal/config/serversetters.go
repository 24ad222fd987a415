package config

import (
	"cmp"
	"net/netip"
	"strings"
	"time"
)

// What the words of a server line do.

func (p *params) checkWeight(name string) {
	if w := parseAtol(p.arg(1)); w < 0 || w > maxWeight {
		p.failArg(1, codeInvalidValue, "weight of server %s is not within 0 and %d (%d).", name, maxWeight, w)
	}
}

func setServerWeight(p *params, s *Server) {
	s.Weight = min(max(parseAtol(p.arg(1)), 0), maxWeight)
}

func setServerID(p *params, s *Server) {
	v := p.arg(1)
	if v == "" {
		p.failKeyword(codeMissingValue, "'id' : expects an integer argument.")
		return
	}
	if s.ID = parseAtol(v); s.ID <= 0 {
		p.failArg(1, codeInvalidValue, "'id' : custom id has to be > 0.")
		s.ID = 0
	}
}

func setServerInitAddr(p *params, s *Server) {
	var methods []InitAddr
	for _, word := range strings.Split(p.arg(1), ",") {
		switch word {
		case "":
		case "last", "libc", "none":
			methods = append(methods, InitAddr{Method: word})
		default:
			ip, err := netip.ParseAddr(word)
			if err != nil || ip.Zone() != "" {
				p.failArg(1, codeInvalidValue, "'init-addr' : unknown init-addr method '%s', supported methods are 'libc', 'last', 'none'.", word)
				return
			}
			methods = append(methods, InitAddr{Method: "ip", IP: ip})
		}
	}
	if len(methods) > 0 {
		s.InitAddr = methods
	}
}

func setServerOnMarkedDown(p *params, s *Server) {
	if v := p.arg(1); v != "shutdown-sessions" {
		p.failArg(1, codeInvalidValue, "'on-marked-down' expects 'shutdown-sessions' but got '%s'", v)
		return
	}
	s.OnMarkedDown = p.arg(1)
}

func setServerOnMarkedUp(p *params, s *Server) {
	if v := p.arg(1); v != "shutdown-backup-sessions" {
		p.failArg(1, codeInvalidValue, "'on-marked-up' expects 'shutdown-backup-sessions' but got '%s'", v)
		return
	}
	s.OnMarkedUp = p.arg(1)
}

func setServerOnError(p *params, s *Server) {
	switch v := p.arg(1); v {
	case "fastinter", "fail-check", "sudden-death", "mark-down":
		s.OnError = v
	default:
		p.failArg(1, codeInvalidValue, "'on-error' expects one of 'fastinter', 'fail-check', 'sudden-death' or 'mark-down' but got '%s'", v)
	}
}

func setServerObserve(p *params, s *Server) {
	switch v := p.needWord("<mode>"); v {
	case "":
	case "none", "layer4":
		s.Check.Observe = v == "layer4"
	case "layer7":
		p.failArg(1, codeHTTPOnly, "'observe layer7' can only be used in http proxies.")
	default:
		p.failArg(1, codeInvalidValue, "'observe' expects one of 'none', 'layer4', 'layer7' but got '%s'", v)
	}
}

// setServerSlowStart reads a time that counts in whole seconds, rounded up.
func setServerSlowStart(p *params, s *Server) {
	d := p.delay("slowstart", true)
	s.SlowStart = (d + time.Second - 1) / time.Second * time.Second
}

func setServerTrack(p *params, s *Server) {
	v := p.needWord("[<proxy>/]<server>")
	var found bool
	if s.Track.Proxy, s.Track.Server, found = strings.Cut(v, "/"); !found {
		s.Track.Proxy, s.Track.Server = "", v
	}
}

func setServerInitState(p *params, s *Server) {
	switch v := p.arg(1); v {
	case "none":
		s.Check.InitState = ""
	case "fully-up", "up", "down", "fully-down":
		s.Check.InitState = v
	default:
		p.failArg(1, codeInvalidValue, "'init-state' expects one of 'none', 'fully-up', 'up', 'down', or 'fully-down' but got '%s'", v)
	}
}

func checkServerProxyV2Options(p *params, _ *Server) {
	for _, word := range strings.Split(p.arg(1), ",") {
		switch word {
		case "ssl", "cert-cn", "ssl-cipher", "cert-sig", "cert-key", "authority", "crc32c", "unique-id":
		default:
			p.failArg(1, codeInvalidValue, "'%s' : proxy v2 option not implemented", word)
			return
		}
	}
}

func checkServerResolvePrefer(p *params, _ *Server) {
	if v := p.arg(1); v != "ipv4" && v != "ipv6" {
		p.failArg(1, codeInvalidValue, "'resolve-prefer' expects either ipv4 or ipv6 as argument.")
	}
}

func checkServerResolveNet(p *params, _ *Server) {
	v := p.needWord("a list of networks")
	if v == "" {
		return
	}
	for _, word := range strings.Split(v, ",") {
		_, errPrefix := netip.ParsePrefix(word)
		_, errAddr := netip.ParseAddr(word)
		if errPrefix != nil && errAddr != nil {
			p.failArg(1, codeInvalidValue, "'resolve-net' invalid network '%s'.", word)
			return
		}
	}
}

func checkServerResolveOpts(p *params, _ *Server) {
	for _, word := range strings.Split(p.arg(1), ",") {
		switch word {
		case "", "allow-dup-ip", "ignore-weight", "prevent-dup-ip":
		default:
			p.failArg(1, codeInvalidValue,
				"'resolve-opts' : unknown resolve-opts option '%s', supported methods are 'allow-dup-ip', 'ignore-weight', and 'prevent-dup-ip'.", word)
			return
		}
	}
}

func checkServerWS(p *params, _ *Server) {
	switch p.arg(1) {
	case "auto", "h1", "h2":
	default:
		p.failArg(1, codeInvalidValue, "'ws' has to be 'auto', 'h1' or 'h2'")
	}
}

func checkServerPoolMaxConn(p *params, _ *Server) {
	if v := p.needWord("<value>"); v != "" && parseAtol(v) < -1 {
		p.failArg(1, codeInvalidValue, "'pool-max-conn' must be >= -1")
	}
}

func checkServerLogProto(p *params, _ *Server) {
	if v := p.arg(1); v != "legacy" && v != "octet-count" {
		p.failArg(1, codeInvalidValue, "'log-proto' expects one of 'legacy' or 'octet-count' but got '%s'", v)
	}
}

func warnServerCookie(p *params, s *Server) {
	if p.needWord("<value>") != "" {
		p.warn(codeHTTPOnly, "ignoring cookie for server '%s' as HTTP mode is disabled.", cmp.Or(s.Name, "default-server"))
	}
}

func refuseServerRedir(p *params, _ *Server) {
	if p.needWord("<prefix>") != "" {
		p.failKeyword(codeHTTPOnly, "server cannot have cookie or redirect prefix in non-HTTP mode.")
	}
}

// serverSource reads the source parameter and moves behind its last word.
func (p *params) serverSource(s *Server) {
	if p.arg(1) == "" {
		p.failKeyword(codeMissingValue,
			"'source' expects <addr>[:<port>[-<port>]], and optionally 'usesrc' <addr>, and 'interface' <name> as argument.")
		p.pos++
		return
	}
	if source := p.source(portRangeOK); source != nil {
		s.Source = source
	}
}

// parseSource reads the source keyword of a proxy. The number is how many of the words belong to it: the
// rest is already reported. The Source is nil when it is unusable.
func parseSource(words []string, env func(string) (string, bool)) (*Source, int, []argError) {
	p := &params{words: words, env: env}
	if p.arg(1) == "" {
		p.failKeyword(codeMissingValue, "'source' expects <addr>[:<port>], and optionally 'usesrc' <addr>, and 'interface' <name>.")
		return nil, len(words), p.errs
	}
	source := p.source(0)
	if p.pos < len(words) {
		p.failKeyword(codeUnexpectedWord, "'source' only supports optional keywords 'interface' and 'usesrc'.")
	}
	return source, p.pos, p.errs
}

// source reads an address with what may follow it and moves behind its last word. It returns nil after a mistake.
func (p *params) source(rules addrRules) *Source {
	var source *Source
	word := p.arg(1)
	a, err := parseAddress(word, rules, p.env)
	switch {
	case err != nil:
		p.failArg(1, errorCode(err), "'source %s' : %s", word, err)
	case a.Kind != AddrTCP || a.Host != "":
		p.failArg(1, codeNotImplemented, "'source %s' : only an IP address is implemented yet", word)
	default:
		source = &Source{IP: a.IP, PortLow: a.Port, PortHigh: a.portHigh}
	}
	p.pos += 2
	for p.pos < len(p.words) {
		switch p.words[p.pos] {
		case "interface":
			name := p.arg(1)
			if name == "" {
				p.failKeyword(codeMissingValue, "'%s' : missing interface name.", p.words[0])
				source = nil
			} else if source != nil {
				source.Interface = name
			}
		case "usesrc":
			if p.arg(1) == "" {
				p.failKeyword(codeMissingValue, "'usesrc' expects <addr>[:<port>], 'client', or 'clientip' as argument.")
			} else {
				p.notYet(false)
			}
			source = nil
		default:
			return source
		}
		p.pos += 2
	}
	p.pos = len(p.words)
	return source
}
