package check

import (
	"fmt"
	"net"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/penstock/penstock/internal/backend"
	"github.com/penstock/penstock/internal/testutil"
)

func TestParseAgent(t *testing.T) {
	for _, c := range []struct {
		line, status, info string
		admin, weight, max string
	}{
		{line: "", status: "CHECKED"},
		{line: "up", status: "L7OK", info: "via agent : up"},
		{line: " \t,UP,", status: "L7OK", info: "via agent : UP"},
		{line: "down# no", status: "CHECKED", info: "agent reports an error : down#"},
		{line: "down #\t no, it is not", status: "L7STS", info: "via agent : down (no, it is not)"},
		{line: "fail,#x", status: "L7STS", info: "via agent : fail (x)"},
		{line: "up stopped", status: "L7STS", info: "via agent : stopped"},
		{line: "odd down odder # why", status: "L7STS", info: "via agent : down (why)"},
		{line: "odd down", status: "L7STS", info: "via agent : down (odd)"},
		{line: "odd up # why", status: "L7OK", info: "via agent : up (odd)"},
		{line: "Drain maint READY", status: "CHECKED", admin: "ready"},
		{line: "50% 75%", status: "CHECKED", weight: "75%"},
		{line: "weight:7 MaxConn:30", status: "CHECKED", weight: "7", max: "30"},
		{line: "Weight:50%", status: "CHECKED", weight: "50%"},
		{line: "50", status: "CHECKED", info: "agent reports an error : 50"},
		{line: "maxconn:", status: "CHECKED", max: ""},
		{line: "# up", status: "CHECKED"},
	} {
		a := parseAgent(c.line)
		status, info := a.result("")
		text := func(s *string) string {
			if s == nil {
				return ""
			}
			return *s
		}
		got := []string{status.String(), info, a.admin, text(a.weight), text(a.maxConn)}
		if diff := cmp.Diff([]string{c.status, c.info, c.admin, c.weight, c.max}, got); diff != "" {
			t.Errorf("%q (-want +got):\n%s", c.line, diff)
		}
	}
	a := parseAgent("up")
	if _, info := a.result("too heavy"); info != "via agent : up (too heavy)" {
		t.Error(info)
	}
	a = parseAgent("drain")
	if _, info := a.result("too heavy"); info != "agent warns : too heavy" {
		t.Error(info)
	}
}

// agentServer answers agents' questions, and remembers what they began with.
type agentServer struct {
	*testutil.Listener
	mu     sync.Mutex
	answer string
	given  int
	asked  string
}

func mustAgent(tb testing.TB, answer string) *agentServer {
	tb.Helper()
	a := &agentServer{answer: answer}
	a.Listener = testutil.Serve(tb, func(c *testutil.Conn) {
		a.mu.Lock()
		_, err := c.Write([]byte(a.answer))
		if err == nil {
			a.given++
		}
		a.mu.Unlock()
		_ = c.Conn.(*net.TCPConn).CloseWrite() // the check may have left
		in := make([]byte, 64)
		c.SetReadDeadline(time.Now().Add(testutil.Deadline))
		n, _ := c.Read(in)
		a.mu.Lock()
		a.asked = string(in[:n])
		a.mu.Unlock()
	})
	return a
}

// say changes the answer and waits until it was obeyed: who asks a second time has done so.
func (a *agentServer) say(tb testing.TB, answer string) {
	tb.Helper()
	a.mu.Lock()
	a.answer, a.given = answer, 0
	a.mu.Unlock()
	testutil.Eventually(tb, "the agent is asked twice", func() bool {
		a.mu.Lock()
		defer a.mu.Unlock()
		return a.given > 1
	})
}

func (a *agentServer) line() string {
	return "agent-check agent-inter 20ms agent-port " + a.Addr[strings.LastIndexByte(a.Addr, ':')+1:]
}

// stands checks what is known of a server: how it works, whether its agent and its check are content.
func (r *rig) stands(tb testing.TB, server int, want backend.Operation) {
	tb.Helper()
	if got := r.backend.State.Server(server).Operation(); got != want {
		tb.Errorf("server %d: operation %d, want %d; said:\n%s", server, got, want, r.said())
	}
}

