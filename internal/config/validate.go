package config

import (
	"fmt"
	"slices"
)

// validate makes the checks that need the whole configuration, resolves what is left open and deals out
// identifiers. After a mistake in a file only the names are checked: everything else would complain
// about what the mistake hid.
func (p *parser) validate() {
	clean := !p.diags.Fatal()
	p.assignProxyIDs()
	logs := logLists{global: p.cfg.Global.Logs, shared: make(map[*LogTarget][]LogTarget)}
	for _, px := range p.proxies {
		var ok bool
		if px.Logs, ok = logs.complete(px); !ok {
			p.aboutf(Alert, px.Pos, "too-many-logs", "Proxy '%s': too many log targets in all, the limit is %d.", px.Name, maxLogTargets)
			return
		}
		if px.Timeouts.Queue == 0 {
			px.Timeouts.Queue = px.Timeouts.Connect
		}
		assignServerIDs(px)
		assignListenerIDs(px)
		if px.Disabled {
			continue
		}
		p.checkMode(px)
		p.checkRefs(px)
		if clean {
			p.checkUse(px)
			p.checkChecks(px)
		}
	}
	if clean && p.cfg.Global.NbThread > 0 {
		p.checkThreads()
	}
}

// about adds a finding at a place; where is how HAProxy names the place in its line.
func (p *parser) about(sev Severity, where place, pos Pos, code, msg, hint string) {
	p.diags.add(Diagnostic{
		File: pos.File, Line: pos.Line, Col: pos.Col, EndCol: pos.EndCol,
		Severity: sev, Code: code, Message: msg, Hint: hint, place: where, source: p.line(pos),
	})
}

// aboutf is about without naming the place and without hint.
func (p *parser) aboutf(sev Severity, pos Pos, code, format string, args ...any) {
	p.about(sev, placeNone, pos, code, fmt.Sprintf(format, args...), "")
}

// assignProxyIDs numbers the proxies from 2 in their order, around the numbers that were forced.
func (p *parser) assignProxyIDs() {
	next := 2
	for _, px := range p.proxies {
		if px.IDForced {
			continue
		}
		for p.forced[next] != nil {
			next++
		}
		px.ID = next
		next++
	}
}

// assignServerIDs numbers the servers from 1 around the forced numbers; a server with one of those counts too.
func assignServerIDs(px *proxyState) {
	next := 1
	for _, srv := range px.Servers {
		if srv.ID == 0 {
			for px.serverIDs[next] != nil {
				next++
			}
			srv.ID = next
		}
		next++
	}
}

// assignListenerIDs numbers the listeners from 1 around the forced numbers.
func assignListenerIDs(px *proxyState) {
	next := 1
	for _, b := range px.Binds {
		b.ListenerIDs = make([]int, len(b.Addrs))
		for i := range b.Addrs {
			if b.ID != 0 && i == 0 {
				b.ListenerIDs[i] = b.ID
				continue
			}
			for px.bindIDs[next] != nil {
				next++
			}
			b.ListenerIDs[i] = next
			next++
		}
	}
}

// checkRefs resolves the names of other proxies.
func (p *parser) checkRefs(px *proxyState) {
	for _, ref := range []struct {
		Ref
		keyword string
	}{{px.DefaultBackend, "default_backend"}, {px.UseBackend, "use_backend"}} {
		if ref.Name == "" {
			continue
		}
		target := p.byName[ref.Name]
		switch {
		case target == nil || !target.Kind.HasBackend():
			p.aboutf(Alert, ref.Pos, "unknown-backend", "Proxy '%s': unable to find required %s: '%s'.", px.Name, ref.keyword, ref.Name)
		case target == px:
			p.aboutf(Alert, ref.Pos, "backend-loop", "Proxy '%s': loop detected for %s: '%s'.", px.Name, ref.keyword, ref.Name)
		}
	}
}

