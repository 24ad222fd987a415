package check

import (
	"testing"

	"github.com/penstock/penstock/internal/config"
)

// fuzzJudge feeds bytes to a judge, one more at a time and to the end. It must never ask to drop what is not there, and
// must come to a verdict at the end.
func fuzzJudge(f *testing.F, judge func(in []byte, last bool) verdict, seeds ...string) {
	f.Helper()
	for _, s := range seeds {
		f.Add([]byte(s))
	}
	f.Add([]byte{})
	f.Add([]byte("22\r\n"))
	f.Add([]byte{0xff})
	f.Fuzz(func(t *testing.T, in []byte) {
		for at := 1; at <= min(len(in), 300); at++ {
			if v := judge(in[:at:at], false); v.drop < 0 || v.drop > at {
				t.Fatalf("drops %d of %d bytes", v.drop, at)
			}
		}
		if len(in) == 0 {
			return
		}
		for rest := in; len(rest) > 0; {
			v := judge(rest, true)
			if v.outcome != more {
				return
			}
			if v.drop <= 0 || v.drop > len(rest) {
				t.Fatalf("no verdict on %q at the end", rest)
			}
			rest = rest[v.drop:]
		}
	})
}

func FuzzRedis(f *testing.F) { fuzzJudge(f, judgeRedis, "+PONG\r\n", "-ERR x\r\n", "\r") }

func FuzzMySQLGreeting(f *testing.F) {
	fuzzJudge(f, judgeMySQLGreeting, string(mysqlPacket(0, []byte("\n8.0.1\x00salt"))), "\x0a\x00\x00\x00\xff\x69\x04Blocked", "\xff\xff\xff\x00")
}

func FuzzMySQLReply(f *testing.F) {
	fuzzJudge(f, func(in []byte, last bool) verdict { return judgeMySQLReply(in, last, true) },
		"\x07\x00\x00\x02\x00\x00\x00\x02\x00\x00\x00", "\x06\x00\x00\x02\xfesha2\x00\x01\x00\x00\x04\x00", "\x02\x00\x00\x02\x01\x03\x01\x00\x00\x04\x00",
		"\x03\x00\x00\x02\xff\x15\x04")
}

func FuzzPostgres(f *testing.F) {
	fuzzJudge(f, judgePostgres, "R\x00\x00\x00\x0c\x00\x00\x00\x05salt", "E\x00\x00\x00\x1dSFATAL\x00C28000\x00Mno entry\x00\x00", "E\xff\xff\xff\xffS")
}

func FuzzLDAP(f *testing.F) {
	fuzzJudge(f, judgeLDAP, "\x30\x0c\x02\x01\x01\x61\x07\x0a\x01\x00\x04\x00\x04\x00", "\x30\x84\x00\x00\x00\x0c\x02\x01\x01\x61\x81\x07\x0a\x01\x00")
}

func FuzzSSL(f *testing.F) { fuzzJudge(f, judgeSSL, "\x15\x03\x00\x00\x02\x02\x28") }

func FuzzSPOP(f *testing.F) {
	fuzzJudge(f, judgeSPOP, spopFrame(101, 1, spopVersion+spopSize), spopFrame(102, 1, "\x0bstatus-code\x03\xf0\x70"), spopFrame(101, 1, "\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff"),
		spopFrame(101, 1, "\x01a\x06\x00\x00\x00\x00\x01b\x07"))
}

func FuzzSMTP(f *testing.F) {
	fuzzJudge(f, func(in []byte, last bool) verdict { return judgeSMTP(smtpHello, in, last) }, "250-a\r\n250 b\r\n", "554 x\r\n", "25")
}

func FuzzHTTP(f *testing.F) {
	e, err := newExpect(&config.CheckExpect{Match: config.MatchString, Pattern: "x", MinRecv: -1})
	if err != nil {
		f.Fatal(err)
	}
	fuzzJudge(f, func(in []byte, last bool) verdict { return e.examineHTTP(in, last, true) }, "HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nxyz", "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nax\r\n0\r\n\r\n",
		"HTTP/1.1 100 C\r\n\r\nHTTP/1.0 404 \n\n", "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n7fffffff\r\n")
}

func FuzzHTTPHeader(f *testing.F) {
	e, err := newExpect(&config.CheckExpect{Match: config.MatchHeader, MinRecv: -1, Header: &config.CheckHeader{
		Name: config.HeaderPattern{How: "beg", Text: "X-"}, Value: &config.HeaderPattern{How: "reg", Text: "^a+$"},
	}})
	if err != nil {
		f.Fatal(err)
	}
	fuzzJudge(f, func(in []byte, last bool) verdict { return e.examineHTTP(in, last, false) },
		"HTTP/1.1 200 OK\r\nX-A: b,aa\r\n\r\n", "HTTP/1.1 200 OK\r\n: \r\nx-\r\n,:,\r\n\r\n")
}

func FuzzBytes(f *testing.F) {
	e, err := newExpect(&config.CheckExpect{Match: config.MatchBinaryRegex, Pattern: "^(00|FF)+$", MinRecv: -1, Not: true})
	if err != nil {
		f.Fatal(err)
	}
	fuzzJudge(f, func(in []byte, last bool) verdict { return e.examineBytes(1, in, last) }, "\x00\xff", "a")
}
