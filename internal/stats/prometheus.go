package stats

import (
	"bytes"
	"slices"
	"strconv"
	"strings"
	"time"
)

// metric is one of Prometheus: its name behind "haproxy_<object>_", the column it is read from, what
// the value is multiplied by, and the objects that have it.
type metric struct {
	name    string
	column  Column
	scale   float64
	objects int
}

const perMilli = 0.001

// The objects that a metric is about, as bits.
const (
	fe  = 1 << Frontend
	be  = 1 << Backend
	sv  = 1 << Server
	li  = 1 << Listener
	all = fe | be | sv | li
)

// metrics are HAProxy's. Counters are those whose name ends in "_total".
var metrics = [...]metric{
	{"current_queue", QCur, 1, be | sv},
	{"max_queue", QMax, 1, be | sv},
	{"queue_limit", Qlimit, 1, sv},
	{"current_sessions", SCur, 1, all},
	{"max_sessions", SMax, 1, all},
	{"limit_sessions", SLim, 1, all},
	{"sessions_total", STot, 1, all},
	{"bytes_in_total", BytesIn, 1, all},
	{"bytes_out_total", BytesOut, 1, all},
	{"requests_denied_total", Dreq, 1, fe | li | be},
	{"responses_denied_total", Dresp, 1, all},
	{"request_errors_total", Ereq, 1, fe | li},
	{"connection_errors_total", Econ, 1, be | sv},
	{"response_errors_total", Eresp, 1, be | sv},
	{"retry_warnings_total", Wretr, 1, be | sv},
	{"redispatch_warnings_total", Wredis, 1, be | sv},
	{"weight", Weight, 1, be | sv},
	{"uweight", Uweight, 1, be | sv},
	{"active_servers", Act, 1, be},
	{"backup_servers", Bck, 1, be},
	{"active", Act, 1, sv},
	{"backup", Bck, 1, sv},
	{"check_failures_total", Chkfail, 1, sv},
	{"check_up_down_total", Chkdown, 1, be | sv},
	{"check_last_change_seconds", Lastchg, 1, be | sv},
	{"check_code", CheckCode, 1, sv},
	{"check_duration_seconds", CheckDuration, perMilli, sv},
	{"agent_code", AgentCode, 1, sv},
	{"agent_duration_seconds", AgentDuration, perMilli, sv},
	{"downtime_seconds_total", Downtime, 1, be | sv},
	{"current_throttle", Throttle, 1, sv},
	{"loadbalanced_total", Lbtot, 1, be | sv},
	{"current_session_rate", Rate, 1, fe | be | sv},
	{"limit_session_rate", RateLim, 1, fe},
	{"max_session_rate", RateMax, 1, fe | be | sv},
	{"connections_rate_max", ConnRateMax, 1, fe},
	{"connections_total", ConnTot, 1, fe},
	{"denied_connections_total", Dcon, 1, fe | li},
	{"denied_sessions_total", Dses, 1, fe | li},
	{"client_aborts_total", CliAbrt, 1, be | sv},
	{"server_aborts_total", SrvAbrt, 1, be | sv},
	{"last_session_seconds", Lastsess, 1, be | sv},
	{"queue_time_average_seconds", Qtime, perMilli, be | sv},
	{"connect_time_average_seconds", Ctime, perMilli, be | sv},
	{"response_time_average_seconds", Rtime, perMilli, be | sv},
	{"total_time_average_seconds", Ttime, perMilli, be | sv},
	{"max_queue_time_seconds", QtimeMax, perMilli, be | sv},
	{"max_connect_time_seconds", CtimeMax, perMilli, be | sv},
	{"max_response_time_seconds", RtimeMax, perMilli, be | sv},
	{"max_total_time_seconds", TtimeMax, perMilli, be | sv},
	{"connection_attempts_total", Connect, 1, be | sv},
	{"connection_reuses_total", Reuse, 1, be | sv},
	{"idle_connections_current", SrvIcur, 1, sv},
	{"idle_connections_limit", SrcIlim, 1, sv},
	{"unsafe_idle_connections_current", IdleConnCur, 1, sv},
	{"safe_idle_connections_current", SafeConnCur, 1, sv},
	{"used_connections_current", UsedConnCur, 1, sv},
	{"need_connections_current", NeedConnEst, 1, sv},
	{"private_idle_connections_current", PrivIdleCur, 1, sv},
	{"failed_header_rewriting_total", Wrew, 1, all},
	{"internal_errors_total", Eint, 1, all},
	{"req_bytes_in_total", Reqbin, 1, all},
	{"req_bytes_out_total", Reqbout, 1, all},
	{"res_bytes_in_total", Resbin, 1, all},
	{"res_bytes_out_total", Resbout, 1, all},
}

// states are what "status" of an object can be: one of them is 1, the others 0.
var states = [...][]string{
	Frontend: {"DOWN", "UP"}, Backend: {"DOWN", "UP"}, Listener: {"WAITING", "OPEN", "FULL"},
	Server: {"DOWN", "UP", "MAINT", "DRAIN", "NOLB"},
}

// agentStates are what "agent_status" of a server can be.
var agentStates = append([]string{"CHECKED"}, checkStates...)

