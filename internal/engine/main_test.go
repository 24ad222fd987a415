package engine

import (
	"os"
	"testing"

	"github.com/penstock/penstock/internal/testutil"
)

func TestMain(m *testing.M) {
	if os.Getenv(childVariable) != "" {
		os.Exit(starve())
	}
	os.Exit(testutil.Main(m))
}
