package main

import (
	"bytes"
	"encoding/json"
	"os"
	"os/exec"
	"regexp"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/penstock/penstock/internal/config"
	"github.com/penstock/penstock/internal/testutil"
	"github.com/penstock/penstock/netio"
)

// asProgram makes the test program be the program.
const asProgram = "PENSTOCK_TEST_AS_PROGRAM"

func TestMain(m *testing.M) {
	if os.Getenv(asProgram) != "" {
		main()
	}
	os.Exit(testutil.Main(m))
}

// program prepares a run of the program.
func program(args ...string) *exec.Cmd {
	cmd := exec.Command(os.Args[0], args...)
	cmd.Env = append(os.Environ(), asProgram+"=1")
	return cmd
}

// call obeys a command line inside this process.
func call(tb testing.TB, args ...string) (code int, stdout, stderr string) {
	tb.Helper()
	var out, errs bytes.Buffer
	env := &environment{stdout: &out, stderr: &errs, args: args, environ: []string{"SET=value", "SET=later"}}
	code = env.main()
	return code, out.String(), errs.String()
}

func mustMatch(tb testing.TB, what, text, pattern string) {
	tb.Helper()
	if !regexp.MustCompile(pattern).MatchString(text) {
		tb.Errorf("%s does not match %q:\n%s", what, pattern, text)
	}
}

const timeouts = `defaults
    mode tcp
    timeout connect 5s
    timeout client 5s
    timeout server 5s
`

