package check

import (
	"bytes"
	"cmp"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/penstock/penstock/internal/backend"
	"github.com/penstock/penstock/internal/config"
	"github.com/penstock/penstock/netio"
)

// withRequest completes the lines of an HTTP check: the request of the option comes first unless the lines have their
// own, and what stands on the option fills what the first own request leaves open. A request at the end is
// answered by any status from 200 to 399.
func withRequest(c *config.Check) []config.CheckRule {
	rules := slices.Clone(c.HTTPRules)
	isRequest := func(r config.CheckRule) bool { return r.Action == config.CheckSend }
	first := slices.IndexFunc(rules, func(r config.CheckRule) bool {
		return r.Action != config.CheckComment && r.Action != config.CheckConnect && r.Action != config.CheckSet
	})
	switch {
	case first >= 0 && isRequest(rules[first]):
		merged := *rules[first].Request
		for _, f := range [][2]*string{
			{&merged.Method, &c.Request.Method}, {&merged.Version, &c.Request.Version},
		} {
			if *f[0] == "" {
				*f[0] = *f[1]
			}
		}
		if merged.URI == "" && merged.URIFormat == nil {
			merged.URI = c.Request.URI
		}
		if len(merged.Headers) == 0 {
			merged.Headers = c.Request.Headers
		}
		rules[first].Request = &merged
	default:
		if first < 0 {
			first = len(rules)
		}
		rules = slices.Insert(rules, first, config.CheckRule{Action: config.CheckSend, Step: 1, Request: &c.Request})
	}
	lastRule := rules[len(rules)-1]
	if isRequest(lastRule) {
		rules = append(rules, config.CheckRule{
			Action: config.CheckExpects, Step: lastRule.Step,
			Expect: config.CheckExpect{Match: config.MatchStatus, Codes: [][2]int{{200, 399}}, MinRecv: -1},
		})
	}
	return rules
}

// newHTTP is a request as it goes over the wire. state, unless it is empty, tells the server what is known of it.
func newHTTP(r *config.HTTPRequest, state string) []byte {
	method, uri, version := r.Method, r.URI, r.Version
	if method == "" {
		method = "OPTIONS"
	}
	if uri == "" {
		uri = "/"
	}
	if version == "" {
		version = "HTTP/1.0"
	}
	var b bytes.Buffer
	b.WriteString(method + " " + uri + " " + version + "\r\n")
	closes := false
	for _, h := range r.Headers {
		b.WriteString(h.Name + ": " + h.Value + "\r\n")
		closes = closes || strings.EqualFold(h.Name, "connection")
	}
	if state != "" {
		b.WriteString("X-Haproxy-Server-State: " + state + "\r\n")
	}
	if !closes {
		b.WriteString("Connection: close\r\n")
	}
	if r.Body != "" || !slices.Contains([]string{"OPTIONS", "GET", "HEAD", "DELETE"}, method) {
		b.WriteString("Content-Length: " + strconv.Itoa(len(r.Body)) + "\r\n")
	}
	b.WriteString("\r\n" + r.Body)
	return b.Bytes()
}

// request is what sends an HTTP request.
func (p *Program) request(r *config.HTTPRequest) func(*Checker, *Check) ([]byte, bool) {
	computed := slices.ContainsFunc(r.Headers, func(h config.HTTPHeader) bool { return h.Format != nil })
	if !p.sendState && !computed && r.URIFormat == nil && r.BodyFormat == nil {
		return constant(newHTTP(r, ""))
	}
	return func(c *Checker, k *Check) ([]byte, bool) {
		now, state := *r, ""
		if r.URIFormat != nil {
			now.URI = c.text(k, r.URIFormat)
		}
		if r.BodyFormat != nil {
			now.Body = c.text(k, r.BodyFormat)
		}
		now.Headers = slices.Clone(r.Headers)
		for i := range now.Headers {
			if h := &now.Headers[i]; h.Format != nil {
				h.Value = c.text(k, h.Format)
				if strings.ContainsAny(h.Value, "\r\n\x00") {
					return nil, false
				}
			}
		}
		if p.sendState {
			state = c.stateHeader(k)
		}
		return newHTTP(&now, state), r.URIFormat == nil || !strings.ContainsAny(now.URI, " \r\n\x00")
	}
}

// stateHeader tells a server what is known of it, and what load it has.
func (c *Checker) stateHeader(k *Check) string {
	s, h := k.shared(), k.state.Health
	state := h
	switch up := s.Up(); {
	case up && !h.Up():
		state.Value = h.Rise // as an administrator has it
	case !up && h.Up():
		state.Value = 0
	}
	word := state.String()
	if s.Operation() == backend.Stopping {
		word = "NOLB" + strings.TrimPrefix(word, "UP")
	}
	host, port := "", ""
	if to := k.address(); to.Family() != netio.FamilyUnix {
		a := to.Addr()
		host, port = a.AddrPort().Addr().String(), strconv.Itoa(int(a.Port))
	}
	b := k.backend
	_, _, total := b.State.Members()
	weight, _ := b.State.Share(k.server)
	text := fmt.Sprintf("%s; address=%s; port=%s; name=%s/%s; node=%s; weight=%d/%d; scur=%d/%d; qcur=%d", word, host, port, b.Name, k.name,
		c.opt.Node, weight, total, s.Served(), b.State.Served(), s.Queued())
	if s.Operation() == backend.Starting {
		text += fmt.Sprintf("; throttle=%d%%", max(s.Throttled(), 1))
	}
	return text
}

// response is an HTTP/1 response, as far as it has come.
type response struct {
	code   int
	reason string
	fields []byte // the header without its first line
	body   []byte
	whole  bool // nothing more belongs to it
}

