package scenarios

import (
	"bytes"
	"context"
	"encoding/csv"
	"encoding/json"
	"errors"
	"fmt"
	"net/netip"
	"os/exec"
	"regexp"
	"strconv"
	"strings"
	"time"

	"github.com/penstock/penstock/bench/peers"
	"github.com/penstock/penstock/bench/place"
	"github.com/penstock/penstock/bench/report"
)

// program is a client that others wrote, as a second opinion: it costs more than what it measures, but
// it is what people use. It says itself how much it did.
type program struct {
	command string // looked up in the path
	route   string // its server: a name of backends
	args    func(to netip.AddrPort, window time.Duration) []string
	parse   func(output []byte, window time.Duration) (report.Sample, error)
}

// programConns is the largest number of connections that a program opens.
const programConns = 50

func programs() []Scenario {
	const threads = 8
	redis := func(batch int) *program {
		// redis-benchmark wants a number of requests, not a time.
		requests := func(window time.Duration) int { return max(1000, int(window.Seconds()*50_000)*batch) }
		return &program{
			command: "redis-benchmark", route: toRedis,
			parse: func(output []byte, window time.Duration) (report.Sample, error) {
				return parseRedisBenchmark(output, requests(window))
			},
			args: func(to netip.AddrPort, window time.Duration) []string {
				return []string{
					"-h", to.Addr().String(), "-p", fmt.Sprint(to.Port()), "-c", fmt.Sprint(programConns),
					"-n", fmt.Sprint(requests(window)), "-P", fmt.Sprint(batch), "-d", fmt.Sprint(messageSize), "-t", "get", "--csv",
				}
			},
		}
	}
	seconds := func(window time.Duration) string { return fmt.Sprint(max(1, int(window.Round(time.Second).Seconds()))) }
	scenario := func(name, about string, unit report.Unit, p *program) Scenario {
		return Scenario{Name: "real-" + name, About: about, Unit: unit, Windows: 2, measure: (*run).program, program: p}
	}
	return []Scenario{
		scenario("redis", fmt.Sprintf("redis-benchmark: GET on %d connections", programConns), report.PerOp, redis(1)),
		scenario("redis-pipeline", fmt.Sprintf("redis-benchmark: GET on %d connections, 16 at once", programConns), report.PerOp, redis(16)),
		scenario("sysbench", fmt.Sprintf("sysbench oltp_point_select on MariaDB, %d threads", threads), report.PerOp, &program{
			command: "sysbench", route: toMariaDB, parse: parseSysbench,
			args: func(to netip.AddrPort, window time.Duration) []string {
				return append(sysbench(to), "--threads="+fmt.Sprint(threads), "--time="+seconds(window), "--percentile=99", "run")
			},
		}),
		scenario("iperf3", "iperf3: 4 streams from the server", report.PerGiB, &program{
			command: "iperf3", route: toIperf3, parse: parseIperf3,
			args: func(to netip.AddrPort, window time.Duration) []string {
				return []string{"-c", to.Addr().String(), "-p", fmt.Sprint(to.Port()), "-J", "-R", "-P", "4", "-t", seconds(window)}
			},
		}),
	}
}

func sysbench(to netip.AddrPort) []string {
	return []string{
		"oltp_point_select", "--db-driver=mysql", "--mysql-host=" + to.Addr().String(), "--mysql-port=" + fmt.Sprint(to.Port()),
		"--mysql-user=root", "--mysql-db=" + sysbenchDatabase, "--tables=1", "--table-size=1000", "--db-ps-mode=disable",
	}
}

// errNoProgram says that a program or its server is not there.
var errNoProgram = errors.New("not installed")

// program measures a run of a real program.
func (r *run) program(ctx context.Context, s *Scenario, p *peers.Peer) (report.Sample, error) {
	st, err := r.stage(s)
	if err != nil {
		return report.Sample{}, err
	}
	path, err := exec.LookPath(s.program.command)
	if err != nil {
		return report.Sample{}, fmt.Errorf("%s: %w", s.program.command, errNoProgram)
	}
	if r.backends == nil {
		r.Progress("starting the servers of real programs")
		r.backends = startBackends(ctx, r.Dir, st.place)
	}
	if err := r.backends.missing[s.program.route]; err != nil {
		return report.Sample{}, fmt.Errorf("%w: %w", errNoProgram, err)
	}
	px, err := r.proxy(ctx, s, p)
	if err != nil {
		return report.Sample{}, err
	}
	m := &meter{px: px}
	m.begin()
	output, err := retry(ctx, func() ([]byte, error) {
		return runProgram(ctx, st.place.Client, path, s.program.args(px.to[s.program.route], r.window(s))...)
	})
	m.end()
	if err != nil {
		return report.Sample{}, err
	}
	used, err := m.sample()
	if err != nil {
		return report.Sample{}, err
	}
	sample, err := s.program.parse(output, r.window(s))
	if err != nil {
		return report.Sample{}, fmt.Errorf("%s: %w", s.program.command, err)
	}
	sample.CPU, sample.User, sample.System = used.CPU, used.User, used.System
	sample.MachineCPU, sample.Switches = used.MachineCPU, used.Switches
	return sample, nil
}

