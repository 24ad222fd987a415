package runtimeapi

// Entry is what the manual says of a command.
type Entry struct {
	Words                []string
	Usage, Help, Example string // Example: "" when the usage is one
	Level                Level
	Expert, Experimental bool
}

// Manual describes the server's own commands and those of others, as lists show them.
func Manual(others []Command) []Entry {
	var entries []Entry
	for _, c := range withOthers(commands, others) {
		if c.usage != "" {
			entries = append(entries, Entry{c.words, c.usage, c.help, c.example, c.level, c.expert, c.experimental})
		}
	}
	return entries
}
