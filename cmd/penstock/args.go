package main

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
)

// HAProxy's arguments are not what a flag library expects: names of several letters behind one dash,
// values glued to names, flags that take every number that follows. They are rewritten into a normal
// form first, and only that is parsed:
//
//	-W -db -f a.cfg -sf 12 13 -- b.cfg   =>   run --master-worker --foreground --file=a.cfg --finish=12 --finish=13 --file=b.cfg
//
// The normal form begins with a command. Each further word is a long flag with its value behind "=",
// so that no value can be taken for a flag.

// The commands of the normal form. All but the last may be given by name.
const (
	commandCtl       = "ctl"
	commandTop       = "top"
	commandRun       = "run"
	commandCheck     = "check"
	commandReload    = "reload"
	commandVersion   = "version"
	commandHelp      = "help"
	commandCondition = "condition"
)

// The flags of the normal form.
const (
	flagFile             = "file"
	flagListen           = "listen"
	flagTo               = "to"
	flagDaemon           = "daemon"
	flagForeground       = "foreground"
	flagDebug            = "debug"
	flagQuiet            = "quiet"
	flagVerbose          = "verbose"
	flagMasterWorker     = "master-worker"
	flagMasterCLI        = "master-cli"
	flagZeroWarning      = "zero-warning"
	flagDiagnostic       = "diagnostic"
	flagIgnoreResolution = "ignore-resolution"
	flagNoSplice         = "no-splice"
	flagNoReusePort      = "no-reuseport"
	flagNoEpoll          = "no-epoll"
	flagMaxConn          = "maxconn"
	flagProxyMaxConn     = "proxy-maxconn"
	flagMemory           = "memory"
	flagPIDFile          = "pidfile"
	flagDirectory        = "directory"
	flagLocalPeer        = "local-peer"
	flagFinish           = "finish"
	flagTerminate        = "terminate"
	flagSockets          = "sockets"
	flagIgnored          = "ignored"
	flagTerse            = "terse"
	flagJSON             = "json"
	flagForm             = "form"
	flagExpression       = "expression"
	flagPID              = "pid"
	flagWait             = "wait"
	flagSocket           = "socket"
)

// usageError is a command line that cannot be understood. Detail is empty when the usage says it all.
type usageError struct {
	Detail  string
	Command string // the command given by name, or empty
}

func (e *usageError) Error() string {
	if e.Detail == "" {
		return "wrong usage"
	}
	return e.Detail
}

// simpleFlags are the flags that take nothing and stand alone.
var simpleFlags = map[string]string{
	"-d":  flagDebug,
	"-db": flagForeground,
	"-dD": flagDiagnostic,
	"-dF": flagNoSplice, // neither forwarding without buffers
	"-dR": flagNoReusePort,
	"-dS": flagNoSplice,
	"-dW": flagZeroWarning,
	"-dZ": flagNoSplice,
	"-de": flagNoEpoll,
	"-dr": flagIgnoreResolution,
	"-Ws": flagMasterWorker,
}

// letterFlags take nothing either and may share one dash.
var letterFlags = map[byte]string{
	'D': flagDaemon,
	'V': flagVerbose,
	'W': flagMasterWorker,
	'c': "",
	'q': flagQuiet,
}

// valueFlags take the next word.
var valueFlags = map[string]string{
	"-C": flagDirectory,
	"-L": flagLocalPeer,
	"-N": flagProxyMaxConn,
	"-S": flagMasterCLI,
	"-f": flagFile,
	"-m": flagMemory,
	"-n": flagMaxConn,
	"-p": flagPIDFile,
	"-x": flagSockets,
}

// numberFlags are the value flags whose value is read as C's atol reads it.
var numberFlags = []string{flagMaxConn, flagProxyMaxConn, flagMemory}

// pointlessFlags concern what this program does not contain: other pollers, the C library, TLS. Not
// to have it is what they ask for.
var pointlessFlags = []string{"-dG", "-dI", "-dL", "-dT", "-dV", "-dk", "-dp", "-dv"}

