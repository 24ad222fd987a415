package main

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"os/signal"
	"slices"
	"strings"
	"syscall"
	"time"
	"unicode"

	"github.com/urfave/cli/v2"
	"golang.org/x/term"

	"github.com/penstock/penstock/internal/top"
)

// socketVariable names the stats socket when no flag does.
const socketVariable = "PENSTOCK_SOCKET"

// ctlCommand talks to a stats socket: one command from the arguments, or many from a person or a script.
func ctlCommand(env *environment) *cli.Command {
	return &cli.Command{
		Name:      commandCtl,
		Usage:     "give commands to a running balancer",
		ArgsUsage: "[COMMAND]...",
		Description: "Without a command they are read from standard input, with history and completion on a terminal. A last\n" +
			"word << takes standard input as the command's payload. The exit code is 1 when a command was refused.",
		Flags: []cli.Flag{
			socketFlag(),
			toggle(flagJSON, "write answers as JSON"),
		},
		OnUsageError:    wrongUsage,
		HideHelpCommand: true, // help is a command of the socket
		Action: func(c *cli.Context) error {
			address, err := env.socket(c, commandCtl)
			if err != nil {
				return err
			}
			k := &ctl{env: env, address: address, json: c.Bool(flagJSON)}
			if c.NArg() > 0 {
				return k.once(strings.Join(c.Args().Slice(), " "))
			}
			return k.converse()
		},
	}
}

func socketFlag() cli.Flag {
	return &cli.StringFlag{Name: flagSocket, Aliases: []string{"s"}, Usage: "the stats socket: a `PATH` or host:port", DefaultText: "$" + socketVariable}
}

// socket is the stats socket that a command is for.
func (env *environment) socket(c *cli.Context, command string) (string, error) {
	address := c.String(flagSocket)
	if address == "" {
		address, _ = env.lookup(socketVariable)
	}
	if address == "" {
		return "", &usageError{Detail: "no socket given: --socket PATH, or " + socketVariable, Command: command}
	}
	return address, nil
}

// endpoint is an address as it is dialled.
func endpoint(address string) (network, to string) {
	if path, ok := strings.CutPrefix(address, "unix@"); ok || strings.HasPrefix(address, "/") || strings.HasPrefix(address, ".") {
		return "unix", path
	}
	return "tcp", address
}

// ctl is a client of one stats socket.
type ctl struct {
	env     *environment
	address string
	json    bool
	person  bool // somebody types
	refused bool // some command was
}

// ctlPatience bounds the wait for a connection.
const ctlPatience = 10 * time.Second

func (k *ctl) dial() (net.Conn, error) {
	network, address := endpoint(k.address)
	return net.DialTimeout(network, address, ctlPatience)
}

// marked makes the server say which messages are errors.
const marked = "set severity-output number"

// once gives one line of commands.
func (k *ctl) once(line string) error {
	conn, err := k.dial()
	if err != nil {
		return err
	}
	defer conn.Close()
	text := marked + ";" + line + "\n"
	if words := strings.Fields(line); len(words) > 0 && strings.HasPrefix(words[len(words)-1], "<<") && k.env.stdin != nil {
		payload, err := io.ReadAll(k.env.stdin)
		if err != nil {
			return fmt.Errorf("read payload: %w", err)
		}
		text += strings.TrimSuffix(string(payload), "\n") + "\n" + words[len(words)-1][2:] + "\n"
	}
	if _, err = io.WriteString(conn, text); err != nil {
		return fmt.Errorf("send command: %w", err)
	}
	if half, ok := conn.(interface{ CloseWrite() error }); ok {
		_ = half.CloseWrite() // a master takes lines until then
	}
	answer, err := io.ReadAll(conn)
	if err != nil {
		return fmt.Errorf("read answer: %w", err)
	}
	if len(answer) == 0 {
		return errors.New("the balancer closed the connection without an answer")
	}
	_, rest, _ := strings.Cut("\n"+string(answer), "\n\n") // a master does not know what marked says, and complains
	k.show(rest)
	return k.outcome()
}

func (k *ctl) outcome() error {
	if k.refused && !k.person {
		return exitCode(exitFailure)
	}
	return nil
}

// show writes an answer, and errors in it to standard error.
func (k *ctl) show(answer string) {
	answer = strings.TrimSuffix(answer, "\n") // the line that ends it
	var good strings.Builder
	unknown := false // the lines that follow say what there is instead
	for line := range strings.Lines(answer) {
		if said := strings.TrimPrefix(line, "[6]: "); strings.HasPrefix(said, "Unknown command") {
			line, unknown = said, true
		} else {
			unknown = unknown && strings.HasPrefix(line, "  ")
		}
		switch {
		case strings.HasPrefix(line, "[3]: "), unknown:
			k.refused = true
			fmt.Fprintln(k.env.stderr, strings.TrimSuffix(strings.TrimPrefix(line, "[3]: "), "\n"))
		case len(line) > 5 && line[0] == '[' && line[2:5] == "]: ":
			good.WriteString(line[5:])
		default:
			good.WriteString(line)
		}
	}
	if !k.json {
		_, _ = io.WriteString(k.env.stdout, good.String()) // who does not read does not want it
		return
	}
	if good.Len() == 0 && k.refused {
		return
	}
	encoder := json.NewEncoder(k.env.stdout)
	encoder.SetEscapeHTML(false)
	_ = encoder.Encode(answerJSON(good.String()))
}

// dialogue is a session that takes many lines. The prompt ends each answer.
type dialogue struct {
	conn net.Conn
	text bytes.Buffer
}

// errOver is the end of a session by the server.
var errOver = errors.New("the balancer closed the connection")