// checkMode refuses what cannot be served in HTTP mode, and gives HAProxy's warnings about lines of HTTP in TCP mode.
func (p *parser) checkMode(px *proxyState) {
	if px.http {
		p.checkWeb(px)
		return
	}
	for _, n := range px.notes {
		if in := noteSides(n); in != 0 && in&px.in() == 0 {
			continue
		}
		switch n.kind {
		case noteSilent:
			if p.opt.DiagMode {
				p.about(Diag, placeNone, n.pos, codeHTTPOnly,
					fmt.Sprintf("'%s' has no effect for %s '%s' as it requires HTTP mode.", n.name, px.title(), px.Name), "")
			}
		case noteOption:
			p.about(Warning, placeNone, n.pos, codeHTTPOnly,
				fmt.Sprintf("'option %s' ignored for %s '%s' as it requires HTTP mode.", n.name, px.title(), px.Name), "")
		case noteRules, noteMetrics:
			p.about(Warning, placeNone, n.pos, codeHTTPOnly,
				fmt.Sprintf("'%s' rules ignored for %s '%s' as they require HTTP mode.", n.name, px.title(), px.Name), "")
		case noteStatement:
			p.about(Warning, placeNone, n.pos, codeHTTPOnly,
				fmt.Sprintf("'%s' statement ignored for %s '%s' as it requires HTTP mode.", n.name, px.title(), px.Name), "")
		case noteNeedsHTTP:
			p.about(Warning, placeNone, n.pos, codeHTTPOnly,
				fmt.Sprintf("%s will be ignored for %s '%s' (needs 'mode http').", n.name, px.title(), px.Name), "")
		case noteLog:
			p.about(Warning, placeSpaced, n.pos, codeHTTPOnly,
				fmt.Sprintf("'option %s' not usable with %s '%s' (needs 'mode http'). Falling back to 'option tcplog'.", n.name, px.title(), px.Name), "")
		}
	}
}

// noteSides is where the line of a note may stand; a note inherited from defaults concerns only these.
func noteSides(n note) where {
	switch n.kind {
	case noteOption, noteSilent:
		if o, ok := optionKeywords[n.name]; ok {
			return o.in
		}
	case noteLog:
		return 0
	}
	return proxyKeywords[n.name].in
}

// checkUse warns about sections that are complete but hardly what was meant.
func (p *parser) checkUse(px *proxyState) {
	if px.layer7.Line > 0 {
		p.aboutf(Warning, px.layer7, codeHTTPOnly, "Layer 7 hash not possible for %s '%s' (needs 'mode http'). Falling back to round robin.", px.title(), px.Name)
	}
	if px.Kind.HasFrontend() && len(px.Binds) == 0 {
		p.aboutf(Warning, px.Pos, "no-bind", "%s '%s' has no 'bind' directive. Please declare it as a backend if this was intended.", px.title(), px.Name)
	}
	t := &px.Timeouts
	if px.Kind.HasFrontend() && t.Client == 0 ||
		px.Kind.HasBackend() && len(px.Servers) > 0 && (t.Connect == 0 || t.Server == 0 && t.Tunnel == 0) {
		p.aboutf(Warning, px.Pos, "missing-timeouts", "missing timeouts for %s '%s'.\n"+
			"   | While not properly invalid, you will certainly encounter various problems\n"+
			"   | with such a configuration. To fix this, please ensure that all following\n"+
			"   | timeouts are set to a non-zero value: 'client', 'connect', 'server'.", px.title(), px.Name)
	}
	if px.Kind.HasFrontend() && len(px.Logs) == 0 && (px.TCPLog || px.LogFormat != "" || px.LogFormatSD != "") {
		p.aboutf(Warning, px.LogFormatPos, "no-log-address", "log format ignored for %s '%s' since it has no log address.", px.title(), px.Name)
	}
}

// checkThreads reports bind lines whose threads do not exist.
func (p *parser) checkThreads() {
	n := p.cfg.Global.NbThread
	for _, px := range p.proxies {
		for _, b := range px.Binds {
			if len(b.Threads) > 0 && slices.Min(b.Threads) > n {
				p.aboutf(Alert, b.Pos, codeInvalidValue,
					"Proxy '%s': the thread range of 'bind %s' at [%s:%d] lies above 'nbthread' (%d).", px.Name, b.Words, b.Pos.File, b.Pos.Line, n)
			}
		}
	}
}
