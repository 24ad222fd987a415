package scenarios

import (
	"fmt"
	"net/netip"
	"slices"
	"strings"

	"github.com/penstock/penstock/bench/load"
	"github.com/penstock/penstock/bench/report"
)

// Scenario is one kind of traffic with its size.
type Scenario struct {
	Name   string
	About  string
	Unit   report.Unit
	Conns  int
	Splice bool // the proxies are told to splice
	// MaxRounds limits the rounds of what hardly varies; 0 is no limit.
	MaxRounds int

	drive  func(*load.Rig, load.Plan) (load.Window, error) // nil: sessions at rest, memory is measured
	stream bool                                            // the source answers, not the echo server
}

const messageSize = 64

func roundTrips(conns int) Scenario {
	return Scenario{
		Name:  fmt.Sprintf("roundtrip-%d", conns),
		About: fmt.Sprintf("%d bytes there and back on %s", messageSize, plural(conns, "open connection")),
		Unit:  report.PerOp, Conns: conns, drive: (*load.Rig).RoundTrips,
	}
}

func connects(conns int) Scenario {
	return Scenario{
		Name:  fmt.Sprintf("connect-%d", conns),
		About: fmt.Sprintf("connect, %d bytes there and back, close; %d at a time", messageSize, conns),
		Unit:  report.PerOp, Conns: conns, drive: (*load.Rig).Connects,
	}
}

func bulk(conns int, splice bool) Scenario {
	s := Scenario{
		Name:  fmt.Sprintf("bulk-%d", conns),
		About: plural(conns, "stream") + " from the server, nothing configured about splice",
		Unit:  report.PerGiB, Conns: conns, drive: (*load.Rig).Streams, stream: true,
	}
	if splice {
		s.Name = fmt.Sprintf("bulk-splice-%d", conns)
		s.About = plural(conns, "stream") + " from the server, `option splice-request` and `splice-response`"
		s.Splice = true
	}
	return s
}

func idle(conns int) Scenario {
	return Scenario{
		Name:  fmt.Sprintf("idle-%d", conns),
		About: fmt.Sprintf("%d sessions at rest after one round trip; PSS above the baseline", conns),
		Unit:  report.PerSession, Conns: conns, MaxRounds: 2,
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
	return []Scenario{roundTrips(1), roundTrips(50), connects(20), bulk(4, false), bulk(4, true), idle(5000)}
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

// server is the end of the rig that a scenario talks to.
func (s *Scenario) server(r *load.Rig) netip.AddrPort {
	if s.stream {
		return r.Source
	}
	return r.Echo
}
