package main

import (
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"github.com/penstock/penstock/internal/config"
	"github.com/penstock/penstock/internal/master"
	"github.com/penstock/penstock/internal/process"
)

// becomeMaster makes this process a master. The program starts once more in its place, and continueMaster
// goes on there.
func (env *environment) becomeMaster(s settings, dir string, background *process.BackgroundProcess, report *config.Reporter) error {
	opt, err := env.masterOptions(s, dir, report)
	if err != nil {
		return err
	}
	var keep []int
	if background != nil {
		var fd int
		opt.Environ, fd = background.Pass(opt.Environ)
		keep = append(keep, fd)
	}
	report.Alertf("Cannot become a master: %v", master.Replace(&opt, keep...))
	return exitCode(exitFailure)
}

// continueMaster is the life of the master until the next reload or its end.
func (env *environment) continueMaster(s settings, dir string, background *process.BackgroundProcess) error {
	logs := &master.Logs{}
	env.stderr = io.MultiWriter(logs, env.stderr)
	report := env.reporter(s)
	opt, err := env.masterOptions(s, dir, report)
	if err != nil && opt.Program == "" {
		return err
	}
	opt.Logs = logs
	opt.Background = background != nil
	opt.Ready = func() error {
		if background == nil {
			return nil
		}
		return background.Ready()
	}
	name, _ := env.lookup("NOTIFY_SOCKET")
	if opt.Manager, err = process.FindSupervisor(name); err != nil {
		report.Warningf("Cannot %v.", err)
	}
	defer opt.Manager.Close()
	if code := master.Run(opt); code != exitOK {
		return exitCode(code)
	}
	return nil
}

// masterOptions are what the master needs in each of its lives. With an error they lack the command line, which
// a master that has workers can live without, or are empty.
func (env *environment) masterOptions(s settings, dir string, report *config.Reporter) (master.Options, error) {
	own, err := os.Executable()
	if err != nil {
		report.Alertf("Cannot find own program: %v", err)
		return master.Options{}, exitCode(exitFailure)
	}
	opt := master.Options{
		Name:       programName,
		Program:    onDisk(os.Args[0], own, dir),
		Own:        own,
		Args:       os.Args,
		Dir:        dir,
		Environ:    env.environ,
		Version:    fullVersion(),
		WorkerArgs: env.workerArgs,
		Settings:   func() master.Settings { return env.masterSettings(s, report) },
		Report:     report,
	}
	for _, text := range s.MasterCLI {
		bind, err := config.ParseMasterCLI(text, env.lookup)
		if err != nil {
			report.Alertf("%v", err)
			opt.CLI = nil
			return opt, exitCode(exitFailure)
		}
		opt.CLI = append(opt.CLI, bind)
	}
	return opt, nil
}

// onDisk is the file that the program's name stands for. Unlike the path of the program that runs it leads
// to a successor that has taken the name since, through a link too.
func onDisk(name, own, dir string) string {
	path := name
	if !strings.Contains(name, "/") {
		found, err := exec.LookPath(name)
		if err != nil {
			return own
		}
		path = found
	}
	if !filepath.IsAbs(path) {
		path = filepath.Join(dir, path)
	}
	return path
}

// masterSettings reads the configuration for what concerns the master. Mistakes are the worker's to report.
func (env *environment) masterSettings(s settings, report *config.Reporter) master.Settings {
	if err := changeDirectory(s, &config.Reporter{W: io.Discard}); err != nil {
		return master.Settings{PIDFile: s.PIDFile, MaxReloads: config.DefaultMaxReloads}
	}
	cfg, _, err := env.load(s)
	if err != nil {
		return master.Settings{PIDFile: s.PIDFile, MaxReloads: config.DefaultMaxReloads}
	}
	g := &cfg.Global
	report.Quiet = report.Quiet || g.Quiet
	return master.Settings{PIDFile: g.PidFile, NoExitOnFailure: g.NoExitOnFailure, MaxReloads: g.MaxReloads}
}

// mastersFlags are what a worker is not told: they concern the master.
var mastersFlags = []string{flagMasterWorker, flagMasterCLI, flagDaemon, flagPIDFile}

// firstFlags name what to take over from at the first start. Later that is the worker before.
var firstFlags = []string{flagFinish, flagTerminate, flagSockets}

// workerArgs are the arguments of a worker: the normal form of the master's own.
func (env *environment) workerArgs(first bool, finish, terminate []int) []string {
	words, err := normalise(env.args)
	if err != nil {
		words = []string{commandRun} // the master has read them already
	}
	words = slices.DeleteFunc(words, func(word string) bool {
		flag, _, _ := strings.Cut(strings.TrimPrefix(word, "--"), "=")
		return slices.Contains(mastersFlags, flag) || !first && slices.Contains(firstFlags, flag)
	})
	args := append([]string{os.Args[0]}, words...)
	for _, pid := range finish {
		args = append(args, "--"+flagFinish+"="+strconv.Itoa(pid))
	}
	for _, pid := range terminate {
		args = append(args, "--"+flagTerminate+"="+strconv.Itoa(pid))
	}
	return args
}
