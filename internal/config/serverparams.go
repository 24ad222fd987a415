package config

import (
	"cmp"
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"time"
)

// serverParam is one parameter of server and default-server lines. A parameter without set has only to be skipped.
type serverParam struct {
	class Class
	args  int // words behind the keyword
	set   func(p *params, s *Server)
}

// maxWeight is the largest weight of a server.
const maxWeight = 256

// serverParams are all parameters of server lines but source, which takes a variable number of words, and those of TLS.
var serverParams = map[string]serverParam{
	"weight":         {Implemented, 1, setServerWeight},
	"backup":         {Implemented, 0, func(_ *params, s *Server) { s.Backup = true }},
	"no-backup":      {Implemented, 0, func(_ *params, s *Server) { s.Backup = false }},
	"disabled":       {Implemented, 0, func(_ *params, s *Server) { s.Disabled = true }},
	"enabled":        {Implemented, 0, func(_ *params, s *Server) { s.Disabled = false }},
	"maxconn":        {Implemented, 1, func(p *params, s *Server) { s.MaxConn = max(parseAtol(p.arg(1)), 0) }},
	"minconn":        {Implemented, 1, func(p *params, s *Server) { s.MinConn = max(parseAtol(p.arg(1)), 0) }},
	"maxqueue":       {Implemented, 1, func(p *params, s *Server) { s.MaxQueue = max(parseAtol(p.arg(1)), 0) }},
	"id":             {Implemented, 1, setServerID},
	"tcp-ut":         {Implemented, 1, func(p *params, s *Server) { s.TCPUserTimeout = p.userTimeout() }},
	"tfo":            {Implemented, 0, func(_ *params, s *Server) { s.TFO = true }},
	"no-tfo":         {Implemented, 0, func(_ *params, s *Server) { s.TFO = false }},
	"init-addr":      {Implemented, 1, setServerInitAddr},
	"on-marked-down": {Implemented, 1, setServerOnMarkedDown},
	"on-marked-up":   {Implemented, 1, setServerOnMarkedUp},
	"on-error":       {Implemented, 1, setServerOnError},

	"check":       {Implemented, 0, func(_ *params, s *Server) { s.Check.Enabled = true }},
	"no-check":    {Implemented, 0, func(_ *params, s *Server) { s.Check.Enabled = false }},
	"inter":       {Implemented, 1, func(p *params, s *Server) { p.interval("inter", &s.Check.Inter) }},
	"fastinter":   {Implemented, 1, func(p *params, s *Server) { p.interval("fastinter", &s.Check.FastInter) }},
	"downinter":   {Implemented, 1, func(p *params, s *Server) { p.interval("downinter", &s.Check.DownInter) }},
	"rise":        {Implemented, 1, func(p *params, s *Server) { p.positive(&s.Check.Rise) }},
	"fall":        {Implemented, 1, func(p *params, s *Server) { p.positive(&s.Check.Fall) }},
	"port":        {Implemented, 1, func(p *params, s *Server) { s.Check.Port = parseAtol(p.needWord("a port number")) }},
	"addr":        {Implemented, 1, func(p *params, s *Server) { s.Check.Addr = p.checkAddress("<ipv4|ipv6>") }},
	"init-state":  {Implemented, 1, setServerInitState},
	"track":       {Implemented, 1, setServerTrack},
	"slowstart":   {Implemented, 1, setServerSlowStart},
	"observe":     {Implemented, 1, setServerObserve},
	"error-limit": {Implemented, 1, func(p *params, s *Server) { p.positive(&s.Check.ErrorLimit) }},

	"agent-check":         {Implemented, 0, func(_ *params, s *Server) { s.Agent.Enabled = true }},
	"no-agent-check":      {Implemented, 0, func(_ *params, s *Server) { s.Agent.Enabled = false }},
	"agent-inter":         {Implemented, 1, func(p *params, s *Server) { p.interval("agent-inter", &s.Agent.Inter) }},
	"agent-port":          {Implemented, 1, func(p *params, s *Server) { s.Agent.Port = parseAtol(p.needWord("a port number")) }},
	"agent-addr":          {Implemented, 1, setServerAgentAddr},
	"agent-send":          {Implemented, 1, func(p *params, s *Server) { s.Agent.Send = p.needWord("a string") }},
	"check-send-proxy":    {Implemented, 0, func(_ *params, s *Server) { s.Check.SendProxy = true }},
	"no-check-send-proxy": {Implemented, 0, func(_ *params, s *Server) { s.Check.SendProxy = false }},
	"check-ssl":           {Implemented, 0, func(_ *params, s *Server) { s.Check.TLS = true }},
	"no-check-ssl":        {Implemented, 0, func(_ *params, s *Server) { s.Check.TLS = false }},
	"check-sni":           {Implemented, 1, setServerCheckSNI},
	"check-alpn":          {Implemented, 1, setServerCheckALPN},
	"verify":              {Implemented, 1, setServerVerify},
	"verifyhost":          {Implemented, 1, setServerVerifyHost},
	"no-verifyhost":       {Implemented, 0, func(_ *params, s *Server) { s.Check.VerifyHost = "" }},
	"ca-file":             {Implemented, 1, setServerCAFile},

	// These are only read: they belong to checks of other kinds, or to what is not there yet.
	"check-via-socks4":    {Implemented, 0, nil},
	"check-reuse-pool":    {Implemented, 0, nil},
	"no-check-reuse-pool": {Implemented, 0, nil},
	"check-pool-conn-name": {Implemented, 1, func(p *params, _ *Server) {
		p.needWord("<name>")
	}},
	"check-proto": {Implemented, 1, func(p *params, _ *Server) { p.muxProto() }},

	// Accepted: they change nothing for a TCP session, or restate a default.
	"no-send-proxy":           {Implemented, 0, nil},
	"no-send-proxy-v2":        {Implemented, 0, nil},
	"no-send-proxy-v2-ssl":    {Implemented, 0, nil},
	"no-send-proxy-v2-ssl-cn": {Implemented, 0, nil},
	"proxy-v2-options":        {Implemented, 1, checkServerProxyV2Options},
	"resolve-prefer":          {Implemented, 1, checkServerResolvePrefer},
	"resolve-net":             {Implemented, 1, checkServerResolveNet},
	"resolve-opts":            {Implemented, 1, checkServerResolveOpts},
	"stick":                   {Implemented, 0, nil},
	"non-stick":               {Implemented, 0, nil},
	"strict-maxconn":          {Implemented, 0, nil},
	"proto":                   {Implemented, 1, func(p *params, _ *Server) { p.muxProto() }},
	"guid":                    {Implemented, 1, func(p *params, _ *Server) { p.guid() }},
	"shard":                   {Implemented, 1, nil},
	"ws":                      {Implemented, 1, checkServerWS},
	"max-reuse":               {Implemented, 1, func(p *params, _ *Server) { p.needWord("<value>") }},
	"pool-max-conn":           {Implemented, 1, checkServerPoolMaxConn},
	"pool-low-conn":           {Implemented, 1, func(p *params, _ *Server) { p.needWord("<value>") }},
	"pool-purge-delay":        {Implemented, 1, func(p *params, _ *Server) { p.delay("pool-purge-delay", true) }},
	"pool-conn-name":          {Implemented, 1, func(p *params, _ *Server) { p.needWord("<name>") }},
	"idle-ping":               {Implemented, 1, func(p *params, _ *Server) { p.delay("idle-ping", true) }},
	"log-proto":               {Implemented, 1, checkServerLogProto},
	"log-bufsize":             {Implemented, 1, func(p *params, _ *Server) { p.needWord("<value>") }},
	"cookie":                  {HTTPOnly, 1, warnServerCookie},
	"redir":                   {HTTPOnly, 1, refuseServerRedir},

	"resolvers":            {NotYet, 1, nil},
	"healthcheck":          {NotYet, 1, nil},
	"hash-key":             {NotYet, 1, nil},
	"send-proxy":           {NotYet, 0, nil},
	"send-proxy-v2":        {NotYet, 0, nil},
	"send-proxy-v2-ssl":    {NotYet, 0, nil},
	"send-proxy-v2-ssl-cn": {NotYet, 0, nil},
	"namespace":            {NotYet, 1, nil},
	"socks4":               {NotYet, 1, nil},
	"tcp-md5sig":           {NotYet, 1, nil},
	"cc":                   {NotYet, 1, nil},
	"from":                 {NotYet, 1, nil},
	"usesrc":               {NotYet, 1, nil},
}

