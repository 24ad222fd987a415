package check

import (
	"bytes"
	"crypto/md5"
	"encoding/binary"
	"encoding/hex"

	"github.com/penstock/penstock/internal/config"
)

// The role of a PostgreSQL.
//
//	check                          server
//	StartupMessage           ──>
//	                         <──   how to authenticate: SCRAM-SHA-256, MD5, or not at all
//	…                        <─>   …
//	                         <──   AuthenticationOk, parameters, ReadyForQuery
//	Query                    ──>
//	                         <──   RowDescription, DataRow, CommandComplete, ReadyForQuery
//	Terminate                ──>
//
// A server in recovery is a replica, any other is a primary, unless its transactions are read-only by default.
// The password never goes over the wire as it is.

const postgresQuery = "SELECT pg_catalog.pg_is_in_recovery(), pg_catalog.current_setting('default_transaction_read_only')"

// What a server asks for in an authentication request.
const (
	postgresTrust     = 0
	postgresClear     = 3
	postgresMD5       = 5
	postgresSASL      = 10
	postgresSASLMore  = 11
	postgresSASLFinal = 12
)

// postgresRole is one conversation.
type postgresRole struct {
	*roleCheck
	cache *scramCache
	scram *scram
	asked bool
	row   []string
}

var postgresTerminate = []byte{'X', 0, 0, 0, 4}

func (r *roleCheck) postgres(p *Program) {
	database := r.Database
	if database == "" {
		database = "postgres"
	}
	packet := []byte{0, 0, 0, 0, 0, 3, 0, 0} // the length, version 3.0
	for _, text := range []string{"user", r.user, "database", database, "application_name", "penstock-check"} {
		packet = append(append(packet, text...), 0)
	}
	packet = append(packet, 0)
	binary.BigEndian.PutUint32(packet, uint32(len(packet)))
	p.send(packet)
	cache := &scramCache{}
	p.converse(r, func() judge {
		c := &postgresRole{roleCheck: r, cache: cache}
		return c.judge
	})
}

// postgresMessage is a message with its type and length before it.
func postgresMessage(kind byte, body []byte) []byte {
	out := binary.BigEndian.AppendUint32([]byte{kind}, uint32(len(body)+4))
	return append(out, body...)
}

// judge reads one message.
func (c *postgresRole) judge(in []byte, last bool) verdict {
	const header, longest = 5, talkLimit
	if len(in) > 0 && !bytes.ContainsRune([]byte("RESNKZTDCAvnI"), rune(in[0])) {
		return alien("an answer of PostgreSQL", in)
	}
	if len(in) < header {
		return verdict{}
	}
	n := binary.BigEndian.Uint32(in[1:])
	if n < 4 || n > longest {
		if in[0] == 'E' { // an old one, or another program: text without a length
			return alien("an error of PostgreSQL", in)
		}
		return alien("an answer of PostgreSQL", in)
	}
	end := int(n) + 1
	if len(in) < end {
		return verdict{}
	}
	v := c.message(in[0], in[header:end])
	v.drop = end
	return v
}

func (c *postgresRole) message(kind byte, body []byte) verdict {
	switch kind {
	case 'R':
		return c.authenticate(body)
	case 'E':
		return c.leave(postgresRefused(body))
	case 'D':
		row, ok := postgresRow(body)
		if !ok {
			return c.leave(alien("a row of PostgreSQL", nil))
		}
		c.row = row
	case 'Z':
		if !c.asked {
			c.asked = true
			return verdict{answer: postgresMessage('Q', append([]byte(postgresQuery), 0))}
		}
		return c.leave(c.decide())
	}
	return verdict{}
}

// leave ends the conversation with a verdict.
func (c *postgresRole) leave(v verdict) verdict {
	if c.asked {
		v.answer = postgresTerminate
	}
	return v
}

func (c *postgresRole) decide() verdict {
	if len(c.row) != 2 {
		return refusedBy(0, "the server does not tell its role")
	}
	switch {
	case c.row[0] == "t":
		return c.roleVerdict(config.RoleReplica)
	case c.row[1] == "on" && c.isPrimary():
		return wrongRole("role is primary, but transactions are read-only (default_transaction_read_only)")
	}
	return c.roleVerdict(config.RolePrimary)
}

// authenticate answers a request for authentication.
func (c *postgresRole) authenticate(body []byte) verdict {
	const size = 4
	if len(body) < size {
		return alien("an answer of PostgreSQL", nil)
	}
	request, data := binary.BigEndian.Uint32(body), body[size:]
	if request == postgresTrust {
		if c.scram != nil && !c.scram.verified {
			return refusedBy(0, "the server does not prove that it knows the password")
		}
		return verdict{}
	}
	if c.secret == "" {
		return refusedBy(0, "the server wants a password, and the check has none")
	}
	switch request {
	case postgresClear:
		return refusedBy(0, "the server wants the password in clear text, and does not get it")
	case postgresMD5:
		if len(data) != 4 {
			return alien("an answer of PostgreSQL", nil)
		}
		return verdict{answer: postgresMessage('p', append([]byte("md5"+md5Hex(md5Hex(c.secret+c.user)+string(data))), 0))}
	case postgresSASL:
		return c.startSCRAM(data)
	case postgresSASLMore, postgresSASLFinal:
		if c.scram == nil {
			return alien("an answer of PostgreSQL", nil)
		}
		if request == postgresSASLFinal {
			return c.scram.finish(data)
		}
		answer, v := c.scram.proceed(data, c.secret, c.cache)
		if v.outcome == more {
			v.answer = postgresMessage('p', answer)
		}
		return v
	}
	return refusedBy(0, "the user's authentication is not one that checks know")
}

func (c *postgresRole) startSCRAM(data []byte) verdict {
	const mechanism = "SCRAM-SHA-256"
	for {
		name, rest, ok := bytes.Cut(data, []byte{0})
		if !ok || len(name) == 0 {
			return refusedBy(0, "the server does not offer "+mechanism)
		}
		if string(name) == mechanism {
			break
		}
		data = rest
	}
	c.scram = newSCRAM()
	first := c.scram.first()
	body := append([]byte(mechanism), 0)
	body = binary.BigEndian.AppendUint32(body, uint32(len(first)))
	return verdict{answer: postgresMessage('p', append(body, first...))}
}

func md5Hex(text string) string {
	sum := md5.Sum([]byte(text))
	return hex.EncodeToString(sum[:])
}

// postgresRow reads the values of a row.
func postgresRow(body []byte) (row []string, ok bool) {
	if len(body) < 2 {
		return nil, false
	}
	count, body := int(binary.BigEndian.Uint16(body)), body[2:]
	const most = 16
	if count > most {
		return nil, false
	}
	for range count {
		if len(body) < 4 {
			return nil, false
		}
		n := binary.BigEndian.Uint32(body)
		body = body[4:]
		if n == 1<<32-1 { // NULL
			n = 0
		}
		if uint64(n) > uint64(len(body)) {
			return nil, false
		}
		row, body = append(row, string(body[:n])), body[n:]
	}
	return row, len(body) == 0
}

// postgresRefused is the verdict on an ErrorResponse.
func postgresRefused(body []byte) verdict {
	fields := map[byte]string{}
	for len(body) > 1 {
		text, rest, ok := bytes.Cut(body[1:], []byte{0})
		if !ok {
			break
		}
		fields[body[0]], body = string(text), rest
	}
	info := fields['S'] + ": " + fields['M']
	if fields['C'] != "" {
		info += " (" + fields['C'] + ")"
	}
	return refusedBy(0, info)
}