func TestAnswers(t *testing.T) {
	dir := testutil.TempDir(t)
	good := testutil.WriteFile(t, dir, "good.cfg", timeouts+"listen l\n    bind 127.0.0.1:1\n    server s 127.0.0.1:2\n")
	warned := testutil.WriteFile(t, dir, "warned.cfg", "listen l\n    mode tcp\n    bind 127.0.0.1:1\n    server s 127.0.0.1:2\n")
	strict := testutil.WriteFile(t, dir, "strict.cfg", "global\n    zero-warning\nlisten l\n    mode tcp\n    bind 127.0.0.1:1\n    server s 127.0.0.1:2\n")
	bad := testutil.WriteFile(t, dir, "bad.cfg", timeouts+"listen l\n    bind 127.0.0.1:1\n    blance first\n")
	unresolved := testutil.WriteFile(t, dir, "unresolved.cfg", timeouts+"listen l\n    bind 127.0.0.1:1\n    server s no.such.host.invalid:2\n")
	badFormat := testutil.WriteFile(t, dir, "format.cfg", timeouts+"listen l\n    bind 127.0.0.1:1\n    server s 127.0.0.1:2\n    log-format %nonsense\n")
	empty := testutil.WriteFile(t, dir, "empty.cfg", timeouts)
	const none = `^$`
	const refusedLine = `\[ALERT\]    \(\d+\) : Some warnings were found and 'zero-warning' is set\. Aborting\.`
	for _, test := range []struct {
		args           []string
		code           int
		stdout, stderr string
	}{
		{[]string{"-v"}, 0, `^Penstock \S+, compatible with HAProxy version 3\.4\.0 \d{4}/\d\d/\d\d - https://\S+\nStatus: .*\nRunning on: Linux \S+ .*\n$`, none},
		{[]string{"-vv"}, 0, `(?s)^Penstock \S+, compatible with HAProxy version 3\.4\.0 .*\n  TARGET  = linux-glibc\n.*\+EPOLL.*\+LINUX_SPLICE.*Total: 1 \(1 usable\), will use epoll\.`, none},
		{[]string{"-vq"}, 0, `^3\.4\.0-penstock-\S+\n$`, none},
		{[]string{"-vqs"}, 0, `^3\.4\.0\n$`, none},
		{[]string{"-vqb"}, 0, `^3\.4\n$`, none},
		{[]string{"version"}, 0, `^Penstock `, none},
		{[]string{"version", "--form", "branch"}, 0, `^3\.4\n$`, none},
		{[]string{"version", "--form=x"}, 2, none, `^penstock version: unknown form "x"\n`},
		{[]string{"help"}, 0, `(?s)-sf <pid>.*run the balancer`, none},
		{[]string{"help", "check"}, 0, `(?s)penstock check.*--json`, none},
		{[]string{"check", "--help"}, 0, `--json`, none},
		{nil, 1, `^Penstock .*HAProxy version`, `^Usage: penstock `},
		{[]string{"-c"}, 1, `^Penstock .*HAProxy version`, `^Usage: penstock `},
		{[]string{"-z"}, 1, none, `^penstock: unknown option "-z"\nUsage: penstock `},
		{[]string{"check", "--bogus"}, 2, none, `^penstock check: .*bogus\nSee "penstock help check"\.\n$`},
		{[]string{"check"}, 2, none, `no configuration file`},
		{[]string{"run", "--listen", ":1"}, 2, none, `--listen and --to belong together`},
		{[]string{"run", "--listen", ":1", "--to", "x:1", "-f", good}, 2, none, `does not go with`},
		{[]string{"run", "--listen", ":1", "--to", "x:1\nlisten y"}, 2, none, `is no address of a server`},
		{[]string{"run", "--listen", ":1 ssl", "--to", "x:1"}, 2, none, `is no address to listen on`},
		{[]string{"-cc", "feature(THREAD) && version_atleast(3.1)"}, 0, none, none},
		{[]string{"-cc", `streq("$SET",later) && defined(SET)`}, 0, none, none},
		{[]string{"-cc", "0"}, 1, none, none},
		{[]string{"-cc", ""}, 1, none, none},
		{[]string{"-cc", "foo("}, 2, none, `\[ALERT\] .* : config : Failed to evaluate condition: `},
		{[]string{"-c", "-f", good}, 0, none, none},
		{[]string{"-c", "-V", "-f", good}, 0, `^Configuration file is valid\n$`, none},
		{[]string{"-c", "-f", empty}, 0, none, none},
		{[]string{"-c", "-f", warned}, 0, `^Warnings were found\.\n$`, `\[WARNING\]  \(\d+\) : .*missing timeouts`},
		{[]string{"-c", "-q", "-f", warned}, 0, none, none},
		{[]string{"-Vc", "-f", warned}, 0, `^Warnings were found\.\nConfiguration file is valid\n$`, `missing timeouts`},
		{[]string{"-c", "-dW", "-f", warned}, 1, none, refusedLine},
		{[]string{"-c", "-f", strict}, 1, none, refusedLine},
		{[]string{"-c", "-f", bad}, 1, none, `(?s)^\[NOTICE\]   \(\d+\) : penstock version is .*\[ALERT\]    \(\d+\) : config : parsing \[\S+bad\.cfg:8\] : .*balance.*Fatal errors found in configuration\.\n$`},
		{[]string{"-c", "-f", good, "-f", bad}, 1, none, `bad\.cfg:8`},
		{[]string{"-c", "-f", good, "--", bad}, 1, none, `bad\.cfg:8`},
		{[]string{"-c", "-f", "nosuchfile"}, 1, none, `Cannot open configuration file/directory nosuchfile : No such file or directory`},
		{[]string{"-c", "-f", badFormat}, 1, none, `nonsense`},
		{[]string{"-c", "-f", unresolved}, 1, none, `could not resolve address 'no\.such\.host\.invalid'`},
		{[]string{"-c", "-dr", "-f", unresolved}, 0, `Warnings were found`, `could not resolve address`},
		{[]string{"-c", "-W", "-S", "fd@4", "-dKall", "-f", good}, 0, `Warnings were found`, `'-dK' `},
		{[]string{"check", good}, 0, `^Configuration is valid\.\n$`, none},
		{[]string{"check", warned}, 0, `^Configuration is valid, with .*warning`, `missing timeouts`},
		{[]string{"check", bad}, 1, `^Configuration is not valid\.\n$`, `blance`},
		{[]string{"check", "-dW", warned}, 1, `not valid`, refusedLine},
		{[]string{"check", "--json", "-dW", warned}, 1, `missing timeouts`, refusedLine},
		{[]string{"-f", bad}, 1, none, `Fatal errors found`},
		{[]string{"-f", empty}, 1, none, `No enabled listener found \(check for 'bind' directives\) ! Exiting\.`},
		{[]string{"-C", dir + "/missing", "-f", good}, 1, none, `Could not change to directory \S+/missing : `},
	} {
		code, stdout, stderr := call(t, test.args...)
		if code != test.code {
			t.Errorf("%q: exit code %d, want %d", test.args, code, test.code)
		}
		name := strings.Join(test.args, " ")
		mustMatch(t, name+": stdout", stdout, test.stdout)
		mustMatch(t, name+": stderr", stderr, test.stderr)
	}
}

func TestCheckJSON(t *testing.T) {
	path := testutil.WriteFile(t, testutil.TempDir(t), "bad.cfg", timeouts+"listen l\n    bind 127.0.0.1:1\n    blance first\n")
	code, stdout, _ := call(t, "check", "--json", path)
	if code != exitFailure {
		t.Errorf("exit code %d", code)
	}
	var findings []map[string]any
	if err := json.Unmarshal([]byte(stdout), &findings); err != nil {
		t.Fatalf("%v in %s", err, stdout)
	}
	if len(findings) != 1 {
		t.Fatalf("findings %v, want one", findings)
	}
	got := map[string]any{}
	for _, key := range []string{"file", "line", "col", "endCol", "severity"} {
		got[key] = findings[0][key]
	}
	want := map[string]any{"file": path, "line": 8.0, "col": 5.0, "endCol": 11.0, "severity": "alert"}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
}

