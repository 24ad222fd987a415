package testutil

import (
	"fmt"
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
//
// The tests of several packages run at the same time. So that none looks at a port that another has been
// given and has not bound yet, each process leases blocks of ports and hands out only those. A lease is a
// socket bound to the block's name: it ends with the process, however that ends.
const (
	firstPort  = 10000
	blockPorts = 500
	blocks     = 44
	leaseName  = "@penstock-test-ports-%d"
	demoBlock  = 12 // the demo looks for ports from 16379 by itself
)

var ports = struct {
	sync.Mutex
	leases []net.Listener // one for each of blocks; nil when it is not ours
	own    []int          // the ports of our blocks
	at     int            // index in own of the next one to look at
	given  map[int]bool   // to a test that has not ended
}{leases: make([]net.Listener, blocks), given: map[int]bool{}}

// FreePort returns a TCP port that nothing is bound to, on any address. Nobody else gets it from here until
// the test has ended.
func FreePort(tb testing.TB) int {
	tb.Helper()
	return FreePorts(tb, 1)
}

// FreePorts returns the first of n consecutive free ports.
func FreePorts(tb testing.TB, n int) int {
	tb.Helper()
	ports.Lock()
	defer ports.Unlock()
	first := findPorts(n)
	for first == 0 {
		if !leasePorts() {
			tb.Fatalf("found no %d consecutive free ports", n)
		}
		first = findPorts(n)
	}
	for port := first; port < first+n; port++ {
		ports.given[port] = true
	}
	tb.Cleanup(func() {
		ports.Lock()
		defer ports.Unlock()
		for port := first; port < first+n; port++ {
			delete(ports.given, port)
		}
	})
	return first
}

// findPorts looks for n free ports of our blocks, one round, and returns the first, or 0. Those that were given last come last.
func findPorts(n int) int {
	if len(ports.own) == 0 {
		return 0
	}
	run := 0 // how many of the ports before at are free and consecutive
	for range len(ports.own) + n {
		if ports.at >= len(ports.own) {
			ports.at, run = 0, 0
		}
		port := ports.own[ports.at]
		if run > 0 && ports.own[ports.at-1] != port-1 {
			run = 0
		}
		ports.at++
		if run++; ports.given[port] || !bindable(port) {
			run = 0
		}
		if run == n {
			return port - n + 1
		}
	}
	return 0
}

// leasePorts takes another block.
func leasePorts() bool {
	for _, block := range rand.Perm(blocks) {
		if ports.leases[block] != nil || block == demoBlock {
			continue
		}
		lease, err := net.Listen("unix", fmt.Sprintf(leaseName, block))
		if err != nil {
			continue // another process has it
		}
		ports.leases[block] = lease
		ports.at = len(ports.own)
		for i := range blockPorts {
			ports.own = append(ports.own, firstPort+block*blockPorts+i)
		}
		return true
	}
	return false
}

// leasedBlocks is the number of descriptors that leases hold.
func leasedBlocks() int {
	ports.Lock()
	defer ports.Unlock()
	return len(ports.own) / blockPorts
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
