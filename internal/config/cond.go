package config

import (
	"fmt"
	"strconv"
	"strings"
)

// CompatibleVersion is the HAProxy version whose behaviour Penstock has; conditions compare with it.
const CompatibleVersion = "3.4.0"

// maxCondDepth is how deep a condition may nest.
const maxCondDepth = 1024

// features are the build features that HAProxy names, and whether Penstock has what they stand for.
var features = map[string]bool{
	"51DEGREES": false, "ACCEPT4": true, "BACKTRACE": false, "CLOSEFROM": false, "CPU_AFFINITY": true,
	"CRYPT_H": false, "DEVICEATLAS": false, "DL": false, "ECH": false, "ENGINE": false, "EPOLL": true,
	"EVPORTS": false, "GETADDRINFO": true, "HAVE_TCP_MD5SIG": false, "HAVE_WORKING_TCP_MD5SIG": false,
	"KQUEUE": false, "KTLS": false, "LIBATOMIC": false, "LIBCRYPT": false, "LINUX_CAP": false,
	"LINUX_SPLICE": true, "LINUX_TPROXY": false, "LUA": false, "MATH": false, "MEMORY_PROFILING": false,
	"NETFILTER": false, "NS": false, "OBSOLETE_LINKER": false, "OPENSSL": false, "OPENSSL_AWSLC": false,
	"OPENSSL_WOLFSSL": false, "OT": false, "PCRE": false, "PCRE2": false, "PCRE2_JIT": false, "PCRE_JIT": false,
	"POLL": false, "PRCTL": false, "PROCCTL": false, "PROMEX": false, "PTHREAD_EMULATION": false, "QUIC": false,
	"QUIC_OPENSSL_COMPAT": false, "RT": false, "SHM_OPEN": false, "SLZ": false, "SSL": false,
	"STATIC_PCRE": false, "STATIC_PCRE2": false, "SYSTEMD": false, "TFO": true, "THREAD": true,
	"THREAD_DUMP": false, "TPROXY": false, "TRACE": false, "WURFL": false, "ZLIB": false,
}

// FeatureList names all features as HAProxy's -vv does: +NAME for those Penstock has, -NAME for the others.
func FeatureList() string {
	names := sortedKeys(features)
	for i, name := range names {
		sign := "-"
		if features[name] {
			sign = "+"
		}
		names[i] = sign + name
	}
	return strings.Join(names, " ")
}

// facilities are the run-time facilities that enabled() can ask for, and whether Penstock has them.
var facilities = map[string]bool{
	"POLL": false, "EPOLL": true, "KQUEUE": false, "EVPORTS": false, "SPLICE": true, "GETADDRINFO": true,
	"REUSEPORT": true, "FAST-FORWARD": true, "SERVER-SSL-VERIFY-NONE": false,
}

// condError is a mistake in a condition. at is the index of the first bad byte.
type condError struct {
	at  int
	msg string
}

// EvalCond evaluates a condition as .if and -cc do. The words of -cc come as one text in which quotes
// and variables still stand; env resolves the variables and defined().
func EvalCond(expr string, env func(string) (string, bool)) (bool, error) {
	lx := lexer{env: newEnviron(env)}
	words, lexErr := lx.split(nil, expr)
	if lexErr != nil {
		return false, fmt.Errorf("%s", strings.TrimSuffix(lexErr.msg, ":"))
	}
	ok, err := evalCond(joinWords(words), lx.env)
	if err != nil {
		return false, fmt.Errorf("%s", err.msg)
	}
	return ok, nil
}

// joinWords puts words together with one space between two.
func joinWords(words []word) string {
	texts := make([]string, len(words))
	for i := range words {
		texts[i] = words[i].text
	}
	return strings.Join(texts, " ")
}

// condParser evaluates while it reads: every part is parsed, and its value simply not used when
// another part has decided.
//
//	expr = and [ "||" expr ]
//	and  = term [ "&&" and ]
//	term = { "!" } ( integer | "(" expr ")" | predicate "(" args ")" )
type condParser struct {
	text string
	env  *environ
}

