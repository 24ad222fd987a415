package main

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"unicode/utf8"
)

const (
	historyLines = 500     // of commands that a terminal offers
	historySize  = 1 << 18 // bytes of the file that are read
)

// history is the lines that a person gave to ctl, kept in a file over the end of the program. Each line is appended when it is given,
// so that sessions at the same time do not lose each other's. What cannot be kept is only remembered.
type history struct {
	path   string   // empty: nowhere
	lines  []string // the oldest first
	paused bool     // what is typed is no command
}

// historyPath is where commands are kept: in the directory for state of the user, or nowhere.
func (env *environment) historyPath() string {
	dir, _ := env.lookup("XDG_STATE_HOME")
	if !filepath.IsAbs(dir) {
		home, _ := env.lookup("HOME")
		if !filepath.IsAbs(home) {
			return ""
		}
		dir = filepath.Join(home, ".local", "state")
	}
	return filepath.Join(dir, programName, "history")
}

// openHistory reads the former commands. A file that has grown too long is written anew.
func openHistory(path string) *history {
	h := &history{path: path}
	if path == "" {
		return h
	}
	text, err := os.ReadFile(path)
	if err != nil {
		return h
	}
	whole := len(text)
	if whole > historySize {
		text = text[whole-historySize:]
		_, text, _ = bytes.Cut(text, []byte("\n"))
	}
	for line := range strings.Lines(string(text)) {
		if line = strings.TrimRight(line, "\r\n"); keepable(line) {
			h.lines = append(h.lines, line)
		}
	}
	if surplus := len(h.lines) - historyLines; surplus > 0 {
		h.lines = h.lines[surplus:]
	}
	if whole > historySize {
		h.rewrite()
	}
	return h
}

// keepable tells whether a line can be offered again: a file may hold anything.
func keepable(line string) bool {
	return strings.TrimSpace(line) != "" && len(line) < 16384 && utf8.ValidString(line) &&
		!strings.ContainsFunc(line, func(r rune) bool { return r < ' ' || r == 0x7f })
}

// rewrite replaces the file by what is remembered.
func (h *history) rewrite() {
	temporary, err := os.CreateTemp(filepath.Dir(h.path), "history")
	if err != nil {
		return
	}
	_, err = temporary.WriteString(strings.Join(h.lines, "\n") + "\n")
	if closed := temporary.Close(); err != nil || closed != nil || os.Rename(temporary.Name(), h.path) != nil {
		_ = os.Remove(temporary.Name())
	}
}

// Add keeps a line. One that begins with a blank is forgotten, as shells do it; so is a repetition.
func (h *history) Add(line string) {
	if h.paused || !keepable(line) || line[0] == ' ' || len(h.lines) > 0 && h.lines[len(h.lines)-1] == line {
		return
	}
	if h.lines = append(h.lines, line); len(h.lines) > historyLines {
		h.lines = h.lines[1:]
	}
	if h.path == "" || os.MkdirAll(filepath.Dir(h.path), 0o700) != nil {
		return
	}
	file, err := os.OpenFile(h.path, os.O_WRONLY|os.O_APPEND|os.O_CREATE, 0o600)
	if err != nil {
		return
	}
	_, _ = file.WriteString(line + "\n")
	_ = file.Close()
}

// Len is the number of lines that are remembered.
func (h *history) Len() int { return len(h.lines) }

// At is a line, 0 the last one.
func (h *history) At(i int) string { return h.lines[len(h.lines)-1-i] }
