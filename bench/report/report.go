package report

import (
	"encoding/json"
	"io"
	"maps"
	"slices"
	"time"
)

// Report is everything that a run gave: what JSON holds, and what the table is made from.
type Report struct {
	Host      Host       `json:"host"`
	Reference string     `json:"reference"` // the peer that ratios refer to,
	Limit     string     `json:"limit"`     // and the one that is as cheap as it gets
	Peers     []Peer     `json:"peers"`
	Scenarios []Scenario `json:"scenarios"`
	Samples   []Sample   `json:"samples"`
	Calls     []Calls    `json:"system_calls,omitempty"`
	Failures  []Failure  `json:"failures,omitempty"`
	Notes     []string   `json:"notes,omitempty"` // what could not be measured, and why
	Rows      []Row      `json:"rows"`
	Targets   []Verdict  `json:"targets,omitempty"`
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
	PerSecond  Unit = "s"       // wake-ups instead of CPU time
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

	Ops         uint64        `json:"ops,omitempty"`
	Bytes       uint64        `json:"bytes,omitempty"`
	Elapsed     time.Duration `json:"elapsed_ns,omitempty"`
	OfferedRate float64       `json:"offered_rate,omitempty"` // of an open loop, operations a second
	CPU         time.Duration `json:"cpu_ns,omitempty"`       // of the proxy
	User        time.Duration `json:"user_ns,omitempty"`
	System      time.Duration `json:"system_ns,omitempty"`
	LoadCPU     time.Duration `json:"load_cpu_ns,omitempty"`    // of client and server
	MachineCPU  time.Duration `json:"machine_cpu_ns,omitempty"` // of everything that ran
	Switches    uint64        `json:"switches,omitempty"`       // context switches of the proxy
	LatencyNs   *Latency      `json:"latency_ns,omitempty"`

	Sessions    int   `json:"sessions,omitempty"`
	UserBytes   int64 `json:"user_bytes,omitempty"`   // of the proxy, above its baseline
	KernelBytes int64 `json:"kernel_bytes,omitempty"` // of the whole machine, above its baseline

	Wakeups       uint64 `json:"wakeups,omitempty"`        // of all threads of an idle proxy
	WorkerWakeups uint64 `json:"worker_wakeups,omitempty"` // of those that carry traffic
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
	UserPart float64 `json:"user_part"` // share of user space in the proxy's CPU time, 0 to 1
	// By metric, where the scenario has it; then the ratios to the reference and to the limit, round by
	// round.
	Values  map[Metric]Spread `json:"values"`
	Ratios  map[Metric]Spread `json:"ratios,omitempty"`
	ToLimit map[Metric]Spread `json:"ratios_to_limit,omitempty"`
}

// Metric is one kind of figure.
type Metric string

// The metrics. Costs are for each unit of the scenario.
const (
	Rate     Metric = "rate"          // units a second
	Beside   Metric = "beside"        // GiB a second of the streams of a mix
	CPU      Metric = "cpu"           // CPU time of the proxy
	LoadCPU  Metric = "load_cpu"      // of client and server
	Machine  Metric = "machine_cpu"   // of the whole machine
	Together Metric = "cpu_with_load" // CPU and LoadCPU: the machine's without what else it does
	Switches Metric = "switches"      // context switches of the proxy
	P50      Metric = "p50"
	P99      Metric = "p99"
	P999     Metric = "p99.9"
	Memory   Metric = "memory" // of user space, for each session
	Kernel   Metric = "kernel" // memory of the whole machine's kernel, for each session
	Wakeups  Metric = "wakeups"
	Workers  Metric = "worker_wakeups"
)

// Metrics are all of them.
var Metrics = []Metric{Rate, Beside, CPU, LoadCPU, Machine, Together, Switches, P50, P99, P999, Memory, Kernel, Wakeups, Workers}

