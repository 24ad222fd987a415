package config

import (
	"fmt"
	"slices"
	"strings"
)

// checkOption makes an option that takes no argument and chooses a kind of check.
func checkOption(kind CheckKind) func(*parser, *stmt) {
	return func(p *parser, s *stmt) {
		if !p.tooMany(s, 0, 2) {
			p.px.setCheck(Check{Kind: kind})
		}
	}
}

// setCheck replaces the kind of check; the last option of a section wins.
func (px *proxyState) setCheck(c Check) {
	c.TCPRules, c.HTTPRules = px.Check.TCPRules, px.Check.HTTPRules
	c.HTTP404, c.SendState = px.Check.HTTP404, px.Check.SendState
	px.Check = c
}

func parseSMTPCheck(p *parser, s *stmt) {
	if p.tooMany(s, 2, 2) {
		return
	}
	c := Check{Kind: CheckSMTP, Hello: "HELO localhost"}
	if word := s.arg(2); (word == "EHLO" || word == "HELO") && s.arg(3) != "" {
		c.Hello = word + " " + s.arg(3)
	}
	p.px.setCheck(c)
}

func parsePostgresCheck(p *parser, s *stmt) {
	switch {
	case p.tooMany(s, 2, 2):
	case s.arg(2) == "" || s.arg(3) == "":
		p.alert(s, 2, codeMissingValue, "'option pgsql-check' expects 'user <username>' as argument.")
	case s.arg(2) != "user":
		p.alert(s, 2, codeInvalidValue, "'option pgsql-check' only supports optional values: 'user'.")
	default:
		p.px.setCheck(Check{Kind: CheckPostgres, User: s.arg(3)})
	}
}

func parseMySQLCheck(p *parser, s *stmt) {
	if p.tooMany(s, 3, 2) {
		return
	}
	c := Check{Kind: CheckMySQL, User: s.arg(3)}
	switch {
	case s.arg(2) == "":
	case s.arg(2) != "user":
		p.alert(s, 2, codeInvalidValue, "'option mysql-check' only supports optional values: 'user' (got '%s').", s.arg(2))
		return
	case c.User == "":
		p.alert(s, 3, codeMissingValue, "'option mysql-check user' expects <username> as argument.")
		return
	}
	switch v := s.arg(4); v {
	case "", "post-41", "post-80":
	case "pre-41":
		c.Old = true
	default:
		p.alert(s, 4, codeInvalidValue, "keyword 'user' only supports 'post-41' and 'pre-41' (got '%s').", v)
		return
	}
	p.px.setCheck(c)
}

func parseHTTPCheck(p *parser, s *stmt) {
	if p.tooMany(s, 4, 2) {
		return
	}
	c := Check{Kind: CheckHTTP}
	switch len(s.words) {
	case 2:
	case 3:
		c.Request.URI = s.arg(2)
	default:
		c.Request.Method, c.Request.URI, c.Request.Version = s.arg(2), s.arg(3), s.arg(4)
	}
	if host := s.arg(5); host != "" {
		c.Request.Headers = []HTTPHeader{{Name: "Host", Value: host}}
	}
	for _, v := range s.texts(2) {
		if strings.ContainsAny(v, "\r\n\x00") {
			p.at(s, 4, Alert, placeSpaced, codeNotImplemented, notYet("option httpchk with headers behind the version"), "use 'http-check send hdr'")
			return
		}
	}
	p.px.setCheck(c)
}

// checkChecks makes the checks of checks that need the whole section.
func (p *parser) checkChecks(px *proxyState) {
	if !px.Kind.HasBackend() {
		return
	}
	for _, unused := range []struct {
		rules  []CheckRule
		own    bool
		kind   CheckKind
		name   string
		option string
	}{
		{px.Check.TCPRules, px.ownTCPRules, CheckTCP, "tcp-check", "tcp-check"},
		{px.Check.HTTPRules, px.ownHTTPRules, CheckHTTP, "http-check", "httpchk"},
	} {
		if unused.own && len(unused.rules) > 0 && px.Check.Kind != unused.kind {
			p.aboutf(Warning, unused.rules[0].Pos, "unused-rules", "%s '%s' uses %s rules without 'option %s', so the rules are ignored.",
				px.title(), px.Name, unused.name, unused.option)
		}
	}
	if msg, rule := orderOfHTTPRules(&px.Check); msg != "" {
		p.aboutf(Alert, rule.Pos, codeNotAllowedHere, "'http-check': unable to add http-check %s at step %d.", msg, rule.Step)
	}
	p.checkExternal(px)
	for _, s := range px.Servers {
		if s.Check.Enabled {
			p.checkCheckPort(px, s)
			if px.Check.NeedsTLS(&s.Check) {
				p.checkTLS(px, s)
			}
		}
		if s.Agent.Enabled {
			p.checkAgentPort(px, s)
		}
		if s.Track.Server != "" {
			p.checkTrack(px, s)
		}
	}
}

