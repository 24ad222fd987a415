package config

import "strings"

// External checks ask a program about a server. Programs are only started when the global section says so twice:
// external-check names the feature, insecure-fork-wanted lets the process have children.

// parseExternalCheck reads the line of the global section.
func parseExternalCheck(p *parser, s *stmt) {
	preserve := s.arg(1) == "preserve-env"
	if preserve && p.tooMany(s, 1, 1) || !preserve && p.tooMany(s, 0, 1) {
		return
	}
	p.cfg.Global.ExternalCheck, p.cfg.Global.ExternalPreserveEnv = true, preserve
}

// parseExternalCommand reads the line that says which program asks, or where programs are.
func parseExternalCommand(p *parser, s *stmt) {
	field := map[string]*string{"command": &p.px.ExternalCommand, "path": &p.px.ExternalPath}[s.arg(1)]
	switch {
	case s.arg(1) == "":
		p.alert(s, 1, codeMissingValue, "missing argument after '%s'.", s.keyword())
	case field == nil:
		p.alert(s, 1, codeUnknownKeyword, "'%s' only supports 'command' and 'path'. but got '%s'.", s.keyword(), s.arg(1))
	case s.arg(2) == "":
		p.alert(s, 2, codeMissingValue, "missing argument after '%s'.", s.arg(1))
	case len(s.words) > 3:
		p.alert(s, 3, codeUnexpectedWord, "'%s' cannot handle unexpected argument '%s'.", s.keyword(), s.arg(3))
	default:
		*field = s.arg(2)
	}
}

// checkExternal makes the checks of external checks that need the global section.
func (p *parser) checkExternal(px *proxyState) {
	g := &p.cfg.Global
	const option = "option external-check"
	if px.Check.Kind != CheckExternal {
		return
	}
	if !g.ExternalCheck {
		p.aboutf(Alert, px.Pos, "external-check", "Proxy '%s' : '%s' unable to find required 'global.external-check'.", px.Name, option)
	}
	switch {
	case px.ExternalCommand == "":
		p.aboutf(Alert, px.Pos, "external-check", "Proxy '%s' : '%s' unable to find required 'external-check command'.", px.Name, option)
	case !strings.HasPrefix(px.ExternalCommand, "/") && px.ExternalPath == "":
		p.aboutf(Alert, px.Pos, "external-check", "Proxy '%s': 'external-check command' does not have a leading '/' and 'external-check path' is not set.", px.Name)
	}
	if !g.InsecureFork {
		p.aboutf(Warning, px.Pos, "external-check", "Proxy '%s' : 'insecure-fork-wanted' not enabled in the global section, '%s' will fail.", px.Name, option)
	}
	if g.Chroot != "" {
		p.aboutf(Warning, px.Pos, "external-check", "Proxy '%s' : '%s' starts its program inside of the chroot '%s': all that it needs has to be there.",
			px.Name, option, g.Chroot)
	}
}
