package testutil

import (
	"math/rand/v2"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"sync"
	"testing"
)

// Ports are handed out below the kernel's ephemeral range. A port found by binding to port 0 lies
// inside that range, where any outgoing connection of this busy machine may take it between its
// release here and the bind of the process it is meant for.
const (
	firstPort = 10000
	lastPort  = 32000
)

var handedOut = struct {
	sync.Mutex
	ports map[int]bool
}{ports: map[int]bool{}}

// FreePort returns a TCP port that nothing is bound to, on any address, and that it has not
// returned before.
func FreePort(tb testing.TB) int {
	tb.Helper()
	return FreePorts(tb, 1)
}

// FreePorts returns the first of n consecutive free ports.
func FreePorts(tb testing.TB, n int) int {
	tb.Helper()
	handedOut.Lock()
	defer handedOut.Unlock()
next:
	for range 1000 {
		first := firstPort + rand.IntN(lastPort-firstPort-n)
		for port := first; port < first+n; port++ {
			if handedOut.ports[port] || !bindable(port) {
				continue next
			}
		}
		for port := first; port < first+n; port++ {
			handedOut.ports[port] = true
		}
		return first
	}
	tb.Fatalf("found no %d consecutive free ports", n)
	return 0
}

func bindable(port int) bool {
	held, err := net.Listen("tcp", net.JoinHostPort("", strconv.Itoa(port)))
	if err != nil {
		return false
	}
	held.Close()
	return true
}

// HoldPort listens on a free port of 127.0.0.1 until the test ends, so that nobody else can.
func HoldPort(tb testing.TB) int {
	tb.Helper()
	port := FreePort(tb)
	held, err := net.Listen("tcp", Loopback(port))
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() { held.Close() })
	return port
}

// Loopback returns "127.0.0.1:port".
func Loopback(port int) string {
	return net.JoinHostPort("127.0.0.1", strconv.Itoa(port))
}

// TempDir is like TB.TempDir, but with a path short enough for a Unix socket in it (108 bytes) and
// passable for a process that has given up root.
func TempDir(tb testing.TB) string {
	tb.Helper()
	dir, err := os.MkdirTemp("", "pst")
	if err != nil {
		tb.Fatal(err)
	}
	if err := os.Chmod(dir, 0o755); err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() {
		if err := os.RemoveAll(dir); err != nil {
			tb.Error(err)
		}
	})
	return dir
}

// WriteFile writes a file into dir and returns its path.
func WriteFile(tb testing.TB, dir, name, content string) string {
	tb.Helper()
	path := filepath.Join(dir, name)
	if err := os.WriteFile(path, []byte(content), 0o644); err != nil {
		tb.Fatal(err)
	}
	return path
}
