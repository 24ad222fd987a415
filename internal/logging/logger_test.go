package logging

import (
	"bufio"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/leodido/go-syslog/v4/rfc3164"
	"github.com/leodido/go-syslog/v4/rfc5424"

	"github.com/penstock/penstock/internal/config"
)

const receiveTimeout = time.Minute

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

// TestLogger_syslogParsers reads the two standard formats back with an independent parser.
func TestLogger_syslogParsers(t *testing.T) {
	useZone(t)
	c, target := mustUDP(t, "127.0.0.1")
	opts := Options{Tag: "penstock", Pid: 77, Hostname: "lb1", SendHostname: true}
	var w Scratch
	line := mustCompile(t, TCPLogFormat).Append(nil, sampleRecord(t))

	t.Run("rfc3164", func(t *testing.T) {
		target.Format, target.FormatSet = config.HeaderRFC3164, true
		mustLogger(t, opts, target).Send(&w, LevelWarning, headerTime(), line)
		m, err := rfc3164.NewParser(rfc3164.WithYear(rfc3164.Year{YYYY: 2026})).Parse([]byte(strings.TrimSuffix(mustReceive(t, c), "\n")))
		if err != nil {
			t.Fatal(err)
		}
		got := m.(*rfc3164.SyslogMessage)
		want := []any{uint8(16), uint8(4), "lb1", "penstock", "77", string(line), "Nov 20 08:43:06"}
		if d := cmp.Diff(want, []any{*got.Facility, *got.Severity, *got.Hostname, *got.Appname, *got.ProcID, *got.Message, got.Timestamp.Format(time.Stamp)}); d != "" {
			t.Error(d)
		}
	})
	t.Run("rfc5424", func(t *testing.T) {
		target.Format, target.FormatSet = config.HeaderRFC5424, true
		r := sampleRecord(t)
		r.UniqueID = `q"b\]`
		w.SD = mustCompile(t, `[ex@1 id=%{+Q,+E}ID fe="%f"]`).Append(nil, r)
		mustLogger(t, opts, target).Send(&w, LevelInfo, headerTime(), line)
		m, err := rfc5424.NewParser().Parse([]byte(strings.TrimSuffix(mustReceive(t, c), "\n")))
		if err != nil {
			t.Fatal(err)
		}
		got := m.(*rfc5424.SyslogMessage)
		want := []any{uint8(16), uint8(6), "lb1", "penstock", "77", string(line), headerTime() / 1000}
		if d := cmp.Diff(want, []any{*got.Facility, *got.Severity, *got.Hostname, *got.Appname, *got.ProcID, *got.Message, got.Timestamp.UnixNano() / 1000}); d != "" {
			t.Error(d)
		}
		if d := cmp.Diff(map[string]map[string]string{"ex@1": {"id": `q"b\]`, "fe": "ok"}}, *got.StructuredData); d != "" {
			t.Error(d)
		}
	})
}

func TestLogger_truncation(t *testing.T) {
	useZone(t)
	c, target := mustUDP(t, "127.0.0.1")
	long := []byte(strings.Repeat("0123456789", 10_000))
	header := "<134>Nov 20 08:43:06 haproxy[3628]: "
	for _, tt := range []struct {
		maxLen, size int
		format       config.LogHeader
		want         string
	}{
		{80, 100, config.HeaderRaw, string(long[:79]) + "\n"},
		{80, 80, config.HeaderRaw, string(long[:79]) + "\n"},
		{80, 79, config.HeaderRaw, string(long[:79]) + "\n"},
		{80, 78, config.HeaderRaw, string(long[:78]) + "\n"},
		{80, 100, config.HeaderLocal, header + string(long[:79-len(header)]) + "\n"},
		{20, 100, config.HeaderLocal, header[:19] + "\n"},
		{0, 5000, config.HeaderRaw, string(long[:1023]) + "\n"},
		{60_000, 100_000, config.HeaderRaw, string(long[:59_999]) + "\n"},
		{80, 0, config.HeaderRaw, "\n"},
	} {
		target.Len, target.Format = tt.maxLen, tt.format
		l := mustLogger(t, Options{Tag: "haproxy", Pid: 3628}, target)
		l.Send(&Scratch{}, LevelInfo, headerTime(), long[:tt.size])
		if d := cmp.Diff(tt.want, mustReceive(t, c)); d != "" {
			t.Errorf("len %d, message of %d: %s", tt.maxLen, tt.size, d)
		}
	}
}

