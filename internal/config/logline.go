package config

import (
	"cmp"
	"net/netip"
	"slices"
	"strconv"
	"strings"
)

const (
	defaultLogPort = 514
	defaultLogLen  = 1024
)

// logFacilities and logLevels are the words for the numbers of syslog.
var (
	logFacilities = []string{
		"kern", "user", "mail", "daemon", "auth", "syslog", "lpr", "news", "uucp", "cron", "auth2", "ftp",
		"ntp", "audit", "alert", "cron2", "local0", "local1", "local2", "local3", "local4", "local5", "local6", "local7",
	}
	logLevels  = []string{"emerg", "alert", "crit", "err", "warning", "notice", "info", "debug"}
	logHeaders = map[string]LogHeader{
		"local": HeaderLocal, "rfc3164": HeaderRFC3164, "rfc5424": HeaderRFC5424, "priority": HeaderPriority,
		"short": HeaderShort, "timed": HeaderTimed, "iso": HeaderISO, "raw": HeaderRaw,
	}
)

// parseLogTarget reads a log line with a target; words[0] is "log". "log global" is the caller's.
func parseLogTarget(words []string, env func(string) (string, bool)) (LogTarget, []argError) {
	t := LogTarget{Len: defaultLogLen, Level: len(logLevels) - 1}
	p := &params{words: words, env: env}
	if len(words) < 3 {
		p.failKeyword(codeMissingValue, "log : expects <address> and <facility> or global as arguments")
		return t, p.errs
	}
	p.pos = 1
	p.logTarget(&t)
	p.pos = 2
	p.logOptions(&t)
	p.logSeverity(&t)
	return t, p.errs
}

// logTarget reads the address.
func (p *params) logTarget(t *LogTarget) {
	word := p.words[p.pos]
	switch word {
	case "stdout":
		t.Kind, t.FD = LogFD, 1
		return
	case "stderr":
		t.Kind, t.FD = LogFD, 2
		return
	}
	for _, prefix := range []string{"ring@", "backend@", "tcp@", "tcp4@", "tcp6@", "uxst@", "stream+"} {
		if strings.HasPrefix(word, prefix) {
			p.failKeyword(codeNotImplemented, "log : target '%s' is not implemented yet", word)
			return
		}
	}
	a, err := parseAddress(word, descriptorOK|datagramFirst, p.env)
	switch {
	case err != nil:
		p.failKeyword(errorCode(err), "log : %s", err)
	case a.Kind == AddrFD:
		t.Kind, t.FD = LogFD, a.FD
	case a.Kind == AddrAbstract:
		p.failKeyword(codeNotImplemented, "log : target '%s' is not implemented yet", word)
	case a.Kind == AddrUnix:
		t.Kind, t.Path = LogUnix, a.Path
	default:
		t.Kind, t.Host = LogUDP, a.Host
		t.Addr = netip.AddrPortFrom(a.IP, uint16(cmp.Or(a.Port, defaultLogPort)))
	}
}

// logOptions reads what may stand between the target and the facility, in HAProxy's fixed order.
func (p *params) logOptions(t *LogTarget) {
	if p.words[p.pos] == "len" {
		n := parseAtol(p.arg(1))
		if n < 80 || n > 65535 {
			p.failArg(1, codeInvalidValue, "log : invalid log length '%s', must be between 80 and 65535", p.arg(1))
		}
		t.Len = n
		p.pos += 2
	}
	if p.pos < len(p.words) && p.words[p.pos] == "format" {
		header, ok := logHeaders[p.arg(1)]
		if !ok {
			p.failArg(1, codeInvalidValue, "log : unknown log format '%s'", p.arg(1))
		}
		t.Format, t.FormatSet = header, true
		p.pos += 2
	}
	if p.pos < len(p.words) && p.words[p.pos] == "sample" {
		p.logSample(t)
		p.pos += 2
	}
	if p.pos < len(p.words) && p.words[p.pos] == "profile" {
		p.notYet(false)
		p.pos += 2
	}
}

// logSample reads <ranges>:<size>; ranges are numbers or low-high with commas, none twice.
func (p *params) logSample(t *LogTarget) {
	ranges, size, ok := strings.Cut(p.arg(1), ":")
	if !ok {
		p.failArg(1, codeInvalidValue, "log : Missing sample size")
		return
	}
	type span struct{ low, high int }
	var spans []span
	highest := 0
	for _, word := range strings.Split(ranges, ",") {
		first, last, isRange := strings.Cut(word, "-")
		if !isRange {
			last = first
		}
		low, err1 := strconv.Atoi(first)
		high, err2 := strconv.Atoi(last)
		if err1 != nil || err2 != nil || low < 1 || high < low {
			p.failArg(1, codeInvalidValue, "log : wrong sample range '%s'", word)
			return
		}
		spans = append(spans, span{low, high})
		highest = max(highest, high)
	}
	slices.SortFunc(spans, func(a, b span) int { return cmp.Compare(a.low, b.low) })
	for i := 1; i < len(spans); i++ {
		if spans[i].low <= spans[i-1].high {
			p.failArg(1, codeInvalidValue, "log : ranges are overlapping")
			return
		}
	}
	n, err := strconv.Atoi(size)
	if err != nil || n <= 0 {
		p.failArg(1, codeInvalidValue, "log : wrong sample size '%s' for sample range '%s'", size, ranges)
		return
	}
	if n < highest {
		p.failArg(1, codeInvalidValue, "log : sample size %d should be greater or equal to %d the maximum of the high ranges limits", n, highest)
		return
	}
	t.SampleRanges, t.SampleSize = ranges, n
}

// logSeverity reads the facility and the two levels that end the line.
func (p *params) logSeverity(t *LogTarget) {
	if p.pos >= len(p.words) {
		if len(p.errs) == 0 {
			p.pos = 0
			p.failKeyword(codeMissingValue, "log : expects <address> and <facility> or global as arguments")
		}
		return
	}
	if t.Facility = slices.Index(logFacilities, p.words[p.pos]); t.Facility < 0 {
		t.Facility = 0
		p.failKeyword(codeInvalidValue, "log : unknown log facility '%s'", p.words[p.pos])
		return
	}
	if level := p.arg(1); level != "" {
		if t.Level = slices.Index(logLevels, level); t.Level < 0 {
			t.Level = 0
			p.failArg(1, codeInvalidValue, "log : unknown optional log level '%s'", level)
		}
	}
	if level := p.arg(2); level != "" {
		if t.MinLevel = slices.Index(logLevels, level); t.MinLevel < 0 {
			t.MinLevel = 0
			p.failArg(2, codeInvalidValue, "log : unknown optional minimum log level '%s'", level)
		}
	}
	if word := p.arg(3); word != "" {
		p.failArg(3, codeUnexpectedWord, "log : cannot handle unexpected argument '%s'", word)
	}
}
