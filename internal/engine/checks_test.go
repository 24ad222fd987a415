package engine

import (
	"bytes"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/penstock/penstock/internal/testutil"
)

// healthPort is a port that answers while the server is to count as healthy.
type healthPort struct {
	tb   testing.TB
	addr string
	port int
	stop func()
}

func mustHealthPort(tb testing.TB) *healthPort {
	tb.Helper()
	h := &healthPort{tb: tb, port: testutil.FreePort(tb)}
	h.addr = testutil.Loopback(h.port)
	h.up()
	return h
}

func (h *healthPort) up() { h.tb.Helper(); h.stop = testutil.ListenOn(h.tb, "tcp", h.addr).Close }

func (h *healthPort) down() { h.stop() }

const checkedListen = `
global
    nbthread 2
    log %s local0
defaults
    log global
    option tcplog
    timeout connect 20s
    timeout client 60s
    timeout server 60s
listen l
    bind %s
`

// The sessions of a server that goes down are ended, those that wait for it too, and all of them say why.
func TestMarkedDown(t *testing.T) {
	server, log, health := testutil.Serve(t, testutil.Echo), testutil.ListenSyslog(t), mustHealthPort(t)
	addr := testutil.Loopback(testutil.FreePort(t))
	e, out := mustStart(t, fmt.Sprintf(checkedListen+"    server s1 %s check port %d inter 20ms maxconn 1 on-marked-down shutdown-sessions\n",
		log.Addr, addr, server.Addr, health.port))
	served := testutil.Dial(t, "tcp", addr)
	served.Send("a")
	served.Expect("a")
	waiting := testutil.Dial(t, "tcp", addr)
	testutil.Eventually(t, "the second session waits", func() bool { return e.proxies[0].Backend.Queued() == 1 })
	health.down()
	served.ExpectClosed()
	waiting.ExpectClosed()
	log.WaitLine(t, fmt.Sprintf(`127\.0\.0\.1:%d \[.*\] l l/s1 .* DC `, served.Port()))
	log.WaitLine(t, fmt.Sprintf(`127\.0\.0\.1:%d \[.*\] l l/<NOSRV> .* SC `, waiting.Port()))
	log.WaitLine(t, `^<129>.*: Server l/s1 is DOWN, reason: Layer4 connection problem, .* 0 active and 0 backup servers left\. 1 sessions active, 1 requeued, 0 remaining in queue\.\n`)
	log.WaitLine(t, `^<128>.*: proxy l has no server available!\n`)
	out.Wait(t, `\[ALERT\].* proxy 'l' has no server available!`)
	refused := testutil.Dial(t, "tcp", addr)
	refused.ExpectClosed()
	log.WaitLine(t, fmt.Sprintf(`127\.0\.0\.1:%d \[.*\] l l/<NOSRV> -1/-1/\d+ 0 SC `, refused.Port()))
	var dump bytes.Buffer
	e.DumpState(&dump)
	if !strings.Contains(dump.String(), "SIGHUP: Server l/s1 is DOWN.") {
		t.Errorf("the dump says:\n%s", &dump)
	}
	health.up()
	out.Wait(t, `Server l/s1 is UP, reason: Layer4 check passed`)
	if !echoes(addr) {
		t.Error("the server is not used again")
	}
	health.down()
}

// Without more words, sessions outlive the mark of their server; new ones go elsewhere.
func TestSessionsOutliveTheMark(t *testing.T) {
	first, second := testutil.Serve(t, testutil.Echo), testutil.Serve(t, testutil.Echo)
	log, health := testutil.ListenSyslog(t), mustHealthPort(t)
	addr := testutil.Loopback(testutil.FreePort(t))
	_, out := mustStart(t, fmt.Sprintf(checkedListen+"    server s1 %s check port %d inter 20ms on-marked-up shutdown-backup-sessions\n    server s2 %s backup\n",
		log.Addr, addr, first.Addr, health.port, second.Addr))
	old := testutil.Dial(t, "tcp", addr)
	old.Send("a")
	old.Expect("a")
	health.down()
	out.Wait(t, `Server l/s1 is DOWN, .* 0 active and 1 backup servers left\. Running on backup\. 1 sessions active`)
	spare := testutil.Dial(t, "tcp", addr)
	spare.Send("b")
	spare.Expect("b")
	if second.Accepted() != 1 {
		t.Error("the backup was not used")
	}
	old.Send("c")
	old.Expect("c")
	health.up()
	spare.ExpectClosed()
	log.WaitLine(t, fmt.Sprintf(`127\.0\.0\.1:%d \[.*\] l l/s2 .* UC `, spare.Port()))
	old.Send("d")
	old.Expect("d")
	health.down()
}

// A soft stop ends the checks while sessions go on.
func TestSoftStopEndsChecks(t *testing.T) {
	server, health := testutil.Serve(t, testutil.Echo), testutil.Serve(t, func(c *testutil.Conn) { io.Copy(io.Discard, c) })
	log, addr := testutil.ListenSyslog(t), testutil.Loopback(testutil.FreePort(t))
	e, _ := mustStart(t, fmt.Sprintf(checkedListen+"    server s1 %s check port %d inter 10ms\n", log.Addr, addr, server.Addr, health.Port))
	testutil.Eventually(t, "the server is checked", func() bool { s, ok := e.CheckState(0, 0); return ok && s.Checks > 3 })
	client := testutil.Dial(t, "tcp", addr)
	client.Send("a")
	client.Expect("a")
	e.SoftStop()
	before, _ := e.CheckState(0, 0)
	client.Send("b")
	client.Expect("b")
	if after, _ := e.CheckState(0, 0); after.Checks != before.Checks {
		t.Errorf("%d checks after the stop", after.Checks-before.Checks)
	}
	client.CloseWrite()
	<-e.Done()
}

