package e2e

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/prometheus/client_golang/prometheus/testutil/promlint"

	"github.com/penstock/penstock/internal/testutil"
)

const webSections = `
listen page
    mode http
    bind {page}
    stats enable
    stats uri /stats
    stats auth joe:secret
    stats refresh 7s
    stats show-legends
    stats show-node north
    http-request use-service prometheus-exporter if { path /metrics }
listen l
    bind {tcp} name door
    option socket-stats
    server up {server} check inter 100ms
    server down {nobody} check inter 100ms fall 1
`

// get asks for a page; user is "name:password" or empty.
func get(tb testing.TB, method, url, user string) (code int, header http.Header, body string) {
	tb.Helper()
	request, err := http.NewRequest(method, url, nil)
	if err != nil {
		tb.Fatal(err)
	}
	if name, password, ok := strings.Cut(user, ":"); ok {
		request.SetBasicAuth(name, password)
	}
	client := http.Client{Timeout: testutil.Deadline, Transport: &http.Transport{DisableKeepAlives: true}}
	client.CheckRedirect = func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
	response, err := client.Do(request)
	if err != nil {
		tb.Fatal(err)
	}
	defer response.Body.Close()
	text, err := io.ReadAll(response.Body)
	if err != nil {
		tb.Fatal(err)
	}
	return response.StatusCode, response.Header, string(text)
}

func TestStatisticsOverHTTP(t *testing.T) {
	t.Parallel()
	skipForeign(t, "has a page of its own")
	server := testutil.Serve(t, func(c *testutil.Conn) { _, _ = c.Read(make([]byte, 1)) })
	port, tcp := testutil.FreePort(t), testutil.FreePort(t)
	p := start(t, webSections, "page", testutil.Loopback(port), "tcp", testutil.Loopback(tcp), "server", server.Addr,
		"nobody", testutil.Loopback(testutil.FreePort(t)))
	site := "http://" + testutil.Loopback(port)
	testutil.Eventually(t, "a server is down", func() bool {
		answer, err := p.ask("show stat l 4 2")
		return err == nil && strings.Contains(answer, ",DOWN,")
	})

	for _, test := range []struct {
		method, path, user string
		code               int
		body               string
	}{
		{"GET", "/stats", "", 401, "password"},
		{"GET", "/stats", "joe:wrong", 401, "password"},
		{"GET", "/stats", "jo:secret", 401, "password"},
		{"GET", "/stats", "joe:secret", 200, `(?s)http-equiv="refresh" content="7".*on north.*<span class="pill good">OPEN</span>.*<span class="pill bad">DOWN</span>.*L4CON Layer4 connection problem: .*refused`},
		{"GET", "/stats;norefresh", "joe:secret", 200, `^(?s)<!DOCTYPE html>\n`},
		{"POST", "/stats", "joe:secret", 303, "^$"},
		{"PUT", "/stats", "joe:secret", 405, "GET"},
		{"GET", "/", "joe:secret", 503, "No server"},
		{"GET", "/metrics", "", 200, "^# HELP "},
		{"GET", "/metrics?scope=server&no-maint", "", 200, `^# HELP haproxy_server_`},
	} {
		code, header, body := get(t, test.method, site+test.path, test.user)
		if code != test.code {
			t.Errorf("%s %s as %q: %d, want %d", test.method, test.path, test.user, code, test.code)
		}
		if code == 401 && header.Get("WWW-Authenticate") != `Basic realm="HAProxy Statistics"` {
			t.Errorf("%s: %v", test.path, header)
		}
		mustMatch(t, test.path, body, test.body)
		if strings.Contains(test.path, "norefresh") && strings.Contains(body, "http-equiv") {
			t.Errorf("%s refreshes", test.path)
		}
		if regexp.MustCompile(`(src|href)="(https?:)?//`).MatchString(body) {
			t.Errorf("%s asks for something from elsewhere", test.path)
		}
	}
	_, _, table := get(t, "GET", site+"/stats;csv", "joe:secret")
	columns, rows := mustCSV(t, table)
	if len(rows) != 7 || !slices.Contains(columns, "pxname") {
		t.Errorf("%d rows: %s", len(rows), table)
	}
	_, _, list := get(t, "GET", site+"/stats;json", "joe:secret")
	var objects [][]map[string]any
	if err := json.Unmarshal([]byte(list), &objects); err != nil || len(objects) != 7 {
		t.Errorf("%d objects, %v: %s", len(objects), err, list)
	}
	_, _, metrics := get(t, "GET", site+"/metrics", "")
	values := mustMetrics(t, metrics)
	lintMetrics(t, metrics)
	for name, want := range map[string]float64{
		`haproxy_server_status{proxy="l",server="down",state="DOWN"}`:        1,
		`haproxy_server_status{proxy="l",server="down",state="UP"}`:          0,
		`haproxy_server_check_status{proxy="l",server="up",state="L4OK"}`:    1,
		`haproxy_frontend_status{proxy="l",state="UP"}`:                      1,
		`haproxy_listener_status{proxy="l",listener="door",state="OPEN"}`:    1,
		`haproxy_backend_agg_server_status{proxy="l",state="DOWN"}`:          1,
		`haproxy_backend_agg_check_status{proxy="l",state="L4CON"}`:          1,
		`haproxy_backend_agg_check_status{proxy="l",state="L6OK"}`:           0,
		`haproxy_backend_active_servers{proxy="l"}`:                          1,
		`haproxy_process_nbthread`:                                           1,
		`penstock_worker_sessions{worker="1"}`:                               0,
		`haproxy_server_check_failures_total{proxy="l",server="down"}`:       1,
		`haproxy_listener_sessions_total{proxy="l",listener="door"}`:         0,
		`haproxy_server_total_time_average_seconds{proxy="l",server="down"}`: 0,
		`haproxy_backend_status{proxy="l",state="UP"}`:                       1,
		`haproxy_frontend_limit_session_rate{proxy="l"}`:                     0,
		`haproxy_process_node{node="` + metricLabel(metrics, "node") + `"}`:  1,
	} {
		if got, found := values[name]; found != (want >= 0) || found && got != want {
			t.Errorf("%q is %v (%t), want %v", name, got, found, want)
		}
	}
}

