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
		px.Logs = nil
	case len(s.words) == 2 && s.arg(1) == "global":
		if !slices.Contains(px.Logs, globalMark) {
			px.Logs = append(px.Logs, globalMark)
		}
	default:
		if t, ok := p.logTarget(s, "log : expects <address> and <facility> or global as arguments"); ok {
			px.Logs = append(px.Logs, t)
		}
	}
}

// expandLogs puts the global loggers where log global stood.
func expandLogs(logs, global []LogTarget) []LogTarget {
	at := slices.Index(logs, globalMark)
	if at < 0 {
		return logs
	}
	out := slices.Clone(logs[:at])
	out = append(out, global...)
	return append(out, logs[at+1:]...)
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
