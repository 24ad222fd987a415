package web

import (
	"log"
	"net/http"
	"net/http/httptest"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/penstock/penstock/internal/config"
)

// The page lets a browser run and show what is in it, and fetch nothing else.
func TestPagePolicy(t *testing.T) {
	s := mustStage(t, "stats admin if TRUE", "stats refresh 5s")
	for _, path := range []string{"/stats", "/stats;sessions", "/stats;norefresh", "/stats;st=DONE", "/stats;st=WAT"} {
		w := s.request("GET", path, "")
		body, policy := w.Body.String(), w.Header().Get("Content-Security-Policy")
		for _, kind := range []string{"style", "script"} {
			m := regexp.MustCompile(`(?s)<`+kind+`>(.*?)</`+kind+`>`).FindAllStringSubmatch(body, -1)
			if len(m) != 1 || !strings.Contains(policy, kind+"-src "+hash(m[0][1])) {
				t.Errorf("%s: the policy does not let its %s through: %s", path, kind, policy)
			}
		}
		if strings.Contains(policy, "unsafe") || !strings.HasPrefix(policy, "default-src 'none'; ") {
			t.Errorf("%s: %s", path, policy)
		}
		if found := regexp.MustCompile(`(src|href|action)="([a-z]+:)?//[^"]*"| on[a-z]+=|style="|@import|url\(`).FindString(body); found != "" {
			t.Errorf("%s has %s", path, found)
		}
		if live := strings.Contains(body, `data-live="/stats;live`); live == strings.Contains(path, "norefresh") {
			t.Errorf("%s: updates %t", path, live)
		}
		if banner := strings.Contains(body, `class="banner`); banner != strings.HasSuffix(path, "DONE") {
			t.Errorf("%s: banner %t", path, banner)
		}
	}
	if body := s.request("GET", "/stats;live", "").Body.String(); strings.Contains(body, "<style") || strings.Contains(body, "<script") {
		t.Error("an update brings style and script again")
	}
}

func TestWhoSees(t *testing.T) {
	for _, test := range []struct {
		lines, path, from string
		code              int
	}{
		{"", "/stats", "10.0.0.1:1", 200},
		{"stats http-request deny", "/stats", "127.0.0.1:1", 403},
		{"stats http-request allow if LOCALHOST\nstats http-request deny", "/stats;csv", "127.0.0.1:1", 200},
		{"stats http-request allow if LOCALHOST\nstats http-request deny", "/stats;csv", "10.0.0.1:1", 403},
		{"stats http-request deny unless { src 10.0.0.0/8 }", "/stats", "10.0.0.1:1", 200},
		{"stats http-request deny unless { src 10.0.0.0/8 }", "/stats", "@", 403},
		{"", "/stats;sessions", "127.0.0.1:1", 403},
		{"stats admin if LOCALHOST", "/stats;sessions", "127.0.0.1:1", 200},
		{"stats admin if LOCALHOST", "/stats;sessions", "10.0.0.1:1", 403},
		{"stats auth a:b", "/stats", "127.0.0.1:1", 401},
		{"stats admin if TRUE", "/other", "127.0.0.1:1", 503},
	} {
		s := mustStage(t, test.lines)
		if w := s.request("GET", test.path, "", "From: "+test.from); w.Code != test.code {
			t.Errorf("%q: %s from %s: %d, want %d", test.lines, test.path, test.from, w.Code, test.code)
		}
	}
	s := mustStage(t, "stats realm Some\\ place", "stats auth a:b")
	if got := s.request("GET", "/stats", "").Header().Get("WWW-Authenticate"); got != `Basic realm="Some place"` {
		t.Error(got)
	}
	for method, want := range map[string]int{"POST": 303, "PUT": 405, "DELETE": 405, "OPTIONS": 405, "HEAD": 200} {
		if w := s.request(method, "/stats", "", "User: a:b"); w.Code != want {
			t.Errorf("%s: %d, want %d", method, w.Code, want)
		}
	}
}

