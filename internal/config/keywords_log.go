package config

import "slices"

// globalMark stands for the loggers of the global section until all of it was read.
var globalMark = LogTarget{Path: "global"}

func parseProxyLog(p *parser, s *stmt) {
	px := p.px
	switch {
	case s.mod == modNo && len(s.words) > 1:
		p.alert(s, 1, codeUnexpectedWord, "log : 'no log' does not expect arguments")
	case s.mod == modNo:
		px.baseLogs, px.Logs, px.logGlobal = nil, nil, false
	case len(s.words) == 2 && s.arg(1) == "global":
		if !px.logGlobal {
			px.Logs = append(px.Logs, globalMark)
			px.logGlobal = true
		}
	default:
		if t, ok := p.logTarget(s, "log : expects <address> and <facility> or global as arguments"); ok {
			px.Logs = append(px.Logs, t)
		}
	}
}

// maxLogTargets is how many log targets all proxies may have in all, not counting those that proxies share
// because they come from the same defaults section.
const maxLogTargets = 1 << 20

// logLists completes the loggers of proxies. What several proxies inherit unchanged is expanded once and shared.
type logLists struct {
	global []LogTarget
	shared map[*LogTarget][]LogTarget // by the first target of the list inherited
	copied int
}

// complete is what px inherits, then what it has itself, with the global loggers where log global stood.
// It reports false when there are too many.
func (l *logLists) complete(px *proxyState) ([]LogTarget, bool) {
	if len(px.baseLogs) == 0 {
		return l.expand(px.Logs)
	}
	base, ok := l.shared[&px.baseLogs[0]]
	if !ok {
		if base, ok = l.expand(px.baseLogs); !ok {
			return nil, false
		}
		l.shared[&px.baseLogs[0]] = base
	}
	if len(px.Logs) == 0 {
		return base, true
	}
	own, ok := l.expand(px.Logs)
	l.copied += len(base)
	if !ok || l.copied > maxLogTargets {
		return nil, false
	}
	return slices.Concat(base, own), true
}

func (l *logLists) expand(logs []LogTarget) ([]LogTarget, bool) {
	at := slices.Index(logs, globalMark)
	if at < 0 {
		return logs, true
	}
	l.copied += len(logs) + len(l.global)
	if l.copied > maxLogTargets {
		return nil, false
	}
	return slices.Concat(logs[:at], l.global, logs[at+1:]), true
}

// parseLogFormat reads log-format, error-log-format and log-format-sd.
func parseLogFormat(p *parser, s *stmt) {
	px := p.px
	switch {
	case len(s.words) < 2:
		p.alert(s, 1, codeMissingValue, "%s expects an argument.", s.keyword())
		return
	case len(s.words) > 2:
		p.alert(s, 2, codeUnexpectedWord, "%s expects only one argument, don't forget to escape spaces!", s.keyword())
		return
	}
	if s.keyword() == "log-format" {
		if !p.setsLogFormat(s, "log-format") {
			return
		}
		px.LogFormat, px.LogFormatPos = s.arg(1), p.pos(s, 1)
		px.TCPLog, px.TCPLogCLF = false, false
		return
	}
	if px.in()&inB != 0 {
		p.warn(s, 0, codeNotAllowedHere, "backend '%s' : '%s' directive is ignored in backends.", px.Name, s.keyword())
		return
	}
	if s.keyword() == "log-format-sd" {
		px.LogFormatSD = s.arg(1)
		if px.LogFormatPos.Line == 0 {
			px.LogFormatPos = p.pos(s, 1)
		}
	} else {
		px.ErrorLogFormat = s.arg(1)
	}
}

func parseProxyLogTag(p *parser, s *stmt) { p.logTag(s, &p.px.LogTag) }
