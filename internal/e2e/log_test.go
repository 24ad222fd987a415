package e2e

import (
	"fmt"
	"net"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/penstock/penstock/internal/testutil"
)

// tagged is the program's name and pid as log headers carry them.
func (p *proxy) tagged() string {
	return fmt.Sprintf(`%s\[%d\]`, filepath.Base(program.path), p.Pid)
}

// oneSession opens and closes a session through port.
func oneSession(tb testing.TB, port int) *testutil.Conn {
	tb.Helper()
	c := dial(tb, port)
	c.Send("request")
	c.CloseWrite()
	c.Expect("request")
	c.ExpectEOF()
	c.Close()
	return c
}

func TestLogHeaders(t *testing.T) {
	t.Parallel()
	server := testutil.Serve(t, testutil.Echo)
	port := testutil.FreePort(t)
	formats := map[string]*testutil.Syslog{}
	var lines strings.Builder
	for _, format := range []string{"local", "rfc3164", "rfc5424", "raw", "short", "priority", "timed", "iso"} {
		formats[format] = testutil.ListenSyslog(t)
		fmt.Fprintf(&lines, "    log %s format %s local3\n", formats[format].Addr, format)
	}
	p := start(t, text(`
listen l
    bind 127.0.0.1:{port}
    server s1 {s1}
{lines}
`, "lines", lines.String()), "port", port, "s1", server.Addr)
	c := oneSession(t, port)
	message := fmt.Sprintf(`127\.0\.0\.1:%d \[\d\d/[A-Z][a-z]{2}/\d{4}:\d\d:\d\d:\d\d\.\d{3}\] l l/s1 \d+/\d+/\d+ 7 -- 1/1/0/0/0 0/0\n$`, c.Port())
	const (
		stamp = `[A-Z][a-z]{2} [ \d]\d \d\d:\d\d:\d\d`
		iso   = `\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}[+-]\d\d:\d\d`
	)
	for format, header := range map[string]string{
		"local":    `^<158>` + stamp + ` ` + p.tagged() + `: `,
		"rfc3164":  `^<158>` + stamp + ` \S+ ` + p.tagged() + `: `,
		"rfc5424":  fmt.Sprintf(`^<158>1 %s \S+ %s %d - - `, iso, filepath.Base(program.path), p.Pid),
		"raw":      `^`,
		"short":    `^<6>`,
		"priority": `^<158>`,
		"timed":    `^<6>` + iso + ` `,
		"iso":      `^` + iso + ` `,
	} {
		t.Run(format, func(t *testing.T) {
			formats[format].WaitLine(t, header+message)
		})
	}
}

func TestLogTargets(t *testing.T) {
	t.Parallel()
	server := testutil.Serve(t, testutil.Echo)
	port := testutil.FreePort(t)
	unix := testutil.ListenSyslogUnix(t, filepath.Join(testutil.TempDir(t), "log"))
	udp := testutil.ListenSyslog(t)
	p := start(t, `
listen l
    bind 127.0.0.1:{port}
    log {udp} local0
    log {unix} format raw daemon
    log stdout format raw local0
    log stderr format short local0
    server s1 {s1}
`, "port", port, "s1", server.Addr, "udp", udp.Addr, "unix", unix.Addr)
	c := oneSession(t, port)
	line := fmt.Sprintf(`127\.0\.0\.1:%d \[[^]]+\] l l/s1 .* 7 -- .*\n`, c.Port())
	p.log.WaitLine(t, p.tagged()+": "+line)
	udp.WaitLine(t, p.tagged()+": "+line)
	unix.WaitLine(t, "^"+line)
	p.Stdout.Wait(t, "(?m)^"+line)
	p.Stderr.Wait(t, "(?m)^<6>"+line)
}

// A target that nobody reads, or that is gone, blocks nothing.
func TestLogTargetsUnread(t *testing.T) {
	t.Parallel()
	server := testutil.Serve(t, testutil.Echo)
	port := testutil.FreePort(t)
	path := filepath.Join(testutil.TempDir(t), "unread")
	unread, err := net.ListenPacket("unixgram", path)
	if err != nil {
		t.Fatal(err)
	}
	defer unread.Close()
	p := start(t, `
listen l
    bind 127.0.0.1:{port}
    log {unread} local0
    log {dir}/nobody local0
    log 127.0.0.1:{dead} local0
    server s1 {s1}
`, "port", port, "s1", server.Addr, "unread", path, "dead", testutil.FreePort(t))
	var last *testutil.Conn
	for range 100 { // more than the receiving queue of a Unix datagram socket holds
		last = oneSession(t, port)
	}
	p.logged(last, `l l/s1 .* 7 -- .*`)
}

