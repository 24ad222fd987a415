package check

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"

	"github.com/penstock/penstock/internal/config"
)

// Checks that know which role a database server has.
//
// They are conversations: what the check says depends on what the server said (a challenge, a row). Such a
// step makes a judge of its own for each run, which keeps what it learnt; everything else is as in any other check: one
// socket, the epoll loop, one buffer of tune.bufsize that each message has to fit in. The three protocols are spoken by hand. A
// driver would bring its own sockets, timeouts and memory, of which the checker wants to be the one owner, and
// what is needed of each protocol is a page.
//
//	            role is the wanted one                   passed
//	answer ──┬─ role is another one, or read-only        failed, and the server is down at once
//	         └─ error, garbage, too late, lags           failed, counts against fall
//
// A server that says that it is not the primary is not: nothing is gained by asking again, and writes would be lost
// meanwhile. So a wrong role does not wait for fall; coming back waits for rise.

// talkLimit is how much one conversation reads, bytes.
const talkLimit = 1 << 20

// secretLimit is the longest password, bytes.
const secretLimit = 1024

// roleCheck is what a conversation needs to know.
type roleCheck struct {
	*config.RoleCheck
	kind   config.CheckKind
	user   string
	secret string
}

// newRoleCheck reads the password.
func newRoleCheck(c *config.Check) (*roleCheck, error) {
	r := &roleCheck{RoleCheck: c.Role, kind: c.Kind, user: c.User}
	switch {
	case r.PasswordEnv != "":
		secret, ok := os.LookupEnv(r.PasswordEnv)
		if !ok {
			return nil, fmt.Errorf("password of the check: the variable %s is not set", r.PasswordEnv)
		}
		r.secret = secret
	case r.PasswordFile != "":
		secret, err := readSecret(r.PasswordFile)
		if err != nil {
			return nil, fmt.Errorf("password of the check: %w", err)
		}
		r.secret = secret
	}
	if len(r.secret) > secretLimit || strings.ContainsRune(r.secret, 0) {
		return nil, fmt.Errorf("password of the check: longer than %d bytes, or with a zero byte", secretLimit)
	}
	return r, nil
}

// readSecret is the first line of a file.
func readSecret(path string) (string, error) {
	f, err := os.Open(path)
	if err != nil {
		return "", err
	}
	defer f.Close()
	text, err := io.ReadAll(io.LimitReader(f, 2*secretLimit))
	if err != nil {
		return "", err
	}
	line, _, _ := bytes.Cut(text, []byte("\n"))
	line = bytes.TrimSuffix(line, []byte("\r"))
	if len(line) == 0 {
		return "", fmt.Errorf("read %s: %w", path, errors.New("the first line is empty"))
	}
	return string(line), nil
}

// judge reads what came, as expect.judge does.
type judge func(in []byte, last bool) verdict

// converse adds a step that talks by itself; fresh makes the judge of one run.
func (p *Program) converse(r *roleCheck, fresh func() judge) {
	p.roles = true
	p.steps = append(p.steps, step{
		action: config.CheckExpects, number: len(p.steps) + 1,
		expect: &expect{minRecv: -1, ok: L7OK, failed: L7Rsp, late: L7Tout, fresh: func() judge { return r.guard(fresh()) }},
	})
}

// guard bounds a conversation and keeps the password out of what is told about it: some servers repeat in an error
// what they were sent.
func (r *roleCheck) guard(talk judge) judge {
	read := 0
	return func(in []byte, last bool) verdict {
		v := talk(in, last)
		read += v.drop
		if v.outcome == more && read > talkLimit {
			v = verdict{outcome: failed, status: L7Rsp, info: "the answer is too long"}
		}
		if v.outcome == more && last && v.drop == 0 {
			v = verdict{outcome: failed, status: L7Rsp, info: "the answer is cut short or too long"}
		}
		const notable = 4 // a shorter one would hide half of the text
		if len(r.secret) >= notable {
			v.info = strings.ReplaceAll(v.info, r.secret, "***")
		}
		return v
	}
}

// initState is how a server begins whose line does not say so: not before it has told its role.
func (p *Program) initState(given string) string {
	if given == "" && p.roles {
		return "down"
	}
	return given
}

// roleVerdict compares the role that a server has with the one that it should have.
func (r *roleCheck) roleVerdict(has string) verdict {
	if has == r.Role {
		return verdict{outcome: passed, info: "role is " + r.word(has)}
	}
	return wrongRole("role is " + r.word(has) + ", wanted " + r.word(r.Role))
}

// word is what the protocol calls a role.
func (r *roleCheck) word(role string) string {
	if r.kind == config.CheckRedis && role == config.RolePrimary {
		return "master"
	}
	return role
}

// wrongRole is the verdict on a server that says itself that it must not be used.
func wrongRole(info string) verdict {
	return verdict{outcome: failed, status: L7Sts, info: info, decisive: true}
}

// refusedBy is the verdict on an error that the server names.
func refusedBy(code int, info string) verdict {
	return verdict{outcome: failed, status: L7Sts, code: code, info: info}
}

// alien is the verdict on bytes that are not of the protocol.
func alien(protocol string, in []byte) verdict {
	v := verdict{outcome: failed, status: L7Rsp, info: "not " + protocol}
	switch {
	case speaksTLS(in):
		v.info += ": the server speaks TLS"
	case bytes.HasPrefix(in, []byte("HTTP/")):
		v.info += ": the server speaks HTTP"
	}
	return v
}

// withRole makes the program of a check that knows the role.
func (p *Program) withRole(c *config.Check) (*Program, error) {
	r, err := newRoleCheck(c)
	if err != nil {
		return nil, err
	}
	p.lingering()
	switch c.Kind {
	case config.CheckRedis:
		r.redis(p)
	case config.CheckMySQL:
		r.mysql(p)
	case config.CheckPostgres:
		r.postgres(p)
	default:
		return nil, fmt.Errorf("check: kind %d knows no role", c.Kind)
	}
	p.findHeads()
	return p, nil
}

// speaksTLS tells whether bytes begin a record of TLS: an alert or a handshake.
func speaksTLS(in []byte) bool {
	return len(in) > 1 && (in[0] == 0x15 || in[0] == 0x16) && in[1] == 3
}
