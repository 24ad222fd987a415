package main

import (
	"strings"
	"testing"
)

func TestTopCommand(t *testing.T) {
	path := mustAPI(t)
	for _, test := range []struct {
		args   []string
		code   int
		stdout string // part of it
		stderr string // the beginning
	}{
		{[]string{"--once"}, exitOK, "connections 0 of 0, 0/s", ""},
		{[]string{"-n", "2", "-i", "100ms", "--view", "servers", "--sort", "-cur", "--filter", "x"}, exitOK, "CUR▲", ""},
		{[]string{"--view", "sessions"}, exitOK, "show sess: unknown command", ""},
		{[]string{"--view", "x"}, exitUsage, "", `penstock top: unknown view "x"`},
		{[]string{"--sort", "x"}, exitUsage, "", `penstock top: the view overview has no column "x", but proxy, name, status,`},
		{[]string{"--filter", "["}, exitUsage, "", "penstock top: filter: error parsing regexp"},
		{[]string{"--interval", "1ms"}, exitUsage, "", "penstock top: --interval 1ms is too short"},
		{[]string{"-n", "-1"}, exitUsage, "", "penstock top: --batch -1"},
		{[]string{"x"}, exitUsage, "", `penstock top: unexpected argument "x"`},
	} {
		var out, errs strings.Builder
		env := &environment{stdout: &out, stderr: &errs, args: append([]string{"top", "-s", path}, test.args...), environ: []string{"LANG=C.UTF-8"}}
		if code := env.main(); code != test.code || !strings.Contains(out.String(), test.stdout) || !strings.HasPrefix(errs.String(), test.stderr) || test.stderr == "" && errs.Len() > 0 {
			t.Errorf("top %q: code %d, %q, %q", test.args, code, &out, &errs)
		}
	}
	if code, _, stderr := call(t, "top"); code != exitUsage || !strings.HasPrefix(stderr, "penstock top: no socket given") {
		t.Errorf("without a socket: code %d, %q", code, stderr)
	}
	if code, _, stderr := call(t, "top", "-s", path+"x"); code != exitFailure || !strings.Contains(stderr, "no such file") {
		t.Errorf("without a process: code %d, %q", code, stderr)
	}
}

func TestTerminalLooks(t *testing.T) {
	for _, test := range []struct {
		kind          string
		environ       []string
		colours, utf8 bool
	}{
		{"xterm-256color", []string{"LANG=de_DE.UTF-8"}, true, true},
		{"screen", []string{"LANG=C.UTF-8", "LC_ALL=C"}, true, false},
		{"vt100", []string{"LC_CTYPE=en_US.utf8", "LANG=C"}, false, true},
		{"vt100", []string{"COLORTERM=truecolor"}, true, false},
		{"xterm", []string{"NO_COLOR=1"}, false, false},
		{"xterm", []string{"NO_COLOR="}, true, false},
	} {
		env := &environment{environ: test.environ}
		if colours, utf8 := env.colours(test.kind), env.utf8(); colours != test.colours || utf8 != test.utf8 {
			t.Errorf("%s %q: colours %v, UTF-8 %v", test.kind, test.environ, colours, utf8)
		}
	}
}
