package web

import (
	"net/http"
	"net/url"
	"strings"
	"testing"
)

// A form does what HAProxy's does, and answers as HAProxy does.
func TestChange(t *testing.T) {
	s := mustStage(t, "stats admin if TRUE")
	for _, test := range []struct {
		form, code     string
		server, status string // what is so afterwards
	}{
		{"s=s1&action=maint&b=b", "DONE", "s1", "MAINT"},
		{"s=s1&action=ready&b=%232", "DONE", "s1", "no check"},
		{"b=b&s=s1&s=s2&action=drain", "DONE", "s1", "DRAIN"},
		{"action=ready&b=b&s=s1&s=s2", "DONE", "s1", "no check"},
		{"s=s1&action=disable&b=b&foo=bar", "DONE", "s1", "MAINT"},
		{"s=s1&action=enable&b=b", "DONE", "s1", "no check"},
		{"s=s1&action=stop&b=b", "DONE", "s1", "DRAIN"},
		{"s=s1&action=start&b=b", "DONE", "s1", "no check"},
		{"s=s2&action=hdown&b=b", "DONE", "s2", "DOWN"},
		{"s=s2&action=hnolb&b=b", "DONE", "s2", "NOLB"},
		{"s=s2&action=hrunn&b=b", "DONE", "s2", "UP"},
		{"s=s3&action=hdown&b=b", "NONE", "s2", "UP"},
		{"s=s2&action=dhlth&b=b", "DONE", "s2", "no check"},
		{"s=s2&action=ehlth&b=b", "DONE", "s2", "UP"},
		{"s=s1&action=dhlth&b=b", "NONE", "", ""},
		{"s=s1&action=ehlth&b=b", "NONE", "", ""},
		{"s=s1&action=dagent&b=b", "NONE", "", ""},
		{"s=s1&action=arunn&b=b", "NONE", "", ""},
		{"s=s1&s=s2&action=shutdown&b=b", "DONE", "", ""},
		{"s=nope&action=maint&b=b", "ERRP", "", ""},
		{"s=s1&s=nope&action=maint&b=b", "PART", "s1", "MAINT"},
		{"s=s1&action=ready&action=maint&b=b", "DONE", "s1", "no check"},
		{"s=s1&action=maint&b=nope", "ERRP", "s1", "no check"},
		{"s=s1&action=maint&b=%23b", "ERRP", "", ""},
		{"s=s1&action=wat&b=b", "ERRP", "", ""},
		{"s=s1&action=&b=b", "ERRP", "", ""},
		{"action=maint&b=b", "NONE", "", ""},
		{"s=s1&b=b", "NONE", "", ""},
		{"", "NONE", "", ""},
		{"%zz", "ERRP", "", ""},
		{"s=s1&action=weight&weight=7&b=b", "DONE", "", ""},
		{"s=s1&action=weight&weight=50%25&b=b", "DONE", "", ""},
		{"s=s1&action=weight&weight=&b=b", "NONE", "", ""},
		{"s=s1&action=weight&b=b", "NONE", "", ""},
		{"s=s1&action=weight&weight=1000&b=b", "NONE", "", ""},
		{"s=s1&action=weight&weight=1%3Bhelp&b=b", "NONE", "", ""},
		{"session=0x40000000", "NONE", "", ""},
		{"session=server%20b/s1", "NONE", "", ""},
		{strings.Repeat("a", formLimit+1), "EXCD", "", ""},
	} {
		w := s.request("POST", "/stats", test.form)
		if got := w.Header().Get("Location"); w.Code != http.StatusSeeOther || got != "/stats;st="+test.code {
			t.Errorf("%.60s: %d to %q, want %s", test.form, w.Code, got, test.code)
		}
		if got := s.status(test.server); !strings.HasPrefix(got, test.status) {
			t.Errorf("%s: %s is %q, want %q", test.form, test.server, got, test.status)
		}
	}
	for path, want := range map[string]string{
		"/stats;up;norefresh":         "/stats;st=NONE;up",
		"/stats;scope=b;no-maint":     "/stats;st=NONE;no-maint;scope=b",
		"/stats;sessions":             "/stats;st=NONE;sessions",
		"/stats;scope=%0d%0aX:%20b;x": "/stats;st=NONE;scope=%250d%250aX%3A%2520b",
	} {
		if got := s.request("POST", path, "").Header().Get("Location"); got != want {
			t.Errorf("%s leads to %q, want %q", path, got, want)
		}
	}
}

// Everything that is asked for is told, with who asked.
func TestChangeIsTold(t *testing.T) {
	s := mustStage(t, "stats admin if LOCALHOST", "stats auth joe:x", "stats auth ann:y")
	for _, test := range []struct {
		headers []string
		want    string
	}{
		{[]string{"User: joe:x"}, `Page page: "joe" at 127.0.0.1:4321 asked for 'set server b/s1 state maint': done`},
		{[]string{"User: ann:y", "From: [::1]:5"}, `Page page: "ann" at ::1:5 asked for 'set server b/s1 state maint': done`},
		{[]string{"User: ann:y", "From: 10.0.0.1:5"}, `Page page: "ann" at 10.0.0.1:5 may not change anything.`},
		{[]string{"User: ann:y", "From: @"}, `Page page: "ann" at unix:1 may not change anything.`},
		{[]string{"User: ann:x"}, ""}, // no password, no request
		{
			[]string{"User: joe:x", "Origin: http://elsewhere"},
			`Page page: a change asked for by "joe" at 127.0.0.1:4321 was refused: it comes from another site (Origin or Referer).`,
		},
	} {
		s.request("POST", "/stats", "s=s1&action=maint&b=b", test.headers...)
		if got := s.lastEvent(); got != test.want {
			t.Errorf("%q: %s", test.headers, got)
		}
	}
}

