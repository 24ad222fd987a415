package web

import (
	"fmt"
	"net/http"
	"strings"
	"time"

	"github.com/penstock/penstock/internal/config"
	"github.com/penstock/penstock/internal/logging"
)

// answer notes what the log tells of an answer.
type answer struct {
	http.ResponseWriter
	begun time.Time
	code  int
	bytes int64  // of the body
	by    string // the service that HAProxy names for such requests
}

func (s *site) observe(w http.ResponseWriter) *answer {
	return &answer{ResponseWriter: w, begun: time.Now(), by: "<NOSRV>"}
}

func (a *answer) WriteHeader(code int) {
	a.code = code
	a.ResponseWriter.WriteHeader(code)
}

func (a *answer) Write(p []byte) (int, error) {
	if a.code == 0 {
		a.code = http.StatusOK
	}
	n, err := a.ResponseWriter.Write(p)
	a.bytes += int64(n)
	return n, err
}

// log sends a line in HAProxy's format of option httplog to the loggers of the section. The updates of an open page are
// left out when they went well: they come every second.
func (s *site) log(a *answer, r *http.Request, o options) {
	fine := a.code < http.StatusBadRequest
	if fine && (s.proxy.DontLogNormal || o.has("live")) {
		return
	}
	level := logging.LevelInfo
	if !fine && s.proxy.LogSeparateErrors {
		level = logging.LevelErr
	}
	s.source.Engine().LogProxy(s.proxy.Name, level, logLine(a, r, s.proxy, int(s.conns.Load())))
}

// quoting is what HAProxy does to characters that a reader of its log could stumble over.
var quoting = strings.NewReplacer(`"`, "#22", "#", "#23", "{", "#7B", "|", "#7C", "}", "#7D")

func logLine(a *answer, r *http.Request, p *config.Proxy, conns int) string {
	took, end := time.Since(a.begun).Milliseconds(), "LR"
	if a.by == "<NOSRV>" {
		end = "SC"
	}
	return fmt.Sprintf(`%s [%s] %s %s/%s 0/0/0/%d/%d %d %d - - %s-- %d/%d/0/0/0 0/0 "%s %s %s"`,
		who(r), a.begun.Format("02/Jan/2006:15:04:05.000"), p.Name, p.Name, a.by, took, took, a.code, a.bytes, end, conns, conns,
		quoting.Replace(r.Method), quoting.Replace(r.RequestURI), r.Proto)
}

// who is the client as log lines have it.
func who(r *http.Request) string {
	if c := clientOf(r); c.IsValid() {
		return fmt.Sprintf("%s:%d", c.Addr(), c.Port())
	}
	return "unix:1"
}
