package runtimeapi

import (
	"fmt"
	"net"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"
)

// command is one entry of the table: the words that select it, what help shows, and the least level. One
// without usage is for programs: no list shows it.
type command struct {
	words   []string
	usage   string
	help    string
	example string // for the manual; "" when the usage is one
	level   Level
	run     func(s *session, args []string)

	expert, experimental bool // only in these modes
}

// commands is the table in the order that help lists it. The last three are shown with every list.
var commands []command

// Some of the functions read the table, which Go does not allow in its initial value.
func init() {
	commands = []command{
		{words: []string{"_getsocks"}, run: (*session).getSockets},
		{words: []string{"echo"}, usage: "echo <text>", example: "echo before the deploy", help: "print the text", run: (*session).echo},
		{words: []string{"experimental-mode"}, usage: "experimental-mode [on|off]", example: "experimental-mode on", help: "allow commands that may change", level: LevelAdmin, run: (*session).experimentalMode},
		{words: []string{"expert-mode"}, usage: "expert-mode [on|off]", example: "expert-mode on", help: "allow commands for experts", level: LevelAdmin, run: (*session).expertMode},
		{words: []string{"operator"}, usage: "operator", help: "lower the level of this session to operator", level: LevelOperator, run: (*session).operator},
		{words: []string{"set", "severity-output"}, usage: "set severity-output [none|number|string]", example: "set severity-output string", help: "how messages show their severity", run: (*session).setSeverity},
		{words: []string{"set", "timeout"}, usage: "set timeout cli <delay>", example: "set timeout cli 5m", help: "change the time that this session may idle", run: (*session).setTimeout},
		{words: []string{"show", "cli", "level"}, usage: "show cli level", help: "show the level of this session", run: (*session).showLevel},
		{words: []string{"show", "cli", "sockets"}, usage: "show cli sockets", help: "list the sockets that take commands", run: (*session).showSockets},
		{words: []string{"show", "env"}, usage: "show env [var]", example: "show env HOME", help: "show the environment of the process", level: LevelOperator, run: (*session).showEnv},
		{words: []string{"show", "info"}, usage: "show info [desc|float|json|typed]*", example: "show info typed", help: "show the state of the process", run: (*session).showInfo},
		{words: []string{"show", "startup-logs"}, usage: "show startup-logs", help: "show the messages of the start", level: LevelOperator, run: (*session).showStartupLogs},
		{words: []string{"show", "version"}, usage: "show version", help: "show the version of the process", run: (*session).showVersion},
		{words: []string{"user"}, usage: "user", help: "lower the level of this session to user", run: (*session).user},
		{words: []string{"help"}, usage: "help [<command>]", example: "help show", help: "list the commands, or those that begin alike", run: (*session).help},
		{words: []string{"prompt"}, usage: "prompt [help | n | i | p | timed]*", example: "prompt timed p", help: "toggle the interactive mode with prompt", run: (*session).prompt},
		{words: []string{"quit"}, usage: "quit", help: "end the session", run: (*session).quit},
	}
}

// general is the number of commands at the end of the table that every list shows.
const general = 3

// find returns the command of most words that the words begin with, and the words that are left.
func find(table []command, words []string) (best *command, left []string) {
	for i := range table {
		c := &table[i]
		if len(words) >= len(c.words) && slices.Equal(c.words, words[:len(c.words)]) && (best == nil || len(c.words) > len(best.words)) {
			best, left = c, words[len(c.words):]
		}
	}
	return best, left
}

func (s *session) echo(args []string) { s.reply(strings.Join(args, " ")) }

func (s *session) quit([]string) { s.over = true }

// getSockets ends the session, with the listening sockets or without an answer. What was asked before on the
// same line comes first.
func (s *session) getSockets([]string) {
	s.over = true
	conn, local := s.conn.(*net.UnixConn)
	if !s.exposing || !local || s.server.opt.PassSockets == nil {
		return
	}
	if s.send() == nil {
		_ = s.server.opt.PassSockets(conn) // the client counts what it got
	}
}

