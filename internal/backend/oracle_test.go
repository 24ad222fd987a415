package backend

import (
	"bytes"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/penstock/penstock/internal/balance"
	"github.com/penstock/penstock/internal/config"
)

// haproxy is a real HAProxy with one thread in front of servers that answer with their number.
type haproxy struct {
	addr string
}

// mustHAProxy starts HAProxy with a listen section of the given lines and one server line for each
// of params; the frontend listens on a descriptor it inherits.
func mustHAProxy(tb testing.TB, lines string, params ...string) haproxy {
	tb.Helper()
	program, err := exec.LookPath("haproxy")
	if err != nil {
		tb.Skip("haproxy is not installed")
	}
	cfg := &strings.Builder{}
	fmt.Fprintf(cfg, "global\n nbthread 1\ndefaults\n mode tcp\n timeout client 10s\n timeout server 10s\n timeout connect 10s\n"+
		"listen l\n bind fd@3\n %s\n", lines)
	for i, p := range params {
		fmt.Fprintf(cfg, " server s%d %s %s\n", i+1, mustNumberServer(tb, i), p)
	}
	file := filepath.Join(tb.TempDir(), "haproxy.cfg")
	if err := os.WriteFile(file, []byte(cfg.String()), 0o600); err != nil {
		tb.Fatal(err)
	}
	listener := mustListen(tb)
	inherited, err := listener.File()
	if err != nil {
		tb.Fatal(err)
	}
	addr := listener.Addr().String()
	listener.Close()
	output := &bytes.Buffer{}
	cmd := exec.Command(program, "-db", "-f", file)
	cmd.Stdout, cmd.Stderr = output, output
	cmd.ExtraFiles = []*os.File{inherited}
	if err := cmd.Start(); err != nil {
		tb.Fatal(err)
	}
	inherited.Close()
	tb.Cleanup(func() {
		if err := cmd.Process.Kill(); err != nil {
			tb.Errorf("end haproxy: %v", err)
		}
		_ = cmd.Wait() // its status says only that it was killed
		if tb.Failed() {
			tb.Logf("haproxy with\n%s\nsaid\n%s", cfg, output)
		}
	})
	return haproxy{addr: addr}
}

func mustListen(tb testing.TB) *net.TCPListener {
	tb.Helper()
	l, err := net.Listen("tcp4", "127.0.0.1:0")
	if err != nil {
		tb.Fatal(err)
	}
	return l.(*net.TCPListener)
}

// mustNumberServer starts a server that answers every connection with one byte, its number, and
// keeps it until the client leaves.
func mustNumberServer(tb testing.TB, number int) (addr string) {
	tb.Helper()
	l := mustListen(tb)
	var all sync.WaitGroup
	all.Go(func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			all.Go(func() {
				defer c.Close()
				_, _ = c.Write([]byte{byte(number)}) // a client that misses it reports it
				_, _ = io.Copy(io.Discard, c)
			})
		}
	})
	tb.Cleanup(func() {
		l.Close()
		all.Wait()
	})
	return l.Addr().String()
}

// mustServer connects from a source address (an invalid one: any), leaves at once and returns the
// number of the server reached.
func (h haproxy) mustServer(tb testing.TB, source netip.Addr) int32 {
	tb.Helper()
	server, c := h.mustHold(tb, source)
	c.Close()
	return server
}

// mustHold connects like mustServer and leaves the connection open.
func (h haproxy) mustHold(tb testing.TB, source netip.Addr) (int32, net.Conn) {
	tb.Helper()
	dialer := net.Dialer{Timeout: time.Minute}
	if source.IsValid() {
		dialer.LocalAddr = net.TCPAddrFromAddrPort(netip.AddrPortFrom(source, 0))
	}
	c, err := dialer.Dial("tcp4", h.addr)
	if err != nil {
		tb.Fatal(err)
	}
	answer := make([]byte, 1)
	if err := c.SetReadDeadline(time.Now().Add(time.Minute)); err != nil {
		tb.Fatal(err)
	}
	if _, err := io.ReadFull(c, answer); err != nil {
		tb.Fatalf("no answer: %v", err)
	}
	return int32(answer[0]), c
}

