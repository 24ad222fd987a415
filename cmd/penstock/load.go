package main

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"github.com/penstock/penstock/internal/config"
	"github.com/penstock/penstock/internal/engine"
)

// reporter is where the messages of the process go.
func (env *environment) reporter(s settings) *config.Reporter {
	path, err := os.Executable()
	if err != nil {
		path = ""
	}
	return &config.Reporter{
		W:          env.stderr,
		Pid:        os.Getpid(),
		Version:    version,
		Compatible: config.CompatibleVersion,
		Executable: path,
		Quiet:      s.Quiet,
		Verbose:    s.Verbose || s.Debug,
		Diag:       s.Diagnostic,
	}
}

// changeDirectory does what -C asks for.
func changeDirectory(s settings, report *config.Reporter) error {
	if s.Directory == "" {
		return nil
	}
	if err := os.Chdir(s.Directory); err != nil {
		var path *fs.PathError
		if errors.As(err, &path) {
			err = path.Err
		}
		report.Alertf("Could not change to directory %s : %v", s.Directory, err)
		return exitCode(exitFailure)
	}
	return nil
}

// load reads the configuration and lets the command line override it. Nothing is reported yet.
func (env *environment) load(s settings) (*config.Config, *config.Diagnostics, error) {
	opt := config.Options{
		Files:     s.Files,
		Env:       env.lookup,
		LocalPeer: s.LocalPeer,
		DiagMode:  s.Diagnostic,
	}
	var cfg *config.Config
	var found *config.Diagnostics
	if s.Listen != "" || s.To != "" {
		text, err := generate(s)
		if err != nil {
			return nil, nil, err
		}
		cfg, found = config.LoadText(generatedName, text, opt)
	} else {
		cfg, found = config.Load(opt)
	}
	s.override(cfg)
	return cfg, found, nil
}

// override changes a configuration to what the command line says.
func (s *settings) override(cfg *config.Config) {
	g := &cfg.Global
	if s.MaxConn > 0 {
		g.MaxConn = s.MaxConn
	}
	if s.PIDFile != "" {
		g.PidFile = s.PIDFile
	}
	g.Daemon = (g.Daemon || s.Daemon) && !s.Foreground && !s.Debug
	g.MasterWorker = g.MasterWorker || s.MasterWorker
	g.ZeroWarning = g.ZeroWarning || s.ZeroWarning
	g.NoSplice = g.NoSplice || s.NoSplice
	g.NoReusePort = g.NoReusePort || s.NoReusePort
	g.NoEpoll = g.NoEpoll || s.NoEpoll
	if s.ProxyMaxConn <= 0 {
		return
	}
	for _, p := range cfg.Proxies {
		if p.MaxConn == 0 && p.Kind.HasFrontend() {
			p.MaxConn = s.ProxyMaxConn
		}
	}
}

// engineOptions are what building an engine or checking for one needs.
func (s *settings) engineOptions(report *config.Reporter) engine.Options {
	return engine.Options{
		Report:        report,
		Program:       filepath.Base(os.Args[0]),
		NoResolveFail: s.IgnoreResolution,
	}
}

// warnIgnored tells which options have no effect.
func (s *settings) warnIgnored(report *config.Reporter) {
	for _, option := range s.Ignored {
		report.Warningf("Option '%s' is not implemented yet and has no effect.", option)
	}
}

// refusedByWarnings reports that warnings count as errors, when they do and there are any.
func refusedByWarnings(cfg *config.Config, report *config.Reporter) bool {
	if !cfg.Global.ZeroWarning || report.Warnings() == 0 {
		return false
	}
	report.Alertf("Some warnings were found and 'zero-warning' is set. Aborting.")
	return true
}

// hasListener reports whether anything could be connected to.
func hasListener(cfg *config.Config) bool {
	if len(cfg.Global.StatsSockets) > 0 {
		return true
	}
	for _, p := range cfg.Proxies {
		if !p.Disabled && p.Kind.HasFrontend() && len(p.Binds) > 0 {
			return true
		}
	}
	return false
}

// generatedName is the file name that a generated configuration has in messages.
const generatedName = "command line"

// generate writes the configuration that --listen and --to stand for.
func generate(s settings) (string, error) {
	wrong := func(format string, args ...any) error {
		return &usageError{Detail: fmt.Sprintf(format, args...), Command: commandRun}
	}
	if s.Listen == "" || s.To == "" {
		return "", wrong("--%s and --%s belong together", flagListen, flagTo)
	}
	if len(s.Files) > 0 {
		return "", wrong("--%s does not go with a configuration file", flagListen)
	}
	var b strings.Builder
	b.WriteString(`global
    log stdout format raw local0

defaults
    mode tcp
    log global
    option tcplog
    timeout connect 5s
    timeout client 8h
    timeout server 8h

listen penstock
`)
	for address := range strings.SplitSeq(s.Listen, ",") {
		if !plainAddress(address) {
			return "", wrong("%q is no address to listen on", address)
		}
		fmt.Fprintf(&b, "    bind %s\n", address)
	}
	b.WriteString("    balance roundrobin\n    option redispatch\n")
	number := 0
	for address := range strings.SplitSeq(s.To, ",") {
		if !plainAddress(address) {
			return "", wrong("%q is no address of a server", address)
		}
		number++
		fmt.Fprintf(&b, "    server s%d %s\n", number, address)
	}
	return b.String(), nil
}

// plainAddress refuses what would mean more than an address on a line of the configuration.
func plainAddress(text string) bool {
	return text != "" && !strings.ContainsFunc(text, func(r rune) bool {
		return r <= ' ' || r >= 0x7f || strings.ContainsRune(`"'\#$`, r)
	})
}
