package config

import (
	"fmt"
	"slices"
	"strings"
	"unicode/utf8"
)

// The formats that the log options stand for.
const (
	TCPLogFormat     = `%ci:%cp [%t] %ft %b/%s %Tw/%Tc/%Tt %B %ts %ac/%fc/%bc/%sc/%rc %sq/%bq`
	TCPLogCLFFormat  = `%{Q}o %{-Q}ci - - [%T] "TCP " 000 %B "" "" %cp %ms %ft %b %s %Th %Tw %Tc %Tt %U %ts-- %ac %fc %bc %sc %rc %sq %bq "" "" `
	httpLogFormat    = `%ci:%cp [%tr] %ft %b/%s %TR/%Tw/%Tc/%Tr/%Ta %ST %B %CC %CS %tsc %ac/%fc/%bc/%sc/%rc %sq/%bq %hr %hs %{+Q}r`
	httpLogCLFFormat = `%{+Q}o %{-Q}ci - - [%trg] %r %ST %B "" "" %cp %ms %ft %b %s %TR %Tw %Tc %Tr %Ta %tsc %ac %fc %bc %sc %rc %sq %bq %CC %CS %hrl %hsl`
	httpsLogFormat   = httpLogFormat + ` %[fc_err]/%[ssl_fc_err,hex]/%[ssl_c_err]/%[ssl_c_ca_err]/%[ssl_fc_is_resumed] %[ssl_fc_sni]/%sslv/%sslc`
)

// where is the set of sections that a keyword may stand in.
type where uint8

const (
	inD where = 1 << iota // any defaults section
	inN                   // a named defaults section only
	inF
	inL
	inB
)

const (
	inDF   = inD | inF | inL
	inDB   = inD | inL | inB
	inDFB  = inD | inF | inL | inB
	inNF   = inN | inF | inL
	inNB   = inN | inL | inB
	inNFB  = inN | inF | inL | inB
	inFE   = inF | inL
	inBE   = inL | inB
	inFB   = inF | inL | inB
	sideFE = inF | inL
	sideBE = inB | inL
)

// note remembers a line whose effect, a warning, depends on the mode that the proxy ends up with.
type note struct {
	kind noteKind
	name string // the keyword or option
	pos  Pos
}

type noteKind uint8

const (
	noteOption    noteKind = iota // 'option x' ignored
	noteSilent                    // HAProxy says nothing about it
	noteRules                     // 'x' rules ignored
	noteStatement                 // 'x' statement ignored
	noteNeedsHTTP                 // x will be ignored
	noteLog                       // falls back to option tcplog
	noteMetrics                   // serves metrics
	noteUnserved                  // of the statistics page, and not there yet
)

// proxyState is a proxy or a defaults section while it is being read.
type proxyState struct {
	Proxy
	isDefaults bool
	http       bool
	modePos    Pos

	def       *Server // default-server
	notes     []note
	logSetBy  string
	logLocal  bool        // logSetBy comes from this section, not from defaults
	baseLogs  []LogTarget // the loggers inherited, shared with others; those of the section itself are in Logs
	logGlobal bool        // log global is among them
	layer7    Pos         // of a balance line that hashes what only HTTP has
	servers   map[string]*Server
	serverIDs map[int]*Server // by forced id
	bindIDs   map[int]*Bind

	ownTCPRules, ownHTTPRules bool // Check has rules of this section, not of its defaults

	explicitRef, implicitRef bool // of a defaults section: how proxies named it
	warnedRef                bool
}

// newProxy is a proxy that inherits nothing.
func newProxy() Proxy { return Proxy{Retries: 3, Balance: Balance{Draws: 2}} }

// title is how HAProxy calls a proxy in messages about what it lacks.
func (px *proxyState) title() string {
	switch px.Kind {
	case Frontend:
		return "frontend"
	case Backend:
		return "backend"
	}
	return "proxy"
}

