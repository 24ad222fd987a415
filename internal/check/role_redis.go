package check

import (
	"bytes"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/penstock/penstock/internal/config"
)

// Redis and what speaks like it.
//
//	check                            server
//	AUTH [user] password       ──>   (with a password)
//	PING                       ──>
//	INFO replication           ──>
//	                           <──   +OK        else the reason, such as -WRONGPASS …
//	                           <──   +PONG      else -LOADING …, -MASTERDOWN …
//	                           <──   $n, then n bytes of lines: role:, master_link_status:, …
//
// All of it is sent at once. PING is there for what INFO does not tell: a server that loads its data has a role but serves
// nobody. A user of an ACL needs +ping and +info.

// redisInfoLimit is the longest section of INFO that is read, bytes.
const redisInfoLimit = 512 << 10

// redisRole is one conversation.
type redisRole struct {
	*roleCheck
	state redisState
	left  int // bytes of INFO to come
	info  map[string]string
}

type redisState uint8

const (
	redisAuth redisState = iota
	redisPong
	redisLength
	redisInfo
)

// redisFields are the lines of INFO that matter.
var redisFields = map[string]bool{
	"role": true, "master_link_status": true, "master_sync_in_progress": true, "master_last_io_seconds_ago": true,
	"master_link_down_since_seconds": true,
}

func (r *roleCheck) redis(p *Program) {
	var login [][]string
	if r.secret != "" {
		auth := []string{"AUTH", r.secret}
		if r.user != "" {
			auth = []string{"AUTH", r.user, r.secret}
		}
		login = append(login, auth)
	}
	p.send(redisCommands(append(login, []string{"PING"}, []string{"INFO", "replication"})...))
	p.converse(r, func() judge {
		c := &redisRole{roleCheck: r, state: redisPong, info: map[string]string{}}
		if r.secret != "" {
			c.state = redisAuth
		}
		return c.judge
	})
}

// redisCommands is commands as they go over the wire.
func redisCommands(commands ...[]string) (out []byte) {
	for _, words := range commands {
		out = fmt.Appendf(out, "*%d\r\n", len(words))
		for _, w := range words {
			out = fmt.Appendf(out, "$%d\r\n%s\r\n", len(w), w)
		}
	}
	return out
}

// judge reads line by line.
func (c *redisRole) judge(in []byte, last bool) verdict {
	rest := in
	for {
		line, next, whole := bytes.Cut(rest, []byte("\r\n"))
		if !whole {
			if last && len(rest) == len(in) && c.state != redisInfo || speaksTLS(in) {
				return c.strange(in)
			}
			return verdict{drop: len(in) - len(rest)}
		}
		if v := c.line(line); v.outcome != more {
			return v
		}
		rest = next
		if c.state == redisInfo && c.left <= 0 {
			return c.decide()
		}
	}
}

func (c *redisRole) line(line []byte) verdict {
	if c.state == redisInfo {
		c.left -= len(line) + 2
		if name, value, ok := bytes.Cut(line, []byte(":")); ok && redisFields[string(name)] {
			c.info[string(name)] = string(value)
		}
		// The lines on replicas follow, and there may be many.
		if c.info["role"] == "master" {
			return c.decide()
		}
		return verdict{}
	}
	if len(line) > 0 && line[0] == '-' {
		text := string(line[1:])
		if c.state == redisAuth { // some repeat the command
			text, _, _ = strings.Cut(text, ", with args")
		}
		return refusedBy(0, text)
	}
	switch c.state {
	case redisAuth:
		if string(line) != "+OK" {
			return c.strange(line)
		}
		c.state = redisPong
	case redisPong:
		if string(line) != "+PONG" {
			return c.strange(line)
		}
		c.state = redisLength
	case redisLength:
		n, err := strconv.ParseUint(strings.TrimPrefix(string(line), "$"), 10, 31)
		if err != nil || line[0] != '$' {
			return c.strange(line)
		}
		if n > redisInfoLimit {
			return verdict{outcome: failed, status: L7Rsp, info: "INFO is too long"}
		}
		c.state, c.left = redisInfo, int(n)
	}
	return verdict{}
}

func (c *redisRole) strange(in []byte) verdict { return alien("a reply of Redis", in) }

// decide judges the role.
func (c *redisRole) decide() verdict {
	role := c.info["role"]
	switch role {
	case "master":
		return c.roleVerdict(config.RolePrimary)
	case "slave", "replica":
	default:
		return verdict{outcome: failed, status: L7Rsp, info: "INFO does not tell the role"}
	}
	v := c.roleVerdict(config.RoleReplica)
	if v.outcome != passed || c.MaxLag == 0 {
		return v
	}
	seconds := func(name string) (time.Duration, bool) {
		n, err := strconv.ParseInt(c.info[name], 10, 32)
		return time.Duration(n) * time.Second, err == nil && n >= 0
	}
	// Without a connection to the primary the date of its end counts, while there is none also that of the last byte.
	field := "master_last_io_seconds_ago"
	if c.info["master_link_status"] != "up" {
		field = "master_link_down_since_seconds"
	}
	lag, known := seconds(field)
	switch {
	case c.info["master_sync_in_progress"] == "1":
		return refusedBy(0, "it gets a copy of the primary's data")
	case !known:
		return refusedBy(0, "it was never connected to its primary")
	case lag > c.MaxLag:
		return refusedBy(0, fmt.Sprintf("lag is %v, wanted at most %v", lag, c.MaxLag))
	}
	v.info += fmt.Sprintf(", lag %v", lag)
	return v
}
