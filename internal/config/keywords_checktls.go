package config

import (
	"strings"
)

// What server lines and global say of TLS matters to health checks only: sessions pass through unchanged.

func setServerCheckSNI(p *params, s *Server) {
	if s.Check.SNI = p.arg(1); s.Check.SNI == "" {
		p.failKeyword(codeMissingValue, "'check-sni' : missing SNI.")
	}
}

func setServerCheckALPN(p *params, s *Server) {
	if s.Check.ALPN = protocols(p.arg(1)); s.Check.ALPN == nil {
		p.failKeyword(codeMissingValue, "'check-alpn' : missing the comma-delimited ALPN protocol suite.")
	}
}

// protocols reads names with commas between.
func protocols(text string) []string {
	var list []string
	for name := range strings.SplitSeq(text, ",") {
		if name != "" {
			list = append(list, name)
		}
	}
	return list
}

func setServerVerify(p *params, s *Server) {
	switch v := p.arg(1); v {
	case "":
		p.failKeyword(codeMissingValue, "'verify' : missing verify method.")
	case "none", "required":
		s.Check.Verify = v
	default:
		p.failArg(1, codeInvalidValue, "'verify' : unknown verify method '%s', only 'none' and 'required' are supported.", v)
	}
}

func setServerVerifyHost(p *params, s *Server) {
	if s.Check.VerifyHost = p.arg(1); s.Check.VerifyHost == "" {
		p.failKeyword(codeMissingValue, "'verifyhost' : missing hostname to verify against.")
	}
}

func setServerCAFile(p *params, s *Server) {
	if s.Check.CAFile = p.arg(1); s.Check.CAFile == "" {
		p.failKeyword(codeMissingValue, "'ca-file' : missing CAfile path.")
	}
}

func parseServerVerifyDefault(p *parser, s *stmt) {
	if p.tooMany(s, 1, 1) {
		return
	}
	switch v := s.arg(1); v {
	case "none", "required":
		p.cfg.Global.NoServerVerify = v == "none"
	default:
		p.alertTight(s, 1, codeInvalidValue, "'%s' expects 'required' or 'none' as argument.", s.keyword())
	}
}

func parseCABase(p *parser, s *stmt) {
	switch {
	case p.tooMany(s, 1, 1):
	case s.arg(1) == "":
		p.alertTight(s, 1, codeMissingValue, "'%s' expects a path as argument.", s.keyword())
	default:
		p.cfg.Global.CABase = s.arg(1)
	}
}

// CompleteTLS fills in, once, what a server line leaves to the defaults of its check in TLS. It reports a server whose
// certificate cannot be verified.
func (c *ServerCheck) CompleteTLS(g *Global) error {
	if c.CAFile != "" && !strings.HasPrefix(c.CAFile, "/") && !strings.HasPrefix(c.CAFile, "@") && g.CABase != "" {
		c.CAFile = g.CABase + "/" + c.CAFile
	}
	if c.Verify == "" {
		c.Verify = "required"
		if g.NoServerVerify {
			c.Verify = "none"
		}
	}
	if c.Verify == "required" && c.CAFile == "" {
		return errNoCAFile
	}
	return nil
}

const errNoCAFile = refusal("verify is enabled by default but no CA file specified.")

// checkTLS completes what checks of a server in TLS need.
func (p *parser) checkTLS(px *proxyState, s *Server) {
	if err := s.Check.CompleteTLS(&p.cfg.Global); err != nil {
		p.about(Alert, placeSpaced, s.Pos, "no-ca-file", "'server "+px.Name+"/"+s.Name+"' : "+err.Error(),
			"name one with 'ca-file', or trust any server with 'verify none'; 'ssl-server-verify none' in global makes that the default")
	}
}
