package config

import (
	"fmt"
	"maps"
	"slices"
)

// The codes of mistakes in the words of a line. Programs read them; they never change.
const (
	codeUnknownKeyword = "unknown-keyword"
	codeNotImplemented = "not-implemented"
	codeHTTPOnly       = "http-only"
	codeDeprecated     = "deprecated"
	codeMissingValue   = "missing-value"
	codeInvalidValue   = "invalid-value"
	codeInvalidAddress = "invalid-address"
	codeUnexpectedWord = "unexpected-word"
	codeNotAllowedHere = "not-allowed-here"
)

// wordError is a mistake found below the level of a line, where the index of the word is not known yet.
type wordError struct {
	code string
	msg  string
}

func (e *wordError) Error() string { return e.msg }

func wordErrorf(code, format string, args ...any) error {
	return &wordError{code: code, msg: fmt.Sprintf(format, args...)}
}

// errorCode is the code of an error of this package, or invalid-value for one that has none.
func errorCode(err error) string {
	if e, ok := err.(*wordError); ok {
		return e.code
	}
	return codeInvalidValue
}

// params walks over the parameters of one bind, server, log or source line and collects the mistakes.
// A parameter's own words are words[pos] (the keyword) and those behind it.
type params struct {
	words []string
	pos   int
	env   func(string) (string, bool)
	errs  []argError
}

// arg is the n-th word behind the keyword, counted from 1; empty when the line ends before.
func (p *params) arg(n int) string {
	if p.pos+n < len(p.words) {
		return p.words[p.pos+n]
	}
	return ""
}

// failKeyword reports a mistake of the keyword itself, such as a missing value.
func (p *params) failKeyword(code, format string, args ...any) {
	p.errs = append(p.errs, argError{Index: p.pos, Code: code, Msg: fmt.Sprintf(format, args...)})
}

// failArg reports a mistake in the keyword's n-th value; when the line ends before it, the keyword is blamed.
func (p *params) failArg(n int, code, format string, args ...any) {
	at := p.pos + n
	if at >= len(p.words) {
		at = p.pos
	}
	p.errs = append(p.errs, argError{Index: at, Code: code, Msg: fmt.Sprintf(format, args...)})
}

func (p *params) warn(code, format string, args ...any) {
	p.errs = append(p.errs, argError{Index: p.pos, Warning: true, Code: code, Msg: fmt.Sprintf(format, args...)})
}

// tlsHint ends the message of a parameter that belongs to TLS.
const tlsHint = "TLS is not handled: connections pass through unchanged; terminate TLS before or behind."

// notYet reports a parameter that HAProxy knows and that is not obeyed here.
func (p *params) notYet(tls bool) {
	e := argError{Index: p.pos, Code: codeNotImplemented}
	if tls {
		e.Msg = fmt.Sprintf("'%s' is not implemented: TLS is not handled", p.words[p.pos])
		e.Hint = tlsHint
	} else {
		e.Msg = notYet(p.words[p.pos])
	}
	p.errs = append(p.errs, e)
}

// unknownText is what HAProxy says of a word in no table, with the nearest word of the table.
func unknownText(word string, table map[string]Class) string {
	if near := nearestWord(word, slices.Sorted(maps.Keys(table))); near != "" {
		return fmt.Sprintf("unknown keyword '%s'; did you mean '%s' maybe ?", word, near)
	}
	return fmt.Sprintf("unknown keyword '%s'", word)
}

// nearestWord returns the candidate that a typist most likely meant by word, or "" when none resembles it.
//
// Two words resemble each other when they make the same steps from letter to letter. Each word is the
// bag of its steps, its begin and end being letters too: "tfo" is {^t, tf, fo, o$}. The distance is the
// sum of the squared differences of the counts, so that a swapped pair or a forgotten letter costs little
// wherever it stands. A distance above twice the length of either word is no resemblance. The first
// candidate wins among equals. A word longer than any keyword resembles none.
func nearestWord(word string, candidates []string) string {
	if len(word) > 64 {
		return ""
	}
	best, bestDistance := "", 2*len(word)+1
	steps := letterSteps(word)
	for _, c := range candidates {
		d := 0
		other := letterSteps(c)
		for step, n := range steps {
			diff := n - other[step]
			d += diff * diff
		}
		for step, n := range other {
			if steps[step] == 0 {
				d += n * n
			}
		}
		if d < bestDistance && d <= 2*len(c) {
			best, bestDistance = c, d
		}
	}
	return best
}

// letterSteps counts the steps from one letter to the next. Digits are one letter, the begin, the end and all other
// bytes another.
func letterSteps(word string) map[[2]byte]int {
	const outside = '-'
	steps := make(map[[2]byte]int, len(word)+1)
	from := byte(outside)
	for i := 0; i <= len(word); i++ {
		to := byte(outside)
		if i < len(word) {
			switch c := word[i] | 0x20; {
			case c >= 'a' && c <= 'z':
				to = c
			case word[i] >= '0' && word[i] <= '9':
				to = '0'
			}
		}
		steps[[2]byte{from, to}]++
		from = to
	}
	return steps
}
