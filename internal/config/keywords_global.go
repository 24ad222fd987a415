package config

import (
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"
)

// globalKeyword is what a keyword means in a global section.
type globalKeyword struct {
	class Class
	parse func(*parser, *stmt) // nil: every argument is accepted and nothing happens
	note  string               // of a keyword without parse: why it has no effect; empty: nobody needs to know
}

// globalKeywords are all keywords that HAProxy knows in a global section.
var globalKeywords = map[string]globalKeyword{
	"daemon":                             globalFlag(func(g *Global) *bool { return &g.Daemon }, true),
	"quiet":                              globalFlag(func(g *Global) *bool { return &g.Quiet }, true),
	"zero-warning":                       globalFlag(func(g *Global) *bool { return &g.ZeroWarning }, true),
	"nosplice":                           globalFlag(func(g *Global) *bool { return &g.NoSplice }, true),
	"noreuseport":                        globalFlag(func(g *Global) *bool { return &g.NoReusePort }, true),
	"noepoll":                            globalFlag(func(g *Global) *bool { return &g.NoEpoll }, true),
	"busy-polling":                       globalFlag(func(g *Global) *bool { return &g.BusyPolling }, true),
	"strict-limits":                      globalFlag(func(g *Global) *bool { return &g.StrictLimits }, true),
	"maxconn":                            globalInt(func(g *Global) *int { return &g.MaxConn }, 0),
	"maxconnrate":                        globalInt(func(g *Global) *int { return &g.MaxConnRate }, 0),
	"maxsessrate":                        globalInt(func(g *Global) *int { return &g.MaxSessRate }, 0),
	"maxpipes":                           globalInt(func(g *Global) *int { return &g.MaxPipes }, 0),
	"ulimit-n":                           globalInt(func(g *Global) *int { return &g.ULimitN }, 0),
	"fd-hard-limit":                      globalInt(func(g *Global) *int { return &g.FDHardLimit }, 0),
	"tune.maxaccept":                     globalInt(func(g *Global) *int { return &g.MaxAccept }, -1),
	"tune.maxpollevents":                 globalInt(func(g *Global) *int { return &g.MaxPollEvts }, 1),
	"tune.pipesize":                      globalSize(func(g *Global) *int { return &g.PipeSize }),
	"tune.bufsize":                       globalSize(func(g *Global) *int { return &g.BufSize }),
	"tune.rcvbuf.client":                 globalSize(func(g *Global) *int { return &g.RcvBufClient }),
	"tune.sndbuf.client":                 globalSize(func(g *Global) *int { return &g.SndBufClient }),
	"tune.rcvbuf.server":                 globalSize(func(g *Global) *int { return &g.RcvBufServer }),
	"tune.sndbuf.server":                 globalSize(func(g *Global) *int { return &g.SndBufServer }),
	"tune.notsent-lowat.client":          globalSize(func(g *Global) *int { return &g.NotSentLowatClient }),
	"tune.notsent-lowat.server":          globalSize(func(g *Global) *int { return &g.NotSentLowatServer }),
	"hard-stop-after":                    globalTime(func(g *Global) *time.Duration { return &g.HardStopAfter }),
	"grace":                              globalTime(func(g *Global) *time.Duration { return &g.Grace }),
	"spread-checks":                      {class: Implemented, parse: parseSpreadChecks},
	"max-spread-checks":                  globalTime(func(g *Global) *time.Duration { return &g.MaxSpreadChecks }),
	"tune.idletimer":                     {class: Implemented, parse: parseIdleTimer},
	"chroot":                             {class: Implemented, parse: parseChroot},
	"user":                               {class: Implemented, parse: parseUser},
	"uid":                                {class: Implemented, parse: parseUser},
	"group":                              {class: Implemented, parse: parseGroup},
	"gid":                                {class: Implemented, parse: parseGroup},
	"server-state-base":                  {class: Implemented, parse: parseServerStateBase},
	"server-state-file":                  {class: Implemented, parse: parseServerStateFile},
	"pidfile":                            {class: Implemented, parse: parsePidFile},
	"session-handover":                   {class: Implemented, parse: parseSessionHandover},
	"steer":                              {class: Implemented, parse: parseSteer},
	"nbthread":                           {class: Implemented, parse: parseNbThread},
	"thread-groups":                      {class: Implemented, parse: parseThreadGroups},
	"stats":                              {class: Implemented, parse: parseGlobalStats},
	"log":                                {class: Implemented, parse: parseGlobalLog},
	"log-send-hostname":                  {class: Implemented, parse: parseLogSendHostname},
	"log-tag":                            {class: Implemented, parse: parseGlobalLogTag},
	"ca-base":                            {class: Implemented, parse: parseCABase},
	"ssl-server-verify":                  {class: Implemented, parse: parseServerVerifyDefault},
	"node":                               {class: Implemented, parse: parseNode},
	"description":                        {class: Implemented, parse: parseGlobalDescription},
	"localpeer":                          {class: Implemented, parse: parseLocalPeer},
	"cpu-map":                            {class: Implemented, parse: parseCPUMap},
	"setenv":                             {class: Implemented, parse: parseSetEnv},
	"presetenv":                          {class: Implemented, parse: parseSetEnv},
	"unsetenv":                           {class: Implemented, parse: parseUnsetEnv},
	"resetenv":                           {class: Implemented, parse: parseResetEnv},
	"default-path":                       {class: Implemented, parse: parseDefaultPath},
	"unix-bind":                          {class: Implemented, parse: parseUnixBind},
	"external-check":                     {class: Implemented, parse: parseExternalCheck},
	"insecure-fork-wanted":               globalFlag(func(g *Global) *bool { return &g.InsecureFork }, true),
	"profiling.tasks":                    {class: Implemented, parse: parseProfiling},
	"set-dumpable":                       {class: Implemented, parse: parseSetDumpable},
	"master-worker":                      {class: Implemented, parse: parseMasterWorker},
	"mworker-max-reloads":                {class: Implemented, parse: parseMaxReloads},
	"harden.reject-privileged-ports.tcp": {class: NotYet, parse: parseHarden},

	"nbproc": {class: Removed, note: "nbproc is not supported any more since HAProxy 2.5. Threads will automatically be used on multi-processor machines if available."},

	"set-var":        {class: NotYet},
	"set-var-fmt":    {class: NotYet},
	"setcap":         {class: NotYet},
	"stats-file":     {class: NotYet},
	"shm-stats-file": {class: NotYet},
}

