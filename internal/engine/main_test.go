package engine

import (
	"os"
	"strings"
	"testing"

	"github.com/penstock/penstock/internal/testutil"
)

func TestMain(m *testing.M) {
	if socket, server, ok := strings.Cut(os.Getenv(childVariable), " "); ok {
		os.Exit(starve(socket, server))
	}
	os.Exit(testutil.Main(m))
}
