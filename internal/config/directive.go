package config

import "fmt"

// maxCondBlocks is the depth of .if blocks that is too deep.
const maxCondBlocks = 100

// condState is one open .if block.
type condState struct {
	taking  bool // the lines of this branch are read
	done    bool // some branch was taken, or the whole block is skipped
	hasElse bool
}

// skipping reports whether an open .if block drops the current line.
func (p *parser) skipping() bool {
	return len(p.conds) > 0 && !p.conds[len(p.conds)-1].taking
}

// directive obeys a line that starts with a dot. It reports whether the line is done with.
func (p *parser) directive(s *stmt) bool {
	top := len(p.conds) - 1
	switch s.keyword() {
	case ".if":
		if len(p.conds) >= maxCondBlocks-1 {
			p.alertTight(s, 0, "cond-depth", "too many nested '.if', max is %d.", maxCondBlocks)
			p.conds = append(p.conds, condState{taking: !p.skipping(), done: true}) // its .endif is no mistake
			return true
		}
		if p.skipping() {
			p.conds = append(p.conds, condState{done: true})
			return true
		}
		value := p.condition(s)
		p.conds = append(p.conds, condState{taking: value, done: value})
	case ".elif":
		if top < 0 {
			p.alertTight(s, 0, "cond-lone", "lone '.elif' with no matching '.if'.")
			return true
		}
		c := &p.conds[top]
		if c.hasElse {
			p.alertTight(s, 0, "cond-order", "'.elif' after '.else' is not permitted.")
			return true
		}
		c.taking = false
		if !c.done {
			c.taking = p.condition(s)
			c.done = c.taking
		}
	case ".else":
		if p.unexpected(s) {
			return true
		}
		if top < 0 {
			p.alertTight(s, 0, "cond-lone", "lone '.else' with no matching '.if'.")
			return true
		}
		c := &p.conds[top]
		if c.hasElse {
			p.alertTight(s, 0, "cond-order", "'.else' after '.else' is not permitted.")
			return true
		}
		c.hasElse = true
		c.taking = !c.done
		c.done = true
	case ".endif":
		if p.unexpected(s) {
			return true
		}
		if top < 0 {
			p.alertTight(s, 0, "cond-lone", "lone '.endif' with no matching '.if'.")
			return true
		}
		p.conds = p.conds[:top]
	default:
		if p.skipping() {
			return true
		}
		severity, ok := map[string]Severity{".diag": Diag, ".notice": Notice, ".warning": Warning, ".alert": Alert}[s.keyword()]
		if !ok {
			p.alertTight(s, 0, "unknown-directive", "unknown directive '%s'.", s.keyword())
			return true
		}
		if len(s.words) > 2 {
			p.alertTight(s, 2, codeUnexpectedWord, "Unexpected argument '%s' for '%s'. Use quotes if the message should contain spaces.",
				s.arg(2), s.keyword())
			return true
		}
		p.at(s, 1, severity, placeTight, "message", fmt.Sprintf("'%s'.", s.arg(1)), "")
	}
	return true
}

func (p *parser) unexpected(s *stmt) bool {
	if len(s.words) < 2 {
		return false
	}
	p.alertTight(s, 1, codeUnexpectedWord, "Unexpected argument '%s' for '%s'.", s.arg(1), s.keyword())
	return true
}

// condition evaluates the words after .if or .elif. A condition with a mistake counts as false.
func (p *parser) condition(s *stmt) bool {
	text := joinWords(s.words[1:])
	value, err := evalCond(text, p.env)
	if err == nil {
		return value
	}
	// The words were joined with single blanks: find the one that holds the bad byte.
	word, left := 1, err.at
	for word < len(s.words)-1 && left > len(s.words[word].text) {
		left -= len(s.words[word].text) + 1
		word++
	}
	p.at(s, word, Alert, placeTight, "bad-condition",
		fmt.Sprintf("%s in '%s' at position %d:", err.msg, s.keyword(), err.at+1), "")
	return false
}
