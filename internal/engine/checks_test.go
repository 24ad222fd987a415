package engine

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"runtime"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/penstock/penstock/internal/check"
	"github.com/penstock/penstock/internal/config"
	"github.com/penstock/penstock/internal/session"
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

// A check goes where its own words say, else to the server.
func TestCheckTarget(t *testing.T) {
	for _, c := range []struct{ server, want string }{
		{"127.0.0.1:80", "127.0.0.1:80"},
		{"127.0.0.1:80 port 81", "127.0.0.1:81"},
		{"127.0.0.1:80 addr 127.0.0.2", "127.0.0.2:80"},
		{"127.0.0.1:80 addr 127.0.0.2:82", "127.0.0.2:82"},
		{"127.0.0.1:80 addr 127.0.0.2:82 port 83", "127.0.0.2:83"},
		{"127.0.0.1:+5 port 84", "127.0.0.1:84"},
		{"[::1]:85", "[::1]:85"},
		{"127.0.0.1:80 addr [::1] port 86", "[::1]:86"},
		{"unix@/tmp/s addr 127.0.0.1:87", "127.0.0.1:87"},
		{"localhost:88 addr 127.0.0.3", "127.0.0.3:88"},
	} {
		cfg, found := config.LoadText("test.cfg", "backend b\n timeout connect 1s\n timeout server 1s\n server s "+c.server+" check\n", config.Options{})
		if found.Fatal() {
			t.Errorf("%s: %v", c.server, found.List)
			continue
		}
		e := &Engine{cfg: cfg, opt: Options{Report: &config.Reporter{W: &testutil.Output{}}}, shared: &session.Shared{}, checkAt: map[serverKey]checkPlace{}, checking: true}
		if !e.buildProxies("") {
			t.Errorf("%s: cannot be built", c.server)
			continue
		}
		target, ok := e.checkTarget(0, 0)
		if addr := target.Addr.Addr(); !ok || addr.AddrPort().String() != c.want {
			t.Errorf("%s: checked at %v, %v; want %s", c.server, addr.AddrPort(), ok, c.want)
		}
	}
}

// Servers without an address, and what only sessions of a former process have, are left alone.
func TestLeftAlone(t *testing.T) {
	health := testutil.Serve(t, func(c *testutil.Conn) { io.Copy(io.Discard, c) })
	gone := testutil.Serve(t, func(c *testutil.Conn) { io.Copy(io.Discard, c) })
	text := fmt.Sprintf(`
listen l
    bind %s
    timeout client 1s
    timeout connect 1s
    timeout server 1s
    server s1 %s check inter 10ms
    server s2 name.invalid:80 check inter 10ms init-addr none
`, testutil.Loopback(testutil.FreePort(t)), health.Addr)
	cfg, found := config.LoadText("test.cfg", text, config.Options{})
	if found.Fatal() {
		t.Fatal(found.List)
	}
	former, departed := *cfg.Proxies[0], *cfg.Proxies[0].Servers[0]
	departed.Name, departed.Addr.Port = "s3", gone.Port
	former.Binds, former.Servers = nil, []*config.Server{&departed}
	other := former
	other.Name = "old"
	topology, err := json.Marshal([]*config.Proxy{&former, &other})
	if err != nil {
		t.Fatal(err)
	}
	e, err := New(cfg, Options{Report: &config.Reporter{W: &testutil.Output{}}, Program: "test", Former: [][]byte{topology}})
	if err != nil {
		t.Fatal(err)
	}
	procs := runtime.GOMAXPROCS(0)
	e.Start()
	t.Cleanup(func() { e.Close(); runtime.GOMAXPROCS(procs) })
	testutil.Eventually(t, "the first server is checked", func() bool { s, ok := e.CheckState(0, 0); return ok && s.Checks > 5 })
	if s, ok := e.CheckState(0, 1); !ok || s.Checks > 0 || s.Status != check.Initial {
		t.Errorf("the server without an address: %+v", s)
	}
	if _, ok := e.CheckState(0, 2); ok || gone.Accepted() > 0 {
		t.Error("a server that departed is checked")
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
    server s1 %s check inter 200ms
    server s2 %s check inter 200ms backup
backend counted
    option log-health-checks
    server s1 %s check inter 250ms rise 2 fall 3
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
    timeout check 20s
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

// Sessions that cannot connect take a server out of service, in HAProxy's words.
func TestObserveEqualsHAProxy(t *testing.T) {
	haproxy, err := exec.LookPath("haproxy")
	if err != nil {
		t.Skip("haproxy is not installed")
	}
	health := mustHealthPort(t)
	defer health.down()
	logs := [2]*testutil.Syslog{testutil.ListenSyslog(t), testutil.ListenSyslog(t)}
	addrs := [2]string{testutil.Loopback(testutil.FreePort(t)), testutil.Loopback(testutil.FreePort(t))}
	refusing := testutil.Loopback(testutil.FreePort(t))
	text := func(i int) string {
		return fmt.Sprintf(`
defaults
    mode tcp
    log %s local0
    option tcplog
    timeout connect 100ms
    timeout server 5s
    timeout client 5s
listen be
    bind %s
    server s1 %s check port %d inter 1h observe layer4 error-limit 6 on-error mark-down
`, logs[i].Addr, addrs[i], refusing, health.port)
	}
	e, _ := mustStart(t, text(0))
	path := filepath.Join(t.TempDir(), "haproxy.cfg")
	if err := os.WriteFile(path, []byte(text(1)), 0o600); err != nil {
		t.Fatal(err)
	}
	testutil.Start(t, exec.Command(haproxy, "-db", "-f", path))
	testutil.Eventually(t, "the server is up", func() bool { s, _ := e.CheckState(0, 0); return s.Health.String() == "UP" })
	var got [2][]string
	for i, addr := range addrs {
		testutil.Eventually(t, "it listens", func() bool {
			c, err := net.Dial("tcp", addr)
			if err == nil {
				c.Close()
			}
			return err == nil
		})
		for range 2 { // of four tries each
			testutil.Dial(t, "tcp", addr).ExpectClosed()
		}
		logs[i].WaitLine(t, `proxy be has no server available`)
		for _, line := range logs[i].Lines() {
			if strings.Contains(line, "Server be/s1 is DOWN") {
				got[i] = byBackend([]string{line})["be"]
			}
		}
	}
	if diff := cmp.Diff(got[1], got[0]); diff != "" || len(got[0]) != 1 {
		t.Errorf("(-haproxy +ours):\n%s", diff)
	}
}

var (
	header   = regexp.MustCompile(`^(<\d+>).*?\]: `)
	sessions = regexp.MustCompile(`\d+ sessions active`)
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
		// So ends a check that was connecting when its listener closed.
		line = strings.Replace(line, `"Connection reset by peer`, `"Connection refused`, 1)
		line = duration.ReplaceAllString(line, "duration: 0ms")
		line = sessions.ReplaceAllString(line, "0 sessions active") // one may be about to try again
		out[match[1]] = append(out[match[1]], line)
	}
	return out
}