func (s *Sample) units(u Unit) float64 {
	switch u {
	case PerGiB:
		return float64(s.Bytes) / (1 << 30)
	case PerSession:
		return float64(s.Sessions)
	case PerSecond:
		return s.Elapsed.Seconds()
	default:
		return float64(s.Ops)
	}
}

// values are the figures that one sample holds.
func (s *Sample) values(u Unit) map[Metric]float64 {
	v := map[Metric]float64{}
	n := s.units(u)
	if n == 0 {
		return v
	}
	if s.Sessions > 0 {
		v[Memory] = float64(s.UserBytes) / float64(s.Sessions)
	}
	switch u {
	case PerSession:
		v[Kernel] = float64(s.KernelBytes) / n
		return v
	case PerSecond:
		v[Wakeups], v[Workers] = float64(s.Wakeups)/n, float64(s.WorkerWakeups)/n
		return v
	}
	v[Rate] = n / s.Elapsed.Seconds()
	if l := s.LatencyNs; l != nil {
		for m, ns := range map[Metric]int64{P50: l.P50, P99: l.P99, P999: l.P999} {
			if ns > 0 { // real programs do not tell all of them
				v[m] = float64(ns) / 1e9
			}
		}
	}
	if u == PerOp && s.Bytes > 0 { // a mix, whose costs belong to neither of its parts
		v[Beside] = float64(s.Bytes) / (1 << 30) / s.Elapsed.Seconds()
		return v
	}
	v[CPU], v[LoadCPU], v[Machine] = s.CPU.Seconds()/n, s.LoadCPU.Seconds()/n, s.MachineCPU.Seconds()/n
	if s.LoadCPU > 0 {
		v[Together] = v[CPU] + v[LoadCPU]
	}
	v[Switches] = float64(s.Switches) / n
	return v
}

// rounds are the figures of one peer in one scenario by metric and round.
type rounds map[Metric]map[int]float64

// Summarise fills Rows from Samples, in the order of scenarios and peers, and Targets from Rows.
func (r *Report) Summarise() {
	r.Rows, r.Targets = nil, nil
	for _, sc := range r.Scenarios {
		by := map[string]rounds{}
		user, both := map[string]time.Duration{}, map[string]time.Duration{}
		for i := range r.Samples {
			s := &r.Samples[i]
			if s.Scenario != sc.Name {
				continue
			}
			if by[s.Peer] == nil {
				by[s.Peer] = rounds{}
			}
			user[s.Peer] += s.User
			both[s.Peer] += s.User + s.System
			for m, v := range s.values(sc.Unit) {
				if by[s.Peer][m] == nil {
					by[s.Peer][m] = map[int]float64{}
				}
				by[s.Peer][m][s.Round] = v
			}
		}
		for _, p := range r.Peers {
			if len(by[p.Name]) == 0 {
				continue
			}
			row := Row{Scenario: sc.Name, Peer: p.Name, Unit: sc.Unit, Values: map[Metric]Spread{}, Ratios: map[Metric]Spread{}, ToLimit: map[Metric]Spread{}}
			if both[p.Name] > 0 {
				row.UserPart = float64(user[p.Name]) / float64(both[p.Name])
			}
			for m, of := range by[p.Name] {
				row.Values[m] = SpreadOf(slices.Collect(maps.Values(of)))
				for name, into := range map[string]map[Metric]Spread{r.Reference: row.Ratios, r.Limit: row.ToLimit} {
					if s := SpreadOf(Ratios(of, by[name][m])); s.N > 0 {
						into[m] = s
					}
				}
			}
			r.Rows = append(r.Rows, row)
		}
	}
	r.judge()
}

// row is the summary of a peer in a scenario, nil when there is none.
func (r *Report) row(scenario, peer string) *Row {
	for i := range r.Rows {
		if row := &r.Rows[i]; row.Scenario == scenario && row.Peer == peer {
			return row
		}
	}
	return nil
}

// JSON writes the report.
func (r *Report) JSON(w io.Writer) error {
	e := json.NewEncoder(w)
	e.SetIndent("", "  ")
	return e.Encode(r)
}
