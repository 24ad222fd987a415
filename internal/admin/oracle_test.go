package admin

import (
	"fmt"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/penstock/penstock/internal/testutil"
)

// scene is the configuration on which both obey the same commands. be and l are checked, plain and st are not.
const scene = `
global
    stats socket %s level admin
    maxconn 500
defaults
    mode tcp
    log %s local0
    timeout connect 5s
    timeout server 5s
    timeout client 5s
frontend fe
    bind 127.0.0.1:%d
    default_backend be
backend be
    server s1 %[4]s check inter 50ms weight 10
    server s2 %[4]s backup
    server s3 %[4]s disabled weight 5 check inter 50ms
backend plain
    server a %[4]s
    server b %[4]s weight 3 maxconn 10
    server c %[4]s disabled
backend st
    balance static-rr
    server a %[4]s weight 2
    server b %[4]s weight 3
listen l
    bind 127.0.0.1:%[5]d
    server x %[4]s id 77 check inter 50ms
    server t %[4]s track be/s1
    server u %[4]s track t backup
backend un
    server u unix@/nowhere
backend off
    disabled
    server z %[4]s
`

// script is what both are told, one line after the other.
const script = `
show servers state
set server be/s1 state drain
show servers state be
set server be/s1 state drain
set server be/s1 state ready
set server be/s1 state maint
show servers state be
show servers state l
set server be/s1 state maint
set server be/s1 state drain
show servers state l
set server be/s1 state ready
set server be/s3 state ready
set server be/s2 state maint
set server be/s1 state maint
set server be/s3 state maint
set server be/s2 state ready
set server be/s1 state ready
set server be/s3 state ready
disable server l/t
set server be/s1 state maint
enable server l/t
set server be/s1 state ready
set server l/t state drain
set server be/s1 state drain
set server l/t state ready
set server be/s1 state ready
set server plain/a health down
set server plain/b health stopping
show servers state plain
set server plain/a state maint
set server plain/a state ready
set server plain/b health up
set server plain/c state drain
set server plain/c state ready
set server plain/a health foo
set server l/t health down
set server be/s1 state
set server be/s1 state foo
set server be/s1 agent up
set server be/s1 agent-send x
set server be/s1 agent-addr 127.0.0.1
set server be/s1 agent-port 1
set server be/s1 weight
set server be/s1 weight foo
set server be/s1 weight 5
get weight be/s1
set server be/s1 weight 50%
get weight be/s1
set server be/s1 weight 300
set server be/s1 weight -1
set server be/s1 weight -1%
set server be/s1 weight 5x
set server be/s1 weight 5.5%
set server be/s1 weight 3000%
get weight be/s1
set server be/s1 weight %
set server be/s1 weight 0
set weight be/s1 100%
set weight st/a 3
set weight st/a 0
get weight st/a
set weight st/a 100%
set weight be/s1
set weight be
set weight
set weight be/foo 3
set weight foo/s1 3
set weight fe/s1 3
set weight off/z 3
get weight
get weight be
get weight be/nope
get weight #3/#1
get weight be/#2
get weight l/#77
get weight be/#9
set server
set server be
set server be/nope state maint
set server be/s2 addr
set server be/s2 addr foo
set server be/s2 addr 127.0.0.2
set server be/s2 addr 127.0.0.2
set server be/s2 addr 127.0.0.3 port 7
set server be/s2 addr 127.0.0.3 port foo
set server be/s2 addr 127.0.0.3 port
set server be/s2 addr 127.0.0.3 port 8
set server be/s2 addr ::1 port 8
set server un/u addr 127.0.0.1
show servers state be
set server be/s1 check-port
set server be/s1 check-port foo
set server be/s1 check-port 70000
set server be/s2 check-port 7
set server be/s1 check-addr foo
set server be/s2 check-addr 127.0.0.1
set server be/s1 check-addr 127.0.0.1
set server be/s1 fqdn foo.bar
set server be/s1 fqdn
set maxconn server be/s1 5
set maxconn server be/s1
set maxconn server be/s1 foo
set maxconn server be/s1 5x
set maxconn server be/s1 -5
set maxconn server be/nope 5
set maxconn server be
set maxconn server
set maxconn frontend fe 100
set maxconn frontend fe
set maxconn frontend
set maxconn frontend nope 5
set maxconn frontend be 5
set maxconn frontend fe -1
set maxconn global 100
set maxconn global 1000
set maxconn global 0
set maxconn global
set maxconn global -5
set rate-limit
set rate-limit connections
set rate-limit connections global
set rate-limit connections foo 1
set rate-limit connections global 100
set rate-limit connections global foo
set rate-limit connections global -1
set rate-limit sessions global 100
set rate-limit sessions global 0
set rate-limit ssl-sessions global 0
set rate-limit http-compression global 0
set rate-limit foo global 1
disable health be/s1
show servers state be
enable health be/s1
disable health be/s2
enable health be/s2
enable health be/nope
disable agent be/s1
enable agent be/s1
disable server
disable server be
disable frontend fe
disable frontend fe
enable frontend fe
enable frontend fe
disable frontend nope
disable frontend be
disable frontend
enable frontend
shutdown frontend l
shutdown frontend l
disable frontend l
enable frontend l
shutdown frontend
shutdown frontend nope
show servers state nope
show servers state fe
show servers conn nope
show backend
set server plain/a state maint;set server be/s1 weight 300;get weight be/s1
show servers state
`

