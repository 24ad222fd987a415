package top

import (
	"flag"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/penstock/penstock/internal/testutil"
)

var update = flag.Bool("update", false, "write the golden files anew")

func TestMain(m *testing.M) { os.Exit(testutil.Main(m)) }

func mustRead(tb testing.TB, name string) string {
	tb.Helper()
	text, err := os.ReadFile(filepath.Join("testdata", name))
	if err != nil {
		tb.Fatal(err)
	}
	return string(text)
}

// mustSample is what a process answered, some seconds after an arbitrary date.
func mustSample(tb testing.TB, seconds int) *Sample {
	tb.Helper()
	return &Sample{
		Taken: time.Unix(int64(1000+seconds), 0), Info: ParseInfo(mustRead(tb, "info.txt")), Rows: ParseStat(mustRead(tb, "stat.csv")),
		Sessions: ParseSessions(mustRead(tb, "sess.txt")), Listed: true,
	}
}

// mustModel shows two samples, between which something happened.
func mustModel(tb testing.TB, view View) *Model {
	tb.Helper()
	m := NewModel(view, nil)
	m.Update(mustSample(tb, 0))
	later := mustSample(tb, 2)
	for i := range later.Rows {
		if r := &later.Rows[i]; r.Proxy == "be" && r.Name == "s1" {
			r.n[bytesIn] += 5000
			r.n[bytesOut] += 3 << 20
			r.n[current] = 7
		}
	}
	later.Sessions[1].Down += 4096
	m.Update(later)
	return m
}

func text(lines []Line) string {
	var all strings.Builder
	for _, l := range lines {
		all.WriteString(l.String() + "\n")
	}
	return all.String()
}

func checkGolden(t *testing.T, name, got string) {
	t.Helper()
	path := filepath.Join("testdata", name+".golden")
	if *update {
		if err := os.WriteFile(path, []byte(got), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	if diff := cmp.Diff(mustRead(t, name+".golden"), got); diff != "" {
		t.Errorf("%s (-want +got):\n%s", name, diff)
	}
}

// typed presses keys and returns the last effect.
func typed(m *Model, input string) (e effect) {
	keys, rest := decode([]byte(input))
	if string(rest) == "\x1b" {
		keys = append(keys, keyEscape)
	}
	for _, k := range keys {
		e = m.press(k)
	}
	return e
}
