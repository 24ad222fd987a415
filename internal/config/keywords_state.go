package config

// This file reads the lines about server state files.

func parseServerStateBase(p *parser, s *stmt) {
	if path := &p.cfg.Global.ServerStateBase; p.stateName(s, path, "expects one argument: a directory path.") {
		*path = s.arg(1)
	}
}

func parseServerStateFile(p *parser, s *stmt) {
	if path := &p.cfg.Global.ServerStateFile; p.stateName(s, path, "expect one argument: a file path.") {
		*path = s.arg(1)
	}
}

// stateName reports whether a line gives what no line has given before.
func (p *parser) stateName(s *stmt, before *string, expects string) bool {
	switch {
	case *before != "":
		p.alert(s, 0, "repeated", "'%s' already specified. Continuing.", s.keyword())
	case s.arg(1) == "":
		p.alert(s, 1, codeMissingValue, "'%s' %s", s.keyword(), expects)
	default:
		return !p.tooMany(s, 1, 1)
	}
	return false
}

func parseLoadServerState(p *parser, s *stmt) {
	switch s.arg(1) {
	case "none":
		p.px.LoadStates = StatesNone
	case "global":
		p.px.LoadStates = StatesGlobal
	case "local":
		p.px.LoadStates = StatesLocal
	default:
		p.alert(s, 1, codeInvalidValue, "'%s' expects 'global', 'local' or 'none'. Got '%s'", s.keyword(), s.arg(1))
	}
}

func parseServerStateFileName(p *parser, s *stmt) {
	if p.tooMany(s, 1, 1) {
		return
	}
	p.px.StateFileName = s.arg(1)
	if s.arg(1) == "use-backend-name" {
		p.px.StateFileName = ""
	}
}
