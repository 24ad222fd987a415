package check

import (
	"encoding/hex"
	"os"
	"strconv"
	"strings"
	"time"

	"github.com/penstock/penstock/internal/config"
)

// value is what an expression gives at this moment, false when that is nothing.
func (c *Checker) value(k *Check, e *config.CheckExpr) (string, bool) {
	b := k.backend
	switch e.Fetch {
	case "str", "int", "bool":
		return e.Args[0], true
	case "var":
		v, ok := k.run.vars[e.Args[0]]
		return v, ok
	case "env":
		return os.LookupEnv(e.Args[0])
	case "date":
		now := time.Now().Unix()
		if len(e.Args) > 0 {
			offset, _ := strconv.ParseInt(e.Args[0], 10, 64)
			now += offset
		}
		return strconv.FormatInt(now, 10), true
	case "hostname":
		name, err := os.Hostname()
		return name, err == nil
	case "srv_name":
		return k.name, true
	case "srv_id":
		return strconv.Itoa(k.shared().ID), true
	case "be_name":
		return b.Name, true
	case "be_id":
		return strconv.Itoa(b.ID), true
	case "res.len":
		return strconv.Itoa(len(k.run.in)), true
	case "res.payload":
		from, _ := strconv.Atoi(e.Args[0])
		n, _ := strconv.Atoi(e.Args[1])
		switch in := k.run.in; {
		case from > len(in), n > len(in)-from:
			return "", false
		case n == 0:
			return string(in[from:]), true
		default:
			return string(in[from : from+n]), true
		}
	}
	return "", false
}

// text is what a log-format string gives at this moment; what gives nothing is left out.
func (c *Checker) text(k *Check, f config.CheckFormat) string {
	var b strings.Builder
	for i := range f {
		if p := &f[i]; p.Expr == nil {
			b.WriteString(p.Text)
		} else if v, ok := c.value(k, p.Expr); ok {
			b.WriteString(v)
		}
	}
	return b.String()
}

// number is an expression as a number: what begins its text.
func (c *Checker) number(k *Check, e *config.CheckExpr) (n int, ok bool) {
	text, ok := c.value(k, e)
	text = strings.TrimLeft(text, " ")
	end := len(text)
	for i := range len(text) {
		if d := text[i]; (d < '0' || d > '9') && (i > 0 || d != '-') {
			end = i
			break
		}
	}
	n, err := strconv.Atoi(text[:end])
	return n, ok && err == nil
}

// assign gives a variable its value, or takes it away. A value that is none leaves it as it is.
func (c *Checker) assign(k *Check, s *step) {
	r := &k.run
	switch {
	case s.format == nil:
		delete(r.vars, s.variable)
		return
	case len(s.format) == 1 && s.format[0].Expr != nil:
		if _, ok := c.value(k, s.format[0].Expr); !ok {
			return
		}
	}
	if r.vars == nil {
		r.vars = map[string]string{}
	}
	r.vars[s.variable] = c.text(k, s.format)
}

// unhex reads hexadecimal digits.
func unhex(text string) ([]byte, bool) {
	b, err := hex.DecodeString(text)
	return b, err == nil
}
