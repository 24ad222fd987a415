package web

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"io"
	"net/http"
	"net/netip"
	"net/url"
	"slices"
	"strconv"
	"strings"

	"github.com/penstock/penstock/internal/stats"
)

// What the page changes. A form is HAProxy's: b is a backend (its name, or # and its id), s a server, as often as there
// are some, and action one of actions; the answer is a redirection to the page, with the outcome behind st=. So are
// the requests of scripts.
//
// A request is obeyed when it may be (stats admin), and when it is not forged. Somebody's browser can be made to send a
// form by any page that it shows, with the password that it remembers. All browsers mark what they send; so one who has
// none of a browser's marks is a script, which nobody can make send what it does not mean to, and is obeyed. One who has
// any must have them right: from our own page, and with the token that only our own page has. See forged.

// action is one that the form offers, and the command of the Runtime API that it stands for: the server comes
// at the place of "%", the weight of the form at that of "=".
type action struct {
	Name, Label string
	command     []string
}

// actions are HAProxy's, in its order, and the weight, which is ours.
var actions = []action{
	{"ready", "ready", []string{"set", "server", "%", "state", "ready"}},
	{"drain", "drain: no new sessions", []string{"set", "server", "%", "state", "drain"}},
	{"maint", "maintenance", []string{"set", "server", "%", "state", "maint"}},
	{"dhlth", "health: disable checks", []string{"disable", "health", "%"}},
	{"ehlth", "health: enable checks", []string{"enable", "health", "%"}},
	{"hrunn", "health: force UP", []string{"set", "server", "%", "health", "up"}},
	{"hnolb", "health: force NOLB", []string{"set", "server", "%", "health", "stopping"}},
	{"hdown", "health: force DOWN", []string{"set", "server", "%", "health", "down"}},
	{"dagent", "agent: disable checks", []string{"disable", "agent", "%"}},
	{"eagent", "agent: enable checks", []string{"enable", "agent", "%"}},
	{"arunn", "agent: force UP", []string{"set", "server", "%", "agent", "up"}},
	{"adown", "agent: force DOWN", []string{"set", "server", "%", "agent", "down"}},
	{"shutdown", "end all sessions", []string{"shutdown", "sessions", "server", "%"}},
	{"weight", "weight:", []string{"set", "server", "%", "weight", "="}},
}

// oldNames are those that actions had in old versions.
var oldNames = map[string]string{"enable": "ready", "start": "ready", "disable": "maint", "stop": "drain"}

func actionOf(name string) *action {
	if now, old := oldNames[name]; old {
		name = now
	}
	if i := slices.IndexFunc(actions, func(a action) bool { return a.Name == name }); i >= 0 {
		return &actions[i]
	}
	return nil
}

// outcome is what a change came to.
type outcome struct{ Code, Text, Class string }

var outcomes = []outcome{
	{"DONE", "Done.", "done"},
	{"NONE", "Nothing was changed.", ""},
	{"PART", "Some of it was done, and some could not be.", "failed"},
	{"ERRP", "Nothing was done: the request names no such backend, server or action.", "failed"},
	{"EXCD", "Nothing was done: the request is too long. Select fewer servers.", "failed"},
	{"DENY", "Nothing was done: you may not change anything here.", "failed"},
	{"UNKN", "The outcome is unknown.", "failed"},
}

func outcomeOf(code string) *outcome {
	if i := slices.IndexFunc(outcomes, func(o outcome) bool { return o.Code == code }); i >= 0 {
		return &outcomes[i]
	}
	return nil
}

// formLimit is the most bytes of a form, as much as HAProxy's usual buffer takes.
const formLimit = 16 << 10

// change does what a form asks for.
func (s *site) change(w http.ResponseWriter, r *http.Request, o options) {
	body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, formLimit))
	var long *http.MaxBytesError
	if err != nil && !errors.As(err, &long) {
		return // the client is gone
	}
	form, invalid := url.ParseQuery(string(body))
	if reason := s.forged(r, form.Get("token")); reason != "" {
		s.source.Event("Page %s: a change asked for by %s was refused: %s.", s.proxy.Name, s.person(r), reason)
		http.Error(w, "This was refused: "+reason+".", http.StatusForbidden)
		return
	}
	code := "DENY"
	switch {
	case !s.admin(r):
		s.source.Event("Page %s: %s may not change anything.", s.proxy.Name, s.person(r))
	case err != nil:
		code = "EXCD"
	case invalid != nil:
		code = "ERRP"
	case form.Has("session"):
		code = s.endSessions(r, form["session"])
	default:
		code = s.act(r, form)
	}
	to := s.web.URI + ";st=" + code + keep(o)
	if o.has("sessions") {
		to += ";sessions"
	}
	w.Header().Set("Location", to)
	w.Header().Set("Content-Length", "0")
	w.WriteHeader(http.StatusSeeOther)
}

// keep are the options that a page has again after a change.
func keep(o options) string {
	text := ""
	for _, word := range []string{"up", "no-maint"} {
		if o.has(word) {
			text += ";" + word
		}
	}
	if scope := o.value("scope"); scope != "" {
		text += ";scope=" + url.QueryEscape(scope)
	}
	return text
}

