package report

import "fmt"

// Target is what Penstock promises of one figure.
type Target struct {
	Name     string  `json:"name"`
	Scenario string  `json:"scenario"`
	Metric   Metric  `json:"metric"`
	Against  Against `json:"against"`
	Limit    float64 `json:"limit"`
}

// Against says what a target's limit refers to.
type Against string

// A limit is a ratio to one of two peers in the same run, or a figure in the metric's own unit.
const (
	ToReference Against = "reference"
	ToLimit     Against = "limit"
	Absolute    Against = "absolute"
)

// Targets are all of them. The peer is Penstock; proxies have a CPU of their own, except where they
// roam.
var Targets = []Target{
	{"CPU per small round trip, 50 connections", "roundtrip-50", CPU, ToReference, 0.90},
	{"CPU per small round trip, 50 connections", "roundtrip-50", CPU, ToLimit, 1.03},
	{"CPU per connect-request-response-close", "connect-20", CPU, ToReference, 0.95},
	{"CPU per connect-request-response-close", "connect-20", CPU, ToLimit, 1.03},
	{"CPU per GiB, 1 stream, splice", "bulk-splice-1", CPU, ToReference, 0.95},
	{"CPU per GiB, 10 streams, splice", "bulk-splice-10", CPU, ToReference, 0.95},
	{"CPU per GiB, 1 stream, default configuration", "bulk-1", CPU, ToReference, 0.45},
	{"CPU per GiB, 10 streams, default configuration", "bulk-10", CPU, ToReference, 0.45},
	{"p99 of a small round trip beside 4 bulk streams", "mix-4", P99, ToReference, 0.80},
	{"p99 at 70 % of saturation, 50 connections", "open-50", P99, ToReference, 1.00},
	{"p99.9 at 70 % of saturation, 50 connections", "open-50", P999, ToReference, 1.00},
	{"user-space memory per idle session, 5,000 of them", "idle-5000", Memory, Absolute, 512},
	{"wake-ups of workers per second, idle process", "wakeups", Workers, Absolute, 0},
	{"two workers: machine CPU per round trip, 8 connections", "roam-8", Machine, ToReference, 0.88},
	{"two workers: machine CPU per round trip, 50 connections", "roam-50", Machine, ToReference, 0.88},
	{"two workers: machine CPU per connection", "roam-connect-20", Machine, ToReference, 1.00},
}

// Verdict is a target and what was measured. It never fails a run.
type Verdict struct {
	Target
	Measured Spread `json:"measured"` // N is 0 when it was not
	Held     bool   `json:"held"`     // by the median
}

// Judged is the peer that targets are about.
const Judged = "penstock"

// judge compares the rows with the targets of the scenarios that were run.
func (r *Report) judge() {
	for _, t := range Targets {
		row := r.row(t.Scenario, Judged)
		if row == nil {
			continue
		}
		values := row.Values
		switch t.Against {
		case ToReference:
			values = row.Ratios
		case ToLimit:
			values = row.ToLimit
		}
		v := Verdict{Target: t, Measured: values[t.Metric]}
		v.Held = v.Measured.N > 0 && v.Measured.Median <= t.Limit
		r.Targets = append(r.Targets, v)
	}
}

// limit is the target's limit in words.
func (r *Report) limit(t *Target) string {
	switch t.Against {
	case ToReference:
		return fmt.Sprintf("≤ %.2f × %s", t.Limit, r.Reference)
	case ToLimit:
		return fmt.Sprintf("≤ %.2f × %s", t.Limit, r.Limit)
	}
	if t.Limit == 0 {
		return "0"
	}
	return "≤ " + t.Metric.format(t.Limit)
}

func (v *Verdict) outcome() string {
	switch {
	case v.Measured.N == 0:
		return "not measured"
	case v.Held:
		return "held"
	default:
		return "not held"
	}
}