// checkStates are what "check_status" of a server can be.
var checkStates = []string{
	"HANA", "SOCKERR", "L4OK", "L4TOUT", "L4CON", "L6OK", "L6TOUT", "L6RSP", "L7TOUT", "L7RSP", "L7OK", "L7OKC", "L7STS",
	"PROCERR", "PROCTOUT", "PROCOK",
}

// state is the one that a row is in.
func (r *Row) state() string {
	word, _, _ := strings.Cut(r.values[Status].text, " ")
	switch {
	case r.Object == Frontend && word == "OPEN", r.Object == Server && word == "no":
		return "UP"
	case r.Object == Frontend:
		return "DOWN"
	}
	return word
}

// AppendMetrics appends the rows of the wanted objects, one bit for each, in the text format of Prometheus. The metrics
// of a backend also count its servers by their states, as far as they are among the rows.
func AppendMetrics(out *bytes.Buffer, rows []Row, wanted int) {
	for _, o := range [...]Object{Frontend, Listener, Backend, Server} {
		if wanted>>o&1 == 0 {
			continue
		}
		of := make([]*Row, 0, len(rows))
		for i := range rows {
			if rows[i].Object == o {
				of = append(of, &rows[i])
			}
		}
		if len(of) == 0 {
			continue
		}
		prefix := "haproxy_" + strings.ToLower(o.String()) + "_"
		for _, m := range metrics {
			if m.objects>>o&1 == 0 || !slices.ContainsFunc(of, func(r *Row) bool { return r.Has(m.column) }) {
				continue
			}
			Family(out, prefix+m.name, columns[m.column].help)
			for _, r := range of {
				if r.Has(m.column) {
					sample(out, prefix+m.name, r.labels(), float64(r.Number(m.column))*m.scale)
				}
			}
		}
		Family(out, prefix+"status", columns[Status].help)
		for _, r := range of {
			r.oneOf(out, prefix+"status", states[o], r.state())
		}
		if o == Backend {
			census(out, rows, of)
		}
		if o != Server {
			continue
		}
		outcomes(out, of, prefix+"check_status", CheckStatus, checkStates)
		outcomes(out, of, prefix+"agent_status", AgentStatus, agentStates)
	}
}

// outcomes tells what checks found, of the servers that have such checks.
func outcomes(out *bytes.Buffer, of []*Row, name string, c Column, all []string) {
	if !slices.ContainsFunc(of, func(r *Row) bool { return r.Has(c) }) {
		return
	}
	Family(out, name, columns[c].help)
	for _, r := range of {
		if r.Has(c) {
			r.oneOf(out, name, all, strings.TrimPrefix(r.Text(c), "* "))
		}
	}
}

// census counts the servers of backends, and the outcomes of their checks. Two metrics say the same: the second was
// misnamed, and dashboards use it.
func census(out *bytes.Buffer, rows []Row, backends []*Row) {
	check := func(r *Row) string { return strings.TrimPrefix(r.Text(CheckStatus), "* ") }
	for _, m := range []struct {
		name   string
		column Column
		all    []string
		state  func(*Row) string
	}{
		{"haproxy_backend_agg_server_status", AggServerStatus, states[Server], (*Row).state},
		{"haproxy_backend_agg_server_check_status", AggServerCheckStatus, states[Server], (*Row).state},
		{"haproxy_backend_agg_check_status", AggCheckStatus, checkStates, check},
	} {
		type group struct {
			proxy int
			state string
		}
		servers := map[group]int{}
		for i := range rows {
			if r := &rows[i]; r.Object == Server {
				servers[group{r.ProxyID, m.state(r)}]++
			}
		}
		Family(out, m.name, columns[m.column].help)
		for _, b := range backends {
			for _, state := range m.all {
				sample(out, m.name, append(b.labels(), "state", state), float64(servers[group{b.ProxyID, state}]))
			}
		}
	}
}

func (r *Row) oneOf(out *bytes.Buffer, name string, all []string, is string) {
	for _, state := range all {
		v := 0.0
		if state == is {
			v = 1
		}
		sample(out, name, append(r.labels(), "state", state), v)
	}
}

func (r *Row) labels() []string {
	labels := []string{"proxy", r.Text(PxName)}
	switch r.Object {
	case Server:
		labels = append(labels, "server", r.Text(SvName))
	case Listener:
		labels = append(labels, "listener", r.Text(SvName))
	}
	return labels
}

