package testutil

import (
	"net"
	"os"
	"testing"
)

func TestMain(m *testing.M) { os.Exit(Main(m)) }

// A port is given once until its test ends, and not while somebody listens there, however many are wanted.
func TestFreePorts(t *testing.T) {
	seen := map[int]bool{}
	for n := range 40 {
		first := FreePorts(t, n+1)
		for port := first; port <= first+n; port++ {
			if seen[port] {
				t.Fatalf("port %d is given twice", port)
			}
			seen[port] = true
		}
	}
	var held int
	t.Run("ended", func(t *testing.T) {
		for range blockPorts {
			held = FreePort(t)
		}
	})
	listener, err := net.Listen("tcp", Loopback(held))
	if err != nil {
		t.Fatal(err)
	}
	defer listener.Close()
	for range blockPorts {
		t.Run("next", func(t *testing.T) {
			if port := FreePort(t); port == held || seen[port] {
				t.Fatalf("port %d is not free", port)
			}
		})
	}
	if n := leasedBlocks(); n > 5 {
		t.Errorf("%d blocks are leased", n)
	}
}
