package config

import (
	"errors"
	"fmt"
	"os/user"
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
	"tune.idletimer":                     {class: Implemented, parse: parseIdleTimer},
	"chroot":                             {class: Implemented, parse: parseChroot},
	"user":                               {class: Implemented, parse: parseUser},
	"uid":                                {class: Implemented, parse: parseUser},
	"group":                              {class: Implemented, parse: parseGroup},
	"gid":                                {class: Implemented, parse: parseGroup},
	"pidfile":                            {class: Implemented, parse: parsePidFile},
	"nbthread":                           {class: Implemented, parse: parseNbThread},
	"thread-groups":                      {class: Implemented, parse: parseThreadGroups},
	"stats":                              {class: Implemented, parse: parseGlobalStats},
	"log":                                {class: Implemented, parse: parseGlobalLog},
	"log-send-hostname":                  {class: Implemented, parse: parseLogSendHostname},
	"log-tag":                            {class: Implemented, parse: parseGlobalLogTag},
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
	"profiling.tasks":                    {class: Implemented, parse: parseProfiling},
	"set-dumpable":                       {class: Implemented, parse: parseSetDumpable},
	"master-worker":                      {class: Implemented, parse: parseMasterWorker},
	"harden.reject-privileged-ports.tcp": {class: NotYet, parse: parseHarden},

	"nbproc": {class: Removed, note: "nbproc is not supported any more since HAProxy 2.5. Threads will automatically be used on multi-processor machines if available."},

	"set-var":        {class: NotYet},
	"set-var-fmt":    {class: NotYet},
	"setcap":         {class: NotYet},
	"stats-file":     {class: NotYet},
	"shm-stats-file": {class: NotYet},
}

// accept adds keywords that do nothing. why is for the user to know; empty: no message.
func accept(class Class, why string, names ...string) {
	for _, name := range names {
		globalKeywords[name] = globalKeyword{class: class, note: why}
	}
}

