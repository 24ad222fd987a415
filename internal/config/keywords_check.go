package config

import (
	"encoding/hex"
	"fmt"
	"regexp"
	"slices"
	"strconv"
	"strings"
)

// checkWords reads one tcp-check or http-check line. The first mistake ends it.
type checkWords struct {
	p      *parser
	s      *stmt
	at     int // the word being read
	http   bool
	failed bool
}

// fail reports a mistake at word i.
func (l *checkWords) fail(i int, code, format string, args ...any) {
	if !l.failed {
		l.p.alert(l.s, i, code, "'%s %s' : %s.", l.s.keyword(), l.s.arg(1), fmt.Sprintf(format, args...))
	}
	l.failed = true
}

// notYet reports a word that HAProxy obeys here.
func (l *checkWords) notYet(i int, what string) {
	if !l.failed {
		l.p.at(l.s, i, Alert, placeSpaced, codeNotImplemented, notYet(what), "")
	}
	l.failed = true
}

func (l *checkWords) word() string { return l.s.arg(l.at) }

func (l *checkWords) more() bool { return !l.failed && l.at < len(l.s.words) && l.word() != "" }

// value moves to the word behind the current one, which must be there; what says what it is.
func (l *checkWords) value(what string) string {
	keyword := l.word()
	l.at++
	v := l.word()
	if v == "" {
		l.fail(l.at, codeMissingValue, "'%s' expects %s as argument", keyword, what)
	}
	return v
}

// parseCheckRule reads a tcp-check or http-check line.
func parseCheckRule(p *parser, s *stmt) {
	px := p.px
	l := &checkWords{p: p, s: s, at: 1, http: s.keyword() == "http-check"}
	if l.http && l.flag() {
		return
	}
	rules, own := &px.Check.TCPRules, &px.ownTCPRules
	if l.http {
		rules, own = &px.Check.HTTPRules, &px.ownHTTPRules
	}
	if !*own { // lines of the section replace those of its defaults
		*rules, *own = nil, true
	}
	rule := CheckRule{Pos: p.pos(s, 0), Step: len(*rules) + 1}
	switch word := s.arg(1); word {
	case "connect":
		l.connect(&rule, *rules)
	case "send":
		if l.http {
			l.sendHTTP(&rule)
		} else {
			l.send(&rule)
		}
	case "expect":
		l.expect(&rule)
	case "comment":
		rule.Action = CheckComment
		if rule.Comment = s.arg(2); rule.Comment == "" {
			l.fail(2, codeMissingValue, "expects a string as argument")
		}
	case "send-binary":
		if l.http {
			l.unknown(word)
			return
		}
		l.send(&rule)
	case "send-lf", "send-binary-lf":
		if l.http {
			l.unknown(word)
			return
		}
		l.sendFormat(&rule)
	default:
		if !l.variable(&rule) {
			l.unknown(word)
		}
	}
	if !l.failed {
		*rules = append(*rules, rule)
	}
}

func (l *checkWords) unknown(word string) {
	known := "'comment', 'connect', 'send', 'send-binary', 'send-lf', 'send-binary-lf', 'expect', 'set-var', 'set-var-fmt', 'unset-var'"
	if l.http {
		known = "'disable-on-404', 'send-state', 'comment', 'connect', 'send', 'expect', 'set-var', 'set-var-fmt', 'unset-var'"
	}
	l.p.alert(l.s, 1, codeUnknownKeyword, "'%s' only supports %s. but got '%s'.", l.s.keyword(), known, word)
	l.failed = true
}

