package config

import (
	"fmt"
	"strings"
)

// maxWords is the most words a line may have.
const maxWords = 64

// word is one word of a line after quotes, escapes and variables were resolved. col and end are its
// bytes in the source line: col counts from 1, end is one past the last.
type word struct {
	text     string
	col, end int
}

// lexError is a mistake in the form of a line. The column counts from 1.
type lexError struct {
	col, end int
	code     string
	msg      string
	hint     string
}

// lexer splits lines into words. file, line and section are what the pseudo-variables show.
type lexer struct {
	env     *environ
	file    string
	line    int
	section string

	buf []byte // the word under construction
}

func isBlank(c byte) bool { return c == ' ' || c >= '\t' && c <= '\r' }

func isNameStart(c byte) bool {
	return c == '_' || c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z'
}

func isDigit(c byte) bool { return c >= '0' && c <= '9' }

// split appends the words of one line, which has no line feed, to words. On a mistake the line must
// not be obeyed.
func (lx *lexer) split(words []word, src string) ([]word, *lexError) {
	first := len(words)
	i := 0
	for {
		for i < len(src) && isBlank(src[i]) {
			i++
		}
		if i >= len(src) || src[i] == '#' {
			break
		}
		var err *lexError
		if words, i, err = lx.word(words, src, i); err != nil {
			return words, err
		}
		if n := len(words) - first; n > maxWords {
			w := words[first+maxWords]
			return words, &lexError{
				col: w.col, end: w.end, code: "too-many-words",
				msg: fmt.Sprintf("too many words, truncating after word %d, position %d: <%s>.", maxWords, w.col, clip(src[w.col-1:])),
			}
		}
	}
	for n, w := range words[first:] {
		if w.text == "" {
			return words, &lexError{
				col: w.col, end: w.end, code: "empty-word",
				msg: fmt.Sprintf("argument number %d at position %d is empty and marks the end of the argument list:", n, w.col),
				hint: `the words after an empty one would be ignored; if a variable is unset, give it a default ("${NAME-default}")` +
					" or take the word away",
			}
		}
	}
	return words, nil
}

// clip shortens a text that is repeated in a message.
func clip(s string) string {
	if len(s) > 40 {
		return s[:40]
	}
	return s
}

// word reads the word that starts at src[i] and appends it; a variable may make several words of it,
// or none. It returns the index of the byte after the word.
func (lx *lexer) word(words []word, src string, i int) ([]word, int, *lexError) {
	start := i
	for i < len(src) && plain[src[i]] {
		i++
	}
	if i >= len(src) || isBlank(src[i]) || src[i] == '#' {
		return append(words, word{text: src[start:i], col: start + 1, end: i + 1}), i, nil
	}
	lx.buf = append(lx.buf[:0], src[start:i]...)
	quote, quoteAt := byte(0), 0
	split := false     // some piece of the word came from a word expansion
	solid := i > start // something but an expansion stands in the word
	pieces := 0        // words already cut off by the expansion
scan:
	for i < len(src) {
		c := src[i]
		switch {
		case quote == 0 && (isBlank(c) || c == '#'):
			break scan
		case (c == '"' || c == '\'') && (quote == 0 || quote == c):
			if quote == 0 {
				quote, quoteAt = c, i
			} else {
				quote = 0
				solid = solid || i == quoteAt+1
			}
			i++
		case c == '\\' && quote != '\'':
			n, size := unescape(src[i:])
			if size == 0 {
				return words, i, &lexError{
					col: i + 1, end: min(i+4, len(src)) + 1, code: "bad-hex",
					msg: fmt.Sprintf("truncated or invalid hexadecimal sequence at position %d:", i+1),
				}
			}
			lx.buf = append(lx.buf, n)
			solid = true
			i += size
		case c == '$' && quote == '"':
			v, err := lx.variable(src, i)
			if err != nil {
				return words, i, err
			}
			i = v.next
			if !v.expand {
				lx.buf = append(lx.buf, v.value...)
				solid = true
				break
			}
			split = true
			words, pieces = lx.expand(words, v.value, start, pieces)
		default:
			lx.buf = append(lx.buf, c)
			solid = true
			i++
		}
		if pieces > maxWords {
			break scan
		}
	}
	if quote != 0 && pieces <= maxWords {
		return words, i, &lexError{
			col: quoteAt + 1, end: len(src) + 1, code: "unmatched-quote",
			msg: fmt.Sprintf("unmatched quote at position %d:", quoteAt+1),
		}
	}
	for n := len(words) - pieces; n < len(words); n++ {
		words[n].end = i + 1
	}
	if len(lx.buf) > 0 || !split || pieces == 0 && solid {
		words = append(words, word{text: string(lx.buf), col: start + 1, end: i + 1})
	}
	return words, i, nil
}

