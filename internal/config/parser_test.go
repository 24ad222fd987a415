package config

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// findings renders what was found, one per line: level, place, message.
func findings(diags *Diagnostics) []string {
	var out []string
	for _, d := range diags.List {
		if d.place != placeContinue {
			out = append(out, fmt.Sprintf("%s %d:%d-%d %s", d.Severity, d.Line, d.Col, d.EndCol, d.Message))
		}
	}
	return out
}

// quiet are lines that make a section complete, so that a test sees its own findings only.
const quiet = "defaults\n timeout client 1s\n timeout server 1s\n timeout connect 1s\n"

func TestFindings(t *testing.T) {
	tests := []struct {
		name string
		text string // after four lines of defaults
		want []string
	}{
		{"nothing", "", nil},
		{"out of section", "", nil},
		{
			"unknown keyword", "listen l\n bind :1\n foo\n balanse x\n",
			[]string{
				"alert 7:2-5 unknown keyword 'foo' in 'listen' section",
				"alert 8:2-9 unknown keyword 'balanse' in 'listen' section; did you mean 'balance' maybe ?",
			},
		},
		{"unknown global keyword", "global\n maxcon 3\n", []string{"alert 6:2-8 unknown keyword 'maxcon' in 'global' section; did you mean 'maxconn' maybe ?"}},
		{"unknown option", "backend b\n option tcplo\n", []string{"alert 6:9-14 unknown option 'tcplo'; did you mean 'tcplog' maybe ?"}},
		{
			"not implemented", "backend b\n stick-table type ip size 1\n stick on src\n",
			[]string{
				"alert 6:2-13 'stick-table' is not implemented yet by Penstock (HAProxy knows it)",
				"alert 7:2-7 'stick' is not implemented yet by Penstock (HAProxy knows it)",
			},
		},
		{
			"removed", "backend b\n contimeout 3\n dispatch 1.1.1.1:1\n option transparent\nglobal\n nbproc 2\n",
			[]string{
				"alert 6:2-12 the 'contimeout' directive is not supported anymore since HAProxy 2.1. Use 'timeout connect'.",
				"alert 7:2-10 'dispatch' is not supported anymore since HAProxy 3.5.",
				"alert 8:9-20 option 'transparent' is not supported anymore since HAProxy 3.5.",
				"alert 10:2-8 nbproc is not supported any more since HAProxy 2.5. Threads will automatically be used on multi-processor machines if available.",
			},
		},
		{
			"wrong section", "backend b\n bind :1\n maxconn 3\n option dontlognull\n timeout client 1s\nfrontend f\n bind :1\n server a 1.1.1.1\n retries 3\n",
			[]string{
				"warning 6:2-6 'bind' ignored because backend 'b' has no frontend capability.",
				"warning 7:2-9 'maxconn' ignored because backend 'b' has no frontend capability. Maybe you want 'fullconn' instead ?",
				"warning 8:2-8 'dontlognull' ignored because backend 'b' has no frontend capability.",
				"warning 9:10-16 'timeout client' will be ignored because backend 'b' has no frontend capability",
				"alert 12:2-8 'server' not allowed because frontend 'f' has no backend capability.",
				"warning 13:2-9 'retries' ignored because frontend 'f' has no backend capability.",
			},
		},
		{
			"wrong section, wrong line", "backend b\n bind 1.1.1.1\n",
			[]string{
				"warning 6:2-6 'bind' ignored because backend 'b' has no frontend capability.",
				"alert 6:7-14 'bind' : missing port specification in '1.1.1.1'",
			},
		},
		{
			"not in defaults", "defaults\n bind :1\n acl a src 1.1.1.1\n tcp-request content accept\n id 3\n",
			[]string{
				"alert 6:2-6 'bind' not allowed in 'defaults' section.",
				"alert 7:2-5 'acl' not allowed in anonymous 'defaults' section.",
				"alert 8:2-13 tcp-request content is not allowed in anonymous 'defaults' sections",
				"alert 9:2-4 'id' not allowed in 'defaults' section.",
			},
		},
		{
			"times", "listen l\n bind :1\n timeout client 1.5s\n timeout client 25d\n timeout foo\n timeout client\n timeout client 1s 2\n timeout client -1\n",
			[]string{
				"alert 7:17-21 unexpected character '.' in 'timeout client'",
				"alert 8:17-20 timer overflow in argument '25d' to 'timeout client' (maximum value is 2147483647 ms or ~24.8 days)",
				"alert 9:10-13 'timeout' supports 'client', 'server', 'connect', 'check', 'queue', 'handshake', 'http-keep-alive', 'http-request', 'tunnel', 'tarpit', 'client-fin' and 'server-fin' (got 'foo')",
				"alert 10:16-17 'timeout client' expects an integer value (in milliseconds)",
				"alert 11:20-21 'timeout client' : unexpected extra argument '2' after value '1s'.",
				"alert 12:17-19 unexpected character '-' in 'timeout client'",
			},
		},
		{
			"arity", "listen l\n bind :1\n maxconn 10 20\n maxconn\n option tcplog x\n enabled x\nglobal\n daemon x\n",
			[]string{
				"alert 7:13-15 'maxconn' cannot handle unexpected argument '20'.",
				"alert 8:9-10 'maxconn' expects an integer argument.",
				"alert 9:16-17 'option tcplog' cannot handle unexpected argument 'x'.",
				"alert 10:10-11 'enabled' cannot handle unexpected argument 'x'.",
				"alert 12:9-10 'daemon' cannot handle unexpected argument 'x'.",
			},
		},
		{"numbers as atol takes them", "listen l\n bind :1\n maxconn abc\n retries -1\n fullconn 3x\n", nil},
		{
			"negation", "listen l\n bind :1\n no option tcplog\n no timeout client\n default option redispatch\nglobal\n no daemon\n no busy-polling\n",
			[]string{
				"alert 7:12-18 negation/default is not supported for option 'tcplog'.",
				"alert 8:2-4 negation/default currently supported only for options, log, busy-polling, set-dumpable, strict-limits, insecure-fork-wanted and numa-cpu-mapping.",
				"alert 11:2-4 negation/default currently supported only for options, log, busy-polling, set-dumpable, strict-limits, insecure-fork-wanted and numa-cpu-mapping.",
			},
		},
		{
			"headers", "frontend\nfrontend a/b\n bind :1\nfrontend c :80\nbackend d x\nlisten e from nope\n bind :1\nglobal x\n",
			[]string{
				"alert 5:9-10 'frontend' expects an <id> argument",
				"alert 6:10-13 character '/' is not permitted in 'frontend' name 'a/b'.",
				"alert 8:12-15 please use the 'bind' keyword for listening addresses.",
				"alert 9:11-12 'backend' cannot handle unexpected argument 'x'.",
				"alert 10:15-19 defaults section 'nope' not found for proxy 'e'.",
				"alert 12:8-9 'global' cannot handle unexpected argument 'x'.",
			},
		},
		{
			"ambiguous defaults", "defaults a\ndefaults a\nbackend l from a\n",
			[]string{"alert 7:16-17 ambiguous defaults section name 'a' referenced by backend 'l' exists at least at t.cfg:6 and t.cfg:5."},
		},
		{
			"defaults named and inherited", "defaults a\nbackend b\nbackend c from a\n",
			[]string{"warning 7:1-8 defaults section 'a' (declared at t.cfg:5) is explicitly referenced by another proxy and implicitly used here. To avoid any ambiguity don't mix both usage. Add a last defaults section not explicitly used or always use explicit references."},
		},
		{
			"duplicates", "backend b\n server a 1.1.1.1\n server a 1.1.1.2\n server c 1.1.1.1 id 3\n server d 1.1.1.1 id 3\nlisten b\nbackend e\n id 7\nbackend g\n id 7\n",
			[]string{
				"alert 7:9-10 'server b/a' : another server named 'a' was already defined at line 6, please use a distinct name.",
				"alert 9:9-10 'server b/d' : 'id' : custom id 3 already used at t.cfg:8 ('server c').",
				"alert 10:8-9 proxy 'b' has the same name as backend 'b' declared at t.cfg:5. This is no longer supported as of 3.3. Please rename one or the other.",
				"alert 14:5-6 backend g reuses same custom id as backend e (declared at t.cfg:11).",
			},
		},
		{
			"duplicate listener ids", "listen l\n bind :1 id 4\n bind :2 id 4\n",
			[]string{"alert 7:7-9 'bind :2' in section 'listen' : 'id' : custom id 4 already used at t.cfg:6 ('bind :1')"},
		},
		{
			"references", "frontend f\n bind :1\n default_backend nosuch\nfrontend g\n bind :2\n use_backend f\nlisten l\n bind :3\n default_backend l\n",
			[]string{
				"alert 7:18-24 Proxy 'f': unable to find required default_backend: 'nosuch'.",
				"alert 10:14-15 Proxy 'g': unable to find required use_backend: 'f'.",
				"alert 13:18-19 Proxy 'l': loop detected for default_backend: 'l'.",
			},
		},
		{
			"conditional use_backend", "backend b\nfrontend f\n bind :1\n use_backend b if TRUE\n use_backend b x\n use_backend %[src]\n",
			[]string{
				"alert 8:16-18 'use_backend if' is not implemented yet by Penstock (HAProxy knows it)",
				"alert 9:16-17 unexpected keyword 'x' after switching rule, only 'if' and 'unless' are allowed.",
				"alert 10:14-20 'use_backend with a log-format' is not implemented yet by Penstock (HAProxy knows it)",
			},
		},
		{
			"missing timeouts", "defaults\nlisten l\n bind :1\nfrontend f\n bind :2\nbackend b\n server a 1.1.1.1\nbackend t\n timeout connect 1s\n timeout tunnel 1s\n server a 1.1.1.1\nbackend empty\n",
			[]string{
				"warning 6:8-9 missing timeouts for proxy 'l'." + timeoutsTail,
				"warning 8:10-11 missing timeouts for frontend 'f'." + timeoutsTail,
				"warning 10:9-10 missing timeouts for backend 'b'." + timeoutsTail,
			},
		},
		{"no bind", "frontend f\n", []string{"warning 5:10-11 frontend 'f' has no 'bind' directive. Please declare it as a backend if this was intended."}},
		{
			"log without target", "listen l\n bind :1\n option tcplog\n log global\nlisten m\n bind :2\n log-format x\n log stdout local0\n",
			[]string{"warning 7:9-15 log format ignored for proxy 'l' since it has no log address."},
		},
		{
			"log mistakes", "listen l\n bind :1\n log foo\n no log x\n log-format a b\n log-format\nglobal\n log global\n",
			[]string{
				"alert 7:9-10 log : expects <address> and <facility> or global as arguments",
				"alert 8:9-10 log : 'no log' does not expect arguments",
				"alert 9:15-16 log-format expects only one argument, don't forget to escape spaces!",
				"alert 10:12-13 log-format expects an argument.",
				"alert 12:6-12 log : 'global' is not supported for a global syslog server",
			},
		},
		{
			"lines of HTTP", "listen l\n bind :1\n option forwardfor\n option http-server-close\n http-request deny\n cookie x\n stats enable\n errorfile 503 /x\n option httplog\n log stdout local0\n",
			[]string{
				"warning 7:9-19 'option forwardfor' ignored for proxy 'l' as it requires HTTP mode.",
				"warning 9:2-14 'http-request' rules ignored for proxy 'l' as they require HTTP mode.",
				"warning 10:2-8 cookie will be ignored for proxy 'l' (needs 'mode http').",
				"warning 11:2-7 'stats' statement ignored for proxy 'l' as it requires HTTP mode.",
				"warning 13:9-16 'option httplog' not usable with proxy 'l' (needs 'mode http'). Falling back to 'option tcplog'.",
			},
		},
		{
			"inherited lines of HTTP", "defaults\n option forwardfor\n option checkcache\n timeout client 1s\nfrontend f\n bind :1\n no option checkcache\nbackend b\n",
			[]string{
				"warning 11:5-11 'checkcache' ignored because frontend 'f' has no backend capability.",
				"warning 6:9-19 'option forwardfor' ignored for frontend 'f' as it requires HTTP mode.",
				"warning 6:9-19 'option forwardfor' ignored for backend 'b' as it requires HTTP mode.",
				"warning 7:9-19 'option checkcache' ignored for backend 'b' as it requires HTTP mode.",
			},
		},
		{
			"mode http", "defaults\n mode http\n option forwardfor\n timeout client 1s\nlisten s\n bind :1\n stats uri /\nlisten m\n bind :2\n http-request use-service prometheus-exporter if { path /metrics }\nfrontend f\n bind :3\nbackend t\n mode tcp\nbackend d\n disabled\n",
			[]string{
				"alert 6:7-11 frontend 'f' is in 'mode http', which Penstock does not handle.",
				"warning 7:9-19 'option forwardfor' ignored for backend 't' as it requires HTTP mode.",
			},
		},
		{
			"balance", "backend b\n balance foo\n balance random(0)\n balance random(x)\n balance random(3\n balance hash src\n balance leastconn(3)\n hash-type x\n hash-type consistent foo\n hash-balance-factor 50\n",
			[]string{
				"alert 6:10-13 balance only supports 'roundrobin', 'static-rr', 'leastconn', 'source', 'uri', 'url_param', 'hash', 'hdr(name)', 'rdp-cookie(name)', 'log-hash' and 'sticky' options.",
				"alert 7:10-19 balance random : number of draws must be at least 1.",
				"alert 8:10-19 balance random : unexpected character 'x' after argument.",
				"alert 9:10-18 balance random : missing closing parenthesis.",
				"alert 10:10-14 'balance hash' is not implemented yet by Penstock (HAProxy knows it)",
				"alert 11:10-22 balance only supports 'roundrobin', 'static-rr', 'leastconn', 'source', 'uri', 'url_param', 'hash', 'hdr(name)', 'rdp-cookie(name)', 'log-hash' and 'sticky' options.",
				"alert 12:12-13 'hash-type' only supports 'consistent' and 'map-based'.",
				"alert 13:23-26 'hash-type' only supports 'sdbm', 'djb2', 'crc32', or 'wt6' hash functions.",
				"alert 14:22-24 'hash-balance-factor' must be 0 or greater than 100.",
			},
		},
		{
			"balance over HTTP", "backend b\n balance uri\nbackend c\n balance uri\n balance source\n",
			[]string{"warning 6:10-13 Layer 7 hash not possible for backend 'b' (needs 'mode http'). Falling back to round robin."},
		},
		{
			"sections", "resolvers dns\n nameserver a 1.1.1.1:53\n foo\npeers p\n peer a 1.1.1.1:1\nuserlist u\n user a\n",
			[]string{
				"alert 5:1-10 the 'resolvers' section is not implemented yet by Penstock (HAProxy knows it)",
				"alert 8:1-6 the 'peers' section is not implemented yet by Penstock (HAProxy knows it)",
				"warning 10:1-9 the 'userlist' section is ignored: it has no use in TCP mode.",
			},
		},
		{
			"conditions", ".if 0\n foo\n.if 1\n bar\n.endif\n.elif defined(NONE)\n foo\n.else\n.notice hello\n.endif\n.if 1\n.elif nonsense\n foo\n.else\n foo\n.endif\n",
			[]string{"notice 13:9-14 'hello'."},
		},
		{
			"wrong conditions", ".else\n.elif 1\n.endif\n.if 1\n.else\n.else\n.elif 1\n.endif x\n.endif\n.foo\n.if foo bar\n.endif\n.if 1 || zzz\n.endif\n.warning a b\n.warning \"a b\"\n.alert c\n",
			[]string{
				"alert 5:1-6 lone '.else' with no matching '.if'.",
				"alert 6:1-6 lone '.elif' with no matching '.if'.",
				"alert 7:1-7 lone '.endif' with no matching '.if'.",
				"alert 10:1-6 '.else' after '.else' is not permitted.",
				"alert 11:1-6 '.elif' after '.else' is not permitted.",
				"alert 12:8-9 Unexpected argument 'x' for '.endif'.",
				"alert 14:1-5 unknown directive '.foo'.",
				"alert 15:5-8 unparsable conditional expression 'foo bar' in '.if' at position 1:",
				"alert 17:10-13 unparsable conditional expression 'zzz' in '.if' at position 6:",
				"alert 19:12-13 Unexpected argument 'b' for '.warning'. Use quotes if the message should contain spaces.",
				"warning 20:10-15 'a b'.",
				"alert 21:8-9 'c'.",
			},
		},
		{"open condition", "global\n.if 1\n", []string{"alert 6:0-0 non-terminated '.if' block."}},
		{"too many conditions", strings.Repeat(".if 1\n", 100) + strings.Repeat(".endif\n", 100), []string{"alert 104:1-4 too many nested '.if', max is 100."}},
		{
			"lexer", "global\n log \"x y\n log a\\xZZ local0\n log \"\" local0\n.if 0\n log \"\" local0\n.endif\n",
			[]string{
				"alert 6:6-10 unmatched quote at position 6:",
				"alert 7:7-11 truncated or invalid hexadecimal sequence at position 7:",
				"alert 8:6-8 argument number 1 at position 6 is empty and marks the end of the argument list:",
			},
		},
		{"missing line feed", "global\n quiet", []string{"warning 6:7-8 Missing LF on last line, file might have been truncated at position 7."}},
		{"NUL", "global\n qui\x00et\n", []string{"alert 6:5-6 Stray NUL character at position 5."}},
		{
			"global", "global\n nbthread 0\n nbthread x\n node a/b\n user no-such-user-here\n uid 0\n chroot\n hard-stop-after 3x\n stats foo\n stats maxconn 0\n cpu-map 1 x\n cpu-map auto:1/1-4 0-2\n setenv a\n setenv a=b c\n default-path foo\n ssl-default-bind-ciphers x\n master-worker\n set-var proc.x int(3)\n tune.bufsize 0\n tune.idletimer 70000\n unix-bind foo\n",
			[]string{
				"alert 6:11-12 'nbthread' value must be between 1 and 1024 (was 0)",
				"alert 7:11-12 'nbthread' passed a missing or unparsable integer value in 'x'",
				"alert 8:7-10 'node' requires valid node name - non-empty string with digits(0-9), letters(A-Z, a-z), dot(.), hyphen(-) or underscode(_).",
				"alert 9:7-24 cannot find user id for 'no-such-user-here' (0:Success)",
				"warning 10:2-5 user/uid already specified. Continuing.",
				"alert 11:8-9 'chroot' expects a directory as an argument.",
				"alert 12:18-20 unexpected character 'x' in argument to <hard-stop-after>.",
				"alert 13:8-11 'stats' only supports 'socket', 'maxconn', 'bind-process' and 'timeout' (got 'foo')",
				"alert 14:16-17 'stats maxconn' expects a positive value",
				"alert 15:12-13 cpu-map : 'x' is not a valid number/range.",
				"alert 16:10-20 cpu-map : TGROUP/THREAD range and CPU sets must have the same size to be automatically bound",
				"alert 17:10-11 'setenv' expects a name and a value.",
				"alert 18:9-12 'setenv' failed on variable 'a=b' : Invalid argument.",
				"alert 19:15-18 unsupported default-path mode 'foo' for 'default-path', supported modes include 'current', 'config', 'parent', and 'origin'.",
				"warning 20:2-26 'ssl-default-bind-ciphers' is ignored: Penstock does not handle TLS.",
				"alert 22:2-9 'set-var' is not implemented yet by Penstock (HAProxy knows it)",
				"alert 23:15-16 'tune.bufsize' expects a positive integer argument.",
				"alert 24:17-22 'tune.idletimer' expects a timer value between 0 and 65535 ms.",
				"alert 25:12-15 'unix-bind' only supports the 'prefix', 'mode', 'uid', 'gid', 'user' and 'group' options.",
			},
		},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			_, diags := LoadText("t.cfg", quiet+tt.text, Options{})
			if diff := cmp.Diff(tt.want, findings(diags)); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
			wantFatal := slices.ContainsFunc(tt.want, func(s string) bool { return strings.HasPrefix(s, "alert") })
			if diags.Fatal() != wantFatal {
				t.Errorf("Fatal() = %v", diags.Fatal())
			}
		})
	}
}

