package config

import (
	"net/netip"
	"os/user"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

// lineCase is one line with what a parser must say of it; an empty msg means no mistake.
type lineCase struct {
	line  string
	index int
	code  string
	msg   string
}

// checkMistakes compares the only mistake found with the one expected.
func checkMistakes(t *testing.T, c lineCase, errs []argError) {
	t.Helper()
	if c.msg == "" {
		if len(errs) != 0 {
			t.Errorf("%s: unexpected %+v", c.line, errs)
		}
		return
	}
	if len(errs) != 1 || errs[0].Index != c.index || errs[0].Code != c.code || errs[0].Msg != c.msg {
		t.Errorf("%s:\n got %+v\nwant %d %s: %s", c.line, errs, c.index, c.code, c.msg)
	}
}

func TestParseBindParameters(t *testing.T) {
	self, err := user.Current()
	if err != nil {
		t.Skipf("no current user: %v", err)
	}
	group, err := user.LookupGroupId(self.Gid)
	if err != nil {
		t.Skipf("no current group: %v", err)
	}
	line := "bind 127.0.0.1:80 name web id 7 maxconn 5 backlog 9 interface eth0 transparent v4v6 v6only defer-accept tfo mss -100" +
		" tcp-ut 3s cc cubic thread 1/3-2,5 mode 0640 user " + self.Username + " group " + group.Name + " level admin" +
		" expose-fd listeners severity-output string nice -5 shards by-thread proto none label x guid-prefix g idle-ping 3s nbconn 2"
	got, errs := parseBind(strings.Fields(line), false, testEnv)
	if len(errs) != 0 {
		t.Fatalf("%+v", errs)
	}
	want := &Bind{
		Addrs: []Address{tcp("127.0.0.1", 80)}, Words: "127.0.0.1:80", Name: "web", ID: 7, MaxConn: 5, Backlog: 9,
		Interface: "eth0", Transparent: true, V4V6: true, V6Only: true, MSS: -100, DeferAccept: true, TFO: true,
		TCPUserTimeout: 3 * time.Second, CC: "cubic", Threads: []int{2, 3, 5}, Mode: 0o640,
		UID: parseAtol(self.Uid), GID: parseAtol(self.Gid), Level: "admin", ExposeFD: true, SeverityOut: "string",
	}
	if diff := cmp.Diff(want, got, compareAddresses); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	plain, errs := parseBind([]string{"bind", ":80"}, false, testEnv)
	want = &Bind{Addrs: []Address{tcp("0.0.0.0", 80)}, Words: ":80", Mode: -1, UID: -1, GID: -1}
	if diff := cmp.Diff(want, plain, compareAddresses); diff != "" || len(errs) != 0 {
		t.Errorf("%+v (-want +got):\n%s", errs, diff)
	}
}

func TestParseBindMistakes(t *testing.T) {
	for _, c := range []lineCase{
		{"bind", 0, codeMissingValue, "'bind' expects {<path>|[addr1]:port1[-end1]}{,[addr]:port[-end]}... as arguments."},
		{"bind 127.0.0.1", 1, codeInvalidAddress, "'bind' : missing port specification in '127.0.0.1'"},
		{"bind :80 foo", 2, codeUnknownKeyword, "unknown keyword 'foo'; did you mean 'tfo' maybe ?"},
		{"bind :80 :81", 2, codeUnknownKeyword, "unknown keyword ':81'"},
		{"bind :80 maxcon 3", 2, codeUnknownKeyword, "unknown keyword 'maxcon'; did you mean 'maxconn' maybe ?"},
		{"bind :80 maxconn", 2, codeMissingValue, "'maxconn' : missing value"},
		{"bind :80 maxconn -3", 3, codeInvalidValue, "'maxconn' : invalid value -3, must be >= 0"},
		{"bind :80 maxconn abc", 0, "", ""},
		{"bind :80 backlog -1", 3, codeInvalidValue, "'backlog' : invalid value -1, must be > 0"},
		{"bind :80 name", 2, codeMissingValue, "'name' : missing name"},
		{"bind :80 id", 2, codeMissingValue, "'id' : expects an integer argument"},
		{"bind :80 id abc", 3, codeInvalidValue, "'id' : expects an integer argument, found 'abc'"},
		{"bind :80 id 0", 3, codeInvalidValue, "'id' : custom id has to be > 0"},
		{"bind :80-81 id 4", 2, codeNotAllowedHere, "'id' can only be used with a single socket"},
		{"bind :80 interface", 2, codeMissingValue, "'interface' : missing interface name"},
		{"bind :80 mss", 2, codeMissingValue, "'mss' : missing MSS value"},
		{"bind :80 mss 70000", 3, codeInvalidValue, "'mss' : expects an MSS with and absolute value between 1 and 65535"},
		{"bind :80 tcp-ut", 2, codeMissingValue, "'tcp-ut' : missing TCP User Timeout value"},
		{"bind :80 tcp-ut 1.5s", 3, codeInvalidValue, "'tcp-ut' : expects a positive delay in milliseconds"},
		{"bind :80 tcp-ut 40d", 3, codeInvalidValue, "timer overflow in argument '40d' to 'tcp-ut' (maximum value is 2147483647 ms or ~24.8 days)"},
		{"bind :80 mode 999", 3, codeInvalidValue, "'mode' : missing or invalid mode '999' (octal integer expected)"},
		{"bind :80 user no-such-user", 3, codeInvalidValue, "'user' : unknown user name 'no-such-user'"},
		{"bind :80 group no-such-group", 3, codeInvalidValue, "'group' : unknown group name 'no-such-group'"},
		{"bind :80 user", 2, codeMissingValue, "'user' : missing user name"},
		{"bind :80 group", 2, codeMissingValue, "'group' : missing group name"},
		{"bind :80 level foo", 3, codeInvalidValue, "'level' only supports 'user', 'operator', and 'admin' (got 'foo')"},
		{"bind :80 expose-fd foo", 3, codeInvalidValue, "'expose-fd' only supports 'listeners' (got 'foo')"},
		{"bind :80 severity-output foo", 3, codeInvalidValue, "'severity-output' only supports 'none', 'number', and 'string' (got 'foo')"},
		{"bind :80 nice 5000", 3, codeInvalidValue, "'nice' : invalid value 5000, allowed range is -1024..1024"},
		{"bind :80 shards abc", 3, codeInvalidValue, "'shards' : invalid value 0, allowed range is 1..64 or 'by-thread'"},
		{"bind :80 thread 65", 3, codeInvalidValue, "'thread' : '65' is not a valid number/range. It supports numbers from 1 to 64."},
		{"bind :80 thread 2/1", 3, codeInvalidValue, "'2/1' thread-group number must be between 1 and 1 (was 2)"},
		{"bind :80 process abc", 3, codeInvalidValue, "'process' : 'abc' is not a valid number/range. It supports numbers from 1 to 1."},
		{"bind :80 process 1/99", 3, codeInvalidValue, "'process' : '99' is not a valid number/range. It supports numbers from 1 to 64."},
		{"bind :80 process /2", 3, codeInvalidValue, "'process' : '' is not a valid number/range. It supports numbers from 1 to 1."},
		{"bind :80 process odd", 2, codeDeprecated, "'process odd' on 'bind' lines is deprecated, use 'thread all' instead."},
		{"bind :80 process 1/2-3", 2, codeDeprecated, "'process 1/2-3' on 'bind' lines is deprecated, use 'thread 2-3' instead."},
		{"bind :80 proto h2", 3, codeInvalidValue, "MUX protocol 'h2' is not usable in TCP mode"},
		{"bind :80 proto foo", 3, codeInvalidValue, "'proto' :  unknown MUX protocol 'foo'"},
		{"bind :80 guid-prefix " + strings.Repeat("a", 128), 3, codeInvalidValue, "'guid-prefix' : too long (max 127)"},
		{"bind :80 idle-ping x", 3, codeInvalidValue, "unexpected character 'x' in 'idle-ping'"},
		{"bind :80 accept-proxy name x", 2, codeNotImplemented, "'accept-proxy' is not implemented yet by Penstock (HAProxy knows it)"},
		{"bind :80 namespace ns", 2, codeNotImplemented, "'namespace' is not implemented yet by Penstock (HAProxy knows it)"},
		{"bind :80 crt /etc/x.pem name x", 2, codeNotImplemented, "'crt' is not implemented: TLS is not handled"},
	} {
		_, errs := parseBind(strings.Fields(c.line), false, testEnv)
		checkMistakes(t, c, errs)
	}
}

func TestBindThreads(t *testing.T) {
	for in, want := range map[string]int{"all": 0, "odd": 32, "even": 32, "1/all": 0, "60-": 5, "3-1": 3, "1,1,2": 2, "7": 1} {
		b, errs := parseBind([]string{"bind", ":80", "thread", in}, false, testEnv)
		if len(errs) != 0 || len(b.Threads) != want {
			t.Errorf("thread %s: %v, %+v; want %d threads", in, b.Threads, errs, want)
		}
	}
}

func TestBindMessages(t *testing.T) {
	for _, c := range []struct {
		line  string
		stats bool
		want  string
	}{
		{"bind :80 foo", false, "'bind :80' in section 'listen': unknown keyword 'foo'; did you mean 'tfo' maybe ?"},
		{"bind :80 maxconn", false, "'bind :80' in section 'listen' : 'maxconn' : missing value"},
		{"bind :0", false, "'bind' : invalid port '0'"},
		{"socket /s foo", true, "'stats socket' : unknown keyword 'foo'; did you mean 'tfo' maybe ?"},
		{"socket /s level x", true, "'stats socket' : ''level' only supports 'user', 'operator', and 'admin' (got 'x')'"},
		{"socket", true, "'stats socket' in global section expects an address or a path to a UNIX socket"},
		{"socket :0", true, "'stats socket' : invalid port '0'"},
	} {
		words := strings.Fields(c.line)
		_, errs := parseBind(words, c.stats, testEnv)
		if len(errs) != 1 {
			t.Errorf("%s: %+v", c.line, errs)
		} else if got := bindMessage(errs[0], words, "listen", c.stats); got != c.want {
			t.Errorf("%s:\n got %s\nwant %s", c.line, got, c.want)
		}
	}
}

func TestParseServerParameters(t *testing.T) {
	def := newDefaultServer()
	for _, line := range []string{
		"default-server weight 5 maxconn 9 backup inter 3s rise 1 fall 9 tfo", "default-server no-backup source 10.0.0.1:1000-2000 interface eth0",
	} {
		if errs := parseDefaultServer(strings.Fields(line), def, testEnv); len(errs) != 0 {
			t.Fatalf("%s: %+v", line, errs)
		}
	}
	before := *def
	got, errs := parseServer(strings.Fields("server s1 $ADDR:3306 weight 7 minconn 3 maxqueue 4 disabled id 12 tcp-ut 2s no-tfo"+
		" init-addr last,10.0.0.9,none on-marked-down shutdown-sessions on-marked-up shutdown-backup-sessions on-error mark-down"), def, testEnv)
	if len(errs) != 0 {
		t.Fatalf("%+v", errs)
	}
	want := &Server{
		Name: "s1", Addr: tcp("127.0.0.3", 3306), Weight: 7, MaxConn: 9, MinConn: 3, MaxQueue: 4, Disabled: true, ID: 12,
		Source:         &Source{IP: netip.MustParseAddr("10.0.0.1"), PortLow: 1000, PortHigh: 2000, Interface: "eth0"},
		TCPUserTimeout: 2 * time.Second,
		InitAddr:       []InitAddr{{Method: "last"}, {Method: "ip", IP: netip.MustParseAddr("10.0.0.9")}, {Method: "none"}},
		Check:          ServerCheck{Inter: 3 * time.Second, Rise: 1, Fall: 9, ErrorLimit: 10},
		OnMarkedDown:   "shutdown-sessions", OnMarkedUp: "shutdown-backup-sessions", OnError: "mark-down",
	}
	if diff := cmp.Diff(want, got, compareAddresses); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	if diff := cmp.Diff(&before, def, compareAddresses); diff != "" {
		t.Errorf("the presets changed:\n%s", diff)
	}
	plain, _ := parseServer([]string{"server", "s", "10.0.0.1:80"}, nil, testEnv)
	want = newDefaultServer()
	want.Name, want.Addr = "s", tcp("10.0.0.1", 80)
	if diff := cmp.Diff(want, plain, compareAddresses); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	for line, limits := range map[string][2]int{"minconn 5": {5, 5}, "maxconn 5": {5, 5}, "minconn 2 maxconn 5": {2, 5}, "maxconn -3": {0, 0}} {
		s, _ := parseServer(strings.Fields("server s 10.0.0.1:80 "+line), nil, testEnv)
		if s == nil || s.MinConn != limits[0] || s.MaxConn != limits[1] {
			t.Errorf("%s: %+v", line, s)
		}
	}
}

func TestParseServerMistakes(t *testing.T) {
	const s = "server s 127.0.0.1:80 "
	for _, c := range []lineCase{
		{"server s", 0, codeMissingValue, "'server' expects <name> and <addr>[:<port>] as arguments."},
		{"server a/b 127.0.0.1:80", 1, codeInvalidValue, "character '/' is not permitted in server name 'a/b'."},
		{"server s 127.0.0.1:70000", 2, codeInvalidAddress, "invalid port '70000'"},
		{s + "foo 3 bar", 3, codeUnknownKeyword, "unknown keyword 'foo'; did you mean 'tfo' maybe ?"},
		{s + "weight 10 weigth 3", 5, codeUnknownKeyword, "unknown keyword 'weigth'; did you mean 'weight' maybe ?"},
		{s + "maxconn 3 4", 5, codeUnknownKeyword, "unknown keyword '4'"},
		{s + "weight 300", 4, codeInvalidValue, "weight of server s is not within 0 and 256 (300)."},
		{s + "weight -1", 4, codeInvalidValue, "weight of server s is not within 0 and 256 (-1)."},
		{s + "weight", 0, "", ""},
		{s + "id", 3, codeMissingValue, "'id' : expects an integer argument."},
		{s + "id abc", 4, codeInvalidValue, "'id' : custom id has to be > 0."},
		{s + "inter", 3, codeMissingValue, "'inter' expects a delay as argument."},
		{s + "inter 0", 4, codeInvalidValue, "invalid value 0 for argument 'inter'."},
		{s + "downinter 1.5s", 4, codeInvalidValue, "unexpected character '.' in 'downinter'"},
		{s + "fastinter 30d", 4, codeInvalidValue, "timer overflow in argument '30d' to 'fastinter' (maximum value is 2147483647 ms or ~24.8 days)"},
		{s + "rise", 3, codeMissingValue, "'rise' expects an integer argument."},
		{s + "fall abc", 4, codeInvalidValue, "'fall' has to be > 0."},
		{s + "port", 3, codeMissingValue, "'port' expects a port number as argument."},
		{s + "addr 10.0.0.1 port 70000", 0, "", ""},
		{s + "addr 10.0.0.300", 4, codeInvalidAddress, "'addr' : invalid address: '10.0.0.300' in '10.0.0.300'."},
		{s + "on-marked-down foo", 4, codeInvalidValue, "'on-marked-down' expects 'shutdown-sessions' but got 'foo'"},
		{s + "on-marked-up", 3, codeInvalidValue, "'on-marked-up' expects 'shutdown-backup-sessions' but got ''"},
		{s + "on-error x", 4, codeInvalidValue, "'on-error' expects one of 'fastinter', 'fail-check', 'sudden-death' or 'mark-down' but got 'x'"},
		{s + "init-addr last,1.2.3.400", 4, codeInvalidValue, "'init-addr' : unknown init-addr method '1.2.3.400', supported methods are 'libc', 'last', 'none'."},
		{s + "source", 3, codeMissingValue, "'source' expects <addr>[:<port>[-<port>]], and optionally 'usesrc' <addr>, and 'interface' <name> as argument."},
		{s + "source 1.2.3.4:90-80", 4, codeInvalidAddress, "'source 1.2.3.4:90-80' : invalid port range '90-80'"},
		{s + "source 1.2.3.4 interface", 5, codeMissingValue, "'server' : missing interface name."},
		{s + "source 1.2.3.4 usesrc clientip", 5, codeNotImplemented, "'usesrc' is not implemented yet by Penstock (HAProxy knows it)"},
		{s + "source udp@:80", 4, codeInvalidAddress, "'source udp@:80' : dgram-type address not acceptable in 'udp@:80'"},
		{s + "addr udp@:80", 4, codeInvalidAddress, "'addr' : dgram-type address not acceptable in 'udp@:80'."},
		{s + "check-proto h2", 0, "", ""},
		{s + "source db.local", 4, codeNotImplemented, "'source db.local' : only an IP address is implemented yet"},
		{s + "source 1.2.3.4 foo", 5, codeUnknownKeyword, "unknown keyword 'foo'; did you mean 'tfo' maybe ?"},
		{s + "usesrc client", 3, codeNotAllowedHere, "'usesrc' only allowed after a 'source' statement."},
		{s + "tcp-ut x", 4, codeInvalidValue, "'tcp-ut' : expects a positive delay in milliseconds"},
		{s + "proxy-v2-options crc32c,foo", 4, codeInvalidValue, "'foo' : proxy v2 option not implemented"},
		{s + "resolve-prefer foo", 4, codeInvalidValue, "'resolve-prefer' expects either ipv4 or ipv6 as argument."},
		{s + "resolve-net 10.0.0.0/8,x", 4, codeInvalidValue, "'resolve-net' invalid network 'x'."},
		{s + "resolve-opts foo", 4, codeInvalidValue, "'resolve-opts' : unknown resolve-opts option 'foo', supported methods are 'allow-dup-ip', 'ignore-weight', and 'prevent-dup-ip'."},
		{s + "ws foo", 4, codeInvalidValue, "'ws' has to be 'auto', 'h1' or 'h2'"},
		{s + "pool-max-conn -3", 4, codeInvalidValue, "'pool-max-conn' must be >= -1"},
		{s + "log-proto foo", 4, codeInvalidValue, "'log-proto' expects one of 'legacy' or 'octet-count' but got 'foo'"},
		{s + "init-state foo", 4, codeInvalidValue, "'init-state' expects one of 'none', 'fully-up', 'up', 'down', or 'fully-down' but got 'foo'"},
		{s + "redir http://x", 3, codeHTTPOnly, "server cannot have cookie or redirect prefix in non-HTTP mode."},
		{s + "cookie c", 3, codeHTTPOnly, "ignoring cookie for server 's' as HTTP mode is disabled."},
		{s + "check inter 2s fall 2 port 99 addr 127.0.0.2 no-check init-state none", 0, "", ""},
		{s + "observe layer7", 4, codeHTTPOnly, "'observe layer7' can only be used in http proxies."},
		{s + "observe x", 4, codeInvalidValue, "'observe' expects one of 'none', 'layer4', 'layer7' but got 'x'"},
		{s + "observe layer4 error-limit 3 on-error mark-down", 0, "", ""},
		{s + "agent-check agent-port 9", 0, "", ""},
		{s + "agent-addr 127.0.0.1:7", 4, codeInvalidAddress, "parsing agent-addr failed. Check if '127.0.0.1:7' is correct address."},
		{s + "agent-addr", 3, codeMissingValue, "'agent-addr' expects an address as argument."},
		{s + "agent-send", 3, codeMissingValue, "'agent-send' expects a string as argument."},
		{s + "agent-inter 0", 4, codeInvalidValue, "invalid value 0 for argument 'agent-inter'."},
		{s + "send-proxy-v2", 3, codeNotImplemented, "'send-proxy-v2' is not implemented yet by Penstock (HAProxy knows it)"},
		{s + "set-proxy-v2-tlv-fmt(0xE1) %[src]", 3, codeNotImplemented, "'set-proxy-v2-tlv-fmt(0xE1)' is not implemented yet by Penstock (HAProxy knows it)"},
		{s + "hash-key addr", 3, codeNotImplemented, "'hash-key' is not implemented yet by Penstock (HAProxy knows it)"},
		{s + "hash-key id", 0, "", ""},
		{s + "npn none", 3, codeNotImplemented, "'npn' is not implemented: TLS is not handled"},
		{s + "ws auto max-reuse 3 pool-max-conn -1 pool-low-conn 3 pool-purge-delay 3s pool-conn-name x stick non-stick shard 3 guid g", 0, "", ""},
		{s + "agent-addr 127.0.0.1 agent-port 9 agent-inter 2s agent-send x no-agent-check error-limit 3 check-send-proxy", 0, "", ""},
	} {
		_, errs := parseServer(strings.Fields(c.line), nil, testEnv)
		checkMistakes(t, c, errs)
	}
	for _, c := range []lineCase{
		{"default-server", 0, "", ""},
		{"default-server weight 300", 2, codeInvalidValue, "weight of server default-server is not within 0 and 256 (300)."},
		{"default-server id 3 backup", 1, codeNotAllowedHere, "'id' option is not accepted in default-server sections"},
		{"default-server foo", 1, codeUnknownKeyword, "unknown keyword 'foo'; did you mean 'tfo' maybe ?. Hint: no address was expected for this server."},
	} {
		checkMistakes(t, c, parseDefaultServer(strings.Fields(c.line), newDefaultServer(), testEnv))
	}
}

func TestServerMessage(t *testing.T) {
	words := strings.Fields("server s 127.0.0.1:80 foo")
	_, errs := parseServer(words, nil, testEnv)
	const want = "'server l/s' : unknown keyword 'foo'; did you mean 'tfo' maybe ?"
	if len(errs) != 1 || serverMessage(errs[0], words, "l") != want {
		t.Errorf("%+v", errs)
	}
	_, errs = parseServer([]string{"server"}, nil, testEnv)
	if got := serverMessage(errs[0], []string{"server"}, "l"); got != errs[0].Msg {
		t.Errorf("got %s", got)
	}
}

func TestParseSource(t *testing.T) {
	got, n, errs := parseSource(strings.Fields("source 10.0.0.1:99 interface eth0"), testEnv)
	want := &Source{IP: netip.MustParseAddr("10.0.0.1"), PortLow: 99, PortHigh: 99, Interface: "eth0"}
	if diff := cmp.Diff(want, got, compareAddresses); diff != "" || n != 4 || len(errs) != 0 {
		t.Errorf("%d words, %+v (-want +got):\n%s", n, errs, diff)
	}
	for _, c := range []lineCase{
		{"source", 0, codeMissingValue, "'source' expects <addr>[:<port>], and optionally 'usesrc' <addr>, and 'interface' <name>."},
		{"source *", 0, "", ""},
		{"source [::1]", 0, "", ""},
		{"source 127.0.0.1:99-100", 1, codeInvalidAddress, "'source 127.0.0.1:99-100' : port range not permitted here in '127.0.0.1:99-100'"},
		{"source 10.0.0.256", 1, codeInvalidAddress, "'source 10.0.0.256' : invalid address: '10.0.0.256' in '10.0.0.256'"},
		{"source 0.0.0.0 interface", 2, codeMissingValue, "'source' : missing interface name."},
		{"source 0.0.0.0 usesrc", 2, codeMissingValue, "'usesrc' expects <addr>[:<port>], 'client', or 'clientip' as argument."},
		{"source 0.0.0.0 usesrc client", 2, codeNotImplemented, "'usesrc' is not implemented yet by Penstock (HAProxy knows it)"},
		{"source 0.0.0.0 foo", 2, codeUnexpectedWord, "'source' only supports optional keywords 'interface' and 'usesrc'."},
	} {
		_, _, errs := parseSource(strings.Fields(c.line), testEnv)
		checkMistakes(t, c, errs)
	}
}

func TestParseLogTarget(t *testing.T) {
	udp := func(addr string) LogTarget {
		return LogTarget{Kind: LogUDP, Addr: netip.MustParseAddrPort(addr), Len: 1024, Facility: 16, Level: 7}
	}
	with := func(t LogTarget, change func(*LogTarget)) LogTarget { change(&t); return t }
	for in, want := range map[string]LogTarget{
		"127.0.0.1 local0":                udp("127.0.0.1:514"),
		"127.0.0.1:0 local0":              udp("127.0.0.1:514"),
		"$ADDR:5140 local0":               udp("127.0.0.3:5140"),
		"udp@[::1]:99 local0":             udp("[::1]:99"),
		":514 local0":                     udp("0.0.0.0:514"),
		"127.0.0.1 local0 warning":        with(udp("127.0.0.1:514"), func(t *LogTarget) { t.Level = 4 }),
		"127.0.0.1 local0 info err":       with(udp("127.0.0.1:514"), func(t *LogTarget) { t.Level, t.MinLevel = 6, 3 }),
		"syslog.local:5514 user":          {Kind: LogUDP, Addr: netip.AddrPortFrom(netip.Addr{}, 5514), Host: "syslog.local", Len: 1024, Facility: 1, Level: 7},
		"/dev/log daemon":                 {Kind: LogUnix, Path: "/dev/log", Len: 1024, Facility: 3, Level: 7},
		"uxdg@/dev/log daemon":            {Kind: LogUnix, Path: "/dev/log", Len: 1024, Facility: 3, Level: 7},
		"stdout format raw daemon":        {Kind: LogFD, FD: 1, Len: 1024, Format: HeaderRaw, FormatSet: true, Facility: 3, Level: 7},
		"stderr len 4096 cron":            {Kind: LogFD, FD: 2, Len: 4096, Facility: 9, Level: 7},
		"fd@9 kern":                       {Kind: LogFD, FD: 9, Len: 1024, Level: 7},
		"stdout sample 2-3,1:4 local7":    {Kind: LogFD, FD: 1, Len: 1024, SampleRanges: "2-3,1", SampleSize: 4, Facility: 23, Level: 7},
		"stdout len 80 format iso local0": {Kind: LogFD, FD: 1, Len: 80, Format: HeaderISO, FormatSet: true, Facility: 16, Level: 7},
	} {
		got, errs := parseLogTarget(strings.Fields("log "+in), testEnv)
		if len(errs) != 0 {
			t.Errorf("%s: %+v", in, errs)
		}
		if diff := cmp.Diff(want, got, compareAddresses, cmp.Comparer(func(a, b netip.AddrPort) bool { return a == b })); diff != "" {
			t.Errorf("%s (-want +got):\n%s", in, diff)
		}
	}
	const usage = "log : expects <address> and <facility> or global as arguments"
	for _, c := range []lineCase{
		{"log", 0, codeMissingValue, usage},
		{"log 127.0.0.1", 0, codeMissingValue, usage},
		{"log stdout format raw", 0, codeMissingValue, usage},
		{"log 127.0.0.1 foo", 2, codeInvalidValue, "log : unknown log facility 'foo'"},
		{"log 127.0.0.1 local0 foo", 3, codeInvalidValue, "log : unknown optional log level 'foo'"},
		{"log 127.0.0.1 local0 info bar", 4, codeInvalidValue, "log : unknown optional minimum log level 'bar'"},
		{"log 127.0.0.1 local0 info err x", 5, codeUnexpectedWord, "log : cannot handle unexpected argument 'x'"},
		{"log 127.0.0.1 len 10 local0", 3, codeInvalidValue, "log : invalid log length '10', must be between 80 and 65535"},
		{"log 127.0.0.1 format foo local0", 3, codeInvalidValue, "log : unknown log format 'foo'"},
		{"log 127.0.0.1 format raw len 100 local0", 4, codeInvalidValue, "log : unknown log facility 'len'"},
		{"log stdout sample local0", 3, codeInvalidValue, "log : Missing sample size"},
		{"log stdout sample 0:4 local0", 3, codeInvalidValue, "log : wrong sample range '0'"},
		{"log stdout sample 3-1:4 local0", 3, codeInvalidValue, "log : wrong sample range '3-1'"},
		{"log stdout sample 1:x local0", 3, codeInvalidValue, "log : wrong sample size 'x' for sample range '1'"},
		{"log stdout sample 1,1-3:4 local0", 3, codeInvalidValue, "log : ranges are overlapping"},
		{"log stdout sample 3:2 local0", 3, codeInvalidValue, "log : sample size 2 should be greater or equal to 3 the maximum of the high ranges limits"},
		{"log stdout profile p local0", 2, codeNotImplemented, "'profile' is not implemented yet by Penstock (HAProxy knows it)"},
		{"log fd@x local0", 1, codeInvalidAddress, "log : file descriptor 'x' is not a valid integer in 'fd@x'"},
		{"log 127.0.0.1:70000 local0", 1, codeInvalidAddress, "log : invalid port '70000'"},
		{"log 10.0.0.256 local0", 1, codeInvalidAddress, "log : invalid address: '10.0.0.256' in '10.0.0.256'"},
		{"log ring@r local0", 1, codeNotImplemented, "log : target 'ring@r' is not implemented yet"},
		{"log tcp@127.0.0.1:514 local0", 1, codeNotImplemented, "log : target 'tcp@127.0.0.1:514' is not implemented yet"},
		{"log abns@x local0", 1, codeNotImplemented, "log : target 'abns@x' is not implemented yet"},
	} {
		_, errs := parseLogTarget(strings.Fields(c.line), testEnv)
		checkMistakes(t, c, errs)
	}
}

// TestTables checks that each implemented parameter can be read and that no word stands in two tables.
func TestTables(t *testing.T) {
	for word, class := range bindKeywords {
		if _, tls := bindTLS[word]; tls == (bindParams[word].class != 0) {
			t.Errorf("bind parameter %s is in both tables or in none", word)
		}
		_, errs := parseBind([]string{"bind", ":80", word, "1"}, false, testEnv)
		for _, e := range errs {
			if notYet := e.Index == 2 && e.Code == codeNotImplemented; notYet != (class == NotYet && e.Index == 2) {
				t.Errorf("bind parameter %s of class %d: %+v", word, class, e)
			}
		}
	}
	for word, class := range serverKeywords {
		if word == "usesrc" || word == tlvParam || word == "hash-key" {
			continue // they depend on the words around them
		}
		_, errs := parseServer([]string{"server", "s", "1.1.1.1:1", word, "1"}, nil, testEnv)
		for _, e := range errs {
			if notYet := e.Index == 3 && e.Code == codeNotImplemented; notYet != (class == NotYet && e.Index == 3) {
				t.Errorf("server parameter %s of class %d: %+v", word, class, e)
			}
		}
	}
}

func FuzzBind(f *testing.F) {
	for _, s := range []string{
		"bind :80 name x id 3", "bind *:80-90 thread 1/odd,3- mode 600", "bind fd@3 level admin expose-fd listeners", "bind ssl crt", "bind :80 process 1/2",
	} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, line string) {
		words := strings.Fields(line)
		b, errs := parseBind(words, strings.HasPrefix(line, "s"), testEnv)
		checkLine(t, words, b == nil, errs)
		if b == nil {
			return
		}
		for _, a := range b.Addrs {
			checkAddressRange(t, a, true)
		}
		for _, n := range b.Threads {
			if n < 1 || n > maxThreads {
				t.Fatalf("%q: thread %d", line, n)
			}
		}
		if len(b.Addrs) == 0 || b.MaxConn < 0 || b.Backlog < 0 || b.TCPUserTimeout < 0 || b.MSS < -65535 || b.MSS > 65535 || b.ID < 0 {
			t.Fatalf("%q: %+v", line, b)
		}
	})
}

