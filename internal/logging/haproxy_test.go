package logging

import (
	"fmt"
	"net"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/penstock/penstock/internal/config"
)

// plainFields are printed first by the format that TestFormat_equalsHAProxy gives to HAProxy; they say
// what went into the line, so that the rest of it can be rendered here from the same facts.
const plainFields = "%ci %cp %fi %fp %bi %bp %si %sp %Ts %ms %Th %Tw %Tc %Td %Tt %Tu %U %B %ts " +
	"%ac %fc %bc %sc %rc %sq %bq %rt %lc %pid %H "

var renderedFields = strings.Join([]string{
	"", TCPLogFormat, "%t", "%T", "%Tl", "%tsc", "%sslc", "%sslv", "%ID", "%{+Q}ID", "%{-M}ID", "a %hr  %hs   b", "%hrl%hsl", "%%", "a%-b",
	"%{+X}ci", "%{+X}cp", "%{+X}fi", "%{+X}Ts", "%{+X}ms", "%{+X}rt", "%{+X}lc", "%{+X}pid", "%{+X}Tt", "%{+X,+Q}ci",
	"%{+Q}ci", "%{+Q}cp", "%{+Q}t", "%{+Q}f", "%{+Q}ft", "%{+Q}b", "%{+Q}s", "%{+Q}ts", "%{+Q}rc", "%{+Q}H", "%{+Q}pid",
	"%[src]", "%[src_port]", "%{+Q}[src]", "%{+Q}[dst_port]", "%{+X}[dst_port]", "%[bc_src]", "%[bc_dst_port]", "%[fe_name]", "%[fe_id]",
	"%[be_name]", "%[be_id]", "%[srv_name]", "%[srv_id]", "%[so_name]", "%[so_id]", "%[hostname]",
	`%[str('q"#]b')]`, `%{+E}[str('q"#]b')]`, `%{+E,+Q}[str('q"#]b')]`, "%[int(7)]", "%[bool(true)]",
	"%{+Q}o %{-Q}ci %ft %{-Q}o", "  end  ",
}, "|")

func mustHAProxy(tb testing.TB, configText string, listener *net.TCPListener) {
	tb.Helper()
	program, err := exec.LookPath("haproxy")
	if err != nil {
		tb.Skip("haproxy is not installed")
	}
	path := filepath.Join(tb.TempDir(), "haproxy.cfg")
	if err := os.WriteFile(path, []byte(configText), 0o600); err != nil {
		tb.Fatal(err)
	}
	inherited, err := listener.File()
	if err != nil {
		tb.Fatal(err)
	}
	defer inherited.Close()
	var output strings.Builder
	cmd := exec.Command(program, "-db", "-f", path)
	cmd.ExtraFiles = []*os.File{inherited}
	cmd.Env = append(os.Environ(), "TZ=TST-2")
	cmd.Stdout, cmd.Stderr = &output, &output
	if err := cmd.Start(); err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() {
		_ = cmd.Process.Signal(syscall.SIGTERM)
		_ = cmd.Wait()
		if tb.Failed() {
			tb.Logf("haproxy said: %s", output.String())
		}
	})
}

func mustListen(tb testing.TB) *net.TCPListener {
	tb.Helper()
	l, err := net.Listen("tcp4", "127.0.0.1:0")
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() { l.Close() })
	return l.(*net.TCPListener)
}

