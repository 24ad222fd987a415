package logging

import (
	"net/netip"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/penstock/penstock/netio"
)

// useZone makes the local zone two hours east of UTC, so that local and UTC dates differ.
func useZone(tb testing.TB) {
	tb.Helper()
	old := time.Local
	time.Local = time.FixedZone("TST", 2*3600)
	tb.Cleanup(func() { time.Local = old })
}

func mustCompile(tb testing.TB, format string) *Format {
	tb.Helper()
	f, err := Compile(format)
	if err != nil {
		tb.Fatalf("Compile(%q): %v", format, err)
	}
	return f
}

func mustAddr(tb testing.TB, s string) netio.Addr {
	tb.Helper()
	ap, err := netip.ParseAddrPort(s)
	if err != nil {
		tb.Fatal(err)
	}
	var a netio.Addr
	a.SetAddrPort(ap)
	return a
}

// sampleRecord is the session of the well-known sample line of option tcplog.
func sampleRecord(tb testing.TB) *Record {
	tb.Helper()
	r := &Record{Pid: 3628, Hostname: "lb1"}
	r.Reset()
	r.ClientAddr = mustAddr(tb, "127.0.0.1:41580")
	r.BindAddr = mustAddr(tb, "127.0.0.2:18200")
	r.LocalAddr = mustAddr(tb, "[::1]:50000")
	r.ServerAddr = mustAddr(tb, "[2001:db8::1]:6379")
	r.FrontendName, r.BackendName, r.ServerName, r.ListenerName = "ok", "ok", "s1", "sock-1"
	r.FrontendID, r.BackendID, r.ServerID, r.ListenerID = 2, 3, 4, 5
	r.AcceptTimeNs = time.Date(2026, 11, 20, 8, 36, 15, 997_654_321, time.Local).UnixNano()
	r.HandshakeMs, r.QueueMs, r.ConnectMs, r.DataMs, r.TotalMs, r.UserMs = 0, 1, 0, 7, 0, 9
	r.BytesIn, r.BytesOut = 5, 12
	r.Term = [2]byte{'-', '-'}
	r.ActConn, r.FeConn = 1, 1
	r.Counter, r.LogCount = 258, 31
	r.UniqueID = "u-1"
	return r
}

func TestFormat_builtin(t *testing.T) {
	useZone(t)
	noServer := func(r *Record) {
		r.ServerName, r.BackendName = "", "down"
		r.QueueMs, r.ConnectMs, r.Term = -1, -1, [2]byte{'S', 'C'}
	}
	tests := []struct {
		name, format string
		change       func(*Record)
		want         string
	}{
		{"tcplog", TCPLogFormat, nil, `127.0.0.1:41580 [20/Nov/2026:08:36:15.997] ok ok/s1 1/0/0 12 -- 1/1/0/0/0 0/0`},
		{
			"asap", TCPLogFormat, func(r *Record) { r.ASAP, r.BeConn, r.SrvConn = true, 1, 1 },
			`127.0.0.1:41580 [20/Nov/2026:08:36:15.997] ok ok/s1 1/0/+0 +12 -- 1/1/1/1/0 0/0`,
		},
		{
			"no server", TCPLogFormat, noServer,
			`127.0.0.1:41580 [20/Nov/2026:08:36:15.997] ok down/<NOSRV> -1/-1/0 12 SC 1/1/0/0/0 0/0`,
		},
		{
			"no backend", TCPLogFormat, func(r *Record) { noServer(r); r.BackendName = "" },
			`127.0.0.1:41580 [20/Nov/2026:08:36:15.997] ok ok/<NOSRV> -1/-1/0 12 SC 1/1/0/0/0 0/0`,
		},
		{
			"redispatched", TCPLogFormat, func(r *Record) { r.Retries, r.Redispatched = 3, true },
			`127.0.0.1:41580 [20/Nov/2026:08:36:15.997] ok ok/s1 1/0/0 12 -- 1/1/0/0/+3 0/0`,
		},
		{
			"unix client", TCPLogFormat, func(r *Record) { r.ClientAddr = netio.Addr{Family: netio.FamilyUnix} },
			`unix:5 [20/Nov/2026:08:36:15.997] ok ok/s1 1/0/0 12 -- 1/1/0/0/0 0/0`,
		},
		{
			"clf", TCPLogCLFFormat, func(r *Record) { r.ClientAddr.Port = 50022; r.FrontendName, r.BackendName = "clf", "clf" },
			`127.0.0.1 - - [20/Nov/2026:06:36:15 +0000] "TCP " 000 12 "" "" 50022 997 "clf" "clf" "s1" 0 1 0 0 5 ---- 1 1 0 0 0 0 0 "" "" `,
		},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			r := sampleRecord(t)
			if tt.change != nil {
				tt.change(r)
			}
			got := string(mustCompile(t, tt.format).Append(nil, r))
			if d := cmp.Diff(tt.want, got); d != "" {
				t.Error(d)
			}
		})
	}
}

