package logging

import (
	"os"
	"strconv"
	"strings"
)

// fetches are the sample fetches without arguments that a record answers.
var fetches = map[string]kind{
	"src":                 kindClientIP,
	"src_port":            kindClientPort,
	"dst":                 kindBindIP,
	"dst_port":            kindBindPort,
	"fc_src":              kindClientIP, // nothing rewrites addresses, so these equal src and dst
	"fc_src_port":         kindClientPort,
	"fc_dst":              kindBindIP,
	"fc_dst_port":         kindBindPort,
	"bc_src":              kindLocalIP,
	"bc_src_port":         kindLocalPort,
	"bc_dst":              kindServerIP,
	"bc_dst_port":         kindServerPort,
	"fe_name":             kindFrontend,
	"fe_id":               kindFrontendID,
	"be_name":             kindBackend,
	"be_id":               kindBackendID,
	"srv_name":            kindServer,
	"srv_id":              kindServerID,
	"so_name":             kindListener,
	"so_id":               kindListenerID,
	"fe_conn":             kindFeConn,
	"be_conn":             kindBeConn,
	"act_conn":            kindActConn,
	"accept_date":         kindAcceptUnix,
	"fc.timer.handshake":  kindHandshake,
	"req.timer.queue":     kindQueue,
	"bc.timer.connect":    kindConnect,
	"res.timer.data":      kindData,
	"txn.timer.total":     kindTotal,
	"txn.timer.user":      kindUser,
	"bytes_in":            kindBytesIn,
	"req.bytes_in":        kindBytesIn,
	"bytes_out":           kindBytesOut,
	"res.bytes_in":        kindBytesOut,
	"txn.conn_retries":    kindRetries,
	"txn.redispatched":    kindRedispatched,
	"txn.sess_term_state": kindTerm,
	"bc_srv_queue":        kindSrvQueue,
	"bc_be_queue":         kindBackendQueue,
	"txn.id32":            kindCounter,
	"pid":                 kindPid,
	"hostname":            kindHostname,
}

// expression reads "[fetch]" or "[fetch(argument)]" at c.pos.
func (c *compiler) expression(fl flags) error {
	start := c.pos + 1
	end := expressionEnd(c.src, start)
	if end < 0 {
		return c.errorf(c.pos, len(c.src), "the '[' of a sample expression is not closed")
	}
	expr := c.src[start:end]
	c.pos = end + 1
	it, ok := compileSample(strings.TrimSpace(expr))
	if !ok {
		return c.errorf(start, end, "failed to parse sample expression <%s> : this sample is not implemented yet in log formats", expr)
	}
	it.flags, it.sample = fl, true
	c.add(it)
	return nil
}

// expressionEnd finds the ']' that ends the expression begun at start: one outside of quotes and of
// parentheses. It gives -1 when there is none.
func expressionEnd(s string, start int) int {
	depth, quote := 0, byte(0)
	for i := start; i < len(s); i++ {
		switch ch := s[i]; {
		case quote != 0:
			if ch == quote {
				quote = 0
			} else if ch == '\\' && quote == '"' {
				i++
			}
		case ch == '\'' || ch == '"':
			if depth > 0 {
				quote = ch
			}
		case ch == '\\':
			i++
		case ch == '(':
			depth++
		case ch == ')' && depth > 0:
			depth--
		case ch == ']' && depth == 0:
			return i
		}
	}
	return -1
}

func compileSample(expr string) (item, bool) {
	name, arg, hasArg := strings.Cut(expr, "(")
	if hasArg {
		if !strings.HasSuffix(arg, ")") {
			return item{}, false
		}
		var ok bool
		if arg, ok = unquoteArgument(arg[:len(arg)-1]); !ok {
			return item{}, false
		}
	}
	if arg == "" {
		if kind, ok := fetches[name]; ok {
			return item{kind: kind}, true
		}
	}
	switch name {
	case "accept_date":
		switch arg {
		case "s":
			return item{kind: kindAcceptUnix}, true
		case "ms":
			return item{kind: kindAcceptUnixMs}, true
		case "us":
			return item{kind: kindAcceptUnixUs}, true
		}
	case "str":
		return item{kind: kindConstant, text: arg}, hasArg
	case "int":
		n, err := strconv.ParseInt(arg, 10, 64)
		return item{kind: kindConstant, text: strconv.FormatInt(n, 10)}, err == nil
	case "bool":
		switch arg {
		case "true", "1":
			return item{kind: kindConstant, text: "1"}, true
		case "false", "0":
			return item{kind: kindConstant, text: "0"}, true
		}
	case "env":
		return item{kind: kindConstant, text: os.Getenv(arg)}, arg != ""
	}
	return item{}, false
}

// unquoteArgument removes the quotes of one argument. It refuses a second argument and an end of the
// list before the end of s.
func unquoteArgument(s string) (string, bool) {
	if !strings.ContainsAny(s, `'"\,()`) {
		return s, true
	}
	b, quote := make([]byte, 0, len(s)), byte(0)
	for i := 0; i < len(s); i++ {
		switch ch := s[i]; {
		case quote != 0 && ch == quote:
			quote = 0
		case quote == '\'':
			b = append(b, ch)
		case ch == '\\':
			if i++; i == len(s) {
				return "", false
			}
			switch s[i] {
			case 'n':
				b = append(b, '\n')
			case 'r':
				b = append(b, '\r')
			case 't':
				b = append(b, '\t')
			default:
				b = append(b, s[i])
			}
		case quote == '"':
			b = append(b, ch)
		case ch == '\'' || ch == '"':
			quote = ch
		case ch == ',' || ch == ')':
			return "", false
		default:
			b = append(b, ch)
		}
	}
	return string(b), quote == 0
}
