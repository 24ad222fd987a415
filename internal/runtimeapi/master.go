package runtimeapi

import (
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/penstock/penstock/netio"
)

// Master makes a server the command line of a master process. It has commands of its own, and passes on
// those for a worker: the text behind @1 (the current worker), @!PID (any worker) or @@ (with everything
// that follows, until the worker closes). A prefix without a command stays for the next ones. The
// functions are called by several sessions at once.
type Master struct {
	Processes func() (self Process, workers []Process) // workers: the newest first
	// Connect opens a connection to a worker's server. allowed is for its Attend.
	Connect func(pid int, allowed byte) (net.Conn, error)
	// Reload asks for new workers. client is a descriptor of the connection that waits for the outcome (see
	// Answer); it is Reload's, unless there is an error.
	Reload      func(client int, hard bool) error
	StartupLogs func() string // the messages of the last start or reload
}

// Process is one line of show proc.
type Process struct {
	Pid     int
	Reloads int // that it has seen
	Failed  int // of those, since the last that went well; of the master only
	Started time.Time
	Version string
	Former  bool // a worker that was replaced and finishes
	Link    int  // descriptor to it, -1 for none
}

// masterCommands is the table of a master. The last ones are shown with every list.
var masterCommands []command

func init() {
	masterCommands = []command{
		{words: []string{"@!<pid>"}, usage: "@!<pid>", help: "send a command to the process <pid>"},
		{words: []string{"@<relative pid>"}, usage: "@<relative pid>", help: "send a command to the current worker: @1"},
		{words: []string{"@master"}, usage: "@master", help: "send a command to the master"},
		{words: []string{"echo"}, usage: "echo <text>", help: "print the text", run: (*session).echo},
		{words: []string{"hard-reload"}, usage: "hard-reload", help: "start a new worker and terminate the old ones", level: LevelOperator, run: func(s *session, _ []string) { s.reload(true) }},
		{words: []string{"operator"}, usage: "operator", help: "lower the level of this session to operator", level: LevelOperator, run: (*session).operator},
		{words: []string{"reload"}, usage: "reload", help: "start a new worker and let the old one finish", level: LevelOperator, run: func(s *session, _ []string) { s.reload(false) }},
		{words: []string{"show", "cli", "level"}, usage: "show cli level", help: "show the level of this session", run: (*session).showLevel},
		{words: []string{"show", "cli", "sockets"}, usage: "show cli sockets", help: "list the sockets that take commands", run: (*session).showSockets},
		{words: []string{"show", "env"}, usage: "show env [var]", help: "show the environment of the process", level: LevelOperator, run: (*session).showEnv},
		{words: []string{"show", "proc"}, usage: "show proc [debug]", help: "show the master and its workers", run: (*session).showProc},
		{words: []string{"show", "startup-logs"}, usage: "show startup-logs", help: "show the messages of the last start or reload", run: (*session).showStartupLogs},
		{words: []string{"show", "version"}, usage: "show version", help: "show the version of the process", run: (*session).showVersion},
		{words: []string{"user"}, usage: "user", help: "lower the level of this session to user", run: (*session).user},
		{words: []string{"help"}, usage: "help [<command>]", help: "list the commands, or those that begin alike", run: (*session).help},
		{words: []string{"prompt"}, usage: "prompt [help | n | i | p | timed]*", help: "toggle the interactive mode with prompt", run: (*session).prompt},
		{words: []string{"quit"}, usage: "quit", help: "end the session", run: (*session).quit},
	}
}

// ownCommands concern the session with the master itself, whoever its commands go to.
var ownCommands = []string{"operator", "prompt", "quit", "user"}

// Attend serves one connection that a master accepted for this server, in its own goroutine. Closing the server
// does not end it: a worker that finishes answers its master until the end.
func (s *Server) Attend(conn net.Conn, allowed byte) {
	client := &session{server: s, level: min(Level(allowed), LevelAdmin), timeout: s.opt.Timeout}
	go client.talk(conn)
}

// direct obeys a command, or passes it on to the worker that it is for. answered says that no empty line is
// to follow: the worker has sent it, or the command only changed the session and has no answer.
func (s *session) direct(text string) (answered bool) {
	target, stream := s.target, false
	text = trimBlanks(text)
	if strings.HasPrefix(text, "@") {
		end := strings.IndexFunc(text, func(r rune) bool { return r < 128 && blank(byte(r)) })
		if end < 0 {
			end = len(text)
		}
		prefix, rest := text[:end], trimBlanks(text[end:])
		name := prefix[1:]
		name, stream = strings.CutPrefix(name, "@")
		var found bool
		if target, found = s.find(name); !found {
			s.fail(fmt.Sprintf("Can't find the target PID matching the prefix '%s'", prefix))
			return false
		}
		if rest == "" && !stream {
			s.target = target
			return true
		}
		text = rest
	}
	words := splitWords(text)
	switch {
	case target != 0 && stream:
		s.attach(target, text)
		return true
	case target != 0 && len(words) > 0 && !slices.Contains(ownCommands, words[0]):
		return s.forward(target, text)
	}
	before := s.answer.Len()
	s.obey(words)
	return len(words) > 0 && slices.Contains(ownCommands, words[0]) && s.answer.Len() == before
}

// find returns the process that a prefix names: 0 is the master.
func (s *session) find(name string) (pid int, found bool) {
	if name == "" || name == "master" {
		return 0, true
	}
	digits, byPid := strings.CutPrefix(name, "!")
	n, err := strconv.ParseUint(digits, 10, 31)
	if err != nil {
		return 0, false
	}
	if !byPid && n == 0 {
		return 0, true
	}
	_, workers := s.server.opt.Master.Processes()
	for _, w := range workers {
		if byPid && w.Pid == int(n) || !byPid && n == 1 && !w.Former {
			return w.Pid, true
		}
	}
	return 0, false
}

