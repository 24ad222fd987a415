package admin

import (
	"encoding/csv"
	"fmt"
	"io"
	"net"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/penstock/penstock/internal/testutil"
)

// agent gives the same answer to all who ask.
type agent struct {
	*testutil.Listener
	mu     sync.Mutex
	answer string
	given  int // since the answer was set
}

func mustAgent(tb testing.TB, answer string) *agent {
	tb.Helper()
	a := &agent{answer: answer}
	a.Listener = testutil.Serve(tb, func(c *testutil.Conn) {
		a.mu.Lock()
		if _, err := c.Write([]byte(a.answer)); err == nil { // it may have left
			a.given++
		}
		a.mu.Unlock()
		_ = c.Conn.(*net.TCPConn).CloseWrite() // what it sends and nobody reads would make a reset of the end
		io.Copy(io.Discard, c)
	})
	return a
}

func (a *agent) set(answer string) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.answer, a.given = answer, 0
}

// wait waits until the answer was obeyed: who asks a second time has done so.
func (a *agent) wait(tb testing.TB) {
	tb.Helper()
	testutil.Eventually(tb, "the agent is asked", func() bool {
		a.mu.Lock()
		defer a.mu.Unlock()
		return a.given > 1
	})
}

func (a *agent) port() string { return a.Addr[strings.LastIndexByte(a.Addr, ':')+1:] }

// agentScene has servers with a health check and an agent, with an agent alone, and with none but in the one they track.
const agentScene = `
global
    stats socket %s level admin
    max-spread-checks 10ms
defaults
    mode tcp
    log %s local0
    timeout connect 5s
    timeout server 5s
    timeout client 5s
    timeout check 30s
listen be
    bind 127.0.0.1:%d
    option log-health-checks
    server s1 %[4]s weight 10 maxconn 20 check inter 50ms agent-check agent-port %[5]s agent-inter 50ms agent-send hello
    server s2 %[4]s weight 10 track be/s1
    server s3 %[4]s backup
backend alone
    server s1 %[4]s weight 10 maxconn 20 agent-check agent-port %[6]s agent-inter 50ms agent-send hello
    server s2 %[4]s track s1
backend st
    balance static-rr
    server s1 %[4]s weight 2 agent-check agent-port %[7]s agent-inter 50ms agent-send hello
backend plain
    server s1 %[4]s
`

// agentScript is what both go through: what the agents say, after a colon, and what operators order.
var agentScript = []string{
	":up\n", ":down # why, not\n", ":up\n", ":50%\n", ":foo 20%\n", ":drain\n", ":up\n", ":ready\n", ":maint\n", ":up\n", ":ready up\n",
	":up", ":", ":up\n", ":maxconn:5\n", ":maxconn:x\n", ":maxconn:\n", ":up 20x%\n", ":UP,ready\tmaxconn:7 #  all fine\r\nrest", ":\n", ":stopped\n",
	":7%\n", "disable agent %s/s1", "enable agent %s/s1", ":fail nonsense 50% # broken\n", ":up nonsense\n", ":up up down#reason\n", ":down#reason\n", ":down up # no\n",
	":up down\n", ":drain maint ready up\n", ":drain\n", "set server %s/s1 state ready", ":ready 100%\n", ":300%\n", ":25700%\n", ":-5%\n", ":up 256%\n", ":0%\n", ":100%\n",
	"set server %s/s1 agent down", "set server %s/s1 agent up", "set server %s/s1 agent foo", "set server %s/s1 agent",
	":down\n", "set server %s/s1 state maint", "set server %s/s1 state ready", "set server %s/s1 health up", ":up\n", ":50%\n",
	"disable agent %s/s1", "set server %s/s1 agent up", "set server %s/s1 agent-send x", "set server %s/s1 agent-port 5", "set server %s/s1 agent-addr ::1",
	"set server %s/s1 agent-port", "enable agent %s/s1", "set server %s/s1 agent-port x", "set server %s/s1 agent-port 70000", "set server %s/s1 agent-addr x",
	"set server %s/s1 agent-addr", "set server %s/s1 agent-addr 127.0.0.1 port", "set server %s/s1 agent-addr 127.0.0.1 port x", "set server %s/s1 agent-send",
	"set server %s/s2 agent up", "enable agent %s/s2", "disable agent %s/s2", "set server %s/s2 agent-addr x", "set server %s/s2 agent-port 5",
	"set server %s/s1 agent-addr 127.0.0.1", ":up\n", "set server %s/s1 health down", ":up ready\n",
}

// shown are the columns of "show stat" that are compared.
var shown = []string{
	"svname", "status", "weight", "slim", "act", "bck", "chkfail", "chkdown", "tracked", "check_status", "check_health", "agent_status", "agent_code", "last_agt", "agent_desc",
	"agent_rise", "agent_fall", "agent_health", "uweight",
}

var (
	systemError = regexp.MustCompile(`E[A-Z]+ returned by OS \(([^)]*)\)`)
	lineEnds    = strings.NewReplacer("\n", "", "<0A>", "") // HAProxy's warnings end with one
	took        = regexp.MustCompile(`duration: \d+ms`)
	agentFields = regexp.MustCompile(`^\d+ (\S+) \d+ (\S+) \S+ (\d+) (\d+) (\d+) (\d+) .*? (\d+) \d \d - \d+ - 0 \d+ \S+ (\S+ \d+)$`)
)