func (l *checkWords) connect(rule *CheckRule, before []CheckRule) {
	rule.Action = CheckConnect
	for _, r := range before {
		if r.Action == CheckConnect {
			break
		}
		if r.Action != CheckComment && r.Action != CheckSet {
			l.fail(1, codeNotAllowedHere, "first step MUST also be a 'connect', optionally preceded by a 'set-var', an 'unset-var' or a 'comment', "+
				"when there is a 'connect' step in the tcp-check ruleset")
			return
		}
	}
	for l.at = 2; l.more(); l.at++ {
		switch word := l.word(); word {
		case "default":
			rule.Default = true
		case "linger":
			rule.Linger = true
		case "addr":
			v := l.value("<ipv4|ipv6>")
			if l.failed {
				return
			}
			a, err := parseAddress(v, 0, l.p.env.lookup)
			switch {
			case err != nil:
				l.fail(l.at, errorCode(err), "'addr' : %s", err)
			case a.Kind == AddrTCP && a.Host != "":
				l.notYet(l.at, "addr with a name")
			default:
				rule.Addr = a.Address
			}
		case "port":
			v := l.value("a port number or a sample expression")
			if l.failed {
				return
			}
			n, err := strconv.Atoi(v)
			switch {
			case err != nil:
				rule.PortExpr = l.expression(v, "port")
			case n < 1 || n > 65535:
				l.fail(l.at, codeInvalidValue, "expects a valid TCP port (from range 1 to 65535) or a sample expression, got %s", v)
			default:
				rule.Port = n
			}
		case "comment":
			rule.Comment = l.value("a string")
		case "proto":
			if v := l.value("a MUX protocol"); !l.failed && v != "none" {
				l.fail(l.at, codeInvalidValue, "'proto' : unknown MUX protocol '%s'", v)
			}
		case "send-proxy":
			rule.SendProxy = true
		case "via-socks4":
			l.notYet(l.at, l.s.keyword()+" connect "+word)
		case "ssl":
			rule.TLS = true
		case "sni":
			rule.SNI = l.value("a string")
		case "alpn":
			rule.ALPN = protocols(l.value("a comma-separated list of protocols"))
		default:
			l.fail(l.at, codeUnknownKeyword, "expects 'comment', 'port', 'addr', 'send-proxy' or 'via-socks4', 'linger', 'default' but got '%s' as argument", word)
		}
	}
}

func (l *checkWords) send(rule *CheckRule) {
	rule.Action = CheckSend
	binary := l.word() == "send-binary"
	text := l.value(map[bool]string{true: "a binary string", false: "a string"}[binary])
	if l.failed {
		return
	}
	rule.Data = []byte(text)
	if binary {
		rule.Data = l.binary(text, "'"+text+"' invalid binary string (%s)")
	}
	for l.at++; l.more(); l.at++ {
		if l.word() != "comment" {
			l.fail(l.at, codeUnknownKeyword, "expects 'comment' but got '%s' as argument", l.word())
			return
		}
		rule.Comment = l.value("a string")
	}
}

// binary reads hexadecimal digits; format has a place for what is wrong with them.
func (l *checkWords) binary(text, format string) []byte {
	if len(text)%2 != 0 {
		l.fail(l.at, codeInvalidValue, format, "an even number of hex digit is expected")
		return nil
	}
	b, err := hex.DecodeString(text)
	if err != nil {
		l.fail(l.at, codeInvalidValue, format, "an hex digit is expected")
	}
	return b
}

func (l *checkWords) sendHTTP(rule *CheckRule) {
	rule.Action = CheckSend
	req := &HTTPRequest{}
	rule.Request = req
	for l.at = 2; l.more(); l.at++ {
		switch word := l.word(); word {
		case "meth":
			req.Method = l.value("a string")
		case "uri":
			req.URI, req.URIFormat = l.value("a string"), nil
		case "ver":
			req.Version = l.value("a string")
		case "body":
			req.Body, req.BodyFormat = l.value("a string"), nil
		case "comment":
			rule.Comment = l.value("a string")
		case "hdr":
			name, value := l.s.arg(l.at+1), l.s.arg(l.at+2)
			if name == "" || value == "" {
				l.fail(l.at, codeMissingValue, "'hdr' expects <name> and <value> as arguments")
				return
			}
			l.at += 2
			l.requestHeader(req, name, value)
		case "uri-lf":
			req.URIFormat, req.URI = l.format(l.value("a string")), ""
		case "body-lf":
			req.BodyFormat, req.Body = l.format(l.value("a string")), ""
		default:
			l.fail(l.at, codeUnknownKeyword, "expects 'comment', 'meth', 'uri', 'uri-lf', 'ver', 'hdr', 'body' or 'body-lf' but got '%s' as argument", word)
		}
	}
	for _, v := range []string{req.Method, req.URI, req.Version} {
		l.plain(v)
	}
}