func FuzzServer(f *testing.F) {
	for _, s := range []string{
		"server s 127.0.0.1:+3 weight 3 source 1.2.3.4:5-6 interface x", "server s localhost init-addr last,none,::1 check inter 3s",
		"default-server weight 3 disabled tcp-ut 3s", "server s abns@x set-proxy-v2-tlv-fmt(1) x minconn 3",
	} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, line string) {
		words := strings.Fields(line)
		def := newDefaultServer()
		if len(words) > 0 && words[0] == "default-server" {
			checkLine(t, words, false, parseDefaultServer(words, def, testEnv))
			words = []string{"server", "s", "10.0.0.1:80"}
		}
		s, errs := parseServer(words, def, testEnv)
		checkLine(t, words, s == nil, errs)
		if s == nil {
			return
		}
		checkAddressRange(t, s.Addr, false)
		if s.Weight < 0 || s.Weight > maxWeight || s.MaxConn < s.MinConn || s.MinConn < 0 || s.MaxQueue < 0 || s.ID < 0 || len(s.InitAddr) == 0 {
			t.Fatalf("%q: %+v", line, s)
		}
		if s.Source != nil && (s.Source.PortLow < 0 || s.Source.PortHigh > 65535 || s.Source.PortLow > s.Source.PortHigh || !s.Source.IP.IsValid()) {
			t.Fatalf("%q: source %+v", line, s.Source)
		}
		if _, n, errs := parseSource(words, testEnv); n > max(len(words), 2) {
			t.Fatalf("%q: %d words, %+v", line, n, errs)
		}
		_, errs = parseLogTarget(words, testEnv)
		checkLine(t, words, false, errs)
	})
}

// checkLine fails when a line without a value has no mistake, or when a mistake has no place or no words.
func checkLine(t *testing.T, words []string, unusable bool, errs []argError) {
	t.Helper()
	if unusable && len(errs) == 0 {
		t.Fatalf("%q: neither a value nor a mistake", words)
	}
	for _, e := range errs {
		if e.Index < 0 || e.Index >= max(len(words), 1) || e.Msg == "" || e.Code == "" {
			t.Fatalf("%q: %+v", words, e)
		}
	}
}
