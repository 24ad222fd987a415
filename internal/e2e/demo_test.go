package e2e

import (
	"os/exec"
	"path/filepath"
	"syscall"
	"testing"

	"github.com/penstock/penstock/internal/testutil"
)

func buildDemo(t *testing.T) string {
	t.Helper()
	path := filepath.Join(testutil.TempDir(t), "penstock-demo")
	testutil.Run(t, 0, exec.Command("go", "build", "-o", path, "github.com/penstock/penstock/cmd/penstock-demo"))
	return path
}

// The demo runs to its end by itself and shows each server's share and a log line.
func TestDemo(t *testing.T) {
	t.Parallel()
	demo := buildDemo(t)
	stdout, _ := testutil.Run(t, 0, exec.Command(demo, "-penstock", program.path, "-for", "2s"))
	for _, want := range []string{
		`redis1 +[1-9]\d* +redis2 +[1-9]\d* +redis3 +[1-9]\d* +[1-9]\d* requests/s, .*% of a CPU, [0-9.]+ µs per request, [0-9.]+ MiB`,
		`127\.0\.0\.1:\d+ \[[^]]+\] (roundrobin|leastconn) (roundrobin|leastconn)/redis[123] .* -- `,
		`(?m)^[1-9]\d* requests over [1-9]\d* connections, every answer checked\.$`,
		`redis-cli -p \d+ get server`, `kill -USR1 \d+`, `socat stdio \S+`,
	} {
		mustMatch(t, "the demo's output", stdout, want)
	}
}

// A balancer that does not start makes the demo fail.
func TestDemoWithoutBalancer(t *testing.T) {
	t.Parallel()
	demo := buildDemo(t)
	for _, program := range []string{"/no/such/program", "/bin/false"} {
		if _, stderr := testutil.Run(t, 1, exec.Command(demo, "-penstock", program, "-for", "2s")); stderr == "" {
			t.Errorf("%s: no reason given", program)
		}
	}
}

// Stopping the balancer by hand, as the demo suggests, ends the demo without a failure.
func TestDemoStoppedByHand(t *testing.T) {
	t.Parallel()
	demo := testutil.Start(t, exec.Command(buildDemo(t), "-penstock", program.path, "-for", "10m"))
	pid := mustInt(t, demo.Stdout.Wait(t, `\(pid (\d+)\)`)[1])
	demo.Stdout.Wait(t, `redis3 +[1-9]`)
	if err := syscall.Kill(pid, syscall.SIGUSR1); err != nil {
		t.Fatal(err)
	}
	demo.WaitCode(t, 0)
}