// section is the keyword that opened the section.
func (px *proxyState) section() string {
	if px.isDefaults {
		return "defaults"
	}
	return px.Kind.String()
}

// in is the section as a set.
func (px *proxyState) in() where {
	switch {
	case px.isDefaults && px.Name != "":
		return inD | inN
	case px.isDefaults:
		return inD
	case px.Kind == Frontend:
		return inF
	case px.Kind == Backend:
		return inB
	}
	return inL
}

// inherit makes a section that starts with what from says. kind is 0 for a defaults section.
func inherit(from *proxyState, name string, kind Kind) *proxyState {
	px := &proxyState{
		Proxy: from.Proxy, isDefaults: kind == 0, http: from.http, modePos: from.modePos,
		logSetBy: from.logSetBy, layer7: from.layer7,
	}
	def := *from.def
	px.def = &def
	px.notes = slices.Clone(from.notes)
	if len(from.Logs) > 0 { // the section is closed: from now on its loggers are shared
		from.baseLogs = slices.Concat(from.baseLogs, from.Logs)
		from.Logs = nil
	}
	px.baseLogs, px.Logs, px.logGlobal = from.baseLogs, nil, from.logGlobal
	px.Name, px.Kind = name, kind
	px.Description = ""
	if kind == Backend {
		px.DefaultBackend = Ref{}
		px.notes = deleteNotes(px.notes, noteLog)
		px.MaxConn, px.Backlog = 0, 0
		px.ClientKeepAlive = KeepAlive{}
		px.LogFormat, px.LogFormatSD, px.ErrorLogFormat = "", "", ""
		px.TCPLog, px.TCPLogCLF = false, false
		px.DontLogNull, px.DontLogNormal, px.LogASAP, px.LogSeparateErrors = false, false, false, false
		px.Timeouts.Client, px.Timeouts.ClientFin, px.Timeouts.ClientHS = 0, 0, 0
		px.SmartAccept, px.ContStats, px.SocketStats = false, false, false
	}
	if kind == Frontend {
		px.Balance, px.layer7 = newProxy().Balance, Pos{}
		px.FullConn, px.Retries = 0, newProxy().Retries
		px.Redispatch, px.RedispatchInterval, px.AllBackups = false, 0, false
		px.Source = nil
		px.ServerKeepAlive = KeepAlive{}
		px.SmartConnect = false
		px.Check, px.LogHealthChecks = Check{}, false
		t := &px.Timeouts
		t.Server, t.Connect, t.Queue, t.Check, t.Tunnel, t.ServerFin = 0, 0, 0, 0, 0, 0
	}
	if kind != 0 {
		px.servers = make(map[string]*Server)
		px.serverIDs = make(map[int]*Server)
		px.bindIDs = make(map[int]*Bind)
	}
	return px
}

// startProxy opens a defaults, frontend, backend or listen section.
func (p *parser) startProxy(s *stmt) {
	p.kind = secProxy
	kind := map[string]Kind{"frontend": Frontend, "backend": Backend, "listen": Listen}[s.keyword()]
	name, parentAt := s.arg(1), 0
	switch {
	case kind == 0 && name == "from" && len(s.words) == 3:
		name, parentAt = "", 2
	case s.arg(2) == "from" && len(s.words) > 3:
		parentAt = 3
	}
	if kind != 0 {
		p.checkHeader(s, kind)
	} else if bad, found := badNameByte(name); found {
		p.warn(s, 1, codeInvalidValue, "character '%c' is not permitted in '%s' name '%s'.", letter(name, bad), s.keyword(), name)
	}
	from := p.lastDef
	if kind == 0 {
		from = &proxyState{Proxy: newProxy(), def: newDefaultServer()}
	}
	if parentAt > 0 {
		if parent := p.parent(s, parentAt, kind, name); parent != nil {
			from = parent
			from.explicitRef = true
		}
	} else if kind != 0 {
		from.implicitRef = true
	}
	if from.explicitRef && from.implicitRef && from.Name != "" && !from.warnedRef {
		from.warnedRef = true
		p.warn(s, 0, "mixed-references", "defaults section '%s' (declared at %s:%d) is explicitly referenced by another proxy and implicitly used here."+
			" To avoid any ambiguity don't mix both usage. Add a last defaults section not explicitly used or always use explicit references.",
			from.Name, from.Pos.File, from.Pos.Line)
	}
	px := inherit(from, name, kind)
	px.Pos = p.pos(s, 1)
	p.px = px
	if kind == 0 {
		p.lastDef = px
		if name != "" {
			p.defNamed[name] = append(p.defNamed[name], px)
		}
		return
	}
	if name == "" {
		return
	}
	if old := p.byName[name]; old != nil {
		p.at(s, 1, Alert, placeTitle, "duplicate-name",
			fmt.Sprintf("%s '%s' has the same name as %s '%s' declared at %s:%d. This is no longer supported as of 3.3. Please rename one or the other.",
				px.title(), name, old.title(), name, old.Pos.File, old.Pos.Line), "")
		return
	}
	p.byName[name] = px
	p.proxies = append(p.proxies, px)
}

