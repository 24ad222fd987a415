package logging

import (
	"fmt"
	"strings"
)

// FormatError is a mistake in a log format: Len bytes of it, from Offset on.
type FormatError struct {
	Offset int
	Len    int
	Msg    string
}

func (e *FormatError) Error() string { return e.Msg }

type aliasClass uint8

const (
	aliasField    aliasClass = iota
	aliasSilent              // prints nothing: %o, and captures, which TCP sessions do not have
	aliasHTTPOnly            // known, but reserved for HTTP mode
)

type alias struct {
	name  string
	class aliasClass
	kind  kind
}

var aliases = []alias{
	{name: "ci", kind: kindClientIP},
	{name: "cp", kind: kindClientPort},
	{name: "fi", kind: kindBindIP},
	{name: "fp", kind: kindBindPort},
	{name: "bi", kind: kindLocalIP},
	{name: "bp", kind: kindLocalPort},
	{name: "si", kind: kindServerIP},
	{name: "sp", kind: kindServerPort},
	{name: "f", kind: kindFrontend},
	{name: "ft", kind: kindFrontend}, // its "~" marks TLS listeners, and there are none
	{name: "b", kind: kindBackend},
	{name: "s", kind: kindServer},
	{name: "t", kind: kindAcceptLocalMs},
	{name: "T", kind: kindAcceptUTC},
	{name: "Tl", kind: kindAcceptLocal},
	{name: "Ts", kind: kindAcceptUnix},
	{name: "ms", kind: kindAcceptMs},
	{name: "Th", kind: kindHandshake},
	{name: "Tw", kind: kindQueue},
	{name: "Tc", kind: kindConnect},
	{name: "Td", kind: kindData},
	{name: "Tt", kind: kindTotal},
	{name: "Tu", kind: kindUser},
	{name: "B", kind: kindBytesOut},
	{name: "U", kind: kindBytesIn},
	{name: "ts", kind: kindTerm},
	{name: "tsc", kind: kindTermCookie},
	{name: "ac", kind: kindActConn},
	{name: "fc", kind: kindFeConn},
	{name: "bc", kind: kindBeConn},
	{name: "sc", kind: kindSrvConn},
	{name: "rc", kind: kindRetries},
	{name: "sq", kind: kindSrvQueue},
	{name: "bq", kind: kindBackendQueue},
	{name: "lc", kind: kindLogCount},
	{name: "rt", kind: kindCounter},
	{name: "pid", kind: kindPid},
	{name: "H", kind: kindHostname},
	{name: "ID", kind: kindUniqueID},
	{name: "OG", kind: kindOrigin},
	{name: "sslc", kind: kindMissing},
	{name: "sslv", kind: kindMissing},

	{name: "o", class: aliasSilent},
	{name: "hr", class: aliasSilent},
	{name: "hrl", class: aliasSilent},
	{name: "hs", class: aliasSilent},
	{name: "hsl", class: aliasSilent},

	{name: "CC", class: aliasHTTPOnly},
	{name: "CS", class: aliasHTTPOnly},
	{name: "HM", class: aliasHTTPOnly},
	{name: "HP", class: aliasHTTPOnly},
	{name: "HPO", class: aliasHTTPOnly},
	{name: "HQ", class: aliasHTTPOnly},
	{name: "HU", class: aliasHTTPOnly},
	{name: "HV", class: aliasHTTPOnly},
	{name: "r", class: aliasHTTPOnly},
	{name: "ST", class: aliasHTTPOnly},
	{name: "Ta", class: aliasHTTPOnly},
	{name: "Ti", class: aliasHTTPOnly},
	{name: "Tq", class: aliasHTTPOnly},
	{name: "TR", class: aliasHTTPOnly},
	{name: "Tr", class: aliasHTTPOnly},
	{name: "tr", class: aliasHTTPOnly},
	{name: "trg", class: aliasHTTPOnly},
	{name: "trl", class: aliasHTTPOnly},
}

