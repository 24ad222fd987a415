package admin

import (
	"flag"
	"fmt"
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/penstock/penstock/internal/runtimeapi"
)

var update = flag.Bool("update", false, "write docs/runtime-api.md")

const manualFile = "../../docs/runtime-api.md"

const manualHead = `# Runtime API

The commands of the sockets that ` + "`stats socket`" + ` opens. This file is made from the table of commands: do not edit it; run
` + "`go test ./internal/admin -run TestManual -update`" + `. A test fails when it is stale.

## Talking to it

` + "```" + `
echo "show info" | socat stdio /run/penstock.sock
echo "show sess;show version" | socat stdio /run/penstock.sock
socat readline /run/penstock.sock                     then: prompt
` + "```" + `

- A session is one line of commands with ` + "`;`" + ` between them, and closes after it. ` + "`prompt`" + ` makes it interactive, ` + "`prompt i`" + ` without a
  prompt. A backslash takes the meaning from a blank, ` + "`;`" + ` or backslash.
- An empty line ends each answer. A change that went well has an empty answer.
- A command that ends with ` + "`<<`" + ` takes the lines behind it, up to an empty one; with ` + "`<<END`" + `, up to a line ` + "`END`" + `. 128 KiB is the most.
- The socket's ` + "`level`" + ` says what its clients may do: ` + "`user`" + ` reads, ` + "`operator`" + ` sees more, ` + "`admin`" + ` changes. Each includes those before.
  ` + "`operator`" + ` and ` + "`user`" + ` lower it for the rest of a session.
- A line has at most ` + "`tune.bufsize`" + ` bytes and must come within ` + "`stats timeout`" + ` (10 s), which also ends a session that idles or does not read.
  ` + "`stats maxconn`" + ` (10) sessions are served at once; more wait.

## Which sessions

` + "`show sess`" + ` and ` + "`shutdown sessions where`" + ` take these conditions, of which all must hold:

| condition | sessions |
|---|---|
| ` + "`server <b>/<s>`" + ` | whose server, in use or last tried, is this one |
| ` + "`backend <b>`, `frontend <f>`" + ` | of this proxy; a name, or ` + "`#`" + ` and an id |
| ` + "`client <network>`" + ` | whose client has this address or is in this network: ` + "`10.0.0.0/8`, `fd00::/8`" + ` |
| ` + "`older <age>`" + ` | that were accepted at least so long ago: ` + "`30`" + ` (seconds), ` + "`5m`, `2h`" + ` |
| ` + "`idle <time>`" + ` | that moved no byte for so long |
| ` + "`worker <n>`" + ` | of this worker, from 1 |
| ` + "`state <state>`" + ` | that are ` + "`queued`, `connecting`, `turnaround` (waiting for the next attempt), `relay` or `leaving`" + ` (moving to another process) |
| ` + "`susp`" + ` | older than 5 s that wait for a server, are half closed, or have a side that takes nothing |

A line of ` + "`show sess`" + ` begins with the fields that HAProxy's has; those that tell of its buffers and tasks are zero or empty. Behind them stand
the worker, the state, how each direction moves bytes (` + "`mode=copy/splice`" + `: client to server by copy, back by splice), the bytes both ways, the time
since the last one and the time in the queue. ` + "`show sess <id>`" + ` and ` + "`show sess all`" + ` add both sockets as the kernel sees them: round-trip time and its
variation, segments sent again and lost, congestion window, segments under way, bytes not sent yet, bytes per second delivered. A session that an
operator ends is logged with ` + "`KC`" + `.

## Commands

| command | level | |
|---|---|---|
`

func TestManual(t *testing.T) {
	var b strings.Builder
	b.WriteString(manualHead)
	for _, c := range runtimeapi.Manual(Commands(nil)) {
		level := c.Level.String()
		if c.Expert {
			level += ", expert mode"
		}
		if c.Experimental {
			level += ", experimental mode"
		}
		example := c.Example
		if example == "" {
			example = exampleOf(c.Usage)
		}
		if strings.ContainsAny(example, "<[|") {
			t.Errorf("%s has no example", c.Usage)
		}
		if words := strings.Fields(example); len(words) < len(c.Words) || !slices.Equal(words[:len(c.Words)], c.Words) {
			t.Errorf("the example of %s is of another command: %s", c.Usage, example)
		}
		fmt.Fprintf(&b, "| `%s` | %s | %s: `%s` |\n", escape(c.Usage), level, escape(c.Help), escape(example))
	}
	got := b.String()
	if *update {
		if err := os.WriteFile(manualFile, []byte(got), 0o644); err != nil {
			t.Fatal(err)
		}
		return
	}
	have, err := os.ReadFile(manualFile)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(string(have), got); diff != "" {
		t.Errorf("docs/runtime-api.md is stale; run go test ./internal/admin -run TestManual -update\n(-want +got):\n%s", diff)
	}
}

func escape(text string) string { return strings.ReplaceAll(text, "|", `\|`) }

var optional = regexp.MustCompile(` *\[[^\]]*\]\*?`)

// exampleOf makes an example of a usage whose arguments have the usual names.
func exampleOf(usage string) string {
	return strings.NewReplacer(
		"<bk>/<srv>", "be/s1", "<b>/<s>", "be/s1", "<backend>/<server>", "be/s1",
		"<frontend>", "fe", "<fe>", "fe", "<f>", "fe", "<backend>", "be", "<bk>", "be", "<b>", "be",
	).Replace(optional.ReplaceAllString(usage, ""))
}

// Every command is refused below its level, whatever its arguments, and allowed in no list there.
func TestLevels(t *testing.T) {
	s, _ := mustSessions(t, 0)
	for _, c := range runtimeapi.Manual(Commands(nil)) {
		for _, level := range []runtimeapi.Level{runtimeapi.LevelUser, runtimeapi.LevelOperator} {
			if level >= c.Level {
				continue
			}
			for _, line := range []string{strings.Join(c.Words, " "), strings.Join(c.Words, " ") + " be/s1 1", "prompt;" + strings.Join(c.Words, " ")} {
				if got := s.ask(level.String(), "%s;quit", line); !strings.Contains(got, "Permission denied\n\n") {
					t.Errorf("%s at level %v: %q", line, level, got)
				}
			}
			if help := s.ask(level.String(), "help"); strings.Contains(help, "  "+c.Usage+" ") {
				t.Errorf("%s is listed at level %v", c.Usage, level)
			}
		}
	}
}