// The agent and the check of a server must agree that it is up; one of them is enough to take it down.
func TestAgentAndHealthCheck(t *testing.T) {
	addr := refusing(t)
	stop := serveOn(t, addr)
	agent := mustAgent(t, "up\n")
	r := mustRig(t, fmt.Sprintf("timeout check 20s\n server s %s check inter 20ms rise 1 fall 1 %s\n server t %s track s", addr, agent.line(), addr))
	agent.say(t, "down\n")
	r.stands(t, 0, backend.Stopped)
	r.stands(t, 1, backend.Stopped)
	r.waitHealth(t, 0, true)
	r.stands(t, 0, backend.Stopped) // the check alone does not raise it
	stop()
	r.waitHealth(t, 0, false)
	agent.say(t, "up\n")
	r.stands(t, 0, backend.Stopped) // nor does the agent alone
	stop = serveOn(t, addr)
	defer stop()
	r.waitHealth(t, 0, true)
	testutil.Eventually(t, "both raise it", func() bool { return r.backend.State.Server(0).Up() && r.backend.State.Server(1).Up() })
	agent.say(t, "fail\n")
	r.stands(t, 0, backend.Stopped)
	if !r.SetAgentChecking(0, 0, false) || r.SetAgentChecking(0, 1, false) {
		t.Error("agents are not those that are configured")
	}
	testutil.Eventually(t, "without its agent the check raises it", func() bool { return r.backend.State.Server(0).Up() })
}

// waitHealth waits until three checks of a server in a row came to a result.
func (r *rig) waitHealth(tb testing.TB, server int, passed bool) {
	tb.Helper()
	for range 2 {
		before := r.state(tb, server).Checks
		testutil.Eventually(tb, "the server is checked", func() bool {
			s := r.state(tb, server)
			return s.Checks > before+1 && s.Status.Passed() == passed
		})
	}
}

// Nobody who does not speak changes anything: no listener, no line, no end of the line.
func TestAgentSaysNothing(t *testing.T) {
	for _, answer := range []string{"", "down", "\x00down\n", strings.Repeat("x", 20000) + "\ndown\n"} {
		agent := mustAgent(t, answer)
		r := mustRig(t, "timeout check 20s\n server s "+refusing(t)+" "+agent.line())
		agent.say(t, answer)
		r.stands(t, 0, backend.Running)
		r.Stop()
	}
	nobody := refusing(t)
	r := mustRig(t, "option log-health-checks\n server s "+nobody+" agent-check agent-inter 20ms agent-port "+nobody[strings.LastIndexByte(nobody, ':')+1:])
	testutil.Eventually(t, "nobody answers", func() bool {
		a, _ := r.AgentState(0, 0)
		return a.Checks > 2 && a.Status == L4Con
	})
	r.stands(t, 0, backend.Running)
	r.waitSaid(t, `W Agent check for server be/s failed, reason: Layer4 connection problem, `+
		`info: "ECONNREFUSED returned by OS (Connection refused)", check duration: 0ms, status: 1/1 UP.`)
}

// What an agent ordered in maintenance it takes back; it is asked from the start.
func TestAgentOrders(t *testing.T) {
	agent := mustAgent(t, "maint 50%\n")
	r := mustRig(t, "timeout check 20s\n server s "+refusing(t)+" weight 10 maxconn 5 disabled "+agent.line()+" agent-send hello")
	agent.say(t, "maint 50% maxconn:7\n")
	s := r.backend.State.Server(0)
	if s.Enabled() || s.Weight() != 5 || s.MaxConn() != 7 {
		t.Errorf("enabled %v, weight %d, maxconn %d", s.Enabled(), s.Weight(), s.MaxConn())
	}
	agent.say(t, "ready weight:9\n")
	if !s.Enabled() || s.Weight() != 9 {
		t.Errorf("enabled %v, weight %d", s.Enabled(), s.Weight())
	}
	agent.say(t, "ready drain\n")
	if s.Admin()&backend.ForcedDrain == 0 {
		t.Error("not drained")
	}
	agent.say(t, "ready\n")
	if s.Admin()&backend.Drain != 0 {
		t.Error("drained")
	}
	asked := func(want string) {
		t.Helper()
		testutil.Eventually(t, "the agent is asked with "+want, func() bool {
			agent.mu.Lock()
			defer agent.mu.Unlock()
			return agent.asked == want
		})
	}
	asked("hello")
	r.SetAgentSend(0, 0, "bye")
	asked("bye")
	r.SetAgentSend(0, 0, "")
	asked("")
	other := mustAgent(t, "down\n")
	moved := mustTarget(t, mustRead(t, " server s "+other.Addr).Servers[0])
	if !r.SetAgentTarget(0, 0, moved.Addr) {
		t.Error("there is no agent")
	}
	other.say(t, "down # elsewhere\n")
	r.stands(t, 0, backend.Stopped)
	if a, _ := r.AgentState(0, 0); a.Info != "via agent : down (elsewhere)" || a.Status != L7Sts || a.Health.Up() {
		t.Errorf("%+v", a)
	}
}