var (
	// newer is the wording of later versions in place of that of 2.6.
	newer = strings.NewReplacer(
		"no need to change the addr by 'stats socket command'", "nothing changed",
		"no need to change the addr, ", "",
		", no need to change the port", "",
		"Invalid addr 'foo' by 'stats socket command'", "Invalid addr 'foo'",
	)
	// stateLine takes what depends on time out of a line of states: since when, and the check's progress; of servers that
	// are not checked also its health, which means nothing.
	stateLine  = regexp.MustCompile(`(?m)^(\d+ \S+ \d+ \S+ \S+ \d \d+ \d+ \d+) \d+ \d+ \d (\d+) (\d+)`)
	disabledID = regexp.MustCompile(`(?m)^(\d+ off) \d+`)
	logHeader  = regexp.MustCompile(`^(<\d+>).*?\]: `)
	about      = regexp.MustCompile(`(?:[Ss]erver |backend |proxy |Proxy |frontend )([a-z]+)[/ .]`)
)

func normal(answer string) string {
	answer = newer.Replace(strings.TrimRight(answer, "\n"))
	answer = disabledID.ReplaceAllString(answer, "$1 0")
	return stateLine.ReplaceAllStringFunc(answer, func(line string) string {
		m := stateLine.FindStringSubmatch(line)
		state := strings.NewReplacer("7", "6", "15", "14").Replace(m[3])
		health := strings.NewReplacer("2", "4", "3", "4").Replace(m[2])
		if state == "0" || state == "8" {
			health = "-"
		}
		return m[1] + " - " + health + " " + state
	})
}

// The answers to a script, and what it leaves in the logs, are those of HAProxy.
func TestScriptLikeHAProxy(t *testing.T) {
	haproxy := testutil.Need(t, "haproxy")
	server := testutil.Serve(t, func(*testutil.Conn) {})
	dir := testutil.TempDir(t)
	logs := [2]*testutil.Syslog{testutil.ListenSyslog(t), testutil.ListenSyslog(t)}
	theirs := filepath.Join(dir, "h")
	text := func(i int, path string) string {
		return fmt.Sprintf(scene, path, logs[i].Addr, testutil.FreePort(t), server.Addr, testutil.FreePort(t))
	}
	r := mustStage(t, text(0, "/unused"))
	ask := func(line string) string { return r.ask("admin", "%s", line) }
	testutil.Start(t, exec.Command(haproxy, "-db", "-f", testutil.WriteFile(t, dir, "h.cfg", text(1, theirs))))
	const checked = " 6 3 4 6 0 "
	testutil.Eventually(t, "both have checked", func() bool {
		if ask("show version") == "" || !strings.Contains(ask("show servers state be"), checked) || !strings.Contains(ask("show servers state l"), checked) {
			return false
		}
		out, err := exec.Command("test", "-S", theirs).CombinedOutput()
		return err == nil && len(out) == 0 && strings.Contains(mustAsk(t, theirs, "show servers state be"), checked) &&
			strings.Contains(mustAsk(t, theirs, "show servers state l"), checked)
	})
	for line := range strings.Lines(strings.TrimSpace(script)) {
		line = strings.TrimSpace(line)
		ours, want := normal(ask(line)), normal(mustAsk(t, theirs, line))
		if diff := cmp.Diff(want, ours); diff != "" {
			t.Errorf("%s (-haproxy +ours):\n%s", line, diff)
		}
	}
	const last = `plain/a is going DOWN for maintenance`
	var got [2]map[string][]string
	for i, log := range logs {
		testutil.Eventually(t, "the last line", func() bool { return strings.Count(strings.Join(log.Lines(), ""), last) == 1 })
		got[i] = byBackend(log.Lines())
	}
	if diff := cmp.Diff(got[1], got[0]); diff != "" {
		t.Errorf("log lines (-haproxy +ours):\n%s", diff)
	}
}

// byBackend sorts log lines by the proxy that they are about.
func byBackend(lines []string) map[string][]string {
	out := map[string][]string{}
	for _, line := range lines {
		line = logHeader.ReplaceAllString(strings.TrimSpace(line), "$1 ")
		if m := about.FindStringSubmatch(line); m != nil {
			out[m[1]] = append(out[m[1]], line)
		}
	}
	return out
}
