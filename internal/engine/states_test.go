package engine

import (
	"fmt"
	"io"
	"net"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/penstock/penstock/internal/config"
	"github.com/penstock/penstock/internal/statefile"
	"github.com/penstock/penstock/internal/testutil"
)

const stateHeader = "1\n# be_id and so on\n"

// stateStage has servers whose states files bring back. Nobody is asked: the checks come late.
const stateStage = `
global
    stats socket %s level admin
    server-state-base %s
    server-state-file states
defaults
    mode tcp
    timeout connect 5s
    timeout server 5s
    timeout client 5s
    load-server-state-from-file global
listen l
    bind 127.0.0.1:%d
    server first 127.0.0.1:1 check inter 1h
    server track 127.0.0.1:1 track be/s1
backend be
    server s1 127.0.0.1:1 check inter 1h weight 10
    server s2 127.0.0.1:1 check inter 1h backup
    server s3 127.0.0.1:1 check inter 1h disabled
    server s4 127.0.0.1:1 check inter 1h weight 0
    server s5 127.0.0.1:1 check inter 1h weight 4
    server s6 127.0.0.1:1 check inter 1h weight 4
backend plain
    server a 127.0.0.1:1
    server b 127.0.0.1:1 disabled
    server c 127.0.0.1:1 weight 5
backend local
    load-server-state-from-file local
    server-state-file-name mine
    server a 127.0.0.1:1
backend named
    load-server-state-from-file local
    server a 127.0.0.1:1
backend none
    load-server-state-from-file none
    server a 127.0.0.1:1
`

// stateLine makes a line of a state file: operation, admin, weight, initial weight, and the health and state of the check.
func stateLine(backend, server string, operation, admin, weight, initial, health, check int) string {
	return fmt.Sprintf("3 %s 1 %s 127.0.0.1 %d %d %d %d 77 6 3 %d %d 0 0 0 - 1 - 0 0 - - 0\n", backend, server, operation, admin, weight, initial, health, check)
}

// mustBegin makes an engine that does not run, and returns what it had to say.
func mustBegin(tb testing.TB, text string) (*Engine, string) {
	tb.Helper()
	out := &testutil.Output{}
	e, err := build(text, out)
	if err != nil {
		tb.Fatalf("%v: %s", err, out)
	}
	tb.Cleanup(e.Close)
	return e, out.String()
}

var (
	volatile = regexp.MustCompile(`(?m)^(\d+ \S+ \d+ \S+ \S+ \d \d+ \d+ \d+ \d+) \d+ \d \d+ (\d+)`)
	age      = regexp.MustCompile(`(?m)^(\d+(?: \S+){8}) (\d\d)?\d? `)
	early    = regexp.MustCompile(`(?m)^.* first .*\n`)
)

// comparable is the part of states that means something: what is said about a check that there is not does not, the
// first server is checked at once, and time goes by.
func comparable(states string) string {
	states = age.ReplaceAllStringFunc(early.ReplaceAllString(states, ""), func(line string) string {
		m := age.FindStringSubmatch(line)
		if m[2] == "" {
			return m[1] + " 0 "
		}
		return m[1] + " 77 "
	})
	return volatile.ReplaceAllStringFunc(states, func(line string) string {
		m := volatile.FindStringSubmatch(line)
		if m[2] == "0" || m[2] == "8" {
			return m[1] + " - " + m[2]
		}
		return line
	})
}

