package web

import (
	"bytes"
	"crypto/rand"
	"crypto/subtle"
	"net/http"
	"net/netip"
	"slices"
	"strconv"
	"strings"
	"sync/atomic"

	"github.com/penstock/penstock/internal/config"
	"github.com/penstock/penstock/internal/engine"
	"github.com/penstock/penstock/internal/stats"
)

// site answers the requests to one section.
type site struct {
	proxy  *config.Proxy
	web    *config.Web
	source Source
	node   string
	desc   string
	key    [32]byte      // of the tokens in our own forms
	conns  *atomic.Int32 // present connections
}

func newSite(p *config.Proxy, g *config.Global, source Source, conns *atomic.Int32) *site {
	s := &site{proxy: p, web: &p.Web, source: source, node: p.Web.Node, desc: p.Web.Desc, conns: conns}
	_, _ = rand.Read(s.key[:]) // it never fails
	if s.node == "" {
		s.node = engine.NodeName(g)
	}
	if s.desc == "" {
		s.desc = g.Description
	}
	return s
}

// options are the words behind the page's address.
type options []string

func (o options) has(word string) bool { return slices.Contains(o, word) }

// value is what follows "name=".
func (o options) value(name string) string {
	for _, word := range o {
		if v, found := strings.CutPrefix(word, name+"="); found {
			return v
		}
	}
	return ""
}

// ServeHTTP finds what is asked for: metrics by their path, the page by the beginning of its address. There
// are no servers for anything else.
func (s *site) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	a := s.observe(w)
	h := a.Header()
	h.Set("Cache-Control", "no-cache")
	h.Set("X-Content-Type-Options", "nosniff")
	behind, isPage := strings.CutPrefix(r.URL.RequestURI(), s.web.URI)
	isPage = isPage && s.web.Stats
	words := options(strings.FieldsFunc(behind, func(c rune) bool { return c == ';' || c == '?' || c == '&' }))
	isMetrics := slices.Contains(s.web.Metrics, r.URL.Path) || slices.Contains(s.web.Metrics, "")
	switch {
	case isMetrics && r.Method != http.MethodPost:
		a.by = "<PROMEX>"
	case isPage:
		a.by = "<STATS>"
	}
	reads := r.Method == http.MethodGet || r.Method == http.MethodHead
	switch {
	case !reads && (r.Method != http.MethodPost || !isPage):
		h.Set("Allow", "GET, HEAD")
		http.Error(a, "Only GET and HEAD are served here.", http.StatusMethodNotAllowed)
	case reads && isMetrics:
		s.metrics(a, r)
	case !isPage:
		http.Error(a, "No server is available to handle this request.", http.StatusServiceUnavailable)
	case s.denied(r):
		http.Error(a, "You may not see the statistics.", http.StatusForbidden)
	case !s.allowed(r):
		h.Set("WWW-Authenticate", "Basic realm="+strconv.Quote(s.web.Realm))
		http.Error(a, "You need a name and a password to see the statistics.", http.StatusUnauthorized)
	case !reads:
		s.change(a, r, words)
	default:
		s.statistics(a, r, words)
	}
	s.log(a, r, words)
}

// denied obeys stats http-request: the first rule that holds decides.
func (s *site) denied(r *http.Request) bool {
	client := clientOf(r).Addr()
	for i := range s.web.Access {
		if s.web.Access[i].When.Holds(client) {
			return s.web.Access[i].Deny
		}
	}
	return false
}

// allowed compares the name and the password with those of every user, in a time that does not tell how much was right.
func (s *site) allowed(r *http.Request) bool {
	name, password, _ := r.BasicAuth()
	found := 0
	for _, u := range s.web.Users {
		found |= subtle.ConstantTimeCompare([]byte(u.Name), []byte(name)) & subtle.ConstantTimeCompare([]byte(u.Password), []byte(password))
	}
	return len(s.web.Users) == 0 || found == 1
}

// admin reports whether the client may change something.
func (s *site) admin(r *http.Request) bool {
	client := clientOf(r).Addr()
	return slices.ContainsFunc(s.web.Admin, func(c config.WebCondition) bool { return c.Holds(client) })
}

// clientOf is the client's address, not valid for one that came through a UNIX socket.
func clientOf(r *http.Request) netip.AddrPort {
	ap, err := netip.ParseAddrPort(r.RemoteAddr)
	if err != nil {
		return netip.AddrPort{}
	}
	return netip.AddrPortFrom(ap.Addr().Unmap(), ap.Port())
}

// statistics are the page, or the same as CSV or JSON.
func (s *site) statistics(w http.ResponseWriter, r *http.Request, o options) {
	admin := s.admin(r)
	if o.has("sessions") && !admin {
		http.Error(w, "Sessions are shown to those who may end them: see 'stats admin'.", http.StatusForbidden)
		return
	}
	sel := stats.Everything
	sel.NoMaint, sel.Up = o.has("no-maint"), o.has("up")
	rows := s.source.Engine().Stat(sel)
	rows = slices.DeleteFunc(rows, func(r stats.Row) bool { return !s.inScope(r.Text(stats.PxName), o.value("scope")) })
	var out bytes.Buffer
	kind := "text/plain; charset=utf-8"
	switch {
	case o.has("csv"):
		stats.AppendCSV(&out, rows)
	case o.has("json"):
		kind = "application/json"
		stats.AppendJSON(&out, rows)
	default:
		kind = "text/html; charset=utf-8"
		v := s.view(rows, o)
		if admin {
			user, _, _ := r.BasicAuth()
			v.allow(s.token(user))
			if v.List = o.has("sessions"); v.List {
				v.listSessions(s)
			}
		}
		if v.Update {
			w.Header().Set("Connection", "close") // a page that stays open does not keep a place from others
		}
		if err := page.Execute(&out, v); err != nil {
			http.Error(w, "The page could not be made.", http.StatusInternalServerError)
			return
		}
		w.Header().Set("Content-Security-Policy", policy)
		w.Header().Set("Cross-Origin-Resource-Policy", "same-origin")
		w.Header().Set("Referrer-Policy", "same-origin")
	}
	w.Header().Set("Content-Type", kind)
	_, _ = w.Write(out.Bytes()) // the client may be gone
}

// inScope reports whether the page shows a proxy; wanted is a part of its name that the client asked for.
func (s *site) inScope(proxy, wanted string) bool {
	scope := s.web.Scope
	return (len(scope) == 0 || slices.Contains(scope, proxy) || proxy == s.proxy.Name && slices.Contains(scope, ".")) &&
		strings.Contains(proxy, wanted)
}
