package check

import (
	"bytes"
	"cmp"
	"fmt"

	"github.com/penstock/penstock/internal/config"
)

// examine holds an answer against step s. last says that nothing more will come, or could be kept.
func (c *Checker) examine(k *Check, s *step, in []byte, last bool) verdict {
	e, p := s.expect, k.program()
	if e.format != nil || e.header != nil && (e.header.name.format != nil || e.header.value.format != nil) {
		var why string
		if e, why = c.worked(k, e); why != "" {
			return s.commented(verdict{outcome: failed, status: L7Rsp, info: why})
		}
	}
	var v verdict
	switch {
	case e.fresh != nil:
		v = k.run.talk(in, last)
	case e.judge != nil:
		v = e.judge(in, last)
	case p.kind == config.CheckHTTP:
		v = e.examineHTTP(in, last, p.stopOn404 && k.shared().Up())
	default:
		v = e.examineBytes(s.number, in, last)
	}
	if v.outcome == more {
		return v
	}
	if v.outcome == failed {
		v.status = cmp.Or(v.status, e.failed, L7Rsp)
		if e.bad != nil {
			v.info = c.text(k, e.bad)
		}
		v = s.commented(v)
	} else if e.good != nil && v.status != L7OKC {
		v.info = c.text(k, e.good)
	}
	if e.code != nil && v.status != L7OKC {
		if n, ok := c.number(k, e.code); ok {
			v.code = n
		}
	}
	return v
}

// commented adds the comment of the step to what is said.
func (s *step) commented(v verdict) verdict {
	if s.comment != "" {
		v.info += " comment: " + s.comment
	}
	return v
}

// worked is an expectation with what its log-format strings give at this moment, or why they give nothing.
func (c *Checker) worked(k *Check, e *expect) (_ *expect, why string) {
	const empty = "log-format string evaluated to an empty string"
	now := *e
	if e.format != nil {
		text := c.text(k, e.format)
		if text == "" {
			return nil, empty
		}
		now.bytes = []byte(text)
		if e.match == config.MatchBinary {
			var ok bool
			if now.bytes, ok = unhex(text); !ok {
				return nil, "Failed to parse hexastring resulting of eval of a log-format string"
			}
		}
	}
	if e.header != nil {
		h := *e.header
		now.header = &h
		for _, p := range []*headerPattern{&h.name, &h.value} {
			if p.format == nil {
				continue
			}
			if p.text = c.text(k, p.format); p.text == "" {
				return nil, empty
			}
		}
	}
	return &now, ""
}

// examineBytes looks for the pattern anywhere in what came.
func (e *expect) examineBytes(number int, in []byte, last bool) verdict {
	if !last && (len(in) < len(e.bytes) || len(in) < e.minRecv) {
		return verdict{}
	}
	var found bool
	switch e.match {
	case config.MatchString, config.MatchBinary:
		found = bytes.Contains(in, e.bytes)
	case config.MatchRegex:
		found = e.re.Match(in)
	case config.MatchBinaryRegex:
		found = e.re.Match(fmt.Appendf(nil, "%X", in))
	}
	if !found && !last && e.minRecv < 0 {
		return verdict{}
	}
	if found != e.not {
		return verdict{outcome: passed}
	}
	text := "TCPCHK did not match content"
	if found {
		text = "TCPCHK matched unwanted content"
	}
	switch {
	case e.format != nil && e.match == config.MatchString:
		text += " (log-format string)"
	case e.format != nil:
		text += " (log-format binary)"
	case e.match == config.MatchString:
		text += fmt.Sprintf(" '%s'", e.bytes)
	case e.match == config.MatchBinary:
		text += " (binary)"
	case e.match == config.MatchRegex:
		text += " (regex)"
	case e.match == config.MatchBinaryRegex:
		text += " (binary regex)"
	}
	return verdict{outcome: failed, info: fmt.Sprintf("%s at step %d", text, number)}
}
