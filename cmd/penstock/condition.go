package main

import (
	"github.com/urfave/cli/v2"

	"github.com/penstock/penstock/internal/config"
)

// conditionCommand evaluates a condition as .if does: the exit code is the answer.
func conditionCommand(env *environment) *cli.Command {
	return &cli.Command{
		Name:         commandCondition,
		Usage:        "evaluate a condition: exit code 0 true, 1 false, 2 unreadable",
		Hidden:       true,
		Flags:        []cli.Flag{&cli.StringFlag{Name: flagExpression}},
		OnUsageError: wrongUsage,
		Action: func(c *cli.Context) error {
			holds, err := config.EvalCond(c.String(flagExpression), env.lookup)
			switch {
			case err != nil:
				env.reporter(settings{}).Alertf("config : Failed to evaluate condition: %v", err)
				return exitCode(exitUsage)
			case !holds:
				return exitCode(exitFailure)
			}
			return nil
		},
	}
}