// checkTrack finds the server that s tracks and reports what is wrong with it.
func (p *parser) checkTrack(px *proxyState, s *Server) {
	say := func(format string, args ...any) {
		p.aboutf(Alert, s.Pos, "track", "%s '%s', server '%s': %s", px.title(), px.Name, s.Name, fmt.Sprintf(format, args...))
	}
	if s.Check.Enabled {
		say("unable to enable checks and tracking at the same time!")
		return
	}
	in, at := px, s
	for range 1 + p.countServers() {
		from := at
		in, at = p.tracked(in, at)
		switch {
		case in == nil:
			say("unable to find required proxy '%s' for tracking.", from.Track.Proxy)
			return
		case at == nil:
			say("unable to find required server '%s' for tracking.", from.Track.Server)
			return
		case at.Check.Enabled || at.Agent.Enabled:
			if s.Track.Proxy == "" {
				s.Track.Proxy = px.Name
			}
			return
		case at.Track.Server == "":
			say("unable to use %s/%s for tracking as it does not have any check nor agent enabled.", in.Name, at.Name)
			return
		}
	}
	say("unable to track %s/%s as it belongs to a tracking chain looping back to %s/%s.", in.Name, at.Name, px.Name, s.Name)
}

// tracked is the server that s of px tracks; without a proxy of that name both are nil.
func (p *parser) tracked(px *proxyState, s *Server) (*proxyState, *Server) {
	to := px
	if s.Track.Proxy != "" {
		if to = p.byName[s.Track.Proxy]; to == nil || !to.Kind.HasBackend() {
			return nil, nil
		}
	}
	return to, to.servers[s.Track.Server]
}

func (p *parser) countServers() (n int) {
	for _, px := range p.proxies {
		n += len(px.Servers)
	}
	return n
}

// orderOfHTTPRules finds the first http-check line that stands where it cannot.
func orderOfHTTPRules(c *Check) (string, *CheckRule) {
	if c.Kind != CheckHTTP {
		return "", nil
	}
	last := CheckAction(0)
	for i := range c.HTTPRules {
		r := &c.HTTPRules[i]
		switch {
		case r.Action == CheckComment || r.Action == CheckSet:
			continue
		case last == 0:
		case last != CheckConnect && r.Action == CheckSend:
			return "send rule (missing connect rule)", r
		case last == CheckConnect && r.Action == CheckExpects:
			return "expect rule (missing send rule)", r
		case last != CheckExpects && r.Action == CheckConnect:
			return "connect rule (missing expect rule)", r
		}
		last = r.Action
	}
	return "", nil
}

// checkCheckPort reports a server of which nothing says to what port its check connects.
func (p *parser) checkCheckPort(px *proxyState, s *Server) {
	if text, code := portProblem(&px.Proxy, s); text != "" {
		p.aboutf(Alert, s.Pos, code, "%s '%s': %s", px.title(), px.Name, text)
	}
}

// portProblem says what is wrong with the port of a server's check; empty: nothing.
func portProblem(px *Proxy, s *Server) (text, code string) {
	to := &s.Check.Addr
	if to.Kind == 0 {
		to = &s.Addr
	}
	if n := s.Check.Port; n < 0 || n > 65535 {
		return fmt.Sprintf("server '%s' has an invalid check port: %d.", s.Name, n), codeInvalidValue
	}
	if s.Check.Port > 0 || to.Kind != AddrTCP || s.Check.Addr.Port > 0 || !s.Addr.PortOffset && s.Addr.Port > 0 {
		return "", ""
	}
	rules := px.Check.Rules()
	first := slices.IndexFunc(rules, func(r CheckRule) bool { return r.Action != CheckComment && r.Action != CheckSet })
	portless := func(r CheckRule) bool {
		return r.Action == CheckConnect && r.Port == 0 && r.PortExpr == nil && r.Addr.Port == 0
	}
	none := fmt.Sprintf("server '%s' has neither service port nor check port", s.Name)
	const without = "no-check-port"
	switch {
	case first < 0:
		return none + ".", without
	case rules[first].Action != CheckConnect || portless(rules[first]):
		return none + " nor tcp_check rule 'connect' with port information.", without
	case slices.ContainsFunc(rules, portless):
		return none + ", and a tcp_check rule 'connect' with no port information.", without
	}
	return "", ""
}
