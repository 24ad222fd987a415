package e2e

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/penstock/penstock/internal/testutil"
)

// Every mistake of a file is reported in one run, and nothing is started.
func TestWrongConfigurations(t *testing.T) {
	t.Parallel()
	port := testutil.FreePort(t)
	for _, args := range [][]string{{"-c"}, {"-db"}} {
		t.Run(args[0], func(t *testing.T) {
			t.Parallel()
			dir := testutil.TempDir(t)
			cfg := testutil.WriteFile(t, dir, "wrong.cfg", text(`listen good
    bind 127.0.0.1:{port}
    server s1 127.0.0.1:1
listen bad
    bind 127.0.0.1
    timeout client 1.5s
    server s1 127.0.0.1:1 weigth 5
    bogus keyword
    server s1 127.0.0.1:70000
`, "port", port))
			cmd := exec.Command(program.path, append(args, "-f", cfg)...)
			cmd.Dir = dir
			_, stderr := testutil.Run(t, 1, cmd)
			for _, line := range []int{5, 6, 7, 8, 9} {
				mustMatch(t, "stderr", stderr, fmt.Sprintf(`(?m)^\[ALERT\] +\(\d+\) : .*\[%s:%d\]`, cfg, line))
			}
			mustMatch(t, "stderr", stderr, `(?m)^\[ALERT\] +\(\d+\) : config : Error\(s\) found in configuration file : `+cfg)
			if !refused(port) {
				t.Error("the good proxy was started")
			}
		})
	}
}

func TestConfigurationChecks(t *testing.T) {
	t.Parallel()
	good := `defaults
    mode tcp
    timeout connect 1s
    timeout client 1s
    timeout server 1s
listen l
    bind 127.0.0.1:{port}
    server s1 127.0.0.1:1
`
	unterminated := 0 // a warning
	if program.foreign {
		unterminated = 1 // an error
	}
	for _, test := range []struct {
		name   string
		cfg    string
		args   []string
		code   int
		stdout string
		stderr string
	}{
		{name: "valid", cfg: good, args: []string{"-c", "-V"}, stdout: `Configuration file is valid`},
		{
			name: "missing timeouts warn", cfg: "listen l\n    bind 127.0.0.1:{port}\n    server s1 127.0.0.1:1\n", args: []string{"-c"},
			stdout: `Warnings were found`, stderr: `(?m)^\[WARNING\] +\(\d+\) : .*missing timeouts for proxy 'l'`,
		},
		{name: "zero warning", cfg: "listen l\n    bind 127.0.0.1:{port}\n    server s1 127.0.0.1:1\n", args: []string{"-c", "-dW"}, code: 1},
		{name: "no LF at the end", cfg: strings.TrimSuffix(good, "\n"), args: []string{"-c"}, code: unterminated, stderr: `:8\]: Missing LF on last line`},
		{
			name: "unknown default_backend", cfg: "frontend f\n    bind 127.0.0.1:{port}\n    default_backend nosuch\n", args: []string{"-c"}, code: 1,
			stderr: `unable to find required default_backend: 'nosuch'`,
		},
		{name: "two servers of one name", cfg: good + "    server s1 127.0.0.1:2\n", args: []string{"-c"}, code: 1, stderr: `another server named 's1' was already defined at line 8`},
		{name: "no frontend", cfg: "backend b\n    server s1 127.0.0.1:1\n", args: []string{"-db"}, code: 1},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			dir := testutil.TempDir(t)
			cfg := testutil.WriteFile(t, dir, "check.cfg", text(test.cfg, "port", testutil.FreePort(t)))
			stdout, stderr := testutil.Run(t, test.code, exec.Command(program.path, append(test.args, "-f", cfg)...))
			mustMatch(t, "stdout", stdout, test.stdout)
			mustMatch(t, "stderr", stderr, test.stderr)
		})
	}
}

func TestConfigurationFiles(t *testing.T) {
	t.Parallel()
	dir := testutil.TempDir(t)
	server := testutil.Serve(t, testutil.Echo)
	port := testutil.FreePort(t)
	testutil.WriteFile(t, dir, "10-defaults.cfg", "defaults\n    mode tcp\n    timeout connect 20s\n    timeout client 60s\n    timeout server 60s\n")
	testutil.WriteFile(t, dir, "20-proxy.cfg", text("listen l\n    bind 127.0.0.1:{port}\n    server s1 {s1}\n", "port", port, "s1", server.Addr))
	testutil.WriteFile(t, dir, ".hidden.cfg", "rubbish\n")
	testutil.WriteFile(t, dir, "notes.txt", "rubbish\n")
	testutil.Start(t, exec.Command(program.path, "-db", "-f", dir))
	testutil.Eventually(t, "the files of a folder are loaded", func() bool { return !refused(port) })
	oneSession(t, port)
}

func TestMissingFile(t *testing.T) {
	t.Parallel()
	_, stderr := testutil.Run(t, 1, exec.Command(program.path, "-db", "-f", filepath.Join(testutil.TempDir(t), "nosuchfile")))
	mustMatch(t, "stderr", stderr, `Cannot open configuration file/directory \S*nosuchfile : No such file or directory`)
}

// An address that somebody else has ends the start and names the line.
func TestAddressInUse(t *testing.T) {
	t.Parallel()
	held := testutil.HoldPort(t)
	free := testutil.FreePort(t)
	p := prepare(t, `
listen taken
    bind 127.0.0.1:{free}
    bind 127.0.0.1:{held} name second
    server s1 127.0.0.1:1
`, "held", held, "free", free)
	cmd := p.command()
	_, stderr := testutil.Run(t, 1, cmd)
	config, err := os.ReadFile(p.cfg)
	if err != nil {
		t.Fatal(err)
	}
	before, _, _ := strings.Cut(string(config), "name second")
	mustMatch(t, "stderr", stderr, fmt.Sprintf(`\[ALERT\] +\(\d+\) : Binding \[%s:%d\] for proxy taken: .*cannot bind socket \(Address already in use\) for \[127\.0\.0\.1:%d\]`,
		p.cfg, 1+strings.Count(before, "\n"), held))
	if !refused(free) {
		t.Error("the other address is served")
	}
}

func TestUnknownFlag(t *testing.T) {
	t.Parallel()
	_, stderr := testutil.Run(t, 1, exec.Command(program.path, "--no-such-flag"))
	mustMatch(t, "stderr", stderr, `(?i)usage`)
}

func TestVersion(t *testing.T) {
	t.Parallel()
	stdout, _ := testutil.Run(t, 0, exec.Command(program.path, "-v"))
	mustMatch(t, "stdout", stdout, `HAProxy version \d+\.\d+`)
	stdout, _ = testutil.Run(t, 0, exec.Command(program.path, "-vv"))
	mustMatch(t, "stdout", stdout, `HAProxy version \d+\.\d+`)
	mustMatch(t, "stdout", stdout, `TARGET += linux-glibc`)
}