// requestHeader adds a header, whose value is a log-format string, to a request.
func (l *checkWords) requestHeader(req *HTTPRequest, name, value string) {
	l.plain(name)
	l.plain(value)
	f := l.format(value)
	if l.failed {
		return
	}
	same := slices.IndexFunc(req.Headers, func(h HTTPHeader) bool { return strings.EqualFold(h.Name, name) })
	switch {
	case strings.EqualFold(name, "host") && same >= 0:
		l.fail(l.at-1, codeInvalidValue, "'%s' header already defined (previous value is '%s')", name, req.Headers[same].Value)
	case strings.EqualFold(name, "content-length"), strings.EqualFold(name, "transfer-encoding"):
	case slices.ContainsFunc(f, func(p CheckPart) bool { return p.Expr != nil }):
		req.Headers = append(req.Headers, HTTPHeader{Name: name, Value: value, Format: f})
	default:
		var text strings.Builder
		for _, p := range f {
			text.WriteString(p.Text)
		}
		req.Headers = append(req.Headers, HTTPHeader{Name: name, Value: text.String()})
	}
}

// plain refuses what would end a line of a request before its time.
func (l *checkWords) plain(v string) {
	if strings.ContainsAny(v, "\r\n\x00") {
		l.fail(1, codeInvalidValue, "a line feed inside a request line or a header")
	}
}

// checkStatuses are the values of the words that name a status.
var checkStatuses = map[string][]string{
	"ok-status":    {"L4OK", "L6OK", "L7OK", "L7OKC"},
	"error-status": {"L4CON", "L6RSP", "L7RSP", "L7STS", "L7OKC"},
	"tout-status":  {"L4TOUT", "L6TOUT", "L7TOUT"},
}

func (l *checkWords) expect(rule *CheckRule) {
	rule.Action = CheckExpects
	e := &rule.Expect
	e.MinRecv = -1
	if l.s.arg(2) == "" {
		l.fail(2, codeMissingValue, "expects at least a matching pattern as arguments")
		return
	}
	for l.at = 2; l.more(); l.at++ {
		word, negated := l.word(), false
		for strings.HasPrefix(word, "!") {
			word, negated = word[1:], true
			e.Not = !e.Not
		}
		if negated && word == "" {
			l.at++
			word = l.word()
		}
		if l.pattern(e, word) {
			continue
		}
		if negated {
			l.fail(l.at, codeNotAllowedHere, "[!] not supported with '%s'", word)
			return
		}
		l.expectWord(rule, word)
	}
	if !l.failed && e.Match == 0 {
		l.fail(len(l.s.words), codeMissingValue, "pattern not found")
	}
}

// matches are the words that name a way of comparing.
var matches = map[string]CheckMatch{
	"string": MatchString, "rstring": MatchRegex, "binary": MatchBinary, "rbinary": MatchBinaryRegex,
	"status": MatchStatus, "rstatus": MatchStatusRegex, "string-lf": MatchString, "binary-lf": MatchBinary, "hdr": MatchHeader, "fhdr": MatchHeader,
}

