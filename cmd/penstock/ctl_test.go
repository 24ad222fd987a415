package main

import (
	"bytes"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/penstock/penstock/internal/config"
	"github.com/penstock/penstock/internal/runtimeapi"
	"github.com/penstock/penstock/internal/stats"
	"github.com/penstock/penstock/internal/testutil"
)

// mustAPI is a stats socket with commands that answer what the tests need.
func mustAPI(t *testing.T) (path string) {
	t.Helper()
	path = filepath.Join(testutil.TempDir(t), "api")
	say := func(text string) func(*runtimeapi.Request) {
		return func(r *runtimeapi.Request) { r.Reply("%s", text) }
	}
	api, err := runtimeapi.Listen([]*config.Bind{{
		Addrs: []config.Address{{Kind: config.AddrUnix, Path: path}}, Level: "operator", Mode: -1, UID: -1, GID: -1,
	}}, runtimeapi.Options{
		Version: "1.2", Info: func() stats.Info { return stats.Info{} },
		Commands: []runtimeapi.Command{
			{Words: []string{"show", "csv"}, Usage: "show csv", Run: say("# pxname,svname,act,\nfe,FRONTEND,,\nbe,\"a,b\",1,")},
			{Words: []string{"show", "table"}, Usage: "show table", Run: say("1\n# id name\n1 be")},
			{Words: []string{"show", "values"}, Usage: "show values", Run: say("Name: x y\nPid: 5\nEmpty: ")},
			{Words: []string{"show", "json"}, Usage: "show json", Run: say(`[{"a":1}]`)},
			{Words: []string{"show", "se"}, Usage: "show se", Run: say("0x1: src=unix:1 rq[f=0h,i=0] age=1s\n")},
			{Words: []string{"take"}, Usage: "take <what>", Run: func(r *runtimeapi.Request) { r.Reply("%q %q", r.Args, r.Payload) }},
			{Words: []string{"note"}, Usage: "note", Run: func(r *runtimeapi.Request) { r.Message(runtimeapi.SeverityInfo, "well") }},
			{Words: []string{"deny"}, Usage: "deny", Level: runtimeapi.LevelAdmin, Run: say("x")},
		},
	})
	if err != nil {
		t.Fatal(err)
	}
	api.Serve()
	t.Cleanup(api.Close)
	return path
}

func TestCtl(t *testing.T) {
	path := mustAPI(t)
	for _, test := range []struct {
		args           []string
		stdin          string
		code           int
		stdout, stderr string // of stderr the beginning
	}{
		{args: []string{"show", "version"}, stdout: "1.2\n"},
		{args: []string{"show version;show cli level"}, stdout: "1.2\n\noperator\n"},
		{args: []string{"operator"}},
		{args: []string{"note"}, stdout: "well\n"},
		{args: []string{"deny"}, code: 1, stderr: "Permission denied\n"},
		{args: []string{"foo"}, code: 1, stderr: "Unknown command: 'foo'"},
		{args: []string{"show env NOPE;show version"}, code: 1, stdout: "\n1.2\n", stderr: "Variable not found\n"},
		{args: []string{"take", "it", "<<"}, stdin: "a\nb\n", stdout: "[\"it\"] \"a\\nb\\n\"\n"},
		{args: []string{"take", "<<EOF"}, stdin: "a\n\nb", stdout: "[] \"a\\n\\nb\\n\"\n"},
		{args: []string{"--json", "show", "csv"}, stdout: `[{"act":"","pxname":"fe","svname":"FRONTEND"},{"act":"1","pxname":"be","svname":"a,b"}]` + "\n"},
		{args: []string{"--json", "show", "table"}, stdout: `[{"id":"1","name":"be"}]` + "\n"},
		{args: []string{"--json", "show", "values"}, stdout: `{"Empty":"","Name":"x y","Pid":"5"}` + "\n"},
		{args: []string{"--json", "show", "json"}, stdout: `[{"a":1}]` + "\n"},
		{args: []string{"--json", "show", "se"}, stdout: `[{"age":"1s","id":"0x1","rq":"f=0h,i=0","src":"unix:1"}]` + "\n"},
		{args: []string{"--json", "show", "version"}, stdout: `["1.2"]` + "\n"},
		{args: []string{"--json", "operator"}, stdout: "[]\n"},
		{args: []string{"--json", "deny"}, code: 1, stderr: "Permission denied\n"},
		{stdin: "show version\n\nshow cli level\n", stdout: "1.2\noperator\n"},
		{stdin: "take <<\na\n;\n\nnote\n", stdout: "[] \"a\\n;\\n\"\nwell\n"},
		{stdin: "deny\nshow version\nquit\nshow version\n", code: 1, stdout: "1.2\n", stderr: "Permission denied\n"},
		{args: []string{""}},
	} {
		var out, errs bytes.Buffer
		env := &environment{stdin: strings.NewReader(test.stdin), stdout: &out, stderr: &errs, args: append([]string{"ctl", "-s", path}, test.args...)}
		code := env.main()
		if code != test.code || out.String() != test.stdout || !strings.HasPrefix(errs.String(), test.stderr) || test.stderr == "" && errs.Len() > 0 {
			t.Errorf("ctl %q < %q: code %d, %q, %q", test.args, test.stdin, code, &out, &errs)
		}
	}
	for _, args := range [][]string{{"ctl", "show", "version"}, {"ctl", "--nope"}} {
		if code, _, stderr := call(t, args...); code != exitUsage || !strings.Contains(stderr, "penstock ctl: ") {
			t.Errorf("%q: code %d, %q", args, code, stderr)
		}
	}
	if code, _, stderr := call(t, "ctl", "-s", path+"x", "show", "version"); code != exitFailure || !strings.Contains(stderr, "no such file") {
		t.Errorf("without a server: code %d, %q", code, stderr)
	}
}

func TestComplete(t *testing.T) {
	known := commandsOf("The following commands are valid at this level:\n  show sess [<id>]      : x\n  show servers state: x\n  set server <b>/<s>    : x\n  quit  : x\n\n")
	if diff := cmp.Diff([]string{"show sess", "show servers state", "set server", "quit"}, known); diff != "" {
		t.Fatal(diff)
	}
	for line, want := range map[string]string{
		"": "", "s": "s", "sh": "show se", "show se": "show se", "show ser": "show servers state ", "x": "x", "quit;  se": "quit;set server ",
	} {
		if got, _ := complete(known, line); got != want {
			t.Errorf("%q becomes %q, want %q", line, got, want)
		}
	}
}

func FuzzAnswerJSON(f *testing.F) {
	for _, seed := range []string{"", "a: b\n", "# a,b,\n\"x,1\n", "1\n# a b\nc", "0x1: a=b c[d]\n0x2", "[1]", "[", ": x\n"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, text string) {
		k := &ctl{env: &environment{stdout: &bytes.Buffer{}, stderr: &bytes.Buffer{}}, json: true}
		k.show(text)
		cutPrompt(text)
		complete(commandsOf(text), text)
	})
}