// ignoredFlags ask for something that is not there yet: there is a warning.
var ignoredFlags = []string{"-4", "-dc"}

// gluedFlags carry their value in the same word.
var gluedFlags = []struct {
	prefix    string
	pointless bool
}{
	{prefix: "-dA", pointless: true}, // collects libraries for core files
	{prefix: "-dM", pointless: true}, // poisons freed memory
	{prefix: "-dC"},
	{prefix: "-dK"},
	{prefix: "-dt"},
}

// ownValueFlags are the long flags that take a value when it is not behind "=".
var ownValueFlags = []string{"--" + flagListen, "--" + flagTo, "--" + flagFile, "--" + flagForm, "--" + flagPID, "--" + flagWait, "--" + flagPIDFile}

// normalise rewrites the arguments of the program (without its name) into the normal form. An error is
// a *usageError.
func normalise(args []string) ([]string, error) {
	n := normaliser{rest: args}
	if len(args) > 0 {
		switch args[0] {
		case commandHelp, "--help", "-h":
			return append([]string{commandHelp}, ownCommand(args[1:])...), nil
		case commandCtl, commandTop: // what ctl sends is nobody's flag; top has no flags of HAProxy
			return args, nil
		case commandRun, commandCheck, commandReload, commandVersion:
			n.named = args[0]
			n.rest = args[1:]
		}
	}
	if err := n.all(); err != nil {
		return nil, err
	}
	return append([]string{n.command()}, n.out...), nil
}

// ownCommand keeps the first word when it names a command.
func ownCommand(words []string) []string {
	if len(words) > 0 && slices.Contains([]string{commandRun, commandCheck, commandReload, commandCtl, commandTop, commandVersion}, words[0]) {
		return words[:1]
	}
	return nil
}

type normaliser struct {
	rest     []string
	out      []string
	named    string // the command that was given by name
	mode     string // the command that a flag asks for
	question string // the one flag that matters when only a question is asked
}

func (n *normaliser) command() string {
	switch {
	case n.mode != "":
		return n.mode
	case n.named != "":
		return n.named
	}
	return commandRun
}

func (n *normaliser) all() error {
	for len(n.rest) > 0 && n.mode != commandVersion {
		if err := n.one(); err != nil {
			return err
		}
	}
	if n.question != "" {
		n.out = []string{n.question}
	}
	return nil
}

func (n *normaliser) usage(format string, args ...any) error {
	return &usageError{Detail: fmt.Sprintf(format, args...), Command: n.named}
}

func (n *normaliser) add(flag string) { n.out = append(n.out, "--"+flag) }

func (n *normaliser) addValue(flag, value string) { n.out = append(n.out, "--"+flag+"="+value) }

// take removes the next word; ok is false when there is none.
func (n *normaliser) take() (word string, ok bool) {
	if len(n.rest) == 0 {
		return "", false
	}
	word, n.rest = n.rest[0], n.rest[1:]
	return word, true
}

// one rewrites one flag with what belongs to it.
func (n *normaliser) one() error {
	word, _ := n.take()
	switch {
	case word == "--":
		for _, file := range n.rest {
			n.addValue(flagFile, file)
		}
		n.rest = nil
	case !strings.HasPrefix(word, "-") || word == "-":
		if n.named == "" || n.named == commandVersion {
			return n.usage("unexpected argument %q", word)
		}
		n.addValue(flagFile, word)
	case strings.HasPrefix(word, "--"):
		return n.long(word)
	case word == "-h" && n.named != "":
		return n.long("--" + commandHelp)
	case strings.HasPrefix(word, "-v"):
		n.version(word)
	case word == "-cc":
		return n.condition()
	case word == "-sf":
		return n.pids(word, flagFinish)
	case word == "-st":
		return n.pids(word, flagTerminate)
	case simpleFlags[word] != "":
		n.add(simpleFlags[word])
	case valueFlags[word] != "":
		return n.value(word, valueFlags[word])
	case slices.Contains(pointlessFlags, word):
	case slices.Contains(ignoredFlags, word):
		n.addValue(flagIgnored, word)
	case n.glued(word):
	case !n.letters(word):
		return n.usage("unknown option %q", word)
	}
	return nil
}