const timeoutsTail = "\n   | While not properly invalid, you will certainly encounter various problems\n" +
	"   | with such a configuration. To fix this, please ensure that all following\n" +
	"   | timeouts are set to a non-zero value: 'client', 'connect', 'server'."

func TestOutOfSection(t *testing.T) {
	_, diags := LoadText("t.cfg", "foo bar\nglobal\n quiet\n", Options{})
	if diff := cmp.Diff([]string{"alert 1:1-4 unknown keyword 'foo' out of section."}, findings(diags)); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	if got, want := diags.List[0].Text(), "config : parsing [t.cfg:1]: unknown keyword 'foo' out of section."; got != want {
		t.Errorf("Text() = %q, want %q", got, want)
	}
	var last []string
	for _, d := range diags.List[1:] {
		last = append(last, d.Text())
	}
	want := []string{"config : Error(s) found in configuration file : t.cfg", "config : Fatal errors found in configuration."}
	if diff := cmp.Diff(want, last); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

func TestDiagMode(t *testing.T) {
	text := quiet + ".diag detail\nlisten l\n bind :1\n maxconn abc\n option httpclose\n"
	_, diags := LoadText("t.cfg", text, Options{DiagMode: true})
	want := []string{
		"diag 5:7-13 'detail'.",
		"diag 8:10-13 'maxconn': 'abc' is not a number, it is read as 0.",
		"diag 9:9-18 'httpclose' has no effect for proxy 'l' as it requires HTTP mode.",
	}
	if diff := cmp.Diff(want, findings(diags)); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

func TestTooManyErrors(t *testing.T) {
	_, diags := LoadText("t.cfg", "global\n"+strings.Repeat(" foo\n", 1000), Options{})
	got := findings(diags)
	if len(got) != maxFatal+1 {
		t.Fatalf("%d findings", len(got))
	}
	if want := "alert 51:0-0 too many fatal errors (50), stopping now."; got[maxFatal] != want {
		t.Errorf("last finding %q, want %q", got[maxFatal], want)
	}
}

func mustWrite(tb testing.TB, path, text string) {
	tb.Helper()
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		tb.Fatal(err)
	}
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		tb.Fatal(err)
	}
}

