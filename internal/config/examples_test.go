package config

import (
	"bytes"
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"testing"
)

// mustExamples are the configurations that users are shown.
func mustExamples(tb testing.TB) []string {
	tb.Helper()
	files, err := filepath.Glob("../../examples/*.cfg")
	if err != nil || len(files) == 0 {
		tb.Fatalf("no examples: %v", err)
	}
	return files
}

// The examples give no finding at all, and each can be tried on a terminal: its log goes to stdout.
func TestExamples(t *testing.T) {
	for _, file := range mustExamples(t) {
		t.Run(filepath.Base(file), func(t *testing.T) {
			cfg, found := Load(Options{Files: []string{file}, DiagMode: true})
			for _, d := range found.List {
				t.Errorf("[%v] %s\n%s", d.Severity, d.Text(), d.Excerpt())
			}
			toTerminal := func(l LogTarget) bool { return l.Kind == LogFD && l.FD == 1 && l.Format == HeaderRaw }
			if !slices.ContainsFunc(cfg.Global.Logs, toTerminal) {
				t.Error("no 'log stdout format raw' in the global section")
			}
			for _, px := range cfg.Proxies {
				if px.Kind.HasFrontend() && !slices.ContainsFunc(px.Logs, toTerminal) {
					t.Errorf("%v %s does not log", px.Kind, px.Name)
				}
			}
		})
	}
}

// The examples are HAProxy's language: the installed haproxy accepts them without a warning.
func TestExamplesOracle(t *testing.T) {
	haproxy, err := exec.LookPath("haproxy")
	if err != nil {
		t.Skipf("haproxy is not installed: %v", err)
	}
	for _, file := range mustExamples(t) {
		t.Run(filepath.Base(file), func(t *testing.T) {
			text, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			if bytes.Contains(text, []byte("-check role ")) {
				t.Skip("HAProxy has no checks of the role")
			}
			ctx, cancel := context.WithTimeout(t.Context(), oracleTimeLimit)
			defer cancel()
			out, err := exec.CommandContext(ctx, haproxy, "-c", "-dW", "-f", file).CombinedOutput()
			if err != nil {
				t.Errorf("%v\n%s", err, out)
			}
		})
	}
}
