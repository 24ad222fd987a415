package steer

import (
	"fmt"
	"os"
	"testing"

	"github.com/penstock/penstock/internal/testutil"
)

// roleVariable makes the test binary play another process: "crash", "unprivileged" or "setuid". Its
// argument is the address to listen on.
const roleVariable = "PENSTOCK_TEST_STEER"

func TestMain(m *testing.M) {
	if role := os.Getenv(roleVariable); role != "" {
		if err := play(role, os.Args[1]); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		os.Exit(0)
	}
	os.Exit(testutil.Main(m))
}