// expand cuts value at blanks: every blank ends the word under construction if that has text.
func (lx *lexer) expand(words []word, value string, start, pieces int) ([]word, int) {
	for i := 0; i < len(value) && pieces <= maxWords; i++ {
		if !isBlank(value[i]) && value[i] != '\n' {
			lx.buf = append(lx.buf, value[i])
			continue
		}
		if len(lx.buf) > 0 {
			words = append(words, word{text: string(lx.buf), col: start + 1})
			lx.buf = lx.buf[:0]
			pieces++
		}
	}
	return words, pieces
}

// plain holds the bytes that stand for themselves outside of quotes.
var plain = func() (t [256]bool) {
	for c := range t {
		t[c] = !isBlank(byte(c)) && !strings.ContainsRune(`"'\#`, rune(c))
	}
	return t
}()

// unescape resolves the escape sequence at the start of s and returns the byte it stands for and its
// length. A backslash that starts no sequence stands for itself. The length is 0 for bad hexadecimals.
func unescape(s string) (byte, int) {
	if len(s) < 2 {
		return '\\', 1
	}
	switch s[1] {
	case ' ', '#', '\\', '\'', '"', '$':
		return s[1], 2
	case 'n':
		return '\n', 2
	case 'r':
		return '\r', 2
	case 't':
		return '\t', 2
	case 'x':
		if len(s) < 4 {
			return 0, 0
		}
		hi, lo := hexDigit(s[2]), hexDigit(s[3])
		if hi < 0 || lo < 0 {
			return 0, 0
		}
		return byte(hi<<4 | lo), 4
	}
	return '\\', 1
}

func hexDigit(c byte) int {
	switch {
	case c >= '0' && c <= '9':
		return int(c - '0')
	case c >= 'a' && c <= 'f':
		return int(c-'a') + 10
	case c >= 'A' && c <= 'F':
		return int(c-'A') + 10
	}
	return -1
}

// variable is a resolved reference; next is the index after it.
type variable struct {
	value  string
	expand bool
	next   int
}

// variable resolves the reference whose dollar is src[at].
func (lx *lexer) variable(src string, at int) (variable, *lexError) {
	i := at + 1
	brace := -1
	if i < len(src) && src[i] == '{' {
		brace = i
		i++
	}
	if i >= len(src) || !isNameStart(src[i]) && src[i] != '.' {
		return variable{}, &lexError{
			col: i + 1, end: i + 2, code: "bad-variable",
			msg:  fmt.Sprintf("forbidden first char in environment variable name at position %d:", i+1),
			hint: `a dollar sign that is meant literally is written \$ inside double quotes`,
		}
	}
	name := i
	for i++; i < len(src) && (isNameStart(src[i]) || isDigit(src[i])); i++ {
		continue
	}
	value, ok := lx.value(src[name:i])
	v := variable{value: value}
	if brace < 0 {
		v.next = i
		return v, nil
	}
	if i < len(src) && src[i] == '[' {
		if !strings.HasPrefix(src[i:], "[*]") {
			return variable{}, &lexError{
				col: i + 1, end: i + 2, code: "bad-expansion",
				msg: fmt.Sprintf("truncated or invalid word expansion sequence at position %d:", i+1),
			}
		}
		v.expand = true
		i += 3
	}
	if i < len(src) && src[i] == '-' {
		stop := strings.IndexByte(src[i:], '}')
		if stop < 0 {
			stop = len(src) - i
		}
		if !ok {
			v.value = src[i+1 : i+stop]
		}
		i += stop
	}
	if i >= len(src) || src[i] != '}' {
		return variable{}, &lexError{
			col: brace + 1, end: i + 1, code: "unmatched-brace",
			msg: fmt.Sprintf("unmatched brace in environment variable name at position %d:", brace+1),
		}
	}
	v.next = i + 1
	return v, nil
}

// value is what a variable holds. Names that start with a dot are the lexer's own.
func (lx *lexer) value(name string) (string, bool) {
	if name[0] != '.' {
		return lx.env.lookup(name)
	}
	switch name {
	case ".FILE":
		return lx.file, true
	case ".LINE":
		return fmt.Sprint(lx.line), true
	case ".SECTION":
		return lx.section, true
	}
	return "", false
}
