package runtimeapi

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"net"
	"strings"
	"time"
)

// session is one client of the socket. Its goroutine is the only one that touches it.
type session struct {
	server   *Server
	conn     net.Conn
	exposing bool // the client may have the listening sockets
	level    level
	severity severityForm
	timeout  time.Duration

	interactive bool // more than one line
	prompted    bool
	timed       bool
	over        bool

	answer bytes.Buffer // of the command being obeyed
}

// lingering bounds the wait for a client that does not close after its answer.
const lingering = time.Second

// talk serves the client until it or the session ends.
func (s *session) talk(conn net.Conn) {
	defer conn.Close()
	s.conn = conn
	in := bufio.NewReaderSize(conn, s.server.opt.LineLimit)
	for !s.over {
		if conn.SetDeadline(time.Now().Add(s.timeout)) != nil {
			return
		}
		line, err := in.ReadSlice('\n')
		switch {
		case errors.Is(err, bufio.ErrBufferFull):
			s.fail("The command line is too big for the buffer size. Please change tune.bufsize in the configuration to use a bigger command.")
			s.answer.WriteByte('\n')
			s.over = true
		case err != nil:
			return // what has no line feed is no command
		default:
			s.obeyLine(string(line[:len(line)-1]))
		}
		if _, err = s.answer.WriteTo(conn); err != nil {
			return
		}
		if !s.interactive {
			break
		}
	}
	leave(conn)
}

// leave closes in a way that the answer outlives: a socket that is closed over unread input resets.
func leave(conn net.Conn) {
	half, ok := conn.(interface{ CloseWrite() error })
	if !ok || half.CloseWrite() != nil || conn.SetReadDeadline(time.Now().Add(lingering)) != nil {
		return
	}
	_, _ = io.CopyN(io.Discard, conn, 1<<20)
}

// obeyLine leaves the answers to all commands of a line in s.answer.
func (s *session) obeyLine(line string) {
	for _, words := range splitLine(line) {
		s.obey(words)
		if s.over {
			return
		}
		// An empty line ends every answer; in interactive mode the prompt is on the line behind it.
		s.answer.WriteByte('\n')
	}
	switch {
	case s.prompted && s.timed:
		up := max(time.Since(s.server.started), 0) / time.Second
		fmt.Fprintf(&s.answer, "[%d:%02d:%02d:%02d]> ", up/86400, up/3600%24, up/60%60, up%60)
	case s.prompted:
		s.answer.WriteString("> ")
	}
}

func (s *session) obey(words []string) {
	if len(words) == 0 {
		return
	}
	c, args := find(words)
	switch {
	case c == nil:
		s.unknown(words)
	case c.level > s.level:
		s.fail("Permission denied")
	default:
		c.run(s, args)
	}
}

// reply adds lines to the answer.
func (s *session) reply(text string) {
	s.answer.WriteString(text)
	if !strings.HasSuffix(text, "\n") {
		s.answer.WriteByte('\n')
	}
}

// fail adds an error to the answer.
func (s *session) fail(text string) { s.reply(s.severity.failure(text)) }
