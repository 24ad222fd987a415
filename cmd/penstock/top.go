package main

import (
	"context"
	"fmt"
	"os"
	"os/signal"
	"regexp"
	"slices"
	"strings"
	"syscall"
	"time"

	"github.com/urfave/cli/v2"
	"golang.org/x/term"

	"github.com/penstock/penstock/internal/top"
)

// topCommand shows what a running process does.
func topCommand(env *environment) *cli.Command {
	return &cli.Command{
		Name:  commandTop,
		Usage: "watch a running balancer: frontends, backends, servers, sessions",
		Description: "On a terminal ? names the keys. Elsewhere, and with --once or --batch, the view is printed as text; a dumb terminal\n" +
			"gets it again at every interval.",
		Flags: []cli.Flag{
			socketFlag(),
			&cli.DurationFlag{Name: "interval", Aliases: []string{"i"}, Usage: "`TIME` between two looks", Value: time.Second},
			toggle("once", "print the view once"),
			&cli.IntFlag{Name: "batch", Aliases: []string{"n"}, Usage: "print the view so many `TIMES`", DefaultText: "off"},
			&cli.StringFlag{Name: "view", Usage: "`VIEW` to begin with: overview, frontends, backends, servers or sessions", Value: top.Overview.String(), DefaultText: "overview"},
			&cli.StringFlag{Name: "filter", Usage: "show what matches a regular `EXPRESSION` only"},
			&cli.StringFlag{Name: "sort", Usage: "sort by a `COLUMN`; with - in front the other way round", DefaultText: "as the process lists them"},
		},
		OnUsageError:    wrongUsage,
		HideHelpCommand: true,
		Action:          func(c *cli.Context) error { return env.top(c) },
	}
}

func (env *environment) top(c *cli.Context) error {
	wrong := func(format string, args ...any) error {
		return &usageError{Detail: fmt.Sprintf(format, args...), Command: commandTop}
	}
	if c.NArg() > 0 {
		return wrong("unexpected argument %q", c.Args().First())
	}
	address, err := env.socket(c, commandTop)
	if err != nil {
		return err
	}
	view, known := top.ViewNamed(c.String("view"))
	if !known {
		return wrong("unknown view %q", c.String("view"))
	}
	var filter *regexp.Regexp
	if text := c.String("filter"); text != "" {
		if filter, err = regexp.Compile(text); err != nil {
			return wrong("filter: %v", err)
		}
	}
	o := top.Options{Model: top.NewModel(view, filter), Interval: c.Duration("interval")}
	o.Client.Network, o.Client.Address = endpoint(address)
	o.Model.Target = address
	if column, reverse := strings.CutPrefix(c.String("sort"), "-"); column != "" && !o.Model.Sort(column, reverse) {
		return wrong("the view %s has no column %q, but %s", view, column, strings.Join(top.ColumnNames(view), ", "))
	}
	times := c.Int("batch")
	switch {
	case times < 0:
		return wrong("--batch %d: a number of times is needed", times)
	case o.Interval < 100*time.Millisecond:
		return wrong("--interval %v is too short: 100ms is the least", o.Interval)
	case c.Bool("once"):
		times = 1
	}
	o.Model.Plain = !env.utf8()
	in, inIsFile := env.stdin.(*os.File)
	out, outIsFile := env.stdout.(*os.File)
	onTerminal := outIsFile && term.IsTerminal(int(out.Fd()))
	kind, _ := env.lookup("TERM")
	if times == 0 && onTerminal && inIsFile && term.IsTerminal(int(in.Fd())) && kind != "" && kind != "dumb" {
		o.Colour = env.colours(kind)
		return top.Run(context.Background(), o, in, out)
	}
	width := 0
	switch {
	case onTerminal:
		if width, _, err = term.GetSize(int(out.Fd())); err != nil {
			width = 0
		}
	case times == 0:
		times = 1
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	return top.Batch(ctx, o, env.stdout, env.stderr, times, width)
}

// colours tells whether a terminal has some and the user wants them.
func (env *environment) colours(kind string) bool {
	if unwanted, _ := env.lookup("NO_COLOR"); unwanted != "" {
		return false
	}
	if depth, _ := env.lookup("COLORTERM"); depth != "" {
		return true
	}
	family, _, _ := strings.Cut(kind, "-")
	return strings.Contains(kind, "color") || slices.Contains([]string{"xterm", "screen", "tmux", "rxvt", "linux", "alacritty", "foot", "konsole", "cygwin", "putty"}, family)
}

// utf8 tells whether the locale has more than ASCII.
func (env *environment) utf8() bool {
	for _, name := range []string{"LC_ALL", "LC_CTYPE", "LANG"} {
		if value, _ := env.lookup(name); value != "" {
			value = strings.ToLower(value)
			return strings.Contains(value, "utf-8") || strings.Contains(value, "utf8")
		}
	}
	return false
}
