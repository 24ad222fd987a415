package scenarios

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/penstock/penstock/bench/load"
	"github.com/penstock/penstock/bench/peers"
	"github.com/penstock/penstock/bench/report"
)

// Scenario is one kind of traffic with its size.
type Scenario struct {
	Name    string
	About   string
	Unit    report.Unit
	Conns   int
	Batch   int     // requests sent at once on a connection
	Streams int     // beside the round trips
	Rate    float64 // bytes a second of a slow reader
	Splice  bool    // the proxies are told to splice
	Checks  int     // servers that the proxy checks every second besides
	Roam    bool    // two workers, and everybody is free on the same two CPUs
	// MaxRounds limits the rounds of what hardly varies; 0 is no limit.
	MaxRounds int
	// WarmUps is the time before the measurement in warm-ups; 0 is one.
	WarmUps int
	// Windows is the length of the measurement in windows; 0 is one.
	Windows int
	// Calls says that its system calls are worth a run of their own.
	Calls bool

	measure measurement
	drive   func(*load.Rig, load.Plan) (load.Window, error) // of measurements by the rig
	route   string                                          // the server that answers
	program *program                                        // of measurements by a real program
	proxied bool                                            // means nothing without a proxy
}

// measurement is one way to measure a peer once.
type measurement func(*run, context.Context, *Scenario, *peers.Peer) (report.Sample, error)

// Names of the routes to the rig's servers.
const (
	toEcho     = "echo"
	toSource   = "source"
	toExchange = "exchange"
)

const messageSize = 64

func roundTrips(conns int) Scenario {
	return Scenario{
		Name:  fmt.Sprintf("roundtrip-%d", conns),
		About: fmt.Sprintf("%d bytes there and back on %s", messageSize, plural(conns, "open connection")),
		Unit:  report.PerOp, Conns: conns, Calls: conns == 50,
		measure: (*run).traffic, drive: (*load.Rig).RoundTrips, route: toEcho,
	}
}

func pipelined(conns, batch int) Scenario {
	s := roundTrips(conns)
	s.Name = fmt.Sprintf("pipeline-%d", conns)
	s.About = fmt.Sprintf("%d requests of %d bytes at once there and back, as with pipelined Redis, on %s", batch, messageSize, plural(conns, "open connection"))
	s.Batch = batch
	return s
}

func connects(conns int) Scenario {
	return Scenario{
		Name:  fmt.Sprintf("connect-%d", conns),
		About: fmt.Sprintf("connect, %d bytes there and back, close; %d at a time", messageSize, conns),
		Unit:  report.PerOp, Conns: conns, Calls: true,
		measure: (*run).traffic, drive: (*load.Rig).Connects, route: toEcho,
	}
}

func bulk(conns int, splice bool) Scenario {
	s := Scenario{
		Name:  fmt.Sprintf("bulk-%d", conns),
		About: plural(conns, "stream") + " from the server, nothing configured about splice",
		Unit:  report.PerGiB, Conns: conns, Calls: conns == 10, WarmUps: 1 + conns/20, // until the windows have grown
		measure: (*run).traffic, drive: (*load.Rig).Streams, route: toSource,
	}
	if splice {
		s.Name = fmt.Sprintf("bulk-splice-%d", conns)
		s.About = plural(conns, "stream") + " from the server, `option splice-request` and `splice-response`"
		s.Splice = true
	}
	return s
}

func exchange(conns int, splice bool) Scenario {
	s := bulk(conns, splice)
	s.Name = strings.Replace(s.Name, "bulk", "both", 1)
	s.About = strings.Replace(s.About, "from the server", "each way at once", 1)
	s.Calls = false
	s.drive, s.route = (*load.Rig).Exchanges, toExchange
	return s
}

func mix(streams, conns int) Scenario {
	return Scenario{
		Name:  fmt.Sprintf("mix-%d", streams),
		About: fmt.Sprintf("%d bytes there and back on %d connections while %d streams run on the same worker", messageSize, conns, streams),
		Unit:  report.PerOp, Conns: conns, Streams: streams,
		measure: (*run).traffic, drive: (*load.Rig).Mix, route: toEcho,
	}
}

func storm(conns int) Scenario {
	return Scenario{
		Name:  fmt.Sprintf("storm-%d", conns),
		About: fmt.Sprintf("%d connects in one go, %d bytes there and back on each, then all close", conns, messageSize),
		Unit:  report.PerOp, Conns: conns, measure: (*run).traffic, drive: (*load.Rig).Storm, route: toEcho,
	}
}

