package engine

import (
	"encoding/json"
	"fmt"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/penstock/penstock/internal/config"
	"github.com/penstock/penstock/internal/session"
	"github.com/penstock/penstock/internal/testutil"
	"github.com/penstock/penstock/netio"
)

// mustSucceed starts an engine that knows of the sessions of another one.
func mustSucceed(tb testing.TB, former *Engine, text string) (*Engine, *testutil.Output) {
	tb.Helper()
	out := &testutil.Output{}
	report := &config.Reporter{W: out}
	cfg, found := config.LoadText("test.cfg", text, config.Options{})
	if found.Fatal() {
		found.Print(report)
		tb.Fatal(out)
	}
	topology, err := former.Topology()
	if err != nil {
		tb.Fatal(err)
	}
	e, err := New(cfg, Options{Report: report, Program: "test", Former: [][]byte{topology}})
	if err != nil {
		tb.Fatalf("%v: %s", err, out)
	}
	procs := runtime.GOMAXPROCS(0)
	e.Start()
	tb.Cleanup(func() { e.Close(); runtime.GOMAXPROCS(procs) })
	return e, out
}

// mustCopy is a batch as another process would receive it.
func mustCopy(tb testing.TB, batch []session.Snapshot) []session.Snapshot {
	tb.Helper()
	text, err := json.Marshal(batch)
	if err != nil {
		tb.Fatal(err)
	}
	var out []session.Snapshot
	if err := json.Unmarshal(text, &out); err != nil {
		tb.Fatal(err)
	}
	for i := range out {
		for _, fd := range out[i].Descriptors() {
			if *fd < 0 {
				continue
			}
			own, e := netio.Dup(*fd)
			if e != 0 {
				tb.Fatal(e)
			}
			*fd = own
		}
	}
	return out
}

// handOver moves all sessions, and returns how many.
func handOver(tb testing.TB, from, to *Engine) int {
	tb.Helper()
	moved := 0
	testutil.Eventually(tb, "all sessions can be moved", func() bool {
		batch, later, _ := from.Freeze(7)
		if refused := to.Misplaced(batch); len(refused) > 0 {
			tb.Fatalf("refused: %+v", batch[refused[0]])
		}
		to.Adopt(mustCopy(tb, batch))
		from.Commit(batch)
		moved += len(batch)
		return later == 0
	})
	return moved
}

// Sessions go on in another engine, with fewer workers and without their server and frontend, which stay
// visible there until the last session has ended, or until their time is over.
func TestHandOver(t *testing.T) {
	server := testutil.Serve(t, testutil.Echo)
	a, b := testutil.Loopback(testutil.FreePort(t)), testutil.Loopback(testutil.FreePort(t))
	old, _ := mustStart(t, fmt.Sprintf(`
global
    nbthread 3
listen both
    bind %s
    timeout client 1h
    server stays %s
    server goes %s
frontend went
    bind %s
    default_backend gone
backend gone
    server s1 %s maxconn 100
`, a, server.Addr, server.Addr, b, server.Addr))
	var clients []*testutil.Conn
	for i := range 60 {
		c := testutil.Dial(t, "tcp", []string{a, b}[i%2])
		c.Send("a")
		c.Expect("a")
		clients = append(clients, c)
	}
	next, _ := mustSucceed(t, old, fmt.Sprintf(`
global
    nbthread 2
listen both
    bind %s
    timeout client 1h
    server new 127.0.0.1:1
    server stays %s
`, testutil.Loopback(testutil.FreePort(t)), server.Addr))
	if moved := handOver(t, old, next); moved != len(clients) {
		t.Errorf("%d sessions moved, want %d", moved, len(clients))
	}
	if n := old.Sessions(); n != 0 {
		t.Errorf("%d sessions left", n)
	}
	for _, c := range clients {
		c.Send("b")
		c.Expect("b")
	}
	var dump strings.Builder
	next.DumpState(&dump)
	for _, want := range []string{
		"Server both/stays is UP. Conn: 15 act", "Server both/goes is DOWN. Conn: 15 act", "Server both/new is UP. Conn: 0 act", "Server gone/s1 is DOWN. Conn: 30 act",
	} {
		if !strings.Contains(dump.String(), want) {
			t.Errorf("want %q in\n%s", want, dump.String())
		}
	}
	third, _ := mustSucceed(t, next, fmt.Sprintf(`
global
    nbthread 1
listen both
    bind %s
    server stays %s
`, testutil.Loopback(testutil.FreePort(t)), server.Addr))
	handOver(t, next, third)
	third.DrainDeparted(time.Millisecond)
	testutil.Eventually(t, "departed sessions are ended", func() bool { return third.Sessions() == 15 })
	alive := 0
	for _, c := range clients {
		_ = c.SetDeadline(time.Now().Add(testutil.Deadline))
		_, _ = c.Write([]byte("c"))
		if n, _ := c.Read(make([]byte, 1)); n == 1 {
			alive++
		}
	}
	if alive != 15 {
		t.Errorf("%d sessions are alive, want 15", alive)
	}
	fourth, _ := mustSucceed(t, third, fmt.Sprintf(`
listen both
    bind %s
    server stays %s
`, testutil.Loopback(testutil.FreePort(t)), server.Addr))
	if n := len(fourth.cfg.Proxies); n != 1 {
		t.Errorf("%d proxies: one without sessions should not have departed", n)
	}
}

// A description that is none is an error, and one from another version does no harm.
func TestFormerTopology(t *testing.T) {
	for _, test := range []struct {
		text string
		ok   bool
	}{
		{"", true},
		{"[]", true},
		{"null", true},
		{`[null,{"Name":"x","Kind":1,"New":{"a":1},"Servers":[null,{"Name":"s"}]}]`, true},
		{`{}`, true},
		{`{"proxies":[null],"states":"x","moved":[{}],"new":1}`, true},
		{`[{"Name":7}]`, false},
		{`{"proxies":[{"Name":7}]}`, false},
		{"nonsense", false},
	} {
		cfg, _ := config.LoadText("test.cfg", "listen l\n    bind 127.0.0.1:1\n", config.Options{})
		former, err := readTopologies([][]byte{[]byte(test.text)})
		if (err == nil) != test.ok {
			t.Errorf("%q: %v", test.text, err)
		}
		for _, f := range former {
			addDeparted(cfg, f.Proxies)
		}
	}
}

func FuzzFormerTopology(f *testing.F) {
	f.Add([]byte(`[{"Name":"l","Kind":3,"Servers":[{"Name":"s","Addr":{"IP":"127.0.0.1","Port":1}}],"Logs":[{"Kind":3,"FD":7}]}]`))
	f.Add([]byte(`{"states":"1\n3 l 1 s x 1 9 7 1 3 6 3 4 2 0 0 0 - 1 -","moved":[{"Backend":"l","Server":"s","From":"127.0.0.1:1","To":"[::1]:2"}]}`))
	f.Fuzz(func(t *testing.T, text []byte) {
		cfg, _ := config.LoadText("test.cfg", "listen l\n    server s 127.0.0.1:1\n", config.Options{})
		former, err := readTopologies([][]byte{text})
		if err != nil {
			return
		}
		for _, f := range former {
			addDeparted(cfg, f.Proxies)
		}
		e := &Engine{
			cfg: cfg, opt: Options{Report: &config.Reporter{W: &testutil.Output{}}}, shared: &session.Shared{},
			checkAt: map[serverKey]checkPlace{}, checking: true,
		}
		if e.buildProxies("host") && e.buildChecks() {
			e.inheritStates(former)
		}
	})
}
