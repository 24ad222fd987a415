package runtimeapi

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"net"
	"strconv"
	"strings"
	"time"
)

// session is one client of the socket. Its goroutine is the only one that touches it.
type session struct {
	server   *Server
	exposing bool // the client may have the listening sockets
	level    Level
	severity severityForm
	timeout  time.Duration

	interactive bool // more than one line
	prompted    bool
	timed       bool
	over        bool
	passedOn    bool // somebody else answers on a copy of the connection
	target      int  // on a master: the worker that commands go to, 0 is the master itself

	conn net.Conn
	in   *bufio.Reader

	answer bytes.Buffer // of the command being obeyed
}

// lingering bounds the wait for a client that does not close after its answer.
const lingering = time.Second

// talk serves the client until it or the session ends.
func (s *session) talk(conn net.Conn) {
	defer conn.Close()
	s.conn, s.in = conn, bufio.NewReaderSize(conn, s.server.opt.LineLimit)
	for !s.over {
		if s.timeout > 0 && conn.SetDeadline(time.Now().Add(s.timeout)) != nil {
			return
		}
		line, err := s.in.ReadSlice('\n')
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
	if !s.passedOn {
		leave(conn)
	}
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
	for _, text := range splitLine(line) {
		answered := false
		if s.server.opt.Master != nil {
			answered = s.direct(text)
		} else {
			s.obey(splitWords(text))
		}
		if s.over {
			return
		}
		if !answered {
			// An empty line ends every answer; in interactive mode the prompt is on the line behind it.
			s.answer.WriteByte('\n')
		}
	}
	if s.prompted {
		s.ask()
	}
}

// ask adds the prompt. A master's names the process that the next command goes to.
func (s *session) ask() {
	if s.timed {
		up := max(time.Since(s.server.started), 0) / time.Second
		fmt.Fprintf(&s.answer, "[%d:%02d:%02d:%02d]", up/86400, up/3600%24, up/60%60, up%60)
	}
	switch {
	case s.server.opt.Master == nil:
	case s.target == 0:
		s.answer.WriteString("master")
	default:
		s.answer.WriteString(strconv.Itoa(s.target))
	}
	s.answer.WriteString("> ")
}

func (s *session) obey(words []string) {
	if len(words) == 0 {
		return
	}
	c, args := find(s.server.table, words)
	switch {
	case c == nil, c.run == nil:
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
