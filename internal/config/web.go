package config

import (
	"fmt"
	"slices"
	"strings"
	"time"
)

// Web is what a section in mode http serves: the statistics page, metrics, or both. Such a section does nothing else.
type Web struct {
	Stats       bool
	URI         string // of the page; default /haproxy?stats
	Realm       string
	Users       []WebUser // who may see the page; none: everybody
	Refresh     time.Duration
	HideVersion bool
	ShowNode    bool
	Node        string // instead of the one in the global section
	ShowDesc    bool
	Desc        string
	ShowLegends bool
	Scope       []string // proxies that the page shows, "." is the section itself; none: all

	Metrics []string // paths that serve metrics; an empty one is every path
}

// WebUser is one who may see the page.
type WebUser struct{ Name, Password string }

// Serves reports whether there is anything to serve.
func (w *Web) Serves() bool { return w.Stats || len(w.Metrics) > 0 }

const (
	defaultStatsURI   = "/haproxy?stats"
	defaultStatsRealm = "HAProxy Statistics"
)

// parseProxyStats reads one setting of the statistics page.
func parseProxyStats(p *parser, s *stmt) {
	w, what := &p.px.Web, s.arg(1)
	enough := func(missing string) bool {
		if s.arg(2) == "" {
			p.alert(s, 1, codeMissingValue, "%s", missing)
			return false
		}
		return true
	}
	ok := true
	switch what {
	case "enable":
	case "uri":
		if ok = enough("'uri' needs an URI prefix."); ok {
			w.URI = s.arg(2)
		}
	case "realm":
		if ok = enough("'realm' needs an realm name."); ok {
			w.Realm = s.arg(2)
		}
	case "refresh":
		if ok = enough("'refresh' needs a refresh interval."); ok {
			w.Refresh, ok = p.time(s, 2, time.Second, "stats refresh interval")
		}
	case "auth":
		if ok = enough("'auth' needs a user:password account."); ok {
			name, password, _ := strings.Cut(s.arg(2), ":")
			w.Users = append(slices.Clip(w.Users), WebUser{name, password})
		}
	case "scope":
		if ok = enough("'scope' needs a proxy name."); ok {
			w.Scope = append(slices.Clip(w.Scope), s.arg(2))
		}
	case "hide-version":
		w.HideVersion = true
	case "show-node":
		w.ShowNode, w.Node = true, s.arg(2)
	case "show-desc":
		w.ShowDesc, w.Desc = true, s.rest(2)
	case "show-legends":
		w.ShowLegends = true
	case "show-modules":
	case "admin", "http-request":
		p.note(s, noteUnserved, "stats "+what)
	default:
		problem := "unknown stats parameter"
		if what == "" {
			problem, what = "missing keyword in", s.keyword()
		}
		p.alertTight(s, 1, codeInvalidValue, "%s '%s', expects 'admin', 'uri', 'realm', 'auth', 'scope', 'enable', 'hide-version', 'show-node', 'show-desc' or 'show-legends'.",
			problem, what)
		return
	}
	if ok {
		w.Stats = true // whatever is said about the page, there is one
		p.note(s, noteStatement, "stats")
	}
}

// parseHTTPRequest knows the one rule that serves metrics.
func parseHTTPRequest(p *parser, s *stmt) {
	if s.arg(1) != "use-service" || s.arg(2) != "prometheus-exporter" {
		p.note(s, noteRules, "http-request")
		return
	}
	words := s.texts(3)
	switch {
	case len(words) == 0:
		words = []string{""}
	case len(words) >= 5 && slices.Equal(words[:3], []string{"if", "{", "path"}) && words[len(words)-1] == "}" && !strings.HasPrefix(words[3], "-"):
		words = words[3 : len(words)-1]
	default:
		p.note(s, noteRules, "http-request")
		return
	}
	p.px.Web.Metrics = append(slices.Clip(p.px.Web.Metrics), words...)
	p.note(s, noteMetrics, "http-request")
}

// checkWeb accepts a section in HTTP mode that serves statistics or metrics, and nothing else.
func (p *parser) checkWeb(px *proxyState) {
	w := &px.Web
	refuse := func(pos Pos, what, hint string) { p.about(Alert, placeSpaced, pos, "mode-http", what, hint) }
	const advice = "in 'mode http', Penstock serves 'stats' and 'http-request use-service prometheus-exporter if { path /metrics }'"
	if !w.Serves() {
		refuse(px.modePos, fmt.Sprintf("%s '%s' is in 'mode http', which Penstock does not handle.", px.title(), px.Name),
			"Penstock balances TCP: say 'mode tcp', or leave this section to HAProxy")
		return
	}
	for _, n := range px.notes {
		switch n.kind {
		case noteUnserved:
			p.about(Alert, placeSpaced, n.pos, codeNotImplemented, notYet(n.name), "")
		case noteRules, noteNeedsHTTP:
			refuse(n.pos, fmt.Sprintf("'%s' in %s '%s', which serves statistics or metrics and nothing else.", n.name, px.title(), px.Name), advice)
		}
	}
	switch {
	case len(px.Servers) > 0:
		refuse(px.Servers[0].Pos, fmt.Sprintf("%s '%s' is in 'mode http', which Penstock does not handle.", px.title(), px.Name), advice)
	case px.UseBackend.Name != "":
		refuse(px.UseBackend.Pos, fmt.Sprintf("%s '%s' is in 'mode http', which Penstock does not handle.", px.title(), px.Name), advice)
	case px.DefaultBackend.Name != "":
		refuse(px.DefaultBackend.Pos, fmt.Sprintf("%s '%s' is in 'mode http', which Penstock does not handle.", px.title(), px.Name), advice)
	}
	if w.URI == "" {
		w.URI = defaultStatsURI
	}
	if w.Realm == "" {
		w.Realm = defaultStatsRealm
	}
	px.HTTP = true
}
