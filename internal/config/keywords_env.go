package config

import (
	"strings"
)

func parseSetEnv(p *parser, s *stmt) {
	if p.tooMany(s, 2, 1) {
		return
	}
	if len(s.words) < 3 {
		p.alertTight(s, len(s.words), codeMissingValue, "'%s' expects a name and a value.", s.keyword())
		return
	}
	name := s.arg(1)
	switch {
	case strings.Contains(name, "="):
		p.alertTight(s, 1, codeInvalidValue, "'%s' failed on variable '%s' : Invalid argument.", s.keyword(), name)
	case s.keyword() == "presetenv":
		p.env.preset(name, s.arg(2))
	default:
		p.env.set(name, s.arg(2))
	}
}

func parseUnsetEnv(p *parser, s *stmt) {
	if len(s.words) < 2 {
		p.alertTight(s, 1, codeMissingValue, "'%s' expects at least one variable name.", s.keyword())
		return
	}
	for i, name := range s.texts(1) {
		if strings.Contains(name, "=") {
			p.alertTight(s, i+1, codeInvalidValue, "'%s' failed on variable '%s' : Invalid argument.", s.keyword(), name)
			continue
		}
		p.env.unset(name)
	}
}

func parseResetEnv(p *parser, s *stmt) { p.env.reset(s.texts(1)) }

func parseDefaultPath(p *parser, s *stmt) {
	g := &p.cfg.Global
	args := 1
	switch mode := s.arg(1); mode {
	case "current":
		g.DefaultPath, g.DefaultPathOrigin = PathCurrent, ""
	case "config":
		g.DefaultPath, g.DefaultPathOrigin = PathConfig, ""
	case "parent":
		g.DefaultPath, g.DefaultPathOrigin = PathParent, ""
	case "origin":
		if len(s.words) < 3 {
			p.alert(s, 2, codeMissingValue, "'%s %s' expects a directory as an argument.", s.keyword(), mode)
			return
		}
		g.DefaultPath, g.DefaultPathOrigin = PathOrigin, s.arg(2)
		args = 2
	default:
		kind := "unsupported"
		if mode == "" {
			kind = "missing"
		}
		p.alert(s, 1, codeInvalidValue, "%s default-path mode '%s' for '%s', supported modes include 'current', 'config', 'parent', and 'origin'.",
			kind, mode, s.keyword())
		return
	}
	p.tooMany(s, args, 1)
}