// newGlobal is a global section before any line of one.
func newGlobal() Global {
	return Global{
		UID: -1, GID: -1, StrictLimits: true,
		StatsTimeout: 10 * time.Second, StatsMaxConn: 10,
		MaxReloads: DefaultMaxReloads, BufSize: 16384, MaxAccept: 4, MaxPollEvts: 200, IdleTimer: time.Second,
	}
}

func (p *parser) globalStatement(s *stmt) {
	kw, ok := globalKeywords[s.keyword()]
	if !ok {
		p.unknown(s, "global", sortedKeys(globalKeywords))
		return
	}
	switch {
	case kw.class == Removed:
		p.alert(s, 0, "removed", "%s", kw.note)
	case kw.parse != nil:
		kw.parse(p, s)
	case kw.class == NotYet:
		p.at(s, 0, Alert, placeSpaced, codeNotImplemented, notYet(s.keyword()), "")
	case kw.note != "":
		p.warn(s, 0, "ignored", "'%s' is ignored: %s.", s.keyword(), kw.note)
	}
}

// unknown reports a keyword that is in no table.
func (p *parser) unknown(s *stmt, section string, known []string) {
	if near := nearestWord(s.keyword(), known); near != "" {
		p.alert(s, 0, codeUnknownKeyword, "unknown keyword '%s' in '%s' section; did you mean '%s' maybe ?", s.keyword(), section, near)
		return
	}
	p.alert(s, 0, codeUnknownKeyword, "unknown keyword '%s' in '%s' section", s.keyword(), section)
}

func globalFlag(field func(*Global) *bool, value bool) globalKeyword {
	return globalKeyword{class: Implemented, parse: func(p *parser, s *stmt) {
		if !p.tooMany(s, 0, 1) {
			*field(&p.cfg.Global) = value == (s.mod != modNo)
		}
	}}
}

// parseSessionHandover reads a keyword that HAProxy does not have: on [ keep | drain <time> ], or off.
func parseSessionHandover(p *parser, s *stmt) {
	g := &p.cfg.Global
	words := s.texts(1)
	switch {
	case len(words) == 1 && words[0] == "off":
		g.NoSessionHandover = true
	case len(words) == 1 && words[0] == "on", len(words) == 2 && words[0] == "on" && words[1] == "keep":
		g.NoSessionHandover, g.DrainDeparted = false, 0
	case len(words) == 3 && words[0] == "on" && words[1] == "drain":
		if after, ok := p.time(s, 3, time.Millisecond, "drain"); ok {
			g.NoSessionHandover, g.DrainDeparted = false, max(after, time.Millisecond)
		}
	default:
		p.alert(s, 1, codeInvalidValue, "'%s' expects 'on', 'on keep', 'on drain <time>' or 'off'.", s.keyword())
	}
}

