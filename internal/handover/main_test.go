package handover

import (
	"os"
	"testing"

	"github.com/penstock/penstock/internal/testutil"
)

// The test program plays the processes that die in the tests: started again with a role, it does what the
// role says instead of running tests.
const roleVariable = "HANDOVER_TEST_ROLE"

func TestMain(m *testing.M) {
	switch os.Getenv(roleVariable) {
	case "":
		os.Exit(testutil.Main(m))
	case "giver":
		playGiver()
	case "taker":
		playTaker()
	case "stranger":
		playStranger()
	case "impostor":
		playImpostor()
	default:
		os.Exit(99)
	}
}
