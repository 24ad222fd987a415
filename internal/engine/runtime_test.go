package engine

import (
	"flag"
	"fmt"
	"math"
	"os"
	"runtime"
	"runtime/debug"
	"runtime/metrics"
	"runtime/trace"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"
)

var (
	churnRounds  = flag.Int("churn-rounds", 2, "how many times TestChurn measures with and without")
	churnWindow  = flag.Duration("churn-window", 300*time.Millisecond, "how long it measures each time")
	churnCollect = flag.Duration("churn-collect", 0, "how often TestChurn collects the heap, besides what its growth asks for")
	churnTrace   = flag.String("churn-trace", "", "where TestChurn writes a trace of the last window with garbage here and one connection")
	stopRounds   = flag.Int("stop-rounds", 30, "how many times TestStopTheWorld stops the world in each way")
)

// stops are the ways in which the rest of the process stops the world, or reads what the runtime counts.
var stops = []struct {
	name string
	stop func()
}{
	{"runtime.GC", runtime.GC},
	{"ReadMemStats", func() { var m runtime.MemStats; runtime.ReadMemStats(&m) }},
	{"ReadGCStats", func() { var s debug.GCStats; debug.ReadGCStats(&s) }},
	{"all stacks", func() { runtime.Stack(make([]byte, 1<<16), true) }},
	{"metrics", func() {
		var samples []metrics.Sample
		for _, d := range metrics.All() {
			samples = append(samples, metrics.Sample{Name: d.Name})
		}
		metrics.Read(samples)
	}},
}

// The world stops while the workers are busy with round trips, busy with streams, or blocked in the kernel.
// Should it not, nothing of this process would run any more: the process of the load aborts it then. The
// same load around the workers shows what part of the time is the machine's.
func TestStopTheWorld(t *testing.T) {
	defer restoreRuntime()()
	for _, state := range []struct {
		name           string
		trips, streams int
	}{
		{"blocked", 0, 0},
		{"round trips", 16, 0},
		{"streams", 0, 2},
		{"both", 8, 2},
	} {
		for _, through := range []bool{false, true} {
			name := state.name + "/direct"
			if through {
				name = state.name + "/workers"
			}
			t.Run(name, func(t *testing.T) {
				const workers = 2
				l := mustLoad(t)
				addr := l.server
				if through {
					addr = mustProxy(t, workers, l.server)
				}
				runtime.GOMAXPROCS(workers + 2)
				l.order("dial %s %d %d", addr, state.trips, state.streams)
				stopTheWorld(t, l, state.trips > 0)
			})
		}
	}
}

// stopTheWorld stops the world under the load again and again, and logs how long it took.
func stopTheWorld(t *testing.T, l *load, trips bool) {
	l.order("guard 60000")
	before := readPauses()
	took := make([][]time.Duration, len(stops))
	stopped := make(chan struct{})
	go func() {
		defer close(stopped)
		for range *stopRounds {
			for i, s := range stops {
				began := time.Now()
				s.stop()
				took[i] = append(took[i], time.Since(began))
			}
		}
	}()
	made := 0
	for running := true; running; {
		select {
		case <-stopped:
			running = false
		default:
			made += l.run(50 * time.Millisecond).trips
			l.order("guard 60000")
		}
	}
	w := l.run(50 * time.Millisecond) // the workers go on
	if trips && (made == 0 || w.trips == 0) {
		t.Errorf("%d round trips while the world stopped, %d afterwards", made, w.trips)
	}
	logPauses(t, before)
	for i, s := range stops {
		slices.Sort(took[i])
		t.Logf("%-36s %5d  p50 %8v  p99 %8v", s.name, len(took[i]), percentile(took[i], 0.5), percentile(took[i], 0.99))
	}
}

// restoreRuntime keeps what an engine sets for the process.
func restoreRuntime() func() {
	procs, percent := runtime.GOMAXPROCS(0), debug.SetGCPercent(100)
	debug.SetGCPercent(percent)
	return func() {
		runtime.GOMAXPROCS(procs)
		debug.SetGCPercent(percent)
	}
}

