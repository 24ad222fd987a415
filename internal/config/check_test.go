package config

import (
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
)

const checkedHead = "defaults\n timeout connect 1s\n timeout server 1s\n timeout client 1s\n"

func TestCheckRules(t *testing.T) {
	text := checkedHead + `defaults d
    option tcp-check
    tcp-check send old
    http-check send meth GET
    timeout check 3s
    timeout connect 1s
    timeout server 1s
    default-server check inter 5s fastinter 1s downinter 9s rise 4 fall 5 port 99 addr 127.0.0.9
backend b from d
    tcp-check comment "say this"
    tcp-check connect port 81 addr 127.0.0.2 linger
    tcp-check send PING\r\n comment c
    tcp-check send-binary 00ff
    tcp-check expect min-recv 3 ! rstring ^x ok-status l6ok error-status L7STS tout-status L4TOUT
    tcp-check expect !binary 00 comment d
    server s 127.0.0.1:80
    server t 127.0.0.1:80 no-check init-state fully-down
backend h from d
    option httpchk HEAD /up HTTP/1.1 db
    http-check connect
    http-check send uri /a hdr X y hdr content-length 3 body z
    http-check expect status 200,300-399
    server s 127.0.0.1:80
backend inherits from d
    server s 127.0.0.1:80
`
	cfg, found := LoadText("c.cfg", text, Options{})
	if found.Fatal() || found.Warnings() > 0 {
		t.Fatalf("%+v", found.List)
	}
	want := []Check{
		{
			Kind: CheckTCP,
			TCPRules: []CheckRule{
				{Action: CheckComment, Step: 1, Comment: "say this"},
				{Action: CheckConnect, Step: 2, Port: 81, Addr: tcp("127.0.0.2", 0), Linger: true},
				{Action: CheckSend, Step: 3, Data: []byte("PING\r\n"), Comment: "c"},
				{Action: CheckSend, Step: 4, Data: []byte{0, 255}},
				{Action: CheckExpects, Step: 5, Expect: CheckExpect{
					Match: MatchRegex, Not: true, Pattern: "^x", MinRecv: 3, OKStatus: "L6OK", ErrorStatus: "L7STS", ToutStatus: "L4TOUT",
				}},
				{Action: CheckExpects, Step: 6, Comment: "d", Expect: CheckExpect{Match: MatchBinary, Not: true, Pattern: "00", Bytes: []byte{0}, MinRecv: -1}},
			},
			HTTPRules: []CheckRule{{Action: CheckSend, Step: 1, Request: &HTTPRequest{Method: "GET"}}},
		},
		{
			Kind:     CheckHTTP,
			Request:  HTTPRequest{Method: "HEAD", URI: "/up", Version: "HTTP/1.1", Headers: []HTTPHeader{{Name: "Host", Value: "db"}}},
			TCPRules: []CheckRule{{Action: CheckSend, Step: 1, Data: []byte("old")}},
			HTTPRules: []CheckRule{
				{Action: CheckConnect, Step: 1},
				{Action: CheckSend, Step: 2, Request: &HTTPRequest{URI: "/a", Headers: []HTTPHeader{{Name: "X", Value: "y"}}, Body: "z"}},
				{Action: CheckExpects, Step: 3, Expect: CheckExpect{Match: MatchStatus, Pattern: "200,300-399", Codes: [][2]int{{200, 200}, {300, 399}}, MinRecv: -1}},
			},
		},
		{
			Kind:      CheckTCP,
			TCPRules:  []CheckRule{{Action: CheckSend, Step: 1, Data: []byte("old")}},
			HTTPRules: []CheckRule{{Action: CheckSend, Step: 1, Request: &HTTPRequest{Method: "GET"}}},
		},
	}
	for i, w := range want {
		if diff := cmp.Diff(w, cfg.Proxies[i].Check, compareAddresses, cmpopts.IgnoreFields(CheckRule{}, "Pos")); diff != "" {
			t.Errorf("%s (-want +got):\n%s", cfg.Proxies[i].Name, diff)
		}
	}
	b := cfg.Proxies[0]
	server := ServerCheck{
		Enabled: true, Inter: 5 * time.Second, FastInter: time.Second, DownInter: 9 * time.Second, Rise: 4, Fall: 5, Port: 99, Addr: tcp("127.0.0.9", 0), ErrorLimit: 10,
	}
	if diff := cmp.Diff(server, b.Servers[0].Check, compareAddresses); diff != "" {
		t.Errorf("server (-want +got):\n%s", diff)
	}
	if s := b.Servers[1].Check; s.Enabled || s.InitState != "fully-down" {
		t.Errorf("server t: %+v", s)
	}
	if b.Timeouts.Check != 3*time.Second {
		t.Errorf("timeout check %v", b.Timeouts.Check)
	}
}

