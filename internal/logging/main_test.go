package logging

import (
	"os"
	"testing"

	"github.com/penstock/penstock/internal/testutil"
)

func TestMain(m *testing.M) { os.Exit(testutil.Main(m)) }
