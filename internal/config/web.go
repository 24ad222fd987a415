package config

import (
	"errors"
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
	Scope       []string       // proxies that the page shows, "." is the section itself; none: all
	Admin       []WebCondition // who may change something holds one of them; none: nobody
	Access      []WebRule      // the first one that holds decides who sees the page; none does: everybody

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

// conditionHint is what to say instead of a condition that cannot be tested.
const conditionHint = "conditions of the statistics page know TRUE, FALSE, LOCALHOST and '{ src <network> ... }', with '!' and '||'"

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
	case "admin":
		c, err := parseWebCondition(s.texts(2))
		switch {
		case errors.Is(err, errNeedsRules):
			p.note(s, noteUnserved, "stats admin")
		case err != nil:
			ok = false
			p.alert(s, 1, codeInvalidValue, "'stats admin': %v.", err)
		default:
			w.Admin = append(slices.Clip(w.Admin), c)
		}
	case "http-request":
		ok = p.statsAccess(s)
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

// statsAccess reads a rule about who sees the page.
func (p *parser) statsAccess(s *stmt) bool {
	rule := WebRule{Deny: s.arg(2) == "deny", Pos: p.pos(s, 1)}
	switch s.arg(2) {
	case "allow", "deny":
	case "auth": // it wants a list of users, which only conditions can name
		p.note(s, noteUnserved, "stats http-request auth")
		return true
	default:
		p.alert(s, 2, codeInvalidValue, "'stats http-request' expects 'allow', 'deny' or 'auth', not '%s'.", s.arg(2))
		return false
	}
	var err error
	if words := s.texts(3); len(words) > 0 {
		rule.When, err = parseWebCondition(words)
	} else {
		rule.When = WebCondition{Any: [][]WebTest{{{Always: true}}}}
	}
	switch {
	case errors.Is(err, errNeedsRules):
		p.note(s, noteUnserved, "stats http-request")
	case err != nil:
		p.alert(s, 2, codeInvalidValue, "'stats http-request %s': %v.", s.arg(2), err)
		return false
	default:
		w := &p.px.Web
		w.Access = append(slices.Clip(w.Access), rule)
	}
	return true
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
			p.about(Alert, placeSpaced, n.pos, codeNotImplemented, notYet(n.name), conditionHint)
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
	if len(w.Access) > 0 && (len(w.Users) > 0 || w.Realm != "") {
		p.about(Alert, placeSpaced, w.Access[0].Pos, codeInvalidValue, fmt.Sprintf("%s '%s': stats 'auth'/'realm' and 'http-request' can't be used at the same time.", px.title(), px.Name), "")
	}
	if w.URI == "" {
		w.URI = defaultStatsURI
	}
	if w.Realm == "" {
		w.Realm = defaultStatsRealm
	}
	px.HTTP = true
}
