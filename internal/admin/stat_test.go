package admin

import (
	"encoding/json"
	"io"
	"net"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/penstock/penstock/internal/config"
	"github.com/penstock/penstock/internal/engine"
	"github.com/penstock/penstock/internal/runtimeapi"
	"github.com/penstock/penstock/internal/testutil"
)

const sections = `
defaults
    timeout client 1s
    timeout connect 1s
    timeout server 1s
frontend f
    bind abns@penstock-admin-test
    default_backend b
backend b
    server s 127.0.0.1:1
    server t 127.0.0.1:1 disabled
`

// mustServe runs an engine, and returns the stats sockets of an admin and of an operator.
func mustServe(tb testing.TB) (admin, operator string) {
	tb.Helper()
	out := &testutil.Output{}
	report := &config.Reporter{W: out}
	cfg, found := config.LoadText("test.cfg", sections, config.Options{})
	if found.Fatal() {
		found.Print(report)
		tb.Fatal(out)
	}
	e, err := engine.New(cfg, engine.Options{Report: report, Program: "test"})
	if err != nil {
		tb.Fatalf("%v: %s", err, out)
	}
	procs := runtime.GOMAXPROCS(0)
	e.Start()
	tb.Cleanup(func() { e.Close(); runtime.GOMAXPROCS(procs) })
	dir := testutil.TempDir(tb)
	admin, operator = filepath.Join(dir, "a"), filepath.Join(dir, "o")
	bind := func(path, level string) *config.Bind {
		return &config.Bind{Addrs: []config.Address{{Kind: config.AddrUnix, Path: path}}, Level: level, Mode: 0o600, UID: -1, GID: -1}
	}
	s, err := runtimeapi.Listen([]*config.Bind{bind(admin, "admin"), bind(operator, "operator")}, runtimeapi.Options{
		Commands: Commands(func() *engine.Engine { return e }),
	})
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(s.Close)
	s.Serve()
	return admin, operator
}

func mustAsk(tb testing.TB, socket, line string) string {
	tb.Helper()
	c, err := net.Dial("unix", socket)
	if err != nil {
		tb.Fatal(err)
	}
	defer c.Close()
	if err := c.SetDeadline(time.Now().Add(testutil.Deadline)); err != nil {
		tb.Fatal(err)
	}
	if _, err := io.WriteString(c, line+"\n"); err != nil {
		tb.Fatal(err)
	}
	answer, err := io.ReadAll(c)
	if err != nil {
		tb.Fatal(err)
	}
	return string(answer)
}

func TestShowStat(t *testing.T) {
	admin, operator := mustServe(t)
	for _, test := range []struct {
		socket, line string
		rows         string // proxy/name of each, or the whole answer
	}{
		{admin, "show stat", "f/FRONTEND b/s b/t b/BACKEND"},
		{admin, "show stat b", "f/FRONTEND b/s b/t b/BACKEND"},
		{admin, "show stat b -1 -1", "b/s b/t b/BACKEND"},
		{admin, "show stat 3 -1 -1", "b/s b/t b/BACKEND"},
		{admin, "show stat -1 1 -1", "f/FRONTEND"},
		{admin, "show stat -1 3 -1", "f/FRONTEND b/BACKEND"},
		{admin, "show stat b 4 2", "b/t"},
		{admin, "show stat b 4 9", ""},
		{admin, "show stat 99 4 9", ""},
		{admin, "show stat no-maint", "f/FRONTEND b/s b/BACKEND"},
		{admin, "show stat up", "f/FRONTEND b/s b/BACKEND"},
		{admin, "show stat domain proxy b 4 1", "b/s"},
		{operator, "show stat b 4 1", "b/s"},
		{admin, "show stat domain nope", "Invalid statistics domain.\n\n"},
		{admin, "show stat nope 4 1", "No such proxy.\n\n"},
		{admin, "show stat 0 4 1", "No such proxy.\n\n"},
		{admin, "show stat typed desc up", "No such proxy.\n\n"},
		{operator, "clear counters", "\n"},
		{operator, "clear counters all", "Permission denied\n\n"},
		{admin, "clear counters all", "\n"},
		{operator, "clear counters server", "Require 'backend/server'.\n\n"},
		{operator, "clear counters server nope/s1", "No such backend.\n\n"},
		{operator, "clear counters all server nope/s1", "Permission denied\n\n"},
	} {
		answer := mustAsk(t, test.socket, test.line)
		if !strings.HasPrefix(answer, "# ") {
			if answer != test.rows {
				t.Errorf("%s: %q, want %q", test.line, answer, test.rows)
			}
			continue
		}
		var rows []string
		lines := strings.Split(strings.TrimSuffix(answer, "\n\n"), "\n")
		for _, line := range lines[1:] {
			fields := strings.Split(line, ",")
			rows = append(rows, fields[0]+"/"+fields[1])
		}
		if got := strings.Join(rows, " "); got != test.rows {
			t.Errorf("%s: %s, want %s", test.line, got, test.rows)
		}
	}
	if answer := mustAsk(t, admin, "show stat typed b"); !strings.HasPrefix(answer, "F.2.0.0.pxname.1:KNSV:str:f\n") {
		t.Errorf("typed: %s", answer)
	}
	var rows [][]any
	if err := json.Unmarshal([]byte(mustAsk(t, admin, "show stat json")), &rows); err != nil || len(rows) != 4 {
		t.Errorf("JSON of %d rows, %v", len(rows), err)
	}
}

func FuzzLeadingNumber(f *testing.F) {
	for word, want := range map[string]int{"": 0, "-": 0, "-1": -1, "12x": 12, "x1": 0, "--1": 0, "99999999999999999999": 0} {
		f.Add(word)
		if got := leadingNumber(word); got != want {
			f.Errorf("%q is %d, want %d", word, got, want)
		}
	}
	f.Fuzz(func(_ *testing.T, word string) { leadingNumber(word) })
}