// readResponse reads as much of a response as is there. ok is false when it is none; a response without a code is
// one of which the header is not complete.
func readResponse(in []byte, last bool) (r response, ok bool) {
	for {
		head, rest, whole := cutHeader(in)
		if !whole {
			return response{}, !last && mayBeHTTP(in)
		}
		line, fields, _ := bytes.Cut(head, []byte("\n"))
		if r.code, r.reason, ok = statusLine(bytes.TrimSuffix(line, []byte("\r"))); !ok {
			return response{}, false
		}
		if r.code/100 != 1 { // a provisional one is followed by the real one
			r.fields = fields
			r.setBody(fields, rest, last)
			return r, true
		}
		in = rest
	}
}

// mayBeHTTP reports whether a response can begin so.
func mayBeHTTP(in []byte) bool {
	const begin = "HTTP/"
	n := min(len(in), len(begin))
	return string(in[:n]) == begin[:n]
}

// cutHeader splits at the first empty line.
func cutHeader(in []byte) (head, rest []byte, ok bool) {
	for at := 0; ; {
		n := bytes.IndexByte(in[at:], '\n')
		if n < 0 {
			return nil, nil, false
		}
		line := bytes.TrimSuffix(in[at:at+n], []byte("\r"))
		if len(line) == 0 && at > 0 {
			return in[:at], in[at+n+1:], true
		}
		at += n + 1
	}
}

// statusLine reads "HTTP/1.1 200 OK".
func statusLine(line []byte) (code int, reason string, ok bool) {
	version, rest, found := strings.Cut(string(line), " ")
	if !found || len(version) != len("HTTP/1.1") || !strings.HasPrefix(version, "HTTP/") || version[6] != '.' {
		return 0, "", false
	}
	number, reason, _ := strings.Cut(rest, " ")
	code, err := strconv.Atoi(number)
	if err != nil || len(number) != 3 || code < 100 {
		return 0, "", false
	}
	return code, reason, true
}

func (r *response) setBody(fields, rest []byte, last bool) {
	length, chunked := -1, false
	for line := range bytes.Lines(fields) {
		name, value, _ := strings.Cut(strings.TrimRight(string(line), "\r\n"), ":")
		value = strings.TrimSpace(value)
		switch strings.ToLower(name) {
		case "content-length":
			if n, err := strconv.Atoi(value); err == nil && n >= 0 {
				length = n
			}
		case "transfer-encoding":
			chunked = strings.HasSuffix(strings.ToLower(value), "chunked")
		}
	}
	switch {
	case r.code == 204 || r.code == 304:
		r.whole = true
	case chunked:
		r.body, r.whole = dechunk(rest)
	case length >= 0:
		r.body, r.whole = rest[:min(length, len(rest))], len(rest) >= length
	default:
		r.body = rest
	}
	r.whole = r.whole || last
}

// dechunk joins the chunks that are there; whole says that the last one is.
func dechunk(in []byte) (body []byte, whole bool) {
	for {
		line, rest, ok := bytes.Cut(in, []byte("\n"))
		if !ok {
			return body, false
		}
		digits, _, _ := strings.Cut(strings.TrimSpace(string(line)), ";")
		n, err := strconv.ParseUint(strings.TrimSpace(digits), 16, 31)
		if err != nil || n == 0 {
			return body, true
		}
		if uint64(len(rest)) < n {
			return append(body, rest...), false
		}
		body = append(body, rest[:n]...)
		in = bytes.TrimPrefix(bytes.TrimPrefix(rest[n:], []byte("\r")), []byte("\n"))
	}
}

// examineHTTP holds a response against the expectation. With may404 a server that answers 404 passes, and wants no more
// sessions.
func (e *expect) examineHTTP(in []byte, last, may404 bool) verdict {
	r, ok := readResponse(in, last)
	switch {
	case !ok:
		return verdict{outcome: failed, status: L7Rsp}
	case r.code == 0:
		return verdict{}
	case may404 && r.code == 404:
		return verdict{outcome: passed, status: L7OKC, code: r.code}
	}
	v := verdict{outcome: passed, code: r.code}
	found := false
	switch e.match {
	case config.MatchStatus:
		found = slices.ContainsFunc(e.codes, func(c [2]int) bool { return r.code >= c[0] && r.code <= c[1] })
		v.status, v.info = L7Sts, r.reason
	case config.MatchStatusRegex:
		found = e.re.MatchString(strconv.Itoa(r.code))
		v.status, v.info = L7Sts, r.reason
	case config.MatchHeader:
		found = e.header.in(r.fields)
		v.status, v.info = L7Sts, r.reason
	default:
		switch {
		case len(r.body) == 0 && !r.whole:
			return verdict{}
		case len(r.body) == 0:
			return verdict{outcome: failed, status: cmp.Or(e.failed, L7Rsp), code: r.code, info: "HTTP content check could not find a response body"}
		case !r.whole && (len(r.body) < len(e.bytes) || len(r.body) < e.minRecv):
			return verdict{}
		}
		found = e.match == config.MatchString && bytes.Contains(r.body, e.bytes) || e.match == config.MatchRegex && e.re.Match(r.body)
		if !found && !r.whole && e.minRecv < 0 {
			return verdict{}
		}
		v.status, v.info = L7Rsp, "HTTP content check did not match"
		if e.not {
			v.info = "HTTP check matched unwanted content"
		}
	}
	if found != e.not {
		return verdict{outcome: passed, code: r.code}
	}
	v.outcome, v.status = failed, cmp.Or(e.failed, v.status)
	return v
}