// notReady is what iperf3 says while its server takes leave of the last client, with a status of 0 or another. The
// server closes its listener then, and opens it anew for the next one.
var notReady = regexp.MustCompile("the server is busy|unable to (connect|send cookie|receive control message)|control socket has closed")

const readyTries = 200

// retry repeats what came to nothing because the server was not ready.
func retry(ctx context.Context, f func() ([]byte, error)) ([]byte, error) {
	for try := 0; ; try++ {
		out, err := f()
		if try == readyTries || ctx.Err() != nil || !notReady.Match(out) {
			return out, err
		}
		time.Sleep(50 * time.Millisecond)
	}
}

// runProgram runs a command in a place to its end and returns what it printed.
func runProgram(ctx context.Context, at place.Party, path string, args ...string) ([]byte, error) {
	var out, errs bytes.Buffer
	cmd := exec.CommandContext(ctx, path, args...)
	cmd.Stdout, cmd.Stderr = &out, &errs
	if err := at.Do(cmd.Start); err != nil {
		return nil, fmt.Errorf("start %s: %w", path, err)
	}
	if err := cmd.Wait(); err != nil {
		said := bytes.TrimSpace(append(errs.Bytes(), out.Bytes()...))
		return out.Bytes(), fmt.Errorf("%s: %w: %s", path, err, said[:min(len(said), 500)])
	}
	return out.Bytes(), nil
}

// parseRedisBenchmark reads redis-benchmark --csv, a heading and a line of a test, which does not tell
// the number of requests.
func parseRedisBenchmark(output []byte, requests int) (report.Sample, error) {
	rows, err := csv.NewReader(bytes.NewReader(output)).ReadAll()
	if err != nil {
		return report.Sample{}, err
	}
	if len(rows) < 2 {
		return report.Sample{}, errors.New("no result")
	}
	value := map[string]float64{}
	for i, name := range rows[0] {
		if v, err := strconv.ParseFloat(rows[1][i], 64); err == nil {
			value[name] = v
		}
	}
	elapsed, err := plausible(float64(requests), float64(requests)/value["rps"])
	if err != nil {
		return report.Sample{}, err
	}
	const ms = 1e6
	return report.Sample{
		Ops: uint64(requests), Elapsed: elapsed,
		LatencyNs: &report.Latency{P50: int64(value["p50_latency_ms"] * ms), P99: int64(value["p99_latency_ms"] * ms)},
	}, nil
}

// plausible gives the time that a program took for something, unless either is nothing or beyond all measure.
func plausible(amount, seconds float64) (time.Duration, error) {
	if !(amount >= 1 && amount < 1e18 && seconds >= 1e-6 && seconds < 1e6) {
		return 0, fmt.Errorf("%g in %g seconds is no result", amount, seconds)
	}
	return time.Duration(seconds * float64(time.Second)), nil
}

var (
	sysbenchOps  = regexp.MustCompile(`transactions:\s+(\d+)`)
	sysbenchTime = regexp.MustCompile(`total time:\s+([\d.]+)s`)
	sysbenchP99  = regexp.MustCompile(`99th percentile:\s+([\d.]+)`)
)

// parseSysbench reads the summary of sysbench.
func parseSysbench(output []byte, _ time.Duration) (report.Sample, error) {
	var v [3]float64
	for i, re := range []*regexp.Regexp{sysbenchOps, sysbenchTime, sysbenchP99} {
		m := re.FindSubmatch(output)
		if m == nil {
			return report.Sample{}, fmt.Errorf("no %q in its summary", strings.SplitN(re.String(), ":", 2)[0])
		}
		var err error
		if v[i], err = strconv.ParseFloat(string(m[1]), 64); err != nil {
			return report.Sample{}, err
		}
	}
	elapsed, err := plausible(v[0], v[1])
	if err != nil {
		return report.Sample{}, err
	}
	return report.Sample{
		Ops: uint64(v[0]), Elapsed: elapsed,
		LatencyNs: &report.Latency{P99: int64(v[2] * 1e6)},
	}, nil
}

// parseIperf3 reads iperf3 -J.
func parseIperf3(output []byte, _ time.Duration) (report.Sample, error) {
	var v struct {
		End struct {
			Received struct {
				Bytes   float64 `json:"bytes"`
				Seconds float64 `json:"seconds"`
			} `json:"sum_received"`
		} `json:"end"`
		Error string `json:"error"`
	}
	if err := json.Unmarshal(output, &v); err != nil {
		return report.Sample{}, err
	}
	if v.Error != "" {
		return report.Sample{}, errors.New(v.Error)
	}
	elapsed, err := plausible(v.End.Received.Bytes, v.End.Received.Seconds)
	if err != nil {
		return report.Sample{}, err
	}
	return report.Sample{Bytes: uint64(v.End.Received.Bytes), Elapsed: elapsed}, nil
}