func TestCheckMessages(t *testing.T) {
	for _, c := range []struct{ lines, want string }{
		{"tcp-check", "'tcp-check' only supports 'comment', 'connect', 'send', 'send-binary', 'send-lf', 'send-binary-lf', 'expect', 'set-var', 'set-var-fmt', 'unset-var'. but got ''."},
		{"http-check x", "'http-check' only supports 'disable-on-404', 'send-state', 'comment', 'connect', 'send', 'expect', 'set-var', 'set-var-fmt', 'unset-var'. but got 'x'."},
		{"tcp-check comment", "'tcp-check comment' : expects a string as argument."},
		{"tcp-check send", "'tcp-check send' : 'send' expects a string as argument."},
		{"tcp-check send a b", "'tcp-check send' : expects 'comment' but got 'b' as argument."},
		{"tcp-check send-binary 0", "'tcp-check send-binary' : '0' invalid binary string (an even number of hex digit is expected)."},
		{"tcp-check send-binary 0x", "'tcp-check send-binary' : '0x' invalid binary string (an hex digit is expected)."},
		{"tcp-check send-lf %T", "'tcp-check send-lf' : '%T' invalid log-format string ('%T' is not supported in checks: only %b, %s, %H and %[expression])."},
		{"tcp-check send-lf a%", "'tcp-check send-lf' : 'a%' invalid log-format string (truncated line after '%')."},
		{"tcp-check send-lf %[str(]", "'tcp-check send-lf' : '%[str(]' invalid log-format string (failed to parse sample expression <str(]> : expected ']')."},
		{"tcp-check send-lf a b", "'tcp-check send-lf' : expects 'comment' but got 'b' as argument."},
		{"tcp-check set-var(check.a)", "'tcp-check set-var(check.a)' : 'set-var' : missing fetch method."},
		{"tcp-check set-var(a) int(1)", "'tcp-check set-var(a)' : 'set-var' : invalid variable name 'a'. A variable name must be start by its scope. The scope can be 'proc', 'sess', 'txn', 'req', 'res' or 'check'."},
		{"tcp-check set-var(txn.a) int(1)", "'tcp-check set-var(txn.a)' : 'set-var' : variable 'txn.a' : only variables of the scope 'check' are supported in checks."},
		{"tcp-check set-var(check.a,ifempty) int(1)", "'set-var with a condition' is not implemented yet by Penstock (HAProxy knows it)"},
		{"tcp-check set-var(check.a int(1)", "'tcp-check set-var(check.a' : 'set-var' : incomplete argument after action 'set-var(check.a'. Expects 'set-var(<var-name>)', 'set-var-fmt(<var-name>)' or 'unset-var(<var-name>)'."},
		{"tcp-check set-var(check.a) int(x)", "'tcp-check set-var(check.a)' : 'set-var' : fetch method 'int' : failed to parse 'x' as type 'integer' at position 1."},
		{"tcp-check set-var(check.a) str(a),lower", "'tcp-check set-var(check.a)' : 'set-var' : converters are not supported in checks."},
		{"tcp-check set-var(check.a) str", "'tcp-check set-var(check.a)' : 'set-var' : fetch method 'str' : 0 arguments, expected 1."},
		{"tcp-check unset-var", "'tcp-check unset-var' : 'set-var' : invalid or incomplete action 'unset-var'. Expects 'set-var(<var-name>)', 'set-var-fmt(<var-name>)' or 'unset-var(<var-name>)'."},
		{"tcp-check expect string a on-error %{+Q}[str(a)]", "'tcp-check expect' : '%{+Q}[str(a)]' invalid log-format string (flags are not supported in checks)."},
		{"http-check expect status 200 status-code res.len", "'http-check expect' : error detected while parsing status-code expression : fetch method 'res.len' is supported in tcp-check only."},
		{"http-check expect status 200 status-code src", "'http-check expect' : error detected while parsing status-code expression : fetch method 'src' is not supported in checks: only be_id, be_name, bool, date, env, hostname, int, srv_id, srv_name, str, var."},
		{"http-check expect hdr x", "'http-check expect' : 'hdr' expects at the name keyword as first argument followed by a pattern."},
		{"http-check expect hdr name x value", "'http-check expect' : 'hdr' expect a pattern with the value keyword."},
		{"http-check expect hdr name -m foo x", "'http-check expect' : 'hdr' : '-m' only supports 'str', 'beg', 'end', 'sub' or 'reg' (got 'foo')."},
		{"http-check expect hdr name x value -m reg (", "'http-check expect' : regex '(' is invalid (missing closing ): `(`)."},
		{"tcp-check expect hdr name x", "'tcp-check expect' : 'only supports min-recv, '[!]binary', '[!]string', '[!]rstring', '[!]string-lf''[!]rbinary', '[!]binary-lf' or comment but got 'hdr' as argument."},
		{"tcp-check connect port 0", "'tcp-check connect' : expects a valid TCP port (from range 1 to 65535) or a sample expression, got 0."},
		{"tcp-check connect via-socks4", "'tcp-check connect via-socks4' is not implemented yet by Penstock (HAProxy knows it)"},
		{"tcp-check connect ssl sni", "'tcp-check connect' : 'sni' expects a string as argument."},
		{"server s 127.0.0.1:1 check check-ssl", "'server b/s' : verify is enabled by default but no CA file specified."},
		{"option tcp-check\n tcp-check connect ssl\n server s 127.0.0.1:1 check", "'server b/s' : verify is enabled by default but no CA file specified."},
		{"server s 127.0.0.1:1 check check-ssl verify some", "'server b/s' : 'verify' : unknown verify method 'some', only 'none' and 'required' are supported."},
		{"server s 127.0.0.1:1 verify", "'server b/s' : 'verify' : missing verify method."},
		{"server s 127.0.0.1:1 ca-file", "'server b/s' : 'ca-file' : missing CAfile path."},
		{"server s 127.0.0.1:1 check-sni", "'server b/s' : 'check-sni' : missing SNI."},
		{"server s 127.0.0.1:1 check-alpn", "'server b/s' : 'check-alpn' : missing the comma-delimited ALPN protocol suite."},
		{"tcp-check connect foo", "'tcp-check connect' : expects 'comment', 'port', 'addr', 'send-proxy' or 'via-socks4', 'linger', 'default' but got 'foo' as argument."},
		{"tcp-check expect", "'tcp-check expect' : expects at least a matching pattern as arguments."},
		{"tcp-check expect comment a", "'tcp-check expect' : pattern not found."},
		{"tcp-check expect string a rstring b", "'tcp-check expect' : only on pattern expected."},
		{"tcp-check expect ! comment a", "'tcp-check expect' : [!] not supported with 'comment'."},
		{"tcp-check expect string", "'tcp-check expect' : 'string' expects a <pattern> as argument."},
		{"tcp-check expect string a min-recv -2", "'tcp-check expect' : 'min-recv' expects -1 or an integer from 0 to INT_MAX."},
		{"tcp-check expect string a ok-status L8", "'tcp-check expect' : 'ok-status' only supports 'L4OK', 'L6OK', 'L7OK' or 'L7OKC' status (got 'L8')."},
		{"http-check send-state now", "'http-check send-state' cannot handle unexpected argument 'now'."},
		{"tcp-check expect rstring (", "'tcp-check expect' : regex '(' is invalid (missing closing ): `(`)."},
		{"http-check expect status 3-2", "'http-check expect' : invalid range of status codes '3-2'."},
		{"http-check send hdr a", "'http-check send' : 'hdr' expects <name> and <value> as arguments."},
		{"http-check send uri a\\r\\nb", "'http-check send' : a line feed inside a request line or a header."},
		{"option smtpchk a b c", "'option smtpchk' cannot handle unexpected argument 'c'."},
		{"option pgsql-check a", "'option pgsql-check' expects 'user <username>' as argument."},
		{"option pgsql-check a b", "'option pgsql-check' only supports optional values: 'user'."},
		{"option mysql-check root", "'option mysql-check' only supports optional values: 'user' (got 'root')."},
		{"option mysql-check user", "'option mysql-check user' expects <username> as argument."},
		{"option mysql-check user a post-3", "keyword 'user' only supports 'post-41' and 'pre-41' (got 'post-3')."},
		{"option httpchk\n http-check expect status 200\n http-check send uri /", "'http-check': unable to add http-check send rule (missing connect rule) at step 2."},
		{"tcp-check send a", "backend 'b' uses tcp-check rules without 'option tcp-check', so the rules are ignored."},
		{"server s 127.0.0.1 check", "backend 'b': server 's' has neither service port nor check port."},
		{"server s 127.0.0.1:80 track", "'server b/s' : 'track' expects [<proxy>/]<server> as argument."},
		{"server s 127.0.0.1:80 track x/y", "backend 'b', server 's': unable to find required proxy 'x' for tracking."},
		{"server s 127.0.0.1:80 track y", "backend 'b', server 's': unable to find required server 'y' for tracking."},
		{"server s 127.0.0.1:80 track s", "backend 'b', server 's': unable to track b/s as it belongs to a tracking chain looping back to b/s."},
		{"server s 127.0.0.1:80 track t check\n server t 127.0.0.1:80 check", "backend 'b', server 's': unable to enable checks and tracking at the same time!"},
		{"server s 127.0.0.1:80 agent-check", "'server b/s' : server s does not have agent port. Agent check has been disabled."},
		{"server s 127.0.0.1:80 agent-check agent-port 70000", "'server b/s' : server s has an invalid agent port: 70000."},
		{"server s 127.0.0.1:80 track t\n server t 127.0.0.1:80", "backend 'b', server 's': unable to use b/t for tracking as it does not have any check nor agent enabled."},
		{"server s 127.0.0.1:80 check port 65536", "backend 'b': server 's' has an invalid check port: 65536."},
	} {
		_, found := LoadText("c.cfg", checkedHead+"backend b\n "+c.lines+"\n", Options{})
		if len(found.List) == 0 || found.List[0].Message != c.want {
			var got []string
			for _, d := range found.List {
				got = append(got, d.Message)
			}
			t.Errorf("%s\n got %s\nwant %s", c.lines, strings.Join(got, " / "), c.want)
		}
	}
}
