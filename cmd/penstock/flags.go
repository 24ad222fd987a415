package main

import (
	"github.com/urfave/cli/v2"
)

// settings are the flags of run and check.
type settings struct {
	Files        []string
	Listen, To   string
	Daemon       bool
	Foreground   bool
	Debug        bool
	Quiet        bool
	Verbose      bool
	MasterWorker bool
	MasterCLI    []string
	ZeroWarning  bool
	Diagnostic   bool

	IgnoreResolution bool
	NoSplice         bool
	NoReusePort      bool
	NoEpoll          bool

	MaxConn      int // 0: as configured; so are the next ones
	ProxyMaxConn int
	Memory       int // megabytes
	PIDFile      string
	Directory    string
	LocalPeer    string

	Finish    []int
	Terminate []int
	Sockets   string   // stats socket that hands listeners over
	Ignored   []string // options that have no effect yet
}

// settingFlags are what settingsOf reads. Help shows them with HAProxy's letters, because those are
// what users type.
func settingFlags() []cli.Flag {
	return []cli.Flag{
		&cli.StringSliceFlag{Name: flagFile, Usage: "-f: read a configuration `FILE`, or every *.cfg of a directory; repeatable"},
		toggle(flagDaemon, "-D: run in the background"),
		toggle(flagForeground, "-db: stay in the foreground"),
		toggle(flagDebug, "-d: stay in the foreground and say more"),
		toggle(flagQuiet, "-q: print errors only"),
		toggle(flagVerbose, "-V: say more"),
		toggle(flagMasterWorker, "-W, -Ws: a master process that keeps a worker and replaces it at a reload"),
		&cli.StringSliceFlag{Name: flagMasterCLI, Usage: "-S: the master takes commands at `ADDRESS`[,PARAMETER]..."},
		toggle(flagZeroWarning, "-dW: a warning is an error"),
		toggle(flagDiagnostic, "-dD: advice about suspicious settings"),
		toggle(flagIgnoreResolution, "-dr: start although a server's name does not resolve"),
		toggle(flagNoSplice, "-dS: copy all data through user space"),
		toggle(flagNoReusePort, "-dR: one socket for each address"),
		hidden(flagNoEpoll),
		&cli.IntFlag{Name: flagMaxConn, Usage: "-n: `CONNECTIONS` of the process; overrides maxconn", DefaultText: "as configured"},
		&cli.IntFlag{Name: flagProxyMaxConn, Usage: "-N: `CONNECTIONS` of a proxy that sets none", DefaultText: "as configured"},
		&cli.IntFlag{Name: flagMemory, Usage: "-m: `MEGABYTES` of memory", DefaultText: "as configured"},
		&cli.StringFlag{Name: flagPIDFile, Usage: "-p: write the process id to `FILE` when in the background"},
		&cli.StringFlag{Name: flagDirectory, Usage: "-C: change to `DIRECTORY` before files are read"},
		&cli.StringFlag{Name: flagLocalPeer, Usage: "-L: local peer `NAME`"},
		&cli.IntSliceFlag{Name: flagFinish, Usage: "-sf: let the process with this `PID` finish, once listening"},
		&cli.IntSliceFlag{Name: flagTerminate, Usage: "-st: terminate the process with this `PID`, once listening"},
		&cli.StringFlag{Name: flagSockets, Usage: "-x: take the listeners of the process that serves the stats socket `PATH`"},
		&cli.StringSliceFlag{Name: flagIgnored, Hidden: true},
	}
}

// toggle is a flag without value; that it is off when not given goes without saying.
func toggle(name, usage string) cli.Flag {
	return &cli.BoolFlag{Name: name, Usage: usage, DisableDefaultText: true}
}

// hidden is a toggle that nobody would look for.
func hidden(name string) cli.Flag { return &cli.BoolFlag{Name: name, Hidden: true} }

func settingsOf(c *cli.Context) settings {
	return settings{
		Files:            c.StringSlice(flagFile),
		Listen:           c.String(flagListen),
		To:               c.String(flagTo),
		Daemon:           c.Bool(flagDaemon),
		Foreground:       c.Bool(flagForeground),
		Debug:            c.Bool(flagDebug),
		Quiet:            c.Bool(flagQuiet),
		Verbose:          c.Bool(flagVerbose),
		MasterWorker:     c.Bool(flagMasterWorker),
		MasterCLI:        c.StringSlice(flagMasterCLI),
		ZeroWarning:      c.Bool(flagZeroWarning),
		Diagnostic:       c.Bool(flagDiagnostic),
		IgnoreResolution: c.Bool(flagIgnoreResolution),
		NoSplice:         c.Bool(flagNoSplice),
		NoReusePort:      c.Bool(flagNoReusePort),
		NoEpoll:          c.Bool(flagNoEpoll),
		MaxConn:          c.Int(flagMaxConn),
		ProxyMaxConn:     c.Int(flagProxyMaxConn),
		Memory:           c.Int(flagMemory),
		PIDFile:          c.String(flagPIDFile),
		Directory:        c.String(flagDirectory),
		LocalPeer:        c.String(flagLocalPeer),
		Finish:           c.IntSlice(flagFinish),
		Terminate:        c.IntSlice(flagTerminate),
		Sockets:          c.String(flagSockets),
		Ignored:          c.StringSlice(flagIgnored),
	}
}