func TestScope(t *testing.T) {
	for _, test := range []struct {
		lines, path string
		b, page     bool
	}{
		{"", "/stats", true, true},
		{"stats scope .", "/stats", false, true},
		{"stats scope b", "/stats", true, false},
		{"", "/stats;scope=pag", false, true},
		{"stats scope b", "/stats?scope=page", false, false},
	} {
		body := mustStage(t, test.lines).request("GET", test.path, "").Body.String()
		if b, page := strings.Contains(body, `id="b/s1"`), strings.Contains(body, `id="page/FRONTEND"`); b != test.b || page != test.page {
			t.Errorf("%q %s: b %t, page %t", test.lines, test.path, b, page)
		}
	}
}

func TestLegendsAndNames(t *testing.T) {
	s := mustStage(t, "stats show-node north", "stats show-desc two words", "stats show-legends")
	body := s.request("GET", "/stats", "").Body.String()
	for _, want := range []string{"Penstock on north", "two words", "roundrobin, id 2", `title="server 127.0.0.1:1"`} {
		if !strings.Contains(body, want) {
			t.Errorf("%q is missing", want)
		}
	}
}

func TestLogLine(t *testing.T) {
	r := httptest.NewRequest("GET", "/stats;a|b", nil)
	r.RemoteAddr, r.RequestURI = "[::ffff:10.0.0.1]:77", `/stats;"a|b`
	a := &answer{begun: time.Now(), code: 200, bytes: 9, by: "<STATS>"}
	got := regexp.MustCompile(`\[.*?\]|0/0/0/\d+/\d+`).ReplaceAllString(logLine(a, r, &config.Proxy{Name: "p"}, 3), "~")
	if diff := cmp.Diff(`10.0.0.1:77 ~ p p/<STATS> ~ 200 9 - - LR-- 3/3/0/0/0 0/0 "GET /stats;#22a#7Cb HTTP/1.1"`, got); diff != "" {
		t.Error(diff)
	}
	a = &answer{ResponseWriter: httptest.NewRecorder()}
	_, _ = a.Write([]byte("abc"))
	if a.code != http.StatusOK || a.bytes != 3 {
		t.Errorf("%d, %d bytes", a.code, a.bytes)
	}
}

func TestTexts(t *testing.T) {
	for d, want := range map[time.Duration]string{
		-time.Second: "0s", 59 * time.Second: "59s", time.Minute: "1m00s", time.Hour - time.Second: "59m59s",
		25*time.Hour - time.Minute: "1d00h", 2*time.Hour + 5*time.Minute: "2h05m", 49 * time.Hour: "2d01h",
	} {
		if got := span(d); got != want {
			t.Errorf("%v is %q, want %q", d, got, want)
		}
	}
	for n, want := range map[int64]string{0: "0", 1023: "1023", 1536: "1.5 Ki", 1 << 20: "1.0 Mi", 1 << 62: "4.0 Ei"} {
		if got := bytesOf(n); got != want {
			t.Errorf("%d is %q, want %q", n, got, want)
		}
	}
	for status, want := range map[string]string{
		"UP": "good", "UP 1/3": "warn", "UP (via b/s)": "good", "DOWN": "bad", "DOWN 1/2": "bad", "NOLB": "warn", "DRAIN": "warn",
		"MAINT": "idle", "MAINT (via b/s)": "idle", "no check": "idle", "OPEN": "good", "FULL": "warn", "STOP": "bad", "PAUSED": "warn",
	} {
		if got := class(status); got != want {
			t.Errorf("%s is %s, want %s", status, got, want)
		}
	}
}

// A request that panics is told, and nothing that a client does wrong.
func TestBugs(t *testing.T) {
	var told []string
	logger := log.New(bugs(func(line string) { told = append(told, line) }), "", 0)
	logger.Print("http: TLS handshake error from 127.0.0.1:1: EOF")
	logger.Print("http: panic serving 127.0.0.1:1: over\ngoroutine 1 [running]:\n")
	want := []string{"http: panic serving 127.0.0.1:1: over", "goroutine 1 [running]:"}
	if diff := cmp.Diff(want, told); diff != "" {
		t.Error(diff)
	}
}