func TestFeatureListAgreesWithConditions(t *testing.T) {
	for mark := range strings.FieldsSeq(featureList()) {
		has, err := config.EvalCond("feature("+mark[1:]+")", nil)
		if err != nil || has != (mark[0] == '+') {
			t.Errorf("%s, but the condition says %v, %v", mark, has, err)
		}
	}
}

func TestWriteBuildShowsProbes(t *testing.T) {
	var b bytes.Buffer
	writeBuild(&b, []netio.Feature{{Name: "splice", Answer: netio.Yes}, {Name: "steering", Answer: netio.No, Reason: "needs CAP_BPF"}})
	mustMatch(t, "-vv", b.String(), `\nKernel features :\n  splice +: yes\n  steering +: no \(needs CAP_BPF\)\n`)
}

func TestGenerate(t *testing.T) {
	got, err := generate(settings{Listen: ":3307,[::1]:3307", To: "10.0.0.1:3306,db2:3306"})
	if err != nil {
		t.Fatal(err)
	}
	_, sections, _ := strings.Cut(got, "listen penstock\n")
	want := "    bind :3307\n    bind [::1]:3307\n    balance roundrobin\n    option redispatch\n    server s1 10.0.0.1:3306\n    server s2 db2:3306\n"
	if diff := cmp.Diff(want, sections); diff != "" {
		t.Error(diff)
	}
	if _, found := config.LoadText("generated", got, config.Options{}); found.Fatal() || found.Warnings() > 0 {
		t.Errorf("the generated configuration is not accepted: %v", found.List)
	}
}

func TestOverride(t *testing.T) {
	for _, test := range []struct {
		args []string
		want config.Global
		conn int
	}{
		{nil, config.Global{MaxConn: 10, Daemon: true}, 0},
		{[]string{"-n", "5", "-N", "3", "-p", "p"}, config.Global{MaxConn: 5, Daemon: true, PidFile: "p"}, 3},
		{[]string{"-n", "abc", "-d"}, config.Global{MaxConn: 10}, 0},
		{[]string{"-D", "-db", "-dS", "-dR", "-de", "-dW"}, config.Global{MaxConn: 10, NoSplice: true, NoReusePort: true, NoEpoll: true, ZeroWarning: true}, 0},
	} {
		words, err := normalise(test.args)
		if err != nil {
			t.Fatal(err)
		}
		cfg := &config.Config{
			Global:  config.Global{MaxConn: 10, Daemon: true},
			Proxies: []*config.Proxy{{Kind: config.Listen}, {Kind: config.Backend}, {Kind: config.Frontend, MaxConn: 7}},
		}
		s := mustSettings(t, words)
		s.override(cfg)
		if diff := cmp.Diff(test.want, cfg.Global); diff != "" {
			t.Errorf("%q: %s", test.args, diff)
		}
		conns := []int{cfg.Proxies[0].MaxConn, cfg.Proxies[1].MaxConn, cfg.Proxies[2].MaxConn}
		if diff := cmp.Diff([]int{test.conn, 0, 7}, conns); diff != "" {
			t.Errorf("%q: %s", test.args, diff)
		}
	}
}

func TestBudget(t *testing.T) {
	const head = "global\n    stats socket /tmp/x\n    stats maxconn 4\n"
	const section = "listen l\n    bind :1-3\n    server s 127.0.0.1:2\n"
	for _, test := range []struct {
		name, text             string
		fixed, pipes, optional int
		limit                  int
		hard                   int
	}{
		{"plain", head + section, standardFiles + 4 + 1 + 6, 0, optionalPipes, 1000, 0},
		{"disabled proxy", head + section + "    disabled\n", standardFiles + 4 + 1, 0, 0, 1000, 0},
		{"no splice", head + "    nosplice\n" + section, standardFiles + 4 + 1 + 6, 0, 0, 1000, 0},
		{"forced", head + section + "    option splice-response\n", standardFiles + 4 + 1 + 6, -1, 0, 1000, 0},
		{"forced with maxpipes", head + "    maxpipes 7\n" + section + "    option splice-request\n", standardFiles + 4 + 1 + 6, 7, 0, 1000, 0},
		{"maxpipes", head + "    maxpipes 7\n" + section, standardFiles + 4 + 1 + 6, 0, 7, 1000, 0},
		{"limits", head + "    ulimit-n 500\n    fd-hard-limit 300\n" + section, standardFiles + 4 + 1 + 6, 0, optionalPipes, 500, 300},
	} {
		cfg, found := config.LoadText("x", timeouts+test.text, config.Options{})
		if found.Fatal() {
			t.Fatalf("%s: %v", test.name, found.List)
		}
		got, optional := budget(cfg, 2, 1000)
		if optional != test.optional || got.Fixed != test.fixed || got.Pipes != test.pipes || got.Limit != test.limit || got.HardLimit != test.hard || got.Threads != 2 {
			t.Errorf("%s: %+v with %d optional pipes, want %+v", test.name, got, optional, test)
		}
	}
}
