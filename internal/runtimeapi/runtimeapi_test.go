package runtimeapi

import (
	"bytes"
	"fmt"
	"io"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/penstock/penstock/internal/config"
	"github.com/penstock/penstock/internal/stats"
	"github.com/penstock/penstock/internal/testutil"
	"github.com/penstock/penstock/netio"
)

func TestMain(m *testing.M) { os.Exit(testutil.Main(m)) }

var testOptions = Options{
	Version: "3.4.0-test",
	Info:    func() stats.Info { return stats.Info{Name: "HAProxy", Pid: 42} },
	Environ: []string{"HOME=/root", "EMPTY="},
}

func bindUnix(path string) *config.Bind {
	return &config.Bind{Addrs: []config.Address{{Kind: config.AddrUnix, Path: path}}, Level: "admin", Mode: 0o600, UID: -1, GID: -1}
}

func mustListen(tb testing.TB, opt Options, binds ...*config.Bind) *Server {
	tb.Helper()
	s, err := Listen(binds, opt)
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(s.Close)
	s.Serve()
	return s
}

func mustDial(tb testing.TB, s *Server) net.Conn {
	tb.Helper()
	addr := s.endpoints[0].listener.Addr()
	network, place := addr.Network(), addr.String()
	if path, named := strings.CutPrefix(s.endpoints[0].name, "unix@"); named {
		place = path // the listener itself remembers the name before the renaming
	}
	if name, abstract := strings.CutPrefix(s.endpoints[0].name, "abns@"); abstract {
		place = "@" + name + strings.Repeat("\x00", 107-len(name)) // as frontends bind it: padded to full length
	}
	conn, err := net.Dial(network, place)
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() { conn.Close() })
	if err := conn.SetDeadline(time.Now().Add(time.Minute)); err != nil {
		tb.Fatal(err)
	}
	return conn
}

// mustAsk sends text, closes the sending side and returns everything that comes back.
func mustAsk(tb testing.TB, conn net.Conn, text string) string {
	tb.Helper()
	if _, err := io.WriteString(conn, text); err != nil {
		tb.Fatal(err)
	}
	if err := conn.(interface{ CloseWrite() error }).CloseWrite(); err != nil {
		tb.Fatal(err)
	}
	answer, err := io.ReadAll(conn)
	if err != nil {
		tb.Fatalf("after %q: %v", answer, err)
	}
	return string(answer)
}

const generalHelp = "  help [<command>]                        : list the commands, or those that begin alike\n" +
	"  prompt [help | n | i | p | timed]*      : toggle the interactive mode with prompt\n" +
	"  quit                                    : end the session\n\n"

