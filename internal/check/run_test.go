package check

import (
	"encoding/binary"
	"fmt"
	"io"
	"net"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/penstock/penstock/internal/testutil"
)

// script is a server that reads what it wants and answers, in turns.
type script struct {
	// expect reads what the check should send.
	expect func(c *testutil.Conn, text string)
}

// strict fails the test when a check sends something else.
var strict = script{func(c *testutil.Conn, text string) {
	got := make([]byte, len(text))
	n, err := io.ReadFull(c.Conn, got)
	if !strings.HasPrefix(text, string(got[:n])) {
		c.Fatalf("received %q, want %q", got[:n], text)
	}
	if err != nil {
		runtime.Goexit()
	}
}}

// say writes. Here and in strict, a check that has left ends the server's goroutine and fails nothing: those
// that are under way when a test is over end with their checker.
func say(c *testutil.Conn, text string) {
	if _, err := io.WriteString(c.Conn, text); err != nil {
		runtime.Goexit()
	}
}

func (s script) run(c *testutil.Conn, turns []string) {
	for i, t := range turns {
		if i%2 == 0 && t != "" {
			s.expect(c, t)
		} else if i%2 == 1 {
			say(c, t)
		}
	}
}

// replies ends its side of the connection after the last turn.
func (s script) replies(turns ...string) func(*testutil.Conn) {
	return func(c *testutil.Conn) {
		s.run(c, turns)
		_ = c.Conn.(*net.TCPConn).CloseWrite() // the check may have left
		io.Copy(io.Discard, c)
	}
}

// holds keeps the connection open.
func (s script) holds(turns ...string) func(*testutil.Conn) {
	return func(c *testutil.Conn) {
		s.run(c, turns)
		io.Copy(io.Discard, c)
	}
}

const redisPing = "*1\r\n$4\r\nPING\r\n"

// outcomeCase is what a check makes of what a server does.
type outcomeCase struct {
	name   string
	lines  string
	server func(*testutil.Conn)
	want   string
}

// What an agent that takes part in SPOP says of itself.
const (
	spopVersion = "\x07version\x08\x032.0"
	spopSize    = "\x0emax-frame-size\x03\xf0\xf1\x03"
)

func spopFrame(kind, flags byte, list string) string {
	frame := string([]byte{kind, 0, 0, 0, flags, 0, 0}) + list
	return string(binary.BigEndian.AppendUint32(nil, uint32(len(frame)))) + frame
}

