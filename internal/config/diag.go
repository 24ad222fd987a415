package config

import (
	"encoding/json"
	"fmt"
	"io"
	"strings"
	"unicode/utf8"
)

// Severity is how grave a diagnostic is.
type Severity uint8

// The severities, from the least grave to the gravest. Diag messages are shown on request only.
const (
	Diag Severity = iota + 1
	Notice
	Warning
	Alert
)

// String is the word that HAProxy prints in brackets, in lower case.
func (s Severity) String() string {
	switch s {
	case Diag:
		return "diag"
	case Notice:
		return "notice"
	case Warning:
		return "warning"
	case Alert:
		return "alert"
	}
	return "unknown"
}

// MarshalText makes the JSON form of a severity its word.
func (s Severity) MarshalText() ([]byte, error) { return []byte(s.String()), nil }

// place says which of HAProxy's ways of naming a place stands before a message.
type place uint8

const (
	placeNone     place = iota // the message alone
	placeSpaced                // parsing [file:line] : message
	placeTight                 // parsing [file:line]: message
	placeTitle                 // Parsing [file:line]: message
	placeBracket               // [file:line] : message
	placeContinue              // the message alone, and only in the printed form
)

// Diagnostic is one finding about a configuration. Line and Col count from 1 and are 0 when the
// finding has no place; EndCol is one past the last column. Columns count bytes of the source line.
type Diagnostic struct {
	File     string   `json:"file"`
	Line     int      `json:"line"`
	Col      int      `json:"col"`
	EndCol   int      `json:"endCol"`
	Severity Severity `json:"severity"`
	Code     string   `json:"code"`    // a stable name for programs
	Message  string   `json:"message"` // what HAProxy would say after the place
	Hint     string   `json:"hint"`    // one more sentence for people; may be empty

	place  place
	source string // the source line, for the excerpt
}

// Text is the message in HAProxy's form, without the level and without line feed at its end.
func (d *Diagnostic) Text() string {
	switch d.place {
	case placeSpaced:
		return fmt.Sprintf("config : parsing [%s:%d] : %s", d.File, d.Line, d.Message)
	case placeTight:
		return fmt.Sprintf("config : parsing [%s:%d]: %s", d.File, d.Line, d.Message)
	case placeTitle:
		return fmt.Sprintf("config : Parsing [%s:%d]: %s", d.File, d.Line, d.Message)
	case placeBracket:
		return fmt.Sprintf("config : [%s:%d] : %s", d.File, d.Line, d.Message)
	}
	return "config : " + d.Message
}

const (
	excerptIndent = "    "
	excerptWidth  = 120 // columns of the source line shown around the place
)

// Excerpt is the source line with a line of ^ and ~ under the place, both indented and ended by line
// feeds; it is empty when the diagnostic has no place. A long line is cut around the place.
func (d *Diagnostic) Excerpt() string {
	if d.Col < 1 || d.Col > len(d.source)+1 {
		return ""
	}
	from, end := d.Col-1, max(d.EndCol-1, d.Col)
	end = min(end, len(d.source))
	start := 0
	for start < from && (d.source[start] == ' ' || d.source[start] == '\t') {
		start++
	}
	stop := len(d.source)
	var before, after string
	if stop-start > excerptWidth {
		if from-start > excerptWidth/2 {
			start = from - excerptWidth/4
			for start > 0 && !utf8.RuneStart(d.source[start]) {
				start--
			}
			before = "..."
		}
		if stop > start+excerptWidth {
			stop = start + excerptWidth
			for stop > start && !utf8.RuneStart(d.source[stop]) {
				stop--
			}
			after = "..."
		}
	}
	stop = max(stop, from)
	end = min(max(end, from), stop)
	lead := before + printable(d.source[start:from])
	word := printable(d.source[from:end])
	marks := max(utf8.RuneCountInString(word), 1)
	var b strings.Builder
	b.WriteString(excerptIndent)
	b.WriteString(lead)
	b.WriteString(word)
	b.WriteString(printable(d.source[end:stop]))
	b.WriteString(after)
	b.WriteByte('\n')
	b.WriteString(excerptIndent)
	b.WriteString(strings.Repeat(" ", utf8.RuneCountInString(lead)))
	b.WriteByte('^')
	b.WriteString(strings.Repeat("~", marks-1))
	b.WriteByte('\n')
	return b.String()
}

// printable replaces what a terminal would obey or not show, one rune by one rune.
func printable(s string) string {
	return strings.Map(func(r rune) rune {
		switch {
		case r == '\t':
			return ' '
		case r < ' ' || r == 0x7f || r == utf8.RuneError || (r >= 0x80 && r < 0xa0):
			return '?'
		}
		return r
	}, s)
}

// Diagnostics are all findings of one run over a configuration, in the order they were made.
type Diagnostics struct {
	List []Diagnostic

	alerts   int
	warnings int
}

// Fatal reports whether any finding forbids to use the configuration.
func (d *Diagnostics) Fatal() bool { return d.alerts > 0 }

// Warnings is the number of warnings.
func (d *Diagnostics) Warnings() int { return d.warnings }

func (d *Diagnostics) add(diag Diagnostic) {
	switch diag.Severity {
	case Alert:
		d.alerts++
	case Warning:
		d.warnings++
	}
	d.List = append(d.List, diag)
}

// Print writes every finding through r: HAProxy's line, the source line with the place marked, and
// the hint.
func (d *Diagnostics) Print(r *Reporter) {
	for i := range d.List {
		r.print(&d.List[i])
	}
}

// WriteJSON writes the findings as one JSON array of objects with the fields file, line, col, endCol,
// severity, code, message and hint.
func (d *Diagnostics) WriteJSON(w io.Writer) error {
	out := make([]Diagnostic, 0, len(d.List))
	for _, diag := range d.List {
		if diag.place != placeContinue {
			out = append(out, diag)
		}
	}
	enc := json.NewEncoder(w)
	enc.SetEscapeHTML(false)
	enc.SetIndent("", "  ")
	if err := enc.Encode(out); err != nil {
		return fmt.Errorf("write diagnostics: %w", err)
	}
	return nil
}
