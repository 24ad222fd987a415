package config

import (
	"fmt"
	"strings"
	"time"
)

// proxyKeyword is what a keyword means in a defaults, frontend, backend or listen section.
type proxyKeyword struct {
	class  Class
	in     where
	strict bool // standing in a section of the wrong side is an error
	parse  func(*parser, *stmt)
	kind   noteKind // of an HTTPOnly keyword
	note   string   // of a Removed keyword: the message
	hint   string
}

// proxyKeywords are all keywords that HAProxy knows in these sections.
var proxyKeywords = map[string]proxyKeyword{
	"mode":                        {class: Implemented, in: inDFB, parse: parseMode},
	"bind":                        {class: Implemented, in: inFE, parse: parseBindLine},
	"server":                      {class: Implemented, in: inBE, strict: true, parse: parseServerLine},
	"default-server":              {class: Implemented, in: inDB, strict: true, parse: parseDefaultServerLine},
	"server-template":             {class: NotYet, in: inBE, strict: true},
	"default_backend":             {class: Implemented, in: inDF, parse: parseDefaultBackend},
	"use_backend":                 {class: Implemented, in: inFE, parse: parseUseBackend},
	"use-server":                  {class: NotYet, in: inBE},
	"force-be-switch":             {class: NotYet, in: inFE},
	"be-unpublished":              {class: NotYet, in: inBE},
	"acl":                         {class: NotYet, in: inNFB},
	"balance":                     {class: Implemented, in: inDB, parse: parseBalance},
	"hash-type":                   {class: Implemented, in: inDB, parse: parseHashType},
	"hash-balance-factor":         {class: Implemented, in: inDB, parse: parseHashBalanceFactor},
	"hash-preserve-affinity":      {class: Implemented, in: inDB, parse: oneOf("always", "maxconn", "maxqueue")},
	"maxconn":                     proxyInt(inDF, func(px *Proxy) *int { return &px.MaxConn }),
	"fullconn":                    proxyInt(inDB, func(px *Proxy) *int { return &px.FullConn }),
	"backlog":                     proxyInt(inDF, func(px *Proxy) *int { return &px.Backlog }),
	"retries":                     {class: Implemented, in: inDB, parse: parseRetries},
	"max-session-srv-conns":       {class: Implemented, in: inDF, parse: ignoreLine},
	"rate-limit":                  {class: Implemented, in: inDF, parse: parseRateLimit},
	"retry-on":                    {class: Implemented, in: inDB, strict: true, parse: parseRetryOn},
	"disabled":                    {class: Implemented, in: inDFB, parse: parseDisabled},
	"enabled":                     {class: Implemented, in: inDFB, parse: parseDisabled},
	"id":                          {class: Implemented, in: inFB, parse: parseID},
	"guid":                        {class: Implemented, in: inFB, parse: ignoreLine},
	"description":                 {class: Implemented, in: inFB, parse: parseDescription},
	"source":                      {class: Implemented, in: inDB, parse: parseSourceLine},
	"usesrc":                      removed("'usesrc' only allowed after a 'source' statement.", ""),
	"force-persist":               {class: NotYet, in: inBE},
	"ignore-persist":              {class: NotYet, in: inBE},
	"persist":                     {class: NotYet, in: inDB},
	"stick-table":                 {class: NotYet, in: inFB},
	"stick":                       {class: NotYet, in: inBE},
	"tcp-request":                 {class: NotYet, in: inNFB},
	"tcp-response":                {class: NotYet, in: inNB, strict: true},
	"tcp-check":                   {class: Implemented, in: inDB, parse: parseCheckRule},
	"http-check":                  {class: Implemented, in: inDB, parse: parseCheckRule},
	"filter":                      {class: NotYet, in: inFB},
	"filter-sequence":             {class: NotYet, in: inFB},
	"declare":                     {class: NotYet, in: inFE},
	"load-server-state-from-file": {class: Implemented, in: inDB, parse: parseLoadServerState},
	"server-state-file-name":      {class: Implemented, in: inDB, parse: parseServerStateFileName},
	"unique-id-format":            {class: NotYet, in: inDFB},
	"email-alert":                 {class: NotYet, in: inDFB},
	"external-check":              {class: Implemented, in: inDB, parse: parseExternalCommand},
	"use-fcgi-app":                {class: NotYet, in: inBE, strict: true},
	"ssl-f-use":                   {class: NotYet, in: inFE},
	"log-steps":                   {class: NotYet, in: inDF},
	"log":                         {class: Implemented, in: inDFB, parse: parseProxyLog},
	"log-format":                  {class: Implemented, in: inDFB, parse: parseLogFormat},
	"error-log-format":            {class: Implemented, in: inDFB, parse: parseLogFormat},
	"log-format-sd":               {class: Implemented, in: inDFB, parse: parseLogFormat},
	"log-tag":                     {class: Implemented, in: inDFB, parse: parseProxyLogTag},
	"timeout":                     {class: Implemented, in: inDFB, parse: parseTimeout},
	"option":                      {class: Implemented, in: inDFB, parse: parseOption},
	"clitcpka-cnt":                {class: Implemented, in: inDF, parse: parseKeepAlive},
	"clitcpka-idle":               {class: Implemented, in: inDF, parse: parseKeepAlive},
	"clitcpka-intvl":              {class: Implemented, in: inDF, parse: parseKeepAlive},
	"srvtcpka-cnt":                {class: Implemented, in: inDB, parse: parseKeepAlive},
	"srvtcpka-idle":               {class: Implemented, in: inDB, parse: parseKeepAlive},
	"srvtcpka-intvl":              {class: Implemented, in: inDB, parse: parseKeepAlive},

	"stats":                 {class: HTTPOnly, in: inDFB, parse: parseProxyStats},
	"http-request":          {class: HTTPOnly, in: inNFB, parse: parseHTTPRequest},
	"http-response":         {class: HTTPOnly, in: inNFB, kind: noteRules},
	"http-after-response":   {class: HTTPOnly, in: inNFB, kind: noteRules},
	"redirect":              {class: HTTPOnly, in: inFB, kind: noteRules},
	"capture":               {class: HTTPOnly, in: inFE, parse: parseCapture},
	"cookie":                {class: HTTPOnly, in: inDB, kind: noteNeedsHTTP},
	"dynamic-cookie-key":    {class: HTTPOnly, in: inDB, kind: noteNeedsHTTP},
	"monitor-uri":           {class: HTTPOnly, in: inDF, kind: noteNeedsHTTP},
	"monitor":               {class: HTTPOnly, in: inFE, kind: noteSilent},
	"compression":           {class: HTTPOnly, in: inDFB, kind: noteSilent},
	"errorfile":             {class: HTTPOnly, in: inDFB, kind: noteSilent},
	"errorfiles":            {class: HTTPOnly, in: inDFB, kind: noteSilent},
	"errorloc":              {class: HTTPOnly, in: inDFB, kind: noteSilent},
	"errorloc302":           {class: HTTPOnly, in: inDFB, kind: noteSilent},
	"errorloc303":           {class: HTTPOnly, in: inDFB, kind: noteSilent},
	"http-error":            {class: HTTPOnly, in: inDFB, kind: noteSilent},
	"http-reuse":            {class: HTTPOnly, in: inDB, kind: noteSilent},
	"http-send-name-header": {class: HTTPOnly, in: inDB, kind: noteSilent},
	"max-keep-alive-queue":  {class: HTTPOnly, in: inDB, kind: noteSilent},
	"unique-id-header":      {class: HTTPOnly, in: inDFB, kind: noteSilent},
	"quic-initial":          {class: HTTPOnly, in: inDF, kind: noteRules},

	"dispatch":     removed("'dispatch' is not supported anymore since HAProxy 3.5.", "declare a server with this address instead"),
	"transparent":  removed("'transparent' is not supported anymore since HAProxy 3.5.", "use a server with the address 0.0.0.0"),
	"contimeout":   removed("the 'contimeout' directive is not supported anymore since HAProxy 2.1. Use 'timeout connect'.", ""),
	"clitimeout":   removed("the 'clitimeout' directive is not supported anymore since HAProxy 2.1. Use 'timeout client'.", ""),
	"srvtimeout":   removed("the 'srvtimeout' directive is not supported anymore since HAProxy 2.1. Use 'timeout server'.", ""),
	"redispatch":   removed("keyword 'redispatch' directive is not supported anymore since HAProxy 2.1. Use 'option redispatch'.", ""),
	"appsession":   removed("'appsession' is not supported anymore since HAProxy 1.6.", ""),
	"monitor-net":  removed("'monitor-net' doesn't exist anymore. Please use 'http-request return status 200 if { src <address> }' instead.", ""),
	"bind-process": removed("'bind-process' is not supported anymore since HAProxy 2.7.", "use the 'thread' parameter of 'bind'"),
	"grace":        removed("the 'grace' keyword is not supported any more since HAProxy version 2.5.", "use 'grace' in the global section"),
	"block":        removed("The 'block' directive is not supported anymore since HAProxy 2.1. Use 'http-request deny' which uses the exact same syntax.", ""),
	"reqadd":       removed("The 'reqadd' directive is not supported anymore since HAProxy 2.1. Use 'http-request add-header' instead.", ""),
	"rspadd":       removed("The 'rspadd' directive is not supported anymore since HAProxy 2.1. Use 'http-response add-header' instead.", ""),
}