// parseSteer reads a keyword that HAProxy does not have.
func parseSteer(p *parser, s *stmt) {
	if p.tooMany(s, 1, 1) {
		return
	}
	switch s.arg(1) {
	case "hash":
		p.cfg.Global.Steer = SteerHash
	case "cpu":
		p.cfg.Global.Steer = SteerCPU
	case "ebpf":
		p.cfg.Global.Steer = SteerEBPF
	default:
		p.alert(s, 1, codeInvalidValue, "'%s' only supports 'hash', 'cpu' and 'ebpf' (got '%s').", s.keyword(), s.arg(1))
	}
}

// globalInt reads a number as HAProxy does: what is not a number counts as 0. Values below least
// become least.
func globalInt(field func(*Global) *int, least int) globalKeyword {
	return globalKeyword{class: Implemented, parse: func(p *parser, s *stmt) {
		if n, ok := p.integer(s); ok {
			*field(&p.cfg.Global) = max(n, least)
		}
	}}
}

// parseSpreadChecks reads how far checks are moved at random.
func parseSpreadChecks(p *parser, s *stmt) {
	n, ok := p.integer(s)
	switch {
	case !ok:
	case n < 0 || n > 50:
		p.alert(s, 1, codeInvalidValue, "'%s' needs a positive value in range 0..50.", s.keyword())
	default:
		p.cfg.Global.SpreadChecks = n
	}
}

// integer reads the only argument of s.
func (p *parser) integer(s *stmt) (int, bool) {
	if p.tooMany(s, 1, 1) {
		return 0, false
	}
	if len(s.words) < 2 {
		p.alert(s, 1, codeMissingValue, "'%s' expects an integer argument.", s.keyword())
		return 0, false
	}
	return p.atol(s, 1), true
}

// atol reads word i as C's atol does: the digits in front count, and what is no number is 0.
func (p *parser) atol(s *stmt, i int) int {
	text := s.arg(i)
	n := parseAtol(text)
	if _, err := strconv.ParseInt(text, 10, 32); err != nil {
		p.at(s, i, Diag, placeSpaced, codeInvalidValue,
			fmt.Sprintf("'%s': '%s' is not a number, it is read as %d.", s.keyword(), text, n), "")
	}
	return n
}

func globalSize(field func(*Global) *int) globalKeyword {
	return globalKeyword{class: Implemented, parse: func(p *parser, s *stmt) {
		if p.tooMany(s, 1, 1) {
			return
		}
		if len(s.words) < 2 {
			p.alert(s, 1, codeMissingValue, "'%s' expects an integer argument.", s.keyword())
			return
		}
		n, err := parseSize(s.arg(1))
		if err != nil {
			p.alert(s, 1, codeInvalidValue, "'%s': %s", s.keyword(), err)
			return
		}
		if s.keyword() == "tune.bufsize" && n <= 0 {
			p.alert(s, 1, codeInvalidValue, "'%s' expects a positive integer argument.", s.keyword())
			return
		}
		*field(&p.cfg.Global) = n
	}}
}

func globalTime(field func(*Global) *time.Duration) globalKeyword {
	return globalKeyword{class: Implemented, parse: func(p *parser, s *stmt) {
		if p.tooMany(s, 1, 1) {
			return
		}
		if len(s.words) < 2 {
			p.alert(s, 1, codeMissingValue, "'%s' expects <time> as argument.", s.keyword())
			return
		}
		if d, ok := p.time(s, 1, time.Millisecond, "<"+s.keyword()+">"); ok {
			*field(&p.cfg.Global) = d
		}
	}}
}

// time reads word i; what names the value in messages: 'timeout client' or <grace>.
func (p *parser) time(s *stmt, i int, unit time.Duration, what string) (time.Duration, bool) {
	text := s.arg(i)
	d, err := parseTime(text, unit)
	var e *unitError
	switch {
	case err == nil:
		return d, true
	case errors.As(err, &e) && e.overflow:
		p.alert(s, i, codeInvalidValue, "timer overflow in argument '%s' to %s (maximum value is 2147483647 ms or ~24.8 days)", text, what)
	case strings.HasPrefix(what, "<"):
		p.alert(s, i, codeInvalidValue, "%s in argument to %s.", err, what)
	default:
		p.alert(s, i, codeInvalidValue, "%s in %s", err, what)
	}
	return 0, false
}

func parseIdleTimer(p *parser, s *stmt) {
	if p.tooMany(s, 1, 1) {
		return
	}
	d, err := parseTime(s.arg(1), time.Millisecond)
	var e *unitError
	switch {
	case errors.As(err, &e) && e.char != 0:
		p.alertTight(s, 1, codeInvalidValue, "%s in argument to <%s>.", err, s.keyword())
	case err != nil || d > 65535*time.Millisecond:
		p.alert(s, 1, codeInvalidValue, "'%s' expects a timer value between 0 and 65535 ms.", s.keyword())
	default:
		p.cfg.Global.IdleTimer = d
	}
}

