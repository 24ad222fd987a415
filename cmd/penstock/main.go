// Command penstock is a layer-4 load balancer that takes HAProxy's configuration and command line.
//
// Without a command by name it obeys HAProxy's arguments and runs the balancer. Its own commands are
// run, check, reload, ctl, top, version and help.
package main

import (
	"errors"
	"fmt"
	"io"
	"os"
	"strings"

	"github.com/urfave/cli/v2"
)

// environment is what the program has around it, so that tests can put something else there.
type environment struct {
	stdin          io.Reader // nil: empty
	stdout, stderr io.Writer
	args           []string // without the program's name
	environ        []string
}

func main() {
	env := &environment{stdin: os.Stdin, stdout: os.Stdout, stderr: os.Stderr, args: os.Args[1:], environ: os.Environ()}
	os.Exit(env.main())
}

// The exit codes. A condition that holds is exitOK, one that does not exitFailure.
const (
	exitOK      = 0
	exitFailure = 1
	exitUsage   = 2 // wrong usage of a command given by name; a condition that cannot be read
)

// exitCode ends a command with a code after everything was said.
type exitCode int

func (c exitCode) Error() string { return fmt.Sprintf("exit code %d", int(c)) }

// main obeys the command line and returns the exit code of the process.
func (env *environment) main() int {
	words, err := normalise(env.args)
	if err == nil {
		err = newApp(env).Run(append([]string{programName}, words...))
	}
	var code exitCode
	var usage *usageError
	switch {
	case err == nil:
		return exitOK
	case errors.As(err, &code):
		return int(code)
	case errors.As(err, &usage):
		return env.usage(usage)
	}
	fmt.Fprintf(env.stderr, "%s: %v\n", programName, err)
	return exitFailure
}

// lookup reads a variable of the environment.
func (env *environment) lookup(name string) (string, bool) {
	for i := len(env.environ) - 1; i >= 0; i-- {
		if key, value, ok := strings.Cut(env.environ[i], "="); ok && key == name {
			return value, true
		}
	}
	return "", false
}

func newApp(env *environment) *cli.App {
	return &cli.App{
		Name:                      programName,
		HelpName:                  programName,
		Usage:                     "a layer-4 load balancer that reads haproxy.cfg",
		Description:               helpText,
		Version:                   version,
		HideVersion:               true,
		DisableSliceFlagSeparator: true,
		Writer:                    env.stdout,
		ErrWriter:                 env.stderr,
		ExitErrHandler:            func(*cli.Context, error) {}, // main reports
		OnUsageError:              wrongUsage,
		Commands: []*cli.Command{
			runCommand(env),
			checkCommand(env),
			reloadCommand(env),
			ctlCommand(env),
			topCommand(env),
			versionCommand(env),
			conditionCommand(env),
		},
	}
}

// wrongUsage makes what the flag library refuses a usage error.
func wrongUsage(c *cli.Context, err error, _ bool) error {
	name := ""
	if c.Command != nil {
		name = c.Command.Name
	}
	return &usageError{Detail: err.Error(), Command: name}
}
