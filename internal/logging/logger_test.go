package logging

import (
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/penstock/penstock/internal/config"
)

const receiveTimeout = 10 * time.Second

func mustLogger(tb testing.TB, o Options, targets ...config.LogTarget) *Logger {
	tb.Helper()
	l, err := NewLogger(targets, o)
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(l.Close)
	return l
}

// mustUDP opens a receiver and gives the target that reaches it.
func mustUDP(tb testing.TB, host string) (net.PacketConn, config.LogTarget) {
	tb.Helper()
	c, err := net.ListenPacket("udp", net.JoinHostPort(host, "0"))
	if err != nil {
		tb.Skipf("no UDP on %s: %v", host, err)
	}
	tb.Cleanup(func() { c.Close() })
	return c, config.LogTarget{
		Kind: config.LogUDP, Addr: netip.MustParseAddrPort(c.LocalAddr().String()),
		Len: 1024, Facility: 16, Level: LevelDebug,
	}
}

func mustReceive(tb testing.TB, c net.PacketConn) string {
	tb.Helper()
	b := make([]byte, 70000)
	if err := c.SetReadDeadline(time.Now().Add(receiveTimeout)); err != nil {
		tb.Fatal(err)
	}
	n, _, err := c.ReadFrom(b)
	if err != nil {
		tb.Fatal(err)
	}
	return string(b[:n])
}

// headerTime is the moment of the headers in these tests, in the zone of useZone.
func headerTime() int64 {
	return time.Date(2026, 11, 20, 8, 43, 6, 409_751_999, time.Local).UnixNano()
}

func TestLogger_headerFormats(t *testing.T) {
	useZone(t)
	tests := []struct {
		name   string
		format config.LogHeader
		opts   Options
		set    bool
		sd     string
		want   string
	}{
		{name: "local", format: config.HeaderLocal, want: "<134>Nov 20 08:43:06 haproxy[3628]: MSG\n"},
		{name: "rfc3164", format: config.HeaderRFC3164, want: "<134>Nov 20 08:43:06 localhost haproxy[3628]: MSG\n"},
		{
			name: "rfc3164 with host", format: config.HeaderRFC3164, opts: Options{Hostname: "lb1", SendHostname: true},
			want: "<134>Nov 20 08:43:06 lb1 haproxy[3628]: MSG\n",
		},
		{
			name: "send hostname turns the default into rfc3164", opts: Options{Hostname: "lb1", SendHostname: true},
			want: "<134>Nov 20 08:43:06 lb1 haproxy[3628]: MSG\n",
		},
		{
			name: "send hostname leaves local when asked for", set: true, opts: Options{Hostname: "lb1", SendHostname: true},
			want: "<134>Nov 20 08:43:06 haproxy[3628]: MSG\n",
		},
		{name: "rfc5424", format: config.HeaderRFC5424, want: "<134>1 2026-11-20T08:43:06.409751+02:00 - haproxy 3628 - - MSG\n"},
		{
			name: "rfc5424 with all", format: config.HeaderRFC5424, opts: Options{Hostname: "lb1", SendHostname: true}, sd: `[ex@1 b="2"]`,
			want: "<134>1 2026-11-20T08:43:06.409751+02:00 lb1 haproxy 3628 - [ex@1 b=\"2\"] MSG\n",
		},
		{name: "short", format: config.HeaderShort, want: "<6>MSG\n"},
		{name: "priority", format: config.HeaderPriority, want: "<134>MSG\n"},
		{name: "timed", format: config.HeaderTimed, want: "<6>2026-11-20T08:43:06.409751+02:00 MSG\n"},
		{name: "iso", format: config.HeaderISO, want: "2026-11-20T08:43:06.409751+02:00 MSG\n"},
		{name: "raw", format: config.HeaderRaw, want: "MSG\n"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			c, target := mustUDP(t, "127.0.0.1")
			target.Format, target.FormatSet = tt.format, tt.set
			tt.opts.Tag, tt.opts.Pid = "haproxy", 3628
			l := mustLogger(t, tt.opts, target)
			w := Scratch{SD: []byte(tt.sd)}
			l.Send(&w, LevelInfo, headerTime(), []byte("MSG"))
			if d := cmp.Diff(tt.want, mustReceive(t, c)); d != "" {
				t.Error(d)
			}
			if len(w.SD) != 0 {
				t.Errorf("structured data %q stays for the next line", w.SD)
			}
		})
	}
}

func TestLogger_descriptor(t *testing.T) {
	path := filepath.Join(t.TempDir(), "log")
	file, err := os.Create(path)
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	l := mustLogger(t, Options{}, config.LogTarget{
		Kind: config.LogFD, FD: int(file.Fd()), Format: config.HeaderShort, Level: LevelInfo, Len: 1024,
	})
	var w Scratch
	l.Send(&w, LevelInfo, headerTime(), []byte("one"))
	l.Send(&w, LevelNotice, headerTime(), []byte("two\n"))
	if !l.Flush(receiveTimeout) {
		t.Fatal("lines are not written")
	}
	got, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if d := cmp.Diff("<6>one\n<5>two\n", string(got)); d != "" {
		t.Error(d)
	}
}