// ask sends a line and returns the answer. more says that the server waits for the rest of a payload.
func (d *dialogue) ask(line string) (answer string, more bool, err error) {
	if _, err = io.WriteString(d.conn, line+"\n"); err != nil {
		return "", false, errOver
	}
	d.text.Reset()
	buf := make([]byte, 16384)
	for {
		n, err := d.conn.Read(buf)
		d.text.Write(buf[:n])
		text := d.text.String()
		if rest, ok := cutPrompt(text); ok {
			return rest, false, nil
		}
		if text == "+ " {
			return "", true, nil
		}
		if err != nil {
			return text, false, errOver
		}
	}
}

// cutPrompt takes the prompt off an answer. A master's names the process that commands go to.
func cutPrompt(text string) (rest string, found bool) {
	head, ok := strings.CutSuffix(text, "> ")
	if !ok {
		return "", false
	}
	i := strings.LastIndexByte(head, '\n')
	if i < 0 || strings.ContainsFunc(head[i+1:], func(r rune) bool { return !unicode.IsLetter(r) && !unicode.IsDigit(r) }) {
		return "", false
	}
	return head[:i], true
}

// converse takes lines until the end of the input or of the session.
func (k *ctl) converse() error {
	conn, err := k.dial()
	if err != nil {
		return err
	}
	defer conn.Close()
	d := &dialogue{conn: conn}
	for _, line := range []string{"prompt", marked, "set timeout cli 1h"} {
		if _, _, err = d.ask(line); err != nil {
			return err
		}
	}
	lines, leave, err := k.input(d)
	if err != nil {
		return err
	}
	defer leave()
	for more := false; ; {
		line, err := lines(more)
		if err != nil { // the end of the input
			return k.outcome()
		}
		commands := []string{line}
		if !more {
			commands = splitCommands(line)
		}
		for _, command := range commands {
			var answer string
			answer, more, err = d.ask(command)
			if !more {
				k.show(answer + "\n")
			}
			switch {
			case err != nil && strings.TrimSpace(command) == "quit":
				return k.outcome()
			case err != nil:
				return err
			}
		}
	}
}

// splitCommands returns the commands of a line, which stand between semicolons. Each has an answer and a prompt of its own.
func splitCommands(line string) []string {
	var commands []string
	start := 0
	for i := 0; i < len(line); i++ {
		switch {
		case line[i] == '\\':
			i++
		case line[i] == ';':
			commands = append(commands, line[start:i])
			start = i + 1
		}
	}
	commands = append(commands, line[start:])
	return slices.DeleteFunc(commands, func(c string) bool { return strings.TrimSpace(c) == "" })
}

// input returns what reads the next line, and what is to be called at the end.
func (k *ctl) input(d *dialogue) (lines func(more bool) (string, error), leave func(), err error) {
	prompt := map[bool]string{false: programName + "> ", true: "+ "}
	file, isFile := k.env.stdin.(*os.File)
	onTerminal := isFile && term.IsTerminal(int(file.Fd()))
	k.person = onTerminal
	kind, _ := k.env.lookup("TERM")
	if !onTerminal || kind == "dumb" || kind == "" {
		in := k.env.stdin
		if in == nil {
			in = strings.NewReader("")
		}
		scanner := bufio.NewScanner(in)
		return func(more bool) (string, error) {
			if onTerminal {
				fmt.Fprint(k.env.stdout, prompt[more])
			}
			if !scanner.Scan() {
				return "", io.EOF
			}
			return scanner.Text(), nil
		}, func() {}, nil
	}
	help, _, err := d.ask("help")
	if err != nil {
		return nil, nil, err
	}
	before, err := term.MakeRaw(int(file.Fd()))
	if err != nil {
		return nil, nil, fmt.Errorf("use terminal: %w", err)
	}
	screen := term.NewTerminal(struct {
		io.Reader
		io.Writer
	}{file, k.env.stdout}, prompt[false])
	fit := func() {
		if width, height, err := term.GetSize(int(file.Fd())); err == nil {
			_ = screen.SetSize(width, height) // a wrong width only looks bad
		}
	}
	fit()
	restore := func() { _ = term.Restore(int(file.Fd()), before) }
	unheed := heed(fit, restore)
	past := openHistory(k.env.historyPath())
	screen.History = past
	known := newCompleter(help, func() []top.Row {
		answer, _, err := d.ask("show stat")
		if err != nil {
			return nil // the next command tells it
		}
		return top.ParseStat(answer)
	})
	screen.AutoCompleteCallback = func(line string, pos int, key rune) (string, int, bool) {
		if key != '\t' || pos != len(line) {
			return "", 0, false
		}
		completed, choices := known.complete(line)
		if completed == line && len(choices) > 1 {
			fmt.Fprintln(screen, strings.Join(choices, "\n"))
		}
		return completed, len(completed), true
	}
	k.env.stdout, k.env.stderr = screen, screen // it writes above the line that is being typed
	return func(more bool) (string, error) {
		screen.SetPrompt(prompt[more])
		past.paused = more
		return screen.ReadLine()
	}, func() { unheed(); restore() }, nil
}

// heed calls resized when the terminal has another size, and restore before a signal ends the program.
func heed(resized, restore func()) (unheed func()) {
	signals, over := make(chan os.Signal, 8), make(chan struct{})
	signal.Notify(signals, syscall.SIGWINCH, syscall.SIGTERM, syscall.SIGHUP, syscall.SIGINT, syscall.SIGQUIT)
	go func() {
		for {
			select {
			case <-over:
				return
			case s := <-signals:
				if s == syscall.SIGWINCH {
					resized()
					continue
				}
				restore()
				signal.Reset(s)
				_ = syscall.Kill(os.Getpid(), s.(syscall.Signal))
			}
		}
	}()
	return func() { signal.Stop(signals); close(over) }
}