func init() {
	// Accepted because the engine has its own way, or because only HTTP, QUIC and the like read them.
	accept(Implemented, "",
		"cluster-secret", "quick-exit", "force-cfg-parser-pause", "stress-level", "debug.counters",
		"close-spread-time", "prealloc-fd", "insecure-fork-wanted", "insecure-setuid-wanted",
		"server-state-base", "server-state-file", "mworker-max-reloads", "expose-experimental-directives",
		"expose-deprecated-directives", "pp2-never-send-local", "dns-accept-family",
		"harden.reject-privileged-ports.quic", "anonkey", "warn-blocked-traffic-after", "shm-stats-file-max-objects",
		"cpu-policy", "cpu-set", "cpu-affinity", "thread-group", "max-threads-per-group", "thread-hard-limit",
		"numa-cpu-mapping", "tune.listener.default-shards", "tune.listener.multi-queue",
		"spread-checks", "max-spread-checks", "tune.maxrewrite", "tune.bufsize.small", "tune.bufsize.large",
		"tune.buffers.limit", "tune.buffers.reserve", "tune.rcvbuf.frontend", "tune.rcvbuf.backend",
		"tune.sndbuf.frontend", "tune.sndbuf.backend", "tune.recv_enough", "tune.stick-counters",
		"tune.pattern.cache-size", "tune.max-rules-at-once", "tune.max-checks-per-thread",
		"tune.vars.global-max-size", "tune.vars.proc-max-size", "tune.vars.sess-max-size", "tune.vars.txn-max-size",
		"tune.vars.reqres-max-size", "tune.vars.check-max-size", "tune.peers.max-updates-at-once",
		"tune.cli.max-payload-size", "tune.runqueue-depth", "tune.sched.low-latency", "tune.renice.startup",
		"tune.renice.runtime", "tune.memory.hot-size", "tune.fd.edge-triggered", "tune.fd.tables",
		"tune.epoll.mask-events", "tune.events.max-events-at-once", "tune.ring.queues", "tune.fail-alloc",
		"no-memory-trimming", "tune.defaults.purge", "tune.idle-pool.shared", "tune.pool-low-fd-ratio",
		"tune.pool-high-fd-ratio", "tune.takeover-other-tg-connections", "nopoll", "nokqueue", "noevports",
		"nogetaddrinfo", "noktls", "tune.disable-fast-forward", "tune.disable-zero-copy-forwarding",
		"tune.pt.zero-copy-forwarding", "tune.applet.zero-copy-forwarding", "profiling.tasks.lock",
		"profiling.tasks.memory", "profiling.memory", "tune.chksize", "ulimit-c", "tune.counters")
	accept(HTTPOnly, "",
		"h1-accept-payload-with-any-method", "h1-case-adjust", "h1-case-adjust-file", "h1-do-not-close-on-insecure-transfer-encoding",
		"h2-workaround-bogus-websocket-clients", "http-err-codes", "http-fail-codes", "httpclient.resolvers.disabled",
		"httpclient.resolvers.id", "httpclient.resolvers.prefer", "httpclient.retries", "httpclient.ssl.ca-file",
		"httpclient.ssl.verify", "httpclient.timeout.connect", "jwt.decrypt_alg_list", "limited-quic", "no-quic",
		"maxcompcpuusage", "maxcomprate", "maxzlibmem", "tune.comp.maxlevel", "tune.zlib.memlevel",
		"tune.zlib.windowsize", "tune.glitches.kill.cpu-usage", "tune.streams-elasticity",
		"tune.h1.be.glitches-threshold", "tune.h1.fe.glitches-threshold", "tune.h1.zero-copy-fwd-recv",
		"tune.h1.zero-copy-fwd-send", "tune.h2.be.glitches-threshold", "tune.h2.be.initial-window-size",
		"tune.h2.be.max-concurrent-streams", "tune.h2.be.max-frames-at-once", "tune.h2.be.rxbuf",
		"tune.h2.fe.glitches-threshold", "tune.h2.fe.initial-window-size", "tune.h2.fe.max-concurrent-streams",
		"tune.h2.fe.max-frames-at-once", "tune.h2.fe.max-total-streams", "tune.h2.fe.rxbuf", "tune.h2.header-table-size",
		"tune.h2.initial-window-size", "tune.h2.log-errors", "tune.h2.max-concurrent-streams", "tune.h2.max-frame-size",
		"tune.h2.zero-copy-fwd-send", "tune.http.cookielen", "tune.http.logurilen", "tune.http.maxhdr",
		"tune.quic.cc-hystart", "tune.quic.cc.cubic.min-losses", "tune.quic.disable-tx-pacing", "tune.quic.disable-udp-gso",
		"tune.quic.frontend.conn-tx-buffers.limit", "tune.quic.frontend.glitches-threshold",
		"tune.quic.frontend.max-data-size", "tune.quic.frontend.max-idle-timeout", "tune.quic.frontend.max-streams-bidi",
		"tune.quic.frontend.max-tx-mem", "tune.quic.frontend.default-max-window-size",
		"tune.quic.frontend.stream-data-ratio", "tune.quic.max-frame-loss", "tune.quic.reorder-ratio",
		"tune.quic.retry-threshold", "tune.quic.socket-owner", "tune.quic.zero-copy-fwd-send", "tune.quic.listen",
		"tune.quic.backend.max-idle-timeout", "tune.quic.mem.tx-max", "tune.quic.cc.reorder-ratio")
	const tls = "Penstock does not handle TLS"
	accept(HTTPOnly, tls,
		"acme.scheduler", "ca-base", "crt-base", "key-base", "issuers-chain-path", "maxsslconn", "maxsslrate",
		"ocsp-update.disable", "ocsp-update.httpproxy", "ocsp-update.maxdelay", "ocsp-update.mindelay", "ocsp-update.mode",
		"ssl-default-bind-ciphers", "ssl-default-bind-ciphersuites", "ssl-default-bind-client-sigalgs",
		"ssl-default-bind-curves", "ssl-default-bind-options", "ssl-default-bind-sigalgs",
		"ssl-default-server-ciphers", "ssl-default-server-ciphersuites", "ssl-default-server-client-sigalgs",
		"ssl-default-server-curves", "ssl-default-server-options", "ssl-default-server-sigalgs",
		"ssl-dh-param-file", "ssl-engine", "ssl-load-extra-del-ext", "ssl-load-extra-files", "ssl-mode-async",
		"ssl-passphrase-cmd", "ssl-propquery", "ssl-provider", "ssl-provider-path", "ssl-security-level",
		"ssl-server-verify", "ssl-skip-self-issued-ca", "tune.ssl.cachesize", "tune.ssl.capture-buffer-size",
		"tune.ssl.capture-cipherlist-size", "tune.ssl.certificate-compression", "tune.ssl.default-dh-param",
		"tune.ssl.force-private-cache", "tune.ssl.hard-maxrecord", "tune.ssl.keylog", "tune.ssl.lifetime",
		"tune.ssl.maxrecord", "tune.ssl.ocsp-update.maxdelay", "tune.ssl.ocsp-update.mindelay",
		"tune.ssl.ssl-ctx-cache-size")
	accept(HTTPOnly, "Penstock does not run Lua",
		"lua-load", "lua-load-per-thread", "lua-prepend-path", "tune.lua.bool-sample-conversion",
		"tune.lua.burst-timeout", "tune.lua.forced-yield", "tune.lua.log.loggers", "tune.lua.log.stderr",
		"tune.lua.maxmem", "tune.lua.openlibs", "tune.lua.service-timeout", "tune.lua.session-timeout", "tune.lua.task-timeout")
	accept(HTTPOnly, "device detection has no use in TCP mode",
		"51degrees-data-file", "51degrees-property-name-list", "51degrees-property-separator", "51degrees-cache-size",
		"51degrees-allow-unmatched", "51degrees-difference", "51degrees-drift", "51degrees-use-performance-graph",
		"51degrees-use-predictive-graph", "deviceatlas-json-file", "deviceatlas-log-level",
		"deviceatlas-properties-cookie", "deviceatlas-separator", "wurfl-cache-size", "wurfl-data-file",
		"wurfl-engine-mode", "wurfl-information-list", "wurfl-information-list-separator", "wurfl-patch-file",
		"wurfl-useragent-priority")
}

// newGlobal is a global section before any line of one.
func newGlobal() Global {
	return Global{
		UID: -1, GID: -1, StrictLimits: true,
		StatsTimeout: 10 * time.Second, StatsMaxConn: 10,
		BufSize: 16384, MaxAccept: 4, MaxPollEvts: 200, IdleTimer: time.Second,
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

// globalInt reads a number as HAProxy does: what is not a number counts as 0. Values below least
// become least.
func globalInt(field func(*Global) *int, least int) globalKeyword {
	return globalKeyword{class: Implemented, parse: func(p *parser, s *stmt) {
		if n, ok := p.integer(s); ok {
			*field(&p.cfg.Global) = max(n, least)
		}
	}}
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
	p.cfg.Global.LocalPeer = s.arg(1)
	p.env.set("HAPROXY_LOCALPEER", s.arg(1))
}

func parseExternalCheck(p *parser, s *stmt) {
	if s.arg(1) != "preserve-env" {
		p.tooMany(s, 0, 1)
		return
	}
	p.tooMany(s, 1, 1)
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
	p.warn(s, 0, "ignored", "'%s' is ignored: the process runs without a master.", s.keyword())
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
