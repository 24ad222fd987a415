package web

import (
	"crypto/sha256"
	_ "embed"
	"encoding/base64"
	"fmt"
	"html/template"
	"strconv"
	"strings"
	"time"

	"github.com/penstock/penstock/internal/session"
	"github.com/penstock/penstock/internal/stats"
)

// The page is one answer: its style and script are in it, and a policy names the two by their hashes, so that a browser
// runs and fetches nothing else.

//go:embed page.html
var pageText string

//go:embed page.css
var style string

//go:embed page.js
var script string

var page = template.Must(template.New("page").Parse(pageText))

var policy = "default-src 'none'; img-src data:; connect-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'; style-src " +
	hash(style) + "; script-src " + hash(script)

func hash(text string) string {
	sum := sha256.Sum256([]byte(text))
	return "'sha256-" + base64.StdEncoding.EncodeToString(sum[:]) + "'"
}

// view is what the page shows.
type view struct {
	Title, Version, Node, Desc string
	URI, Keep                  string
	Live                       string // address of updates, "": none
	Update                     bool   // this is one: style and script are there
	Refresh                    int    // seconds, for browsers without scripts; 0: never
	Style                      template.CSS
	Script                     template.JS
	Legends                    bool
	Uptime, OutRate            string
	Info                       stats.Info
	Outcome                    *outcome
	Up, Servers, Maintenance   int // Servers: all but those in maintenance
	Proxies                    []proxyView
	Trouble                    []rowView // servers that are not as they should be

	Admin   bool
	Token   string
	Actions []action

	List     bool // of sessions
	Sessions []sessionView
	Present  int
}

type proxyView struct {
	Name, Mode, Algo string
	ID               int
	Actions          bool
	Rows             []rowView
}

type rowView struct {
	Of, Name, Kind, Status, Class, Why string
	Backup, Waiting                    bool
	Queue, QueueMost                   string
	Sessions, SessionsMost, Limit      string
	Rate, RateMost                     string
	Total, In, Out                     string
	Errors, ErrorsOf, Retries          string
	Weight, Since, Check, Addr         string
}

// sessionView is a row of the list of sessions.
type sessionView struct {
	ID, Client, Frontend, Server, State, Class string
	Age, Idle, Queued, In, Out                 string
	Waiting, Worker                            int
}

func (s *site) view(rows []stats.Row, o options) *view {
	info := s.source.Info()
	v := &view{
		Title: "Penstock", URI: s.web.URI, Keep: keep(o), Legends: s.web.ShowLegends, Info: info, Update: o.has("live"),
		Style: template.CSS(style), Script: template.JS(script), Outcome: outcomeOf(o.value("st")),
		Uptime: span(time.Since(info.Started)), OutRate: bytesOf(int64(info.BytesOutRate)),
	}
	if !s.web.HideVersion {
		v.Version = info.BuildInfo
	}
	if s.web.ShowNode {
		v.Node = s.node
	}
	if s.web.ShowDesc {
		v.Desc = s.desc
	}
	if !o.has("norefresh") {
		v.Live = v.URI + ";live" + v.Keep
		if o.has("sessions") {
			v.Live += ";sessions"
		}
		if s.web.Refresh > 0 {
			v.Refresh = max(int(s.web.Refresh/time.Second), 1)
		}
	}
	for i := range rows {
		r := &rows[i]
		name := r.Text(stats.PxName)
		if len(v.Proxies) == 0 || v.Proxies[len(v.Proxies)-1].Name != name {
			v.Proxies = append(v.Proxies, proxyView{Name: name, Mode: r.Text(stats.Mode), ID: r.ProxyID})
		}
		p := &v.Proxies[len(v.Proxies)-1]
		if r.Has(stats.Algo) {
			p.Algo = r.Text(stats.Algo)
		}
		row := showRow(r)
		p.Rows = append(p.Rows, row)
		if r.Object != stats.Server {
			continue
		}
		switch {
		case strings.HasPrefix(row.Status, "MAINT"):
			v.Maintenance++
			continue
		case row.Class == "bad":
			v.Trouble = append(v.Trouble, row)
		case row.Class == "warn":
			v.Trouble = append(v.Trouble, row)
			v.Up++
		default:
			v.Up++
		}
		v.Servers++
	}
	return v
}

