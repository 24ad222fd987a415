package web

import (
	"bytes"
	"crypto/subtle"
	_ "embed"
	"fmt"
	"html/template"
	"net/http"
	"os"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/penstock/penstock/internal/config"
	"github.com/penstock/penstock/internal/stats"
)

// site answers the requests to one section.
type site struct {
	proxy  *config.Proxy
	web    *config.Web
	source Source
	node   string
	desc   string
}

func newSite(p *config.Proxy, g *config.Global, source Source) *site {
	s := &site{proxy: p, web: &p.Web, source: source, node: p.Web.Node, desc: p.Web.Desc}
	if s.node == "" {
		s.node = g.Node
	}
	if s.node == "" {
		s.node, _ = os.Hostname()
	}
	if s.desc == "" {
		s.desc = g.Description
	}
	return s
}

// ServeHTTP finds what is asked for: metrics by their path, the page by the beginning of its address. There
// are no servers for anything else.
func (s *site) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	h := w.Header()
	h.Set("Cache-Control", "no-cache")
	h.Set("X-Content-Type-Options", "nosniff")
	if r.Method != http.MethodGet && r.Method != http.MethodHead {
		h.Set("Allow", "GET, HEAD")
		http.Error(w, "Only GET and HEAD are served here.", http.StatusMethodNotAllowed)
		return
	}
	uri := r.URL.RequestURI()
	options, isPage := strings.CutPrefix(uri, s.web.URI)
	switch {
	case slices.Contains(s.web.Metrics, r.URL.Path), slices.Contains(s.web.Metrics, ""):
		s.metrics(w, r)
	case !s.web.Stats || !isPage:
		http.Error(w, "No server is available to handle this request.", http.StatusServiceUnavailable)
	case !s.allowed(r):
		h.Set("WWW-Authenticate", "Basic realm="+strconv.Quote(s.web.Realm))
		http.Error(w, "You need a name and a password to see the statistics.", http.StatusUnauthorized)
	default:
		s.statistics(w, strings.FieldsFunc(options, func(c rune) bool { return c == ';' || c == '?' || c == '&' }))
	}
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

// metrics knows HAProxy's parameters scope and no-maint.
func (s *site) metrics(w http.ResponseWriter, r *http.Request) {
	query := r.URL.Query()
	wants := func(scope string) bool {
		list := query["scope"]
		return len(list) == 0 || slices.Contains(list, scope) || slices.Contains(list, "*")
	}
	sel := stats.Everything
	sel.Types = 0
	for o, scope := range map[stats.Object]string{
		stats.Frontend: "frontend", stats.Backend: "backend", stats.Server: "server", stats.Listener: "listener",
	} {
		if wants(scope) {
			sel.Types |= 1 << o
		}
	}
	sel.NoMaint = query.Has("no-maint")
	var out bytes.Buffer
	e := s.source.Engine()
	if wants("global") {
		info := s.source.Info()
		info.AppendMetrics(&out)
		loads := e.Loads()
		for _, m := range []struct {
			name, help string
			value      func(i int) float64
		}{
			{"penstock_worker_sessions", "present sessions of a worker", func(i int) float64 { return float64(loads[i].Sessions) }},
			{"penstock_worker_pipes", "pipes of a worker that hold bytes", func(i int) float64 { return float64(loads[i].PipesUsed) }},
			{"penstock_worker_spliced_bytes_total", "bytes that a worker moved through pipes", func(i int) float64 { return float64(loads[i].Spliced) }},
			{"penstock_worker_copied_bytes_total", "bytes that a worker copied", func(i int) float64 {
				return float64(loads[i].BytesOut) - float64(min(loads[i].Spliced, loads[i].BytesOut))
			}},
		} {
			stats.Family(&out, m.name, m.help)
			for i := range loads {
				stats.Sample(&out, m.name, m.value(i), "worker", strconv.Itoa(i+1))
			}
		}
	}
	stats.AppendMetrics(&out, e.Stat(sel))
	w.Header().Set("Content-Type", "text/plain; version=0.0.4; charset=utf-8")
	_, _ = w.Write(out.Bytes()) // the client may be gone
}

// statistics are the page, or the same as CSV or JSON.
func (s *site) statistics(w http.ResponseWriter, options []string) {
	sel := stats.Everything
	sel.NoMaint, sel.Up = slices.Contains(options, "no-maint"), slices.Contains(options, "up")
	rows := slices.DeleteFunc(s.source.Engine().Stat(sel), func(r stats.Row) bool { return !s.inScope(r.Text(stats.PxName)) })
	var out bytes.Buffer
	kind := "text/plain; charset=utf-8"
	switch {
	case slices.Contains(options, "csv"):
		stats.AppendCSV(&out, rows)
	case slices.Contains(options, "json"):
		kind = "application/json"
		stats.AppendJSON(&out, rows)
	default:
		kind = "text/html; charset=utf-8"
		if err := page.Execute(&out, s.view(rows, slices.Contains(options, "norefresh"))); err != nil {
			http.Error(w, "The page could not be made.", http.StatusInternalServerError)
			return
		}
		w.Header().Set("Content-Security-Policy", "default-src 'none'; style-src 'unsafe-inline'; frame-ancestors 'none'")
	}
	w.Header().Set("Content-Type", kind)
	_, _ = w.Write(out.Bytes()) // the client may be gone
}