func TestProtocol(t *testing.T) {
	path := filepath.Join(t.TempDir(), "s")
	s := mustListen(t, testOptions, bindUnix(path))
	for _, test := range []struct{ send, want string }{
		{"show version\n", "3.4.0-test\n\n"},
		{"  show\tversion \r\n", "3.4.0-test\n\n"},
		{"show version;show cli level\n", "3.4.0-test\n\nadmin\n\n"},
		{"show version;\n", "3.4.0-test\n\n"},
		{"show version;;show cli level\n", "3.4.0-test\n\n\nadmin\n\n"},
		{"show version and more\n", "3.4.0-test\n\n"},
		{"echo a\\;b\\ \\\\c d\n", "a;b \\c d\n\n"},
		{"show version\nshow version\n", "3.4.0-test\n\n"},
		{"show version", ""},
		{"", ""},
		{"\n", "\n"},
		{"quit\n", ""},
		{"show version;quit;show version\n", "3.4.0-test\n\n"},
		{"prompt\nshow version\nquit\n", "\n> 3.4.0-test\n\n> "},
		{"prompt\n\nshow cli level\n", "\n> \n> admin\n\n> "},
		{"prompt i\nshow version\nshow version\n", "\n3.4.0-test\n\n3.4.0-test\n\n"},
		{"prompt p\nprompt n\nshow version\n", "\n> \n"},
		{"prompt\nprompt\nshow version\n", "\n> \n"},
		{"prompt x\n", "Unknown prompt mode, 'prompt help' lists them.\n\n"},
		{"prompt timed p\n", "\n[0:00:00:00]> "},
		{"show cli level;operator;show cli level;user;show cli level;operator;show cli level\n", "admin\n\n\noperator\n\n\nuser\n\nPermission denied\n\nuser\n\n"},
		{"user;show env\n", "\nPermission denied\n\n"},
		{"show env\n", "HOME=/root\nEMPTY=\n\n"},
		{"show env HOME;show env HOM\n", "HOME=/root\n\nVariable not found\n\n"},
		{"set timeout cli 5\n", "\n"},
		{"set timeout cli 5m;set timeout cli 100ms;set timeout cli\n", "\n\nExpects an integer value.\n\n"},
		{"set timeout cli 0\n", "Invalid timeout value.\n\n"},
		{"set timeout cli 99999999999\n", "Invalid timeout value.\n\n"},
		{"set timeout cli 2000000000d\n", "Invalid timeout value.\n\n"},
		{"set timeout cli 5x\n", "Invalid timeout value.\n\n"},
		{"set timeout client 5\n", "'set timeout' only supports 'cli'.\n\n"},
		{"set severity-output number;set timeout x\n", "\n[3]: 'set timeout' only supports 'cli'.\n\n"},
		{"set severity-output string;set timeout x\n", "\n[err]: 'set timeout' only supports 'cli'.\n\n"},
		{"set severity-output loud\n", "one of 'none', 'number', 'string' is a required argument\n\n"},
		{"show cli sockets\n", "# socket lvl processes\nunix@" + path + " admin all\n\n"},
		{"help show v\n", "The following commands are valid at this level:\n" +
			"  show version                            : show the version of the process\n" + generalHelp},
		{"show versoin\n", "Unknown command: 'show', but maybe one of the following ones is a better match:\n" +
			"  show cli level                          : show the level of this session\n" +
			"  show cli sockets                        : list the sockets that take commands\n" +
			"  show env [var]                          : show the environment of the process\n" +
			"  show info [desc|float|json|typed]*      : show the state of the process\n" +
			"  show version                            : show the version of the process\n" + generalHelp},
		{"eco x\n", "Unknown command: 'eco', but maybe one of the following ones is a better match:\n" +
			"  echo <text>                             : print the text\n" + generalHelp},
	} {
		if diff := cmp.Diff(test.want, mustAsk(t, mustDial(t, s), test.send)); diff != "" {
			t.Errorf("%q: %s", test.send, diff)
		}
	}
	unknown := mustAsk(t, mustDial(t, s), "frobnicate\n")
	if want := "Unknown command: 'frobnicate'. Please enter one of the following commands only:\n"; !strings.HasPrefix(unknown, want) {
		t.Errorf("unknown command: %q, want %q first", unknown, want)
	}
	if strings.Contains(unknown, "_getsocks") {
		t.Error("the list shows what is for programs")
	}
	if got, want := strings.Count(unknown, "\n"), len(commands)-1+2; got != want {
		t.Errorf("the list has %d lines, want %d", got, want)
	}
	info := mustAsk(t, mustDial(t, s), "show info\n")
	if !strings.HasPrefix(info, "Name: HAProxy\n") || !strings.Contains(info, "\nPid: 42\n") || !strings.HasSuffix(info, "\n\n") {
		t.Errorf("show info: %q", info)
	}
}

func TestLowLevelHidesCommands(t *testing.T) {
	b := bindUnix(filepath.Join(t.TempDir(), "s"))
	b.Level = "user"
	s := mustListen(t, testOptions, b)
	if got := mustAsk(t, mustDial(t, s), "help\n"); strings.Contains(got, "show env") {
		t.Errorf("a user is shown %q", got)
	}
	if diff := cmp.Diff("Permission denied\n\nuser\n\n", mustAsk(t, mustDial(t, s), "operator;show cli level\n")); diff != "" {
		t.Error(diff)
	}
}

