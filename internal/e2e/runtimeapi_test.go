package e2e

import (
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/penstock/penstock/internal/testutil"
)

const apiSections = `
global
    stats socket {dir}/{who}.user level user
    stats socket {dir}/{who}.operator level operator
defaults
    mode tcp
    timeout connect 20s
    timeout client 60s
    timeout server 60s
frontend fe
    bind 127.0.0.1:{port} name in
    default_backend be
backend be
    server s1 {server}
`

// mustSocat sends text with socat and returns all that comes back.
func mustSocat(tb testing.TB, path, text string) string {
	tb.Helper()
	cmd := exec.Command(testutil.Need(tb, "socat"), "-t30", "stdio", "UNIX-CONNECT:"+path)
	cmd.Stdin = strings.NewReader(text)
	out, err := cmd.Output()
	if err != nil {
		tb.Fatalf("socat: %v", err)
	}
	return string(out)
}

// What two programs cannot have in common.
var (
	ownSessions = regexp.MustCompile(`(?m)^0x[0-9a-f]+: proto=unix_stream .*\n`)
	helpLines   = regexp.MustCompile(`(?m)^((?:> )?(?:\[\w+\]: )?Unknown command).*\n(  .*\n)+`)
	sessionRest = regexp.MustCompile(`(?m)^0x[0-9a-f]+: (proto=\S+ src=127\.0\.0\.1:)\d+( fe=\S+ be=\S+ srv=\S+ ts=00 epoch=)\S+( age=)\S+ calls=\d+ rate=\d+ cpu=\d+ lat=\d+ rq\[.*\] rp\[.*\] scf=\[8,.*\] scb=\[8,.*\] exp=\S+ rc=0 c_exp=.*$`)
	dates       = regexp.MustCompile(`\[\d\d/\w{3}/\d{4}:[\d:.]+\]`)
)

func comparable(answer string) string {
	answer = ownSessions.ReplaceAllString(answer, "")
	answer = helpLines.ReplaceAllString(answer, "$1\n")
	answer = sessionRest.ReplaceAllString(answer, "session $1$2$3")
	answer = strings.ReplaceAll(answer, "\n\n\n", "\n\n") // newer ones end a list of sessions with a line of its own
	return dates.ReplaceAllString(answer, "[date]")
}

