package runtimeapi

import (
	"fmt"
	"slices"
	"strings"
	"time"
)

// Command is a command that somebody else carries out. The server finds it by its words, checks the level, and
// shows usage and help in lists.
type Command struct {
	Words   []string // that select it: the longest match wins
	Usage   string   // as lists show it
	Help    string
	Example string // for the manual; "" when the usage is one
	Level   Level  // that a session needs
	Run     func(*Request)

	Expert, Experimental bool // only in these modes
}

// Request is one use of a command. It is valid until Run returns, on one goroutine; several requests run at once.
type Request struct {
	Args    []string // behind the words of the command
	Payload string   // the lines that came behind <<, "" for none

	s *session
}

// Level is what the session may do.
func (r *Request) Level() Level { return r.s.level }

// Write adds to the answer as it is. Much of it is sent at once, so that Write waits for a client that does not read. An error
// says that the client is gone: nothing that follows reaches it. The server ends the answer with an empty line.
func (r *Request) Write(p []byte) (int, error) { return r.s.write(p) }

// Sleep waits, and reports false when the server was closed meanwhile.
func (r *Request) Sleep(d time.Duration) bool {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return true
	case <-r.s.server.stopped:
		return false
	}
}

// Reply adds a line.
func (r *Request) Reply(format string, args ...any) { r.s.reply(fmt.Sprintf(format, args...)) }

// Fail adds an error, with its severity when the session wants to see that.
func (r *Request) Fail(format string, args ...any) { r.s.fail(fmt.Sprintf(format, args...)) }

// Message adds a line with its severity when the session wants to see that.
func (r *Request) Message(severity Severity, format string, args ...any) {
	r.s.message(severity, fmt.Sprintf(format, args...))
}

// withOthers puts commands of others into a table, in the order of their words. The general ones stay last.
func withOthers(own []command, others []Command) []command {
	table := slices.Clone(own[:len(own)-general])
	for _, c := range others {
		table = append(table, command{
			words: c.Words, usage: c.Usage, help: c.Help, example: c.Example, level: c.Level, expert: c.Expert, experimental: c.Experimental,
			run: func(s *session, args []string) { c.Run(&Request{Args: args, Payload: s.payload.text, s: s}) },
		})
	}
	slices.SortStableFunc(table, func(a, b command) int {
		return strings.Compare(strings.Join(a.words, " "), strings.Join(b.words, " "))
	})
	return append(table, own[len(own)-general:]...)
}
