package check

import (
	"bytes"
	"fmt"

	"github.com/penstock/penstock/internal/config"
)

// examine holds an answer against step s, of which talk is the judge if it is a conversation. last says that nothing more will
// come, or could be kept; up that the server is up.
func (p *Program) examine(s *step, talk judge, in []byte, last, up bool) verdict {
	e := s.expect
	var v verdict
	switch {
	case e.fresh != nil:
		v = talk(in, last)
	case e.judge != nil:
		v = e.judge(in, last)
	case p.kind == config.CheckHTTP:
		v = e.examineHTTP(in, last, p.stopOn404 && up)
	default:
		v = e.examineBytes(s.number, in, last)
	}
	if v.outcome != failed {
		return v
	}
	if v.status == Unknown {
		v.status = e.failed
	}
	if v.status == Unknown {
		v.status = L7Rsp
	}
	if s.comment != "" {
		v.info += " comment: " + s.comment
	}
	return v
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
	switch e.match {
	case config.MatchString:
		text += fmt.Sprintf(" '%s'", e.bytes)
	case config.MatchBinary:
		text += " (binary)"
	case config.MatchRegex:
		text += " (regex)"
	case config.MatchBinaryRegex:
		text += " (binary regex)"
	}
	return verdict{outcome: failed, info: fmt.Sprintf("%s at step %d", text, number)}
}