// view is what an operator sees of the servers of a backend.
func view(tb testing.TB, ask func(string) string, backend string) (lines []string) {
	tb.Helper()
	in := csv.NewReader(strings.NewReader(strings.TrimRight(strings.TrimPrefix(ask("show stat "+backend+" 4 -1"), "# "), "\n")))
	in.FieldsPerRecord = -1
	rows, err := in.ReadAll()
	if err != nil || len(rows) < 2 {
		tb.Fatalf("%q: %v", rows, err)
	}
	at := map[string]int{}
	for i, name := range rows[0] {
		at[name] = i
	}
	for _, row := range rows[1:] {
		line := ""
		for _, name := range shown {
			line += " " + name + "=" + lineEnds.Replace(systemError.ReplaceAllString(strings.TrimPrefix(row[at[name]], "* "), "$1"))
		}
		lines = append(lines, line)
	}
	for line := range strings.Lines(ask("show servers state " + backend)) {
		if m := agentFields.FindStringSubmatch(strings.TrimSpace(line)); m != nil {
			m[7] = strings.NewReplacer("23", "22", "19", "18").Replace(m[7]) // whether it is being asked at this moment
			lines = append(lines, strings.Join(m[1:], " "))
		}
	}
	return lines
}

// playScript has one backend of both go through the script.
func playScript(t *testing.T, backend string, agents [2]*agent, asks [2]func(string) string) {
	ports := strings.NewReplacer(agents[0].port(), "PORT", agents[1].port(), "PORT")
	diff, at := "", ""
	defer func() {
		if diff != "" {
			t.Errorf("after %q (-haproxy +ours):\n%s", at, diff)
		}
	}()
	for _, turn := range agentScript {
		at = turn
		if answer, ok := strings.CutPrefix(turn, ":"); ok {
			for _, a := range agents {
				a.set(answer)
			}
			for _, a := range agents {
				a.wait(t)
			}
		} else {
			command := strings.ReplaceAll(turn, "%s", backend)
			ours, theirs := strings.TrimSpace(asks[0](command)), strings.TrimSpace(asks[1](command))
			if diff := cmp.Diff(theirs, ours); diff != "" {
				t.Errorf("%q (-haproxy +ours):\n%s", command, diff)
			}
		}
		testutil.Eventually(t, "both are the same", func() bool {
			ours, theirs := view(t, asks[0], backend), view(t, asks[1], backend)
			diff = cmp.Diff(ports.Replace(strings.Join(theirs, "\n")), ports.Replace(strings.Join(ours, "\n")))
			return diff == ""
		})
	}
}

// Whatever agents say and operators order, servers are as with HAProxy, and the log says the same.
func TestAgentsLikeHAProxy(t *testing.T) {
	haproxy := testutil.Need(t, "haproxy")
	server := testutil.Serve(t, func(*testutil.Conn) {})
	dir := testutil.TempDir(t)
	logs := [2]*testutil.Syslog{testutil.ListenSyslog(t), testutil.ListenSyslog(t)}
	agents := map[string][2]*agent{}
	for _, backend := range []string{"be", "alone", "st"} {
		agents[backend] = [2]*agent{mustAgent(t, "up\n"), mustAgent(t, "up\n")}
	}
	socket := filepath.Join(dir, "h")
	text := func(i int, path string) string {
		return fmt.Sprintf(agentScene, path, logs[i].Addr, testutil.FreePort(t), server.Addr, agents["be"][i].port(), agents["alone"][i].port(), agents["st"][i].port())
	}
	r := mustStage(t, text(0, "/unused"))
	p := testutil.Start(t, exec.Command(haproxy, "-db", "-f", testutil.WriteFile(t, dir, "h.cfg", text(1, socket))))
	asks := [2]func(string) string{
		func(line string) string { return r.ask("admin", "%s", line) },
		func(line string) string { return mustAsk(t, socket, line) },
	}
	agents["be"][1].wait(t)
	if p.Exited() {
		t.Fatal(p.Stderr)
	}
	t.Run("script", func(t *testing.T) {
		for backend, both := range agents {
			t.Run(backend, func(t *testing.T) {
				t.Parallel()
				playScript(t, backend, both, asks)
			})
		}
	})
	const last = "plain/s1 is going DOWN"
	for _, ask := range asks {
		ask("set server plain/s1 state maint")
	}
	var got [2]map[string][]string
	for i, log := range logs {
		testutil.Eventually(t, "the last line", func() bool { return strings.Contains(strings.Join(log.Lines(), ""), last) })
		lines := log.Lines()
		for n := range lines {
			lines[n] = lineEnds.Replace(took.ReplaceAllString(lines[n], "duration: 0ms"))
		}
		got[i] = byBackend(lines)
	}
	if diff := cmp.Diff(got[1], got[0]); diff != "" {
		t.Errorf("log lines (-haproxy +ours):\n%s", diff)
	}
}
