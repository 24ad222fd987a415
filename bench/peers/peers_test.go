package peers

import (
	"context"
	"net/netip"
	"os"
	"os/exec"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"github.com/penstock/penstock/bench/place"
	"github.com/penstock/penstock/netio"
)

func TestFind(t *testing.T) {
	got, err := Find(t.Context(), t.TempDir(), t.TempDir(), []string{Penstock, HAProxy, Bare}, []string{"haproxy=/bin/true -x", "other=/nonexistent/proxy", "more=no-such-program-anywhere"})
	if err != nil {
		t.Fatal(err)
	}
	want := []Peer{
		{Name: Penstock, Missing: "no ./cmd/penstock in the repository", Splices: true},
		{Name: HAProxy, Command: []string{"/bin/true", "-x"}, Splices: true},
		{Name: Bare, Kind: OwnRelay, Missing: "no ./bench/peers/bare in the repository", Version: "the smallest relay on epoll, of this repository", Splices: true},
		{Name: "other", Command: []string{"/nonexistent/proxy"}, Missing: "stat /nonexistent/proxy: no such file or directory", Splices: true},
		{Name: "more", Command: []string{"no-such-program-anywhere"}, Missing: "not installed", Splices: true},
		{Name: Direct, Kind: NoProxy, Version: "no proxy", Splices: true},
	}
	got[3].Missing = strings.Replace(got[3].Missing, "not installed", want[3].Missing, 1)
	if diff := cmp.Diff(want, got, cmpopts.IgnoreUnexported(Peer{})); diff != "" {
		t.Error(diff)
	}
	if _, err := Find(t.Context(), t.TempDir(), t.TempDir(), []string{"nobody"}, nil); err == nil {
		t.Error("found a peer that nobody knows")
	}
	for _, bad := range [][]string{{"x"}, {"=y"}, {"x="}, {"direct=/bin/true"}, {"bare=/bin/true"}, {"x=/bin/true", "x=/bin/false"}} {
		if _, err := Find(t.Context(), t.TempDir(), t.TempDir(), []string{HAProxy}, bad); err == nil {
			t.Errorf("%q: no error", bad)
		}
	}
}

func TestVersionIn(t *testing.T) {
	for text, want := range map[string]string{
		"HAProxy version 2.6.12-1+deb12u4 2025/10/03 - https://haproxy.org/\nStatus: x\n":           "2.6.12-1+deb12u4",
		"Penstock 0.1.0, compatible with HAProxy version 3.4.0 1970/01/01 - https://example.org/\n": "0.1.0",
		"\n1.2\n": "1.2",
		"":        "",
	} {
		if got := versionIn(text); got != want {
			t.Errorf("%q: version %q, want %q", text, got, want)
		}
	}
}

var localhost = netip.MustParseAddr("127.0.0.1")

func TestConfig(t *testing.T) {
	s := Setup{MaxConn: 50, Listen: localhost, Routes: []Route{{"echo", 1001, netip.MustParseAddrPort("127.0.0.1:2001")}, {"source", 1002, netip.MustParseAddrPort("127.0.0.1:2002")}}}
	plain := s.Config()
	want := `global
    maxconn 50
    nbthread 1

defaults
    mode tcp
    timeout connect 1m
    timeout client 1m
    timeout server 1m

listen echo
    bind 127.0.0.1:1001
    server one 127.0.0.1:2001

listen source
    bind 127.0.0.1:1002
    server one 127.0.0.1:2002
`
	if diff := cmp.Diff(want, plain); diff != "" {
		t.Error(diff)
	}
	s.Splice = true
	want = strings.Replace(want, "server 1m\n", "server 1m\n    option splice-request\n    option splice-response\n", 1)
	s.Threads, s.Global = 2, []string{"tune.x 1"}
	want = strings.Replace(want, "nbthread 1\n", "nbthread 2\n    tune.x 1\n", 1)
	if diff := cmp.Diff(want, s.Config()); diff != "" {
		t.Error(diff)
	}
	bare, iocopy := Peer{Kind: OwnRelay, Splices: true}, Peer{Kind: OwnRelay}
	for p, want := range map[*Peer][]string{
		&bare:   {"-threads", "2", "-splice", "127.0.0.1:1001=127.0.0.1:2001", "127.0.0.1:1002=127.0.0.1:2002"},
		&iocopy: {"-threads", "2", "127.0.0.1:1001=127.0.0.1:2001", "127.0.0.1:1002=127.0.0.1:2002"},
	} {
		got, err := p.arguments(&s, "")
		if diff := cmp.Diff(want, got); diff != "" || err != nil {
			t.Error(diff, err)
		}
	}
}

