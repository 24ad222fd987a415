package e2e

import (
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/penstock/penstock/internal/testutil"
	"github.com/penstock/penstock/internal/testutil/live"
)

// TestSoakReload is the full size: make soak-reload. It prints its figures and judges only what clients lost.
func TestSoakReload(t *testing.T) {
	if *soakReloads == 0 {
		t.Skip("runs with -soak-reloads N only (make soak-reload)")
	}
	needHandover(t)
	few := max(1, *soakReloads/5)
	for _, test := range []struct {
		name string
		trial
	}{
		{"everything changes", trial{variation: variation{workers: true, listeners: true, builds: true}, reloads: *soakReloads}},
		{"nothing changes", trial{reloads: few}},
		{"workers", trial{variation: variation{workers: true}, reloads: few}},
		{"listeners", trial{variation: variation{listeners: true}, reloads: few}},
		{"another build", trial{variation: variation{builds: true}, reloads: few}},
		{"defer-accept", trial{variation: variation{workers: true, deferAccept: true}, reloads: few}},
		{"steer ebpf", trial{variation: variation{workers: true, listeners: true, global: "steer ebpf"}, reloads: few}},
	} {
		t.Run(test.name, func(t *testing.T) {
			if test.global == "steer ebpf" {
				needEBPF(t)
			}
			test.mix, test.storm = thousand, 200
			test.run(t)
		})
	}
}

// Five thousand sessions move as well as a few. It prints how long they take.
func TestReloadMovesMany(t *testing.T) {
	if raceEnabled || testing.Short() {
		t.Skip("five thousand sessions take too long")
	}
	var files syscall.Rlimit
	if err := syscall.Getrlimit(syscall.RLIMIT_NOFILE, &files); err != nil || files.Max < 16_000 {
		t.Skipf("needs 16000 open files, the limit is %d", files.Max)
	}
	needHandover(t)
	l := mustLoad(t)
	at := live.TCP(testutil.Loopback(testutil.FreePort(t)))
	g := startLineage(t, variation{}.sections(0),
		"main", strings.TrimPrefix(at.Addr, "127.0.0.1:"), "unix", filepath.Join(testutil.TempDir(t), "front"), "server", l.Addr())
	mix := live.Mix{Idle: 4500, Talkers: 450, Streams: 50, Bandwidth: 4 << 20, RoundTrips: 1000}
	mustOpen(t, l, mix, at)
	for range 5 {
		began := time.Now()
		old := g.Process
		next := g.succeed()
		g.awaitWork(next)
		g.Process = next
		atWork := time.Now()
		testutil.Eventually(t, "all sessions have moved", func() bool { return g.current() >= mix.Sessions() })
		moved := time.Now()
		old.WaitCode(t, 0)
		gone := time.Now()
		g.windows, g.moved = append(g.windows, live.Window{From: began, To: gone}), append(g.moved, g.current())
		t.Logf("%d sessions: the new process answered after %v, had them %v later (to be: under 1s); the old one was gone after %v (to be: under 2s)",
			mix.Sessions(), atWork.Sub(began).Round(time.Millisecond), moved.Sub(atWork).Round(time.Millisecond), gone.Sub(began).Round(time.Millisecond))
	}
	judge(t, l.Finish())
	figures(t, l, g, 0)
}