// pattern reads a word that is compared with the answer, and reports whether it is one.
func (l *checkWords) pattern(e *CheckExpect, word string) bool {
	match, ok := matches[word]
	switch {
	case !ok:
		return false
	case l.http && (match == MatchBinary || match == MatchBinaryRegex),
		!l.http && (match == MatchStatus || match == MatchStatusRegex || match == MatchHeader):
		l.unknownExpect(word)
		return true
	case e.Match != 0:
		l.fail(l.at, codeNotAllowedHere, "only on pattern expected")
		return true
	}
	if match == MatchHeader {
		l.header(e, word)
		return true
	}
	at := l.at
	l.at++
	text := l.word()
	if text == "" {
		l.fail(at, codeMissingValue, "'%s' expects a <pattern> as argument", word)
		return true
	}
	e.Match, e.Pattern = match, text
	if strings.HasSuffix(word, "-lf") {
		e.Format = l.format(text)
		return true
	}
	switch match {
	case MatchBinary:
		e.Bytes = l.binary(text, "invalid binary string (%s)")
	case MatchStatus:
		e.Codes = l.statusCodes(text)
	case MatchRegex, MatchBinaryRegex, MatchStatusRegex:
		if _, err := regexp.Compile(text); err != nil {
			l.badRegexp(text, err)
		}
	}
	return true
}

func (l *checkWords) unknownExpect(word string) {
	known := "[!]binary', '[!]string', '[!]rstring', '[!]string-lf''[!]rbinary', '[!]binary-lf'"
	if l.http {
		known = "[!]string', '[!]rstring', '[!]string-lf', '[!]status', '[!]rstatus', [!]hdr, [!]fhdr"
	}
	l.fail(l.at, codeUnknownKeyword, "'only supports min-recv, '%s or comment but got '%s' as argument", known, word)
}

// expectWord reads a word of an expect line that is no pattern.
func (l *checkWords) expectWord(rule *CheckRule, word string) {
	e := &rule.Expect
	switch word {
	case "min-recv":
		v := l.value("a integer")
		if l.failed {
			return
		}
		if e.MinRecv = parseAtol(v); e.MinRecv < -1 {
			l.fail(l.at, codeInvalidValue, "'min-recv' expects -1 or an integer from 0 to INT_MAX")
		}
	case "comment":
		rule.Comment = l.value("a string")
	case "ok-status", "error-status", "tout-status":
		known := checkStatuses[word]
		v := l.value("a string")
		if l.failed {
			return
		}
		if !slices.Contains(known, strings.ToUpper(v)) {
			list := "'" + strings.Join(known[:len(known)-1], "', '") + "' or '" + known[len(known)-1] + "'"
			l.fail(l.at, codeInvalidValue, "'%s' only supports %s status (got '%s')", word, list, v)
			return
		}
		*map[string]*string{"ok-status": &e.OKStatus, "error-status": &e.ErrorStatus, "tout-status": &e.ToutStatus}[word] = strings.ToUpper(v)
	case "on-success":
		e.OnSuccess = l.format(l.value("a string"))
	case "on-error":
		e.OnError = l.format(l.value("a string"))
	case "status-code":
		e.Code = l.expression(l.value("an expression"), "status-code")
	default:
		l.unknownExpect(word)
	}
}

// statusCodes reads numbers and ranges with commas between.
func (l *checkWords) statusCodes(text string) [][2]int {
	var codes [][2]int
	for _, part := range strings.Split(text, ",") {
		from, to, isRange := strings.Cut(part, "-")
		if !isRange {
			to = from
		}
		first, err1 := strconv.Atoi(from)
		last, err2 := strconv.Atoi(to)
		switch {
		case err1 != nil || err2 != nil || first < 0:
			l.fail(l.at, codeInvalidValue, "invalid status codes '%s'", text)
			return nil
		case first > last:
			l.fail(l.at, codeInvalidValue, "invalid range of status codes '%s'", text)
			return nil
		}
		codes = append(codes, [2]int{first, last})
	}
	return codes
}
