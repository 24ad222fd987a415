package config

import (
	"os/user"
	"strconv"
	"time"
)

func parseGlobalStats(p *parser, s *stmt) {
	g := &p.cfg.Global
	switch s.arg(1) {
	case "socket":
		words := s.texts(1)
		b, errs := parseBind(words, true, p.env.lookup)
		message := func(e argError) string { return bindMessage(e, words, "global", true) }
		if !p.argErrors(s, 1, errs, placeSpaced, message) && b != nil {
			b.Pos = p.pos(s, 2)
			p.presetUnix(b)
			g.StatsSockets = append(g.StatsSockets, b)
		}
	case "timeout":
		if p.tooMany(s, 1, 2) {
			return
		}
		if len(s.words) < 3 {
			p.alert(s, 2, codeMissingValue, "'stats timeout' expects <time> as argument.")
			return
		}
		d, err := parseTime(s.arg(2), time.Millisecond)
		switch {
		case err != nil:
			p.alert(s, 2, codeInvalidValue, "'stats timeout' : %s", err)
		case d == 0:
			p.alert(s, 2, codeInvalidValue, "'stats timeout' expects a positive value")
		default:
			g.StatsTimeout = d
		}
	case "maxconn":
		if p.tooMany(s, 1, 2) {
			return
		}
		n := parseAtol(s.arg(2))
		if n <= 0 {
			p.alert(s, 2, codeInvalidValue, "'stats maxconn' expects a positive value")
			return
		}
		g.StatsMaxConn = n
	case "calculate-max-counters":
		if s.arg(2) != "on" && s.arg(2) != "off" {
			p.alert(s, 2, codeInvalidValue, "'stats calculate-max-counters' only supports 'on' and 'off' (got '%s')", s.arg(2))
		}
	default:
		p.alert(s, 1, codeInvalidValue, "'stats' only supports 'socket', 'maxconn', 'bind-process' and 'timeout' (got '%s')", s.arg(1))
	}
}

// presetUnix gives a bind line what unix-bind said for all.
func (p *parser) presetUnix(b *Bind) {
	for i := range b.Addrs {
		if b.Addrs[i].Kind == AddrUnix && p.unix.prefix != "" {
			b.Addrs[i].Path = p.unix.prefix + b.Addrs[i].Path
		}
	}
	if b.Mode < 0 {
		b.Mode = p.unix.mode
	}
	if b.UID < 0 {
		b.UID = p.unix.uid
	}
	if b.GID < 0 {
		b.GID = p.unix.gid
	}
}

// unixDefaults is what unix-bind said; -1 is nothing.
type unixDefaults struct {
	prefix         string
	mode, uid, gid int
}

func parseUnixBind(p *parser, s *stmt) {
	for i := 1; i < len(s.words); i += 2 {
		value := s.arg(i + 1)
		var err error
		switch s.arg(i) {
		case "prefix":
			p.unix.prefix = value
		case "mode":
			var n uint64
			n, err = strconv.ParseUint(value, 8, 32)
			p.unix.mode = int(n)
		case "uid":
			p.unix.uid = parseAtol(value)
		case "gid":
			p.unix.gid = parseAtol(value)
		case "user":
			u, lookupErr := user.Lookup(value)
			if lookupErr != nil {
				p.alert(s, i+1, "unknown-user", "'%s' : '%s' unknown user.", s.keyword(), value)
				return
			}
			p.unix.uid = parseAtol(u.Uid)
		case "group":
			g, lookupErr := user.LookupGroup(value)
			if lookupErr != nil {
				p.alert(s, i+1, "unknown-group", "'%s' : '%s' unknown group.", s.keyword(), value)
				return
			}
			p.unix.gid = parseAtol(g.Gid)
		default:
			p.alert(s, i, codeInvalidValue, "'%s' only supports the 'prefix', 'mode', 'uid', 'gid', 'user' and 'group' options.", s.keyword())
			return
		}
		if err != nil || value == "" {
			p.alert(s, i+1, codeInvalidValue, "'%s %s' : missing or invalid value '%s'", s.keyword(), s.arg(i), value)
			return
		}
	}
}