func TestFormat_items(t *testing.T) {
	useZone(t)
	tests := []struct{ format, want string }{
		{"%ci", "127.0.0.1"},
		{"%cp", "41580"},
		{"%fi", "127.0.0.2"},
		{"%fp", "18200"},
		{"%bi", "::1"},
		{"%bp", "50000"},
		{"%si", "2001:db8::1"},
		{"%sp", "6379"},
		{"%f", "ok"},
		{"%ft", "ok"},
		{"%b", "ok"},
		{"%s", "s1"},
		{"%t", "20/Nov/2026:08:36:15.997"},
		{"%T", "20/Nov/2026:06:36:15 +0000"},
		{"%Tl", "20/Nov/2026:08:36:15 +0200"},
		{"%Ts", "1795156575"},
		{"%ms", "997"},
		{"%Th", "0"},
		{"%Tw", "1"},
		{"%Tc", "0"},
		{"%Td", "7"},
		{"%Tt", "0"},
		{"%Tu", "9"},
		{"%B", "12"},
		{"%U", "5"},
		{"%ts", "--"},
		{"%tsc", "----"},
		{"%ac", "1"},
		{"%fc", "1"},
		{"%bc", "0"},
		{"%sc", "0"},
		{"%rc", "0"},
		{"%sq", "0"},
		{"%bq", "0"},
		{"%lc", "31"},
		{"%rt", "258"},
		{"%pid", "3628"},
		{"%H", "lb1"},
		{"%ID", "u-1"},
		{"%OG", "txn_close"},
		{"%sslc|%sslv", "-|-"},
		{"[%o%hr%hrl%hs%hsl]", "[]"},

		{"%%", "%"},
		{"%%ci", "%ci"},
		{`a%-b%"c`, `a-b"c`},
		{"  lead  two   ends  ", "lead two ends "},
		{"a %hr  %hs b", "a b"},
		{"%{+Q}o %ci", `"127.0.0.1"`},
		{"a\tb", "a\tb"},
		{"%(name)ci %(n:str){+Q}s", `127.0.0.1 "s1"`},

		{"%{+Q}ci %{+Q}cp %{+Q}ts %{+Q}t %{+Q}rc %{+Q}Tw", `"127.0.0.1" 41580 -- 20/Nov/2026:08:36:15.997 0 1`},
		{"%{+X}ci %{+X}cp %{+X}bi", "7F000001 A26C 00000000000000000000000000000001"},
		{"%{+X,+Q}ci", "7F000001"},
		{"%{+X}Ts %{+X}ms %{+X}rt %{+X}lc %{+X}pid %{+X}Tt", "6AFFEA5F 3E5 0102 001F 0E2C 0"},
		{"%{+Q,+X}o %s %cp %{-Q}s", `"s1" A26C s1`},
		{"%{+Q}o%{-Q}o%s", "s1"},

		{"%[src]:%[src_port] %[dst]:%[dst_port]", "127.0.0.1:41580 127.0.0.2:18200"},
		{"%[fc_src]:%[fc_src_port] %[fc_dst]:%[fc_dst_port]", "127.0.0.1:41580 127.0.0.2:18200"},
		{"%[bc_src]:%[bc_src_port] %[bc_dst]:%[bc_dst_port]", "::1:50000 2001:db8::1:6379"},
		{"%[fe_name] %[be_name] %[srv_name] %[so_name]", "ok ok s1 sock-1"},
		{"%[fe_id] %[be_id] %[srv_id] %[so_id]", "2 3 4 5"},
		{"%[fe_conn] %[be_conn] %[act_conn] %[pid] %[hostname] %[txn.id32]", "1 0 1 3628 lb1 258"},
		{"%[accept_date] %[accept_date(s)] %[accept_date(ms)] %[accept_date(us)]", "1795156575 1795156575 1795156575997 1795156575997654"},
		{"%[fc.timer.handshake] %[req.timer.queue] %[bc.timer.connect] %[res.timer.data] %[txn.timer.total] %[txn.timer.user]", "0 1 0 7 0 9"},
		{"%[bytes_in] %[bytes_out] %[req.bytes_in] %[res.bytes_in]", "5 12 5 12"},
		{"%[txn.conn_retries] %[txn.redispatched] %[txn.sess_term_state] %{+Q}[txn.sess_term_state]", `0 0 -- "--"`},
		{"%[bc_srv_queue] %[bc_be_queue]", "0 0"},
		{"%{+Q}[src_port] %{+X}[src_port] %{+Q}[src]", `"41580" 41580 "127.0.0.1"`},
		{`%[str(a b)] %[str('c,d]e')] %[str("f\"g")] %[str()] %[int(-05)] %[bool(true)]`, `a b c,d]e f"g - -5 1`},
		{`%[str(a\,\n\r\t\)b)] %[str('a'"\"b\\"c)] %[bool(0)] %[bool(false)]`, "a,\n\r\t)b a\"b\\c 0 0"},
		{`%{+E,+Q}[str('q"u]b\d')]`, `"q\"u\]b\\d"`},
	}
	for _, tt := range tests {
		t.Run(tt.format, func(t *testing.T) {
			got := string(mustCompile(t, tt.format).Append(nil, sampleRecord(t)))
			if d := cmp.Diff(tt.want, got); d != "" {
				t.Error(d)
			}
		})
	}
}