// What the examples for monitoring ask for is there.
func TestMonitoringExamples(t *testing.T) {
	t.Parallel()
	skipForeign(t, "has metrics of its own")
	port := testutil.FreePort(t)
	start(t, webSections, "page", testutil.Loopback(port), "tcp", testutil.Loopback(testutil.FreePort(t)),
		"server", testutil.Listen(t).Addr, "nobody", testutil.Loopback(testutil.FreePort(t)))
	_, _, metrics := get(t, "GET", "http://"+testutil.Loopback(port)+"/metrics", "")
	files, err := filepath.Glob("../../examples/monitoring/*")
	if err != nil || len(files) == 0 {
		t.Fatalf("no examples: %v", err)
	}
	for _, file := range files {
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		if strings.HasSuffix(file, ".json") && !json.Valid(text) {
			t.Errorf("%s is not JSON", file)
		}
		names := regexp.MustCompile(`\b(haproxy|penstock)_[a-z0-9_]+`).FindAllString(string(text), -1)
		if len(names) == 0 {
			t.Errorf("%s asks for nothing", file)
		}
		for _, name := range names {
			if !strings.Contains(metrics, "# TYPE "+name+" ") {
				t.Errorf("%s asks for %s, which is not there", file, name)
			}
		}
	}
}

func metricLabel(text, label string) string {
	m := regexp.MustCompile(label + `="([^"]*)"`).FindStringSubmatch(text)
	if m == nil {
		return ""
	}
	return m[1]
}

var (
	helpLine   = regexp.MustCompile(`^# HELP ([a-z_][a-z0-9_]*) ([A-Z0-9].*\.)$`)
	typeLine   = regexp.MustCompile(`^# TYPE ([a-z_][a-z0-9_]*) (counter|gauge)$`)
	sampleLine = regexp.MustCompile(`^([a-z_][a-z0-9_]*)((?:\{[a-z_]+="(?:[^"\\\n]|\\[\\n"])*"(?:,[a-z_]+="(?:[^"\\\n]|\\[\\n"])*")*\})?) (-?[0-9.]+(?:e[+-]?[0-9]+)?)$`)
)