// The same lines sent to HAProxy and to Penstock are framed, prompted and refused alike.
func TestRuntimeAPILikeHAProxy(t *testing.T) {
	skipForeign(t, "it is compared with HAProxy")
	haproxy := testutil.Need(t, "haproxy")
	server := testutil.Serve(t, testutil.Echo)
	p := prepare(t, "")
	for _, who := range []string{"haproxy", "penstock"} {
		path := map[string]string{"haproxy": haproxy, "penstock": program.path}[who]
		port := testutil.FreePort(t)
		p.launchAs(who, path, text(apiSections, "dir", p.dir, "who", who, "port", port, "server", server.Addr))
		c := testutil.Dial(t, "tcp", testutil.Loopback(port))
		c.Send("hello")
		c.Expect("hello")
	}
	for _, script := range []struct{ level, text string }{
		{"", "show cli level\n"},
		{"", "show cli level;show cli level\n"},
		{"", "prompt\nshow cli level\nfoo\nquit\n"},
		{"", "show cli level;foo;show cli level\n"},
		{"", "prompt\nshow cli level <<\nx\ny\n\nshow cli level\n"},
		{"", "show cli level <<\nfoo\n\n"},
		{"", "show cli level; show cli level <<\nfoo\n\n"},
		{"", "show cli level <<\nfoo\n"},
		{"", "operator;show cli level;user;show cli level;operator;show cli level\n"},
		{"", "set severity-output string;shutdown sessions server x/y;expert-mode;set timeout cli x;set timeout foo;set timeout\n"},
		{"", "set severity-output number;shutdown session;expert-mode\n"},
		{"", "set severity-output\n"},
		{"", "set severity-output number;set weight foo/bar 1;get weight be/s1;disable frontend fe;disable frontend fe;enable frontend fe\n"},
		{"", "set severity-output string;add server be/k 127.0.0.1:1;show table x;set server be/s1 weight 1;get var x;show map x;foo\n"},
		{"", "prompt\nshow cli level;foo;show cli level\nprompt\n"},
		{"", "prompt;show cli level\nuser;show cli level\nquit;show cli level\n"},
		{"", "prompt\nset severity-output string;foo\nquit\n"},
		{"", "get weight be/s1 1 2 3 4;  get   weight   be/s1;get\\ weight be/s1\n"},
		{"", "GET WEIGHT be/s1\n"},
		{"", "get weight be/s1"},
		{"operator", "add server be/x 127.0.0.1:1;del server be/x;set profiling tasks on;show cache\n"},
		{"", "set timeout cli;set timeout cli 10x;set timeout cli 30\n"},
		{"", "expert-mode on;expert-mode;expert-mode off;expert-mode foo;experimental-mode;experimental-mode on;experimental-mode\n"},
		{"", "show sess server be/s1;show errors\n"},
		{"", "show sess 0x1;show env NOSUCHVARIABLE\n"},
		{"", "shutdown session;shutdown session 0x1;shutdown sessions server;shutdown sessions server x/y;shutdown sessions server be/x\n"},
		{"user", "show cli level;expert-mode;show sess;show errors;show fd;show startup-logs;show env;shutdown session 0x1;shutdown sessions server be/s1\n"},
		{"operator", "show cli level;expert-mode on;shutdown session 0x1;shutdown sessions server be/s1;set timeout cli 20s\n"},
		{"", "shutdown sessions server be/s1\n"},
	} {
		answers := map[string]string{}
		for _, who := range []string{"haproxy", "penstock"} {
			path := p.socket(who)
			if script.level != "" {
				path = filepath.Join(p.dir, who+"."+script.level)
			}
			answers[who] = comparable(mustSocat(t, path, script.text))
		}
		if diff := cmp.Diff(answers["haproxy"], answers["penstock"]); diff != "" {
			t.Errorf("%q (-haproxy +penstock):\n%s", script.text, diff)
		}
	}
}

// A session that does nothing is found by that and ended, and its log line says who did it. Others go on.
func TestFindAndEndSession(t *testing.T) {
	skipForeign(t, "it cannot look for idle sessions")
	server := testutil.Serve(t, testutil.Echo)
	port := testutil.FreePort(t)
	p := start(t, `
listen l
    bind 127.0.0.1:{port}
    server s1 {server}
`, "port", port, "server", server.Addr)
	stuck := testutil.Dial(t, "tcp", testutil.Loopback(port))
	stuck.Send("hello")
	stuck.Expect("hello")
	var id string
	testutil.Eventually(t, "it is idle", func() bool {
		list, err := p.ask("show sess server l/s1 client 127.0.0.0/8 idle 300ms")
		if m := regexp.MustCompile(`(?m)^(0x[0-9a-f]+): .* bytes=5/5 idle=`).FindStringSubmatch(list); err == nil && m != nil {
			id = m[1]
		}
		return id != ""
	})
	busy := testutil.Dial(t, "tcp", testutil.Loopback(port))
	busy.Send("hello")
	busy.Expect("hello")
	if dump, err := p.ask("show sess " + id); err != nil || strings.Count(dump, "tcp=ESTABLISHED") != 2 {
		t.Errorf("dump %q, %v", dump, err)
	}
	if answer, err := p.ask("shutdown session " + id); err != nil || answer != "\n" {
		t.Fatalf("answer %q, %v", answer, err)
	}
	stuck.ExpectClosed()
	p.log.WaitLine(t, `127\.0\.0\.1:\d+ \[.*\] l l/s1 \d+/\d+/\d+ 5 KC `)
	busy.Send("still")
	busy.Expect("still")
	if answer, err := p.ask("shutdown sessions where server l/s1"); err != nil || answer != "Sessions ended: 1.\n\n" {
		t.Fatalf("answer %q, %v", answer, err)
	}
	busy.ExpectClosed()
	p.log.WaitLine(t, `l l/s1 \d+/\d+/\d+ 10 KC `)
}