// checkHeader reports what is wrong with the words of a frontend, backend or listen line.
func (p *parser) checkHeader(s *stmt, kind Kind) {
	if len(s.words) < 2 {
		p.alert(s, 1, codeMissingValue, "'%s' expects an <id> argument", s.keyword())
		return
	}
	if bad, found := badNameByte(s.arg(1)); found {
		p.alert(s, 1, codeInvalidValue, "character '%c' is not permitted in '%s' name '%s'.", letter(s.arg(1), bad), s.keyword(), s.arg(1))
	}
	if len(s.words) < 3 || s.arg(2) == "from" && len(s.words) == 4 {
		return
	}
	at := 2
	if s.arg(2) == "from" && len(s.words) > 4 {
		at = 4
	}
	if kind.HasFrontend() {
		p.alert(s, at, codeUnexpectedWord, "please use the 'bind' keyword for listening addresses.")
		return
	}
	p.alert(s, at, codeUnexpectedWord, "'%s' cannot handle unexpected argument '%s'.", s.keyword(), s.arg(at))
}

// letter is the whole letter of which c is the first byte in s.
func letter(s string, c byte) rune {
	r, _ := utf8.DecodeRuneInString(s[strings.IndexByte(s, c):])
	return r
}

// parent finds the defaults section that word i names.
func (p *parser) parent(s *stmt, i int, kind Kind, name string) *proxyState {
	found := p.defNamed[s.arg(i)]
	title := "defaults"
	if kind != 0 {
		title = (&proxyState{Proxy: Proxy{Kind: kind}}).title()
	}
	switch {
	case len(found) == 0:
		p.alert(s, i, "unknown-defaults", "defaults section '%s' not found for %s '%s'.", s.arg(i), title, name)
		return nil
	case len(found) > 1:
		a, b := found[len(found)-1].Pos, found[0].Pos
		p.alert(s, i, "ambiguous-defaults", "ambiguous defaults section name '%s' referenced by %s '%s' exists at least at %s:%d and %s:%d.",
			s.arg(i), title, name, a.File, a.Line, b.File, b.Line)
	}
	return found[0]
}

// proxyStatement obeys a line of a defaults, frontend, backend or listen section.
func (p *parser) proxyStatement(s *stmt) {
	px := p.px
	kw, ok := proxyKeywords[s.keyword()]
	if !ok {
		p.unknown(s, px.section(), sortedKeys(proxyKeywords, "listen", "frontend", "backend", "defaults", "global"))
		return
	}
	if kw.class == Removed {
		where := placeSpaced
		if s.keyword() == "grace" {
			where = placeTight
		}
		p.at(s, 0, Alert, where, "removed", kw.note, kw.hint)
		return
	}
	if !p.allowed(s, s.keyword(), kw.in, kw.strict) {
		if !kw.strict && !px.isDefaults && kw.class == Implemented {
			p.check(s, kw.parse)
		}
		return
	}
	switch {
	case kw.parse != nil:
		kw.parse(p, s)
	case kw.class == NotYet:
		p.notImplemented(s, s.keyword())
	case kw.class == HTTPOnly:
		p.note(s, kw.kind, s.keyword())
	}
}

