package main

import (
	"fmt"
	"io"
	"os"

	"github.com/urfave/cli/v2"

	"github.com/penstock/penstock/internal/config"
	"github.com/penstock/penstock/internal/master"
	"github.com/penstock/penstock/internal/process"
)

func runCommand(env *environment) *cli.Command {
	return &cli.Command{
		Name:      commandRun,
		Usage:     "run the balancer",
		ArgsUsage: "[FILE]...",
		Flags: append(
			settingFlags(),
			&cli.StringFlag{Name: flagListen, Usage: "listen on `ADDRESSES` instead of reading a file; needs --" + flagTo},
			&cli.StringFlag{Name: flagTo, Usage: "`SERVERS` to connect to, with commas between them"},
		),
		OnUsageError: wrongUsage,
		Action: func(c *cli.Context) error {
			s := settingsOf(c)
			if len(s.Files) == 0 && s.Listen == "" && s.To == "" {
				return env.withoutFile()
			}
			return env.run(s)
		},
	}
}

// run goes into the background when it shall, reads the configuration and serves until a stop.
func (env *environment) run(s settings) error {
	worker, err := process.Worker()
	if err != nil {
		env.reporter(s).Alertf("Cannot become a worker: %v", err)
		return exitCode(exitFailure)
	}
	if worker != nil {
		env.stderr = io.MultiWriter(worker, env.stderr)
	}
	report := env.reporter(s)
	messages := &master.Logs{}
	report.W = io.MultiWriter(report.W, messages)
	background, err := process.Background()
	if err != nil {
		report.Alertf("Cannot become a background process: %v", err)
		return exitCode(exitFailure)
	}
	if worker != nil || background != nil {
		env.environ = os.Environ() // without what was meant for this process
	}
	start, err := os.Getwd()
	if err != nil {
		start = "" // it stays where it is
	}
	if worker == nil && master.Continues() {
		return env.continueMaster(s, start, background)
	}
	if worker == nil && background == nil && s.Daemon && !s.Foreground && !s.Debug {
		return env.detach(start, report)
	}
	if err = changeDirectory(s, report); err != nil {
		return err
	}
	cfg, found, err := env.load(s)
	if err != nil {
		return err
	}
	if worker == nil && background == nil && cfg.Global.Daemon && !found.Fatal() {
		return env.detach(start, report) // the background process reads it again, and reports
	}
	if cfg.Global.Quiet {
		report.Quiet = true
	}
	if worker == nil && cfg.Global.MasterWorker && !found.Fatal() {
		return env.becomeMaster(s, start, background, report) // the worker reads it again, and reports
	}
	s.warnIgnored(report)
	if len(s.MasterCLI) > 0 {
		report.Warningf("Option '-S' has no effect without a master (-W).")
	}
	found.Print(report)
	if found.Fatal() {
		return exitCode(exitFailure)
	}
	if s.Listen != "" {
		text, err := generate(s)
		if err != nil {
			return err
		}
		fmt.Fprintln(env.stdout, text)
	}
	if !hasListener(cfg) {
		report.Alertf("No enabled listener found (check for 'bind' directives) ! Exiting.")
		return exitCode(exitFailure)
	}
	b := &balancer{env: env, settings: s, cfg: cfg, report: report, background: background, worker: worker, messages: messages}
	return b.run()
}

// detach starts the background process in the directory that this one was started in, because it
// obeys the same command line again.
func (env *environment) detach(dir string, report *config.Reporter) error {
	code, err := process.Detach(env.args, dir, env.environ)
	if err != nil {
		report.Alertf("Cannot become a background process: %v", err)
	}
	if code != exitOK {
		return exitCode(code)
	}
	return nil
}