// TestLoadedOrderEqualsHAProxy opens connections that stay until all slots are taken. Equally
// loaded servers have no defined order in leastconn, so there only the numbers count.
func TestLoadedOrderEqualsHAProxy(t *testing.T) {
	for _, tc := range []struct {
		name      string
		algorithm config.Algorithm
		servers   []config.Server
		counts    bool
	}{
		{"roundrobin", config.RoundRobin, []config.Server{{Weight: 3, MaxConn: 3}, {Weight: 2, MaxConn: 9}, {Weight: 1, MaxConn: 8}}, false},
		{"roundrobin", config.RoundRobin, []config.Server{{Weight: 50, MaxConn: 2}, {Weight: 10, MaxConn: 22}, {Weight: 2, MaxConn: 5}}, true},
		{"static-rr", config.StaticRR, []config.Server{{Weight: 3, MaxConn: 3}, {Weight: 2, MaxConn: 9}, {Weight: 1, MaxConn: 8}}, false},
		{"first", config.First, []config.Server{{Weight: 3, MaxConn: 3}, {Weight: 2, MaxConn: 9}, {Weight: 1, MaxConn: 8}}, false},
		{"leastconn", config.LeastConn, []config.Server{{Weight: 1, MaxConn: 7}, {Weight: 1, MaxConn: 9}, {Weight: 1, MaxConn: 8}}, false},
		{"leastconn", config.LeastConn, []config.Server{{Weight: 3, MaxConn: 40}, {Weight: 5, MaxConn: 40}, {Weight: 1, MaxConn: 40}}, true},
	} {
		t.Run(fmt.Sprint(tc.name, tc.counts), func(t *testing.T) {
			slots := 0
			params := make([]string, len(tc.servers))
			for i, s := range tc.servers {
				params[i] = fmt.Sprintf("weight %d maxconn %d", s.Weight, s.MaxConn)
				slots += s.MaxConn
			}
			if tc.counts {
				slots = slots * 2 / 3
			}
			h := mustHAProxy(t, "balance "+tc.name, params...)
			b, _ := mustBackend(t, config.Proxy{Balance: config.Balance{Algorithm: tc.algorithm}}, tc.servers...)
			var want, got []int32
			for range slots {
				i, c := h.mustHold(t, netip.Addr{})
				defer c.Close()
				want = append(want, i)
				got = append(got, mustAssign(t, b, anyone))
			}
			if tc.counts {
				want, got = tally(want, len(params)), tally(got, len(params))
			}
			if diff := cmp.Diff(want, got); diff != "" {
				t.Errorf("servers (-haproxy +ours):\n%s", diff)
			}
		})
	}
}

// tally counts how often each server occurs.
func tally(list []int32, servers int) []int32 {
	counts := make([]int32, servers)
	for _, i := range list {
		counts[i]++
	}
	return counts
}

func TestOrderEqualsHAProxy(t *testing.T) {
	if testing.Short() {
		t.Skip("thousands of connections through haproxy: not with -short")
	}
	sets := [][]int{
		{1, 1, 1},
		{1, 2, 3},
		{10, 10, 5},
		{3, 2, 1},
		{1, 1, 5},
		{5, 1, 1},
		{7, 11, 13},
		{4, 4, 1, 1},
		{2, 3, 5, 7},
		{1, 2, 2, 3, 3},
		{6, 4, 4, 3, 3, 3, 1},
		{9, 9, 9, 8},
		{1, 30},
		{3, 3, 2, 2, 1, 1},
		{17, 5, 5, 2},
		{1, 1, 1, 1, 1, 2},
		{0, 2, 5},
		{12, 33, 31},
		{7, 10, 7},
		{9, 8, 7},
	}
	random := rand.New(rand.NewPCG(1, 2))
	for range 4 {
		set := make([]int, 2+random.IntN(6))
		for i := range set {
			set[i] = 1 + random.IntN(12)
		}
		sets = append(sets, set)
	}
	for _, algorithm := range []struct {
		name  string
		value config.Algorithm
	}{{"roundrobin", config.RoundRobin}, {"static-rr", config.StaticRR}} {
		for _, weights := range sets {
			t.Run(fmt.Sprint(algorithm.name, weights), func(t *testing.T) {
				sum := 0
				params := make([]string, len(weights))
				for i, w := range weights {
					params[i] = fmt.Sprintf("weight %d", w)
					sum += w
				}
				visits := 3 * sum
				if algorithm.value == config.RoundRobin {
					visits = 35 * sum // a lap has sixteen periods, and the second may differ
				}
				h := mustHAProxy(t, "balance "+algorithm.name, params...)
				b, _ := mustBackend(t, config.Proxy{Balance: config.Balance{Algorithm: algorithm.value}}, weighted(weights...)...)
				var want, got []int32
				for range visits {
					want = append(want, h.mustServer(t, netip.Addr{}))
					i := mustAssign(t, b, anyone)
					b.Release(i)
					got = append(got, i)
				}
				if diff := cmp.Diff(want, got); diff != "" {
					t.Errorf("order (-haproxy +ours):\n%s", diff)
				}
			})
		}
	}
}

func TestSourceHashEqualsHAProxy(t *testing.T) {
	if testing.Short() {
		t.Skip("hundreds of connections through haproxy: not with -short")
	}
	for _, tc := range []struct {
		lines                 string
		consistent, avalanche bool
	}{
		{"", false, false},
		{"hash-type map-based sdbm avalanche", false, true},
		{"hash-type consistent", true, true},
		{"hash-type consistent sdbm", true, false},
		{"hash-type consistent sdbm avalanche", true, true},
	} {
		for _, weights := range [][]int{{1, 1, 1}, {1, 2, 3}, {10, 10, 5}, {4, 2, 6, 8}} {
			t.Run(fmt.Sprint(tc.lines, weights), func(t *testing.T) {
				params := make([]string, len(weights))
				for i, w := range weights {
					params[i] = fmt.Sprintf("weight %d", w)
				}
				h := mustHAProxy(t, "balance source\n "+tc.lines, params...)
				b, _ := mustBackend(t, config.Proxy{Balance: config.Balance{
					Algorithm: config.SourceHash, Consistent: tc.consistent, Avalanche: tc.avalanche,
				}}, weighted(weights...)...)
				random := rand.New(rand.NewPCG(3, 4))
				for range 60 {
					client := netip.AddrFrom4([4]byte{127, byte(random.Uint32()), byte(random.Uint32()), byte(1 + random.IntN(250))})
					want := h.mustServer(t, client)
					got := mustAssign(t, b, Request{Hash: balance.Fold(client), Avoid: None})
					if got != want {
						t.Errorf("%v goes to server %d, haproxy chose %d", client, got, want)
					}
				}
			})
		}
	}
}