func (s *site) inScope(proxy string) bool {
	return len(s.web.Scope) == 0 || slices.Contains(s.web.Scope, proxy) || proxy == s.proxy.Name && slices.Contains(s.web.Scope, ".")
}

//go:embed page.html
var pageText string

var page = template.Must(template.New("page").Parse(pageText))

// view is what the page shows.
type view struct {
	Title, Version, Node, Desc string
	URI                        string
	Refresh                    int // seconds, 0: never
	Legends                    bool
	Uptime                     string
	Info                       stats.Info
	Proxies                    []proxyView
}

type proxyView struct {
	Name, Mode, Algo string
	Rows             []rowView
}

type rowView struct {
	Name, Kind, Status, Class, Why string
	Queue, Sessions, Limit, Rate   string
	Total, In, Out, Errors         string
	Weight, Since, Check, Addr     string
}

func (s *site) view(rows []stats.Row, still bool) *view {
	info := s.source.Info()
	v := &view{Title: "Penstock", URI: s.web.URI, Legends: s.web.ShowLegends, Info: info}
	v.Uptime = time.Since(info.Started).Truncate(time.Second).String()
	if !s.web.HideVersion {
		v.Version = info.BuildInfo
	}
	if s.web.ShowNode {
		v.Node = s.node
	}
	if s.web.ShowDesc {
		v.Desc = s.desc
	}
	if s.web.Refresh > 0 && !still {
		v.Refresh = max(int(s.web.Refresh/time.Second), 1)
	}
	for i := range rows {
		r := &rows[i]
		name := r.Text(stats.PxName)
		if len(v.Proxies) == 0 || v.Proxies[len(v.Proxies)-1].Name != name {
			v.Proxies = append(v.Proxies, proxyView{Name: name, Mode: r.Text(stats.Mode)})
		}
		p := &v.Proxies[len(v.Proxies)-1]
		if r.Has(stats.Algo) {
			p.Algo = r.Text(stats.Algo)
		}
		p.Rows = append(p.Rows, showRow(r))
	}
	return v
}

func showRow(r *stats.Row) rowView {
	status := r.Text(stats.Status)
	v := rowView{
		Name: r.Text(stats.SvName), Kind: strings.ToLower(r.Object.String()), Status: status, Class: class(status),
		Queue: r.Text(stats.QCur), Sessions: r.Text(stats.SCur) + " / " + r.Text(stats.SMax), Limit: r.Text(stats.SLim),
		Rate: r.Text(stats.Rate), Total: r.Text(stats.STot), In: bytesOf(r.Number(stats.BytesIn)), Out: bytesOf(r.Number(stats.BytesOut)),
		Weight: r.Text(stats.Weight), Addr: r.Text(stats.Addr),
	}
	if r.Has(stats.Econ) {
		v.Errors = fmt.Sprintf("%d / %d", r.Number(stats.Econ), r.Number(stats.Eresp))
	}
	if r.Has(stats.Lastchg) {
		v.Since = (time.Duration(r.Number(stats.Lastchg)) * time.Second).String()
	}
	if r.Has(stats.CheckStatus) {
		v.Check = r.Text(stats.CheckStatus)
		if r.Has(stats.CheckCode) {
			v.Check += "/" + r.Text(stats.CheckCode)
		}
		v.Why = r.Text(stats.CheckDesc)
		if last := r.Text(stats.LastChk); last != "" {
			v.Why += ": " + last
		}
	}
	return v
}

// class is the colour of a status.
func class(status string) string {
	word, rest, _ := strings.Cut(status, " ")
	switch {
	case word == "UP" && strings.Contains(rest, "/") && !strings.HasPrefix(rest, "("), word == "NOLB", word == "DRAIN", word == "FULL", word == "PAUSED":
		return "warn"
	case word == "UP", word == "OPEN":
		return "good"
	case word == "DOWN", word == "STOP":
		return "bad"
	}
	return "idle"
}

// bytesOf is a number of bytes for people.
func bytesOf(n int64) string {
	const units = "KMGTPE"
	if n < 1<<10 {
		return strconv.FormatInt(n, 10)
	}
	f, unit := float64(n)/(1<<10), 0
	for ; f >= 1<<10 && unit < len(units)-1; unit++ {
		f /= 1 << 10
	}
	return fmt.Sprintf("%.1f %ci", f, units[unit])
}
