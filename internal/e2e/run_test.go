package e2e

import (
	"os/exec"
	"testing"

	"github.com/penstock/penstock/internal/testutil"
)

// penstock run needs no file: addresses on its command line are enough.
func TestRunWithoutFile(t *testing.T) {
	t.Parallel()
	skipForeign(t, "has no commands by name")
	servers := greeters(t, 2)
	port := testutil.FreePort(t)
	p := testutil.Start(t, exec.Command(program.path, "run", "--listen", testutil.Loopback(port),
		"--to", servers[0].Addr+","+servers[1].Addr))
	testutil.Eventually(t, "the program listens", func() bool {
		if p.Exited() {
			t.Fatalf("the program ended: %s%s", p.Stdout, p.Stderr)
		}
		return !refused(port)
	})
	reached := map[string]int{}
	for range 10 {
		c, server := greeted(t, port)
		reached[server]++
		c.Close()
	}
	if reached["1"] == 0 || reached["2"] == 0 {
		t.Errorf("10 sessions reached %v, want both servers", reached)
	}
}

// penstock check finds every mistake, for people and for programs.
func TestCheckCommand(t *testing.T) {
	t.Parallel()
	skipForeign(t, "has no commands by name")
	dir := testutil.TempDir(t)
	cfg := testutil.WriteFile(t, dir, "wrong.cfg", "listen l\n    bind 127.0.0.1\n    blance roundrobin\n")
	stdout, stderr := testutil.Run(t, 1, exec.Command(program.path, "check", cfg))
	for _, line := range []string{":2", ":3"} {
		mustMatch(t, "the diagnostics", stdout+stderr, cfg+line)
	}
	mustMatch(t, "the diagnostics", stdout+stderr, `balance`)
	stdout, _ = testutil.Run(t, 1, exec.Command(program.path, "check", "--json", cfg))
	mustMatch(t, "the diagnostics", stdout, `(?s)^[[{].*"line": ?3`)
}
