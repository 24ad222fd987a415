package report

import (
	"encoding/json"
	"io"
	"time"
)

// Report is everything that a run gave: what JSON holds, and what the table is made from.
type Report struct {
	Host      Host       `json:"host"`
	Reference string     `json:"reference"` // the peer that ratios refer to
	Peers     []Peer     `json:"peers"`
	Scenarios []Scenario `json:"scenarios"`
	Samples   []Sample   `json:"samples"`
	Calls     []Calls    `json:"system_calls,omitempty"`
	Failures  []Failure  `json:"failures,omitempty"`
	Notes     []string   `json:"notes,omitempty"` // what could not be measured, and why
	Rows      []Row      `json:"rows"`
}

// Host says where the figures come from.
type Host struct {
	Time      time.Time `json:"time"`
	Kernel    string    `json:"kernel"`
	CPU       string    `json:"cpu"`
	CPUs      int       `json:"cpus"`
	Go        string    `json:"go"`
	Placement string    `json:"placement"` // who ran on which CPU
	Rounds    int       `json:"rounds"`
	Window    string    `json:"window"`
}

// Peer is one of the compared programs.
type Peer struct {
	Name    string `json:"name"`
	Version string `json:"version,omitempty"`
	Missing string `json:"missing,omitempty"` // why it is not in the table
}

// Unit is what a scenario's costs are divided by.
type Unit string

// The units.
const (
	PerOp      Unit = "op"
	PerGiB     Unit = "GiB"
	PerSession Unit = "session" // memory instead of CPU time
)

// Scenario is one kind of traffic.
type Scenario struct {
	Name  string `json:"name"`
	About string `json:"about"`
	Unit  Unit   `json:"unit"`
}

// Sample is one window of one peer, or one measurement of its memory.
type Sample struct {
	Scenario string `json:"scenario"`
	Peer     string `json:"peer"`
	Round    int    `json:"round"`

	Ops       uint64        `json:"ops,omitempty"`
	Bytes     uint64        `json:"bytes,omitempty"`
	Elapsed   time.Duration `json:"elapsed_ns,omitempty"`
	CPU       time.Duration `json:"cpu_ns,omitempty"` // of the proxy
	User      time.Duration `json:"user_ns,omitempty"`
	System    time.Duration `json:"system_ns,omitempty"`
	LoadCPU   time.Duration `json:"load_cpu_ns,omitempty"` // of client and server
	LatencyNs *Latency      `json:"latency_ns,omitempty"`

	Sessions    int   `json:"sessions,omitempty"`
	UserBytes   int64 `json:"user_bytes,omitempty"`   // of the proxy, above its baseline
	KernelBytes int64 `json:"kernel_bytes,omitempty"` // of the whole machine, above its baseline
}

// Latency holds percentiles in nanoseconds.
type Latency struct {
	P50  int64 `json:"p50"`
	P99  int64 `json:"p99"`
	P999 int64 `json:"p99_9"`
}

// Calls are the system calls of a proxy, counted in a window of their own.
type Calls struct {
	Scenario string            `json:"scenario"`
	Peer     string            `json:"peer"`
	Units    float64           `json:"units"` // operations or GiB in that window
	Counts   map[string]uint64 `json:"counts"`
}

// Failure is traffic that failed or came back wrong.
type Failure struct {
	Scenario string `json:"scenario"`
	Peer     string `json:"peer"`
	Error    string `json:"error"`
}

// Row is the summary of one peer in one scenario. Times are seconds, sizes bytes.
type Row struct {
	Scenario string  `json:"scenario"`
	Peer     string  `json:"peer"`
	Unit     Unit    `json:"unit"`
	Rate     Spread  `json:"rate"`      // units per second
	Cost     Spread  `json:"cost"`      // CPU time of the proxy, or user-space memory, per unit
	LoadCost Spread  `json:"load_cost"` // CPU time of client and server per unit
	Kernel   Spread  `json:"kernel"`    // memory of the whole machine's kernel per session
	UserPart float64 `json:"user_part"` // share of user space in the proxy's CPU time, 0 to 1
	P50      Spread  `json:"p50"`
	P99      Spread  `json:"p99"`
	P999     Spread  `json:"p99_9"`
	Ratio    Spread  `json:"ratio"` // of Cost to the reference's, round by round
}

func (s *Sample) units(u Unit) float64 {
	switch u {
	case PerGiB:
		return float64(s.Bytes) / (1 << 30)
	case PerSession:
		return float64(s.Sessions)
	default:
		return float64(s.Ops)
	}
}

// cost is what one unit cost the proxy.
func (s *Sample) cost(u Unit) float64 {
	n := s.units(u)
	switch {
	case n == 0:
		return 0
	case u == PerSession:
		return float64(s.UserBytes) / n
	default:
		return s.CPU.Seconds() / n
	}
}

// Summarise fills Rows from Samples, in the order of scenarios and peers.
func (r *Report) Summarise() {
	r.Rows = nil
	for _, sc := range r.Scenarios {
		costs := map[string]map[int]float64{}
		for i := range r.Samples {
			if s := &r.Samples[i]; s.Scenario == sc.Name {
				if costs[s.Peer] == nil {
					costs[s.Peer] = map[int]float64{}
				}
				costs[s.Peer][s.Round] = s.cost(sc.Unit)
			}
		}
		for _, p := range r.Peers {
			if costs[p.Name] != nil {
				row := r.row(sc, p.Name)
				row.Ratio = SpreadOf(Ratios(costs[p.Name], costs[r.Reference]))
				r.Rows = append(r.Rows, row)
			}
		}
	}
}

func (r *Report) row(sc Scenario, peer string) Row {
	var rate, cost, load, kernel, p50, p99, p999 []float64
	var user, system time.Duration
	for i := range r.Samples {
		s := &r.Samples[i]
		n := s.units(sc.Unit)
		if s.Scenario != sc.Name || s.Peer != peer || n == 0 {
			continue
		}
		cost = append(cost, s.cost(sc.Unit))
		user, system = user+s.User, system+s.System
		if sc.Unit == PerSession {
			kernel = append(kernel, float64(s.KernelBytes)/n)
			continue
		}
		rate = append(rate, n/s.Elapsed.Seconds())
		load = append(load, s.LoadCPU.Seconds()/n)
		if l := s.LatencyNs; l != nil {
			p50, p99, p999 = append(p50, float64(l.P50)/1e9), append(p99, float64(l.P99)/1e9), append(p999, float64(l.P999)/1e9)
		}
	}
	row := Row{
		Scenario: sc.Name, Peer: peer, Unit: sc.Unit,
		Rate: SpreadOf(rate), Cost: SpreadOf(cost), LoadCost: SpreadOf(load), Kernel: SpreadOf(kernel),
		P50: SpreadOf(p50), P99: SpreadOf(p99), P999: SpreadOf(p999),
	}
	if both := user + system; both > 0 {
		row.UserPart = float64(user) / float64(both)
	}
	return row
}

// JSON writes the report.
func (r *Report) JSON(w io.Writer) error {
	e := json.NewEncoder(w)
	e.SetIndent("", "  ")
	return e.Encode(r)
}