// In place of the agent an operator may speak, until the agent speaks again.
func TestAgentReplaced(t *testing.T) {
	agent := mustAgent(t, "50%\n")
	r := mustRig(t, "timeout check 20s\n server s "+refusing(t)+" "+agent.line())
	agent.say(t, "50%\n")
	r.SetAgentUp(0, 0, false, ", changed from CLI")
	r.stands(t, 0, backend.Stopped)
	agent.say(t, "50%\n")
	r.stands(t, 0, backend.Stopped)
	r.SetAgentUp(0, 0, true, ", changed from CLI")
	r.stands(t, 0, backend.Running)
	r.SetAgentUp(0, 0, false, ", changed from CLI")
	agent.say(t, "up\n")
	r.stands(t, 0, backend.Running)
}

// A server that its agent took down begins so in the next process, and its agent raises it.
func TestAgentAfterReload(t *testing.T) {
	for _, c := range []struct {
		former Former
		want   backend.Operation
	}{
		{Former{Operation: backend.Stopped, Agent: true, AgentDown: true, Checked: true, Health: 4}, backend.Stopped},
		{Former{Operation: backend.Stopped, Agent: true, AgentDown: true, AgentOff: true, Checked: true, Health: 4}, backend.Stopped},
		{Former{Operation: backend.Running, Agent: true, Checked: true, Health: 4}, backend.Running},
	} {
		addr := refusing(t)
		defer serveOn(t, addr)()
		agent := mustAgent(t, "50%\n")
		r := mustRigAfter(t, "timeout check 20s\n server s "+addr+" check inter 20ms "+agent.line(), c.former)
		r.stands(t, 0, c.want)
		if c.former.AgentOff {
			testutil.Eventually(t, "its check raises it", func() bool { return r.backend.State.Server(0).Up() })
			continue
		}
		agent.say(t, "50%\n")
		r.waitHealth(t, 0, true)
		r.stands(t, 0, c.want)
		agent.say(t, "up\n")
		r.stands(t, 0, backend.Running)
		r.Stop()
	}
	r := mustRigAfter(t, "server s "+refusing(t), Former{Operation: backend.Stopped, Agent: true, AgentDown: true})
	r.stands(t, 0, backend.Running) // nobody would raise it
}

func FuzzAgent(f *testing.F) {
	fuzzJudge(f, judgeAgent, "up\n", "down # x\r\n", "50%,maxconn:3\n", "\x00\n")
}

func FuzzAgentAnswer(f *testing.F) {
	for _, s := range []string{"up", "down #x", "weight:7% maxconn:3 drain", ",,\t #", "300% up up", "maxconn:-99999999999999999999"} {
		f.Add(s)
	}
	p := mustRead(f, " server s 127.0.0.1:1 weight 3")
	b := &Backend{Name: "be", State: backend.New(p, 0)}
	c := New(Options{Others: []Server{{Backend: b, Config: p.Servers[0]}}, Warn: func(string) {}, Alert: func(string) {}})
	f.Fuzz(func(t *testing.T, line string) {
		a := parseAgent(line)
		status, info := a.result(c.obeyAgent(c.subjects[serverID{0, 0}], &a))
		if w := b.State.Server(0).Weight(); w < 0 || w > 256 || b.State.Server(0).MaxConn() < 0 {
			t.Errorf("weight %d, maxconn %d", w, b.State.Server(0).MaxConn())
		}
		if status != Checked && status != L7OK && status != L7Sts || (status != Checked) != strings.HasPrefix(info, "via agent : ") {
			t.Errorf("%s %q", status, info)
		}
	})
}
