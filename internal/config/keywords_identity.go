package config

import (
	"os/user"
	"strconv"
	"strings"
)

func parseChroot(p *parser, s *stmt) {
	if p.tooMany(s, 1, 1) {
		return
	}
	switch {
	case len(s.words) < 2:
		p.alert(s, 1, codeMissingValue, "'%s' expects a directory as an argument.", s.keyword())
	case p.cfg.Global.Chroot != "":
		p.warn(s, 0, "repeated", "'%s' already specified. Continuing.", s.keyword())
	default:
		p.cfg.Global.Chroot = s.arg(1)
	}
}

func parseUser(p *parser, s *stmt) {
	if p.tooMany(s, 1, 1) {
		return
	}
	if p.userSet {
		p.warn(s, 0, "repeated", "user/uid already specified. Continuing.")
		return
	}
	if s.keyword() == "uid" {
		p.userSet = p.numericID(s, &p.cfg.Global.UID, "user")
		return
	}
	p.userSet = true
	if len(s.words) < 2 {
		p.alert(s, 1, codeMissingValue, "'%s' expects a user name.", s.keyword())
		return
	}
	p.cfg.Global.User = s.arg(1)
	u, err := user.Lookup(s.arg(1))
	if err == nil {
		p.cfg.Global.UID, err = strconv.Atoi(u.Uid)
	}
	if err != nil {
		p.alert(s, 1, "unknown-user", "cannot find user id for '%s' (0:Success)", s.arg(1))
	}
}

func parseGroup(p *parser, s *stmt) {
	if p.tooMany(s, 1, 1) {
		return
	}
	if p.groupSet {
		p.warn(s, 0, "repeated", "gid/group was already specified. Continuing.")
		return
	}
	if s.keyword() == "gid" {
		p.groupSet = p.numericID(s, &p.cfg.Global.GID, "group")
		return
	}
	p.groupSet = true
	if len(s.words) < 2 {
		p.alert(s, 1, codeMissingValue, "'%s' expects a group name.", s.keyword())
		return
	}
	p.cfg.Global.Group = s.arg(1)
	g, err := user.LookupGroup(s.arg(1))
	if err == nil {
		p.cfg.Global.GID, err = strconv.Atoi(g.Gid)
	}
	if err != nil {
		p.alert(s, 1, "unknown-group", "cannot find group id for '%s' (0:Success)", s.arg(1))
	}
}

// numericID reads the argument of uid or gid; other names the keyword that takes a name. It reports success.
func (p *parser) numericID(s *stmt, id *int, other string) bool {
	if len(s.words) < 2 {
		p.alert(s, 1, codeMissingValue, "'%s' expects an integer argument.", s.keyword())
		return false
	}
	n, err := strconv.Atoi(s.arg(1))
	if err != nil {
		p.warn(s, 1, codeInvalidValue, " %s: string '%s' is not a number.\n   | You might want to use the '%s' parameter to use a system %s name.",
			s.keyword(), s.arg(1), other, other)
		return false
	}
	*id = n
	return true
}

func parsePidFile(p *parser, s *stmt) {
	if p.tooMany(s, 1, 1) {
		return
	}
	switch {
	case len(s.words) < 2:
		p.alert(s, 1, codeMissingValue, "'%s' expects a file name as an argument.", s.keyword())
	case p.cfg.Global.PidFile != "":
		p.warn(s, 0, "repeated", "'%s' already specified. Continuing.", s.keyword())
	default:
		p.cfg.Global.PidFile = s.arg(1)
	}
}

func parseNode(p *parser, s *stmt) {
	if p.tooMany(s, 1, 1) {
		return
	}
	name := s.arg(1)
	bad := strings.IndexFunc(name, func(r rune) bool {
		return r > 127 || !isDigit(byte(r)) && !isNameStart(byte(r)) && r != '-' && r != '.'
	})
	if name == "" || bad >= 0 {
		p.alertTight(s, 1, codeInvalidValue, "'%s' requires valid node name - non-empty string with digits(0-9), letters(A-Z, a-z), dot(.), hyphen(-) or underscode(_).", s.keyword())
		return
	}
	p.cfg.Global.Node = name
}

func parseGlobalDescription(p *parser, s *stmt) {
	if len(s.words) < 2 {
		p.alertTight(s, 1, codeMissingValue, "'%s' expects a string argument.", s.keyword())
		return
	}
	p.cfg.Global.Description = s.rest(1)
}

func parseLocalPeer(p *parser, s *stmt) {
	if p.tooMany(s, 1, 1) {
		return
	}
	if len(s.words) < 2 {
		p.alert(s, 1, codeMissingValue, "'%s' expects a name as an argument.", s.keyword())
		return
	}
	if p.opt.LocalPeerForced {
		p.warn(s, 0, "ignored", "'%s' ignored since it is already set by using the '-L' command line argument.", s.keyword())
		return
	}
	p.cfg.Global.LocalPeer = s.arg(1)
	p.env.set("HAPROXY_LOCALPEER", s.arg(1))
}
