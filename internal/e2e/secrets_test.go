package e2e

import (
	"fmt"
	"io"
	"os"
	"os/exec"
	"strings"
	"testing"

	"github.com/penstock/penstock/internal/testutil"
)

// The password of a check is nowhere to be seen: not on the stats socket, in the logs, in the arguments of the process,
// or in what a reload hands over.
func TestCheckPasswordIsNotTold(t *testing.T) {
	t.Parallel()
	skipForeign(t, "has no checks of the role")
	const secret = "n0t-to-be-t0ld"
	server := testutil.Serve(t, func(c *testutil.Conn) { io.WriteString(c.Conn, "-ERR I was told "+secret+"\r\n") })
	port := testutil.FreePort(t)
	p := prepare(t, `listen l
    bind 127.0.0.1:{port}
    option redis-check role master password-env CHECK_PASSWORD
    option log-health-checks
    timeout check 20s
    server s {server} check inter 50ms
`, "port", port, "server", server.Addr)
	p.env = []string{"CHECK_PASSWORD=" + secret}
	p.launch(nil)
	p.log.WaitLine(t, `Health check for server l/s failed, reason: Layer7 wrong status, code: 0, info: "ERR I was told \*\*\*"`)
	all, err := p.ask("show env;show env CHECK_PASSWORD;show info;show stat;show servers state;show errors;help")
	if err != nil {
		t.Fatal(err)
	}
	mustMatch(t, "show env", all, `(?m)^CHECK_PASSWORD=\*\*\*$`)
	told := all + strings.Join(p.log.Lines(), "") + p.Stdout.String() + p.Stderr.String()
	for _, file := range []string{fmt.Sprintf("/proc/%d/cmdline", p.Pid), p.cfg} {
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		told += string(text)
	}
	check := exec.Command(program.path, "-c", "-V", "-f", p.cfg)
	check.Env = append(os.Environ(), p.env...)
	stdout, stderr := testutil.Run(t, 0, check)
	if strings.Contains(told+stdout+stderr, secret) {
		t.Errorf("the password is told:\n%s%s%s", told, stdout, stderr)
	}
	_, stderr = testutil.Run(t, 1, exec.Command(program.path, "-c", "-f", p.cfg))
	mustMatch(t, "a check without the variable", stderr, `proxy 'l' : password of the check: the variable CHECK_PASSWORD is not set`)
}
