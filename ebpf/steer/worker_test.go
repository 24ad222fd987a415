package steer_test

import (
	"fmt"
	"io"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"

	"github.com/cilium/ebpf"
	"golang.org/x/sys/unix"

	"github.com/penstock/penstock/ebpf/steer"
	"github.com/penstock/penstock/internal/config"
	"github.com/penstock/penstock/internal/engine"
	"github.com/penstock/penstock/internal/testutil"
)

// state is a slot as the kernel sees it.
type state struct {
	LastLoopNs              uint64
	Conns, Chosen, Sleeping uint32
	Pad                     [11]uint32
}

// mustFindSlots opens the array of slots of this process once more.
func mustFindSlots(t *testing.T) *ebpf.Map {
	t.Helper()
	for number, target := range testutil.FDs(t, os.Getpid()) {
		if target != "anon_inode:bpf-map" {
			continue
		}
		info, err := os.ReadFile(filepath.Join("/proc/self/fdinfo", number))
		if err != nil {
			t.Fatal(err)
		}
		_, rest, _ := strings.Cut(string(info), "map_id:")
		var id ebpf.MapID
		if _, err := fmt.Sscan(rest, &id); err != nil {
			t.Fatalf("no id of descriptor %s in %q", number, info)
		}
		m, err := ebpf.NewMapFromID(id)
		if err != nil {
			t.Fatal(err)
		}
		if m.Type() == ebpf.Array && m.ValueSize() == 64 {
			return m
		}
		m.Close()
	}
	t.Fatal("this process has no slots")
	return nil
}

func mustNow(t *testing.T) uint64 {
	t.Helper()
	var now unix.Timespec
	if err := unix.ClockGettime(unix.CLOCK_MONOTONIC, &now); err != nil {
		t.Fatal(err)
	}
	return uint64(now.Nano())
}

// Workers publish what they have, when they were last round, by the kernel's clock, and that they sleep.
func TestWorkersPublish(t *testing.T) {
	if r := steer.Probe(); r.Answer != steer.Yes {
		t.Skipf("steering by eBPF: %v: %s", r.Answer, r.Reason)
	}
	server := testutil.Serve(t, testutil.Echo)
	addr := testutil.Loopback(testutil.FreePort(t))
	cfg, found := config.LoadText("test.cfg", fmt.Sprintf(`
global
    nbthread 2
    steer ebpf
listen l
    bind %s
    server s1 %s
`, addr, server.Addr), config.Options{})
	if found.Fatal() {
		t.Fatal(found.List)
	}
	begun := mustNow(t)
	e, err := engine.New(cfg, engine.Options{Report: &config.Reporter{W: io.Discard}, Program: "test"})
	if err != nil {
		t.Fatal(err)
	}
	procs := runtime.GOMAXPROCS(0)
	t.Cleanup(func() { e.Close(); runtime.GOMAXPROCS(procs) })
	slots := mustFindSlots(t)
	defer slots.Close()

	e.Start()
	eventually := func(what string, sessions uint32) {
		t.Helper()
		testutil.Eventually(t, what, func() bool {
			var total uint32
			for i := range uint32(2) {
				var s state
				if err := slots.Lookup(i, &s); err != nil {
					t.Fatal(err)
				}
				if s.Sleeping != 1 || s.Chosen != 0 {
					return false
				}
				if now := mustNow(t); s.LastLoopNs < begun || s.LastLoopNs > now {
					t.Fatalf("worker %d was last round at %d, not between %d and %d", i, s.LastLoopNs, begun, now)
				}
				total += s.Conns
			}
			return total == sessions
		})
	}
	eventually("both workers sleep", 0)
	var clients []*testutil.Conn
	for range 5 {
		c := testutil.Dial(t, "tcp", addr)
		c.Send("x")
		c.Expect("x")
		clients = append(clients, c)
	}
	eventually("five sessions", 5)
	for _, c := range clients {
		c.Close()
	}
	eventually("no session is left", 0)
}