// serverTLS are the TLS parameters of server lines with the number of their values.
var serverTLS = map[string]int{
	"ssl": 0, "no-ssl": 0, "crl-file": 1, "crt": 1, "ciphers": 1, "ciphersuites": 1, "client-sigalgs": 1,
	"sigalgs": 1, "curves": 1, "alpn": 1, "npn": 1,
	"sni": 1, "sni-auto": 0, "no-sni-auto": 0,
	"check-sni-auto": 0, "no-check-sni-auto": 0, "ssl-min-ver": 1, "ssl-max-ver": 1,
	"force-sslv3": 0, "force-tlsv10": 0, "force-tlsv11": 0, "force-tlsv12": 0, "force-tlsv13": 0,
	"no-sslv3": 0, "no-tlsv10": 0, "no-tlsv11": 0, "no-tlsv12": 0, "no-tlsv13": 0,
	"ssl-reuse": 0, "no-ssl-reuse": 0, "tls-tickets": 0, "no-tls-tickets": 0, "renegotiate": 0, "no-renegotiate": 0,
	"ktls": 1, "allow-0rtt": 0, "quic-cc-algo": 1,
}

// tlvParam begins the one parameter that carries its number in the keyword: set-proxy-v2-tlv-fmt(<id>).
const tlvParam = "set-proxy-v2-tlv-fmt"

