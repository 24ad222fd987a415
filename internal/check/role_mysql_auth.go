package check

import (
	"bytes"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha1"
	"crypto/sha256"
	"encoding/asn1"
	"encoding/binary"
	"encoding/pem"
	"errors"
	"math/big"

	"github.com/penstock/penstock/internal/config"
)

// The login of a role check at MySQL or MariaDB, with a password.
//
//	server                             check
//	greeting with a challenge    ──>
//	                             <──   login, answer to the challenge
//	another way, a challenge     ──>                                       (perhaps)
//	                             <──   answer to the challenge
//	send it all                  ──>                                       (caching_sha2_password, not in its cache)
//	                             <──   give me your key
//	key                          ──>
//	                             <──   the password, encrypted with it
//	OK                           ──>
//
// The password never goes over the wire as it is: servers that want that are refused.

// The ways of authentication that the check knows.
const (
	mysqlNative = "mysql_native_password"
	mysqlSHA2   = "caching_sha2_password"
	mysqlClear  = "mysql_clear_password"
)

// saltLength is the length of a challenge.
const saltLength = 20

// mysqlGreeting is what matters of the first packet.
type mysqlGreeting struct {
	version string
	salt    []byte
	plugin  string
}

// readMySQLGreeting reads the body of a greeting of version 10.
func readMySQLGreeting(packet []byte) (g mysqlGreeting, ok bool) {
	if len(packet) == 0 || packet[0] != 10 {
		return g, false
	}
	version, rest, found := bytes.Cut(packet[1:], []byte{0})
	const (
		firstSalt = 4                      // behind the number of the connection
		nextSalt  = firstSalt + 8 + 1 + 18 // behind capabilities, character set, status, reserved bytes
		end       = nextSalt + saltLength - 8
	)
	if !found || len(rest) < end {
		return g, false
	}
	g.version = string(version)
	g.salt = append(bytes.Clone(rest[firstSalt:firstSalt+8]), rest[nextSalt:end]...)
	g.plugin = mysqlNative
	if name, _, found := bytes.Cut(rest[min(end+1, len(rest)):], []byte{0}); found && len(name) > 0 {
		g.plugin = string(name)
	}
	return g, true
}

// mysqlScramble answers a challenge; ok is false when the check does not know the way.
func mysqlScramble(plugin, secret string, salt []byte) (answer []byte, ok bool) {
	switch {
	case plugin != mysqlNative && plugin != mysqlSHA2:
		return nil, false
	case secret == "":
		return nil, true
	case plugin == mysqlNative:
		once := sha1.Sum([]byte(secret))
		twice := sha1.Sum(once[:])
		mask := sha1.Sum(append(bytes.Clone(salt), twice[:]...))
		return xor(once[:], mask[:]), true
	}
	once := sha256.Sum256([]byte(secret))
	twice := sha256.Sum256(once[:])
	mask := sha256.Sum256(append(twice[:], salt...))
	return xor(once[:], mask[:]), true
}

// xor is a, with b over it again and again.
func xor(a, b []byte) []byte {
	out := make([]byte, len(a))
	for i := range a {
		out[i] = a[i] ^ b[i%len(b)]
	}
	return out
}

// mysqlEncrypt encrypts a password with the key that a server sent.
func mysqlEncrypt(secret string, salt, key []byte) ([]byte, error) {
	public := readRSAKey(key)
	if public == nil || len(salt) == 0 {
		return nil, errors.New("the server's key is not one of RSA")
	}
	out, err := rsa.EncryptOAEP(sha1.New(), rand.Reader, public, xor(append([]byte(secret), 0), salt), nil)
	if err != nil {
		return nil, errors.New("the server's key does not fit the password")
	}
	return out, nil
}