func percentile(sorted []time.Duration, p float64) time.Duration {
	return sorted[int(p*float64(len(sorted)-1))]
}

// pauseNames are the runtime's histograms of how long the world took to stop, and was stopped in all.
var pauseNames = []string{
	"/sched/pauses/stopping/gc:seconds",
	"/sched/pauses/stopping/other:seconds",
	"/sched/pauses/total/gc:seconds",
	"/sched/pauses/total/other:seconds",
}

// logPauses logs the pauses since before.
func logPauses(t *testing.T, before []pauses) {
	t.Helper()
	after := readPauses()
	for i, name := range pauseNames {
		if n, p50, p99 := after[i].since(before[i]); n > 0 {
			t.Logf("%-36s %5d  p50 %8v  p99 %8v", name, n, p50, p99)
		}
	}
}

type pauses struct {
	counts  []uint64
	buckets []float64
}

func readPauses() []pauses {
	samples := make([]metrics.Sample, len(pauseNames))
	for i, name := range pauseNames {
		samples[i].Name = name
	}
	metrics.Read(samples)
	read := make([]pauses, len(samples))
	for i, s := range samples {
		h := s.Value.Float64Histogram()
		read[i] = pauses{slices.Clone(h.Counts), h.Buckets}
	}
	return read
}

// since gives the number and the percentiles, as the upper ends of their buckets, of what came after before.
func (p pauses) since(before pauses) (n uint64, p50, p99 time.Duration) {
	counts := slices.Clone(p.counts)
	for i := range counts {
		counts[i] -= before.counts[i]
		n += counts[i]
	}
	at := func(share float64) time.Duration {
		left := uint64(math.Ceil(share * float64(n)))
		for i, c := range counts {
			if left <= c {
				return time.Duration(p.buckets[i+1] * float64(time.Second))
			}
			left -= c
		}
		return 0
	}
	return n, at(0.5), at(0.99)
}

// The control plane of a large configuration, as far as its garbage is concerned.
const (
	churnChecks   = 10_000
	checkInterval = 2 * time.Second
	dumpInterval  = 100 * time.Millisecond
	churnProxies  = 1000

	churnProcs = 3 // what an engine with one worker takes
)

// churn runs 10,000 checks, each a goroutine that every two seconds makes the garbage of a connection, a request and
// an answer and keeps the last one, and ten dumps of the statistics of 1,000 proxies a second, until stop is called.
// With collect above zero the heap is collected that often, besides what its growth asks for.
func churn(collect time.Duration) (stop func()) {
	quit := make(chan struct{})
	var all sync.WaitGroup
	for i := range churnChecks {
		all.Go(func() {
			timer := time.NewTimer(checkInterval * time.Duration(i) / churnChecks)
			defer timer.Stop()
			var last []string
			for {
				select {
				case <-quit:
					runtime.KeepAlive(last)
					return
				case <-timer.C:
				}
				timer.Reset(checkInterval)
				answer := make([]byte, 4096)
				copy(answer, fmt.Sprintf("+PONG server %d at %v\r\n", i, time.Now()))
				last = strings.Fields(string(answer[:64]))
				last = append(last, string(answer[:512]))
			}
		})
	}
	all.Go(func() {
		tick := time.NewTicker(dumpInterval)
		defer tick.Stop()
		for {
			select {
			case <-quit:
				return
			case <-tick.C:
			}
			var b strings.Builder
			for p := range churnProxies {
				fmt.Fprintf(&b, "proxy%d,server%d", p, p)
				for field := range 90 {
					fmt.Fprintf(&b, ",%d", field*p)
				}
				b.WriteByte('\n')
			}
			runtime.KeepAlive(b.String())
		}
	})
	if collect > 0 {
		all.Go(func() {
			tick := time.NewTicker(collect)
			defer tick.Stop()
			for {
				select {
				case <-quit:
					return
				case <-tick.C:
					runtime.GC()
				}
			}
		})
	}
	return func() { close(quit); all.Wait() }
}

