package config

import (
	"fmt"
	"io"
	"strings"
	"sync"
)

// Reporter prints the messages of the process in HAProxy's form, one per line:
//
//	[ALERT]    (pid) : message
//
// Before its first alert or warning it prints two notices, which name the version and the executable.
// It is safe for use by several goroutines once its fields are set.
type Reporter struct {
	W          io.Writer
	Pid        int
	Version    string // Penstock's
	Compatible string // the HAProxy version whose behaviour is promised
	Executable string // path to the executable; empty: not printed
	Quiet      bool   // print alerts only
	Verbose    bool   // print everything even when Quiet
	Diag       bool   // print Diag messages too
	Color      bool   // colour for a terminal

	mu       sync.Mutex
	began    bool
	warnings int
}

// Warnings is the number of warnings so far, printed or not.
func (r *Reporter) Warnings() int {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.warnings
}

// Alertf prints a message at level ALERT; a line feed is added.
func (r *Reporter) Alertf(format string, args ...any) { r.message(Alert, fmt.Sprintf(format, args...)) }

// Warningf prints a message at level WARNING and counts it.
func (r *Reporter) Warningf(format string, args ...any) {
	r.message(Warning, fmt.Sprintf(format, args...))
}

// Noticef prints a message at level NOTICE.
func (r *Reporter) Noticef(format string, args ...any) {
	r.message(Notice, fmt.Sprintf(format, args...))
}

// Diagf prints a message at level DIAG if such messages are wanted.
func (r *Reporter) Diagf(format string, args ...any) { r.message(Diag, fmt.Sprintf(format, args...)) }

func (r *Reporter) message(s Severity, text string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.write(s, text, "", "")
}

func (r *Reporter) print(d *Diagnostic) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.write(d.Severity, d.Text(), d.Excerpt(), d.Hint)
}

func (r *Reporter) write(s Severity, text, excerpt, hint string) {
	if s == Warning {
		r.warnings++
	}
	if s == Diag && !r.Diag || s != Alert && r.Quiet && !r.Verbose {
		return
	}
	var b strings.Builder
	if s >= Warning && !r.began {
		r.began = true
		if !r.Quiet || r.Verbose {
			r.head(&b, Notice)
			fmt.Fprintf(&b, "penstock version is %s, compatible with HAProxy version %s\n", r.Version, r.Compatible)
			if r.Executable != "" {
				r.head(&b, Notice)
				fmt.Fprintf(&b, "path to executable is %s\n", r.Executable)
			}
		}
	}
	r.head(&b, s)
	b.WriteString(strings.TrimSuffix(text, "\n"))
	b.WriteByte('\n')
	if excerpt != "" {
		source, marks, _ := strings.Cut(excerpt, "\n")
		b.WriteString(source)
		b.WriteByte('\n')
		b.WriteString(r.paint(s, strings.TrimSuffix(marks, "\n")))
		b.WriteByte('\n')
	}
	if hint != "" {
		b.WriteString(excerptIndent)
		b.WriteString(r.dim("hint: " + hint))
		b.WriteByte('\n')
	}
	// A message that cannot be written has nowhere else to go.
	_, _ = io.WriteString(r.W, b.String())
}

// head writes the level in brackets, padded so that the pid's bracket is in column 12.
func (r *Reporter) head(b *strings.Builder, s Severity) {
	label := "[" + strings.ToUpper(s.String()) + "]"
	b.WriteString(r.paint(s, label))
	b.WriteString(strings.Repeat(" ", max(11-len(label), 0)))
	fmt.Fprintf(b, "(%d) : ", r.Pid)
}

func (r *Reporter) paint(s Severity, text string) string {
	if !r.Color {
		return text
	}
	color := "36"
	switch s {
	case Alert:
		color = "1;31"
	case Warning:
		color = "1;33"
	}
	return "\x1b[" + color + "m" + text + "\x1b[0m"
}

func (r *Reporter) dim(text string) string {
	if !r.Color {
		return text
	}
	return "\x1b[2m" + text + "\x1b[0m"
}
