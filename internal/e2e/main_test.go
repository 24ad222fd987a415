package e2e

import (
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/penstock/penstock/internal/testutil"
)

// program is what the tests drive.
var program struct {
	path    string
	foreign bool // not Penstock: it may lack what Penstock adds or does differently
}

// programVariable names the program to drive instead of Penstock.
const programVariable = "PENSTOCK_PROGRAM"

func TestMain(m *testing.M) {
	os.Exit(run(m))
}

func run(m *testing.M) int {
	if path := os.Getenv(programVariable); path != "" {
		program.path, program.foreign = path, true
		return testutil.Main(m)
	}
	dir, err := os.MkdirTemp("", "penstock-e2e")
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	defer os.RemoveAll(dir)
	// Tests give up root and change the root directory, and the program's file must stay reachable.
	if err := os.Chmod(dir, 0o755); err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	program.path = filepath.Join(dir, "penstock")
	args := []string{"build", "-o", program.path}
	if raceEnabled {
		args = append(args, "-race")
	}
	build := exec.Command("go", append(args, "github.com/penstock/penstock/cmd/penstock")...)
	if out, err := build.CombinedOutput(); err != nil {
		fmt.Fprintf(os.Stderr, "%v: %v\n%s", build.Args, err, out)
		return 1
	}
	return testutil.Main(m)
}

// seeProgram looks at every file that the program is built from. The go command keeps a test's
// result for as long as the variables and files that it looked at are the same, and it cannot know
// what a program that the tests built depends on.
var seeProgram = sync.OnceValue(func() error {
	if os.Getenv(programVariable) != "" {
		_, err := os.Stat(program.path)
		return err
	}
	const files = `{{if not .Standard}}{{$dir := .Dir}}{{range .GoFiles}}{{$dir}}/{{.}}{{"\n"}}{{end}}{{range .EmbedFiles}}{{$dir}}/{{.}}{{"\n"}}{{end}}{{end}}`
	list, err := exec.Command("go", "list", "-deps", "-f", files, "github.com/penstock/penstock/cmd/penstock").Output()
	if err != nil {
		return fmt.Errorf("list the program's files: %w", err)
	}
	for _, file := range strings.Fields(string(list)) {
		if _, err := os.Stat(file); err != nil {
			return err
		}
	}
	return nil
})

// skipForeign skips a case that a program other than Penstock does differently.
func skipForeign(tb testing.TB, why string) {
	tb.Helper()
	if program.foreign {
		tb.Skipf("%s: %s", filepath.Base(program.path), why)
	}
}

// proxy is a running program.
type proxy struct {
	*testutil.Process
	tb    testing.TB
	path  string // of the program
	dir   string
	cfg   string   // path of the configuration file
	stats string   // path of the stats socket
	env   []string // added to the environment
	log   *testutil.Syslog
}

// text fills the {name} places of a configuration with values given as pairs.
func text(template string, pairs ...any) string {
	words := make([]string, len(pairs))
	for i, word := range pairs {
		words[i] = fmt.Sprint(word)
		if i%2 == 0 {
			words[i] = "{" + words[i] + "}"
		}
	}
	return strings.NewReplacer(words...).Replace(template)
}

// preset comes before each test's own configuration, which overrides what it repeats.
const preset = `global
    stats socket {stats} level admin mode 666
    log {log} local0
    nbthread 1
defaults
    mode tcp
    balance roundrobin
    log global
    option tcplog
    timeout connect 20s
    timeout client 60s
    timeout server 60s
`

// prepare writes the configuration of a program without starting it.
func prepare(tb testing.TB, sections string, pairs ...any) *proxy {
	tb.Helper()
	if err := seeProgram(); err != nil {
		tb.Fatal(err)
	}
	p := &proxy{tb: tb, path: program.path, dir: testutil.TempDir(tb), log: testutil.ListenSyslog(tb)}
	p.stats = filepath.Join(p.dir, "stats.sock")
	pairs = append(pairs, "stats", p.stats, "log", p.log.Addr, "dir", p.dir)
	p.cfg = testutil.WriteFile(tb, p.dir, "haproxy.cfg", text(preset+sections, pairs...)+"\n")
	return p
}

