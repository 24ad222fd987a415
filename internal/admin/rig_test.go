package admin

import (
	"io"
	"net"
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

// rig is an engine with a stats socket.
type rig struct {
	*engine.Engine
	tb   testing.TB
	path string
	out  *testutil.Output
}

// mustRig starts an engine on a configuration.
func mustRig(tb testing.TB, text string) *rig {
	tb.Helper()
	r := &rig{tb: tb, path: filepath.Join(testutil.TempDir(tb), "s"), out: &testutil.Output{}}
	report := &config.Reporter{W: r.out}
	cfg, found := config.LoadText("test.cfg", text, config.Options{})
	if found.Fatal() {
		found.Print(report)
		tb.Fatal(r.out)
	}
	bind := &config.Bind{Addrs: []config.Address{{Kind: config.AddrUnix, Path: r.path}}, Level: "admin", Mode: 0o600, UID: -1, GID: -1}
	api, err := runtimeapi.Listen([]*config.Bind{bind}, runtimeapi.Options{
		Info: func() stats.Info { return stats.Info{} }, MaxConn: 10, LineLimit: 16384,
		Commands: Commands(func() *engine.Engine { return r.Engine }),
	})
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(api.Close)
	if r.Engine, err = engine.New(cfg, engine.Options{Report: report, Program: "test"}); err != nil {
		tb.Fatalf("%v: %s", err, r.out)
	}
	procs := runtime.GOMAXPROCS(0)
	r.Start()
	tb.Cleanup(func() { r.Close(); runtime.GOMAXPROCS(procs) })
	api.Serve()
	return r
}

// ask returns the answer to a line, without the empty line that ends it.
func (r *rig) ask(line string) string {
	r.tb.Helper()
	return mustAsk(r.tb, r.path, line)
}

func mustAsk(tb testing.TB, path, line string) string {
	tb.Helper()
	conn, err := net.Dial("unix", path)
	if err != nil {
		tb.Fatal(err)
	}
	defer conn.Close()
	if err := conn.SetDeadline(time.Now().Add(testutil.Deadline)); err != nil {
		tb.Fatal(err)
	}
	if _, err := io.WriteString(conn, line+"\n"); err != nil {
		tb.Fatal(err)
	}
	answer, err := io.ReadAll(conn)
	if err != nil {
		tb.Fatal(err)
	}
	return string(answer)
}

func dial(addr string) (net.Conn, error) { return net.DialTimeout("tcp", addr, testutil.Deadline) }