func evalCond(text string, env *environ) (bool, *condError) {
	if text == "" {
		return false, nil
	}
	c := condParser{text: text, env: env}
	value, at, err := c.expr(0, maxCondDepth)
	if err != nil {
		return false, err
	}
	at = c.blanks(at)
	if at < len(text) {
		return false, &condError{at, fmt.Sprintf("unexpected character '%c' at the end of conditional expression '%s'", text[at], clipCond(text))}
	}
	return value, nil
}

// clipCond keeps messages about huge conditions short.
func clipCond(s string) string {
	if len(s) > 256 {
		return s[:256]
	}
	return s
}

func (c *condParser) blanks(at int) int {
	for at < len(c.text) && (c.text[at] == ' ' || c.text[at] == '\t') {
		at++
	}
	return at
}

func (c *condParser) unparsable(at int) *condError {
	return &condError{at, fmt.Sprintf("unparsable conditional expression '%s'", clipCond(c.text[at:]))}
}

func (c *condParser) expr(at, depth int) (bool, int, *condError) {
	value := false
	for {
		v, next, err := c.and(at, depth-1)
		if err != nil {
			return false, at, err
		}
		value = value || v
		op := c.blanks(next)
		if !strings.HasPrefix(c.text[op:], "||") {
			return value, op, nil
		}
		if at = c.blanks(op + 2); at == len(c.text) {
			return false, at, &condError{op, fmt.Sprintf("unparsable conditional expression '%s'", clipCond(c.text))}
		}
	}
}

func (c *condParser) and(at, depth int) (bool, int, *condError) {
	value := true
	for {
		v, next, err := c.term(at, depth-1)
		if err != nil {
			return false, at, err
		}
		value = value && v
		op := c.blanks(next)
		if !strings.HasPrefix(c.text[op:], "&&") {
			return value, op, nil
		}
		if at = c.blanks(op + 2); at == len(c.text) {
			return false, at, c.unparsable(op)
		}
	}
}

func (c *condParser) term(start, depth int) (bool, int, *condError) {
	at := c.blanks(start)
	if depth <= 0 {
		return false, at, c.unparsable(start)
	}
	neg := false
	for at < len(c.text) && c.text[at] == '!' {
		neg = !neg
		at = c.blanks(at + 1)
	}
	if v, size := leadingInt(c.text[at:]); size > 0 {
		return (v != 0) != neg, at + size, nil
	}
	if strings.HasPrefix(c.text[at:], "(") {
		inner := c.blanks(at + 1)
		if inner == len(c.text) {
			return false, at, c.unparsable(start)
		}
		v, next, err := c.expr(inner, depth-1)
		if err != nil {
			return false, at, err
		}
		next = c.blanks(next)
		if !strings.HasPrefix(c.text[next:], ")") {
			return false, at, &condError{start, fmt.Sprintf("expected ')' after conditional expression '%s'", clipCond(c.text[start:]))}
		}
		return v != neg, c.blanks(next + 1), nil
	}
	size := strings.IndexAny(c.text[at:], " (")
	if size < 0 {
		size = len(c.text) - at
	}
	name := c.text[at : at+size]
	want, ok := predicates[name]
	if !ok {
		return false, at, c.unparsable(start)
	}
	args, next, err := c.args(name, at+size, want)
	if err != nil {
		return false, at, err
	}
	return c.predicate(name, args) != neg, next, nil
}

// leadingInt reads an integer as strtol does with base 0, and tells how long it is. Its value counts
// only as zero or not zero.
func leadingInt(s string) (value int, size int) {
	i := 0
	if i < len(s) && (s[i] == '+' || s[i] == '-') {
		i++
	}
	valid := isDigit
	if strings.HasPrefix(s[i:], "0x") || strings.HasPrefix(s[i:], "0X") {
		if len(s) > i+2 && hexDigit(s[i+2]) >= 0 {
			i += 2
			valid = func(c byte) bool { return hexDigit(c) >= 0 }
		}
	} else if strings.HasPrefix(s[i:], "0") {
		valid = func(c byte) bool { return c >= '0' && c <= '7' }
	}
	start := i
	for ; i < len(s) && valid(s[i]); i++ {
		if s[i] != '0' {
			value = 1
		}
	}
	if i == start {
		return 0, 0
	}
	return value, i
}