// check reads a line for its mistakes only: what it sets is thrown away.
func (p *parser) check(s *stmt, parse func(*parser, *stmt)) {
	px := p.px
	scratch := *px
	scratch.notes, scratch.Logs, scratch.Binds = slices.Clip(px.notes), slices.Clip(px.Logs), slices.Clip(px.Binds)
	scratch.Check.TCPRules, scratch.Check.HTTPRules = slices.Clip(px.Check.TCPRules), slices.Clip(px.Check.HTTPRules)
	scratch.bindIDs = make(map[int]*Bind)
	p.px = &scratch
	parse(p, s)
	p.px = px
}

// allowed reports whether a keyword may stand in the current section, and says so when it may not.
// A backend's line in a frontend, or the reverse, is ignored with a warning; with strict it is an error.
func (p *parser) allowed(s *stmt, name string, in where, strict bool) bool {
	px := p.px
	here := px.in()
	switch {
	case in&here != 0:
		return true
	case px.isDefaults && in&inN != 0 && (name == "tcp-request" || name == "tcp-response"):
		p.alert(s, 0, codeNotAllowedHere, "%s %s is not allowed in anonymous 'defaults' sections", name, s.arg(1))
	case px.isDefaults && in&inN != 0:
		p.alert(s, 0, codeNotAllowedHere, "'%s' not allowed in anonymous 'defaults' section.", name)
	case px.isDefaults:
		where := placeSpaced
		switch name {
		case "server", "server-template":
			where = placeBracket
		case "id", "description":
			where = placeTight
		}
		p.at(s, 0, Alert, where, codeNotAllowedHere, fmt.Sprintf("'%s' not allowed in 'defaults' section.", name), "")
	default:
		side := "frontend"
		if here == inF {
			side = "backend"
		}
		more := ""
		switch name {
		case "maxconn":
			more = " Maybe you want 'fullconn' instead ?"
		case "fullconn":
			more = " Maybe you want 'maxconn' instead ?"
		}
		if strings.HasPrefix(name, "clitcpka-") || strings.HasPrefix(name, "srvtcpka-") {
			p.warn(s, 0, codeNotAllowedHere, "%s will be ignored because %s '%s' has no %s capability", name, px.title(), px.Name, side)
		} else if strict && (name == "retry-on" || name == "use-fcgi-app") {
			p.alert(s, 0, codeNotAllowedHere, "'%s' only available in backend or listen section", name)
		} else if strict {
			p.alert(s, 0, codeNotAllowedHere, "'%s' not allowed because %s '%s' has no %s capability.%s", name, px.title(), px.Name, side, more)
		} else {
			p.warn(s, 0, codeNotAllowedHere, "'%s' ignored because %s '%s' has no %s capability.%s", name, px.title(), px.Name, side, more)
		}
	}
	return false
}

// notImplemented reports a keyword that HAProxy obeys and Penstock cannot yet.
func (p *parser) notImplemented(s *stmt, name string) {
	p.at(s, 0, Alert, placeSpaced, codeNotImplemented, notYet(name), notYetHints[name])
}

// note keeps a line of HTTP for the checks at the end.
func (p *parser) note(s *stmt, kind noteKind, name string) {
	px := p.px
	px.notes = slices.DeleteFunc(px.notes, func(n note) bool { return n.kind == kind && n.name == name })
	if s.mod != modNone {
		return
	}
	at := 0
	if s.keyword() == "option" {
		at = 1
	}
	px.notes = append(px.notes, note{kind: kind, name: name, pos: p.pos(s, at)})
}
