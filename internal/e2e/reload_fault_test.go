package e2e

import (
	"math/rand/v2"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/penstock/penstock/internal/testutil"
	"github.com/penstock/penstock/internal/testutil/live"
)

// A process that is killed in the middle of a reload takes with it what it owned, and nothing else: each
// session either goes on, with all its bytes, or has ended at both ends, and the process that is left owns all
// that go on, descriptors and all. It serves new clients, and the next reload works.
func TestReloadKilled(t *testing.T) {
	needHandover(t)
	rounds := 10
	if raceEnabled || testing.Short() {
		rounds = 4
	}
	for _, victim := range []string{"the new process", "the old process"} {
		t.Run(victim, func(t *testing.T) {
			seed := *reloadSeed
			if seed == 0 {
				seed = rand.Uint64()
			}
			t.Logf("-reload-seed %d", seed)
			random := rand.New(rand.NewPCG(seed, 0))
			f := newFault(t)
			for round := range rounds {
				moment := time.Duration(random.Int64N(int64(f.span) * 5 / 4))
				f.strike(round, moment, victim == "the old process")
			}
			f.g.reload()
			if err := f.load.AwaitProgress(live.Guard); err != nil {
				t.Error(err)
			}
			f.finish()
		})
	}
}

// fault is a program whose reloads are interrupted.
type fault struct {
	t     *testing.T
	g     *lineage
	load  *live.Load
	at    live.Target
	storm *live.Storm
	span  time.Duration // that a reload takes when nobody interrupts it
	spare int           // sockets of a process without sessions
}

// faultMix has no session at rest, so that each cut is noticed at once.
var faultMix = live.Mix{Streams: 24, Talkers: 24, HalfClosed: 4, Bandwidth: 2 << 20, RoundTrips: 400}

func newFault(t *testing.T) *fault {
	f := &fault{t: t, load: mustLoad(t), at: live.TCP(testutil.Loopback(testutil.FreePort(t)))}
	f.g = startLineage(t, `
global
    nbthread 2
listen main
    bind {at}
    server s1 {server}
`, "at", f.at.Addr, "server", f.load.Addr())
	f.spare = testutil.Sockets(t, f.g.Pid)
	mustOpen(t, f.load, faultMix, f.at)
	f.g.reload()
	f.g.reload()
	f.span = f.g.windows[1].To.Sub(f.g.windows[1].From)
	f.startStorm()
	return f
}

func (f *fault) startStorm() { f.storm = startStorm(f.t, f.load, 50, f.at) }

// endStorm ends the storm. Its connections may be refused or cut, for processes are killed; but none may be
// left hanging, and no answer may be wrong.
func (f *fault) endStorm() {
	r := f.storm.Stop()
	if bad := r.Counts[live.Wrong] + r.Counts[live.Stuck] + r.Counts[live.Other]; bad > 0 {
		f.t.Errorf("%v: %v", &r, r.Errors)
	}
}

// strike begins a reload and kills one of the processes at a moment after that.
func (f *fault) strike(round int, moment time.Duration, killOld bool) {
	t, before := f.t, len(f.load.Failures())
	old := f.g.Process
	next := f.g.succeed()
	victim, heir := next, old
	if killOld {
		victim, heir = old, next
	}
	waitMoment(moment, victim)
	outran := victim.Exited() // it left by itself: the reload was over
	if outran && !killOld {
		t.Fatalf("round %d: the new process ended by itself:\n%s%s", round, next.Stdout, next.Stderr)
	}
	if !outran {
		victim.Signal(t, os.Kill)
	}
	victim.Wait(t)

	// An old process whose successor was killed when all had been handed over leaves as well.
	testutil.Eventually(t, "somebody serves, or nobody is left", func() bool {
		return heir.Exited() || f.load.Try(f.at) == nil
	})
	f.g.Process = heir
	if heir.Exited() {
		if killOld && !outran {
			t.Fatalf("round %d: the new process ended when the old one was killed:\n%s%s", round, heir.Stdout, heir.Stderr)
		}
		f.g.launch(nil)
	}
	f.account(round)
	cut := f.load.Failures()[before:]
	for _, failure := range cut {
		if failure.Cause != live.Reset && failure.Cause != live.Ended {
			t.Errorf("round %d: %v", round, failure)
		}
	}
	t.Logf("round %d: killed after %v of %v; %d of %d sessions cut; all was over: %v; an heir is left: %v",
		round, moment.Round(time.Millisecond), f.span.Round(time.Millisecond), len(cut), faultMix.Sessions(), outran, f.g.Process == heir)
	if len(cut) > 0 {
		mustOpen(t, f.load, live.Mix{
			Streams: len(cut) / 2, Talkers: len(cut) - len(cut)/2, Bandwidth: faultMix.Bandwidth, RoundTrips: faultMix.RoundTrips,
		}, f.at)
	}
}

// waitMoment lets time pass, as long as the victim is there: it is the moment that is random, not a condition.
func waitMoment(moment time.Duration, victim *testutil.Process) {
	for end := time.Now().Add(moment); time.Now().Before(end) && !victim.Exited(); {
		time.Sleep(min(time.Until(end), time.Millisecond))
	}
}

// account waits until all sessions that were not cut move, and the process that is left owns exactly them.
func (f *fault) account(round int) {
	t := f.t
	if err := f.load.AwaitProgress(live.Guard); err != nil {
		t.Fatalf("round %d: %v", round, err)
	}
	f.endStorm()
	testutil.Eventually(t, "the process owns the sessions that are left, and no socket more", func() bool {
		alive := f.load.Sessions() - len(f.load.Failures())
		n := testutil.Sockets(t, f.g.Pid)
		return n >= 2*alive && n <= 2*alive+f.spare
	})
	f.startStorm()
}

// finish ends the sessions that are left; each of them is whole.
func (f *fault) finish() {
	cut := len(f.load.Failures())
	f.endStorm()
	r := f.load.Finish()
	f.t.Logf("%v", &r)
	for _, failure := range r.Failures[cut:] {
		f.t.Error(failure)
	}
	if r.Counts[live.Wrong]+r.Counts[live.Stuck]+r.Counts[live.Other] > 0 {
		f.t.Errorf("%v", &r)
	}
	f.g.waitInfo(f.t, "CurrConns", 0)
	if text := f.g.Stdout.String() + f.g.Stderr.String(); strings.Contains(text, "panic") {
		f.t.Errorf("the program panicked:\n%s", text)
	}
}