func TestLineLimit(t *testing.T) {
	opt := testOptions
	opt.LineLimit = 64
	s := mustListen(t, opt, bindUnix(filepath.Join(t.TempDir(), "s")))
	longest := "echo " + strings.Repeat("x", 58) + "\n"
	if diff := cmp.Diff(longest[5:]+"\n", mustAsk(t, mustDial(t, s), longest)); diff != "" {
		t.Error(diff)
	}
	got := mustAsk(t, mustDial(t, s), "echo "+strings.Repeat("x", 100000)+"\n")
	if !strings.HasPrefix(got, "The command line is too big for the buffer size. ") || !strings.HasSuffix(got, "\n\n") {
		t.Errorf("a long line is answered %q", got)
	}
}

func TestTimeout(t *testing.T) {
	opt := testOptions
	opt.Timeout = 10 * time.Millisecond
	s := mustListen(t, opt, bindUnix(filepath.Join(t.TempDir(), "s")))
	conn := mustDial(t, s)
	if answer, err := io.ReadAll(conn); err != nil || len(answer) != 0 {
		t.Errorf("an idle session got %q, %v", answer, err)
	}
}

func TestMaxConn(t *testing.T) {
	opt := testOptions
	opt.MaxConn = 1
	s := mustListen(t, opt, bindUnix(filepath.Join(t.TempDir(), "s")))
	first := mustDial(t, s)
	if _, err := io.WriteString(first, "prompt\n"); err != nil {
		t.Fatal(err)
	}
	var prompt [3]byte
	if _, err := io.ReadFull(first, prompt[:]); err != nil {
		t.Fatal(err)
	}
	second := mustDial(t, s)
	if _, err := io.WriteString(second, "show version\n"); err != nil {
		t.Fatal(err)
	}
	if got := len(s.slots); got != 1 {
		t.Errorf("%d sessions at once", got)
	}
	first.Close()
	if answer, err := io.ReadAll(second); err != nil || string(answer) != "3.4.0-test\n\n" {
		t.Errorf("the waiting session got %q, %v", answer, err)
	}
}