// act does one action to servers, and returns the outcome.
func (s *site) act(r *http.Request, form url.Values) (code string) {
	a := actionOf(form.Get("action"))
	names := form["s"]
	proxy, servers := "", map[string]*stats.Row{}
	rows := s.source.Engine().Stat(stats.Everything)
	for i := range rows {
		row := &rows[i]
		if name := row.Text(stats.PxName); row.Object == stats.Server && s.inScope(name, "") && isProxy(row, form.Get("b")) {
			proxy, servers[row.Text(stats.SvName)] = name, row
		}
	}
	switch {
	case form.Has("b") && proxy == "", form.Has("action") && a == nil:
		return "ERRP"
	case len(names) == 0 || proxy == "" || a == nil:
		return "NONE"
	}
	done, unknown := 0, 0
	for _, name := range names {
		row := servers[name]
		switch {
		case row == nil:
			unknown++
		case s.command(r, a, proxy+"/"+name, form.Get("weight"), row):
			done++
		}
	}
	switch {
	case done == len(names):
		return "DONE"
	case done > 0:
		return "PART"
	case unknown > 0:
		return "ERRP"
	}
	return "NONE"
}

func isProxy(row *stats.Row, name string) bool {
	if id, found := strings.CutPrefix(name, "#"); found {
		return id == strconv.Itoa(row.ProxyID)
	}
	return row.Text(stats.PxName) == name
}

// command does one action to one server, as the Runtime API does it, and reports whether it could be done. There is
// nothing to disable for a server without checks.
func (s *site) command(r *http.Request, a *action, server, weight string, row *stats.Row) bool {
	if a.Name == "dhlth" && !row.Has(stats.CheckStatus) || a.Name == "dagent" && !row.Has(stats.AgentStatus) {
		return false
	}
	words := slices.Clone(a.command)
	words[slices.Index(words, "%")] = server
	if at := slices.Index(words, "="); at >= 0 {
		if weight == "" || strings.Trim(weight, "0123456789%") != "" {
			return false
		}
		words[at] = weight
	}
	return s.run(r, words)
}

// endSessions ends single ones.
func (s *site) endSessions(r *http.Request, ids []string) (code string) {
	done := 0
	for _, id := range ids {
		if !strings.ContainsAny(id, " \t") && s.run(r, []string{"shutdown", "session", id}) {
			done++
		}
	}
	switch done {
	case len(ids):
		return "DONE"
	case 0:
		return "NONE" // they have ended
	}
	return "PART"
}

// run obeys a command of the Runtime API, and says who wanted it.
func (s *site) run(r *http.Request, words []string) bool {
	problem := s.source.Run(words...)
	outcome := "done"
	if problem != "" {
		outcome = problem
	}
	s.source.Event("Page %s: %s asked for '%s': %s", s.proxy.Name, s.person(r), strings.Join(words, " "), outcome)
	return problem == ""
}

// person is who asks, as the log tells it.
func (s *site) person(r *http.Request) string {
	if name, _, ok := r.BasicAuth(); ok && len(s.web.Users) > 0 {
		return strconv.Quote(name) + " at " + who(r)
	}
	return who(r)
}

// token is what only our own page knows, for one user.
func (s *site) token(user string) string {
	h := hmac.New(sha256.New, s.key[:])
	h.Write([]byte(user))
	return hex.EncodeToString(h.Sum(nil)[:16])
}

// forged says why a request to change something may not be what somebody wanted, "" when it is. What has no mark of
// a browser is a script's and is not forged.
func (s *site) forged(r *http.Request, token string) string {
	h := r.Header
	from := h.Get("Origin")
	if from == "" {
		from = h.Get("Referer")
	}
	site := h.Get("Sec-Fetch-Site")
	if from == "" && site == "" && h.Get("Cookie") == "" && !strings.HasPrefix(h.Get("User-Agent"), "Mozilla/") {
		return ""
	}
	if site != "" && site != "same-origin" {
		return "it comes from another site (Sec-Fetch-Site)"
	}
	if from != "" {
		if u, err := url.Parse(from); err != nil || u.Host == "" || !strings.EqualFold(u.Host, r.Host) {
			return "it comes from another site (Origin or Referer)"
		}
	}
	if len(s.web.Users) == 0 && !s.ownName(r.Host) {
		return "without 'stats auth', a browser must use an IP address or the name of the machine"
	}
	user, _, _ := r.BasicAuth()
	if !hmac.Equal([]byte(token), []byte(s.token(user))) {
		return "its token is not that of the page, which may be from before a reload: load the page again"
	}
	return ""
}

// ownName reports whether a host is one that no stranger can have: a stranger's name may lead to this address, and
// its pages would then be from the same site. A password protects from that, since a browser keeps it to one name.
func (s *site) ownName(host string) bool {
	if u, err := url.Parse("//" + host); err == nil {
		host = u.Hostname()
	}
	if _, err := netip.ParseAddr(host); err == nil {
		return true
	}
	host = strings.ToLower(strings.TrimSuffix(host, "."))
	node := strings.ToLower(s.node)
	return host == "localhost" || host == node || strings.HasPrefix(node, host+".")
}