// processMetrics are the names of fields of "show info" as metrics, in the order of the fields.
var processMetrics = map[string]string{
	"Nbthread": "nbthread", "Nbproc": "nbproc", "Process_num": "relative_process_id", "Uptime_sec": "uptime_seconds",
	"PoolFailed": "pool_failures_total", "Ulimit-n": "max_fds", "Maxsock": "max_sockets", "Maxconn": "max_connections",
	"Hard_maxconn": "hard_max_connections", "CurrConns": "current_connections", "CumConns": "connections_total",
	"CumReq": "requests_total", "Maxpipes": "max_pipes", "PipesUsed": "pipes_used_total", "PipesFree": "pipes_free_total",
	"ConnRate": "current_connection_rate", "ConnRateLimit": "limit_connection_rate", "MaxConnRate": "max_connection_rate",
	"SessRate": "current_session_rate", "SessRateLimit": "limit_session_rate", "MaxSessRate": "max_session_rate",
	"Tasks": "current_tasks", "Run_queue": "current_run_queue", "Idle_pct": "idle_time_percent", "Stopping": "stopping",
	"Jobs": "jobs", "Unstoppable Jobs": "unstoppable_jobs", "Listeners": "listeners", "ActivePeers": "active_peers",
	"ConnectedPeers": "connected_peers", "DroppedLogs": "dropped_logs_total", "BusyPolling": "busy_polling_enabled",
	"FailedResolutions": "failed_resolutions", "TotalBytesOut": "bytes_out_total", "TotalSplicedBytesOut": "spliced_bytes_out_total",
	"BytesOutRate": "bytes_out_rate", "CumRecvLogs": "recv_logs_total", "Memmax_bytes": "max_memory_bytes",
	"PoolAlloc_bytes": "pool_allocated_bytes", "PoolUsed_bytes": "pool_used_bytes", "Start_time_sec": "start_time_seconds",
	"TotalWarnings": "total_warnings", "PatternsAdded": "patterns_added_total", "PatternsFreed": "patterns_freed_total",
	"NbThreadGroups": "nb_thread_groups",
}

// AppendMetrics appends the state of the process in the text format of Prometheus.
func (i *Info) AppendMetrics(out *bytes.Buffer) {
	for _, f := range i.fields(time.Now()) {
		name, known := processMetrics[f.name]
		if !known {
			continue
		}
		name = "haproxy_process_" + name
		Family(out, name, infoFields[f.name].help)
		v, err := strconv.ParseFloat(f.String(), 64)
		if err != nil {
			v = 0
		}
		sample(out, name, nil, v)
	}
	Family(out, "haproxy_process_node", infoFields["node"].help)
	sample(out, "haproxy_process_node", []string{"node", i.Node}, 1)
	Family(out, "haproxy_process_build_info", infoFields["Build info"].help)
	sample(out, "haproxy_process_build_info", []string{"version", i.Version}, 1)
}

// Family begins a metric: a counter when its name ends in "_total", otherwise a gauge. The help must be plain text.
func Family(out *bytes.Buffer, name, help string) {
	kind := "gauge"
	if strings.HasSuffix(name, "_total") {
		kind = "counter"
	}
	out.WriteString("# HELP " + name + " " + strings.ToUpper(help[:1]) + help[1:] + ".\n# TYPE " + name + " " + kind + "\n")
}

// Sample appends one value of the metric begun last. The labels are names and values in turn.
func Sample(out *bytes.Buffer, name string, value float64, labels ...string) {
	sample(out, name, labels, value)
}

var labelEscapes = strings.NewReplacer(`\`, `\\`, `"`, `\"`, "\n", `\n`)

func sample(out *bytes.Buffer, name string, labels []string, value float64) {
	out.WriteString(name)
	for i := 0; i+1 < len(labels); i += 2 {
		if i == 0 {
			out.WriteByte('{')
		} else {
			out.WriteByte(',')
		}
		out.WriteString(labels[i] + `="` + labelEscapes.Replace(strings.ToValidUTF8(labels[i+1], "\uFFFD")) + `"`)
	}
	if len(labels) > 1 {
		out.WriteByte('}')
	}
	out.WriteByte(' ')
	out.WriteString(strconv.FormatFloat(value, 'f', -1, 64))
	out.WriteByte('\n')
}

// Handovers are what this process took over from older ones, and what it gave away.
type Handovers struct {
	Generation      int           // takeovers since the first process
	In, Out, Lost   uint64        // sessions; Lost: nobody knows whether the other process has them
	Took            time.Duration // from ready to the last session of the last takeover; 0: there was none, or it goes on
	Migrated, Stuck uint64        // connections that waited at a listener that was closed: moved to another one, or not
}

// AppendMetrics appends them in the text format of Prometheus.
func (h *Handovers) AppendMetrics(out *bytes.Buffer) {
	for _, m := range []struct {
		name, help string
		value      float64
	}{
		{"penstock_generation", "takeovers since the first process", float64(h.Generation)},
		{"penstock_handover_sessions_in_total", "sessions taken over from older processes", float64(h.In)},
		{"penstock_handover_sessions_out_total", "sessions given to a younger process", float64(h.Out)},
		{"penstock_handover_sessions_lost_total", "sessions of which nobody knows whether they arrived in the younger process", float64(h.Lost)},
		{"penstock_handover_duration_seconds", "time from ready to the last session of the last takeover", h.Took.Seconds()},
		{"penstock_kernel_migrations_total", "connections that the kernel moved from a closed listener to another one, in this network namespace", float64(h.Migrated)},
		{"penstock_kernel_migration_failures_total", "connections that the kernel could not move from a closed listener, in this network namespace", float64(h.Stuck)},
	} {
		Family(out, m.name, m.help)
		sample(out, m.name, nil, m.value)
	}
}
