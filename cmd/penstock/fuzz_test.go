package main

import (
	"errors"
	"io"
	"slices"
	"strings"
	"testing"

	"github.com/urfave/cli/v2"
)

// parse lets the flag library read a normal form without obeying it.
func parse(words []string) error {
	app := newApp(&environment{stdout: io.Discard, stderr: io.Discard})
	for _, c := range app.Commands {
		c.Action = func(*cli.Context) error { return nil }
	}
	return app.Run(append([]string{programName}, words...))
}

func FuzzArgs(f *testing.F) {
	for _, seed := range []string{
		"", "-f\na.cfg", "-W\n-d\n-S\nfd@5\n-L\nA\n-f\ncfg\n-p\npid", "-D\n-sf\n1\n2\n-f\nx\n--\na\n-b", "-n\nabc\n-m\n-1\n-N\n9x",
		"-dKall\n-dC[k],2\n-dM0x50\n-dt\nh2\n-Vc", "-vv", "-vqb", "-cc\n1 && (0)", "check\n--json\nx", "run\n--listen\n:1\n--to\n:2",
		"help\ncheck", "run\n--file=a\n--finish=1\n--maxconn\nx", "-st\n99999999999", "-f\n--help\n-C\n-h", "check\n--\n-h", "run\n--", "version\n--form=x",
	} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, text string) {
		args := strings.Split(text, "\n")
		words, err := normalise(args)
		var usage *usageError
		if err != nil {
			if words != nil || !errors.As(err, &usage) {
				t.Fatalf("%q: %q, %v", args, words, err)
			}
			return
		}
		commands := []string{commandCtl, commandTop, commandRun, commandCheck, commandVersion, commandHelp, commandCondition}
		if !slices.Contains(commands, words[0]) {
			t.Fatalf("%q: %q does not begin with a command", args, words)
		}
		if words[0] == commandHelp || words[0] == commandCtl || words[0] == commandTop {
			return
		}
		for _, word := range words[1:] {
			if !strings.HasPrefix(word, "--") || word == "--" {
				t.Fatalf("%q: %q is no flag in %q", args, word, words)
			}
		}
		// Flags of a named command are the user's own; all others are ours and must be right.
		err = parse(words)
		named := slices.Contains(commands, args[0])
		if err != nil && (!named || !errors.As(err, &usage)) {
			t.Fatalf("%q: %q is refused: %v", args, words, err)
		}
	})
}
