package runtimeapi

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"net"
	"runtime/debug"
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

	expert       bool // commands for experts are allowed
	experimental bool // and those that may change

	interactive bool // more than one line
	prompted    bool
	timed       bool
	over        bool
	passedOn    bool // somebody else answers on a copy of the connection
	target      int  // on a master: the worker that commands go to, 0 is the master itself

	conn net.Conn
	in   *bufio.Reader

	answer  bytes.Buffer // of the command being obeyed, what was not sent yet
	gone    error        // the client takes nothing more: why
	payload payload      // of the command being obeyed
}

// sendAt is how much of an answer waits in memory. More is sent at once, so that a long answer costs no more memory than a
// short one, and is made as fast as the client takes it.
const sendAt = 64 << 10

// lingering bounds the wait for a client that does not close after its answer.
const lingering = time.Second

// talk serves the client until it or the session ends.
func (s *session) talk(conn net.Conn) {
	defer conn.Close()
	s.conn, s.in = conn, bufio.NewReaderSize(conn, s.server.opt.LineLimit)
	for !s.over {
		line, err := s.readLine()
		switch {
		case errors.Is(err, bufio.ErrBufferFull):
			s.fail("The command line is too big for the buffer size. Please change tune.bufsize in the configuration to use a bigger command.")
			s.answer.WriteByte('\n')
			s.over = true
		case err != nil:
			return // what has no line feed is no command
		default:
			s.obeyLine(line)
		}
		if s.send() != nil {
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

// readLine returns the next line without its end. All of it must come before the timeout: who sends slowly does not hold
// a session for longer than who sends nothing.
func (s *session) readLine() (string, error) {
	if s.timeout > 0 {
		if err := s.conn.SetReadDeadline(time.Now().Add(s.timeout)); err != nil {
			return "", err
		}
	}
	line, err := s.in.ReadSlice('\n')
	if err != nil {
		return "", err
	}
	return string(line[:len(line)-1]), nil
}

// send hands out what is there of the answer. After an error nothing more is sent.
func (s *session) send() error {
	if s.conn == nil || s.gone != nil {
		s.answer.Reset()
		return s.gone
	}
	if s.timeout > 0 {
		s.gone = s.conn.SetWriteDeadline(time.Now().Add(s.timeout))
	}
	if s.gone == nil {
		_, s.gone = s.answer.WriteTo(s.conn)
	}
	if s.gone != nil {
		s.answer.Reset()
		s.over = true
	}
	return s.gone
}

// write adds to the answer. The error says that the client is gone, and that what follows is in vain.
func (s *session) write(p []byte) (int, error) {
	if s.gone != nil {
		return 0, s.gone
	}
	s.answer.Write(p)
	if s.answer.Len() >= sendAt && s.conn != nil {
		if err := s.send(); err != nil {
			return 0, err
		}
	}
	return len(p), nil
}

// leave closes in a way that the answer outlives: a socket that is closed over unread input resets.
func leave(conn net.Conn) {
	half, ok := conn.(interface{ CloseWrite() error })
	if !ok || half.CloseWrite() != nil || conn.SetReadDeadline(time.Now().Add(lingering)) != nil {
		return
	}
	_, _ = io.CopyN(io.Discard, conn, 1<<20)
}

// obeyLine answers all commands of a line. A payload is for the last of them; all wait for its end.
func (s *session) obeyLine(line string) {
	commands := splitLine(line)
	last := len(commands) - 1
	var read payload
	if command, mark, ok := cutMark(commands[last]); ok {
		var err error
		if read, err = s.readPayload(mark); err != nil {
			s.refuse(err)
			return
		}
		commands[last] = command
	}
	for i, text := range commands {
		if i == last {
			s.payload = read
		}
		answered := false
		if s.server.opt.Master != nil {
			answered = s.direct(text)
		} else {
			s.obey(splitWords(text))
		}
		if s.over {
			break
		}
		if !answered {
			// An empty line ends every answer; in interactive mode the prompt is on the line behind it.
			s.answer.WriteByte('\n')
		}
		if s.prompted {
			s.ask()
		}
	}
	s.payload = payload{}
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
	case c.expert && !s.expert:
		s.fail("This command is restricted to expert mode only.")
	case c.experimental && !s.experimental:
		s.fail("This command is restricted to experimental mode only.")
	default:
		s.execute(c, words, args)
	}
}

// execute runs a command. One that panics is a bug, and fails; the process goes on.
func (s *session) execute(c *command, words, args []string) {
	bug := s.server.opt.Bug
	defer func() {
		if bug == nil {
			return
		}
		if p := recover(); p != nil {
			bug(strings.Join(words, " "), p, debug.Stack())
			s.fail("Internal error: this is a bug of the program, which its log describes.")
		}
	}()
	c.run(s, args)
}

// reply adds lines to the answer.
func (s *session) reply(text string) {
	if !strings.HasSuffix(text, "\n") {
		text += "\n"
	}
	_, _ = s.write([]byte(text)) // who is gone gets nothing
}

// fail adds an error to the answer.
func (s *session) fail(text string) { s.message(SeverityErr, text) }

// message adds a line with its severity, if the client wants to see that.
func (s *session) message(severity Severity, text string) {
	s.reply(s.severity.prefix(severity) + text)
}