// maxNbThread is the most threads that nbthread accepts.
const maxNbThread = 1024

func parseNbThread(p *parser, s *stmt) {
	if n, ok := p.between(s, 1, maxNbThread); ok {
		p.cfg.Global.NbThread = n
	}
}

func parseThreadGroups(p *parser, s *stmt) { p.between(s, 1, 64) }

// between reads the only argument as a number from low to high.
func (p *parser) between(s *stmt, low, high int) (int, bool) {
	if p.tooMany(s, 1, 1) {
		return 0, false
	}
	n, err := strconv.Atoi(s.arg(1))
	if err != nil {
		p.alert(s, 1, codeInvalidValue, "'%s' passed a missing or unparsable integer value in '%s'", s.keyword(), s.arg(1))
		return 0, false
	}
	if n < low || n > high {
		p.alert(s, 1, codeInvalidValue, "'%s' value must be between %d and %d (was %d)", s.keyword(), low, high, n)
		return 0, false
	}
	return n, true
}

func parseGlobalLog(p *parser, s *stmt) {
	if s.mod == modNo {
		if len(s.words) > 1 {
			p.alert(s, 1, codeUnexpectedWord, "log : 'no log' does not expect arguments")
			return
		}
		p.cfg.Global.Logs = nil
		return
	}
	if s.arg(1) == "global" {
		p.alert(s, 1, codeInvalidValue, "log : 'global' is not supported for a global syslog server")
		return
	}
	if t, ok := p.logTarget(s, "log : expects <address> and <facility>  as arguments"); ok {
		p.cfg.Global.Logs = append(p.cfg.Global.Logs, t)
	}
}

// logTarget reads a log line. usage is the message about a line that is too short.
func (p *parser) logTarget(s *stmt, usage string) (LogTarget, bool) {
	if len(s.words) < 3 {
		p.alert(s, len(s.words), codeMissingValue, "%s", usage)
		return LogTarget{}, false
	}
	t, errs := parseLogTarget(s.texts(0), p.env.lookup)
	if p.argErrors(s, 0, errs, placeSpaced, argError.message) {
		return LogTarget{}, false
	}
	t.Pos = p.pos(s, 1)
	return t, true
}

func parseLogSendHostname(p *parser, s *stmt) {
	p.cfg.Global.LogSendHostname = true
	p.cfg.Global.LogHostname = s.arg(1)
}

func parseGlobalLogTag(p *parser, s *stmt) { p.logTag(s, &p.cfg.Global.LogTag) }

func (p *parser) logTag(s *stmt, tag *string) {
	if len(s.words) < 2 {
		p.alert(s, 1, codeMissingValue, "'%s' expects a tag for use in syslog.", s.keyword())
		return
	}
	*tag = s.arg(1)
}

func parseSetDumpable(p *parser, s *stmt) {
	switch s.arg(1) {
	case "", "on", "off", "libs":
		p.tooMany(s, 1, 1)
	default:
		p.tooMany(s, 0, 1)
	}
}

func parseProfiling(p *parser, s *stmt) {
	switch s.arg(1) {
	case "on", "auto", "off":
		p.tooMany(s, 1, 1)
	default:
		p.alert(s, 1, codeInvalidValue, "'%s' expects either 'on', 'auto', or 'off' but got '%s'.", s.keyword(), s.arg(1))
	}
}

func parseMasterWorker(p *parser, s *stmt) {
	if len(s.words) > 1 && s.arg(1) != "no-exit-on-failure" {
		p.alert(s, 1, codeInvalidValue, "'%s' only supports 'no-exit-on-failure' option.", s.keyword())
		return
	}
	if p.tooMany(s, 1, 1) {
		return
	}
	p.cfg.Global.MasterWorker = true
	p.cfg.Global.NoExitOnFailure = len(s.words) > 1
}

func parseMaxReloads(p *parser, s *stmt) {
	n, ok := p.integer(s)
	switch {
	case !ok:
	case n < 0:
		p.alert(s, 1, codeInvalidValue, "'%s' : invalid value %d, must be >= 0", s.keyword(), n)
	default:
		p.cfg.Global.MaxReloads = n
	}
}

func parseHarden(p *parser, s *stmt) {
	switch s.arg(1) {
	case "on":
		p.at(s, 0, Alert, placeSpaced, codeNotImplemented, notYet(s.keyword()), "")
	case "off":
	default:
		p.alert(s, 1, codeInvalidValue, "'%s' expects 'on' or 'off' but got '%s'.", s.keyword(), s.arg(1))
	}
}
