package config

import (
	"net/netip"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

// mustLoad reads a configuration that has no alert.
func mustLoad(tb testing.TB, text string, opt Options) *Config {
	tb.Helper()
	cfg, diags := LoadText("t.cfg", text, opt)
	if diags.Fatal() {
		tb.Fatalf("refused: %q", findings(diags))
	}
	return cfg
}

func TestInheritance(t *testing.T) {
	cfg := mustLoad(t, `
defaults base
    timeout client 10s
    timeout server 20s
    timeout connect 3s
    option nolinger
    option splice-request
    option redispatch
    balance source
    retries 7
    maxconn 55
    fullconn 66
    default_backend b
    default-server maxconn 5 weight 8
    log stdout local0
    log-tag base
defaults child from base
    timeout client 11s
    no option nolinger
    default-server weight 9
defaults
    timeout client 1s
    timeout server 1s
    timeout connect 1s
frontend f from base
    bind :1
backend b from base
    server s 10.0.0.1:1
listen l from child
    bind :2
    no log
    default option redispatch
    timeout queue 4s
    option splice-auto
    server s 10.0.0.1:1 maxconn 6
listen plain
    bind :3
    no option splice-auto
    disabled
    enabled
`, Options{})
	type summary struct {
		Client, Server, Connect, Queue time.Duration
		NoLinger, SpliceRequest        bool
		SpliceAuto                     Tristate
		Redispatch                     bool
		Algorithm                      Algorithm
		Retries, MaxConn, FullConn     int
		DefaultBackend, LogTag         string
		Logs, ID                       int
		Weight, ServerMaxConn          int
	}
	got := make(map[string]summary)
	for _, px := range cfg.Proxies {
		s := summary{
			px.Timeouts.Client, px.Timeouts.Server, px.Timeouts.Connect, px.Timeouts.Queue, px.NoLinger, px.SpliceRequest,
			px.SpliceAuto, px.Redispatch, px.Balance.Algorithm, px.Retries, px.MaxConn, px.FullConn, px.DefaultBackend.Name,
			px.LogTag, len(px.Logs), px.ID, 0, 0,
		}
		if len(px.Servers) > 0 {
			s.Weight, s.ServerMaxConn = px.Servers[0].Weight, px.Servers[0].MaxConn
		}
		got[px.Name] = s
	}
	const s = time.Second
	want := map[string]summary{
		"f":     {10 * s, 0, 0, 0, true, true, Unset, false, RoundRobin, 3, 55, 0, "b", "base", 1, 2, 0, 0},
		"b":     {0, 20 * s, 3 * s, 3 * s, true, true, Unset, true, SourceHash, 7, 0, 66, "", "base", 1, 3, 8, 5},
		"l":     {11 * s, 20 * s, 3 * s, 4 * s, false, true, On, false, SourceHash, 7, 55, 66, "b", "base", 0, 4, 9, 6},
		"plain": {1 * s, 1 * s, 1 * s, 1 * s, false, false, Off, false, RoundRobin, 3, 0, 0, "", "", 0, 5, 0, 0},
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

func TestLogGlobalIsExpandedAtTheEnd(t *testing.T) {
	cfg := mustLoad(t, `
defaults
    log global
    timeout client 1s
frontend f
    bind :1
    log 10.0.0.9:99 user
frontend g
    bind :2
    no log
global
    log 10.0.0.1 local0
    log 10.0.0.2 local1
`, Options{})
	var got []string
	for _, l := range cfg.Proxies[0].Logs {
		got = append(got, l.Addr.String())
	}
	if diff := cmp.Diff([]string{"10.0.0.1:514", "10.0.0.2:514", "10.0.0.9:99"}, got); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	if n := len(cfg.Proxies[1].Logs); n != 0 {
		t.Errorf("%d loggers after no log", n)
	}
}

func TestVariables(t *testing.T) {
	env := func(name string) (string, bool) {
		v, ok := map[string]string{"PORT": "4000", "NODE": "outside"}[name]
		return v, ok
	}
	cfg := mustLoad(t, `
global
    setenv HOST 10.0.0.5
    presetenv NODE inside
    presetenv EXTRA preset
    node "$NODE"
    log-tag "${EXTRA}-${HAPROXY_BRANCH}"
    description "${HAPROXY_STARTUP_VERSION} ${HAPROXY_LOCALPEER}"
    localpeer "${HAPROXY_LOCALPEER}2"
.if streq("$HAPROXY_LOCALPEER",me2)
    pidfile /run/me2.pid
.endif
    unsetenv EXTRA
defaults
    timeout client 1s
    log-format "$HAPROXY_TCP_LOG_FMT"
    log stdout daemon
listen l
    bind "$HOST:${PORT-1}"
    bind ${HOST}:81
    id "${EXTRA-17}"
`, Options{Env: env, LocalPeer: "me", Version: "3.9"})
	g, px := cfg.Global, cfg.Proxies[0]
	got := []any{
		g.Node, g.LogTag, g.Description, g.LocalPeer, g.PidFile, px.LogFormat, px.ID,
		netip.AddrPortFrom(px.Binds[0].Addrs[0].IP, uint16(px.Binds[0].Addrs[0].Port)).String(),
		netip.AddrPortFrom(px.Binds[1].Addrs[0].IP, uint16(px.Binds[1].Addrs[0].Port)).String(),
	}
	want := []any{"outside", "preset-3.4", "3.9 me", "me2", "/run/me2.pid", TCPLogFormat, 17, "10.0.0.5:4000", "10.0.0.5:81"}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

func TestGlobal(t *testing.T) {
	cfg := mustLoad(t, `
global
    daemon
    maxconn 100
    nbthread 2
    no strict-limits
    stats socket /run/a.sock
    hard-stop-after 1m
    tune.bufsize 32k
    tune.maxaccept -1
    tune.idletimer 500
    log-send-hostname
    cpu-map 1/2 0,4-5
    cpu-map 2 7
    unix-bind prefix /chroot mode 770 uid 3
    stats socket /run/b.sock mode 600
    default-path origin /etc/p
    user root
    gid 0
    uid 5
global
    stats socket 127.0.0.1:9999 level admin
    maxconn 200
`, Options{})
	g := cfg.Global
	if len(g.StatsSockets) != 3 {
		t.Fatalf("%d stats sockets", len(g.StatsSockets))
	}
	a, b, c := g.StatsSockets[0], g.StatsSockets[1], g.StatsSockets[2]
	got := []any{
		g.Daemon, g.MaxConn, g.NbThread, g.StrictLimits, g.HardStopAfter, g.BufSize, g.MaxAccept, g.IdleTimer, g.LogSendHostname,
		g.User, g.UID, g.GID, g.DefaultPath, g.DefaultPathOrigin,
		a.Addrs[0].Path, a.Mode, a.UID, b.Addrs[0].Path, b.Mode, b.UID, c.Level, c.Addrs[0].Port,
	}
	want := []any{
		true, 200, 2, false, time.Minute, 32768, -1, 500 * time.Millisecond, true,
		"root", 0, 0, PathOrigin, "/etc/p",
		"/run/a.sock", -1, -1, "/chroot/run/b.sock", 0o600, 3, "admin", 9999,
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	if diff := cmp.Diff([]CPUMap{{Threads: []int{2}, CPUs: []int{0, 4, 5}, Pos: Pos{"t.cfg", 13, 13, 16}}}, g.CPUMap); diff != "" {
		t.Errorf("CPUMap (-want +got):\n%s", diff)
	}
}

func TestLocalPeerForced(t *testing.T) {
	cfg, diags := LoadText("t.cfg", "global\n localpeer b\n", Options{LocalPeer: "a", LocalPeerForced: true})
	if cfg.Global.LocalPeer != "a" || diags.Warnings() != 1 {
		t.Errorf("LocalPeer %q, %q", cfg.Global.LocalPeer, findings(diags))
	}
}

func TestIdentifiers(t *testing.T) {
	cfg := mustLoad(t, `
defaults
    timeout client 1s
    timeout server 1s
    timeout connect 1s
listen a
    id 3
    bind :1,:2
    bind :3 id 2
    bind :4
    server x 10.0.0.1:1
    server y 10.0.0.1:1 id 1
    server z 10.0.0.1:1
listen b
listen c
    id 1
listen d
`, Options{})
	var got []int
	for _, px := range cfg.Proxies {
		got = append(got, px.ID)
	}
	for _, s := range cfg.Proxies[0].Servers {
		got = append(got, s.ID)
	}
	for _, b := range cfg.Proxies[0].Binds {
		got = append(got, b.ListenerIDs...)
	}
	if diff := cmp.Diff([]int{3, 2, 1, 4, 2, 1, 4, 1, 3, 2, 4}, got); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

func TestPositions(t *testing.T) {
	cfg := mustLoad(t, "listen l\n  bind :1\n\tserver  s 10.0.0.1:1\n  default_backend b\nbackend \"b\"\n", Options{})
	px := cfg.Proxies[0]
	got := []Pos{px.Pos, px.Binds[0].Pos, px.Servers[0].Pos, px.DefaultBackend.Pos, cfg.Proxies[1].Pos}
	want := []Pos{{"t.cfg", 1, 8, 9}, {"t.cfg", 2, 8, 10}, {"t.cfg", 3, 10, 11}, {"t.cfg", 4, 19, 20}, {"t.cfg", 5, 9, 12}}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}