// Compile reads a log format. Runs of spaces count as one, and those at the start as none. An error is
// a *[FormatError].
func Compile(format string) (*Format, error) {
	c := compiler{src: format, defaults: flagMandatory, afterSpace: true}
	for c.pos < len(c.src) {
		ch := c.src[c.pos]
		if ch != '%' {
			c.literal(ch)
			c.pos++
			continue
		}
		if err := c.percent(); err != nil {
			return nil, err
		}
	}
	c.flushLiteral()
	f := &Format{items: c.items, warnings: c.warnings}
	for i := range f.items {
		f.kinds |= 1 << f.items[i].kind
	}
	return f, nil
}

type compiler struct {
	src        string
	pos        int
	defaults   flags
	items      []item
	warnings   []FormatError
	text       []byte // the literal being gathered
	afterSpace bool   // the last thing printed was a space, or nothing was yet
}

func (c *compiler) literal(ch byte) {
	if ch == ' ' && c.afterSpace {
		return
	}
	c.afterSpace = ch == ' '
	c.text = append(c.text, ch)
}

func (c *compiler) flushLiteral() {
	if len(c.text) > 0 {
		c.items = append(c.items, item{kind: kindLiteral, text: string(c.text)})
		c.text = c.text[:0]
	}
}

func (c *compiler) add(it item) {
	c.flushLiteral()
	c.items = append(c.items, it)
	c.afterSpace = false
}

func (c *compiler) errorf(start, end int, format string, args ...any) *FormatError {
	return &FormatError{Offset: start, Len: max(end-start, 1), Msg: fmt.Sprintf(format, args...)}
}

// percent reads what follows a '%': another one, a character that needs no '%', or a field as
// [(name)][{flags}]alias or [(name)][{flags}][expression].
func (c *compiler) percent() error {
	start := c.pos
	c.pos++
	if c.pos == len(c.src) {
		return c.errorf(start, c.pos, "the format ends after '%%'; to write a '%%' itself, use '%%%%'")
	}
	switch ch := c.src[c.pos]; {
	case ch == '(' || ch == '{' || ch == '[' || isAlpha(ch):
	case ch == '%':
		c.literal(ch)
		c.pos++
		return nil
	case ch == ' ' || ch == '\t' || '0' <= ch && ch <= '9':
		return c.errorf(start, c.pos+1, "unexpected '%c' after '%%'; to write a '%%' itself, use '%%%%'", ch)
	default:
		c.literal(ch)
		c.pos++
		return nil
	}

	if c.src[c.pos] == '(' {
		if err := c.itemName(start); err != nil {
			return err
		}
	}
	fl := c.defaults
	if c.pos < len(c.src) && c.src[c.pos] == '{' {
		end := strings.IndexByte(c.src[c.pos:], '}')
		if end < 0 {
			return c.errorf(c.pos, len(c.src), "the '{' of an argument modifier is not closed")
		}
		args := c.src[c.pos+1 : c.pos+end]
		var err error
		if fl, err = c.itemFlags(fl, args, c.pos+1); err != nil {
			return err
		}
		c.pos += end + 1
	}
	if c.pos < len(c.src) && c.src[c.pos] == '[' {
		return c.expression(fl)
	}
	nameStart := c.pos
	for c.pos < len(c.src) && (isAlpha(c.src[c.pos]) || c.pos > nameStart && isDigit(c.src[c.pos])) {
		c.pos++
	}
	name := c.src[nameStart:c.pos]
	if name == "" {
		return c.errorf(start, c.pos, "parse argument modifier without alias name near '%s'", c.src[start:c.pos])
	}
	return c.alias(name, start, fl)
}