// States from files are those that HAProxy finds there, and so are the warnings.
func TestStateFiles(t *testing.T) {
	haproxy := testutil.Need(t, "haproxy")
	good := stateHeader +
		stateLine("l", "first", 0, 0, 1, 1, 0, 6) + stateLine("l", "track", 2, 24, 1, 1, 2, 0) +
		stateLine("be", "s1", 2, 8, 7, 10, 4, 6) + stateLine("be", "s2", 3, 0, 1, 1, 3, 6) + stateLine("be", "s3", 2, 4, 1, 1, 4, 6) +
		stateLine("be", "s4", 2, 8, 0, 0, 4, 6) + stateLine("be", "s5", 2, 8, 0, 0, 4, 6) + stateLine("be", "s6", 2, 0, 9, 3, 2, 2) +
		stateLine("plain", "a", 0, 1, 1, 1, 0, 0) + stateLine("plain", "b", 2, 0, 1, 1, 0, 0) + stateLine("plain", "c", 2, 8, 6, 5, 2, 0) +
		stateLine("local", "a", 0, 1, 1, 1, 0, 0) + stateLine("none", "a", 0, 1, 1, 1, 0, 0) + stateLine("gone", "a", 0, 1, 1, 1, 0, 0)
	for name, files := range map[string]map[string]string{
		"good":         {"states": good, "mine": stateHeader + stateLine("local", "a", 2, 8, 1, 1, 4, 0), "named": stateHeader + stateLine("named", "a", 2, 0, 3, 1, 4, 0)},
		"missing":      {},
		"no version":   {"states": "hello", "mine": "", "named": "2\n"},
		"corrupted":    {"states": good + "x\n", "mine": stateHeader, "named": "1\nx"},
		"invalid":      {"states": strings.NewReplacer(" s1 127.0.0.1 2 8 7 10 77", " s1 127.0.0.1 9 x 777 -1 y").Replace(good), "mine": "1\n", "named": "1\n"},
		"only version": {"states": "1\n", "mine": "1\n\n\n", "named": stateHeader},
	} {
		t.Run(name, func(t *testing.T) {
			dir := testutil.TempDir(t)
			for file, text := range files {
				testutil.WriteFile(t, dir, file, text)
			}
			socket := filepath.Join(dir, "sock")
			text := fmt.Sprintf(stateStage, socket, dir, testutil.FreePort(t))
			e, said := mustBegin(t, text)
			var ours strings.Builder
			if err := statefile.Write(&ours, e.States(-1)); err != nil {
				t.Fatal(err)
			}
			p := testutil.Start(t, exec.Command(haproxy, "-db", "-f", testutil.WriteFile(t, dir, "h.cfg", text)))
			theirs := ""
			testutil.Eventually(t, "haproxy answers", func() bool {
				theirs = oneShot(socket, "show servers state")
				return theirs != ""
			})
			if diff := cmp.Diff(comparable(strings.TrimSpace(theirs)), comparable(strings.TrimSpace(ours.String()))); diff != "" {
				t.Errorf("states (-haproxy +ours):\n%s", diff)
			}
			if diff := cmp.Diff(stateWarnings(p.Stderr.String()), stateWarnings(said)); diff != "" {
				t.Errorf("warnings (-haproxy +ours):\n%s", diff)
			}
		})
	}
}

// stateWarnings are the warnings, sorted: HAProxy reads the files of all backends before it obeys one. It counts lines
// from the one behind the version, and 2.6 says of a drained server again and again that it remains so.
func stateWarnings(out string) []string {
	var list []string
	for line := range strings.Lines(out) {
		_, text, ok := strings.Cut(line, " : config : ")
		if ok && strings.HasPrefix(line, "[WARNING]") && !strings.HasSuffix(line, "remains in forced drain mode.\n") {
			text = regexp.MustCompile(`at line \d+`).ReplaceAllString(text, "at line N")
			if strings.HasSuffix(text, "directory\n") {
				text = strings.TrimSuffix(text, "\n") + ".\n"
			}
			list = append(list, text)
		}
	}
	slices.Sort(list)
	return list
}

// oneShot asks a stats socket, empty when nobody answers.
func oneShot(path, line string) string {
	conn, err := net.Dial("unix", path)
	if err != nil {
		return ""
	}
	defer conn.Close()
	if _, err := io.WriteString(conn, line+"\n"); err != nil {
		return ""
	}
	answer, _ := io.ReadAll(conn)
	return string(answer)
}