func TestKindsOfSockets(t *testing.T) {
	inherited, err := net.Listen("tcp4", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	file, err := inherited.(*net.TCPListener).File()
	if err != nil {
		t.Fatal(err)
	}
	inherited.Close()
	fd, err := syscall.Dup(int(file.Fd()))
	if err != nil {
		t.Fatal(err)
	}
	file.Close()
	before, err := socketID(fd)
	if err != nil {
		t.Fatal(err)
	}
	loopback := netip.MustParseAddr("127.0.0.1")
	for _, test := range []struct {
		addr config.Address
		name string
	}{
		{config.Address{Kind: config.AddrUnix, Path: filepath.Join(t.TempDir(), "s")}, "unix@/"},
		{config.Address{Kind: config.AddrAbstract, Path: fmt.Sprintf("penstock-test-%d", os.Getpid())}, "abns@penstock-test-"},
		{config.Address{Kind: config.AddrTCP, IP: loopback}, "ipv4@127.0.0.1:0 "},
		{config.Address{Kind: config.AddrFD, FD: fd}, "fd@"},
	} {
		// The same inherited socket may be named twice.
		addrs := []config.Address{test.addr}
		if test.addr.Kind == config.AddrFD {
			addrs = append(addrs, test.addr)
		}
		s := mustListen(t, testOptions, &config.Bind{Addrs: addrs, Mode: -1, UID: -1, GID: -1})
		got := mustAsk(t, mustDial(t, s), "show cli sockets\n")
		if !strings.Contains(got, "\n"+test.name) || !strings.Contains(got, " operator all\n") {
			t.Errorf("%s: %q", test.name, got)
		}
	}
	if id, err := socketID(fd); err == nil && id == before {
		t.Errorf("the inherited descriptor stays open")
	}
}

func TestReleaseSparesOthers(t *testing.T) {
	file, err := os.Create(filepath.Join(t.TempDir(), "other"))
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	id, err := socketID(int(file.Fd()))
	if err != nil {
		t.Fatal(err)
	}
	release([]*endpoint{{inherited: -1}, {inherited: int(file.Fd()), inheritedID: id + 1}})
	if _, err := file.Stat(); err != nil {
		t.Errorf("a descriptor that became something else was closed: %v", err)
	}
}

func TestUnixFile(t *testing.T) {
	path := filepath.Join(t.TempDir(), "s")
	if err := os.WriteFile(path, []byte("old"), 0o600); err != nil {
		t.Fatal(err)
	}
	b := bindUnix(path)
	b.Mode = 0o620
	first := mustListen(t, testOptions, b)
	info, err := os.Stat(path)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(os.ModeSocket|0o620, info.Mode()); diff != "" {
		t.Error(diff)
	}
	second := mustListen(t, testOptions, b)
	first.Close()
	if diff := cmp.Diff("3.4.0-test\n\n", mustAsk(t, mustDial(t, second), "show version\n")); diff != "" {
		t.Errorf("the successor's socket: %s", diff)
	}
	second.Close()
	left, err := os.ReadDir(filepath.Dir(path))
	if err != nil || len(left) != 1 {
		t.Errorf("left in the directory: %v, %v", left, err)
	}
}

func TestListenNamesEveryFailure(t *testing.T) {
	taken, err := net.Listen("tcp4", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer taken.Close()
	port := taken.Addr().(*net.TCPAddr).Port
	good := filepath.Join(t.TempDir(), "good")
	_, err = Listen([]*config.Bind{
		bindUnix(good),
		{Pos: config.Pos{File: "a.cfg", Line: 3}, Addrs: []config.Address{{Kind: config.AddrTCP, IP: netip.MustParseAddr("127.0.0.1"), Port: port}}},
		{Pos: config.Pos{File: "a.cfg", Line: 4}, Addrs: []config.Address{{Kind: config.AddrUnix, Path: "/nonexistent/dir/s"}}, Mode: -1, UID: -1, GID: -1},
	}, testOptions)
	if err == nil {
		t.Fatal("no error")
	}
	want := fmt.Sprintf("Binding [a.cfg:3] for frontend GLOBAL: protocol tcpv4: cannot bind socket (Address already in use) for [127.0.0.1:%d].\n", port) +
		"Binding [a.cfg:4] for frontend GLOBAL: protocol unix_stream: cannot bind UNIX socket (No such file or directory) for [/nonexistent/dir/s]."
	if diff := cmp.Diff(want, err.Error()); diff != "" {
		t.Error(diff)
	}
	if conn, err := net.Dial("unix", good); err == nil {
		conn.Close()
		t.Error("the good socket stays open")
	}
}

func TestSplitLine(t *testing.T) {
	for line, want := range map[string][][]string{
		"":                  {nil},
		" \t ":              {nil},
		";":                 {nil},
		"a;;b":              {{"a"}, nil, {"b"}},
		"a b;c":             {{"a", "b"}, {"c"}},
		`a\ b\;c \\ d`:      {{"a b;c", `\`, "d"}},
		`a\`:                {{`a\`}},
		`\a`:                {{"a"}},
		"a;":                {{"a"}},
		"a ; ":              {{"a"}},
		"\x00\xff a\r":      {{"\x00\xff", "a"}},
		`set\	x`:            {{"set\tx"}},
		`show version \  x`: {{"show", "version", " ", "x"}},
	} {
		var got [][]string
		for _, command := range splitLine(line) {
			got = append(got, splitWords(command))
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("%q: %s", line, diff)
		}
	}
}

// script is a client that has sent all it will send.
type script struct {
	net.Conn
	in  strings.Reader
	out bytes.Buffer
}

func (c *script) Read(p []byte) (int, error)       { return c.in.Read(p) }
func (c *script) Write(p []byte) (int, error)      { return c.out.Write(p) }
func (c *script) SetReadDeadline(time.Time) error  { return nil }
func (c *script) SetWriteDeadline(time.Time) error { return nil }
func (c *script) Close() error                     { return nil }

func FuzzCommandLine(f *testing.F) {
	for _, seed := range []string{
		"", "show info", "show version;show cli level", "a\\", "\\;", "prompt timed p;;", "help show", "set timeout cli 1d",
		"user;show env HOME", "quit;x", "\x00\x01\xff;\\\x00", strings.Repeat("x ", 200), strings.Repeat(";", 100),
		"prompt\nshow version <<\na\n\nshow version", "prompt i\nthing <<E\n\nE\nthing <<", "thing <<" + strings.Repeat("x", 70), "thing <<\n" + strings.Repeat("x", 20000),
		"expert-mode on;experimental-mode", "prompt\nthing <<\n" + strings.Repeat("xxxxxxxx\n", 16000),
	} {
		f.Add(seed)
	}
	opt := testOptions
	opt.LineLimit = defaultLineLimit
	opt.Commands = []Command{{Words: []string{"thing"}, Usage: "thing", Run: func(r *Request) { r.Reply("%d", len(r.Payload)) }}}
	server := &Server{table: withOthers(commands, opt.Commands), opt: opt, started: time.Now()}
	f.Fuzz(func(t *testing.T, text string) {
		client := &script{in: *strings.NewReader(text + "\n")}
		s := &session{server: server, level: LevelOperator, timeout: time.Second}
		s.talk(client)
		if s.level > LevelOperator {
			t.Errorf("%q raised the level", text)
		}
		if s.timeout <= 0 {
			t.Errorf("%q made the timeout %v", text, s.timeout)
		}
		answer := client.out.String()
		switch last := answer[max(len(answer)-2, 0):]; {
		case answer == "":
			if !s.over && !strings.Contains(text, payloadMark) {
				t.Errorf("%q is not answered", text)
			}
		case !strings.HasSuffix(last, "\n") && last != "> " && last != "+ ":
			t.Errorf("%q is answered %q", text, answer)
		}
		if most := 4096 + 4096*(strings.Count(text, ";")+strings.Count(text, "\n")+1) + len(text); len(answer) > most {
			t.Errorf("%d bytes are answered with %d", len(text), len(answer))
		}
	})
}

// The listening sockets go to clients of sockets that expose them, and others get nothing.
func TestGetSockets(t *testing.T) {
	opt := testOptions
	opt.PassSockets = func(conn *net.UnixConn) error {
		_, err := io.WriteString(conn, "sockets")
		return err
	}
	dir := t.TempDir()
	exposing := bindUnix(filepath.Join(dir, "exposing"))
	exposing.ExposeFD, exposing.Level = true, "user"
	remote := &config.Bind{Addrs: []config.Address{{Kind: config.AddrTCP, IP: netip.MustParseAddr("127.0.0.1")}}, Level: "admin", ExposeFD: true}
	for _, test := range []struct {
		name       string
		bind       *config.Bind
		send, want string
	}{
		{"exposing", exposing, "_getsocks\n", "sockets"},
		{"exposing, behind another", exposing, "show cli level;_getsocks;show version\n", "user\n\nsockets"},
		{"not exposing", bindUnix(filepath.Join(dir, "other")), "_getsocks\n", ""},
		{"remote", remote, "_getsocks\n", ""},
	} {
		t.Run(test.name, func(t *testing.T) {
			s := mustListen(t, opt, test.bind)
			if got := mustAsk(t, mustDial(t, s), test.send); got != test.want {
				t.Errorf("answer %q, want %q", got, test.want)
			}
			for _, own := range s.Sockets() {
				netio.Close(own.FD)
			}
			s.Close()
		})
	}
}

// Before it publishes, a server takes no client from another one; an abstract socket, which exists once, it can
// only inherit.
func TestOpenDisturbsNobody(t *testing.T) {
	path := filepath.Join(t.TempDir(), "s")
	abstract := &config.Bind{Addrs: []config.Address{{Kind: config.AddrAbstract, Path: fmt.Sprintf("penstock-open-%d", os.Getpid())}}, Level: "user"}
	first := mustListen(t, testOptions, abstract, bindUnix(path))
	if _, err := Open([]*config.Bind{bindUnix(path), abstract}, testOptions); err == nil {
		t.Fatal("took an address that is in use")
	}
	var fds []int
	for _, s := range first.Sockets() {
		defer netio.Close(s.FD)
		fds = append(fds, s.FD)
	}
	opt := testOptions
	opt.Version, opt.Inherited = "second", fds
	second, err := Open([]*config.Bind{abstract, bindUnix(path)}, opt)
	if err != nil {
		t.Fatal(err)
	}
	ask := func(network, addr string) string {
		conn, err := net.Dial(network, addr)
		if err != nil {
			t.Fatal(err)
		}
		defer conn.Close()
		return mustAsk(t, conn, "show version\n")
	}
	if got := ask("unix", path); got != testOptions.Version+"\n\n" {
		t.Errorf("the first server answers %q", got)
	}
	if err := second.Publish(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(second.Close)
	second.Serve()
	if got := ask("unix", path); got != "second\n\n" {
		t.Errorf("the second server answers %q", got)
	}
	first.Close()
	if got := mustAsk(t, mustDial(t, second), "show version\n"); got != "second\n\n" {
		t.Errorf("the second server answers %q at the abstract name", got)
	}

	third, err := Open([]*config.Bind{bindUnix(path)}, testOptions)
	if err != nil {
		t.Fatal(err)
	}
	third.Close()
	if files, err := os.ReadDir(filepath.Dir(path)); err != nil || len(files) != 1 {
		t.Errorf("files left behind: %v, %v", files, err)
	}
	if got := ask("unix", path); got != "second\n\n" {
		t.Errorf("the second server answers %q", got)
	}
}

// Commands of others stand in the table where their words belong, and the one with most words is meant.
func TestCommandsOfOthers(t *testing.T) {
	opt := testOptions
	run := func(name string) func(*Request) {
		return func(r *Request) {
			r.Reply("%s %q as %v", name, r.Args, r.Level())
			if len(r.Args) > 0 && r.Args[0] == "wrong" {
				r.Fail("no such %s", name)
			}
		}
	}
	opt.Commands = []Command{
		{Words: []string{"show", "thing"}, Usage: "show thing [name]", Help: "show a thing", Run: run("thing")},
		{Words: []string{"show", "thing", "all"}, Usage: "show thing all", Help: "show all", Level: LevelOperator, Run: run("all")},
		{Words: []string{"set", "thing"}, Usage: "set thing <name>", Help: "change a thing", Level: LevelAdmin, Run: run("set")},
	}
	s := mustListen(t, opt, &config.Bind{Addrs: []config.Address{{Kind: config.AddrUnix, Path: filepath.Join(t.TempDir(), "s")}}, Level: "operator", Mode: -1, UID: -1, GID: -1})
	for line, want := range map[string]string{
		"show thing a b":   "thing [\"a\" \"b\"] as operator\n\n",
		"show thing all b": "all [\"b\"] as operator\n\n",
		"set thing x":      "Permission denied\n\n",
		"set severity-output number;show thing wrong": "\nthing [\"wrong\"] as operator\n[3]: no such thing\n\n",
		"user;show thing all":                         "\nPermission denied\n\n",
		"help show thing": "The following commands are valid at this level:\n  show thing [name]                       : show a thing\n" +
			"  show thing all                          : show all\n" + generalHelp,
	} {
		if diff := cmp.Diff(want, mustAsk(t, mustDial(t, s), line+"\n")); diff != "" {
			t.Errorf("%q: %s", line, diff)
		}
	}
}