// An operator's screen over the stats socket, as it is.
func TestHatop(t *testing.T) {
	hatop, tmux := testutil.Need(t, "hatop"), testutil.Need(t, "tmux")
	server := testutil.Serve(t, testutil.Echo)
	p := start(t, `
frontend fe
    bind 127.0.0.1:{port}
    default_backend be
backend be
    server s1 {server}
`, "port", testutil.FreePort(t), "server", server.Addr)
	if answer, err := p.ask("show stat"); err != nil || !strings.HasPrefix(answer, "# pxname,") {
		t.Skip("hatop needs show stat, which is not there yet")
	}
	run := terminal(t, tmux, p.dir, "env", "TERM=screen", hatop, "-s", p.stats)
	testutil.Eventually(t, "the screen shows the proxies", func() bool {
		screen := run("capture-pane", "-p")
		return regexp.MustCompile(`(?m)^>>> fe\nFRONTEND +0 OPEN`).MatchString(screen) && regexp.MustCompile(`(?m)^s1 +1 .*\nBACKEND +1 UP`).MatchString(screen)
	})
}

// terminal runs a command on a terminal of 150 by 40 characters and returns what gives orders to tmux about it.
func terminal(t *testing.T, tmux, dir string, command ...string) (run func(args ...string) string) {
	t.Helper()
	own := []string{"-S", filepath.Join(dir, "tmux"), "-f", "/dev/null"}
	run = func(args ...string) string {
		t.Helper()
		out, err := exec.Command(tmux, append(own, args...)...).CombinedOutput()
		if err != nil {
			t.Fatalf("tmux %v: %v: %s", args, err, out)
		}
		return string(out)
	}
	run(append([]string{"new-session", "-d", "-x", "150", "-y", "40"}, command...)...)
	t.Cleanup(func() {
		_ = exec.Command(tmux, append(own, "kill-server")...).Run() // it is gone when the command has ended
	})
	return run
}

// A person at penstock ctl, on a good terminal and on a dumb one.
func TestCtlOnTerminal(t *testing.T) {
	skipForeign(t, "it has no ctl")
	tmux := testutil.Need(t, "tmux")
	p := start(t, "listen l\n bind 127.0.0.1:{port}\n server s 127.0.0.1:1", "port", testutil.FreePort(t))
	for _, kind := range []string{"screen", "dumb"} {
		t.Run(kind, func(t *testing.T) {
			dir := testutil.TempDir(t)
			run := terminal(t, tmux, dir, "env", "TERM="+kind, "XDG_STATE_HOME="+dir, program.path, "ctl", "-s", p.stats)
			shows := func(pattern string) {
				t.Helper()
				testutil.Eventually(t, pattern, func() bool { return regexp.MustCompile(pattern).MatchString(run("capture-pane", "-p")) })
			}
			shows(`(?m)^penstock>`)
			run("send-keys", "show version", "Enter")
			shows(`(?m)^\d+\.\d+\.\S+\npenstock>`)
			run("send-keys", "shutdown session 0x1", "Enter")
			shows(`(?m)^No such session \(use 'show sess'\)\.\npenstock>`)
			if kind == "dumb" {
				return
			}
			run("send-keys", "show cli l", "Tab", "Enter")
			shows(`(?m)^penstock> show cli level\s*\nadmin\n`)
			run("send-keys", "Up", "Up", "Up", "Enter")
			shows(`(?s)penstock> show version.*penstock> show version`)
			run("send-keys", "disable server ", "Tab", "Enter")
			shows(`(?m)^penstock> disable server l/s\s*\npenstock>`)
			path := filepath.Join(dir, "penstock", "history")
			kept, err := os.ReadFile(path)
			info, statErr := os.Stat(path)
			if err != nil || statErr != nil || info.Mode() != 0o600 || !strings.HasPrefix(string(kept), "show version\n") || !strings.HasSuffix(string(kept), "disable server l/s \n") {
				t.Errorf("history %q, %v, %v", kept, err, info)
			}
		})
	}
}