func TestFormat_equalsHAProxy(t *testing.T) {
	useZone(t)
	server, front := mustListen(t), mustListen(t)
	go func() {
		for {
			c, err := server.Accept()
			if err != nil {
				return
			}
			_, _ = c.Read(make([]byte, 16))
			_, _ = c.Write([]byte("hello world!"))
			c.Close()
		}
	}()
	receiver, target := mustUDP(t, "127.0.0.1")
	format := plainFields + renderedFields
	quoted := `"` + strings.NewReplacer(`\`, `\\`, `"`, `\"`, `#`, `\#`).Replace(format) + `"`
	mustHAProxy(t, fmt.Sprintf(`
defaults
	timeout connect 5s
	timeout client 5s
	timeout server 5s
frontend web
	id 71
	bind fd@3 id 5 name public
	log %s len 8192 format raw local0
	log-format %s
	default_backend pool
backend pool
	id 72
	server one %s id 9
`, target.Addr, quoted, server.Addr()), front)

	c, err := net.DialTimeout("tcp", front.Addr().String(), receiveTimeout)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	if err := c.SetDeadline(time.Now().Add(receiveTimeout)); err != nil {
		t.Fatal(err)
	}
	fmt.Fprint(c, "ping")
	if n, err := c.Read(make([]byte, 99)); n != len("hello world!") {
		t.Fatalf("read %d bytes, error %v", n, err)
	}
	c.Close()
	line := strings.TrimSuffix(mustReceive(t, receiver), "\n")

	r := Record{
		FrontendName: "web", FrontendID: 71, BackendName: "pool", BackendID: 72, ServerName: "one", ServerID: 9,
		ListenerName: "public", ListenerID: 5,
	}
	var ip [4]netip.Addr
	var port [4]uint16
	var seconds int64
	var millis, term string // "013" is not an octal number
	_, err = fmt.Sscan(
		strings.NewReplacer("|", " ").Replace(line), &textAddr{&ip[0]}, &port[0], &textAddr{&ip[1]}, &port[1], &textAddr{&ip[2]}, &port[2], &textAddr{&ip[3]}, &port[3],
		&seconds, &millis, &r.HandshakeMs, &r.QueueMs, &r.ConnectMs, &r.DataMs, &r.TotalMs, &r.UserMs, &r.BytesIn, &r.BytesOut, &term,
		&r.ActConn, &r.FeConn, &r.BeConn, &r.SrvConn, &r.Retries, &r.SrvQueue, &r.BackendQueue, &r.Counter, &r.LogCount, &r.Pid, &r.Hostname,
	)
	if err != nil {
		t.Fatalf("read back %q: %v", line, err)
	}
	r.ClientAddr.SetAddrPort(netip.AddrPortFrom(ip[0], port[0]))
	r.BindAddr.SetAddrPort(netip.AddrPortFrom(ip[1], port[1]))
	r.LocalAddr.SetAddrPort(netip.AddrPortFrom(ip[2], port[2]))
	r.ServerAddr.SetAddrPort(netip.AddrPortFrom(ip[3], port[3]))
	ms, err := strconv.Atoi(millis)
	if err != nil {
		t.Fatal(err)
	}
	r.AcceptTimeNs = (seconds*1000 + int64(ms)) * 1_000_000
	copy(r.Term[:], term)

	got := string(mustCompile(t, format).Append(nil, &r))
	if d := cmp.Diff(strings.Split(line, "|"), strings.Split(got, "|")); d != "" {
		t.Errorf("HAProxy (-) and Penstock (+) differ:\n%s", d)
	}
}

// textAddr scans an IP address with fmt.
type textAddr struct{ ip *netip.Addr }

func (a *textAddr) Scan(st fmt.ScanState, _ rune) error {
	word, err := st.Token(true, nil)
	if err != nil {
		return err
	}
	*a.ip, err = netip.ParseAddr(string(word))
	return err
}

// TestLogger_headersEqualHAProxy has HAProxy log one line in every format, and compares each header with
// ours for the moment that it names: HAProxy takes a new date for each target.
func TestLogger_headersEqualHAProxy(t *testing.T) {
	useZone(t)
	front := mustListen(t)
	receiver, target := mustUDP(t, "127.0.0.1")
	names := []string{"iso", "local", "rfc3164", "rfc5424", "priority", "short", "timed", "raw"}
	formats := []config.LogHeader{
		config.HeaderISO, config.HeaderLocal, config.HeaderRFC3164, config.HeaderRFC5424,
		config.HeaderPriority, config.HeaderShort, config.HeaderTimed, config.HeaderRaw,
	}
	var text strings.Builder
	text.WriteString("frontend web\n\tbind fd@3\n\tlog-tag some-tag\n\ttimeout client 5s\n\tlog-format \"pid=%pid\"\n")
	text.WriteString("\tlog-format-sd \"[ex@1 a=%{+Q,+E}[str('b]')]]\"\n\tdefault_backend none\nbackend none\n\ttimeout connect 1s\n\ttimeout server 1s\n")
	logs := ""
	for _, name := range names {
		logs += fmt.Sprintf("\tlog %s format %s local3 info\n", target.Addr, name)
	}
	mustHAProxy(t, strings.Replace(text.String(), "\tlog-tag", logs+"\tlog-tag", 1), front)

	c, err := net.DialTimeout("tcp", front.Addr().String(), receiveTimeout)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	var lines []string
	for len(lines) < len(names) {
		if line := mustReceive(t, receiver); strings.Contains(line, "pid=") {
			lines = append(lines, line)
		}
	}
	var pid int
	if _, err := fmt.Sscanf(lines[len(lines)-1], "pid=%d", &pid); err != nil {
		t.Fatal(err)
	}
	sd := mustCompile(t, `[ex@1 a=%{+Q,+E}[str('b]')]]`)
	for i, format := range formats {
		target.Format, target.FormatSet, target.Facility = format, true, 19
		l := mustLogger(t, Options{Tag: "some-tag", Pid: pid}, target)
		s := Scratch{SD: sd.Append(nil, &Record{})}
		l.Send(&s, LevelInfo, mustHeaderTime(t, lines[i]), fmt.Appendf(nil, "pid=%d", pid))
		if d := cmp.Diff(lines[i], mustReceive(t, receiver)); d != "" {
			t.Errorf("%s: HAProxy (-) and Penstock (+) differ:\n%s", names[i], d)
		}
	}
}

var (
	isoStamp = regexp.MustCompile(`\d{4}-\d\d-\d\dT[0-9:.]+[+-]\d\d:\d\d`)
	bsdStamp = regexp.MustCompile(`[A-Z][a-z]{2} [ \d]\d \d\d:\d\d:\d\d`)
)

// mustHeaderTime is the moment in the header of line, of this year if it does not say; 0 if there is none.
func mustHeaderTime(tb testing.TB, line string) int64 {
	tb.Helper()
	layout, stamp := "2006-01-02T15:04:05.000000-07:00", isoStamp.FindString(line)
	if stamp == "" {
		if stamp = bsdStamp.FindString(line); stamp == "" {
			return 0
		}
		layout, stamp = "2006 "+time.Stamp, time.Now().Format("2006 ")+stamp
	}
	at, err := time.ParseInLocation(layout, stamp, time.Local)
	if err != nil {
		tb.Fatal(err)
	}
	return at.UnixNano()
}
