package config

// optionKeyword is what the word after "option" means.
type optionKeyword struct {
	class Class
	in    where
	// flag is a plain switch, which no and default turn off. parse reads an option with a life of its own;
	// it takes no and default only when negatable.
	flag      func(*Proxy) *bool
	parse     func(*parser, *stmt)
	negatable bool
	kind      noteKind // of an HTTPOnly option
	note      string   // of a Removed option: the message
	hint      string
}

func optionFlag(in where, flag func(*Proxy) *bool) optionKeyword {
	return optionKeyword{class: Implemented, in: in, flag: flag}
}

// optionKeywords are all options that HAProxy knows.
var optionKeywords = map[string]optionKeyword{
	"allbackups":          optionFlag(inDB, func(px *Proxy) *bool { return &px.AllBackups }),
	"abortonclose":        optionFlag(inDB, func(px *Proxy) *bool { return &px.AbortOnClose }),
	"clitcpka":            optionFlag(inDF, func(px *Proxy) *bool { return &px.ClientKeepAlive.Enabled }),
	"srvtcpka":            optionFlag(inDB, func(px *Proxy) *bool { return &px.ServerKeepAlive.Enabled }),
	"dontlognull":         optionFlag(inDF, func(px *Proxy) *bool { return &px.DontLogNull }),
	"dontlog-normal":      optionFlag(inDF, func(px *Proxy) *bool { return &px.DontLogNormal }),
	"logasap":             optionFlag(inDF, func(px *Proxy) *bool { return &px.LogASAP }),
	"log-separate-errors": optionFlag(inDF, func(px *Proxy) *bool { return &px.LogSeparateErrors }),
	"nolinger":            optionFlag(inDFB, func(px *Proxy) *bool { return &px.NoLinger }),
	"independent-streams": optionFlag(inDFB, func(px *Proxy) *bool { return &px.IndependentStreams }),
	"splice-request":      optionFlag(inDFB, func(px *Proxy) *bool { return &px.SpliceRequest }),
	"splice-response":     optionFlag(inDFB, func(px *Proxy) *bool { return &px.SpliceResponse }),
	"tcp-smart-accept":    optionFlag(inDF, func(px *Proxy) *bool { return &px.SmartAccept }),
	"tcp-smart-connect":   optionFlag(inDB, func(px *Proxy) *bool { return &px.SmartConnect }),
	"contstats":           optionFlag(inDF, func(px *Proxy) *bool { return &px.ContStats }),
	"socket-stats":        optionFlag(inDF, func(px *Proxy) *bool { return &px.SocketStats }),
	"splice-auto":         {class: Implemented, in: inDFB, parse: parseSpliceAuto, negatable: true},
	"redispatch":          {class: Implemented, in: inDB, parse: parseRedispatch, negatable: true},
	"tcplog":              {class: Implemented, in: inDFB, parse: parseTCPLog},
	"tcpka":               {class: Implemented, in: inDFB, parse: parseTCPKeepAlive},
	"persist":             {class: Implemented, in: inDB, negatable: true},
	"log-health-checks":   optionFlag(inDB, func(px *Proxy) *bool { return &px.LogHealthChecks }),
	"use-small-buffers":   {class: Implemented, in: inDB, negatable: true, parse: func(*parser, *stmt) {}},

	"tcp-check":      {class: Implemented, in: inDB, parse: checkOption(CheckTCP)},
	"httpchk":        {class: Implemented, in: inDB, parse: parseHTTPCheck},
	"smtpchk":        {class: Implemented, in: inDB, parse: parseSMTPCheck},
	"mysql-check":    {class: Implemented, in: inDB, parse: withRole(mysqlRole, parseMySQLCheck)},
	"pgsql-check":    {class: Implemented, in: inDB, parse: withRole(postgresRole, parsePostgresCheck)},
	"redis-check":    {class: Implemented, in: inDB, parse: withRole(redisRole, checkOption(CheckRedis))},
	"ldap-check":     {class: Implemented, in: inDB, parse: checkOption(CheckLDAP)},
	"ssl-hello-chk":  {class: Implemented, in: inDB, parse: checkOption(CheckSSLHello)},
	"spop-check":     {class: Implemented, in: inDB, parse: checkOption(CheckSPOP)},
	"external-check": {class: Implemented, in: inDB, parse: checkOption(CheckExternal)},

	"httplog":                     {class: HTTPOnly, in: inDFB, kind: noteLog, parse: parseHTTPLog},
	"httpslog":                    {class: HTTPOnly, in: inDFB, kind: noteLog, parse: parseHTTPLog},
	"forwardfor":                  {class: HTTPOnly, in: inDFB, kind: noteOption, parse: noteAnyArguments},
	"forwarded":                   {class: HTTPOnly, in: inDB, kind: noteOption, parse: noteAnyArguments},
	"originalto":                  {class: HTTPOnly, in: inDFB, kind: noteOption, parse: noteAnyArguments},
	"http-restrict-req-hdr-names": {class: HTTPOnly, in: inDFB, kind: noteSilent, parse: noteSilently},

	"transparent":  {class: Removed, note: "option 'transparent' is not supported anymore since HAProxy 3.5.", hint: "use a server with the address 0.0.0.0"},
	"forceclose":   {class: Removed, note: "option 'forceclose' is not supported any more since HAProxy 2.0, please just remove it, or use 'option httpclose' if absolutely needed."},
	"http-tunnel":  {class: Removed, note: "option 'http-tunnel' is not supported any more since HAProxy 2.1, please just remove it, it shouldn't be needed."},
	"http-use-htx": {class: Removed, note: "option 'http-use-htx' is not supported any more since HAProxy 2.1, please just remove it, it shouldn't be needed."},
}

