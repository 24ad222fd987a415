package testutil

import (
	"fmt"
	"net"
	"os"
	"os/signal"
	"runtime"
	"syscall"
	"testing"
	"time"

	"go.uber.org/goleak"
)

// patience is for what ends by itself, on a machine with other work.
const patience = 20 * time.Second

// theForker stays.
var theForker = goleak.IgnoreTopFunction("github.com/penstock/penstock/internal/testutil.forker")

// Main runs the tests of a package and returns the exit code: not 0 when a test failed, or when
// the tests left a goroutine or a descriptor behind. A TestMain calls it.
func Main(m *testing.M) int {
	// The runtime's poller opens its own descriptors at the first use.
	if warm, err := net.Listen("tcp", "127.0.0.1:0"); err == nil {
		warm.Close()
	}
	forks()      // now: tests count goroutines
	leasePorts() // now: its descriptor stays, and tests count theirs
	// A shell's background job ignores SIGINT, and children inherit that. One that is caught here is
	// at its default there, as in the foreground.
	for _, sig := range []os.Signal{syscall.SIGINT, syscall.SIGQUIT} {
		if signal.Ignored(sig) {
			signal.Notify(make(chan os.Signal, 1), sig)
		}
	}
	before, err := readFDs("/proc/self/fd")
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	leased := leasedBlocks()
	code := m.Run()
	if code != 0 {
		return code
	}
	if !poll(patience, func() bool { err = goleak.Find(theForker); return err == nil }) {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	var after map[string]string
	if !poll(patience, func() bool {
		runtime.GC() // copying between connections keeps pipes in a pool that a collection empties
		after, err = readFDs("/proc/self/fd")
		return err == nil && len(after) <= len(before)+leasedBlocks()-leased
	}) {
		fmt.Fprintf(os.Stderr, "descriptors left open: %d before the tests, %d after: %v\n", len(before), len(after), after)
		return 1
	}
	return 0
}