// serverKeywords are the words that may stand on a server line behind the address.
var serverKeywords = func() map[string]Class {
	table := map[string]Class{"source": Implemented, tlvParam: NotYet}
	for word, k := range serverParams {
		table[word] = k.class
	}
	for word := range serverTLS {
		table[word] = NotYet
	}
	return table
}()

// newDefaultServer is what a server has when no default-server line says otherwise.
func newDefaultServer() *Server {
	return &Server{
		Weight: 1, InitAddr: []InitAddr{{Method: "last"}, {Method: "libc"}},
		Check: ServerCheck{Inter: 2 * time.Second, Rise: 2, Fall: 3, ErrorLimit: 10},
	}
}

// parseServer reads a server line with the presets of def, which it leaves alone; nil stands for none.
// Mistakes of the keyword (Index 0) and of the name (Index 1) are whole messages; the others want the
// prefix that serverMessage gives. The Server is nil when its name or its address is unusable.
func parseServer(words []string, def *Server, env func(string) (string, bool)) (*Server, []argError) {
	if len(words) < 3 {
		return nil, []argError{{Code: codeMissingValue, Msg: "'server' expects <name> and <addr>[:<port>] as arguments."}}
	}
	if def == nil {
		def = newDefaultServer()
	}
	s := *def
	s.InitAddr = slices.Clone(def.InitAddr)
	if def.Source != nil {
		source := *def.Source
		s.Source = &source
	}
	s.Name = words[1]
	p := &params{words: words, pos: 1, env: env}
	usable := true
	if c, bad := badNameByte(s.Name); bad {
		p.failKeyword(codeInvalidValue, "character '%c' is not permitted in server name '%s'.", c, s.Name)
		usable = false
	}
	p.pos = 2
	addrs, err := parseAddresses(words[2], false, env)
	if err != nil {
		p.failKeyword(errorCode(err), "%s", err)
		usable = false
	} else {
		s.Addr = addrs[0]
	}
	p.pos = 3
	p.serverParameters(&s, s.Name, false)
	if !usable {
		return nil, p.errs
	}
	switch {
	case s.MinConn > s.MaxConn:
		s.MaxConn = s.MinConn
	case s.MinConn == 0:
		s.MinConn = s.MaxConn
	}
	return &s, p.errs
}

