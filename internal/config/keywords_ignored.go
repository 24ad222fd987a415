package config

import (
	"strings"
)

// This file lists the keywords of the global section that are read and change nothing: the engine has
// its own way, or only HTTP, QUIC, TLS and the like look at them.

// accept adds keywords that take any arguments and do nothing. why is for the user to know; empty: no message.
func accept(class Class, why string, names ...string) {
	for _, name := range names {
		globalKeywords[name] = globalKeyword{class: class, note: why}
	}
}

// acceptWith adds keywords whose arguments are checked and then forgotten.
func acceptWith(parse func(*parser, *stmt), names ...string) {
	for _, name := range names {
		globalKeywords[name] = globalKeyword{class: Implemented, parse: parse}
	}
}

func ignoreFlag(p *parser, s *stmt) { p.tooMany(s, 0, 1) }

func ignoreInteger(p *parser, s *stmt) { p.integer(s) }

func ignoreArgument(p *parser, s *stmt) {
	if len(s.words) < 2 {
		p.alert(s, 1, codeMissingValue, "'%s' expects an argument.", s.keyword())
	}
}

// ignoreChoice accepts one of values.
func ignoreChoice(values ...string) func(*parser, *stmt) {
	return func(p *parser, s *stmt) {
		if p.tooMany(s, 1, 1) {
			return
		}
		for _, v := range values {
			if s.arg(1) == v {
				return
			}
		}
		p.alert(s, 1, codeInvalidValue, "'%s' expects either '%s' but got '%s'.", s.keyword(), strings.Join(values, "' or '"), s.arg(1))
	}
}

func init() {
	acceptWith(ignoreFlag,
		"quick-exit", "prealloc-fd", "insecure-setuid-wanted", "expose-experimental-directives",
		"expose-deprecated-directives", "pp2-never-send-local", "numa-cpu-mapping", "noktls", "nopoll", "nokqueue",
		"noevports", "nogetaddrinfo", "no-memory-trimming", "tune.disable-fast-forward",
		"tune.disable-zero-copy-forwarding")
	acceptWith(ignoreInteger,
		"tune.maxrewrite", "tune.buffers.limit", "tune.buffers.reserve",
		"tune.rcvbuf.frontend", "tune.rcvbuf.backend", "tune.sndbuf.frontend", "tune.sndbuf.backend",
		"tune.recv_enough", "tune.stick-counters", "tune.pattern.cache-size", "tune.max-rules-at-once",
		"tune.max-checks-per-thread", "tune.vars.global-max-size", "tune.vars.proc-max-size",
		"tune.vars.sess-max-size", "tune.vars.txn-max-size", "tune.vars.reqres-max-size", "tune.vars.check-max-size",
		"tune.peers.max-updates-at-once", "tune.runqueue-depth", "tune.renice.startup", "tune.renice.runtime",
		"tune.memory.hot-size", "tune.events.max-events-at-once", "tune.ring.queues", "tune.pool-low-fd-ratio",
		"tune.pool-high-fd-ratio", "max-threads-per-group", "thread-hard-limit", "anonkey")
	acceptWith(ignoreChoice("on", "off"),
		"tune.sched.low-latency", "tune.fd.edge-triggered", "tune.idle-pool.shared", "tune.pt.zero-copy-forwarding",
		"tune.applet.zero-copy-forwarding", "profiling.memory", "profiling.tasks.lock", "profiling.tasks.memory",
		"harden.reject-privileged-ports.quic")
	acceptWith(ignoreChoice("on", "fair", "off"), "tune.listener.multi-queue")
	acceptWith(ignoreChoice("by-process", "by-thread", "by-group"), "tune.listener.default-shards")
	acceptWith(ignoreArgument,
		"cluster-secret", "close-spread-time", "dns-accept-family",
		"warn-blocked-traffic-after", "cpu-policy", "tune.bufsize.small", "tune.bufsize.large",
		"shm-stats-file-max-objects", "tune.cli.max-payload-size")
	accept(Implemented, "",
		"force-cfg-parser-pause", "stress-level", "debug.counters", "cpu-set", "cpu-affinity", "thread-group",
		"tune.fd.tables", "tune.epoll.mask-events", "tune.fail-alloc", "tune.defaults.purge",
		"tune.takeover-other-tg-connections", "tune.chksize", "ulimit-c", "tune.counters")
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
		"acme.scheduler", "crt-base", "key-base", "issuers-chain-path", "maxsslconn", "maxsslrate",
		"ocsp-update.disable", "ocsp-update.httpproxy", "ocsp-update.maxdelay", "ocsp-update.mindelay", "ocsp-update.mode",
		"ssl-default-bind-ciphers", "ssl-default-bind-ciphersuites", "ssl-default-bind-client-sigalgs",
		"ssl-default-bind-curves", "ssl-default-bind-options", "ssl-default-bind-sigalgs",
		"ssl-default-server-ciphers", "ssl-default-server-ciphersuites", "ssl-default-server-client-sigalgs",
		"ssl-default-server-curves", "ssl-default-server-options", "ssl-default-server-sigalgs",
		"ssl-dh-param-file", "ssl-engine", "ssl-load-extra-del-ext", "ssl-load-extra-files", "ssl-mode-async",
		"ssl-passphrase-cmd", "ssl-propquery", "ssl-provider", "ssl-provider-path", "ssl-security-level",
		"ssl-skip-self-issued-ca", "tune.ssl.cachesize", "tune.ssl.capture-buffer-size",
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
