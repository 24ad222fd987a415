package main

import (
	"bytes"
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/penstock/penstock/bench/report"
)

func TestUsageErrors(t *testing.T) {
	for _, args := range [][]string{
		nil,
		{"long"},
		{"short", "--rounds", "0"},
		{"short", "--window", "0s"},
		{"short", "--scenario", "nonsense"},
		{"short", "--nonsense"},
		{"short", "word"},
		{"short", "--global", "x"},
		{"compare", "one"},
		{"reload", "word"},
		{"reload", "--reloads", "0"},
		{"reload", "--nonsense"},
		{"pollers", "word"},
		{"pollers", "--rounds", "0"},
	} {
		var out, errs bytes.Buffer
		if code := command(t.Context(), args, &out, &errs); code != exitUsage || out.Len() > 0 || errs.Len() == 0 {
			t.Errorf("%q: exit code %d, output %q, messages %q", args, code, out.String(), errs.String())
		}
	}
	var out, errs bytes.Buffer
	if code := command(t.Context(), []string{"short", "-h"}, &out, &errs); code != exitOK || !strings.Contains(errs.String(), "-rounds") {
		t.Errorf("-h: exit code %d, %q", code, errs.String())
	}
	if code := command(t.Context(), []string{"short", "--peer", "x"}, &out, &errs); code != exitHarness {
		t.Errorf("bad peer: exit code %d", code)
	}
}

func TestShort(t *testing.T) {
	file := filepath.Join(t.TempDir(), "out.json")
	args := []string{
		"short", "--rounds", "1", "--window", "5ms", "--warm-up", "0", "--scenario", "roundtrip-1", "--json", file,
		"--global", "haproxy=tune.bufsize 16384",
		"--peer", "penstock=/nonexistent/penstock", "--peer", "haproxy=/nonexistent/haproxy",
	}
	var out, errs bytes.Buffer
	if code := command(t.Context(), args, &out, &errs); code != exitOK {
		t.Fatalf("exit code %d: %s", code, errs.String())
	}
	for _, want := range []string{"- haproxy: skipped: ", "| roundtrip-1 "} {
		if !strings.Contains(out.String(), want) {
			t.Errorf("no %q in\n%s", want, out.String())
		}
	}
	b, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	var rep report.Report
	if err := json.Unmarshal(b, &rep); err != nil || len(rep.Samples) == 0 {
		t.Errorf("%d samples in the file, %v", len(rep.Samples), err)
	}
	out.Reset()
	if code := command(t.Context(), []string{"compare", file, file}, &out, &errs); code != exitOK || out.Len() == 0 {
		t.Errorf("compare: exit code %d: %s", code, errs.String())
	}
	if code := command(t.Context(), []string{"compare", file, file + ".no"}, &out, &errs); code != exitHarness {
		t.Errorf("compare with nothing: exit code %d", code)
	}
}