// A description of a former process from before there were states is a plain list; states that cannot be read are a
// warning.
func TestInheritedStates(t *testing.T) {
	const text = "listen l\n timeout client 1s\n timeout connect 1s\n timeout server 1s\n bind %s\n server s 127.0.0.1:1\n"
	for _, c := range []struct{ name, topology, state, said string }{
		{"a list", `[]`, "2 0 1", ""},
		{"no states", `{"proxies":[]}`, "2 0 1", ""},
		{"drained", `{"states":"` + strings.ReplaceAll(stateHeader+stateLine("l", "s", 2, 8, 5, 1, 2, 0), "\n", `\n`) + `"}`, "2 8 5", ""},
		{"checked then, and down", `{"states":"` + strings.ReplaceAll(stateHeader+stateLine("l", "s", 0, 0, 1, 1, 0, 6), "\n", `\n`) + `"}`, "2 0 1", ""},
		{"garbage", `{"states":"hello"}`, "2 0 1", "The states of servers are not taken over"},
		{"a bad line", `{"states":"1\n1 l 1 s x 9 9 9 9 9 9 9 9 9 9 9 9 9 9 9"}`, "2 0 1", "server-state application failed for server 'l/s'"},
		{"moved", `{"moved":[{"Backend":"l","Server":"s","From":"127.0.0.1:1","To":"127.0.0.9:9"},{"Backend":"x"}]}`, "2 0 1 127.0.0.9:9", ""},
		{"moved, and its line changed", `{"moved":[{"Backend":"l","Server":"s","From":"127.0.0.1:2","To":"127.0.0.9:9"}]}`, "2 0 1", ""},
	} {
		out := &testutil.Output{}
		report := &config.Reporter{W: out}
		cfg, _ := config.LoadText("test.cfg", fmt.Sprintf(text, testutil.Loopback(testutil.FreePort(t))), config.Options{})
		e, err := New(cfg, Options{Report: report, Former: [][]byte{[]byte(c.topology)}})
		if err != nil {
			t.Fatal(err)
		}
		s := e.States(0)[0]
		got := fmt.Sprint(s.Operation, s.Admin, s.Weight)
		if s.Port != 1 {
			got += fmt.Sprintf(" %v:%d", s.Addr, s.Port)
		}
		if got != c.state || c.said == "" && out.String() != "" || !strings.Contains(out.String(), c.said) {
			t.Errorf("%s: %s, said %q", c.name, got, out)
		}
		e.Close()
	}
}

// The address of a name comes from a state file first, unless init-addr says otherwise.
func TestLastAddress(t *testing.T) {
	const line = "3 l 1 s 127.0.0.9 2 0 1 1 0 1 0 2 0 0 0 0 %s 7 -\n"
	for _, c := range []struct{ name, fqdn, options, want string }{
		{"known", "db.invalid", "", "127.0.0.9:7"},
		{"another name then", "old.invalid", "init-addr last,127.0.0.5", "127.0.0.5:7"},
		{"not wanted", "db.invalid", "init-addr 127.0.0.5", "127.0.0.5:7"},
	} {
		dir := testutil.TempDir(t)
		testutil.WriteFile(t, dir, "l", stateHeader+fmt.Sprintf(line, c.fqdn))
		e, said := mustBegin(t, fmt.Sprintf("global\n server-state-base %s\nlisten l\n timeout client 1s\n timeout connect 1s\n timeout server 1s\n"+
			" load-server-state-from-file local\n bind %s\n server s db.invalid:7 %s\n", dir, testutil.Loopback(testutil.FreePort(t)), c.options))
		s := e.States(0)[0]
		if got := fmt.Sprintf("%v:%d", s.Addr, s.Port); got != c.want || s.FQDN != "db.invalid" {
			t.Errorf("%s: %s %s, want %s; said %q", c.name, s.FQDN, got, c.want, said)
		}
	}
}