// readRSAKey reads a public key as a server sends it, nil when it is none. (crypto/x509 does the same, and would make the program
// 1.4 MB bigger.)
func readRSAKey(text []byte) *rsa.PublicKey {
	block, _ := pem.Decode(text)
	if block == nil {
		return nil
	}
	var info struct { // SubjectPublicKeyInfo
		Algorithm struct {
			ID   asn1.ObjectIdentifier
			Null asn1.RawValue `asn1:"optional"`
		}
		Key asn1.BitString
	}
	var numbers struct {
		N *big.Int
		E int
	}
	rsaEncryption := asn1.ObjectIdentifier{1, 2, 840, 113549, 1, 1, 1}
	if rest, err := asn1.Unmarshal(block.Bytes, &info); err != nil || len(rest) > 0 || !info.Algorithm.ID.Equal(rsaEncryption) {
		return nil
	}
	if rest, err := asn1.Unmarshal(info.Key.RightAlign(), &numbers); err != nil || len(rest) > 0 {
		return nil
	}
	const longest = 8192 // bits; a longer one takes long
	if numbers.N.Sign() <= 0 || numbers.N.BitLen() > longest || numbers.E < 3 {
		return nil
	}
	return &rsa.PublicKey{N: numbers.N, E: numbers.E}
}

// mysqlRoleLogin is the packet that answers a greeting.
func mysqlRoleLogin(user, plugin string, answer []byte) []byte {
	const utf8 = 0x21
	body := binary.LittleEndian.AppendUint32(nil, mysqlProtocol41|mysqlSecure|mysqlPluginAuth)
	body = binary.LittleEndian.AppendUint32(body, 1<<24) // the largest packet
	body = append(body, utf8)
	body = append(body, make([]byte, 23)...)
	body = append(body, user...)
	body = append(body, 0, byte(len(answer)))
	body = append(body, answer...)
	body = append(body, plugin...)
	return mysqlPacket(1, append(body, 0))
}

// greet answers the greeting.
func (c *mysqlRole) greet(number byte, packet []byte) verdict {
	g, ok := readMySQLGreeting(packet)
	if !ok {
		return alien("a greeting of MySQL", packet)
	}
	c.greeting, c.plugin = g, g.plugin
	answer, ok := mysqlScramble(c.plugin, c.secret, g.salt)
	if !ok { // it will say whether this user needs that way
		c.plugin = mysqlNative
		answer, _ = mysqlScramble(c.plugin, c.secret, g.salt)
	}
	c.state = mysqlLoggingIn
	return verdict{answer: mysqlRoleLogin(c.user, c.plugin, answer)}
}

// logIn goes on with the login.
func (c *mysqlRole) logIn(number byte, packet []byte) verdict {
	reply := func(body []byte) verdict { return verdict{answer: mysqlPacket(number+1, body)} }
	switch packet[0] {
	case mysqlOK:
		return c.ask()
	case mysqlSwitch:
		name, salt, ok := bytes.Cut(packet[1:], []byte{0})
		if !ok {
			return refusedBy(0, "the server wants the authentication of before 4.1")
		}
		salt = salt[:min(len(salt), saltLength)]
		answer, known := mysqlScramble(string(name), c.secret, salt)
		switch {
		case string(name) == mysqlClear:
			return refusedBy(0, "the server wants the password in clear text, and does not get it")
		case !known:
			return refusedBy(0, "the user's authentication '"+string(name)+"' is not one that checks know")
		case len(salt) != saltLength:
			return alien("a challenge of MySQL", nil)
		}
		c.plugin, c.greeting.salt = string(name), bytes.Clone(salt)
		return reply(answer)
	case mysqlMore:
		if c.plugin != mysqlSHA2 || len(packet) < 2 {
			break
		}
		const cached, notCached, giveKey = 3, 4, 2
		switch {
		case c.wantsKey:
			sealed, err := mysqlEncrypt(c.secret, c.greeting.salt, packet[1:])
			if err != nil {
				return refusedBy(0, err.Error())
			}
			return reply(sealed)
		case packet[1] == cached:
			return verdict{}
		case packet[1] == notCached:
			c.wantsKey = true
			return reply([]byte{giveKey})
		}
	}
	return verdict{outcome: failed, status: L7Rsp, info: "a packet that has no place in a login"}
}

func (r *roleCheck) mysql(p *Program) {
	p.converse(r, func() judge {
		c := &mysqlRole{roleCheck: r}
		return c.judge
	})
}

// isPrimary tells whether the role is that of a primary.
func (r *roleCheck) isPrimary() bool { return r.Role == config.RolePrimary }