// connect opens a connection to a worker and hands out what was answered so far.
func (s *session) connect(pid int) net.Conn {
	conn, err := s.server.opt.Master.Connect(pid, byte(s.level))
	if err != nil {
		s.fail("Can't connect to the target CLI!")
		return nil
	}
	_ = s.send() // who is gone ends the session
	return conn
}

// forward lets a worker answer one command. Its answer ends with an empty line.
func (s *session) forward(pid int, text string) (answered bool) {
	conn := s.connect(pid)
	if conn == nil {
		return false
	}
	defer conn.Close()
	if err := s.payload.sendTo(conn, text); err != nil {
		s.fail("Can't connect to the target CLI!")
		return false
	}
	if _, err := io.Copy(s.conn, conn); err != nil {
		s.over = true // one of them is gone, and the answer is not whole
	}
	return true
}

// attach joins the client and a worker, until the worker closes.
func (s *session) attach(pid int, text string) {
	conn := s.connect(pid)
	if conn == nil {
		s.answer.WriteByte('\n')
		return
	}
	defer conn.Close()
	if text == "" {
		text = "prompt i"
	}
	if err := s.payload.sendTo(conn, text); err != nil {
		s.over = true
		return
	}
	sent := make(chan struct{})
	go func() {
		defer close(sent)
		_, _ = io.Copy(conn, s.in)
		if half, ok := conn.(interface{ CloseWrite() error }); ok {
			_ = half.CloseWrite()
		}
	}()
	_, err := io.Copy(s.conn, conn)
	// The sender waits for the client; a deadline in the past makes it let go.
	if s.conn.SetReadDeadline(time.Unix(1, 0)) != nil {
		s.conn.Close()
	}
	<-sent
	if s.conn.SetReadDeadline(time.Time{}) != nil || err != nil {
		s.over = true
	}
}

func (s *session) reload(hard bool) {
	if s.send() != nil {
		return
	}
	client, err := copyDescriptor(s.conn)
	if err == nil {
		if err = s.server.opt.Master.Reload(client, hard); err != nil {
			netio.Close(client)
		}
	}
	if err != nil {
		s.fail(err.Error())
		return
	}
	s.over, s.passedOn = true, true
}

func (s *session) showStartupLogs([]string) {
	source := s.server.opt.StartupLogs
	if master := s.server.opt.Master; master != nil {
		source = master.StartupLogs
	}
	if source == nil {
		return
	}
	if logs := source(); logs != "" {
		s.reply(logs)
	}
}

// showProc prints a line for each process; the columns are padded but for the last.
func (s *session) showProc(args []string) {
	debug := len(args) > 0 && args[0] == "debug"
	line := func(pid, kind, reloads, uptime, version, link string) {
		text := fmt.Sprintf("%-15s %-15s %-15s %-15s %-15s", pid, kind, reloads, uptime, version)
		if debug {
			text += fmt.Sprintf(" %-15s", link)
		}
		s.reply(text)
	}
	row := func(p *Process, kind, reloads string) {
		line(strconv.Itoa(p.Pid), kind, reloads, uptime(time.Since(p.Started)), p.Version, strconv.Itoa(p.Link))
	}
	self, workers := s.server.opt.Master.Processes()
	line("#<PID>", "<type>", "<reloads>", "<uptime>", "<version>", "<ipc_fd>")
	row(&self, "master", fmt.Sprintf("%d [failed: %d]", self.Reloads, self.Failed))
	s.reply("# workers")
	former := slices.Clone(workers)[:0]
	for i := range workers {
		if w := &workers[i]; w.Former {
			former = append(former, *w)
		} else {
			row(w, "worker", strconv.Itoa(w.Reloads))
		}
	}
	if len(former) > 0 || debug {
		s.reply("# old workers")
	}
	for i := range former {
		row(&former[i], "worker", strconv.Itoa(former[i].Reloads))
	}
}

// uptime is an age as show proc writes it.
func uptime(d time.Duration) string {
	up := max(d, 0) / time.Second
	return fmt.Sprintf("%dd%02dh%02dm%02ds", up/86400, up/3600%24, up/60%60, up%60)
}

// answerPatience bounds the wait for a client that does not read.
const answerPatience = 5 * time.Second

// Answer gives a client that Master.Reload kept the outcome and closes the descriptor. It may wait for some seconds.
func Answer(client int, success bool, logs string) error {
	file := os.NewFile(uintptr(client), "client")
	defer file.Close()
	conn, err := net.FileConn(file)
	if err != nil {
		return fmt.Errorf("use connection of client: %w", err)
	}
	defer conn.Close()
	if err = conn.SetDeadline(time.Now().Add(answerPatience)); err != nil {
		return err
	}
	verdict := "Success=0"
	if success {
		verdict = "Success=1"
	}
	if logs != "" && !strings.HasSuffix(logs, "\n") {
		logs += "\n"
	}
	if _, err = io.WriteString(conn, verdict+"\n--\n"+logs+"\n"); err != nil {
		return fmt.Errorf("answer client: %w", err)
	}
	leave(conn)
	return nil
}

// Keep returns copies of the listening descriptors, in the order of the addresses, for another life of
// this process: see Options.Sockets.
func (s *Server) Keep() ([]int, error) {
	var fds []int
	for _, e := range s.endpoints {
		fd, err := copyDescriptor(e.listener)
		if err != nil {
			return fds, fmt.Errorf("keep socket %s: %w", e.name, err)
		}
		fds = append(fds, fd)
	}
	return fds, nil
}

var errNoDescriptor = errors.New("it has no descriptor")
