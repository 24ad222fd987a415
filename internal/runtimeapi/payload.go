package runtimeapi

import (
	"bufio"
	"errors"
	"io"
	"strings"
)

// A command whose last word begins with << has a payload: the lines behind it, up to an empty one or, when
// something stands behind the mark, up to the line that is just that.

const (
	payloadMark    = "<<"
	longestPattern = 64
	longestPayload = 128 << 10
)

// payload is what came behind a command.
type payload struct {
	given bool
	end   string // the line that ended it
	text  string // with a line feed behind each line
}

// cutMark takes the mark of a payload off a command.
func cutMark(command string) (rest, pattern string, found bool) {
	trimmed := strings.TrimRightFunc(command, func(r rune) bool { return r < 128 && blank(byte(r)) })
	i := len(trimmed)
	for i > 0 && !blank(trimmed[i-1]) {
		i--
	}
	pattern, found = strings.CutPrefix(trimmed[i:], payloadMark)
	if !found || i == 0 {
		return command, "", false
	}
	return trimmed[:i], pattern, true
}

// refusal is an answer to a payload that the server does not take.
type refusal string

func (r refusal) Error() string { return string(r) }

const (
	errPatternTooLong refusal = "The payload pattern is too big. Please use up to 64 characters."
	errPayloadTooBig  refusal = "The payload is too big. It may have 131072 bytes."
)

// readPayload reads the lines up to the end of a payload.
func (s *session) readPayload(pattern string) (p payload, err error) {
	if len(pattern) > longestPattern {
		return p, errPatternTooLong
	}
	p = payload{given: true, end: pattern}
	var text strings.Builder
	for {
		if s.prompted {
			s.answer.WriteString("+ ")
			if err = s.send(); err != nil {
				return p, err
			}
		}
		line, err := s.readLine()
		switch {
		case errors.Is(err, bufio.ErrBufferFull):
			return p, errPayloadTooBig
		case err != nil:
			return p, err
		}
		if strings.TrimSuffix(line, "\r") == pattern {
			p.text = text.String()
			return p, nil
		}
		if text.Len()+len(line) >= longestPayload {
			return p, errPayloadTooBig
		}
		text.WriteString(line)
		text.WriteByte('\n')
	}
}

// refuse ends the session for a payload that did not come. What remains of it must not be taken for commands.
func (s *session) refuse(err error) {
	s.over = true
	if answer := refusal(""); errors.As(err, &answer) {
		s.fail(string(answer))
		s.answer.WriteByte('\n')
	}
}

// sendTo writes a command with its payload to somebody else.
func (p *payload) sendTo(w io.Writer, text string) error {
	if p.given {
		text += " " + payloadMark + p.end + "\n" + p.text + p.end
	}
	_, err := io.WriteString(w, text+"\n")
	return err
}
