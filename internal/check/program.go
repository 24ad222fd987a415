package check

import (
	"cmp"
	"encoding/hex"
	"fmt"
	"net/netip"
	"regexp"
	"slices"
	"strings"

	"github.com/penstock/penstock/internal/config"
)

// Program is what a check does, step by step: connect, send, expect. It is made once for a backend and never changes.
type Program struct {
	kind  config.CheckKind
	steps []step
	roles bool // it asks for the role of the server

	stopOn404 bool // of HTTP: a server that is up and answers 404 takes no new sessions
	sendState bool // of HTTP: requests tell the server what is known of it
}

type step struct {
	action  config.CheckAction
	number  int // as messages count it; 0: the connection that nobody asked for
	comment string

	// connect
	to        netip.Addr // not valid: that of the check
	port      uint16     // 0: that of the check
	linger    bool       // close with FIN
	usual     bool       // PROXY protocol and TLS as the server has them for checks
	sendProxy bool
	tls       bool
	sni       string
	alpn      []string

	portExpr *config.CheckExpr // instead of port; nil: none

	// send; false: it cannot be made
	data func(*Checker, *Check) ([]byte, bool)

	// set
	variable string
	format   config.CheckFormat // nil: it is taken away

	// expect
	expect *expect
	head   int // step at which reading more begins anew
}

// expect is what an answer is held against.
type expect struct {
	match   config.CheckMatch
	not     bool
	bytes   []byte
	re      *regexp.Regexp
	codes   [][2]int
	minRecv int                // -1: not given
	format  config.CheckFormat // gives bytes; nil: they are known
	header  *headerExpect
	good    config.CheckFormat // what is said when it passes, and is the last; nil: the usual
	bad     config.CheckFormat
	code    *config.CheckExpr // nil: the usual
	ok      Status
	failed  Status
	late    Status
	judge   judge        // of a protocol; nil: the pattern decides
	fresh   func() judge // of a conversation: makes the judge of one run; nil: none
	pattern string
}

// verdict is what an answer means so far.
type verdict struct {
	outcome outcome
	status  Status
	code    int
	info    string // for the log; of an answer that passes: kept until the end of the check
	answer  []byte // to be sent before reading on, or before the end
	drop    int    // bytes in front that are done with; only with more
	// The server said itself that it must not be used: it is down at once.
	decisive bool
}

type outcome uint8

const (
	more outcome = iota
	passed
	failed
)

// NewProgram makes the program of a backend. The configuration was checked already; an error says otherwise.
func NewProgram(c *config.Check) (*Program, error) {
	p := &Program{kind: c.Kind, stopOn404: c.HTTP404, sendState: c.SendState}
	if c.Role != nil {
		return p.withRole(c)
	}
	switch c.Kind {
	case config.CheckConnection, config.CheckExternal:
	case config.CheckTCP:
		if err := p.rules(c.TCPRules); err != nil {
			return nil, err
		}
	case config.CheckHTTP:
		if err := p.rules(withRequest(c)); err != nil {
			return nil, err
		}
	case config.CheckRedis:
		p.send([]byte("*1\r\n$4\r\nPING\r\n"))
		p.custom(judgeRedis)
		p.steps[len(p.steps)-1].expect.failed = L7Sts
	case config.CheckMySQL:
		p.mysql(c)
	case config.CheckPostgres:
		p.postgres(c.User)
	case config.CheckSMTP:
		p.smtp(c.Hello)
	case config.CheckLDAP:
		bind, _ := hex.DecodeString("300c020101600702010304008000")
		p.send(bind)
		p.custom(judgeLDAP)
	case config.CheckSSLHello:
		p.steps = append(p.steps, step{action: config.CheckSend, data: func(*Checker, *Check) ([]byte, bool) { return sslHello(), true }})
		p.custom(judgeSSL)
		e := p.steps[len(p.steps)-1].expect
		e.ok, e.failed, e.late = L6OK, L6Rsp, L6Tout
	case config.CheckSPOP:
		p.send(spopHello())
		p.custom(judgeSPOP)
	default:
		return nil, fmt.Errorf("check: kind %d is not known", c.Kind)
	}
	first := slices.IndexFunc(p.steps, func(s step) bool { return s.action != config.CheckSet })
	if first < 0 || p.steps[first].action != config.CheckConnect {
		p.steps = append([]step{{action: config.CheckConnect, usual: true}}, p.steps...)
	}
	p.findHeads()
	return p, nil
}

// lingering begins the program with a connection that is closed with FIN: the server shall not take the end for
// an accident.
func (p *Program) lingering() {
	p.steps = append(p.steps, step{action: config.CheckConnect, number: 1, usual: true, linger: true})
}

func (p *Program) send(data []byte) {
	p.steps = append(p.steps, step{action: config.CheckSend, number: len(p.steps) + 1, data: constant(data)})
}

func (p *Program) custom(judge judge) {
	p.steps = append(p.steps, step{
		action: config.CheckExpects, number: len(p.steps) + 1,
		expect: &expect{judge: judge, minRecv: -1, ok: L7OK, failed: L7Rsp, late: L7Tout},
	})
}

// constant is what is sent when it is always the same.
func constant(data []byte) func(*Checker, *Check) ([]byte, bool) {
	return func(*Checker, *Check) ([]byte, bool) { return data, true }
}

