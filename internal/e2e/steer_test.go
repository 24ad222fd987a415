package e2e

import (
	"fmt"
	"net/netip"
	"strings"
	"syscall"
	"testing"

	"github.com/penstock/penstock/ebpf/steer"
	"github.com/penstock/penstock/internal/testutil"
	"github.com/penstock/penstock/netio"
)

func mustSteer(tb testing.TB) {
	tb.Helper()
	skipForeign(tb, "it has no steering")
	if r := steer.Probe(); r.Answer != steer.Yes {
		tb.Skipf("steering by eBPF: %v: %s", r.Answer, r.Reason)
	}
}

// The steering program is loaded before privileges are given up and attached after that. A listener of somebody
// else on the same address then gets nothing, which the hash would not grant it.
func TestSteerWithoutPrivileges(t *testing.T) {
	t.Parallel()
	mustSteer(t)
	testutil.NeedRoot(t)
	server := testutil.Serve(t, testutil.Echo)
	port := testutil.FreePort(t)
	p := start(t, `
global
    nbthread 2
    user nobody
    group nogroup
    steer ebpf
listen l
    bind 127.0.0.1:{port}
    server s1 {s1}
`, "port", port, "s1", server.Addr)
	sa := netio.SockaddrFrom(netip.MustParseAddrPort(testutil.Loopback(port)))
	other, err := netio.Listen(&sa, "", &netio.ListenOptions{Backlog: 16, ReusePort: true})
	if err != nil {
		t.Fatal(err)
	}
	defer netio.Close(other)
	for range 20 {
		c := dial(t, port)
		c.Send("x")
		c.Expect("x")
		c.Close()
	}
	if text := p.Stderr.String(); strings.Contains(text, "steer") {
		t.Errorf("reported %s", text)
	}
	p.Signal(t, syscall.SIGUSR1)
	p.WaitCode(t, 0)
}

// One process follows the other (-sf) while clients connect without a pause. Each has listeners of its own, and
// nothing of what waits in them is lost, nor of what waits for the client's first bytes.
func TestSteerReload(t *testing.T) {
	t.Parallel()
	mustSteer(t)
	server := testutil.Serve(t, testutil.Echo)
	port := testutil.FreePort(t)
	p := start(t, `
global
    nbthread 2
    steer ebpf
listen l
    bind 127.0.0.1:{port} defer-accept
    server s1 {s1}
`, "port", port, "s1", server.Addr)

	callers := testutil.Call(testutil.Loopback(port), 4)
	for range 5 {
		callers.More(t, 50)
		old := p.Process
		p.run(p.command("-sf", fmt.Sprint(old.Pid)))
		old.WaitCode(t, 0)
	}
	callers.Stop(t)
}