func TestNginxIn(t *testing.T) {
	for _, tc := range []struct{ text, version, module, missing string }{
		{"nginx version: nginx/1.22.1\nconfigure arguments: --modules-path=/m --with-stream=dynamic --with-x\n", "1.22.1", "/m/ngx_stream_module.so", ""},
		{"nginx version: nginx/1.27.0\nconfigure arguments: --with-stream\n", "1.27.0", "", ""},
		{"nginx version: openresty/1.25.3.1\nconfigure arguments: --with-stream_ssl_module\n", "1.25.3.1", "", "it is built without the stream module"},
		{"--with-stream=dynamic\n", "", "", "its modules are nowhere"},
	} {
		version, module, missing := nginxIn(tc.text)
		if version != tc.version || module != tc.module || missing != tc.missing {
			t.Errorf("%q: %q, %q, %q", tc.text, version, module, missing)
		}
	}
}

func TestParseThread(t *testing.T) {
	v, i, err := parseSwitches("Name:\tx\nvoluntary_ctxt_switches:\t12\nnonvoluntary_ctxt_switches:\t3\n")
	if v != 12 || i != 3 || err != nil {
		t.Error(v, i, err)
	}
	for _, bad := range []string{"", "voluntary_ctxt_switches:\t12\n", "voluntary_ctxt_switches:\tx\nnonvoluntary_ctxt_switches:\t3\n"} {
		if v, i, err := parseSwitches(bad); err == nil {
			t.Errorf("%q: %d, %d", bad, v, i)
		}
	}
	if d, err := parseSchedstat("659702 1773782 10\n"); d != 659702 || err != nil {
		t.Error(d, err)
	}
	if d, err := parseSchedstat(""); err == nil {
		t.Error(d)
	}
	if d, err := parseMachine("cpu  10 20 30 1000 7 40 50 999 0 0\ncpu0 1 2 3\n"); d != 1500*time.Millisecond || err != nil {
		t.Error(d, err)
	}
	for _, bad := range []string{"", "cpu 1 2", "cpu0 1 2 3 4 5 6 7 8", "cpu x 2 3 4 5 6 7 8"} {
		if d, err := parseMachine(bad); err == nil {
			t.Errorf("%q: %v", bad, d)
		}
	}
}

func TestParseStat(t *testing.T) {
	const fields = ") S 1 2 3 4 5 6 7 8 9 10 250 30 0 0 20 0 1 0 100"
	for _, tc := range []struct {
		in           string
		user, system time.Duration
		bad          bool
	}{
		{in: "7 (haproxy" + fields, user: 2500 * time.Millisecond, system: 300 * time.Millisecond},
		{in: "7 (a) b (c" + fields, user: 2500 * time.Millisecond, system: 300 * time.Millisecond},
		{in: "7 (x) S 1 2", bad: true},
		{in: "", bad: true},
		{in: "7 (x" + strings.Replace(fields, "250", "x", 1), bad: true},
	} {
		u, s, err := parseStat(tc.in)
		if u != tc.user || s != tc.system || (err != nil) != tc.bad {
			t.Errorf("%q: %v, %v, %v", tc.in, u, s, err)
		}
	}
}

func TestParseProcTexts(t *testing.T) {
	rollup := "00400000-7fff [rollup]\nRss:  2000 kB\nPss:  1234 kB\nPss_Anon:  7 kB\n"
	if n, err := kilobytes(rollup, "Pss:"); n != 1234<<10 || err != nil {
		t.Error(n, err)
	}
	if n, err := kilobytes(rollup, "Swap:"); err == nil {
		t.Error("found nothing:", n)
	}
	sockstat := "sockets: used 9\nTCP: inuse 4 orphan 0 tw 3 alloc 5 mem 77\nUDP: inuse 1 mem 2\n"
	if n, err := tcpPages(sockstat); n != 77 || err != nil {
		t.Error(n, err)
	}
	if n, err := tcpPages("UDP: inuse 1 mem 2\n"); err == nil {
		t.Error("found nothing:", n)
	}
}