// composed is what is sent when it has to be worked out each time.
func composed(f config.CheckFormat, hex bool) func(*Checker, *Check) ([]byte, bool) {
	return func(c *Checker, k *Check) ([]byte, bool) {
		text := c.text(k, f)
		if hex {
			return unhex(text)
		}
		return []byte(text), true
	}
}

// rules adds the steps of lines.
func (p *Program) rules(rules []config.CheckRule) error {
	comment := ""
	last := config.CheckComment
	for i := range rules {
		r := &rules[i]
		if r.Action != last && last != config.CheckComment {
			comment = "" // it belonged to the lines of one kind behind it
		}
		last = r.Action
		if r.Action == config.CheckComment {
			comment = r.Comment
			continue
		}
		s := step{action: r.Action, number: r.Step, comment: r.Comment}
		if s.comment == "" {
			s.comment = comment
		}
		switch r.Action {
		case config.CheckConnect:
			comment = ""
			s.usual, s.sendProxy, s.tls, s.sni, s.alpn = r.Default, r.SendProxy, r.TLS, r.SNI, r.ALPN
			s.to, s.port, s.portExpr, s.linger = r.Addr.IP, uint16(r.Port), r.PortExpr, r.Linger
			if s.port == 0 {
				s.port = uint16(r.Addr.Port)
			}
		case config.CheckSend:
			switch {
			case r.Request != nil:
				s.data = p.request(r.Request)
			case r.Format != nil:
				s.data = composed(r.Format, r.Hex)
			default:
				s.data = constant(r.Data)
			}
		case config.CheckSet:
			s.variable, s.format = r.Variable, r.Format
		case config.CheckExpects:
			e, err := newExpect(&r.Expect)
			if err != nil {
				return fmt.Errorf("check: step %d: %w", r.Step, err)
			}
			s.expect = e
		}
		p.steps = append(p.steps, s)
	}
	return nil
}

func newExpect(c *config.CheckExpect) (*expect, error) {
	e := &expect{
		match: c.Match, not: c.Not, bytes: c.Bytes, codes: c.Codes, minRecv: c.MinRecv, pattern: c.Pattern,
		format: c.Format, good: c.OnSuccess, bad: c.OnError, code: c.Code,
		ok: statusOf(c.OKStatus, L7OK), failed: statusOf(c.ErrorStatus, Unknown), late: statusOf(c.ToutStatus, L7Tout),
	}
	switch c.Match {
	case config.MatchString:
		e.bytes = []byte(c.Pattern)
	case config.MatchHeader:
		h, err := newHeaderExpect(c.Header)
		if err != nil {
			return nil, err
		}
		e.header = h
	case config.MatchRegex, config.MatchBinaryRegex, config.MatchStatusRegex:
		re, err := regexp.Compile(c.Pattern)
		if err != nil {
			return nil, err
		}
		e.re = re
	}
	return e, nil
}

// findHeads notes where to begin again when an answer is not complete: a step that refuses what it matches has
// to see the rest of the answer too.
func (p *Program) findHeads() {
	for i := range p.steps {
		p.steps[i].head = i
		if p.steps[i].action != config.CheckExpects {
			continue
		}
		for k := i - 1; k >= 0 && p.steps[k].action == config.CheckExpects; k-- {
			if e := p.steps[k].expect; e.not {
				p.steps[i].head = k
			}
		}
	}
}

// where names a step in messages about a connection that failed or came too late.
func (p *Program) where(i int) string {
	if p.kind != config.CheckTCP {
		return ""
	}
	s := &p.steps[i]
	if s.number == 0 {
		return " at initial connection step of tcp-check"
	}
	var b strings.Builder
	fmt.Fprintf(&b, " at step %d of tcp-check", s.number)
	switch s.action {
	case config.CheckConnect:
		b.WriteString(" (connect")
		if s.port != 0 {
			fmt.Fprintf(&b, " port %d", s.port)
		}
		b.WriteString(")")
	case config.CheckSend:
		b.WriteString(" (send)")
	case config.CheckExpects:
		switch e := s.expect; {
		case e.format != nil && e.match == config.MatchString:
			b.WriteString(" (expect log-format string)")
		case e.format != nil:
			b.WriteString(" (expect log-format binary)")
		case e.match == config.MatchString:
			fmt.Fprintf(&b, " (expect string '%s')", e.bytes)
		case e.match == config.MatchBinary:
			fmt.Fprintf(&b, " (expect binary '%s')", e.bytes)
		case e.match == config.MatchRegex:
			b.WriteString(" (expect regex)")
		case e.match == config.MatchBinaryRegex:
			b.WriteString(" (expect binary regex)")
		}
	}
	if s.comment != "" {
		fmt.Fprintf(&b, " comment: '%s'", s.comment)
	}
	return b.String()
}

// success is the outcome of a program that came to its end; info is what its last answer gave.
// status is what the last answer means, or Unknown; secure says that the connection is in TLS.
func (p *Program) success(info string, status Status, secure bool) (Status, string) {
	last := &p.steps[len(p.steps)-1]
	for n := len(p.steps) - 1; last.action == config.CheckSet; n-- {
		last = &p.steps[n]
	}
	if p.kind == config.CheckTCP && info == "" && last.number > 0 {
		info = "(tcp-check)"
	}
	switch last.action {
	case config.CheckConnect:
		if secure {
			return L6OK, info
		}
		return L4OK, info
	case config.CheckExpects:
		return cmp.Or(status, last.expect.ok), info
	}
	return L7OK, info
}
