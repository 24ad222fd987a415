package config

import (
	"fmt"
	"strings"
)

// ParseMasterCLI reads the value of the option -S: an address and the parameters of a stats socket line,
// with commas between all words. Names of variables are replaced by their value in env. The level is
// admin unless the words say otherwise.
func ParseMasterCLI(text string, env func(string) (string, bool)) (*Bind, error) {
	words := append([]string{"-S"}, strings.Split(text, ",")...)
	b, errs := parseBind(words, true, env)
	for _, e := range errs {
		if !e.Warning {
			msg := e.Msg
			if e.Index < 2 { // it speaks of the stats socket, which this is not
				msg = strings.TrimPrefix(msg, "'stats socket' : ")
			}
			return nil, fmt.Errorf("'-S %s' : %s", text, msg)
		}
	}
	if b.Level == "" {
		b.Level = "admin"
	}
	b.Pos = Pos{File: "-S"}
	return b, nil
}