func init() {
	for name, in := range map[string]where{
		"accept-invalid-http-request": inDF, "accept-invalid-http-response": inDB,
		"accept-unsafe-violations-in-http-request": inDF, "accept-unsafe-violations-in-http-response": inDB,
		"checkcache": inDB, "disable-h2-upgrade": inDF, "http-buffer-request": inDFB, "http-drop-request-trailers": inDB,
		"http-drop-response-trailers": inDF, "http-ignore-probes": inDF,
		"http-no-delay": inDFB, "http-pretend-keepalive": inDB,
		"http-use-proxy-header": inDF, "prefer-last-server": inDB, "idle-close-on-response": inDF,
	} {
		optionKeywords[name] = optionKeyword{class: HTTPOnly, in: in, kind: noteOption, negatable: true}
	}
	for name, in := range map[string]where{
		"h1-case-adjust-bogus-client": inDF, "h1-case-adjust-bogus-server": inDB, "http-keep-alive": inDFB,
		"http-server-close": inDFB, "httpclose": inDFB,
	} {
		optionKeywords[name] = optionKeyword{class: HTTPOnly, in: in, kind: noteSilent, negatable: true}
	}
}

// parseOption reads an option line.
func parseOption(p *parser, s *stmt) {
	name := s.arg(1)
	if name == "" {
		p.alertTight(s, 1, codeMissingValue, "'%s' expects an option name.", s.keyword())
		return
	}
	o, ok := optionKeywords[name]
	if !ok {
		if near := nearestWord(name, sortedKeys(optionKeywords)); near != "" {
			p.alert(s, 1, codeUnknownKeyword, "unknown option '%s'; did you mean '%s' maybe ?", name, near)
		} else {
			p.alert(s, 1, codeUnknownKeyword, "unknown option '%s'.", name)
		}
		return
	}
	if o.class == Removed {
		p.at(s, 1, Alert, placeTight, "removed", o.note, o.hint)
		return
	}
	if s.mod != modNone && o.flag == nil && !o.negatable {
		p.alertTight(s, 1, "negation", "negation/default is not supported for option '%s'.", name)
		return
	}
	if (o.flag != nil || o.parse == nil && o.class != NotYet) && p.tooMany(s, 0, 2) {
		return
	}
	if !p.allowed(s, name, o.in, false) {
		return
	}
	switch {
	case o.class == NotYet:
		p.at(s, 1, Alert, placeSpaced, codeNotImplemented, notYet("option "+name), "'option tcp-check' with 'tcp-check' lines may do")
	case o.flag != nil:
		*o.flag(&p.px.Proxy) = s.mod == modNone
	case o.parse != nil:
		o.parse(p, s)
	case o.class == HTTPOnly:
		p.note(s, o.kind, name)
	}
}