// notYetHints say how to live without a keyword that is not implemented yet.
var notYetHints = map[string]string{
	"acl":             "conditions come with the rules; an unconditional 'use_backend' or 'default_backend' works",
	"server-template": "write the servers out, one 'server' line each",
}

func removed(note, hint string) proxyKeyword {
	return proxyKeyword{class: Removed, note: note, hint: hint}
}

func ignoreLine(*parser, *stmt) {}

// oneOf accepts one argument out of values and does nothing with it.
func oneOf(values ...string) func(*parser, *stmt) {
	return func(p *parser, s *stmt) {
		for _, v := range values {
			if s.arg(1) == v {
				p.tooMany(s, 1, 1)
				return
			}
		}
		p.alert(s, 1, codeInvalidValue, "'%s' only supports '%s' (got '%s').", s.keyword(), strings.Join(values, "', '"), s.arg(1))
	}
}

func proxyInt(in where, field func(*Proxy) *int) proxyKeyword {
	return proxyKeyword{class: Implemented, in: in, parse: func(p *parser, s *stmt) {
		if n, ok := p.integer(s); ok {
			*field(&p.px.Proxy) = max(n, 0)
		}
	}}
}

func parseMode(p *parser, s *stmt) {
	px := p.px
	if p.tooMany(s, 1, 1) {
		return
	}
	switch s.arg(1) {
	case "tcp", "http":
		px.http = s.arg(1) == "http"
		px.modePos = p.pos(s, 1)
	case "log", "spop", "health", "haterm":
		p.at(s, 1, Alert, placeSpaced, codeNotImplemented, notYet("mode "+s.arg(1)), "")
	default:
		p.alert(s, 1, codeInvalidValue, "unknown proxy mode '%s'.", s.arg(1))
	}
}

