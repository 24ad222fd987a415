package engine

import (
	"fmt"
	"net"
	"strings"
	"testing"
	"time"

	"github.com/penstock/penstock/ebpf/steer"
	"github.com/penstock/penstock/internal/testutil"
)

func mustSteer(tb testing.TB) {
	tb.Helper()
	if r := steer.Probe(); r.Answer != steer.Yes {
		tb.Skipf("steering by eBPF: %v: %s", r.Answer, r.Reason)
	}
}

// steered is a configuration with steering and extra lines in global.
func steered(addr, server string, global ...string) string {
	return fmt.Sprintf(`
global
    nbthread 2
    steer ebpf
    %s
listen l
    bind %s
    server s1 %s
`, strings.Join(global, "\n    "), addr, server)
}

// accepted counts the connections of an engine since its start.
func accepted(e *Engine) uint64 { return e.shared.CumConns.Load() }

// While two processes listen, new connections go to the one whose program was attached last, and the
// workers share them: they publish what they have.
func TestSteer(t *testing.T) {
	mustSteer(t)
	server := testutil.Serve(t, testutil.Echo)
	addr := testutil.Loopback(testutil.FreePort(t))
	old, _ := mustStart(t, steered(addr, server.Addr))
	next, out := mustStart(t, steered(addr, server.Addr))
	if text := out.String(); text != "" {
		t.Errorf("reported %s", text)
	}
	const n = 200
	for range n {
		c := testutil.Dial(t, "tcp", addr)
		c.Send("x")
		c.Expect("x")
	}
	if o, n2 := accepted(old), accepted(next); o != 0 || n2 != n {
		t.Fatalf("%d connections to the predecessor, %d to the successor, want 0 and %d", o, n2, n)
	}
	// A worker that published nothing would count as one that hangs.
	for i, w := range next.workers {
		if live := w.Table.Live(); live < n/4 {
			t.Errorf("worker %d has %d of %d sessions", i, live, n)
		}
	}
}

// Paused listeners are steered to again after the pause.
func TestSteerAfterPause(t *testing.T) {
	mustSteer(t)
	server := testutil.Serve(t, testutil.Echo)
	addr := testutil.Loopback(testutil.FreePort(t))
	e, _ := mustStart(t, steered(addr, server.Addr))
	for range 3 {
		e.Pause()
		testutil.Eventually(t, "connections are refused", func() bool {
			c, err := net.Dial("tcp", addr)
			if err == nil {
				c.Close()
			}
			return err != nil
		})
		e.Resume()
		testutil.Eventually(t, "the program is complete again", func() bool {
			e.mu.Lock()
			defer e.mu.Unlock()
			missing, err := e.steering.kernel.Attach(false)
			if err != nil {
				t.Fatal(err)
			}
			return missing == 0
		})
		// A process that listens beside it gets nothing, which the hash would not grant.
		other, err := build(steered(addr, server.Addr), &testutil.Output{})
		if err != nil {
			t.Fatal(err)
		}
		before := accepted(e)
		for range 20 {
			if !echoes(addr) {
				t.Fatal("no answer")
			}
		}
		if got := accepted(e) - before; got != 20 {
			t.Errorf("%d of 20 connections", got)
		}
		other.Close()
	}
}

// One process after the other takes over while clients connect without a pause: none of them notices.
func TestSteerReload(t *testing.T) {
	mustSteer(t)
	server := testutil.Serve(t, testutil.Echo)
	addr := testutil.Loopback(testutil.FreePort(t))
	current, _ := mustStart(t, steered(addr, server.Addr))

	callers := testutil.Call(addr, 4)
	for range 10 {
		callers.More(t, 50)
		next, _ := mustStart(t, steered(addr, server.Addr))
		callers.More(t, 10)
		current.SoftStop()
		select {
		case <-current.Done():
		case <-time.After(testutil.Deadline):
			t.Fatal("the predecessor does not end")
		}
		current.Close()
		current = next
		if callers.Failed() {
			break
		}
	}
	callers.Stop(t)
}

// Where there is nothing to choose from it is said, and everything works.
func TestSteerNothing(t *testing.T) {
	server := testutil.Serve(t, testutil.Echo)
	addr := testutil.Loopback(testutil.FreePort(t))
	_, out := mustStart(t, steered(addr, server.Addr, "noreuseport"))
	out.Wait(t, `WARNING.*'steer ebpf' is not possible, connections are spread by hash: `)
	if !echoes(addr) {
		t.Error("no answer")
	}
}