// predicates gives the number of arguments of each predicate.
var predicates = map[string]int{
	"defined": 1, "feature": 1, "streq": 2, "strneq": 2, "strstr": 2,
	"version_atleast": 1, "version_before": 1, "enabled": 1,
	"openssl_version_atleast": 1, "openssl_version_before": 1,
	"ssllib_name_startswith": 1, "awslc_api_atleast": 1, "awslc_api_before": 1,
}

// args reads "(a,b)" at c.text[at:]; quotes and backslashes protect commas, blanks and parentheses.
func (c *condParser) args(name string, at, want int) ([]string, int, *condError) {
	fail := func(at int, n int, format string, a ...any) ([]string, int, *condError) {
		return nil, at, &condError{at, fmt.Sprintf(format, a...) +
			fmt.Sprintf(" in argument %d of predicate '%s' used in conditional expression", n, name)}
	}
	var args []string
	if at < len(c.text) && c.text[at] == '(' {
		var b strings.Builder
		quote, done := byte(0), false
		for at++; !done; at++ {
			if at >= len(c.text) {
				return fail(at, len(args)+1, "expected ')'")
			}
			ch := c.text[at]
			switch {
			case ch == '\\' && quote != '\'':
				v, size := unescapeArg(c.text[at:])
				b.WriteByte(v)
				at += size - 1
			case (ch == '"' || ch == '\'') && (quote == 0 || quote == ch):
				quote ^= ch
			case quote == 0 && (ch == ',' || ch == ')'):
				args = append(args, b.String())
				b.Reset()
				done = ch == ')'
				if !done && len(args) == want {
					return fail(at, want, "expected ')' before '%s'", clip(c.text[at:]))
				}
			default:
				b.WriteByte(ch)
			}
		}
	}
	if len(args) == 1 && args[0] == "" {
		args = nil
	}
	if len(args) < want {
		if strings.HasSuffix(c.text[:at], ")") {
			at--
		}
		return fail(at, max(len(args), 1), "missing arguments (got %d/%d), type 'string' expected", len(args), want)
	}
	return args, at, nil
}

// unescapeArg is unescape for arguments between parentheses, which know fewer sequences.
func unescapeArg(s string) (byte, int) {
	if len(s) < 2 {
		return '\\', 1
	}
	switch s[1] {
	case ' ', '\\', '\'', '"', ',', '(', ')':
		return s[1], 2
	case 'n', 'r', 't':
		return unescape(s)
	}
	return '\\', 1
}

func (c *condParser) predicate(name string, args []string) bool {
	switch name {
	case "defined":
		_, ok := c.env.lookup(args[0])
		return ok
	case "feature":
		return features[args[0]]
	case "enabled":
		return facilities[args[0]]
	case "streq":
		return args[0] == args[1]
	case "strneq":
		return args[0] != args[1]
	case "strstr":
		return strings.Contains(args[0], args[1])
	case "version_atleast":
		return compareVersions(CompatibleVersion, args[0]) >= 0
	case "version_before":
		return compareVersions(CompatibleVersion, args[0]) < 0
	}
	return false // the TLS library is none, of any version
}

// compareVersions orders versions such as 2.4-dev13-7 or 3.4.0: a development version stands before
// the release it leads to.
func compareVersions(a, b string) int {
	x, y := parseVersion(a), parseVersion(b)
	for i := range x {
		if x[i] != y[i] {
			if x[i] < y[i] {
				return -1
			}
			return 1
		}
	}
	return 0
}

// parseVersion splits a version into comparable numbers: major, minor, release (0 for development),
// patch or development number, commits after it.
func parseVersion(s string) (v [5]int) {
	number := func() int {
		i := 0
		for i < len(s) && isDigit(s[i]) {
			i++
		}
		n, err := strconv.Atoi(s[:i])
		if err != nil && i > 0 {
			n = 1 << 30
		}
		s = s[i:]
		return n
	}
	v[0] = number()
	if strings.HasPrefix(s, ".") {
		s = s[1:]
		v[1] = number()
	}
	v[2] = 1
	if strings.HasPrefix(s, ".") {
		s = s[1:]
		v[3] = number()
	}
	if strings.HasPrefix(s, "-dev") {
		s = s[4:]
		v[2] = 0
		v[3] = number()
	}
	if strings.HasPrefix(s, "-") {
		s = s[1:]
		v[4] = number()
	}
	return v
}