func (s *session) user([]string) { s.level = LevelUser }

func (s *session) operator([]string) { s.level = min(s.level, LevelOperator) }

func (s *session) showLevel([]string) { s.reply(s.level.String()) }

func (s *session) showVersion([]string) { s.reply(s.server.opt.Version) }

// showInfo ignores words that it does not know, as HAProxy does.
func (s *session) showInfo(args []string) {
	typed, json, described, decimals := false, false, false, false
	for _, word := range args {
		switch word {
		case "typed":
			typed, json = true, false
		case "json":
			typed, json = false, true
		case "desc":
			described = true
		case "float":
			decimals = true
		}
	}
	info := s.server.opt.Info()
	switch {
	case json:
		info.AppendJSON(&s.answer)
	case typed:
		info.AppendTyped(&s.answer, described)
	default:
		info.AppendLines(&s.answer, decimals, described)
	}
}

func (s *session) showSockets([]string) {
	s.reply("# socket lvl processes")
	for _, e := range s.server.endpoints {
		s.reply(fmt.Sprintf("%s %s all", e.name, e.level))
	}
}

func (s *session) showEnv(args []string) {
	found := false
	for _, entry := range s.server.opt.Environ {
		name, _, _ := strings.Cut(entry, "=")
		if len(args) == 0 || args[0] == name {
			s.reply(entry)
			found = true
		}
	}
	if len(args) > 0 && !found {
		s.fail("Variable not found")
	}
}

func (s *session) setSeverity(args []string) {
	if len(args) == 0 || !slices.Contains([]string{"none", "number", "string"}, args[0]) {
		s.fail("one of 'none', 'number', 'string' is a required argument")
		return
	}
	s.severity = severityOf(args[0])
}

func (s *session) expertMode(args []string) { s.mode("expert-mode", &s.expert, args) }

func (s *session) experimentalMode(args []string) { s.mode("experimental-mode", &s.experimental, args) }

// mode shows a mode or switches it; words that mean neither are not answered.
func (s *session) mode(name string, on *bool, args []string) {
	switch {
	case len(args) == 0 && *on:
		s.message(SeverityInfo, name+" is ON")
	case len(args) == 0:
		s.message(SeverityInfo, name+" is OFF")
	case args[0] == "on":
		*on = true
	case args[0] == "off":
		*on = false
	}
}

func (s *session) setTimeout(args []string) {
	if len(args) == 0 || args[0] != "cli" {
		s.fail("'set timeout' only supports 'cli'.")
		return
	}
	if len(args) == 1 {
		s.fail("Expects an integer value.")
		return
	}
	timeout, ok := Delay(args[1], time.Second)
	if !ok {
		s.fail("Invalid timeout value.")
		return
	}
	s.timeout = timeout
}

// Delay reads a delay such as 5s, with the usual unit for one that names none. It is more than nothing and at most 2^31-1 ms.
func Delay(text string, usual time.Duration) (time.Duration, bool) {
	digits := strings.TrimRight(text, "usmhd")
	unit, known := map[string]time.Duration{
		"us": time.Microsecond, "ms": time.Millisecond, "s": time.Second, "": usual,
		"m": time.Minute, "h": time.Hour, "d": 24 * time.Hour,
	}[text[len(digits):]]
	count, err := strconv.ParseUint(digits, 10, 31)
	const longest = uint64(1<<31-1) * uint64(time.Millisecond)
	if err != nil || !known || count == 0 || count > longest/uint64(unit) {
		return 0, false
	}
	return time.Duration(count) * unit, true
}

