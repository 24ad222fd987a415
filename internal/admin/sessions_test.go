package admin

import (
	"fmt"
	"regexp"
	"strings"
	"sync"
	"testing"

	"github.com/penstock/penstock/internal/testutil"
)

const sessionsConfig = `
global
    nbthread 2
defaults
    timeout connect 10s
    timeout client 60s
    timeout server 60s
frontend fe
    bind %s name in
    default_backend be
backend be
    server s1 %s
    server s2 %s
backend other
    server s1 127.0.0.1:1
`

// mustSessions opens n sessions, which go to both servers in turn.
func mustSessions(t *testing.T, n int) (*stage, []*testutil.Conn) {
	t.Helper()
	first, second := testutil.Serve(t, testutil.Echo), testutil.Serve(t, testutil.Echo)
	addr := testutil.Loopback(testutil.FreePort(t))
	s := mustStage(t, fmt.Sprintf(sessionsConfig, addr, first.Addr, second.Addr))
	var clients []*testutil.Conn
	for range n {
		c := testutil.Dial(t, "tcp", addr)
		c.Send("hello")
		c.Expect("hello")
		clients = append(clients, c)
	}
	return s, clients
}

var sessionLine = regexp.MustCompile(`(?m)^(0x[0-9a-f]+): proto=tcpv4 src=127\.0\.0\.1:(\d+) fe=fe be=be srv=(s[12]) ts=00 epoch=0 age=\d+s calls=\d+ rate=\d+ cpu=\d+ lat=\d+ ` +
	`rq\[f=0h,i=0,an=00h,ax=\] rp\[f=0h,i=0,an=00h,ax=\] scf=\[8,[0-9a-f]+h,fd=\d+,rex=(?:1m|\d+s),wex=\] scb=\[8,[0-9a-f]+h,fd=\d+,rex=(?:1m|\d+s),wex=\] exp=(?:1m|\d+s) rc=0 c_exp= ` +
	`worker=[12] state=relay mode=copy/copy bytes=5/5 idle=\d+s queue=\d+ms$`)

func TestShowSessions(t *testing.T) {
	s, clients := mustSessions(t, 4)
	list := s.ask("operator", "show sess")
	lines := sessionLine.FindAllStringSubmatch(list, -1)
	if len(lines) != 4 || !strings.HasSuffix(list, "\n\n\n") || strings.Count(list, "\n") != 6 {
		t.Fatalf("list %q", list)
	}
	count := func(what, list string, want int) {
		t.Helper()
		if n := len(sessionLine.FindAllString(list, -1)); n != want {
			t.Errorf("%s: %d sessions, want %d: %q", what, n, want, list)
		}
	}
	for filter, want := range map[string]int{
		"server be/s1": 2, "server #3/#2": 2, "backend be": 4, "backend other": 0, "frontend fe": 4, "client 127.0.0.0/8": 4,
		"client 127.0.0.1": 4, "client 10.0.0.0/8": 0, "client ::1": 0, "older 1h": 0, "idle 30m": 0, "susp": 0, "worker 3": 0,
		"state relay": 4, "state queued": 0, "server be/s1 client 127.0.0.0/8 state relay": 2, "show-uri": 4,
	} {
		count(filter, s.ask("operator", "show sess %s", filter), want)
	}
	one := s.ask("operator", "show sess %s", lines[0][1])
	for _, want := range []string{
		`^` + lines[0][1] + `: \[\d\d/\w{3}/\d{4}:[0-9:.]{15}\] id=\d+ proto=tcpv4 source=127\.0\.0\.1:` + lines[0][2] + "\n",
		`  frontend=fe \(id=2 mode=tcp\), listener=in \(id=1\) addr=127\.0\.0\.1:\d+`,
		`  backend=be \(id=3 mode=tcp\) addr=127\.0\.0\.1:\d+`,
		`  server=` + lines[0][3] + ` \(id=\d\) addr=127\.0\.0\.1:\d+`,
		`tcp=ESTABLISHED rtt=\d+\.\d+ms .*retrans=\d+ .*unsent=0 delivery_rate=\d+`,
		`  req=copy total=5 waiting=0 done=0`,
	} {
		if !regexp.MustCompile(want).MatchString(one) {
			t.Errorf("the dump has no %s: %q", want, one)
		}
	}
	if all := s.ask("operator", "show sess all"); strings.Count(all, "tcp=ESTABLISHED") != 8 {
		t.Errorf("all: %q", all)
	}
	for line, want := range map[string]string{
		"show sess 0x1":                                    "Session not found.\n\n",
		"show sess foo":                                    "Unsupported option 'foo', try 'help' for more info.\n\n",
		"show sess server be":                              "Require 'backend/server'.\n\n",
		"show sess server x/s1":                            "No such backend.\n\n",
		"show sess server be/x":                            "No such server.\n\n",
		"show sess backend fe":                             "No such backend.\n\n",
		"show sess frontend be":                            "No such frontend.\n\n",
		"show sess older":                                  "'older' expects a time such as 30, 5m or 2h, not ''.\n\n",
		"show sess client 10/8/x":                          "'client' expects an address or a network such as 10.0.0.0/8, not '10/8/x'.\n\n",
		"show sess worker 0":                               "'worker' expects the number of a worker, from 1, not '0'.\n\n",
		"show sess state tired":                            "'state' expects one of queued, connecting, turnaround, relay, leaving, not 'tired'.\n\n",
		"shutdown session":                                 "Session pointer expected (use 'show sess').\n\n",
		"shutdown session 0xz":                             "Session pointer expected (use 'show sess').\n\n",
		"shutdown session 0x1":                             "No such session (use 'show sess').\n\n",
		"shutdown sessions server":                         "Require 'backend/server'.\n\n",
		"shutdown sessions where":                          "At least one condition is required: " + filterWords + ".\n\n",
		"shutdown sessions where x":                        "Unknown condition 'x', expecting " + filterWords + ".\n\n",
		"shutdown sessions where client 127.0.0.1 older x": "'older' expects a time such as 30, 5m or 2h, not 'x'.\n\n",
	} {
		if got := s.ask("admin", "%s", line); got != want {
			t.Errorf("%s: %q, want %q", line, got, want)
		}
	}
	for _, c := range clients {
		c.Send("x")
		c.Expect("x")
	}
}