func parseBindLine(p *parser, s *stmt) {
	px := p.px
	words := s.texts(0)
	b, errs := parseBind(words, false, p.env.lookup)
	message := func(e argError) string { return bindMessage(e, words, px.section(), false) }
	if p.argErrors(s, 0, errs, placeSpaced, message) || b == nil {
		return
	}
	b.Pos = p.pos(s, 1)
	if b.ID != 0 {
		if old := px.bindIDs[b.ID]; old != nil {
			p.alert(s, 1, "duplicate-id", "'bind %s' in section '%s' : 'id' : custom id %d already used at %s:%d ('bind %s')",
				b.Words, px.section(), b.ID, old.Pos.File, old.Pos.Line, old.Words)
			return
		}
		px.bindIDs[b.ID] = b
	}
	p.presetUnix(b)
	px.Binds = append(px.Binds, b)
}

func parseServerLine(p *parser, s *stmt) {
	px := p.px
	words := s.texts(0)
	srv, errs := parseServer(words, px.def, p.env.lookup)
	message := func(e argError) string { return serverMessage(e, words, px.Name) }
	failed := p.argErrors(s, 0, errs, placeBracket, message)
	if len(words) > 1 {
		if old := px.servers[words[1]]; old != nil {
			p.at(s, 1, Alert, placeBracket, "duplicate-name",
				fmt.Sprintf("'server %s/%s' : another server named '%s' was already defined at line %d, please use a distinct name.",
					px.Name, words[1], words[1], old.Pos.Line), "")
			failed = true
		}
	}
	if srv == nil {
		return
	}
	srv.Pos = p.pos(s, 1)
	if px.servers[srv.Name] == nil {
		px.servers[srv.Name] = srv
	}
	if failed {
		return
	}
	if srv.ID != 0 {
		if old := px.serverIDs[srv.ID]; old != nil {
			p.at(s, 1, Alert, placeBracket, "duplicate-id", fmt.Sprintf("'server %s/%s' : 'id' : custom id %d already used at %s:%d ('server %s').",
				px.Name, srv.Name, srv.ID, old.Pos.File, old.Pos.Line, old.Name), "")
			return
		}
		px.serverIDs[srv.ID] = srv
		srv.IDForced = true
	}
	px.Servers = append(px.Servers, srv)
}

