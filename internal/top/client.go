package top

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"strings"
	"time"
)

// Client asks one stats socket. Each question has a connection of its own, so that a process that was replaced
// meanwhile is no other case than one that was not.
type Client struct {
	Network, Address string // as net.Dial takes them
}

const (
	patience   = 15 * time.Second // bounds a question with its answer
	answerSize = 32 << 20         // bytes of an answer that are read; a session takes about 350
)

// marked makes the process say which messages are errors.
const marked = "set severity-output number"

// ask sends commands in one line and returns the answer of each. What is missing at the end is empty, and cut tells that
// an answer was longer than anybody wants to know.
func (c Client) ask(ctx context.Context, commands ...string) (answers []string, cut bool, err error) {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	var dialer net.Dialer
	conn, err := dialer.DialContext(ctx, c.Network, c.Address)
	if err != nil {
		return nil, false, err
	}
	defer conn.Close()
	stop := context.AfterFunc(ctx, func() { _ = conn.SetDeadline(time.Unix(1, 0)) })
	defer stop()
	if _, err = io.WriteString(conn, marked+";"+strings.Join(commands, ";")+"\n"); err != nil {
		return nil, false, fmt.Errorf("send %s: %w", c.Address, err)
	}
	if half, ok := conn.(interface{ CloseWrite() error }); ok {
		_ = half.CloseWrite() // a master waits for more lines until then
	}
	text, err := io.ReadAll(io.LimitReader(conn, answerSize))
	switch {
	case err != nil && ctx.Err() != nil:
		return nil, false, fmt.Errorf("read %s: %w", c.Address, ctx.Err())
	case err != nil:
		return nil, false, fmt.Errorf("read %s: %w", c.Address, err)
	case len(text) == 0:
		return nil, false, errors.New(c.Address + " closed the connection without an answer")
	}
	return split(string(text), len(commands)), len(text) == answerSize, nil
}

// split returns the answers of n commands behind the one to the command that makes errors marked. An empty line ends each.
func split(text string, n int) []string {
	answers := make([]string, n)
	for i := -1; i < n; i++ {
		answer, rest := "", ""
		if after, empty := strings.CutPrefix(text, "\n"); empty {
			rest = after
		} else {
			answer, rest, _ = strings.Cut(text, "\n\n")
		}
		if i >= 0 {
			answers[i] = answer
		}
		text = rest
	}
	return answers
}

// complaint is the error that an answer tells, or empty.
func complaint(answer string) string {
	for line := range strings.Lines(answer) {
		if text, found := strings.CutPrefix(line, "[3]: "); found {
			return clean(strings.TrimSpace(text))
		}
		if strings.HasPrefix(strings.TrimPrefix(line, "[6]: "), "Unknown command") {
			return "unknown command"
		}
	}
	return ""
}

// said is the text of an answer without marks of severity.
func said(answer string) string {
	answer = strings.TrimSpace(answer)
	if len(answer) > 5 && answer[0] == '[' && answer[2:5] == "]: " {
		answer = answer[5:]
	}
	return clean(answer)
}