// itemName reads "(name)" or "(name:type)"; names matter to structured encodings only.
func (c *compiler) itemName(start int) error {
	end := strings.IndexByte(c.src[c.pos:], ')')
	if end < 0 {
		return c.errorf(start, len(c.src), "the '(' of an item name is not closed")
	}
	name, typ, typed := strings.Cut(c.src[c.pos+1:c.pos+end], ":")
	if typed && typ != "str" && typ != "sint" && typ != "bool" {
		at := c.pos + 1 + len(name) + 1
		return c.errorf(at, at+len(typ), "unexpected output type '%s' at position %d: '%s'; known are str, sint and bool", typ, at, c.src)
	}
	c.pos += end + 1
	return nil
}

var flagNames = map[string]flags{"Q": flagQuote, "X": flagHex, "E": flagEscape, "M": flagMandatory}

// itemFlags applies "+Q,-X" to fl. A flag without a sign, or one that nobody knows, changes nothing.
func (c *compiler) itemFlags(fl flags, args string, offset int) (flags, error) {
	for args != "" {
		word, rest, _ := strings.Cut(args, ",")
		sign, name := byte(0), strings.TrimLeft(word, " ")
		if name != "" && (name[0] == '+' || name[0] == '-') {
			sign, name = name[0], name[1:]
		}
		switch bit, known := flagNames[name]; {
		case name == "bin" || name == "json" || name == "cbor":
			if sign == '+' {
				return fl, c.errorf(offset, offset+len(word), "log format flag '%s' is not implemented yet", name)
			}
		case sign == '+' && known:
			fl |= bit
		case sign == '-' && known:
			fl &^= bit
		case known:
			c.warn(offset, len(word), "log format flag '%s' needs a '+' or '-' before it; ignored", name)
		default:
			c.warn(offset, len(word), "unknown log format flag '%s' ignored", name)
		}
		offset += len(word) + 1
		args = rest
	}
	return fl, nil
}

func (c *compiler) warn(offset, n int, format string, args ...any) {
	c.warnings = append(c.warnings, *c.errorf(offset, offset+n, format, args...))
}

func (c *compiler) alias(name string, start int, fl flags) error {
	for i := range aliases {
		a := &aliases[i]
		if a.name != name {
			continue
		}
		switch a.class {
		case aliasHTTPOnly:
			return c.errorf(start, c.pos, "format alias '%s' is reserved for HTTP mode", name)
		case aliasSilent:
			if name == "o" {
				c.defaults = fl
			}
		default:
			c.add(item{kind: a.kind, flags: fl})
		}
		return nil
	}
	hint := ""
	if near := nearestAlias(name); near != "" {
		hint = " Did you mean '%" + near + "'?"
	}
	return c.errorf(start, c.pos, "no such format alias '%s'.%s To write a '%%' itself, use '%%%%'.", name, hint)
}

// nearestAlias is the alias usable in TCP mode that differs from name by case or by one letter.
func nearestAlias(name string) string {
	for i := range aliases {
		if aliases[i].class != aliasHTTPOnly && strings.EqualFold(aliases[i].name, name) {
			return aliases[i].name
		}
	}
	for i := range aliases {
		a := &aliases[i]
		if a.class == aliasField && len(a.name) > 1 && oneEdit(a.name, name) {
			return a.name
		}
	}
	return ""
}

// oneEdit reports whether one inserted, removed, replaced or swapped letter turns a into b.
func oneEdit(a, b string) bool {
	if len(a) > len(b) {
		a, b = b, a
	}
	i := 0
	for i < len(a) && a[i] == b[i] {
		i++
	}
	switch len(b) - len(a) {
	case 0:
		if i == len(a) {
			return false
		}
		if a[i+1:] == b[i+1:] {
			return true
		}
		return i+1 < len(a) && a[i] == b[i+1] && a[i+1] == b[i] && a[i+2:] == b[i+2:]
	case 1:
		return a[i:] == b[i+1:]
	}
	return false
}

func isAlpha(c byte) bool { return 'a' <= c|0x20 && c|0x20 <= 'z' }

func isDigit(c byte) bool { return '0' <= c && c <= '9' }
