package check

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"regexp"
	"strconv"
	"time"
)

// judgeRedis reads the answer to PING: one line.
func judgeRedis(in []byte, last bool) verdict {
	line, _, whole := bytes.Cut(in, []byte("\r\n"))
	switch {
	case !whole && !last:
		return verdict{}
	case whole && string(line) == "+PONG":
		return verdict{outcome: passed, info: "Redis server is ok"}
	}
	return verdict{outcome: failed, status: L7Sts, info: firstLine(line)}
}

// firstLine is what stands before the first CR or LF.
func firstLine(in []byte) string {
	if n := bytes.IndexAny(in, "\r\n"); n >= 0 {
		in = in[:n]
	}
	return string(in)
}

// judgeLDAP reads the answer to an anonymous bind.
func judgeLDAP(in []byte, last bool) verdict {
	const bindResponse = 14 // the shortest one
	if len(in) < bindResponse && !last {
		return verdict{}
	}
	alien := verdict{outcome: failed, status: L7Rsp, info: "Not LDAPv3 protocol"}
	body, ok := berBody(in, 0x30)
	if !ok {
		return alien
	}
	body, ok = bytes.CutPrefix(body, []byte{0x02, 0x01, 0x01}) // messageID 1
	if !ok {
		return alien
	}
	if body, ok = berBody(body, 0x61); !ok {
		return alien
	}
	if body, ok = bytes.CutPrefix(body, []byte{0x0a, 0x01}); !ok || len(body) == 0 { // resultCode
		return alien
	}
	if code := int(body[0]); code != 0 {
		return verdict{outcome: failed, status: L7Sts, code: code, info: "See RFC: http://tools.ietf.org/html/rfc4511#section-4.1.9"}
	}
	return verdict{outcome: passed, info: "Success"}
}

// berBody is what follows the tag and the length of a BER element. Whether all of it is there is not looked at.
func berBody(in []byte, tag byte) ([]byte, bool) {
	if len(in) < 2 || in[0] != tag {
		return nil, false
	}
	more := 0 // bytes of a long length
	if in[1]&0x80 != 0 {
		more = int(in[1] & 0x7f)
	}
	if more > 4 || len(in) < 2+more {
		return nil, false
	}
	return in[2+more:], true
}

// sslHello is a ClientHello of SSLv3: its server answers with a handshake message or an alert.
func sslHello() []byte {
	hello := []byte{
		0x16, 3, 0, 0, 0x79, // a handshake record of 0x79 bytes
		1, 0, 0, 0x75, 3, 0, // ClientHello of 0x75 bytes, version 3.0
	}
	hello = binary.BigEndian.AppendUint32(hello, uint32(time.Now().Unix()))
	hello = append(hello, "PENSTOCKSSLCHKPENSTOCKSSLCHK"...) // 28 bytes that should be random
	hello = append(hello, 0, 0, 2*(0x1b+0x3a-0x2f+1))        // no session; 39 ciphers
	for _, ciphers := range [][2]int{{0x01, 0x1b}, {0x2f, 0x3a}} {
		for c := ciphers[0]; c <= ciphers[1]; c++ {
			hello = append(hello, 0, byte(c))
		}
	}
	return append(hello, 1, 0) // no compression
}

func judgeSSL(in []byte, last bool) verdict {
	const header = 5
	switch {
	case len(in) < header && !last:
		return verdict{}
	case len(in) > 0 && (in[0] == 0x15 || in[0] == 0x16):
		return verdict{outcome: passed}
	}
	return verdict{outcome: failed, status: L6Rsp}
}

var (
	smtpBanner = regexp.MustCompile("^[0-9]{3}[ \r]")
	smtpReady  = regexp.MustCompile("^2[0-9]{2}[ \r]")
	smtpHello  = regexp.MustCompile("^(2[0-9]{2}-[^\r]*\r\n)*2[0-9]{2}[ \r]")
)

// smtp adds a session of a mail server from the greeting to QUIT.
func (p *Program) smtp(hello string) {
	p.lingering()
	p.custom(func(in []byte, last bool) verdict {
		switch {
		case len(in) < 4 && !last:
			return verdict{}
		case !smtpBanner.Match(in):
			return verdict{outcome: failed, status: L7Rsp, info: firstLine(in)}
		}
		return judgeSMTP(smtpReady, in, last)
	})
	p.send([]byte(hello + "\r\n"))
	p.custom(func(in []byte, last bool) verdict { return judgeSMTP(smtpHello, in, last) })
	p.send([]byte("QUIT\r\n"))
	p.custom(func(in []byte, last bool) verdict { return judgeSMTP(smtpReady, in, last) })
}

// judgeSMTP reads one reply of one or more lines.
func judgeSMTP(good *regexp.Regexp, in []byte, last bool) verdict {
	if len(in) < 4 && !last {
		return verdict{}
	}
	text := ""
	if len(in) > 4 {
		text = firstLine(bytes.TrimLeft(in[4:], " "))
	}
	if good.Match(in) {
		code, _ := strconv.Atoi(string(in[:3]))
		return verdict{outcome: passed, code: code, info: text}
	}
	if !last && in[0] == '2' && in[3] == '-' {
		return verdict{} // the last line has not come
	}
	v := verdict{outcome: failed, status: L7Sts, info: text}
	if len(in) >= 3 {
		v.code, _ = strconv.Atoi(string(in[:3]))
	}
	return v
}

// postgres adds a StartupMessage and the reading of the request for authentication that answers it. The server
// does not take the end after that for an error.
func (p *Program) postgres(user string) {
	p.lingering()
	packet := []byte{0, 0, 0, 0, 0, 3, 0, 0} // the length, version 3.0
	packet = append(packet, "user\x00"+user+"\x00\x00"...)
	binary.BigEndian.PutUint32(packet, uint32(len(packet)))
	p.send(packet)
	p.custom(judgePostgres)
}

func judgePostgres(in []byte, last bool) verdict {
	const request = 9 // type, length, kind of authentication
	if len(in) == 0 {
		return verdict{}
	}
	if in[0] == 'E' {
		return judgePostgresError(in, last)
	}
	if len(in) < request && !last && in[0] == 'R' {
		return verdict{}
	}
	unknown := verdict{outcome: failed, status: L7Sts, info: "PostgreSQL unknown error"}
	if len(in) < request || in[0] != 'R' {
		return unknown
	}
	if n := binary.BigEndian.Uint32(in[1:]); n < 8 || n > 99 {
		return unknown
	}
	switch binary.BigEndian.Uint32(in[5:]) {
	case 0, 2, 3, 4, 5, 6, 7, 9, 10:
		return verdict{outcome: passed, info: "PostgreSQL server is ok"}
	}
	return unknown
}

// judgePostgresError reads an ErrorResponse: fields of a letter and a text that ends with a zero byte.
func judgePostgresError(in []byte, last bool) verdict {
	const longest = 4096 // of an error worth reading
	whole := len(in) >= 5 && uint32(len(in)-1) >= min(binary.BigEndian.Uint32(in[1:]), longest)
	if !whole && !last {
		return verdict{}
	}
	severity, message := "", ""
	for rest := in[min(5, len(in)):]; len(rest) > 1; {
		field, next, ok := bytes.Cut(rest[1:], []byte{0})
		if !ok {
			break
		}
		switch rest[0] {
		case 'S':
			severity = string(field)
		case 'M':
			message = string(field)
		}
		rest = next
	}
	v := verdict{outcome: failed, status: L7Rsp, info: severity}
	if message != "" {
		v.info = fmt.Sprintf("%s: %s", severity, message)
	}
	return v
}