func TestShutdownSessions(t *testing.T) {
	s, clients := mustSessions(t, 6)
	idOf := map[int]string{}
	serverOf := map[int]string{}
	for _, line := range sessionLine.FindAllStringSubmatch(s.ask("admin", "show sess"), -1) {
		var port int
		fmt.Sscan(line[2], &port)
		idOf[port], serverOf[port] = line[1], line[3]
	}
	victim := clients[0]
	if got := s.ask("admin", "shutdown session %s", idOf[victim.Port()]); got != "\n" {
		t.Fatalf("answer %q", got)
	}
	victim.ExpectClosed()
	if got := s.ask("admin", "shutdown session %s", idOf[victim.Port()]); !strings.HasPrefix(got, "No such session") {
		t.Errorf("answer %q", got)
	}
	if got := s.ask("admin", "shutdown sessions server be/s1"); got != "\n" {
		t.Fatalf("answer %q", got)
	}
	left := 0
	for _, c := range clients[1:] {
		if serverOf[c.Port()] == "s1" {
			c.ExpectClosed()
			continue
		}
		left++
		c.Send("still there")
		c.Expect("still there")
	}
	if got, want := s.ask("admin", "shutdown sessions where client 127.0.0.0/8 server be/s2"), fmt.Sprintf("Sessions ended: %d.\n\n", left); got != want {
		t.Errorf("answer %q, want %q", got, want)
	}
	if got := s.ask("admin", "show sess"); got != "\n\n" {
		t.Errorf("left: %q", got)
	}
}

func TestSpan(t *testing.T) {
	for ms, want := range map[int64]string{
		-1: "0s", 0: "0s", 999: "0s", 1000: "1s", 60_000: "1m", 61_000: "1m1s", 3_600_000: "1h", 86_400_000 + 5000: "1d5s", 90_061_000: "1d1h",
	} {
		if got := string(new(sheet).span("", ms).b); got != want {
			t.Errorf("%d ms are %s, want %s", ms, got, want)
		}
	}
}

// Sessions come, go and are ended while several operators read all about them.
func TestReadingDisturbsNobody(t *testing.T) {
	s, _ := mustSessions(t, 0)
	var addr string
	if m := regexp.MustCompile(`addr=(\S+)`).FindStringSubmatch(s.ask("operator", "show fd")); m != nil {
		addr = m[1]
	}
	const readers, rounds = 4, 25
	var wait sync.WaitGroup
	for n := range readers {
		wait.Go(func() {
			for range rounds {
				answer := s.ask("admin", [...]string{"show sess", "show sess all", "show fd;show pools", "shutdown sessions where older 1h"}[n])
				if !strings.HasSuffix(answer, "\n\n") {
					t.Errorf("answer ends with %q", answer[max(len(answer)-40, 0):])
				}
			}
		})
	}
	for range rounds {
		c := testutil.Dial(t, "tcp", addr)
		c.Send("hello")
		c.Expect("hello")
		c.Close()
	}
	wait.Wait()
}
