package config

import (
	"fmt"
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