func parseDefaultServerLine(p *parser, s *stmt) {
	p.argErrors(s, 0, parseDefaultServer(s.texts(0), p.px.def, p.env.lookup), placeBracket, argError.message)
}

func parseDefaultBackend(p *parser, s *stmt) {
	if len(s.words) < 2 {
		p.alert(s, 1, codeMissingValue, "'%s' expects a backend name.", s.keyword())
		return
	}
	if !p.tooMany(s, 1, 1) {
		p.px.DefaultBackend = Ref{Name: s.arg(1), Pos: p.pos(s, 1)}
	}
}

func parseUseBackend(p *parser, s *stmt) {
	px := p.px
	switch {
	case len(s.words) < 2:
		p.alert(s, 1, codeMissingValue, "'%s' expects a backend name.", s.keyword())
	case strings.Contains(s.arg(1), "%"):
		p.at(s, 1, Alert, placeSpaced, codeNotImplemented, notYet("use_backend with a log-format"), "name the backend itself")
	case s.arg(2) == "if" || s.arg(2) == "unless":
		p.at(s, 2, Alert, placeSpaced, codeNotImplemented, notYet("use_backend "+s.arg(2)), "a 'use_backend' without condition works")
	case len(s.words) > 2:
		p.alert(s, 2, codeUnexpectedWord, "unexpected keyword '%s' after switching rule, only 'if' and 'unless' are allowed.", s.arg(2))
	case px.UseBackend.Name != "":
		p.at(s, 0, Diag, placeTight, "unreachable",
			fmt.Sprintf("previous '%s' action is final and has no condition attached, further entries are NOOP.", s.keyword()), "")
	default:
		px.UseBackend = Ref{Name: s.arg(1), Pos: p.pos(s, 1)}
	}
}

func parseRetries(p *parser, s *stmt) {
	if p.tooMany(s, 1, 1) {
		return
	}
	if len(s.words) < 2 {
		p.alert(s, 1, codeMissingValue, "'%s' expects an integer argument (dispatch counts for one).", s.keyword())
		return
	}
	p.px.Retries = max(p.atol(s, 1), 0)
}

// parseRetryOn reads a line that changes nothing in TCP mode, where only failed connections are retried.
func parseRetryOn(p *parser, s *stmt) {
	if len(s.words) < 2 {
		p.alert(s, 1, codeMissingValue, "'%s' needs at least one keyword to specify when to retry", s.keyword())
	}
}

func parseRateLimit(p *parser, s *stmt) {
	if s.arg(1) != "sessions" {
		p.alert(s, 1, codeInvalidValue, "'%s' only supports 'sessions' (got '%s')", s.keyword(), s.arg(1))
		return
	}
	if p.tooMany(s, 1, 2) {
		return
	}
	if len(s.words) < 3 {
		p.alert(s, 2, codeMissingValue, "'rate-limit sessions' expects expects an integer value (or -1 to disable)")
		return
	}
	p.px.RateLimitSessions = max(p.atol(s, 2), 0)
}

func parseDisabled(p *parser, s *stmt) {
	if !p.tooMany(s, 0, 1) {
		p.px.Disabled = s.keyword() == "disabled"
	}
}

func parseID(p *parser, s *stmt) {
	px := p.px
	if p.tooMany(s, 1, 1) {
		return
	}
	if len(s.words) < 2 {
		p.alertTight(s, 1, codeMissingValue, "'%s' expects an integer argument.", s.keyword())
		return
	}
	n := p.atol(s, 1)
	if n <= 0 {
		p.alertTight(s, 1, codeInvalidValue, "custom id has to be > 0.")
		return
	}
	if old := p.forced[n]; old != nil && old != px {
		p.alertTight(s, 1, "duplicate-id", "%s %s reuses same custom id as %s %s (declared at %s:%d).",
			px.title(), px.Name, old.title(), old.Name, old.Pos.File, old.Pos.Line)
		return
	}
	p.forced[n] = px
	px.ID, px.IDForced = n, true
}