// long passes a flag of a named command on.
func (n *normaliser) long(word string) error {
	if n.named == "" {
		return n.usage("unknown option %q", word)
	}
	if slices.Contains(ownValueFlags, word) {
		value, ok := n.take()
		if !ok {
			return n.usage("option %s needs a value", word)
		}
		word += "=" + value
	}
	n.out = append(n.out, word)
	return nil
}

// version rewrites -v, -vv and the like; nothing behind them counts.
func (n *normaliser) version(word string) {
	form := "first"
	switch {
	case strings.HasPrefix(word, "-vqs"):
		form = "short"
	case strings.HasPrefix(word, "-vqb"):
		form = "branch"
	case strings.HasPrefix(word, "-vq"):
		form = "bare"
	case strings.HasPrefix(word, "-vv"):
		form = "full"
	}
	n.mode = commandVersion
	n.question = "--" + flagForm + "=" + form
}

func (n *normaliser) condition() error {
	expression, ok := n.take()
	if !ok {
		return n.usage("option -cc needs a condition")
	}
	n.mode = commandCondition
	n.question = "--" + flagExpression + "=" + expression
	return nil
}

func (n *normaliser) value(word, flag string) error {
	value, ok := n.take()
	if !ok {
		return n.usage("option %s needs a value", word)
	}
	if slices.Contains(numberFlags, flag) {
		value = strconv.Itoa(leadingNumber(value))
	}
	n.addValue(flag, value)
	return nil
}

// pids takes every word up to the next flag.
func (n *normaliser) pids(word, flag string) error {
	for len(n.rest) > 0 && !strings.HasPrefix(n.rest[0], "-") {
		text, _ := n.take()
		pid, err := strconv.ParseInt(strings.TrimSpace(text), 10, 32)
		if err != nil || pid <= 0 {
			return n.usage("option %s: %q is no process id", word, text)
		}
		n.addValue(flag, strconv.FormatInt(pid, 10))
	}
	return nil
}

func (n *normaliser) glued(word string) bool {
	for _, flag := range gluedFlags {
		if !strings.HasPrefix(word, flag.prefix) {
			continue
		}
		if flag.prefix == "-dt" && len(n.rest) > 0 && !strings.HasPrefix(n.rest[0], "-") {
			n.take() // what to trace
		}
		if !flag.pointless {
			n.addValue(flagIgnored, flag.prefix)
		}
		return true
	}
	return false
}

// letters rewrites several one-letter flags behind one dash.
func (n *normaliser) letters(word string) bool {
	for i := 1; i < len(word); i++ {
		if _, known := letterFlags[word[i]]; !known {
			return false
		}
	}
	for i := 1; i < len(word); i++ {
		if word[i] != 'c' {
			n.add(letterFlags[word[i]])
			continue
		}
		if n.mode == "" {
			n.mode = commandCheck
			n.add(flagTerse)
		}
	}
	return true
}

// leadingNumber is the number that text begins with, or 0: "12x" is 12 and "abc" is 0.
func leadingNumber(text string) int {
	text = strings.TrimLeft(text, " \t\n\v\f\r")
	end := 0
	for end < len(text) && (text[end] >= '0' && text[end] <= '9' || end == 0 && (text[0] == '-' || text[0] == '+')) {
		end++
	}
	const limit = 1<<31 - 1
	number, err := strconv.ParseInt(text[:end], 10, 64)
	if err != nil && number == 0 {
		return 0 // no digits; out of range leaves the nearest number
	}
	return int(max(min(number, limit), -limit))
}
