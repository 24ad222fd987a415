package config

import (
	"bytes"
	"errors"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestReporter(t *testing.T) {
	diags := &Diagnostics{}
	diags.add(Diagnostic{
		File: "f.cfg", Line: 3, Col: 6, EndCol: 9, Severity: Warning, Code: "c", Message: "'foo' is odd.", Hint: "use bar",
		place: placeSpaced, source: "\tlog foo bar",
	})
	diags.add(Diagnostic{File: "f.cfg", Line: 4, Col: 1, EndCol: 2, Severity: Alert, Code: "c", Message: "wrong:", place: placeTight, source: "x"})
	diags.add(Diagnostic{Severity: Alert, Code: "fatal", Message: "Fatal errors found in configuration.", place: placeContinue})

	const head = "[NOTICE]   (42) : penstock version is 0.1, compatible with HAProxy version 3.4.0\n" +
		"[NOTICE]   (42) : path to executable is /bin/penstock\n"
	const alerts = "[ALERT]    (42) : config : parsing [f.cfg:4]: wrong:\n    x\n    ^\n" +
		"[ALERT]    (42) : config : Fatal errors found in configuration.\n"
	const warning = "[WARNING]  (42) : config : parsing [f.cfg:3] : 'foo' is odd.\n    log foo bar\n        ^~~\n    hint: use bar\n"
	tests := []struct {
		name string
		r    *Reporter
		want string
	}{
		{"plain", &Reporter{}, head + warning + alerts},
		{"quiet", &Reporter{Quiet: true}, alerts},
		{"quiet but verbose", &Reporter{Quiet: true, Verbose: true}, head + warning + alerts},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			var out bytes.Buffer
			r := tt.r
			r.W, r.Pid, r.Version, r.Compatible, r.Executable = &out, 42, "0.1", CompatibleVersion, "/bin/penstock"
			diags.Print(r)
			if diff := cmp.Diff(tt.want, out.String()); diff != "" {
				t.Errorf("Print (-want +got):\n%s", diff)
			}
			if r.Warnings() != 1 || diags.Warnings() != 1 || !diags.Fatal() {
				t.Errorf("%d and %d warnings, fatal %v", r.Warnings(), diags.Warnings(), diags.Fatal())
			}
		})
	}
}

func TestReporterLevels(t *testing.T) {
	var out bytes.Buffer
	r := &Reporter{W: &out, Pid: 7, Version: "0.1", Compatible: "3.4.0", Diag: true}
	r.Noticef("%d connections", 3)
	r.Diagf("detail")
	r.Warningf("odd")
	r.Alertf("bad")
	want := "[NOTICE]   (7) : 3 connections\n[DIAG]     (7) : detail\n" +
		"[NOTICE]   (7) : penstock version is 0.1, compatible with HAProxy version 3.4.0\n" +
		"[WARNING]  (7) : odd\n[ALERT]    (7) : bad\n"
	if diff := cmp.Diff(want, out.String()); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	out.Reset()
	r.Color = true
	r.Alertf("bad")
	if got, want := out.String(), "\x1b[1;31m[ALERT]\x1b[0m    (7) : bad\n"; got != want {
		t.Errorf("in colour: %q, want %q", got, want)
	}
	out.Reset()
	r.Diag = false
	r.Diagf("detail")
	if out.Len() > 0 {
		t.Errorf("an unwanted message: %q", out.String())
	}
}

func TestExcerpt(t *testing.T) {
	long := "    bind " + strings.Repeat("a", 100) + " mark " + strings.Repeat("b", 500)
	at := strings.Index(long, "mark") + 1
	tests := []struct {
		name     string
		source   string
		col, end int
		want     string
	}{
		{"word", "  bind :80 foo", 12, 15, "    bind :80 foo\n             ^~~\n"},
		{"end of line", "  bind", 7, 8, "    bind\n        ^\n"},
		{"tabs", "\tbind\t:80", 7, 10, "    bind :80\n         ^~~\n"},
		{"wide letters", "log é x", 8, 9, "    log é x\n          ^\n"},
		{"controls", "a\x1b[31m b", 8, 9, "    a?[31m b\n           ^\n"},
		{"no place", "x", 0, 0, ""},
		{"place behind the line", "x", 9, 10, ""},
		{
			"long", long, at, at + 4,
			"    ..." + long[at-31:at+89] + "...\n       " + strings.Repeat(" ", 30) + "^~~~\n",
		},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			d := Diagnostic{Col: tt.col, EndCol: tt.end, source: tt.source}
			if diff := cmp.Diff(tt.want, d.Excerpt()); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
		})
	}
}

func TestWriteJSON(t *testing.T) {
	_, diags := LoadText("f.cfg", "global\n  foo <x>\n", Options{})
	var out bytes.Buffer
	if err := diags.WriteJSON(&out); err != nil {
		t.Fatal(err)
	}
	want := `[
  {
    "file": "f.cfg",
    "line": 2,
    "col": 3,
    "endCol": 6,
    "severity": "alert",
    "code": "unknown-keyword",
    "message": "unknown keyword 'foo' in 'global' section",
    "hint": ""
  }
]
`
	if diff := cmp.Diff(want, out.String()); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	if err := diags.WriteJSON(failingWriter{}); !errors.Is(err, errFull) {
		t.Errorf("on a full disk: %v", err)
	}
}

var errFull = errors.New("full")

type failingWriter struct{}

func (failingWriter) Write([]byte) (int, error) { return 0, errFull }