// Garbage of the control plane must not stop the workers: measured is the round trip with and without it, in turns.
// The same garbage in another process shows what it costs only because it takes the CPUs from everybody. What
// fails the test is a round trip that does not come back as it was sent.
func TestChurn(t *testing.T) {
	defer restoreRuntime()()
	for _, conns := range []int{1, 8} {
		for _, own := range []bool{false, true} {
			name := fmt.Sprintf("%d connections/garbage elsewhere", conns)
			if own {
				name = fmt.Sprintf("%d connections/garbage here", conns)
			}
			t.Run(name, func(t *testing.T) {
				l, other := mustLoad(t), mustLoad(t)
				addr := mustProxy(t, churnProcs-2, l.server)
				l.order("dial %s %d 0", addr, conns)
				l.run(*churnWindow / 2)
				if own {
					traced := ""
					if conns == 1 {
						traced = *churnTrace
					}
					compareChurn(t, l, traced, func() func() { return churn(*churnCollect) })
					return
				}
				compareChurn(t, l, "", func() func() {
					other.order("churn %d", churnCollect.Milliseconds())
					return func() { other.order("calm") }
				})
			})
		}
	}
}

// compareChurn logs what the garbage that start makes adds to the percentiles of the round trip. With a name of a
// file it writes there what the scheduler does in the last window with garbage.
func compareChurn(t *testing.T, l *load, traced string, start func() (stop func())) {
	var base, added [3][]time.Duration
	var collections, allocated uint64
	pausesBefore := readPauses()
	withChurn := func(round int) window {
		var before, after runtime.MemStats
		stop := start()
		defer stop()
		if traced != "" && round == *churnRounds-1 {
			defer mustTrace(t, traced)()
		}
		runtime.ReadMemStats(&before)
		w := l.run(*churnWindow)
		runtime.ReadMemStats(&after)
		collections += uint64(after.NumGC - before.NumGC)
		allocated += after.TotalAlloc - before.TotalAlloc
		return w
	}
	for round := range *churnRounds {
		var quiet, busy window
		if round%2 == 1 {
			busy = withChurn(round)
		}
		runtime.GC()
		quiet = l.run(*churnWindow)
		if round%2 == 0 {
			busy = withChurn(round)
		}
		if quiet.trips == 0 || busy.trips == 0 {
			t.Fatalf("%d round trips without garbage, %d with", quiet.trips, busy.trips)
		}
		for i, pair := range [3][2]time.Duration{{quiet.p50, busy.p50}, {quiet.p99, busy.p99}, {quiet.p999, busy.p999}} {
			base[i] = append(base[i], pair[0])
			added[i] = append(added[i], pair[1]-pair[0])
		}
	}
	t.Logf("%d rounds of %v; in this process %d collections, %d MB of garbage a second", *churnRounds, *churnWindow, collections,
		int(float64(allocated)/1e6/(churnWindow.Seconds()*float64(*churnRounds))))
	logPauses(t, pausesBefore)
	for i, name := range []string{"p50", "p99", "p99.9"} {
		slices.Sort(base[i])
		slices.Sort(added[i])
		t.Logf("%-6s %10v, with garbage %10v more (half of the rounds %v to %v)", name, percentile(base[i], 0.5),
			percentile(added[i], 0.5), percentile(added[i], 0.25), percentile(added[i], 0.75))
	}
}

// mustTrace writes an execution trace of this process until stop is called.
func mustTrace(tb testing.TB, name string) (stop func()) {
	tb.Helper()
	f, err := os.Create(name)
	if err != nil {
		tb.Fatal(err)
	}
	if err := trace.Start(f); err != nil {
		f.Close()
		tb.Fatal(err)
	}
	return func() {
		trace.Stop()
		if err := f.Close(); err != nil {
			tb.Error(err)
		}
	}
}
