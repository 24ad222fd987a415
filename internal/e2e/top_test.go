package e2e

import (
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"syscall"
	"testing"

	"github.com/penstock/penstock/internal/testutil"
)

// A person at penstock top drains a server and ends a session, through a reload, and gets the terminal back; from a signal, too.
func TestTopOnTerminal(t *testing.T) {
	skipForeign(t, "it has no top")
	needHandover(t)
	tmux := testutil.Need(t, "tmux")
	server := testutil.Serve(t, testutil.Echo)
	port := testutil.FreePort(t)
	p := start(t, "listen l\n bind 127.0.0.1:{port}\n server s1 {server}\n", "port", port, "server", server.Addr)
	c := testutil.Dial(t, "tcp", testutil.Loopback(port))
	c.Send("hello")
	c.Expect("hello")
	script := testutil.WriteFile(t, p.dir, "script", text(`
stty -g >{dir}/before
{top}; echo "code $?"; stty -g >{dir}/after1
sh -c 'echo $$ >{dir}/pid.new; mv {dir}/pid.new {dir}/pid; exec {top}'; echo "code again $?"; stty -g >{dir}/after2
echo "the end"; cat
`, "dir", p.dir, "top", program.path+" top --interval 100ms --socket "+p.stats))
	run := terminal(t, tmux, p.dir, "env", "TERM=screen", "LC_ALL=C", "sh", script)
	shows := func(pattern string) {
		t.Helper()
		testutil.Eventually(t, pattern, func() bool { return regexp.MustCompile(pattern).MatchString(run("capture-pane", "-p")) })
	}
	press := func(keys string) { run("send-keys", keys) }
	shows(`(?m)^penstock .* process ` + strconv.Itoa(p.Pid) + `,`)
	press("4")
	shows(`(?m)^l/s1 +no check`)
	press("d")
	shows(`(?m)^drain l/s1\? \[y/N\]`)
	press("y")
	shows(`(?m)^l/s1 +DRAIN`)
	p.launch(nil, "-sf", strconv.Itoa(p.Pid))
	shows(`(?m)^penstock .* process ` + strconv.Itoa(p.Pid) + `,`)
	press("5")
	shows(`(?m)^0x\w+ .* 127\.0\.0\.1:` + strconv.Itoa(c.Port()) + ` +l +l/s1 +relay`)
	press("k")
	shows(`(?m)^shut down session 0x\w+ of 127\.0\.0\.1:\d+\? \[y/N\]`)
	press("y")
	c.ExpectClosed()
	shows(`(?m)^nothing$`)
	press("q")
	pid := 0
	testutil.Eventually(t, "it has begun again", func() bool {
		text, err := os.ReadFile(filepath.Join(p.dir, "pid"))
		if err == nil {
			pid, err = strconv.Atoi(strings.TrimSpace(string(text)))
		}
		return err == nil
	})
	shows(`(?m)^\[1 overview\]`)
	if err := syscall.Kill(pid, syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	shows(`(?ms)^code 0$.*^code again 0$.*^the end$`)
	var modes [3]string
	for i, name := range []string{"before", "after1", "after2"} {
		text, err := os.ReadFile(filepath.Join(p.dir, name))
		if err != nil {
			t.Fatal(err)
		}
		modes[i] = string(text)
	}
	if modes[0] == "" || modes[1] != modes[0] || modes[2] != modes[0] {
		t.Errorf("the terminal's modes before and after: %q", modes)
	}
}