func TestLogFormat(t *testing.T) {
	t.Parallel()
	server := testutil.Serve(t, testutil.Echo)
	port := testutil.FreePort(t)
	p := start(t, `
frontend front
    bind 127.0.0.1:{port}
    default_backend back
    log-format "ci=%ci cp=%cp fi=%fi fp=%fp bi=%bi bp=%bp si=%si sp=%sp f=%f ft=%ft b=%b s=%s Tw=%Tw Tc=%Tc Tt=%Tt Th=%Th B=%B U=%U ts=%ts ac=%ac fc=%fc bc=%bc sc=%sc rc=%rc sq=%sq bq=%bq pid=%pid Ts=%Ts ms=%ms t=%t T=%T Tl=%Tl H=%H lc=%lc rt=%rt pct=%%"
backend back
    server s1 {s1}
`, "port", port, "s1", server.Addr)
	begun := time.Now().Unix()
	c := oneSession(t, port)
	line := p.log.WaitLine(t, ` (ci=.*)\n`)[1]
	got := map[string]string{}
	for _, m := range strings.Fields(line) {
		if name, value, ok := strings.Cut(m, "="); ok {
			got[name] = value
		}
	}
	for name, want := range map[string]string{
		"ci": `127\.0\.0\.1`, "cp": fmt.Sprint(c.Port()), "fi": `127\.0\.0\.1`, "fp": fmt.Sprint(port),
		"bi": `127\.0\.0\.1`, "bp": `\d+`, "si": `127\.0\.0\.1`, "sp": fmt.Sprint(server.Port),
		"f": "front", "ft": "front", "b": "back", "s": "s1",
		"Tw": `\d+`, "Tc": `\d+`, "Tt": `\d+`, "Th": `\d+`, "B": "7", "U": "7", "ts": "--",
		"ac": "1", "fc": "1", "bc": "0", "sc": "0", "rc": "0", "sq": "0", "bq": "0",
		"pid": fmt.Sprint(p.Pid), "Ts": `\d{10}`, "ms": `\d{1,3}`, "H": `\S+`, "lc": `\d+`, "rt": `\d+`, "pct": "%",
		"t":  `\d\d/[A-Z][a-z]{2}/\d{4}:\d\d:\d\d:\d\d\.\d{3}`,
		"T":  `\d\d/[A-Z][a-z]{2}/\d{4}:\d\d:\d\d:\d\d`,
		"Tl": `\d\d/[A-Z][a-z]{2}/\d{4}:\d\d:\d\d:\d\d`,
	} {
		mustMatch(t, "%"+name, got[name], "^(?:"+want+")$")
	}
	if accepted := int64(mustInt(t, got["Ts"])); accepted < begun-1 || accepted > time.Now().Unix() {
		t.Errorf("accept date %d is not between %d and now", accepted, begun)
	}
	if total := mustInt(t, got["Tt"]); total > int(testutil.Deadline/time.Millisecond) {
		t.Errorf("total time is %d ms", total)
	}
}

func TestLogFormatFlags(t *testing.T) {
	t.Parallel()
	server := testutil.Serve(t, testutil.Echo)
	port := testutil.FreePort(t)
	p := start(t, `
listen l
    bind 127.0.0.1:{port}
    log-format "flags %{+Q}s %{+X}ci %{+X}cp %{+Q}o %f %b"
    server s1 {s1}
`, "port", port, "s1", server.Addr)
	c := oneSession(t, port)
	want := fmt.Sprintf("flags \"s1\" 7F000001 %04X  \"l\" \"l\"\n", c.Port())
	if got := p.log.WaitLine(t, `flags .*\n`)[0]; got != want && got != strings.Replace(want, "  ", " ", 1) {
		t.Errorf("got %q, want %q", got, want)
	}
}

func TestLogasap(t *testing.T) {
	t.Parallel()
	server := testutil.Listen(t)
	port := testutil.FreePort(t)
	p := start(t, `
listen l
    bind 127.0.0.1:{port}
    option logasap
    server s1 {s1}
`, "port", port, "s1", server.Addr)
	client := dial(t, port)
	s := server.Accept()
	p.logged(client, `l l/s1 \d+/\d+/\+\d+ \+0 -- 1/1/1/1/0 0/0`) // the session still lives
	client.Send("x")
	s.Expect("x")
	client.Close()
	s.ExpectEOF()
	s.Close()
	second := dial(t, port)
	server.Accept()
	p.logged(second, `l l/s1 .*`)
	if lines := p.log.Lines(); len(lines) > 0 {
		t.Errorf("a session was logged twice: %q", lines)
	}
}

func TestDontlognull(t *testing.T) {
	t.Parallel()
	server := testutil.Serve(t, testutil.Echo)
	port := testutil.FreePort(t)
	p := start(t, `
listen l
    bind 127.0.0.1:{port}
    option dontlognull
    server s1 {s1}
`, "port", port, "s1", server.Addr)
	null := dial(t, port)
	null.CloseWrite()
	null.ExpectEOF()
	p.waitInfo(t, "CurrConns", 0)
	full := oneSession(t, port)
	p.logged(full, `l l/s1 .* 7 -- .*`)
	for _, line := range p.log.Lines() {
		if strings.Contains(line, fmt.Sprintf("127.0.0.1:%d ", null.Port())) {
			t.Errorf("an empty session was logged: %q", line)
		}
	}
}

// Without a log format a proxy logs connections as they come.
func TestLogDefaultFormat(t *testing.T) {
	t.Parallel()
	server := testutil.Serve(t, testutil.Echo)
	port := testutil.FreePort(t)
	p := start(t, `
defaults
    mode tcp
    log global
    timeout connect 20s
    timeout client 60s
    timeout server 60s
listen l
    bind 127.0.0.1:{port}
    server s1 {s1}
`, "port", port, "s1", server.Addr)
	c := oneSession(t, port)
	p.log.WaitLine(t, fmt.Sprintf(`Connect from 127\.0\.0\.1:%d to 127\.0\.0\.1:%d \(l/TCP\)\n`, c.Port(), port))
}