func outcomeCases(s script) []outcomeCase {
	replies, holds := s.replies, s.holds
	const ok = "HTTP/1.1 200 OK\r\n"
	const answer = "HTTP/1.1 200 Fine\r\nX-A: one, two\r\nX-B: three\r\nX-A: four\r\nContent-Length: 3\r\n\r\nabc"
	greeting := string(mysqlPacket(0, []byte("\n8.0.1-test\x00\x01\x00\x00\x00salt")))
	login := string(mysqlLogin("u"))
	quit := "\x01\x00\x00\x00\x01"
	mysqlUser := "option mysql-check user u"
	startup := "\x00\x00\x00\x10\x00\x03\x00\x00user\x00u\x00\x00"
	return []outcomeCase{
		{"connect", "", holds(), "L4OK"},
		{"connect by rule", "option tcp-check\n tcp-check connect", holds(), "L4OK (tcp-check)"},
		{"no rule", "option tcp-check", holds(), "L4OK"},
		{"only sends", "option tcp-check\n tcp-check send hello", holds("hello"), "L7OK/0 (tcp-check)"},
		{"string", "option tcp-check\n tcp-check send PING\\r\\n\n tcp-check expect string +PONG", holds("PING\r\n", "+PONG\r\n"), "L7OK/0 (tcp-check)"},
		{"binary", "option tcp-check\n tcp-check send-binary 0001\n tcp-check expect binary ff00", holds("\x00\x01", "a\xff\x00"), "L7OK/0 (tcp-check)"},
		{"expression", "option tcp-check\n tcp-check expect rstring ^[0-9]+!", holds("", "12!"), "L7OK/0 (tcp-check)"},
		{"expression in hexadecimal", "option tcp-check\n tcp-check expect rbinary ^0A(0B)+$ min-recv 3", holds("", "\x0a\x0b\x0b"), "L7OK/0 (tcp-check)"},
		{"other statuses", "option tcp-check\n tcp-check expect string x ok-status L6OK", holds("", "x"), "L6OK (tcp-check)"},
		{
			"another string", "option tcp-check\n tcp-check send PING\n tcp-check expect string +PONG comment \"wait pong\"", replies("PING", "-ERR no"),
			"L7RSP TCPCHK did not match content '+PONG' at step 2 comment: wait pong",
		},
		{
			"a minimum makes it final", "option tcp-check\n tcp-check expect string +PONG min-recv 5", holds("", "-ERR no"),
			"L7RSP TCPCHK did not match content '+PONG' at step 1",
		},
		{
			"unwanted", "option tcp-check\n tcp-check expect ! string ERR error-status L7STS", holds("", "-ERR no"),
			"L7STS/0 TCPCHK matched unwanted content 'ERR' at step 1",
		},
		{"not unwanted", "option tcp-check\n tcp-check expect !string ERR", replies("", "+fine"), "L7OK/0 (tcp-check)"},
		{
			"nothing", "option tcp-check\n tcp-check comment greet\n tcp-check expect string hi", replies(),
			"L7RSP TCPCHK got an empty response at step 2 comment: 'greet'",
		},
		{
			"late", "option tcp-check\n timeout check 50ms\n tcp-check send a\n tcp-check expect string hi tout-status L6TOUT", holds("a"),
			"L6TOUT  at step 2 of tcp-check (expect string 'hi')",
		},
		{
			"cut", "option tcp-check\n tcp-check send a\n tcp-check expect string hi comment x", func(c *testutil.Conn) { s.expect(c, "a"); c.Reset() },
			"SOCKERR ECONNRESET returned by OS (Connection reset by peer) at step 2 of tcp-check (expect string 'hi') comment: 'x'",
		},
		{"in pieces", "option tcp-check\n tcp-check expect string ab\n tcp-check expect string cd", func(c *testutil.Conn) {
			say(c, "a")
			time.Sleep(20 * time.Millisecond)
			say(c, "bc")
			time.Sleep(20 * time.Millisecond)
			say(c, "d")
			io.Copy(io.Discard, c)
		}, "L7OK/0 (tcp-check)"},
		{
			"more than fits", "option tcp-check\n tcp-check expect string hi", func(c *testutil.Conn) {
				for _, err := io.WriteString(c.Conn, strings.Repeat("x", 1<<16)); err == nil; {
					_, err = io.WriteString(c.Conn, strings.Repeat("x", 1<<16))
				}
			},
			"L7RSP TCPCHK did not match content 'hi' at step 1",
		},
		{
			"every send begins anew", "option tcp-check\n tcp-check send a\n tcp-check expect string 1\n tcp-check send b\n tcp-check expect string 1 min-recv 1",
			holds("a", "1", "b", "2"), "L7RSP TCPCHK did not match content '1' at step 4",
		},
		{"garbage", "option redis-check", replies("", "\x00\xff\xfe"), "L7STS/0"},

		{"redis", "option redis-check", holds(redisPing, "+PONG\r\n"), "L7OK/0 Redis server is ok"},
		{"redis wants a password", "option redis-check", holds(redisPing, "-NOAUTH Authentication required.\r\n"), "L7STS/0 -NOAUTH Authentication required."},
		{"redis says half", "option redis-check", replies(redisPing, "+PO"), "L7STS/0 +PO"},
		{"redis says nothing", "option redis-check", replies(redisPing), "L7STS/0 TCPCHK got an empty response at step 2"},

		{"mysql", mysqlUser, holds("", greeting, login, "\x07\x00\x00\x02\x00\x00\x00\x02\x00\x00\x00", quit), "L7OK/0 8.0.1-test"},
		{"mysql, another plugin", mysqlUser, holds("", greeting, login, "\x06\x00\x00\x02\xfesha2\x00", "\x00\x00\x00\x03", "\x07\x00\x00\x04\x00\x00\x00\x02\x00\x00\x00", quit), "L7OK/0 8.0.1-test"},
		{"mysql, no such user", mysqlUser, holds("", greeting, login, "\x0f\x00\x00\x02\xff\x15\x04#28000Denied"), "L7STS/1045 Denied"},
		{"mysql, any user", "option mysql-check", holds("", greeting, string(mysqlLogin("")), "\x0f\x00\x00\x02\xff\x15\x04#28000Denied", quit), "L7OK/0 8.0.1-test"},
		{"mysql, any user but blocked", "option mysql-check", holds("", "\x0a\x00\x00\x00\xff\x69\x04Blocked"), "L7STS/1129 Blocked"},
		{"mysql, before 4.1", mysqlUser + " pre-41", holds("", greeting, string(mysqlOldLogin("u")), "\x07\x00\x00\x02\x00\x00\x00\x02\x00\x00\x00", quit), "L7OK/0 8.0.1-test"},
		{"mysql, half a greeting", mysqlUser, replies("", greeting[:9]), "L7RSP"},
		{"mysql, no greeting", mysqlUser, replies("", "SSH-2.0-OpenSSH\r\n"), "L7RSP not a MySQL packet"},
		{"mysql, another packet", mysqlUser, replies("", "\x02\x00\x00\x00\x77\x00"), "L7RSP not a MySQL greeting"},
		{"mysql, a password", mysqlUser, holds("", greeting, login, "\x02\x00\x00\x02\x01\x04", quit), "L7OK/0 8.0.1-test"},

		{"postgres", "option pgsql-check user u", holds(startup, "R\x00\x00\x00\x0c\x00\x00\x00\x05salt"), "L7OK/0 PostgreSQL server is ok"},
		{"postgres, scram", "option pgsql-check user u", holds(startup, "R\x00\x00\x00\x17\x00\x00\x00\x0aSCRAM-SHA-256\x00\x00"), "L7OK/0 PostgreSQL server is ok"},
		{"postgres, refused", "option pgsql-check user u", holds(startup, "E\x00\x00\x00\x1dSFATAL\x00C28000\x00Mno entry\x00\x00"), "L7RSP FATAL: no entry"},
		{"postgres, what", "option pgsql-check user u", holds(startup, "N"), "L7STS/0 PostgreSQL unknown error"},

		{"smtp", "option smtpchk EHLO me", holds("", "220 mx\r\n", "EHLO me\r\n", "250-mx\r\n250 SIZE\r\n", "QUIT\r\n", "221 bye\r\n"), "L7OK/221 bye"},
		{"smtp, default greeting", "option smtpchk", holds("", "220 mx\r\n", "HELO localhost\r\n", "250 mx\r\n", "QUIT\r\n", "221 bye\r\n"), "L7OK/221 bye"},
		{"smtp, closed", "option smtpchk", holds("", "554 go away\r\n"), "L7STS/554 go away"},
		{"smtp, no banner", "option smtpchk", holds("", "hello there\r\n"), "L7RSP hello there"},

		{"ldap", "option ldap-check", holds("\x30\x0c\x02\x01\x01\x60\x07\x02\x01\x03\x04\x00\x80\x00", "\x30\x0c\x02\x01\x01\x61\x07\x0a\x01\x00\x04\x00\x04\x00"), "L7OK/0 Success"},
		{"ldap, refused", "option ldap-check", holds("", "\x30\x0c\x02\x01\x01\x61\x07\x0a\x01\x31\x04\x00\x04\x00"), "L7STS/49 See RFC: http://tools.ietf.org/html/rfc4511#section-4.1.9"},
		{"ldap, not", "option ldap-check", replies("", "SSH-2.0-OpenSSH\r\n"), "L7RSP Not LDAPv3 protocol"},

		{"ssl", "option ssl-hello-chk", holds("", "\x15\x03\x00\x00\x02\x02\x28"), "L6OK"},
		{"ssl, not", "option ssl-hello-chk", holds("", "HTTP/1.1 400 Bad\r\n"), "L6RSP"},
		{"ssl, late", "option ssl-hello-chk\n timeout check 50ms", holds(), "L6TOUT"},

		{"spop", "option spop-check", holds("\x00\x00\x00\x4e\x01\x00\x00\x00\x01\x00\x00\x12supported-versions\x08\x032.0\x0emax-frame-size\x03\xfc\xf0\x06"+
			"\x0ccapabilities\x08\x00\x0bhealthcheck\x11", spopFrame(101, 1, spopVersion+spopSize+"\x0ccapabilities\x08\x0apipelining\x03foo\x08\x03bar")), "L7OK/0 SPOA server is ok"},
		{"spop, no capabilities", "option spop-check", holds("", spopFrame(101, 1, spopVersion+spopSize)), "L7OK/0 SPOA server is ok"},
		{"spop, another version", "option spop-check", holds("", spopFrame(101, 1, "\x07version\x08\x031.0"+spopSize)), "L7RSP unsupported version"},
		{"spop, no version", "option spop-check", holds("", spopFrame(101, 1, spopSize)), "L7RSP version value not found"},
		{"spop, no size", "option spop-check", holds("", spopFrame(101, 1, spopVersion)), "L7RSP max-frame-size value not found"},
		{"spop, small frames", "option spop-check", holds("", spopFrame(101, 1, spopVersion+"\x0emax-frame-size\x03\x05")), "L7RSP max-frame-size too big or too small"},
		{"spop, the size is a text", "option spop-check", holds("", spopFrame(101, 1, spopVersion+"\x0emax-frame-size\x08\x01x")), "L7RSP invalid frame received"},
		{"spop, another frame", "option spop-check", holds("", spopFrame(103, 1, spopVersion+spopSize)), "L7RSP invalid frame received"},
		{"spop, fragments", "option spop-check", holds("", spopFrame(101, 0, spopVersion+spopSize)), "L7RSP fragmentation not supported"},
		{"spop, it leaves", "option spop-check", holds("", spopFrame(102, 1, "\x0bstatus-code\x03\x03\x07message\x08\x01x")), "L7RSP frame is too big"},
		{"spop, it leaves without a word", "option spop-check", holds("", spopFrame(102, 1, "")), "L7RSP normal"},
		{"spop, it leaves for reasons of its own", "option spop-check", holds("", spopFrame(102, 1, "\x0bstatus-code\x03\xf0\x70")), "L7RSP an unknown error occurred"},
		{"spop, not", "option spop-check", replies("", "HTTP/1.0 400 no\r\n\r\n"), "L7RSP invalid frame received"},
		{"spop, half", "option spop-check", replies("", spopFrame(101, 1, spopVersion+spopSize)[:10]), "L7RSP invalid frame received"},
		{"spop, nothing", "option spop-check", replies(""), "L7RSP TCPCHK got an empty response at step 2"},

		{"http", "option httpchk", holds("OPTIONS / HTTP/1.0\r\nConnection: close\r\n\r\n", ok+"\r\n"), "L7OK/200"},
		{
			"http, a request", "option httpchk HEAD /up HTTP/1.1 db", holds("HEAD /up HTTP/1.1\r\nHost: db\r\nConnection: close\r\n\r\n", ok+"\r\n"),
			"L7OK/200",
		},
		{"http, unwell", "option httpchk", holds("", "HTTP/1.1 503 Not a primary\r\nContent-Length: 0\r\n\r\n"), "L7STS/503 Not a primary"},
		{"http, a status", "option httpchk GET /primary\n http-check expect status 200-299,503", holds("", "HTTP/1.0 503 x\r\n\r\n"), "L7OK/503"},
		{"http, not a status", "option httpchk\n http-check expect ! rstatus ^5", holds("", "HTTP/1.0 404 x\r\n\r\n"), "L7OK/404"},
		{
			"http, lines", "option httpchk\n http-check send meth POST uri /q ver HTTP/1.1 hdr Host a hdr X y body hello\n http-check expect string running",
			holds("POST /q HTTP/1.1\r\nHost: a\r\nX: y\r\nConnection: close\r\nContent-Length: 5\r\n\r\nhello", ok+"Content-Length: 7\r\n\r\nrunning"), "L7OK/200",
		},
		{
			"http, chunks", "option httpchk\n http-check expect rstring role.*primary",
			holds("", ok+"Transfer-Encoding: chunked\r\n\r\n5\r\nrole=\r\n7\r\nprimary\r\n0\r\n\r\n"), "L7OK/200",
		},
		{
			"http, another body", "option httpchk\n http-check expect string primary", holds("", ok+"Content-Length: 7\r\n\r\nreplica"),
			"L7RSP HTTP content check did not match",
		},
		{
			"http, unwanted body", "option httpchk\n http-check expect ! string replica", holds("", ok+"Content-Length: 7\r\n\r\nreplica"),
			"L7RSP HTTP check matched unwanted content",
		},
		{
			"http, no body", "option httpchk\n http-check expect string x", holds("", ok+"Content-Length: 0\r\n\r\n"),
			"L7RSP HTTP content check could not find a response body",
		},
		{
			"http, no more sessions", "option httpchk\n http-check disable-on-404\n http-check expect status 200\n http-check expect ! string x",
			holds("", "HTTP/1.1 404 x\r\nContent-Length: 1\r\n\r\nx"), "L7OKC/404",
		},
		{"http, conditionally", "option httpchk\n http-check expect status 200 ok-status L7OKC", holds("", "HTTP/1.1 200 x\r\n\r\n"), "L7OKC/200"},
		{"http, a header", "option httpchk\n http-check expect hdr name x-a value two", holds("", answer), "L7OK/200"},
		{"http, a whole header", "option httpchk\n http-check expect fhdr name x-a value two", holds("", answer), "L7STS/200 Fine"},
		{"http, one of two headers", "option httpchk\n http-check expect fhdr name X-A value four", holds("", answer), "L7OK/200"},
		{"http, pieces of a header", "option httpchk\n http-check expect hdr name -m beg X- value -m end ree", holds("", answer), "L7OK/200"},
		{"http, expressions", "option httpchk\n http-check expect fhdr name -m reg ^x-.$ value -m reg ^t", holds("", answer), "L7OK/200"},
		{"http, any value", "option httpchk\n http-check expect fhdr name -m sub -b", holds("", answer), "L7OK/200"},
		{"http, no such header", "option httpchk\n http-check expect hdr name x-c", holds("", answer), "L7STS/200 Fine"},
		{"http, not a header", "option httpchk\n http-check expect ! hdr name x-b comment hey", holds("", answer), "L7STS/200 Fine comment: hey"},
		{
			"http, a computed header", "option httpchk\n http-check expect hdr name-lf %[str(x-b)] value-lf %[str(fo)]ur error-status L7RSP", holds("", answer),
			"L7RSP Fine",
		},
		{
			"http, no computed header", "option httpchk\n http-check expect hdr name-lf %[var(check.none)]", holds("", answer),
			"L7RSP log-format string evaluated to an empty string",
		},
		{"http, a computed string", "option httpchk\n http-check expect string-lf %[str(ab)]c", holds("", answer), "L7OK/200"},
		{"http, not the computed string", "option httpchk\n http-check expect string-lf %[str(x)]", holds("", answer), "L7RSP HTTP content check did not match"},
		{"http, a success", "option httpchk\n http-check expect status 200 on-success \"good  %[srv_name]\" status-code int(7)", holds("", answer), "L7OK/7 good  s"},
		{
			"http, a failure", "option httpchk\n http-check expect status 300 on-error \"bad %s %%\" status-code int(7) comment cc", holds("", answer),
			"L7STS/7 bad s % comment: cc",
		},
		{
			"http, a computed request", "option httpchk\n http-check set-var(check.a) str(/x)\n http-check send meth POST uri-lf %[var(check.a)]/y hdr x-c \"a %[srv_name]\" body-lf %[int(12)]",
			holds("POST /x/y HTTP/1.0\r\nx-c: a s\r\nConnection: close\r\nContent-Length: 2\r\n\r\n12", answer), "L7OK/200",
		},
		{
			"what it says of success", "option tcp-check\n tcp-check expect string HTTP on-success \"good %[res.payload(0,8)] %[srv_id] %[res.len] %[bool(true)]\"",
			holds("", "HTTP/1.1"), "L7OK/0 good HTTP/1.1 1 8 1",
		},
		{"a code", "option tcp-check\n tcp-check expect string HTTP on-success ok status-code res.payload(5,3)", holds("", "HTTP 200x"), "L7OK/200 ok"},
		{
			"what it says of failure", "option tcp-check\n tcp-check expect string HTTX on-error no status-code res.payload(5,3) error-status L7STS comment cc min-recv 4",
			holds("", "HTTP 200x"), "L7STS/200 no comment: cc",
		},
		{"what it says is followed by more", "option tcp-check\n tcp-check expect string a on-success ok\n tcp-check send b", holds("", "a", "b"), "L7OK/0 (tcp-check)"},
		{"what it says is followed by another", "option tcp-check\n tcp-check expect string a on-success ok\n tcp-check expect string b", holds("", "ab"), "L7OK/0 (tcp-check)"},
		{"what it says is followed by a variable", "option tcp-check\n tcp-check expect string a on-success ok\n tcp-check set-var(check.a) int(1)", holds("", "a"), "L7OK/0 ok"},
		{"a computed string", "option tcp-check\n tcp-check expect string-lf HTT%[str(P)]", holds("", "HTTP"), "L7OK/0 (tcp-check)"},
		{
			"not the computed string", "option tcp-check\n tcp-check expect string-lf HTT%[str(X)] min-recv 2", holds("", "HTTP"),
			"L7RSP TCPCHK did not match content (log-format string) at step 1",
		},
		{"nothing computed", "option tcp-check\n tcp-check expect string-lf %[var(check.a)]", holds("", "a"), "L7RSP log-format string evaluated to an empty string"},
		{"computed bytes", "option tcp-check\n tcp-check expect binary-lf %[str(485454)]50", holds("", "HTTP"), "L7OK/0 (tcp-check)"},
		{
			"not the computed bytes", "option tcp-check\n tcp-check expect binary-lf %[str(485454)]51 min-recv 2", holds("", "HTTP"),
			"L7RSP TCPCHK did not match content (log-format binary) at step 1",
		},
		{
			"no computed bytes", "option tcp-check\n tcp-check expect binary-lf %[str(zz)]", holds("", "HTTP"),
			"L7RSP Failed to parse hexastring resulting of eval of a log-format string",
		},
		{
			"variables", "option tcp-check\n tcp-check set-var(check.a) str(HT)\n tcp-check connect\n tcp-check set-var-fmt(check.b) %[var(check.a)]T\n" +
				" tcp-check unset-var(check.a)\n tcp-check send-lf x%[var(check.a)]%[var(check.b)]y\n tcp-check expect string-lf %[var(check.b)]P",
			holds("xHTTy", "HTTP"), "L7OK/0 (tcp-check)",
		},
		{
			"a variable of the answer", "option tcp-check\n tcp-check expect string H\n tcp-check set-var(check.a) res.len\n" +
				" tcp-check expect string nope min-recv 1 on-error %[var(check.a)]", holds("", "HTTP"), "L7RSP 4",
		},
		{"only a variable", "option tcp-check\n tcp-check set-var(check.a) res.len", holds(), "L4OK"},
		{"computed bytes are sent", "option tcp-check\n tcp-check send-binary-lf 4%[int(1)]", holds("A"), "L7OK/0 (tcp-check)"},
		{
			"computed bytes cannot be sent", "option tcp-check\n tcp-check send-binary-lf %[str(zz)]", holds(),
			"L7RSP tcp-check send : failed to build log-format string at step 1",
		},
		{
			"late, a computed string", "option tcp-check\n timeout check 50ms\n tcp-check expect string-lf %[str(a)]", holds(),
			"L7TOUT  at step 1 of tcp-check (expect log-format string)",
		},
		{"http, not", "option httpchk", holds("", "SSH-2.0-OpenSSH\r\n"), "L7RSP"},
		{"http, half", "option httpchk", replies("", "HTTP/1.1 200"), "L7RSP"},
		{"http, provisional", "option httpchk", holds("", "HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 204 x\r\n\r\n"), "L7OK/204"},
	}
}