func TestLogger_levels(t *testing.T) {
	c, target := mustUDP(t, "127.0.0.1")
	target.Format, target.Level, target.MinLevel = config.HeaderShort, LevelNotice, LevelErr
	l := mustLogger(t, Options{}, target)
	var w Scratch
	for level, msg := range []string{"emerg", "alert", "crit", "err", "warning", "notice", "info", "debug"} {
		l.Send(&w, level, headerTime(), []byte(msg))
		if got, want := l.Wanted(level), level <= LevelNotice; got != want {
			t.Errorf("level %s wanted: %v", msg, got)
		}
	}
	for _, want := range []string{"<3>emerg\n", "<3>alert\n", "<3>crit\n", "<3>err\n", "<4>warning\n", "<5>notice\n"} {
		if d := cmp.Diff(want, mustReceive(t, c)); d != "" {
			t.Error(d)
		}
	}
	l.Send(&w, LevelErr, headerTime(), []byte("last"))
	if got := mustReceive(t, c); got != "<3>last\n" {
		t.Errorf("after the filtered levels came %q", got)
	}
}

func TestLogger_sampling(t *testing.T) {
	c, target := mustUDP(t, "127.0.0.1")
	target.Format, target.SampleRanges, target.SampleSize = config.HeaderRaw, "1,3-4", 5
	l := mustLogger(t, Options{}, target)
	var w Scratch
	for i := range 12 {
		l.Send(&w, LevelInfo, headerTime(), []byte{byte('a' + i)})
	}
	var got []string
	for range 7 {
		got = append(got, strings.TrimSpace(mustReceive(t, c)))
	}
	if d := cmp.Diff([]string{"a", "c", "d", "f", "h", "i", "k"}, got); d != "" {
		t.Error(d)
	}
}

func TestNewSampler_errors(t *testing.T) {
	for _, tt := range []struct {
		ranges string
		size   int
	}{{"0", 3}, {"4", 3}, {"1-4", 3}, {"2-1", 3}, {"x", 3}, {"", 3}, {"1,", 3}, {"1-2-3", 3}, {"1", 0}, {"1", -1}} {
		if s, err := newSampler(tt.ranges, tt.size); err == nil || s != nil {
			t.Errorf("%s:%d is taken", tt.ranges, tt.size)
		}
	}
}

func TestLogger_usesSD(t *testing.T) {
	_, target := mustUDP(t, "127.0.0.1")
	for format := config.HeaderLocal; format <= config.HeaderRaw; format++ {
		target.Format = format
		if got, want := mustLogger(t, Options{}, target).UsesSD(), format == config.HeaderRFC5424; got != want {
			t.Errorf("format %d uses structured data: %v", format, got)
		}
	}
}

func TestLogger_ipv6(t *testing.T) {
	c, target := mustUDP(t, "::1")
	target.Format = config.HeaderRaw
	mustLogger(t, Options{}, target).Send(&Scratch{}, LevelInfo, headerTime(), []byte("six"))
	if got := mustReceive(t, c); got != "six\n" {
		t.Errorf("got %q", got)
	}
}

func TestLogger_resolvesHost(t *testing.T) {
	c, target := mustUDP(t, "127.0.0.1")
	target.Format, target.Host = config.HeaderRaw, "127.0.0.1"
	target.Addr = netip.AddrPortFrom(netip.Addr{}, target.Addr.Port())
	mustLogger(t, Options{}, target).Send(&Scratch{}, LevelInfo, headerTime(), []byte("named"))
	if got := mustReceive(t, c); got != "named\n" {
		t.Errorf("got %q", got)
	}
}

// TestLogger_unixDaemonComesAndGoes sends while nobody listens, while somebody does, and after a
// restart of the receiver on the same path.
func TestLogger_unixDaemonComesAndGoes(t *testing.T) {
	path := filepath.Join(t.TempDir(), "log")
	l := mustLogger(t, Options{}, config.LogTarget{Kind: config.LogUnix, Path: path, Format: config.HeaderRaw, Level: LevelInfo})
	var w Scratch
	l.Send(&w, LevelInfo, headerTime(), []byte("lost"))
	if got := l.Dropped(); got != 1 {
		t.Fatalf("%d lines dropped, want 1", got)
	}
	for round := range 2 {
		c, err := net.ListenPacket("unixgram", path)
		if err != nil {
			t.Fatal(err)
		}
		l.Send(&w, LevelInfo, headerTime(), []byte("heard"))
		if got := mustReceive(t, c); got != "heard\n" {
			t.Errorf("round %d: got %q", round, got)
		}
		c.Close()
		os.Remove(path)
	}
	if got := l.Dropped(); got != 1 {
		t.Errorf("%d lines dropped, want 1", got)
	}
}

