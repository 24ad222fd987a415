package runtimeapi

import "strings"

// A line holds commands between semicolons, and a command words between blanks. A backslash takes the
// special meaning from the character behind it.

// splitLine returns the commands of a line, each as its words. A command may have none.
func splitLine(line string) [][]string {
	var commands [][]string
	var words []string
	var word strings.Builder
	started := false
	endWord := func() {
		if started {
			words = append(words, word.String())
			word.Reset()
			started = false
		}
	}
	for i := 0; i < len(line); i++ {
		c := line[i]
		switch {
		case c == '\\' && i+1 < len(line):
			i++
			c = line[i]
		case c == ';':
			endWord()
			commands = append(commands, words)
			words = nil
			continue
		case blank(c):
			endWord()
			continue
		}
		started = true
		word.WriteByte(c)
	}
	endWord()
	if len(words) > 0 || len(commands) == 0 {
		commands = append(commands, words)
	}
	return commands
}

func blank(c byte) bool {
	return c == ' ' || c == '\t' || c == '\r' || c == '\v' || c == '\f' || c == '\n'
}