func TestParseCalls(t *testing.T) {
	got, err := parseCalls("    calls syscall\n--------- ----------------\n        2 close\n       10 recvfrom\n--------- ----------------\n       12 total\n")
	if diff := cmp.Diff(map[string]uint64{"close": 2, "recvfrom": 10}, got); diff != "" || err != nil {
		t.Error(diff, err)
	}
	if got, err := parseCalls("strace: Process 1 detached\n"); err == nil {
		t.Errorf("counted %v in nothing", got)
	}
}

func TestOwnUse(t *testing.T) {
	before, err := cpuOf(os.Getpid())
	if err != nil {
		t.Fatal(err)
	}
	for sum := 0; ; sum++ {
		after, err := cpuOf(os.Getpid())
		if err != nil {
			t.Fatal(err)
		}
		if used := after.Sub(before); used.Total > time.Millisecond {
			if again := before.Add(used); again != after {
				t.Errorf("%+v and %+v do not add up to %+v", before, used, after)
			}
			break
		}
	}
	if n, err := KernelMemory(); n <= 0 || err != nil {
		t.Errorf("kernel memory %d, %v", n, err)
	}
	if _, err := cpuOf(1 << 30); err == nil {
		t.Error("CPU time of no process")
	}
}

func mustHAProxy(tb testing.TB) *Peer {
	tb.Helper()
	path, err := exec.LookPath("haproxy")
	if err != nil {
		tb.Skip("haproxy is not installed")
	}
	return &Peer{Name: HAProxy, Command: []string{path}}
}

func TestProcess(t *testing.T) {
	p := mustHAProxy(t)
	cpus, err := netio.UsableCPUs()
	if err != nil {
		t.Fatal(err)
	}
	port := mustPort(t)
	s := &Setup{MaxConn: 10, Listen: localhost, Routes: []Route{{"a", port, netip.MustParseAddrPort("127.0.0.1:1")}}}
	at := place.Apart(cpus[:1])
	pr, err := Start(t.Context(), p, s, t.TempDir(), at)
	if err != nil {
		t.Fatal(err)
	}
	defer pr.Stop()
	if err := pr.Alive(); err != nil {
		t.Error(err)
	}
	if u, err := pr.CPU(); err != nil || u.Total <= 0 {
		t.Errorf("CPU %+v, %v", u, err)
	}
	if threads, err := pr.Threads(); err != nil || threads[pr.PID()].CPU <= 0 {
		t.Errorf("threads %v, %v", threads, err)
	}
	if n, err := pr.PSS(); err != nil || n < 100<<10 {
		t.Errorf("PSS %d, %v", n, err)
	}
	pr.Stop()
	if err := pr.Alive(); err == nil {
		t.Error("still alive after Stop")
	}

	s.Routes[0].Server = netip.AddrPort{}
	if pr, err := Start(t.Context(), p, s, t.TempDir(), at); err == nil {
		pr.Stop()
		t.Error("started with a broken configuration")
	} else if !strings.Contains(err.Error(), "start haproxy: it ended at once") || !strings.Contains(err.Error(), "unknown keyword") {
		t.Errorf("error %q does not say what the proxy said", err)
	}
}

func mustPort(tb testing.TB) uint16 {
	tb.Helper()
	p := place.Party{CPUs: []int{0}, Addr: localhost}
	port, err := p.FreePort()
	if err != nil {
		tb.Fatal(err)
	}
	return port
}

func TestStartGivesUp(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	s := &Setup{Listen: localhost, Routes: []Route{{"a", mustPort(t), netip.MustParseAddrPort("127.0.0.1:1")}}}
	p := &Peer{Name: "sleeper", Command: []string{"/bin/sh", "-c", "exec sleep 60", "sh"}}
	pr, err := Start(ctx, p, s, t.TempDir(), place.Apart([]int{0}))
	if err == nil {
		pr.Stop()
		t.Fatal("a proxy that never listens was taken for one")
	}
}
