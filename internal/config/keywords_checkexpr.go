package config

import (
	"regexp"
	"slices"
	"strings"
)

// refuse reports an expression that cannot be used.
func (l *checkWords) refuse(e *exprError, format string, args ...any) {
	code := codeInvalidValue
	if e.later {
		code = codeNotImplemented
	}
	l.fail(l.at, code, format, append(args, e.text)...)
}

// format reads the current word as a log-format string.
func (l *checkWords) format(text string) CheckFormat {
	if l.failed {
		return nil
	}
	f, bad := parseCheckFormat(text, l.http)
	if bad != nil {
		l.refuse(bad, "'%s' invalid log-format string (%s)", text)
	}
	return f
}

// expression reads the current word; what says what it is for.
func (l *checkWords) expression(text, what string) *CheckExpr {
	if l.failed {
		return nil
	}
	e, bad := parseCheckExpr(text, l.http)
	if bad != nil {
		l.refuse(bad, "error detected while parsing "+what+" expression : %s")
	}
	return e
}

// variable reads a line that sets a variable or takes it away, and reports whether it is one.
func (l *checkWords) variable(rule *CheckRule) bool {
	word := l.s.arg(1)
	action, name, opened := strings.Cut(word, "(")
	if !slices.Contains([]string{"set-var", "set-var-fmt", "unset-var"}, action) {
		return false
	}
	const forms = "Expects 'set-var(<var-name>)', 'set-var-fmt(<var-name>)' or 'unset-var(<var-name>)'"
	name, closed := strings.CutSuffix(name, ")")
	switch {
	case !opened:
		l.fail(1, codeMissingValue, "'set-var' : invalid or incomplete action '%s'. "+forms, word)
		return true
	case !closed:
		l.fail(1, codeMissingValue, "'set-var' : incomplete argument after action '%s'. "+forms, word)
		return true
	case strings.Contains(name, ","):
		l.notYet(1, action+" with a condition")
		return true
	}
	l.at = 1
	if bad := checkVariable(name); bad != nil {
		l.refuse(bad, "'%s' : %s", action)
		return true
	}
	rule.Action, rule.Variable = CheckSet, name
	value := l.s.arg(2)
	l.at = 2
	switch {
	case action == "unset-var" && value != "":
		l.fail(2, codeUnexpectedWord, "'%s' cannot handle unexpected argument '%s'", action, value)
	case action == "unset-var":
	case value == "":
		l.fail(2, codeMissingValue, "'%s' : missing fetch method", action)
	case l.s.arg(3) != "":
		l.fail(3, codeUnexpectedWord, "'%s' cannot handle unexpected argument '%s'", action, l.s.arg(3))
	case action == "set-var-fmt":
		rule.Format = l.format(value)
	default:
		e, bad := parseCheckExpr(value, l.http)
		if bad != nil {
			l.refuse(bad, "'%s' : %s", action)
			return true
		}
		rule.Format = CheckFormat{{Expr: e}}
	}
	return true
}

// sendFormat reads a send-lf or send-binary-lf line.
func (l *checkWords) sendFormat(rule *CheckRule) {
	rule.Action, rule.Hex = CheckSend, l.word() == "send-binary-lf"
	rule.Format = l.format(l.value("a log-format string"))
	for l.at++; l.more(); l.at++ {
		if l.word() != "comment" {
			l.fail(l.at, codeUnknownKeyword, "expects 'comment' but got '%s' as argument", l.word())
			return
		}
		rule.Comment = l.value("a string")
	}
}

// headerMatches are the ways of comparing a header.
var headerMatches = []string{"str", "beg", "end", "sub", "reg"}

// header reads what stands behind hdr or fhdr.
func (l *checkWords) header(e *CheckExpect, word string) {
	e.Match, e.Header = MatchHeader, &CheckHeader{Whole: word == "fhdr"}
	next := l.s.arg(l.at + 1)
	if next != "name" && next != "name-lf" || l.s.arg(l.at+2) == "" {
		l.fail(l.at, codeMissingValue, "'%s' expects at the name keyword as first argument followed by a pattern", word)
		return
	}
	l.at += 2
	e.Header.Name = l.headerPattern(word, next == "name-lf")
	if next = l.s.arg(l.at + 1); l.failed || next != "value" && next != "value-lf" {
		return
	}
	if l.s.arg(l.at+2) == "" {
		l.fail(l.at+1, codeMissingValue, "'%s' expect a pattern with the value keyword", word)
		return
	}
	l.at += 2
	value := l.headerPattern(word, next == "value-lf")
	e.Header.Value = &value
}

// headerPattern reads a pattern and how it is compared; the current word is its first.
func (l *checkWords) headerPattern(word string, isFormat bool) HeaderPattern {
	h := HeaderPattern{How: "str"}
	if l.word() == "-m" && l.s.arg(l.at+1) == "" {
		l.fail(l.at, codeMissingValue, "'%s' : '-m' expects at a matching pattern ('str', 'beg', 'end', 'sub' or 'reg')", word)
		return h
	}
	if l.word() == "-m" {
		l.at++
		if h.How = l.word(); !slices.Contains(headerMatches, h.How) || isFormat && h.How == "reg" {
			l.fail(l.at, codeInvalidValue, "'%s' : '-m' only supports 'str', 'beg', 'end', 'sub' or 'reg' (got '%s')", word, h.How)
			return h
		}
		l.at++
		if l.word() == "" {
			l.fail(l.at, codeMissingValue, "'%s' expects a pattern", word)
			return h
		}
	}
	h.Text = l.word()
	switch {
	case isFormat:
		h.Format = l.format(h.Text)
	case h.How == "reg":
		if _, err := regexp.Compile(h.Text); err != nil {
			l.badRegexp(h.Text, err)
		}
	}
	return h
}

func (l *checkWords) badRegexp(text string, err error) {
	l.fail(l.at, codeInvalidValue, "regex '%s' is invalid (%s)", text, strings.TrimPrefix(err.Error(), "error parsing regexp: "))
}