// prompt toggles the prompt, or does what its arguments say, from left to right.
func (s *session) prompt(args []string) {
	if len(args) == 0 {
		on := !s.prompted
		s.prompted, s.interactive = on, on || s.server.opt.Master != nil
		return
	}
	for _, arg := range args {
		switch arg {
		case "n":
			s.prompted, s.interactive = false, false
		case "i":
			s.prompted, s.interactive = false, true
		case "p":
			s.prompted, s.interactive = true, true
		case "timed":
			s.timed = !s.timed
		case "help":
			s.reply("n: one line, no prompt; i: many lines, no prompt; p: many lines with prompt; timed: toggle the uptime in the prompt")
		default:
			s.fail("Unknown prompt mode, 'prompt help' lists them.")
			return
		}
	}
}

func (s *session) help(args []string) {
	s.message(SeverityInfo, "The following commands are valid at this level:")
	prefix := strings.Join(args, " ")
	chosen := func(c *command) bool { return strings.HasPrefix(strings.Join(c.words, " "), prefix) }
	some := slices.ContainsFunc(s.server.table, func(c command) bool { return c.level <= s.level && c.usage != "" && chosen(&c) })
	if c, _ := find(s.server.table, args); !some && c != nil {
		chosen = func(other *command) bool { return other == c }
	} else if !some {
		near := s.nearest(args)
		chosen = func(c *command) bool { return slices.Contains(near, c) }
	}
	s.list(chosen)
}

// closest is the number of commands that are proposed for an unknown one.
const closest = 5

// unknown answers a command that is not in the table with those that may have been meant.
func (s *session) unknown(words []string) {
	near := s.nearest(words)
	if len(near) == 0 {
		s.message(SeverityInfo, fmt.Sprintf("Unknown command: '%s'. Please enter one of the following commands only:", printable(words[0])))
		s.list(func(*command) bool { return true })
		return
	}
	s.message(SeverityInfo, fmt.Sprintf("Unknown command: '%s', but maybe one of the following ones is a better match:", printable(words[0])))
	s.list(func(c *command) bool { return slices.Contains(near, c) })
}

// printable is a word as a terminal can show it, or its beginning.
func printable(word string) string {
	const most = 64
	if len(word) > most {
		word = word[:most] + "..."
	}
	return strings.Map(func(r rune) rune {
		if r == utf8.RuneError || !unicode.IsPrint(r) {
			return '?'
		}
		return r
	}, word)
}

// nearest are the commands that begin with much the same word, those first whose words differ least.
func (s *session) nearest(words []string) []*command {
	type candidate struct {
		command  *command
		distance int
	}
	var found []candidate
	table := s.server.table
	for i := range table[:len(table)-general] {
		c := &table[i]
		if c.level > s.level || c.usage == "" {
			continue
		}
		distance := 0
		for n, word := range c.words {
			if n < len(words) {
				distance += editDistance(word, words[n])
			}
		}
		if editDistance(c.words[0], words[0]) <= len(c.words[0])/2 {
			found = append(found, candidate{c, distance})
		}
	}
	slices.SortStableFunc(found, func(a, b candidate) int { return a.distance - b.distance })
	var near []*command
	for _, f := range found[:min(len(found), closest)] {
		near = append(near, f.command)
	}
	return near
}

// editDistance is the number of letters to insert, drop or change that turn a into b. Only the
// beginning of a long word counts.
func editDistance(a, b string) int {
	const most = 32
	a, b = a[:min(len(a), most)], b[:min(len(b), most)]
	var row [most + 1]int
	for j := range row {
		row[j] = j
	}
	for i := range len(a) {
		diagonal := row[0]
		row[0] = i + 1
		for j := range len(b) {
			cost := diagonal
			if a[i] != b[j] {
				cost++
			}
			diagonal = row[j+1]
			row[j+1] = min(cost, row[j]+1, diagonal+1)
		}
	}
	return row[len(b)]
}

// list prints the commands of the session's level that show accepts, and the general ones.
func (s *session) list(show func(*command) bool) {
	table := s.server.table
	for i := range table {
		c := &table[i]
		if c.level <= s.level && c.usage != "" && (i >= len(table)-general || show(c)) {
			s.reply(fmt.Sprintf("  %-40s: %s", c.usage, c.help))
		}
	}
}
