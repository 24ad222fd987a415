package main

import (
	"fmt"
	"os"

	"github.com/urfave/cli/v2"
	"golang.org/x/term"

	"github.com/penstock/penstock/internal/config"
	"github.com/penstock/penstock/internal/engine"
)

func checkCommand(env *environment) *cli.Command {
	return &cli.Command{
		Name:      commandCheck,
		Usage:     "check a configuration and say what is wrong with it",
		ArgsUsage: "[FILE]...",
		Flags: append(
			settingFlags(),
			toggle(flagJSON, "write the findings to standard output, for programs"),
			hidden(flagTerse),
		),
		OnUsageError: wrongUsage,
		Action: func(c *cli.Context) error {
			s := settingsOf(c)
			switch {
			case len(s.Files) > 0:
			case c.Bool(flagTerse):
				return env.withoutFile()
			default:
				return &usageError{Detail: "no configuration file given", Command: commandCheck}
			}
			switch {
			case c.Bool(flagTerse):
				return env.checkTerse(s)
			case c.Bool(flagJSON):
				return env.checkJSON(s)
			}
			return env.checkForPeople(s)
		},
	}
}

// verdict is what a check came to.
type verdict struct {
	found    *config.Diagnostics
	warnings int
	valid    bool
}

// check reads the configuration, reports everything about it and builds what it asks for without
// binding anything.
func (env *environment) check(s settings, report *config.Reporter, print bool) (verdict, error) {
	if err := changeDirectory(s, report); err != nil {
		return verdict{}, err
	}
	cfg, found, err := env.load(s)
	if err != nil {
		return verdict{}, err
	}
	s.warnIgnored(report)
	if print {
		found.Print(report)
	}
	v := verdict{found: found, valid: !found.Fatal() && engine.Check(cfg, s.engineOptions(report))}
	v.warnings = report.Warnings()
	if !print {
		v.warnings += found.Warnings()
	}
	if v.valid && v.warnings > 0 && cfg.Global.ZeroWarning {
		report.Alertf("Some warnings were found and 'zero-warning' is set. Aborting.")
		v.valid = false
	}
	return v, nil
}

// checkTerse is -c: silent about a valid file unless it is to be verbose.
func (env *environment) checkTerse(s settings) error {
	v, err := env.check(s, env.reporter(s), true)
	if err != nil {
		return err
	}
	if !v.valid {
		return exitCode(exitFailure)
	}
	if v.warnings > 0 && (!s.Quiet || s.Verbose) {
		fmt.Fprintln(env.stdout, "Warnings were found.")
	}
	if s.Verbose {
		fmt.Fprintln(env.stdout, "Configuration file is valid")
	}
	return nil
}

// checkJSON writes the findings for programs. What only building the proxies finds, such as a name
// that does not resolve, is reported as text.
func (env *environment) checkJSON(s settings) error {
	v, err := env.check(s, env.reporter(s), false)
	if err != nil {
		return err
	}
	if err = v.found.WriteJSON(env.stdout); err != nil {
		return err
	}
	if !v.valid {
		return exitCode(exitFailure)
	}
	return nil
}

func (env *environment) checkForPeople(s settings) error {
	report := env.reporter(s)
	file, ok := env.stderr.(*os.File)
	_, dull := env.lookup("NO_COLOR")
	report.Color = ok && !dull && term.IsTerminal(int(file.Fd()))
	v, err := env.check(s, report, true)
	if err != nil {
		return err
	}
	if !v.valid {
		fmt.Fprintln(env.stdout, "Configuration is not valid.")
		return exitCode(exitFailure)
	}
	switch v.warnings {
	case 0:
		fmt.Fprintln(env.stdout, "Configuration is valid.")
	case 1:
		fmt.Fprintln(env.stdout, "Configuration is valid, with a warning.")
	default:
		fmt.Fprintf(env.stdout, "Configuration is valid, with %d warnings.\n", v.warnings)
	}
	return nil
}

// withoutFile is the answer to HAProxy's arguments that name no file.
func (env *environment) withoutFile() error {
	writeVersion(env.stdout)
	return &usageError{}
}