// TestLogger_unixReceiverStalls fills the receiver's queue: the rest is dropped, counted to the line.
func TestLogger_unixReceiverStalls(t *testing.T) {
	path := filepath.Join(t.TempDir(), "log")
	c, err := net.ListenPacket("unixgram", path)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	l := mustLogger(t, Options{}, config.LogTarget{Kind: config.LogUnix, Path: path, Format: config.HeaderRaw, Level: LevelInfo})
	const sent = 5000
	var w Scratch
	for range sent {
		l.Send(&w, LevelInfo, headerTime(), []byte("line"))
	}
	dropped := l.Dropped()
	if dropped == 0 || dropped >= sent {
		t.Fatalf("%d of %d lines dropped", dropped, sent)
	}
	for range sent - dropped {
		mustReceive(t, c)
	}
	if err := c.SetReadDeadline(time.Now().Add(time.Millisecond)); err != nil {
		t.Fatal(err)
	}
	if n, _, err := c.ReadFrom(make([]byte, 99)); !errors.Is(err, os.ErrDeadlineExceeded) {
		t.Errorf("one more line of %d bytes, error %v", n, err)
	}
}

func TestNewLogger_errors(t *testing.T) {
	closed, err := os.Open(os.DevNull)
	if err != nil {
		t.Fatal(err)
	}
	fd := int(closed.Fd())
	closed.Close()
	for _, tt := range []struct {
		target config.LogTarget
		want   string
	}{
		{config.LogTarget{Kind: config.LogFD, FD: fd}, fmt.Sprintf("open log target fd@%d: stat descriptor %d: bad file descriptor", fd, fd)},
		{config.LogTarget{Kind: config.LogUnix, Path: "/" + strings.Repeat("x", 200)}, "open log target /x"},
		{config.LogTarget{Kind: config.LogUDP, Host: "no-such-host.invalid"}, "resolve log target no-such-host.invalid: "},
		{config.LogTarget{Kind: config.LogUDP, Host: "127.0.0.1", SampleRanges: "9", SampleSize: 2}, "read log sample 9:2: bad range '9'"},
		{config.LogTarget{}, "open log target: unknown kind 0"},
	} {
		l, err := NewLogger([]config.LogTarget{tt.target}, Options{})
		if l != nil || err == nil || !strings.HasPrefix(err.Error(), tt.want) {
			t.Errorf("got %v, %v; want %q", l, err, tt.want)
		}
	}
}

func TestLogger_sharedOutlets(t *testing.T) {
	c, udp := mustUDP(t, "127.0.0.1")
	udp.Format = config.HeaderRaw
	r, w := mustPipe(t)
	file := config.LogTarget{Kind: config.LogFD, FD: int(w.Fd()), Format: config.HeaderRaw, Level: LevelInfo}
	outlets := NewOutlets()
	defer outlets.Close()
	a := mustLogger(t, Options{Outlets: outlets}, udp, file)
	b := mustLogger(t, Options{Outlets: outlets}, udp, file, file)
	if len(outlets.sockets) != 1 || len(outlets.writers) != 1 {
		t.Errorf("%d sockets and %d writers for one of each", len(outlets.sockets), len(outlets.writers))
	}
	var s Scratch
	a.Close()
	b.Send(&s, LevelInfo, headerTime(), []byte("b"))
	a.Send(&s, LevelInfo, headerTime(), []byte("a"))
	if got := mustReceive(t, c) + mustReceive(t, c); got != "b\na\n" {
		t.Errorf("socket got %q", got)
	}
	if !outlets.Flush(receiveTimeout) {
		t.Fatal("lines are not written")
	}
	got := make([]byte, 99)
	n, err := r.Read(got)
	if err != nil {
		t.Fatal(err)
	}
	if d := cmp.Diff("b\nb\na\n", string(got[:n])); d != "" {
		t.Error(d)
	}
}