func TestFiles(t *testing.T) {
	dir := t.TempDir()
	at := func(name string) string { return filepath.Join(dir, name) }
	mustWrite(t, at("d/10.cfg"), "defaults\n timeout client 1s\n timeout server 1s\n timeout connect 3s\nbackend ten\n server a 1.1.1.1\n")
	mustWrite(t, at("d/2.cfg"), "bind :1\n")
	mustWrite(t, at("d/.hidden.cfg"), "nonsense\n")
	mustWrite(t, at("d/readme.txt"), "nonsense\n")
	mustWrite(t, at("d/sub.cfg/x.cfg"), "nonsense\n")
	mustWrite(t, at("one.cfg"), "global\n node one\n")
	if err := os.Mkdir(at("empty"), 0o755); err != nil {
		t.Fatal(err)
	}

	cfg, diags := Load(Options{Files: []string{at("one.cfg"), at("d")}})
	if diff := cmp.Diff([]string{at("one.cfg"), at("d/10.cfg"), at("d/2.cfg")}, cfg.Files); diff != "" {
		t.Errorf("Files (-want +got):\n%s", diff)
	}
	want := []string{"alert 1:1-5 unknown keyword 'bind' out of section."}
	if diff := cmp.Diff(want, findings(diags)); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	if got := diags.List[1].Text(); got != "config : Error(s) found in configuration file : "+at("d/2.cfg") {
		t.Errorf("second message %q", got)
	}

	mustWrite(t, at("d/2.cfg"), "backend two\n server a 1.1.1.1\n")
	cfg, diags = Load(Options{Files: []string{at("one.cfg"), at("d")}})
	if diags.Fatal() || len(cfg.Proxies) != 2 || cfg.Proxies[1].Timeouts.Connect.Seconds() != 3 || cfg.Global.Node != "one" {
		t.Errorf("defaults of one file do not reach the next: %q, %+v", findings(diags), cfg.Proxies)
	}

	cfg, diags = Load(Options{Files: []string{at("empty")}})
	if len(cfg.Files) != 0 || diags.Fatal() {
		t.Errorf("an empty directory: %v, %q", cfg.Files, findings(diags))
	}

	_, diags = Load(Options{Files: []string{at("nosuchfile")}})
	want = []string{"alert 0:0-0 Cannot open configuration file/directory " + at("nosuchfile") + " : No such file or directory"}
	if diff := cmp.Diff(want, findings(diags)); diff != "" || !diags.Fatal() {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

func FuzzParse(f *testing.F) {
	paths, err := filepath.Glob("testdata/golden/*.cfg")
	if err != nil {
		f.Fatal(err)
	}
	for _, path := range paths {
		text, err := os.ReadFile(path)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(string(text))
	}
	f.Fuzz(func(t *testing.T, text string) {
		cfg, diags := LoadText("f.cfg", text, Options{Env: condEnv, DiagMode: true})
		checkFindings(t, text, diags)
		if !diags.Fatal() {
			checkConfig(t, cfg)
		}
	})
}

// checkFindings holds what is true of every finding about text.
func checkFindings(t *testing.T, text string, diags *Diagnostics) {
	t.Helper()
	lines := strings.Split(text, "\n")
	for i := range diags.List {
		d := &diags.List[i]
		if d.Message == "" || d.Code == "" || d.Severity == 0 {
			t.Errorf("a finding says too little: %+v", *d)
		}
		_ = d.Excerpt()
		if d.Line == 0 {
			continue
		}
		if d.Line > len(lines) {
			t.Errorf("%q in line %d of %d", d.Message, d.Line, len(lines))
			continue
		}
		size := len(lines[d.Line-1])
		if d.Col != 0 && (d.Col > size+1 || d.EndCol <= d.Col || d.EndCol > size+2) {
			t.Errorf("%q at %d..%d of %d bytes", d.Message, d.Col, d.EndCol, size)
		}
		if d.Col != 0 && d.Excerpt() == "" {
			t.Errorf("%q has a place but no excerpt", d.Message)
		}
	}
}

// checkConfig holds what is true of every configuration that was accepted.
func checkConfig(t *testing.T, cfg *Config) {
	t.Helper()
	names, ids := make(map[string]bool), make(map[int]bool)
	for _, px := range cfg.Proxies {
		if px.Name == "" || names[px.Name] || px.ID < 1 || ids[px.ID] {
			t.Errorf("proxy %q with id %d is not unique", px.Name, px.ID)
		}
		names[px.Name], ids[px.ID] = true, true
		servers, serverIDs := make(map[string]bool), make(map[int]bool)
		for _, s := range px.Servers {
			if s.Name == "" || servers[s.Name] || s.ID < 1 || serverIDs[s.ID] {
				t.Errorf("server %q with id %d is not unique", s.Name, s.ID)
			}
			servers[s.Name], serverIDs[s.ID] = true, true
		}
		listenerIDs := make(map[int]bool)
		for _, b := range px.Binds {
			if len(b.Addrs) == 0 || len(b.ListenerIDs) != len(b.Addrs) {
				t.Errorf("bind %q: %d addresses, %d ids", b.Words, len(b.Addrs), len(b.ListenerIDs))
			}
			for _, id := range b.ListenerIDs {
				if id < 1 || listenerIDs[id] {
					t.Errorf("listener id %d is not unique", id)
				}
				listenerIDs[id] = true
			}
		}
		for _, target := range px.Logs {
			if target.Kind == 0 {
				t.Error("log global was not expanded")
			}
		}
	}
	for _, px := range cfg.Proxies {
		for _, ref := range []Ref{px.DefaultBackend, px.UseBackend} {
			if ref.Name != "" && !px.Disabled && !names[ref.Name] {
				t.Errorf("%s refers to %q", px.Name, ref.Name)
			}
		}
	}
}

// TestEveryKeyword puts every keyword into every section, with few and with many arguments.
func TestEveryKeyword(t *testing.T) {
	arguments := []string{"", " x", " 1", " 1 2", " on", " none", " a 1.1.1.1:1", " client 1s", " x y z 1 2 3 4 5 6 7 8 9", " -1", " 99999999999999999999"}
	headers := map[string][]string{
		"global\n": sortedKeys(globalKeywords),
	}
	for _, header := range []string{"defaults\n", "defaults d\n", "frontend f\n", "backend b\n", "listen l\n"} {
		headers[header] = sortedKeys(proxyKeywords)
		for _, option := range sortedKeys(optionKeywords) {
			headers[header] = append(headers[header], "option "+option, "no option "+option)
		}
	}
	for header, keywords := range headers {
		for _, keyword := range keywords {
			for _, args := range arguments {
				text := header + " " + keyword + args + "\n"
				cfg, diags := LoadText("f.cfg", text, Options{DiagMode: true})
				checkFindings(t, text, diags)
				for _, d := range diags.List {
					if d.Code == codeUnknownKeyword && strings.Contains(d.Message, "'"+keyword+"' in") {
						t.Errorf("%q: %s", text, d.Message)
					}
				}
				if !diags.Fatal() {
					checkConfig(t, cfg)
				}
			}
		}
	}
}

func BenchmarkLoad(b *testing.B) {
	var text strings.Builder
	text.WriteString("defaults\n timeout client 1s\n timeout server 1s\n timeout connect 1s\n")
	lines := 4
	for n := 0; lines < 100_000; n++ {
		fmt.Fprintf(&text, "listen l%d\n    bind 127.0.0.1:%d name x # comment\n    balance leastconn\n    option tcplog\n    log 127.0.0.1 local0\n", n, 1024+n%60000)
		for s := range 15 {
			fmt.Fprintf(&text, "    server \"s%d\" 10.0.%d.%d:3306 weight 10 maxconn 100\n", s, n%256, s)
		}
		lines += 20
	}
	b.SetBytes(int64(text.Len()))
	for b.Loop() {
		if _, diags := LoadText("f.cfg", text.String(), Options{}); diags.Fatal() {
			b.Fatal(findings(diags)[0])
		}
	}
}