// allow puts forms into the page.
func (v *view) allow(token string) {
	v.Admin, v.Token, v.Actions = true, token, actions
	for i := range v.Proxies {
		for _, r := range v.Proxies[i].Rows {
			v.Proxies[i].Actions = v.Proxies[i].Actions || r.Kind == "server"
		}
	}
}

// sessionsShown is the most that the page lists: those that a worker comes upon first.
const sessionsShown = 200

// listSessions adds the sessions of proxies in scope.
func (v *view) listSessions(s *site) {
	e := s.source.Engine()
	v.Present = e.Sessions()
	e.Views(func(batch []session.View) bool {
		for i := range batch {
			x := &batch[i]
			if !s.inScope(x.Frontend, "") && !s.inScope(x.Backend, "") {
				continue
			}
			if len(v.Sessions) == sessionsShown {
				return false
			}
			v.Sessions = append(v.Sessions, showSession(x))
		}
		return true
	})
	v.Present = max(v.Present, len(v.Sessions)) // some came meanwhile
}

func showSession(x *session.View) sessionView {
	v := sessionView{
		ID: "0x" + strconv.FormatUint(uint64(x.ID), 16), Client: "unix", Frontend: x.Frontend, State: x.State, Class: "warn",
		Age: span(time.Duration(x.AgeMs) * time.Millisecond), Idle: span(time.Duration(x.IdleMs) * time.Millisecond),
		In: bytesOf(int64(x.Up.Bytes)), Out: bytesOf(int64(x.Down.Bytes)), Waiting: x.Up.Waiting + x.Down.Waiting, Worker: x.Worker + 1,
	}
	if ap := x.Peer.AddrPort(); ap.IsValid() {
		v.Client = ap.String()
	}
	if x.Backend != "" {
		v.Server = x.Backend + "/" + x.Server
	}
	switch {
	case x.State == "relay":
		v.Class = "good"
	case x.State == "queued":
		v.Queued = span(time.Duration(x.AgeMs) * time.Millisecond)
	}
	return v
}

func showRow(r *stats.Row) rowView {
	status := r.Text(stats.Status)
	v := rowView{
		Of: r.Text(stats.PxName), Name: r.Text(stats.SvName), Kind: strings.ToLower(r.Object.String()), Status: status, Class: class(status),
		Backup: r.Object == stats.Server && r.Number(stats.Bck) > 0,
		Queue:  r.Text(stats.QCur), QueueMost: r.Text(stats.QMax), Waiting: r.Number(stats.QCur) > 0,
		Sessions: r.Text(stats.SCur), SessionsMost: r.Text(stats.SMax), Limit: r.Text(stats.SLim),
		Rate: r.Text(stats.Rate), RateMost: r.Text(stats.RateMax), Total: r.Text(stats.STot),
		In: bytesOf(r.Number(stats.BytesIn)), Out: bytesOf(r.Number(stats.BytesOut)), Weight: r.Text(stats.Weight), Addr: r.Text(stats.Addr),
	}
	if r.Has(stats.Econ) {
		v.Errors = strconv.FormatInt(r.Number(stats.Econ)+r.Number(stats.Eresp), 10)
		v.ErrorsOf = fmt.Sprintf("%d to connect, %d later", r.Number(stats.Econ), r.Number(stats.Eresp))
	}
	if r.Has(stats.Wretr) {
		v.Retries = r.Text(stats.Wretr)
	}
	if r.Has(stats.Lastchg) {
		v.Since = span(time.Duration(r.Number(stats.Lastchg)) * time.Second)
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

// span is a time for people: its two largest units.
func span(d time.Duration) string {
	s := int64(max(d, 0) / time.Second)
	switch {
	case s < 60:
		return fmt.Sprintf("%ds", s)
	case s < 3600:
		return fmt.Sprintf("%dm%02ds", s/60, s%60)
	case s < 86400:
		return fmt.Sprintf("%dh%02dm", s/3600, s/60%60)
	}
	return fmt.Sprintf("%dd%02dh", s/86400, s/3600%24)
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