func slow(conns int) Scenario {
	const mib = 20 // more than the sockets' buffers hold, so that the proxy is held up many times in a window
	return Scenario{
		Name:  fmt.Sprintf("slow-%d", conns),
		About: fmt.Sprintf("%s of %d MiB a second each, because the reader takes no more; PSS above the start", plural(conns, "stream"), mib),
		Unit:  report.PerGiB, Conns: conns, Rate: mib << 20, Windows: 2,
		measure: (*run).held, drive: (*load.Rig).SlowStreams, route: toSource,
	}
}

func open(conns int) Scenario {
	return Scenario{
		Name: fmt.Sprintf("open-%d", conns),
		About: fmt.Sprintf("%d bytes there and back at a fixed rate, %.0f %% of what the peer of reference can do, over %s; latency from the moment when each was due",
			messageSize, 100*saturated, plural(conns, "connection")),
		Unit: report.PerOp, Conns: conns, Windows: 2,
		measure: (*run).openLoop, drive: (*load.Rig).OpenLoop, route: toEcho,
	}
}

// checked makes a scenario of proxies that check many servers out of one without.
func checked(s Scenario, servers int) Scenario {
	s.Name = "checked-" + s.Name
	s.About += fmt.Sprintf("; the proxy checks %d servers every second", servers)
	s.Checks, s.proxied = servers, true
	return s
}

// roam makes a scenario of two workers out of one of a single worker.
func roam(s Scenario) Scenario {
	s.Name = "roam-" + strings.TrimPrefix(s.Name, "roundtrip-")
	s.About = "two workers, client and server free on the same two CPUs: " + s.About
	s.Roam, s.Calls = true, false
	s.Windows = 3 // the machine's CPU time comes in ticks of 10 ms
	return s
}

func idle(conns int) Scenario {
	return Scenario{
		Name:  fmt.Sprintf("idle-%d", conns),
		About: fmt.Sprintf("%d sessions at rest after one round trip; PSS above the baseline", conns),
		Unit:  report.PerSession, Conns: conns, MaxRounds: 2, measure: (*run).memory, route: toEcho,
	}
}

func wakeups() Scenario {
	return Scenario{
		Name:  "wakeups",
		About: "the proxy after a little traffic, with nothing to do: how often its threads wake up",
		Unit:  report.PerSecond, Conns: 2, MaxRounds: 1, Windows: 4, measure: (*run).wakeups, route: toEcho, proxied: true,
	}
}

func plural(n int, what string) string {
	if n == 1 {
		return "1 " + what
	}
	return fmt.Sprintf("%d %ss", n, what)
}

// Short are the scenarios of the run that takes less than a minute.
func Short() []Scenario {
	return []Scenario{roundTrips(1), roundTrips(50), connects(20), bulk(4, false), bulk(4, true), idle(5000), wakeups()}
}

// All are those of the long run.
func All() []Scenario {
	all := []Scenario{roundTrips(1), roundTrips(50), roundTrips(1000), pipelined(50, 16), connects(20)}
	for _, splice := range []bool{false, true} {
		for _, conns := range []int{1, 10, 100} {
			all = append(all, bulk(conns, splice))
		}
	}
	for _, splice := range []bool{false, true} {
		for _, conns := range []int{1, 10, 100} {
			all = append(all, exchange(conns, splice))
		}
	}
	all = append(all, mix(4, 10), open(50), checked(open(50), 2000), storm(1000), slow(10), idle(5000), wakeups(),
		roam(roundTrips(8)), roam(roundTrips(50)), roam(connects(20)))
	return append(all, programs()...)
}

// Select keeps the scenarios whose name begins with one of the given names; no names keep all.
func Select(all []Scenario, names []string) ([]Scenario, error) {
	if len(names) == 0 {
		return all, nil
	}
	var out []Scenario
	used := make([]bool, len(names))
	for _, s := range all {
		keep := false
		for i, n := range names {
			if strings.HasPrefix(s.Name, n) {
				keep, used[i] = true, true
			}
		}
		if keep {
			out = append(out, s)
		}
	}
	if i := slices.Index(used, false); i >= 0 {
		var known []string
		for _, s := range all {
			known = append(known, s.Name)
		}
		return nil, fmt.Errorf("scenario %q: there are %s", names[i], strings.Join(known, ", "))
	}
	return out, nil
}

// applies tells whether a peer can take part at all.
func (s *Scenario) applies(p *peers.Peer) bool {
	return (!s.Splice || p.Splices) && (!s.proxied || p.Kind != peers.NoProxy) && (s.Checks == 0 || p.Kind == peers.HAProxyLike)
}
