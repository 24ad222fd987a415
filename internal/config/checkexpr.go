package config

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
)

// The expressions of checks are a small part of HAProxy's sample expressions: one value of a short list, without
// converters. A check has no session, so that most of the others would never give anything.

// CheckExpr is a value that a check works out while it runs.
type CheckExpr struct {
	Fetch string   // one of checkFetches
	Args  []string // as many as the fetch may have, checked
}

// CheckFormat is a log-format string of a check: its parts one behind the other.
type CheckFormat []CheckPart

// CheckPart is a text or, when Expr is not nil, a value.
type CheckPart struct {
	Text string
	Expr *CheckExpr
}

// checkFetch is what an expression may ask for.
type checkFetch struct {
	least, most int // number of arguments
	numbers     bool
	tcp         bool // only of tcp-check, where an answer is just bytes
}

var checkFetches = map[string]checkFetch{
	"str": {least: 1, most: 1}, "int": {least: 1, most: 1, numbers: true}, "bool": {least: 1, most: 1, numbers: true},
	"var": {least: 1, most: 1}, "env": {least: 1, most: 1}, "date": {most: 1, numbers: true}, "hostname": {},
	"srv_name": {}, "srv_id": {}, "be_name": {}, "be_id": {},
	"res.len": {tcp: true}, "res.payload": {least: 2, most: 2, numbers: true, tcp: true},
}

// checkAliases are the short forms of values in log-format strings.
var checkAliases = map[byte]string{'s': "srv_name", 'b': "be_name", 'H': "hostname"}

// exprError is why an expression cannot be used. later says that HAProxy may know it.
type exprError struct {
	text  string
	later bool
}

func badExpr(format string, args ...any) *exprError {
	return &exprError{text: fmt.Sprintf(format, args...)}
}

// parseCheckExpr reads an expression of a check.
func parseCheckExpr(text string, http bool) (*CheckExpr, *exprError) {
	name, rest, call := strings.Cut(text, "(")
	if !call {
		name, rest, _ = strings.Cut(text, ",")
		if rest != "" {
			return nil, &exprError{"converters are not supported in checks", true}
		}
	}
	f, ok := checkFetches[name]
	if !ok {
		known := make([]string, 0, len(checkFetches))
		for _, word := range sortedKeys(checkFetches) {
			if !http || !checkFetches[word].tcp {
				known = append(known, word)
			}
		}
		return nil, &exprError{fmt.Sprintf("fetch method '%s' is not supported in checks: only %s", name, strings.Join(known, ", ")), true}
	}
	if f.tcp && http {
		return nil, &exprError{fmt.Sprintf("fetch method '%s' is supported in tcp-check only", name), true}
	}
	e := &CheckExpr{Fetch: name}
	if call {
		var closed bool
		if e.Args, rest, closed = checkArgs(rest); !closed {
			return nil, badExpr("fetch method '%s' : expected ')'", name)
		}
		if rest != "" {
			return nil, &exprError{"converters are not supported in checks", true}
		}
	}
	if n := len(e.Args); n < f.least || n > f.most {
		return nil, badExpr("fetch method '%s' : %d arguments, expected %d", name, n, f.most)
	}
	if f.numbers {
		for i, a := range e.Args {
			if name == "bool" {
				if v, known := map[string]string{"true": "1", "yes": "1", "on": "1", "false": "0", "no": "0", "off": "0"}[a]; known {
					e.Args[i] = v
					continue
				}
			}
			if n, err := strconv.ParseInt(a, 10, 64); err != nil || name == "res.payload" && (n < 0 || n > 1<<30) {
				return nil, badExpr("fetch method '%s' : failed to parse '%s' as type 'integer' at position %d", name, a, i+1)
			}
		}
	}
	if name == "var" {
		if bad := checkVariable(e.Args[0]); bad != nil {
			return nil, bad
		}
	}
	return e, nil
}

// checkArgs reads arguments up to the closing parenthesis, each with or without quotes, and returns what is behind it.
func checkArgs(text string) (args []string, rest string, closed bool) {
	var arg strings.Builder
	quote, any := byte(0), false
	for i := range len(text) {
		c := text[i]
		switch {
		case c == quote && quote != 0:
			quote = 0
		case quote != 0:
			arg.WriteByte(c)
		case c == '\'' || c == '"':
			quote, any = c, true
		case c == ',':
			args, any = append(args, arg.String()), true
			arg.Reset()
		case c == ')':
			if any || arg.Len() > 0 {
				args = append(args, arg.String())
			}
			return args, text[i+1:], true
		default:
			arg.WriteByte(c)
		}
	}
	return nil, "", false
}

// checkVariable says what is wrong with the name of a variable.
func checkVariable(name string) *exprError {
	scope, rest, _ := strings.Cut(name, ".")
	switch {
	case name == "":
		return badExpr("Empty variable name cannot be accepted")
	case rest == "" || !slices.Contains([]string{"proc", "sess", "txn", "req", "res", "check"}, scope):
		return badExpr("invalid variable name '%s'. A variable name must be start by its scope. The scope can be 'proc', 'sess', 'txn', 'req', 'res' or 'check'", name)
	case scope != "check":
		return &exprError{fmt.Sprintf("variable '%s' : only variables of the scope 'check' are supported in checks", name), true}
	}
	return nil
}

// parseCheckFormat reads a log-format string of a check.
func parseCheckFormat(text string, http bool) (CheckFormat, *exprError) {
	var out CheckFormat
	var plain strings.Builder
	flush := func() {
		if plain.Len() > 0 {
			out = append(out, CheckPart{Text: plain.String()})
			plain.Reset()
		}
	}
	for i := 0; i < len(text); i++ {
		c := text[i]
		switch {
		case c != '%':
			plain.WriteByte(c)
			continue
		}
		i++
		if i == len(text) {
			return nil, badExpr("truncated line after '%%'")
		}
		var e *CheckExpr
		switch alias, known := checkAliases[text[i]]; {
		case text[i] == '%':
			plain.WriteByte('%')
			continue
		case text[i] == '[':
			end := exprEnd(text[i+1:])
			if end < 0 {
				return nil, badExpr("failed to parse sample expression <%s> : expected ']'", text[i+1:])
			}
			inner := text[i+1 : i+1+end]
			var bad *exprError
			if e, bad = parseCheckExpr(inner, http); bad != nil {
				bad.text = fmt.Sprintf("failed to parse sample expression <%s> : %s", inner, bad.text)
				return nil, bad
			}
			i += 1 + end
		case text[i] == '{':
			return nil, &exprError{"flags are not supported in checks", true}
		case known:
			e = &CheckExpr{Fetch: alias}
		default:
			return nil, &exprError{fmt.Sprintf("'%%%c' is not supported in checks: only %%b, %%s, %%H and %%[expression]", text[i]), true}
		}
		flush()
		out = append(out, CheckPart{Expr: e})
	}
	flush()
	return out, nil
}

// exprEnd is where an expression ends in front of its closing bracket, -1 when that is missing.
func exprEnd(text string) int {
	quote, open := byte(0), false
	for i := range len(text) {
		switch c := text[i]; {
		case quote != 0:
			if c == quote {
				quote = 0
			}
		case open && (c == '\'' || c == '"'):
			quote = c
		case c == '(':
			open = true
		case c == ')':
			open = false
		case c == ']' && !open:
			return i
		}
	}
	return -1
}
