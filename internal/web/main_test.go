package web

import (
	"fmt"
	"net/http/httptest"
	"os"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/penstock/penstock/internal/admin"
	"github.com/penstock/penstock/internal/config"
	"github.com/penstock/penstock/internal/engine"
	"github.com/penstock/penstock/internal/runtimeapi"
	"github.com/penstock/penstock/internal/stats"
	"github.com/penstock/penstock/internal/testutil"
)

func TestMain(m *testing.M) { os.Exit(testutil.Main(m)) }

// stage is a section in HTTP mode in front of a running engine, without a socket.
type stage struct {
	site   *site
	engine *engine.Engine

	mu     sync.Mutex
	events []string
}

const sections = `
defaults
    timeout connect 1s
    timeout client 1s
    timeout server 1s
backend b
    server s1 127.0.0.1:1
    server s2 127.0.0.1:2 check inter 1h
    server s3 127.0.0.1:3 track b/s2
listen page
    mode http
    bind 127.0.0.1:1
    stats enable
    stats uri /stats
`

// mustStage has the sections above, and lines of the page.
func mustStage(tb testing.TB, lines ...string) *stage {
	tb.Helper()
	report := &config.Reporter{W: &testutil.Output{}}
	cfg, found := config.LoadText("test.cfg", sections+strings.Join(lines, "\n")+"\n", config.Options{})
	if found.Fatal() {
		found.Print(report)
		tb.Fatal(report.W)
	}
	s := &stage{}
	var err error
	if s.engine, err = engine.New(cfg, engine.Options{Report: report, Program: "test"}); err != nil {
		tb.Fatalf("%v: %s", err, report.W)
	}
	running := func() *engine.Engine { return s.engine }
	api, err := runtimeapi.Open(nil, runtimeapi.Options{Commands: admin.Commands(running)})
	if err != nil {
		s.engine.Close()
		tb.Fatal(err)
	}
	procs := runtime.GOMAXPROCS(0)
	s.engine.Start()
	tb.Cleanup(func() {
		api.Close()
		s.engine.Close()
		runtime.GOMAXPROCS(procs)
	})
	source := Source{
		Info: func() stats.Info { return stats.Info{} }, Engine: running,
		Run:       func(words ...string) string { return api.Run(runtimeapi.LevelAdmin, words...) },
		Handovers: func() stats.Handovers { return stats.Handovers{} },
		Event: func(format string, args ...any) {
			s.mu.Lock()
			defer s.mu.Unlock()
			s.events = append(s.events, fmt.Sprintf(format, args...))
		},
	}
	page := cfg.Proxies[len(cfg.Proxies)-1]
	s.site = newSite(page, &cfg.Global, source, new(atomic.Int32))
	return s
}

// request asks the page. Headers are lines of the form "Name: value"; "From" is the address of the client.
func (s *stage) request(method, path, body string, headers ...string) *httptest.ResponseRecorder {
	r := httptest.NewRequest(method, path, strings.NewReader(body))
	r.RemoteAddr, r.Host = "127.0.0.1:4321", "127.0.0.1:8404"
	for _, line := range headers {
		switch name, value, _ := strings.Cut(line, ": "); name {
		case "From":
			r.RemoteAddr = value
		case "Host":
			r.Host = value
		case "User":
			user, password, _ := strings.Cut(value, ":")
			r.SetBasicAuth(user, password)
		default:
			r.Header.Set(name, value)
		}
	}
	w := httptest.NewRecorder()
	s.site.ServeHTTP(w, r)
	return w
}

// status is the state of a server of the backend.
func (s *stage) status(server string) string {
	for _, row := range s.engine.Stat(stats.Everything) {
		if row.Text(stats.PxName) == "b" && row.Text(stats.SvName) == server {
			return row.Text(stats.Status)
		}
	}
	return ""
}

// lastEvent is what was said last, and forgets it.
func (s *stage) lastEvent() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(s.events) == 0 {
		return ""
	}
	last := s.events[len(s.events)-1]
	s.events = nil
	return last
}
