package main

import (
	"fmt"
	"io"
)

const programName = "penstock"

// helpText is shown by the help command, under the commands' names.
const helpText = `Without a command by name, HAProxy's arguments are obeyed and the balancer runs:
  penstock -f /etc/haproxy/haproxy.cfg
  penstock -c -f /etc/haproxy/haproxy.cfg
A balancer without a file:
  penstock run --listen :3307 --to 10.0.0.1:3306,10.0.0.2:3306
A new process in the place of the running one, with its connections:
  penstock reload -f /etc/haproxy/haproxy.cfg -p /run/penstock.pid
A command for the running one, or a session with it:
  penstock ctl -s /run/penstock.sock show sess server be/s1
What it does, second by second:
  penstock top -s /run/penstock.sock

` + optionText

// optionText lists HAProxy's arguments.
const optionText = `Usage: penstock [-f <file or directory>]... [options] [-- <file>...]
       penstock run | check | reload | ctl | top | version | help

  -f <path>      read a configuration file, or every *.cfg of a directory; repeatable
  -- <file>...   the words that follow are configuration files
  -c             check the configuration and exit (-V: say so when it is valid)
  -cc <cond>     evaluate a condition: exit code 0 true, 1 false, 2 unreadable
  -D             run in the background; -db stays in the foreground
  -d             debug: stay in the foreground and say more
  -W, -Ws        a master keeps a worker and replaces it at a reload (SIGUSR2)
  -S <address>[,<parameter>...]
                 the master takes commands there; with -W
  -p <file>      write the process id to a file, in the background or with -W
  -q, -V         quiet, verbose
  -v, -vv        version; with build and kernel features
  -vq, -vqs, -vqb  bare version, short version, branch
  -n <number>    connections of the process; overrides maxconn
  -N <number>    connections of a proxy that sets none
  -m <megabytes> memory of the process
  -C <dir>       change the directory before files are read
  -L <name>      local peer name
  -sf <pid>...   take over from these processes: their listeners, and then their sessions
  -st <pid>...   take their listeners over and terminate them (SIGTERM)
  -dr            start although a server's name does not resolve
  -dW            a warning is an error
  -dD            advice about suspicious settings
  -dS, -dR       no splice, no SO_REUSEPORT
  -x, -4, -dC, -dK, -dc, -dt
                 accepted with a warning: not implemented yet
  -de, -dp, -dk, -dv, -dA, -dF, -dG, -dI, -dL, -dM, -dT, -dV, -dZ
                 accepted
`

// usage tells how to use the program and returns the exit code for it.
func (env *environment) usage(wrong *usageError) int {
	if wrong.Command != "" {
		fmt.Fprintf(env.stderr, "%s %s: %s\nSee \"%s help %s\".\n", programName, wrong.Command, wrong.Error(), programName, wrong.Command)
		return exitUsage
	}
	if wrong.Detail != "" {
		fmt.Fprintf(env.stderr, "%s: %s\n", programName, wrong.Detail)
	}
	_, _ = io.WriteString(env.stderr, optionText)
	return exitFailure
}