func noteAnyArguments(p *parser, s *stmt) { p.note(s, noteOption, s.arg(1)) }

func noteSilently(p *parser, s *stmt) { p.note(s, noteSilent, s.arg(1)) }

func parseSpliceAuto(p *parser, s *stmt) {
	if p.tooMany(s, 0, 2) {
		return
	}
	switch s.mod {
	case modNone:
		p.px.SpliceAuto = On
	case modNo:
		p.px.SpliceAuto = Off
	default:
		p.px.SpliceAuto = Unset
	}
}

func parseRedispatch(p *parser, s *stmt) {
	px := p.px
	px.Redispatch, px.RedispatchInterval = s.mod == modNone, 0
	if px.Redispatch {
		px.RedispatchInterval = -1
		if len(s.words) > 2 {
			px.RedispatchInterval = p.atol(s, 2)
		}
	}
}

// parseTCPKeepAlive turns keep-alive on for every side that the section has.
func parseTCPKeepAlive(p *parser, s *stmt) {
	px := p.px
	if p.tooMany(s, 0, 2) {
		return
	}
	here := px.in()
	if px.isDefaults || here&sideFE != 0 {
		px.ClientKeepAlive.Enabled = true
	}
	if px.isDefaults || here&sideBE != 0 {
		px.ServerKeepAlive.Enabled = true
	}
}

func parseTCPLog(p *parser, s *stmt) {
	px := p.px
	clf := s.arg(2) == "clf"
	if !clf && p.tooMany(s, 0, 2) || clf && p.tooMany(s, 1, 2) {
		return
	}
	if !p.setsLogFormat(s, "option tcplog") {
		return
	}
	px.LogFormat, px.LogFormatPos = "", p.pos(s, 1)
	px.TCPLog, px.TCPLogCLF = true, clf
}

func parseHTTPLog(p *parser, s *stmt) {
	name := s.arg(1)
	if clf := name == "httplog" && s.arg(2) == "clf"; !clf && p.tooMany(s, 0, 2) || clf && p.tooMany(s, 1, 2) {
		return
	}
	if !p.setsLogFormat(s, "option "+name) {
		p.note(s, noteLog, name)
		return
	}
	px := p.px
	px.LogFormat, px.LogFormatPos = "", p.pos(s, 1)
	px.TCPLog, px.TCPLogCLF = true, false
	p.note(s, noteLog, name)
}

// setsLogFormat prepares for another log format: it warns when one line of a defaults section undoes
// another, and reports false in a backend, which logs no traffic.
func (p *parser) setsLogFormat(s *stmt, by string) bool {
	px := p.px
	if px.in()&inB != 0 {
		p.warn(s, 0, codeNotAllowedHere, "backend '%s' : '%s' directive is ignored in backends.", px.Name, by)
		return false
	}
	if px.isDefaults && px.logSetBy != "" && px.logSetBy != by && px.logLocal {
		p.at(s, 0, Warning, placeTight, "overridden", "'"+by+"' overrides previous '"+px.logSetBy+"' in 'defaults' section.", "")
	}
	px.logSetBy, px.logLocal = by, true
	px.notes = deleteNotes(px.notes, noteLog)
	return true
}

func deleteNotes(notes []note, kind noteKind) []note {
	kept := notes[:0]
	for _, n := range notes {
		if n.kind != kind {
			kept = append(kept, n)
		}
	}
	return kept
}
