package top

import (
	"fmt"
	"io"
	"os"
	"strconv"
	"strings"

	"golang.org/x/term"
)

// screen is a terminal that is painted. It writes only lines that changed.
type screen struct {
	out     io.Writer
	size    func() (width, height int)
	restore func()
	codes   *[Bad + 1]string
	shown   []string // what each line has; nil: not known
	closed  bool
}

// What the terminal is told at the begin and at the end: the other screen, and the cursor.
const (
	enter = "\x1b[?1049h\x1b[?25l"
	leave = "\x1b[0m\x1b[?25h\x1b[?1049l"
)

// The looks of the styles.
var (
	coloured = [Bad + 1]string{Dim: "2", Strong: "1", Heading: "1;4", Selected: "7", Good: "32", Warn: "33", Bad: "1;31"}
	mono     = [Bad + 1]string{Strong: "1", Heading: "1;4", Selected: "7", Warn: "1", Bad: "1"}
)

// openScreen takes a terminal over until close.
func openScreen(in, out *os.File, colour bool) (*screen, error) {
	before, err := term.MakeRaw(int(in.Fd()))
	if err != nil {
		return nil, fmt.Errorf("use terminal: %w", err)
	}
	s := newScreen(out, colour)
	s.size = func() (int, int) {
		width, height, err := term.GetSize(int(out.Fd()))
		if err != nil || width <= 0 || height <= 0 {
			return 80, 24
		}
		return width, height
	}
	s.restore = func() { _ = term.Restore(int(in.Fd()), before) } // it is gone when that fails
	_, _ = io.WriteString(out, enter)
	return s, nil
}

func newScreen(out io.Writer, colour bool) *screen {
	s := &screen{out: out, codes: &mono}
	if colour {
		s.codes = &coloured
	}
	return s
}

// close gives the terminal back as it was.
func (s *screen) close() {
	if s.closed {
		return
	}
	s.closed = true
	_, _ = io.WriteString(s.out, leave)
	s.restore()
}

// forget makes the next picture be painted whole.
func (s *screen) forget() { s.shown = nil }

// show paints lines.
func (s *screen) show(lines []Line) {
	var text strings.Builder
	if s.shown == nil || len(s.shown) != len(lines) {
		text.WriteString("\x1b[2J")
		s.shown = make([]string, len(lines))
	}
	next := make([]string, len(lines))
	for i, line := range lines {
		next[i] = s.paint(line)
		if next[i] != s.shown[i] {
			text.WriteString("\x1b[" + strconv.Itoa(i+1) + ";1H" + next[i] + "\x1b[K")
		}
	}
	if text.Len() > 0 {
		_, _ = io.WriteString(s.out, text.String()) // who does not take it is not there
	}
	s.shown = next
}

// paint writes a line with its looks.
func (s *screen) paint(line Line) string {
	var text strings.Builder
	for _, p := range line {
		if code := s.codes[p.Style]; code != "" {
			text.WriteString("\x1b[" + code + "m" + p.Text + "\x1b[0m")
		} else {
			text.WriteString(p.Text)
		}
	}
	return text.String()
}