// parseDefaultServer adds what a default-server line presets to def. Its messages are whole.
func parseDefaultServer(words []string, def *Server, env func(string) (string, bool)) []argError {
	p := &params{words: words, pos: 1, env: env}
	p.serverParameters(def, "default-server", true)
	return p.errs
}

// serverMessage is the whole message of a mistake that parseServer found in a server line of the proxy.
func serverMessage(e argError, words []string, proxy string) string {
	if e.Index < 2 {
		return e.Msg
	}
	return fmt.Sprintf("'server %s/%s' : %s", proxy, words[1], e.Msg)
}

// badNameByte finds the first byte that the name of a proxy or a server must not have.
func badNameByte(name string) (byte, bool) {
	for i := range len(name) {
		c := name[i]
		if (c|0x20 < 'a' || c|0x20 > 'z') && (c < '0' || c > '9') && !strings.ContainsRune("_-.:", rune(c)) {
			return c, true
		}
	}
	return 0, false
}

// serverParameters reads the parameters from pos on. The first unknown word ends the line, for nobody knows how many values it has.
func (p *params) serverParameters(s *Server, name string, isDefault bool) {
	for p.pos < len(p.words) {
		word := p.words[p.pos]
		if values, ok := serverTLS[word]; ok {
			p.notYet(true)
			p.pos += 1 + values
			continue
		}
		if word == "source" {
			p.serverSource(s)
			continue
		}
		if strings.HasPrefix(word, tlvParam+"(") {
			p.notYet(false)
			p.pos += 2
			continue
		}
		k, ok := serverParams[word]
		switch {
		case !ok && isDefault:
			p.failKeyword(codeUnknownKeyword, "%s. Hint: no address was expected for this server.", unknownText(word, serverKeywords))
			return
		case !ok:
			p.failKeyword(codeUnknownKeyword, "%s", unknownText(word, serverKeywords))
			return
		case word == "weight":
			p.checkWeight(name)
		case word == "id" && isDefault:
			p.warn(codeNotAllowedHere, "'id' option is not accepted in default-server sections")
			p.pos += 1 + k.args
			continue
		case word == "usesrc":
			p.failKeyword(codeNotAllowedHere, "'usesrc' only allowed after a 'source' statement.")
		case k.class == NotYet && !(word == "hash-key" && p.arg(1) == "id"):
			p.notYet(false)
		}
		if k.set != nil {
			k.set(p, s)
		}
		p.pos += 1 + k.args
	}
}

// needWord is the keyword's value, in HAProxy's words for parameters of servers.
func (p *params) needWord(what string) string {
	v := p.arg(1)
	if v == "" {
		p.failKeyword(codeMissingValue, "'%s' expects %s as argument.", p.words[p.pos], what)
	}
	return v
}

// interval reads a time above zero into out.
func (p *params) interval(keyword string, out *time.Duration) {
	if d := p.delay(keyword, false); d > 0 {
		*out = d
	}
}

// positive reads the keyword's value, at least 1, into out.
func (p *params) positive(out *int) {
	keyword, v := p.words[p.pos], p.arg(1)
	if v == "" {
		p.failKeyword(codeMissingValue, "'%s' expects an integer argument.", keyword)
	} else if n := parseAtol(v); n <= 0 {
		p.failArg(1, codeInvalidValue, "'%s' has to be > 0.", keyword)
	} else {
		*out = n
	}
}

// checkAddress reads the destination of a check.
func (p *params) checkAddress(what string) Address {
	keyword, v := p.words[p.pos], p.needWord(what)
	if v == "" {
		return Address{}
	}
	a, err := parseAddress(v, 0, p.env)
	if err != nil {
		p.failArg(1, errorCode(err), "'%s' : %s.", keyword, err)
		return Address{}
	}
	return a.Address
}

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