// TestLogger_severalWorkers lets workers share a logger; each line must arrive whole, or be counted.
func TestLogger_severalWorkers(t *testing.T) {
	r, w := mustPipe(t)
	l := mustLogger(t, Options{}, config.LogTarget{
		Kind: config.LogFD, FD: int(w.Fd()), Format: config.HeaderRaw, Level: LevelInfo,
		SampleRanges: "1-2", SampleSize: 3,
	})
	const workers, lines = 4, 3000
	format := mustCompile(t, "%f %rt "+strings.Repeat("x", 100)+" end")
	received := make(chan map[string]int)
	go func() {
		seen := map[string]int{}
		for in := bufio.NewScanner(r); in.Scan(); {
			name, _, _ := strings.Cut(in.Text(), " ")
			if !strings.HasSuffix(in.Text(), "x end") || len(name) != 1 {
				name = "broken line " + in.Text()
			}
			seen[name]++
		}
		received <- seen
	}()
	var wg sync.WaitGroup
	for n := range workers {
		wg.Go(func() {
			var s Scratch
			s.Record.Reset()
			s.Record.FrontendName = string(rune('a' + n))
			for i := range lines {
				s.Record.Counter = uint64(i)
				s.Line = format.Append(s.Line[:0], &s.Record)
				l.Send(&s, LevelInfo, headerTime(), s.Line)
			}
		})
	}
	wg.Wait()
	if !l.Flush(receiveTimeout) {
		t.Fatal("lines are not written")
	}
	w.Close()
	total := 0
	for name, n := range <-received {
		if len(name) != 1 {
			t.Errorf("%s", name)
		}
		total += n
	}
	if got, want := total+int(l.Dropped()), workers*lines*2/3; got != want {
		t.Errorf("%d lines received or dropped, want %d", got, want)
	}
}

func TestLogger_allocations(t *testing.T) {
	if raceEnabled {
		t.Skip("the race detector allocates")
	}
	c, udp := mustUDP(t, "127.0.0.1")
	c.Close()
	null, err := os.OpenFile(os.DevNull, os.O_WRONLY, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer null.Close()
	targets := []config.LogTarget{udp, {Kind: config.LogUnix, Path: filepath.Join(t.TempDir(), "none"), Level: LevelInfo}}
	for format := config.HeaderLocal; format <= config.HeaderRaw; format++ {
		targets = append(targets, config.LogTarget{Kind: config.LogFD, FD: int(null.Fd()), Format: format, Level: LevelInfo})
	}
	l := mustLogger(t, Options{}, targets...)
	line, sd := mustCompile(t, TCPLogFormat), mustCompile(t, `[a b=%{+Q,+E}ID]`)
	clf := mustCompile(t, TCPLogCLFFormat)
	s := Scratch{Record: *sampleRecord(t)}
	now := headerTime()
	send := func() {
		now += int64(time.Second) / 3
		r := &s.Record
		r.AcceptTimeNs = now
		s.SD = sd.Append(s.SD[:0], r)
		s.Line = line.Append(s.Line[:0], r)
		l.Send(&s, LevelInfo, now, s.Line)
		s.Line = clf.Append(s.Line[:0], r)
		l.Send(&s, LevelInfo, now, s.Line)
		s.Line = AppendConnect(s.Line[:0], r)
		s.Line = AppendError(s.Line[:0], r, "cause")
	}
	send()
	if n := testing.AllocsPerRun(200, send); n != 0 {
		t.Errorf("%v allocations per line", n)
	}
}

func BenchmarkLogger(b *testing.B) {
	c, udp := mustUDP(b, "127.0.0.1")
	null, err := os.OpenFile(os.DevNull, os.O_WRONLY, 0)
	if err != nil {
		b.Fatal(err)
	}
	defer null.Close()
	go func() {
		buf := make([]byte, 2048)
		for {
			if _, _, err := c.ReadFrom(buf); err != nil {
				return
			}
		}
	}()
	format := mustCompile(b, TCPLogFormat)
	s := Scratch{Record: *sampleRecord(b)}
	b.Run("append", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			s.Line = format.Append(s.Line[:0], &s.Record)
		}
	})
	for _, tt := range []struct {
		name   string
		target config.LogTarget
	}{
		{"udp", udp},
		{"descriptor", config.LogTarget{Kind: config.LogFD, FD: int(null.Fd()), Level: LevelInfo}},
	} {
		b.Run("append and send/"+tt.name, func(b *testing.B) {
			l := mustLogger(b, Options{}, tt.target)
			now := headerTime()
			b.ReportAllocs()
			for b.Loop() {
				now += 100_000
				s.Line = format.Append(s.Line[:0], &s.Record)
				l.Send(&s, LevelInfo, now, s.Line)
			}
			b.ReportMetric(float64(l.Dropped())/float64(b.N), "dropped/op")
		})
	}
}