func TestFormat_missingValues(t *testing.T) {
	tests := []struct {
		format string
		change func(*Record)
		want   string
	}{
		{"%bi:%bp %si:%sp", nil, "-:- -:-"},
		{"%[bc_src]|%{+Q}[bc_src_port]|%{-M}[bc_dst]|", nil, `-|""||`},
		{"%ID %{+Q}ID %{-M}ID.", nil, `- "" .`},
		{"%s %{+Q}s %[srv_name] %[srv_id]", nil, `<NOSRV> "<NOSRV>" - -`},
		{"%f/%b %[be_name] %[be_id]", func(r *Record) { r.FrontendName, r.FrontendID = "fe", 7 }, "fe/fe fe 7"},
		{"%ts", nil, "--"},
		{"%Th/%Tw/%Tc/%Td/%Tt/%Tu", nil, "-1/-1/-1/-1/-1/-1"},
		{"%ci:%cp %fi:%fp %{+X}ci %[src]:%[src_port]", func(r *Record) {
			r.ClientAddr.Family, r.BindAddr.Family, r.ListenerID = netio.FamilyUnix, netio.FamilyUnix, 9
		}, "unix:9 unix:9  -:-"},
		{"%si:%sp", func(r *Record) { r.ServerAddr.Family = netio.FamilyUnix }, "unix:0"},
		{"%OG", func(r *Record) { r.Origin = 200 }, "unspec"},
		{"%{+X}rt", func(r *Record) { r.Counter = 1<<64 - 1 }, "FFFFFFFFFFFFFFFF"},
		{"%rc %[txn.conn_retries] %[txn.redispatched]", func(r *Record) { r.Retries, r.Redispatched = 2, true }, "+2 2 1"},
		{"%B %U %Tt %Tu %Td %[bytes_out]", func(r *Record) { r.ASAP = true }, "+0 0 +-1 +-1 -1 0"},
	}
	for _, tt := range tests {
		t.Run(tt.format, func(t *testing.T) {
			var r Record
			r.Reset()
			if tt.change != nil {
				tt.change(&r)
			}
			if d := cmp.Diff(tt.want, string(mustCompile(t, tt.format).Append(nil, &r))); d != "" {
				t.Error(d)
			}
		})
	}
}

func TestFormat_escaping(t *testing.T) {
	var all []byte
	for c := range 256 {
		all = append(all, byte(c))
	}
	r := Record{UniqueID: "\x00\n~\x7f\xff\"#\\]{|}"}
	tests := []struct{ format, want string }{
		{"%ID", `#00#0A~#7F#FF#22#23\]{|}`},
		{"%{+Q}ID", `"#00#0A~#7F#FF#22#23\]{|}"`},
		{"%{+E}ID", `#00#0A~#7F#FF\"#\\\]{|}`},
	}
	for _, tt := range tests {
		if d := cmp.Diff(tt.want, string(mustCompile(t, tt.format).Append(nil, &r))); d != "" {
			t.Errorf("%s: %s", tt.format, d)
		}
	}
	r.UniqueID = string(all)
	for _, c := range mustCompile(t, "%ID").Append(nil, &r) {
		if c < 32 || c > 126 {
			t.Errorf("byte %d goes into the log", c)
		}
	}
}

func TestOrigin_names(t *testing.T) {
	for o := OriginClose; o <= OriginUnspecified; o++ {
		if o.String() == "" {
			t.Errorf("origin %d has no name", o)
		}
	}
}