// mustMetrics reads the text format of Prometheus and holds it to its rules: HELP and TYPE once before all samples
// of a name, samples of a name together, no sample twice, only counters end in "_total".
func mustMetrics(tb testing.TB, text string) map[string]float64 {
	tb.Helper()
	values, families, current := map[string]float64{}, map[string]string{}, ""
	if !strings.HasSuffix(text, "\n") {
		tb.Error("the last line has no end")
	}
	lines := strings.Split(strings.TrimSuffix(text, "\n"), "\n")
	for i := 0; i < len(lines); i++ {
		line := lines[i]
		if m := helpLine.FindStringSubmatch(line); m != nil {
			current = m[1]
			if families[current] != "" {
				tb.Errorf("%s begins twice", current)
			}
			i++
			kind := typeLine.FindStringSubmatch(lines[min(i, len(lines)-1)])
			if kind == nil || kind[1] != current {
				tb.Fatalf("no type of %s", current)
			}
			families[current] = kind[2]
			if (kind[2] == "counter") != strings.HasSuffix(current, "_total") {
				tb.Errorf("%s is a %s", current, kind[2])
			}
			continue
		}
		m := sampleLine.FindStringSubmatch(line)
		if m == nil || m[1] != current {
			tb.Fatalf("line %d is not a sample of %s: %q", i+1, current, line)
		}
		if _, twice := values[m[1]+m[2]]; twice {
			tb.Errorf("%s%s comes twice", m[1], m[2])
		}
		v, err := strconv.ParseFloat(m[3], 64)
		if err != nil {
			tb.Error(err)
		}
		values[m[1]+m[2]] = v
	}
	return values
}

// lintMetrics holds metrics to the customs of Prometheus. HAProxy's names need no exception.
func lintMetrics(tb testing.TB, text string) {
	tb.Helper()
	problems, err := promlint.New(strings.NewReader(text)).Lint()
	if err != nil {
		tb.Fatal(err)
	}
	for _, p := range problems {
		tb.Errorf("%s: %s", p.Metric, p.Text)
	}
}

// More clients than a section may have wait, and those that never ask for anything go away.
func TestPageIsBounded(t *testing.T) {
	t.Parallel()
	skipForeign(t, "has a page of its own")
	port := testutil.FreePort(t)
	start(t, "frontend page\n    mode http\n    bind {page}\n    maxconn 2\n    stats enable\n    stats uri /\n", "page", testutil.Loopback(port))
	silent := []*testutil.Conn{dial(t, port), dial(t, port), dial(t, port)}
	last := dial(t, port)
	last.Send("GET /;csv HTTP/1.0\r\n\r\n")
	silent[0].Close()
	silent[1].Send(fmt.Sprintf("GET / HTTP/1.0\r\nX: %s\r\n\r\n", strings.Repeat("x", 40<<10)))
	silent[1].ExpectClosed()
	silent[2].Close()
	last.Expect("HTTP/1.0 200 OK\r\n")
}

// The metrics of a process tell what it took over.
func TestHandoverMetrics(t *testing.T) {
	t.Parallel()
	needHandover(t)
	server := testutil.Serve(t, testutil.Echo)
	page, tcp := testutil.Loopback(testutil.FreePort(t)), testutil.FreePort(t)
	g := startLineage(t, webSections, "page", page, "tcp", testutil.Loopback(tcp), "server", server.Addr, "nobody", testutil.Loopback(testutil.FreePort(t)))
	client := dial(t, tcp)
	client.Send("a")
	client.Expect("a")
	g.reload()
	testutil.Eventually(t, "the metrics tell of the handover", func() bool {
		_, _, metrics := get(t, "GET", "http://"+page+"/metrics", "")
		values := mustMetrics(t, metrics)
		return values["penstock_generation"] == 1 && values["penstock_handover_sessions_in_total"] == 1 &&
			values["penstock_worker_sessions{worker=\"1\"}"] == 1
	})
	client.Send("b")
	client.Expect("b")
}
