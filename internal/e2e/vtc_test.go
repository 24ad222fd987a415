package e2e

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/penstock/penstock/internal/testutil"
)

// The scenarios in vtc/ are run by varnishtest, which drives the program as it drives HAProxy.
func TestVarnishtest(t *testing.T) {
	t.Parallel()
	varnishtest := testutil.Need(t, "varnishtest")
	scenarios, err := filepath.Glob("vtc/*.vtc")
	if err != nil || len(scenarios) == 0 {
		t.Fatalf("no scenarios: %v", err)
	}
	for _, scenario := range scenarios {
		t.Run(strings.TrimSuffix(filepath.Base(scenario), ".vtc"), func(t *testing.T) {
			t.Parallel()
			dir := testutil.TempDir(t)
			cmd := exec.Command(varnishtest, "-k", "-t", "10", scenario)
			cmd.Env = append(os.Environ(), "HAPROXY_PROGRAM="+program.path, "TMPDIR="+dir)
			testutil.Run(t, 0, cmd)
		})
	}
}