func TestAppendConnect(t *testing.T) {
	tests := []struct {
		name         string
		client, bind netio.Addr
		want         string
	}{
		{"ipv4", mustAddr(t, "127.0.0.1:47124"), mustAddr(t, "127.0.0.1:18220"), "Connect from 127.0.0.1:47124 to 127.0.0.1:18220 (dflt/TCP)"},
		{"ipv6", mustAddr(t, "[::1]:47124"), mustAddr(t, "[::1]:18220"), "Connect from ::1:47124 to ::1:18220 (dflt/TCP)"},
		{"unix", netio.Addr{Family: netio.FamilyUnix}, netio.Addr{Family: netio.FamilyUnix}, "Connect to unix:3 (dflt/TCP)"},
		{"unknown", netio.Addr{}, netio.Addr{}, "Connect from unknown source to listener 3 (dflt/TCP)"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			r := Record{ClientAddr: tt.client, BindAddr: tt.bind, FrontendName: "dflt", ListenerID: 3}
			if d := cmp.Diff(tt.want, string(AppendConnect(nil, &r))); d != "" {
				t.Error(d)
			}
		})
	}
}

func TestAppendError(t *testing.T) {
	useZone(t)
	r := sampleRecord(t)
	r.FrontendName, r.ListenerName, r.ListenerID = "proxyproto", "", 1
	const message = "Truncated PROXY protocol header received"
	want := "127.0.0.1:41580 [20/Nov/2026:08:36:15.997] proxyproto/1: " + message
	if d := cmp.Diff(want, string(AppendError(nil, r, message))); d != "" {
		t.Error(d)
	}
	r.ListenerName = "public"
	want = "127.0.0.1:41580 [20/Nov/2026:08:36:15.997] proxyproto/public: " + message
	if d := cmp.Diff(want, string(AppendError(nil, r, message))); d != "" {
		t.Error(d)
	}
}

func TestRecord_reset(t *testing.T) {
	r := sampleRecord(t)
	r.ASAP, r.Redispatched = true, true
	r.Reset()
	want := Record{Pid: 3628, Hostname: "lb1", HandshakeMs: -1, QueueMs: -1, ConnectMs: -1, DataMs: -1, TotalMs: -1, UserMs: -1}
	if d := cmp.Diff(want, *r, cmpopts.IgnoreUnexported(Record{})); d != "" {
		t.Error(d)
	}
}

func TestDates_followTheClock(t *testing.T) {
	useZone(t)
	f := mustCompile(t, "%t|%T|%Tl")
	var r Record
	var w Scratch
	for _, ns := range []int64{
		0, 1, -1, -1_000_000_001, 1_000_000_000, 951_782_399_999_999_999, 951_782_400_000_000_000, 1795156575997654321, 1795156576000000000,
		4_102_444_799_000_000_000, time.Date(2026, 12, 31, 23, 59, 59, 999e6, time.Local).UnixNano(), time.Date(2027, 1, 1, 0, 0, 0, 0, time.Local).UnixNano(),
	} {
		r.AcceptTimeNs = ns
		at := time.Unix(0, ns)
		want := at.Format("02/Jan/2006:15:04:05.000") + "|" + at.UTC().Format("02/Jan/2006:15:04:05 -0700") + "|" + at.Format("02/Jan/2006:15:04:05 -0700")
		if d := cmp.Diff(want, string(f.Append(nil, &r))); d != "" {
			t.Errorf("%d: %s", ns, d)
		}
		if d := cmp.Diff(at.Format(time.Stamp), string(w.dates.appendBSD(nil, ns))); d != "" {
			t.Errorf("%d: %s", ns, d)
		}
		if d := cmp.Diff(at.Format("2006-01-02T15:04:05.000000-07:00"), string(w.dates.appendISO(nil, ns))); d != "" {
			t.Errorf("%d: %s", ns, d)
		}
	}
	time.Local = time.FixedZone("WEST", -(3*3600 + 30*60))
	var west Scratch
	if d := cmp.Diff("1969-12-31T20:30:00.000000-03:30", string(west.dates.appendISO(nil, 0))); d != "" {
		t.Error(d)
	}
}

func TestFormat_needs(t *testing.T) {
	tests := []struct {
		format      string
		bind, local bool
	}{
		{TCPLogFormat, false, false},
		{"%fi", true, false},
		{"%fp", true, false},
		{"x %[dst_port] y", true, false},
		{"%bi", false, true},
		{"%bp", false, true},
		{"%[dst]%[bc_src]", true, true},
		{"%si %sp %ci", false, false},
		{"", false, false},
	}
	for _, tt := range tests {
		f := mustCompile(t, tt.format)
		if f.NeedsBindAddr() != tt.bind || f.NeedsLocalAddr() != tt.local {
			t.Errorf("%q needs bind %v, local %v", tt.format, f.NeedsBindAddr(), f.NeedsLocalAddr())
		}
	}
}