// start starts the program in the foreground on a configuration, in which the {name} places are
// filled from pairs, and returns when it is at work.
func start(tb testing.TB, sections string, pairs ...any) *proxy {
	tb.Helper()
	p := prepare(tb, sections, pairs...)
	p.launch(nil)
	return p
}

// command returns the command that starts the program in the foreground.
func (p *proxy) command(args ...string) *exec.Cmd {
	cmd := exec.Command(p.path, append([]string{"-db", "-f", p.cfg}, args...)...)
	cmd.Dir = p.dir
	cmd.Env = append(os.Environ(), p.env...)
	return cmd
}

// launch starts the program with inherited descriptors 3 and up, and waits until it is at work.
func (p *proxy) launch(inherited []*os.File, args ...string) {
	p.tb.Helper()
	cmd := p.command(args...)
	cmd.ExtraFiles = inherited
	p.run(cmd)
}

// launchLimited starts the program with a limit on its descriptors.
func (p *proxy) launchLimited(descriptors int) {
	p.tb.Helper()
	shell := exec.Command("/bin/sh", "-c", fmt.Sprintf(`ulimit -n %d; exec "$@"`, descriptors), "sh")
	shell.Args = append(shell.Args, p.command().Args...)
	shell.Dir = p.dir
	p.run(shell)
}

// run starts cmd and waits until the program answers on its stats socket, which it does only once
// everything is bound and its loop runs.
func (p *proxy) run(cmd *exec.Cmd) {
	p.tb.Helper()
	p.Process = testutil.Start(p.tb, cmd)
	testutil.Eventually(p.tb, "the program is at work", func() bool {
		if p.Exited() {
			p.tb.Fatalf("the program ended at once:\n%s%s", p.Stdout, p.Stderr)
		}
		info, err := p.ask("show info")
		return err == nil && strings.Contains(info, "Pid:")
	})
}

// ask sends one command to the stats socket and returns the answer.
func (p *proxy) ask(command string) (string, error) {
	c, err := net.Dial("unix", p.stats)
	if err != nil {
		return "", err
	}
	defer c.Close()
	c.SetDeadline(time.Now().Add(testutil.Deadline))
	if _, err := fmt.Fprintln(c, command); err != nil {
		return "", err
	}
	answer, err := io.ReadAll(c) // the program closes after its answer
	if errors.Is(err, os.ErrDeadlineExceeded) {
		return "", err
	}
	return string(answer), nil
}

// dial connects to a port of 127.0.0.1.
func dial(tb testing.TB, port int) *testutil.Conn {
	tb.Helper()
	return testutil.Dial(tb, "tcp", testutil.Loopback(port))
}

// refused tells whether nobody listens on a port of 127.0.0.1.
func refused(port int) bool {
	c, err := net.Dial("tcp", testutil.Loopback(port))
	if err != nil {
		return errors.Is(err, syscall.ECONNREFUSED)
	}
	c.Close()
	return false
}

// logged waits for the tcplog line of a client's session: it must match pattern, which begins with
// the frontend's name. The client is told by its port, so that sessions cannot be mixed up.
func (p *proxy) logged(client *testutil.Conn, pattern string) []string {
	p.tb.Helper()
	line := p.log.WaitLine(p.tb, fmt.Sprintf(`127\.0\.0\.1:%d \[[^]]*\] (.*)\n`, client.Port()))[1]
	return mustMatch(p.tb, "log line", line, "^"+pattern+"$")
}

// waitInfo waits until a field of "show info" has a value.
func (p *proxy) waitInfo(tb testing.TB, field string, value int) {
	tb.Helper()
	want := fmt.Sprintf("\n%s: %d\n", field, value)
	testutil.Eventually(tb, "show info has"+want, func() bool {
		info, err := p.ask("show info")
		return err == nil && strings.Contains(info, want)
	})
}