func parseDescription(p *parser, s *stmt) {
	if len(s.words) < 2 {
		p.alertTight(s, 1, codeMissingValue, "'%s' expects a string argument.", s.keyword())
		return
	}
	p.px.Description = s.rest(1)
}

func parseSourceLine(p *parser, s *stmt) {
	source, _, errs := parseSource(s.texts(0), p.env.lookup)
	if !p.argErrors(s, 0, errs, placeSpaced, argError.message) && source != nil {
		source.Pos = p.pos(s, 1)
		p.px.Source = source
	}
}

// parseTimeout reads a timeout line. Those of HTTP are read and change nothing.
func parseTimeout(p *parser, s *stmt) {
	t := &p.px.Timeouts
	var target *time.Duration
	side, sides := "", where(0)
	name := s.arg(1)
	switch name {
	case "client":
		target, side, sides = &t.Client, "frontend", sideFE
	case "client-fin":
		target, side, sides = &t.ClientFin, "frontend", sideFE
	case "client-hs", "handshake":
		target, side, sides = &t.ClientHS, "frontend", sideFE
	case "server":
		target, side, sides = &t.Server, "backend", sideBE
	case "server-fin":
		target, side, sides = &t.ServerFin, "backend", sideBE
	case "connect":
		target, side, sides = &t.Connect, "backend", sideBE
	case "queue":
		target, side, sides = &t.Queue, "backend", sideBE
	case "check":
		target, side, sides = &t.Check, "backend", sideBE
	case "tunnel":
		target, side, sides = &t.Tunnel, "backend", sideBE
	case "http-request", "http-keep-alive", "tarpit":
		target = new(time.Duration)
	default:
		p.alert(s, 1, codeInvalidValue, "'timeout' supports 'client', 'server', 'connect', 'check', 'queue', 'handshake', 'http-keep-alive', "+
			"'http-request', 'tunnel', 'tarpit', 'client-fin' and 'server-fin' (got '%s')", name)
		return
	}
	what := "'timeout " + name + "'"
	if len(s.words) < 3 {
		p.alert(s, 2, codeMissingValue, "%s expects an integer value (in milliseconds)", what)
		return
	}
	d, ok := p.time(s, 2, time.Millisecond, what)
	if !ok {
		return
	}
	if len(s.words) > 3 {
		p.alert(s, 3, codeUnexpectedWord, "%s : unexpected extra argument '%s' after value '%s'.", what, s.arg(3), s.arg(2))
		return
	}
	if sides != 0 && !p.px.isDefaults && p.px.in()&sides == 0 {
		p.warn(s, 1, codeNotAllowedHere, "%s will be ignored because %s '%s' has no %s capability", what, p.px.title(), p.px.Name, side)
		return
	}
	*target = d
}

// parseKeepAlive reads the clitcpka- and srvtcpka- lines, whose times count in seconds.
func parseKeepAlive(p *parser, s *stmt) {
	side, what, _ := strings.Cut(s.keyword(), "-")
	ka := &p.px.ClientKeepAlive
	if side == "srvtcpka" {
		ka = &p.px.ServerKeepAlive
	}
	if len(s.words) < 2 {
		p.alert(s, 1, codeMissingValue, "'%s' expects an integer value", s.keyword())
		return
	}
	if what == "cnt" {
		n := parseAtol(s.arg(1))
		digits := strings.TrimLeft(s.arg(1), "0123456789")
		if digits != "" {
			p.alert(s, 1, codeInvalidValue, "'%s' : unexpected character '%c' in integer value '%s'", s.keyword(), digits[0], s.arg(1))
			return
		}
		ka.Count = n
		return
	}
	d, ok := p.time(s, 1, time.Second, "<"+s.keyword()+">")
	switch {
	case !ok:
	case what == "idle":
		ka.Idle = d
	default:
		ka.Intvl = d
	}
}

// parseCapture reads a capture line. HAProxy has a word about cookies only.
func parseCapture(p *parser, s *stmt) {
	kind := noteSilent
	if s.arg(1) == "cookie" {
		kind = noteStatement
	}
	p.note(s, kind, s.keyword())
}
