package main

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/penstock/penstock/internal/config"
	"github.com/penstock/penstock/internal/runtimeapi"
	"github.com/penstock/penstock/internal/stats"
	"github.com/penstock/penstock/internal/testutil"
	"github.com/penstock/penstock/internal/top"
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
		{args: []string{"help", "prompt"}, stdout: "The following commands are valid at this level:\n" +
			"  help [<command>]                        : list the commands, or those that begin alike\n" +
			"  prompt [help | n | i | p | timed]*      : toggle the interactive mode with prompt\n" +
			"  quit                                    : end the session\n"},
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
		{stdin: "show version;; take a\\;b\\\\;show cli level\n;\n", stdout: "1.2\n[\"a;b\\\\\"] \"\"\noperator\n"},
		{stdin: "show version;take <<\na\n\nnote;quit;note\n", stdout: "1.2\n[] \"a\\n\"\nwell\n"},
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
	const help = "The following commands are valid at this level:\n  show sess [<id>]      : x\n  show servers state [<backend>]: x\n" +
		"  set server <bk>/<srv> [opts] : x\n  show stat [<proxy> <type> <id>] [desc|json]* : x\n  expert-mode [on|off] : x\n" +
		"  disable frontend <frontend>: x\n  shutdown sessions server <bk>/<srv> : x\n  quit  : x\n\n"
	asked := 0
	known := newCompleter(help, func() []top.Row {
		asked++
		return top.ParseStat("# pxname,svname,type,\nfe,FRONTEND,0,\nbe,s1,2,\nbe,s22,2,\nbe,BACKEND,1,\n")
	})
	for line, want := range map[string]string{
		"": "", "sh": "sh", "sho": "show ", "show se": "show se", "show ser": "show servers ", "show servers": "show servers ",
		"show servers state ": "show servers state be ", "x": "x", "quit;  se": "quit;  set ", "set server b": "set server be/s",
		"set server be/s2": "set server be/s22 ", "expert-mode ": "expert-mode o", "expert-mode of": "expert-mode off ", "expert-mode off o": "expert-mode off o",
		"disable frontend ": "disable frontend fe ", "shutdown sessions server be/s1": "shutdown sessions server be/s1 ", "quit ": "quit ",
		"show stat a desc d": "show stat a desc desc ", "set server be/s1 ": "set server be/s1 ",
	} {
		if got, _ := known.complete(line); got != want {
			t.Errorf("%q becomes %q, want %q", line, got, want)
		}
	}
	if asked != 1 {
		t.Errorf("asked %d times for names", asked)
	}
	if _, choices := known.complete("s"); !cmp.Equal(choices, []string{"set", "show", "shutdown"}) {
		t.Errorf("choices %q", choices)
	}
}

func TestHistory(t *testing.T) {
	home := testutil.TempDir(t)
	for _, test := range []struct {
		environ []string
		want    string
	}{
		{nil, ""},
		{[]string{"HOME=relative"}, ""},
		{[]string{"HOME=/h"}, "/h/.local/state/penstock/history"},
		{[]string{"HOME=/h", "XDG_STATE_HOME=x"}, "/h/.local/state/penstock/history"},
		{[]string{"HOME=/h", "XDG_STATE_HOME=/s"}, "/s/penstock/history"},
	} {
		if got := (&environment{environ: test.environ}).historyPath(); got != test.want {
			t.Errorf("%q: %q, want %q", test.environ, got, test.want)
		}
	}
	path := filepath.Join(home, "deep", "history")
	h := openHistory(path)
	other := openHistory(path)
	for _, line := range []string{"show info", "show info", " secret", "", "a\x1bb", "show stat"} {
		h.Add(line)
	}
	other.Add("show sess")
	h.paused = true
	h.Add("payload")
	if info, err := os.Stat(path); err != nil || info.Mode().Perm() != 0o600 {
		t.Fatalf("%v, %v", info, err)
	}
	if h = openHistory(path); h.Len() != 3 || h.At(0) != "show sess" || h.At(2) != "show info" {
		t.Errorf("remembered %q", h.lines)
	}
	mustWrite := func(text string) {
		t.Helper()
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	mustWrite(strings.Repeat("a line of some length\n\x00\n", historySize/20) + "last")
	if h = openHistory(path); h.Len() != historyLines || h.At(0) != "last" {
		t.Errorf("%d lines, the last one %q", h.Len(), h.At(0))
	}
	if text, err := os.ReadFile(path); err != nil || len(text) > historySize || !strings.HasSuffix(string(text), "length\nlast\n") {
		t.Errorf("%d bytes were left, %v", len(text), err)
	}
	for range historyLines {
		h.Add("x")
		h.Add("y")
	}
	if h.Len() != historyLines || h.At(0) != "y" {
		t.Errorf("%d lines", h.Len())
	}
	if h = openHistory(filepath.Join(path, "not", "a", "directory")); h.Len() != 0 {
		t.Error("lines from nowhere")
	}
	h.Add("only remembered")
	if h.Len() != 1 {
		t.Error("forgotten")
	}
}

func FuzzAnswerJSON(f *testing.F) {
	for _, seed := range []string{"", "a: b\n", "# a,b,\n\"x,1\n", "1\n# a b\nc", "0x1: a=b c[d]\n0x2", "[1]", "[", ": x\n", "  : ", "  set server <bk>/<srv> [a|b]* : x\nset server "} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, text string) {
		k := &ctl{env: &environment{stdout: &bytes.Buffer{}, stderr: &bytes.Buffer{}}, json: true}
		k.show(text)
		cutPrompt(text)
		completer := newCompleter(text, func() []top.Row { return top.ParseStat(text) })
		if completed, _ := completer.complete(text); !strings.HasPrefix(completed, text) {
			t.Fatalf("%q becomes %q", text, completed)
		}
	})
}