// What each kind of check makes of an answer.
func TestOutcomes(t *testing.T) {
	for _, c := range outcomeCases(strict) {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			server := testutil.Serve(t, c.server)
			r := mustRig(t, fmt.Sprintf("%s\n server s %s check inter 1h", c.lines, server.Addr))
			if got := r.outcome(t, 0); got != c.want {
				t.Errorf("got  %s\nwant %s", got, c.want)
			}
			r.Stop()
		})
	}
}

func TestConnectOutcomes(t *testing.T) {
	t.Run("refused", func(t *testing.T) {
		r := mustRig(t, "server s "+refusing(t)+" check")
		if got := r.outcome(t, 0); got != "L4CON ECONNREFUSED returned by OS (Connection refused)" {
			t.Error(got)
		}
	})
	t.Run("refused at a step", func(t *testing.T) {
		r := mustRig(t, "option tcp-check\n tcp-check connect comment hello\n server s "+refusing(t)+" check")
		want := "L4CON ECONNREFUSED returned by OS (Connection refused) at step 1 of tcp-check (connect) comment: 'hello'"
		if got := r.outcome(t, 0); got != want {
			t.Error(got)
		}
	})
	t.Run("refused before the first step", func(t *testing.T) {
		r := mustRig(t, "option tcp-check\n tcp-check expect string a\n server s "+refusing(t)+" check")
		want := "L4CON ECONNREFUSED returned by OS (Connection refused) at initial connection step of tcp-check"
		if got := r.outcome(t, 0); got != want {
			t.Error(got)
		}
	})
	t.Run("UNIX socket", func(t *testing.T) {
		r := mustRig(t, "server s unix@"+unixServer(t)+" check")
		if got := r.outcome(t, 0); got != "L4OK" {
			t.Error(got)
		}
	})
	t.Run("no UNIX socket", func(t *testing.T) {
		r := mustRig(t, "server s unix@/nowhere/s check")
		if got := r.outcome(t, 0); got != "SOCKERR General socket error (No such file or directory)" {
			t.Error(got)
		}
	})
	t.Run("a source that is not ours", func(t *testing.T) {
		r := mustRig(t, "server s "+refusing(t)+" check source 203.0.113.1")
		if got := r.outcome(t, 0); got != "L4CON Can't bind to source address (Cannot assign requested address)" {
			t.Error(got)
		}
	})
	t.Run("another port and a second connection", func(t *testing.T) {
		first := testutil.Serve(t, strict.holds("a"))
		second := testutil.Serve(t, strict.holds("b", "c"))
		r := mustRig(t, fmt.Sprintf("option tcp-check\n tcp-check connect port %d\n tcp-check send a\n tcp-check connect addr %s linger\n"+
			" tcp-check send b\n tcp-check expect string c\n server s 127.0.0.1 check inter 1h", first.Port, second.Addr))
		if got := r.outcome(t, 0); got != "L7OK/0 (tcp-check)" {
			t.Error(got)
		}
	})
}
