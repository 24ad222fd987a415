package admin

import (
	"fmt"
	"io"
	"net"
	"os"
	"path/filepath"
	"runtime"
	"testing"
	"time"

	"github.com/penstock/penstock/internal/config"
	"github.com/penstock/penstock/internal/engine"
	"github.com/penstock/penstock/internal/runtimeapi"
	"github.com/penstock/penstock/internal/stats"
	"github.com/penstock/penstock/internal/testutil"
)

func TestMain(m *testing.M) { os.Exit(testutil.Main(m)) }

// stage is a running engine with a stats socket for each level.
type stage struct {
	tb     testing.TB
	engine *engine.Engine
	dir    string
}

func mustStage(tb testing.TB, text string) *stage {
	tb.Helper()
	report := &config.Reporter{W: &testutil.Output{}}
	cfg, found := config.LoadText("test.cfg", text, config.Options{})
	if found.Fatal() {
		found.Print(report)
		tb.Fatal(report.W)
	}
	e, err := engine.New(cfg, engine.Options{Report: report, Program: "test"})
	if err != nil {
		tb.Fatalf("%v: %s", err, report.W)
	}
	s := &stage{tb: tb, engine: e, dir: testutil.TempDir(tb)}
	var binds []*config.Bind
	for _, level := range []string{"user", "operator", "admin"} {
		binds = append(binds, &config.Bind{
			Addrs: []config.Address{{Kind: config.AddrUnix, Path: filepath.Join(s.dir, level)}}, Level: level, Mode: -1, UID: -1, GID: -1,
		})
	}
	api, err := runtimeapi.Listen(binds, runtimeapi.Options{
		Version: "test", Info: func() stats.Info { return stats.Info{} },
		Commands: Commands(func() *engine.Engine { return e }),
	})
	if err != nil {
		e.Close()
		tb.Fatal(err)
	}
	procs := runtime.GOMAXPROCS(0)
	e.Start()
	api.Serve()
	tb.Cleanup(func() {
		api.Close()
		e.Close()
		runtime.GOMAXPROCS(procs)
	})
	return s
}

// ask sends a line to the socket of a level and returns the answer.
func (s *stage) ask(level, format string, args ...any) string {
	s.tb.Helper()
	conn, err := net.Dial("unix", filepath.Join(s.dir, level))
	if err != nil {
		s.tb.Fatal(err)
	}
	defer conn.Close()
	if err := conn.SetDeadline(time.Now().Add(testutil.Deadline)); err != nil {
		s.tb.Fatal(err)
	}
	if _, err := fmt.Fprintf(conn, format+"\n", args...); err != nil {
		s.tb.Fatal(err)
	}
	answer, err := io.ReadAll(conn)
	if err != nil {
		s.tb.Fatal(err)
	}
	return string(answer)
}