func TestWhoMayChange(t *testing.T) {
	for _, test := range []struct {
		lines, from, want string
	}{
		{"", "127.0.0.1:1", "DENY"},
		{"stats admin if FALSE", "127.0.0.1:1", "DENY"},
		{"stats admin unless LOCALHOST", "10.0.0.1:1", "DONE"},
		{"stats admin if LOCALHOST\nstats admin if { src 10.0.0.0/8 }", "10.0.0.1:1", "DONE"},
		{"stats admin if TRUE\nstats scope other", "10.0.0.1:1", "ERRP"}, // what the page does not show, it does not change
	} {
		s := mustStage(t, test.lines)
		w := s.request("POST", "/stats", "s=s1&action=maint&b=b", "From: "+test.from)
		if got := w.Header().Get("Location"); got != "/stats;st="+test.want {
			t.Errorf("%q from %s: %q", test.lines, test.from, got)
		}
		form := strings.Contains(s.request("GET", "/stats", "", "From: "+test.from).Body.String(), "<form")
		if form != (test.want == "DONE") {
			t.Errorf("%q from %s: form %t", test.lines, test.from, form)
		}
	}
}

// A browser is obeyed when it comes from our own page, a script always.
func TestForged(t *testing.T) {
	const token = "TOKEN"
	for _, test := range []struct {
		headers []string
		token   string
		good    bool
	}{
		{nil, "", true},
		{[]string{"User-Agent: curl/8"}, "", true},
		{[]string{"User-Agent: Mozilla/5.0"}, "", false},
		{[]string{"User-Agent: Mozilla/5.0"}, token, true},
		{[]string{"Cookie: x=y"}, "", false},
		{[]string{"Origin: http://127.0.0.1:8404"}, token, true},
		{[]string{"Origin: https://127.0.0.1:8404"}, token, true}, // behind somebody who takes TLS away
		{[]string{"Origin: http://127.0.0.1:8404"}, "", false},
		{[]string{"Origin: http://127.0.0.1:8404"}, "00", false},
		{[]string{"Origin: http://127.0.0.1:8405"}, token, false},
		{[]string{"Origin: http://evil.example"}, token, false},
		{[]string{"Origin: null"}, token, false},
		{[]string{"Origin: ::"}, token, false},
		{[]string{"Referer: http://127.0.0.1:8404/stats"}, token, true},
		{[]string{"Referer: http://evil.example/stats"}, token, false},
		{[]string{"Sec-Fetch-Site: same-origin"}, token, true},
		{[]string{"Sec-Fetch-Site: same-site", "Origin: http://127.0.0.1:8404"}, token, false},
		{[]string{"Sec-Fetch-Site: cross-site"}, token, false},
		{[]string{"Sec-Fetch-Site: none"}, token, false},
		{[]string{"Host: localhost:1", "Origin: http://localhost:1"}, token, true},
		{[]string{"Host: [::1]:1", "Origin: http://[::1]:1"}, token, true},
		{[]string{"Host: north", "Origin: http://North"}, token, true},
		{[]string{"Host: evil.example:1", "Origin: http://evil.example:1"}, token, false}, // a name that was led here
	} {
		s := mustStage(t, "stats admin if TRUE", "stats show-node north.example.net")
		form := "s=s1&action=maint&b=b&token=" + strings.ReplaceAll(test.token, token, s.site.token(""))
		w := s.request("POST", "/stats", form, test.headers...)
		if done := w.Header().Get("Location") == "/stats;st=DONE"; done != test.good || !done && w.Code != http.StatusForbidden {
			t.Errorf("%q with %q: %d %s", test.headers, test.token, w.Code, w.Body)
		}
		if changed := s.status("s1") == "MAINT"; changed != test.good {
			t.Errorf("%q with %q: changed %t", test.headers, test.token, changed)
		}
	}
}

// A token is for one user, and one life of the process.
func TestToken(t *testing.T) {
	a, b := mustStage(t), mustStage(t)
	if a.site.token("joe") == a.site.token("ann") || a.site.token("joe") == b.site.token("joe") {
		t.Error("two tokens are the same")
	}
	s := mustStage(t, "stats admin if TRUE", "stats auth joe:x", "stats auth ann:y")
	for user, want := range map[string]int{"joe:x": http.StatusSeeOther, "ann:y": http.StatusForbidden} {
		w := s.request("POST", "/stats", "token="+s.site.token("joe"), "User: "+user, "Host: a.name", "Origin: http://a.name")
		if w.Code != want {
			t.Errorf("the token of joe for %s: %d", user, w.Code)
		}
	}
}

func FuzzForm(f *testing.F) {
	s := mustStage(f, "stats admin if TRUE")
	f.Add("s=s1&action=maint&b=b", ";up")
	f.Add("b=%232&s=s1&s=%00&action=hdown&token=x", ";scope=%0d%0a&st=DONE?x")
	f.Add("session=0x1&session=&x", ";sessions;live")
	f.Fuzz(func(t *testing.T, form, options string) {
		path, err := url.Parse("/stats" + options)
		if err != nil || strings.ContainsAny(path.RequestURI(), " \r\n") || !strings.HasPrefix(path.RequestURI(), "/stats") {
			t.Skip()
		}
		w := s.request("POST", path.RequestURI(), form)
		to := w.Header().Get("Location")
		if w.Code != http.StatusSeeOther || !strings.HasPrefix(to, "/stats;st=") || strings.ContainsAny(to, "\r\n") {
			t.Errorf("%q to %q: %d %q", form, options, w.Code, to)
		}
		if w := s.request("GET", path.RequestURI(), ""); w.Code != http.StatusOK {
			t.Errorf("%q: %d", options, w.Code)
		}
	})
}
