package check

import (
	"bytes"
	"encoding/binary"
	"fmt"

	"github.com/penstock/penstock/internal/config"
)

// MySQL and MariaDB.
//
//	server                     check
//	greeting            ──>
//	                    <──    login, no password
//	OK                  ──>
//	 or: another plugin ──>
//	                    <──    an empty answer
//	OK                  ──>
//	                    <──    COM_QUIT, FIN
//
// The server counts connections that end before the login is through, and blocks a host with max_connect_errors of
// them in a row. So the check reads the greeting before it answers, always logs in, and says that it leaves. A
// login that is refused does not count there; without a user it is as good as one that succeeds, since
// a server that refuses nobody's login works.

// mysqlErr begins a packet that says what is wrong, mysqlOK one that says that nothing is, mysqlSwitch one that
// asks for another kind of authentication, mysqlMore one with data for it.
const (
	mysqlOK     = 0x00
	mysqlMore   = 0x01
	mysqlSwitch = 0xfe
	mysqlErr    = 0xff
)

// Capabilities of the client.
const (
	mysqlProtocol41 = 1 << 9
	mysqlSecure     = 1 << 15
	mysqlPluginAuth = 1 << 19
)

// mysqlDenied is the code of an error that refuses a login.
const mysqlDenied = 1045

func (p *Program) mysql(c *config.Check) {
	p.lingering()
	p.custom(judgeMySQLGreeting)
	login := mysqlLogin(c.User)
	if c.Old {
		login = mysqlOldLogin(c.User)
	}
	p.send(login)
	anyUser := c.User == ""
	p.custom(func(in []byte, last bool) verdict { return judgeMySQLReply(in, last, anyUser) })
	p.send([]byte{1, 0, 0, 0, 1}) // COM_QUIT
}

// mysqlPacket puts the header before a packet.
func mysqlPacket(number byte, body []byte) []byte {
	packet := []byte{byte(len(body)), byte(len(body) >> 8), byte(len(body) >> 16), number}
	return append(packet, body...)
}

// mysqlLogin is a login without password, as it is since 4.1.
func mysqlLogin(user string) []byte {
	const utf8 = 0x21
	body := binary.LittleEndian.AppendUint32(nil, mysqlProtocol41|mysqlSecure|mysqlPluginAuth)
	body = binary.LittleEndian.AppendUint32(body, 1<<24) // the largest packet
	body = append(body, utf8)
	body = append(body, make([]byte, 23)...)
	body = append(body, user...)
	body = append(body, 0, 0) // the user's end; an empty answer to the challenge
	body = append(body, "mysql_native_password\x00"...)
	return mysqlPacket(1, body)
}

// mysqlOldLogin is a login without password, as it was before.
func mysqlOldLogin(user string) []byte {
	body := binary.LittleEndian.AppendUint16(nil, mysqlSecure)
	body = append(body, 0, 0, 1) // the largest packet
	body = append(body, user...)
	body = append(body, 0, 0)
	return mysqlPacket(1, body)
}

// mysqlFirst splits the first packet off. It is nil while it is not whole; then v is failed when it cannot become so.
func mysqlFirst(in []byte, last bool) (packet, rest []byte, number byte, v verdict) {
	const header, longest = 4, 8192
	bad := verdict{outcome: failed, status: L7Rsp}
	if len(in) < header {
		if last {
			return nil, nil, 0, bad
		}
		return nil, nil, 0, verdict{}
	}
	n := int(in[0]) | int(in[1])<<8 | int(in[2])<<16
	switch {
	case n == 0 || n > longest:
		bad.info = "not a MySQL packet"
		return nil, nil, 0, bad
	case len(in) < header+n && last:
		return nil, nil, 0, bad
	case len(in) < header+n:
		return nil, nil, 0, verdict{}
	}
	return in[header : header+n], in[header+n:], in[3], verdict{}
}

// mysqlRefused is the verdict on a packet that begins with mysqlErr.
func mysqlRefused(packet []byte) verdict {
	v := verdict{outcome: failed, status: L7Sts}
	if len(packet) >= 3 {
		v.code = int(binary.LittleEndian.Uint16(packet[1:]))
		text := packet[3:]
		if len(text) >= 6 && text[0] == '#' { // SQLSTATE
			text = text[6:]
		}
		v.info = string(text)
	}
	return v
}

func judgeMySQLGreeting(in []byte, last bool) verdict {
	packet, _, _, v := mysqlFirst(in, last)
	if packet == nil {
		return v
	}
	switch packet[0] {
	case mysqlErr:
		return mysqlRefused(packet)
	case 9, 10: // protocol version
		version, _, _ := bytes.Cut(packet[1:], []byte{0})
		return verdict{outcome: passed, info: string(version)}
	}
	return verdict{outcome: failed, status: L7Rsp, info: "not a MySQL greeting"}
}

func judgeMySQLReply(in []byte, last, anyUser bool) verdict {
	packet, rest, number, v := mysqlFirst(in, last)
	if packet == nil {
		return v
	}
	switch packet[0] {
	case mysqlOK:
		return verdict{outcome: passed}
	case mysqlErr:
		v := mysqlRefused(packet)
		if anyUser && v.code == mysqlDenied {
			return verdict{outcome: passed}
		}
		return v
	case mysqlSwitch:
		return verdict{answer: []byte{0, 0, 0, number + 1}, drop: len(in) - len(rest)}
	case mysqlMore:
		if len(packet) == 2 && packet[1] == 3 { // it is satisfied; OK follows
			return verdict{drop: len(in) - len(rest)}
		}
		return verdict{outcome: passed} // it wants a password from this user, as a server that works does
	}
	return verdict{outcome: failed, status: L7Rsp, info: fmt.Sprintf("unexpected MySQL packet 0x%02x", packet[0])}
}
