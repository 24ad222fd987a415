package runtimeapi

import "strings"

// A line holds commands between semicolons, and a command words between blanks. A backslash takes the
// special meaning from the character behind it.

// splitLine returns the commands of a line as they are written. What is blank behind the last semicolon is none.
func splitLine(line string) []string {
	var commands []string
	start := 0
	for i := 0; i < len(line); i++ {
		switch line[i] {
		case '\\':
			i++
		case ';':
			commands = append(commands, line[start:i])
			start = i + 1
		}
	}
	if rest := line[start:]; len(commands) == 0 || trimBlanks(rest) != "" {
		commands = append(commands, rest)
	}
	return commands
}

// splitWords returns the words of a command.
func splitWords(command string) []string {
	var words []string
	var word strings.Builder
	started := false
	for i := 0; i < len(command); i++ {
		c := command[i]
		switch {
		case c == '\\' && i+1 < len(command):
			i++
			c = command[i]
		case blank(c):
			if started {
				words = append(words, word.String())
				word.Reset()
				started = false
			}
			continue
		}
		started = true
		word.WriteByte(c)
	}
	if started {
		words = append(words, word.String())
	}
	return words
}

func blank(c byte) bool {
	return c == ' ' || c == '\t' || c == '\r' || c == '\v' || c == '\f' || c == '\n'
}

// trimBlanks drops the blanks in front of a command, which mean nothing.
func trimBlanks(text string) string {
	for text != "" && blank(text[0]) {
		text = text[1:]
	}
	return text
}