// What is not to be checked is not.
func TestNotChecked(t *testing.T) {
	e, _ := mustStart(t, fmt.Sprintf(`
backend b
    timeout connect 1s
    timeout server 1s
    server s1 127.0.0.1:1
    server s2 127.0.0.1:1 check no-check
backend off
    disabled
    server s1 127.0.0.1:1 check
listen l
    bind %s
    timeout client 1s
    timeout connect 1s
    timeout server 1s
    server gone 127.0.0.1:1
`, testutil.Loopback(testutil.FreePort(t))))
	for i, p := range e.cfg.Proxies {
		for n := range p.Servers {
			if _, checked := e.CheckState(i, n); checked {
				t.Errorf("server %d of proxy %d is checked", n, i)
			}
		}
	}
}

// scenario is a list of steps of servers going and coming; what is logged about them must be what HAProxy logs.
const scenario = `
defaults
    mode tcp
    log %s local0
    timeout connect 5s
    timeout server 5s
    timeout client 5s
listen be
    bind %s
    server s1 %s check inter 60ms
    server s2 %s check inter 60ms backup
backend counted
    option log-health-checks
    server s1 %s check inter 80ms rise 2 fall 3
backend words
    option tcp-check
    tcp-check connect comment hello
    tcp-check send PING\r\n
    tcp-check comment "wait pong"
    tcp-check expect string +PONG
    timeout check 300ms
    server s1 %s check inter 1s
backend http
    option httpchk GET /
    server s1 %s check inter 1s
backend tracking
    server t1 127.0.0.1:1 track be/s1
    server t2 127.0.0.1:1 track t1 backup
`

// The log lines of a scenario, those of every backend in their order, are those of HAProxy.
func TestLinesEqualHAProxy(t *testing.T) {
	haproxy, err := exec.LookPath("haproxy")
	if err != nil {
		t.Skip("haproxy is not installed")
	}
	first, second := mustHealthPort(t), mustHealthPort(t)
	silent := testutil.Serve(t, func(c *testutil.Conn) { io.Copy(io.Discard, c) })
	unwell := testutil.Serve(t, func(c *testutil.Conn) {
		io.WriteString(c.Conn, "HTTP/1.0 503 Not \"now\"\r\nContent-Length: 0\r\n\r\n")
		io.Copy(io.Discard, c)
	})
	logs := [2]*testutil.Syslog{testutil.ListenSyslog(t), testutil.ListenSyslog(t)}
	text := func(log *testutil.Syslog) string {
		return fmt.Sprintf(scenario, log.Addr, testutil.Loopback(testutil.FreePort(t)), first.addr, second.addr, first.addr, silent.Addr, unwell.Addr)
	}
	mustStart(t, text(logs[0]))
	path := filepath.Join(t.TempDir(), "haproxy.cfg")
	if err := os.WriteFile(path, []byte(text(logs[1])), 0o600); err != nil {
		t.Fatal(err)
	}
	testutil.Start(t, exec.Command(haproxy, "-db", "-f", path))

	both := func(pattern string, count int) {
		t.Helper()
		re := regexp.MustCompile(pattern)
		for _, log := range logs {
			testutil.Eventually(t, "the log has "+pattern, func() bool {
				return len(re.FindAllString(strings.Join(log.Lines(), ""), -1)) >= count
			})
		}
	}
	both(`counted/s1 succeeded.* 3/3 UP`, 1)
	both(`Server words/s1 is DOWN`, 1)
	both(`Server http/s1 is DOWN`, 1)
	first.down()
	both(`Server be/s1 is DOWN`, 1)
	both(`Server counted/s1 is DOWN`, 1)
	second.down()
	both(`proxy be has no server available`, 1)
	second.up()
	both(`Server be/s2 is UP`, 1)
	first.up()
	both(`Server be/s1 is UP`, 1)
	both(`Server tracking/t2 is UP`, 1)
	both(`Server counted/s1 is UP`, 1)
	first.down()
	both(`Server be/s1 is DOWN`, 2)
	both(`backend tracking has no server available`, 2)
	both(`Server counted/s1 is DOWN`, 2)

	var got [2]map[string][]string
	for i, log := range logs {
		got[i] = byBackend(log.Lines())
	}
	if diff := cmp.Diff(got[1], got[0]); diff != "" {
		t.Errorf("(-haproxy +ours):\n%s", diff)
	}
	second.down()
}

var (
	header   = regexp.MustCompile(`^(<\d+>).*?\]: `)
	osError  = regexp.MustCompile(`"E[A-Z]+ returned by OS \(([^)]*)\)`)
	duration = regexp.MustCompile(`duration: \d+ms`)
	subject  = regexp.MustCompile(`(?:[Ss]erver |backend |proxy )([a-z]+)[/ ]`)
)

// byBackend sorts log lines by the backend that they are about. HAProxy 2.6 names an error of the system in fewer
// words than later versions do.
func byBackend(lines []string) map[string][]string {
	out := map[string][]string{}
	for _, line := range lines {
		match := subject.FindStringSubmatch(line)
		if match == nil {
			continue
		}
		line = header.ReplaceAllString(strings.TrimSpace(line), "$1 ")
		line = osError.ReplaceAllString(line, `"$1`)
		line = duration.ReplaceAllString(line, "duration: 0ms")
		out[match[1]] = append(out[match[1]], line)
	}
	return out
}
