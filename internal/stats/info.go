package stats

import (
	"bytes"
	"fmt"
	"io"
	"strconv"
	"time"
)

// Info is the state of the process as "show info" tells it. A count that nobody keeps is 0.
type Info struct {
	Name        string
	Version     string
	ReleaseDate string // year/month/day
	BuildInfo   string
	Node        string
	Description string // not shown when empty
	Pid         int
	Threads     int
	Started     time.Time
	BootTime    time.Duration // from the start of the process until it served

	MemMax     uint64 // bytes, 0: unlimited
	PoolAlloc  uint64 // bytes taken from the system
	PoolUsed   uint64 // bytes of them in use
	PoolFailed uint64

	OpenFileLimit int
	MaxSock       int // descriptors the process expects to need
	MaxConn       int
	HardMaxConn   int // what MaxConn may be raised to
	CurrConns     uint64
	CumConns      uint64
	CumReq        uint64
	MaxPipes      int
	PipesUsed     uint64
	PipesFree     uint64

	ConnRate      uint64 // per second, like all rates
	ConnRateLimit uint64
	MaxConnRate   uint64
	SessRate      uint64
	SessRateLimit uint64
	MaxSessRate   uint64

	Tasks             uint64
	RunQueue          uint64
	IdlePercent       int
	Stopping          bool
	Jobs              uint64
	UnstoppableJobs   uint64
	Listeners         uint64
	DroppedLogs       uint64
	BusyPolling       bool
	FailedResolutions uint64
	BytesOut          uint64
	SplicedBytesOut   uint64
	BytesOutRate      uint64

	Warnings       uint64 // since the start, shown or not
	MaxConnReached uint64
	CurrStreams    uint64
	CumStreams     uint64
}

// field is one line: a name and its value.
type field struct {
	name  string
	value any
}

// fields are the lines at a moment, in their order.
func (i *Info) fields(now time.Time) []field {
	up := max(now.Sub(i.Started), 0)
	list := []field{
		{"Name", i.Name},
		{"Version", i.Version},
		{"Release_date", i.ReleaseDate},
		{"Nbthread", i.Threads},
		{"Nbproc", 1},
		{"Process_num", 1},
		{"Pid", i.Pid},
		{"Uptime", uptime(up)},
		{"Uptime_sec", int64(up / time.Second)},
		{"Memmax_MB", i.MemMax >> 20},
		{"PoolAlloc_MB", i.PoolAlloc >> 20},
		{"PoolUsed_MB", i.PoolUsed >> 20},
		{"PoolFailed", i.PoolFailed},
		{"Ulimit-n", i.OpenFileLimit},
		{"Maxsock", i.MaxSock},
		{"Maxconn", i.MaxConn},
		{"Hard_maxconn", i.HardMaxConn},
		{"CurrConns", i.CurrConns},
		{"CumConns", i.CumConns},
		{"CumReq", i.CumReq},
		{"Maxpipes", i.MaxPipes},
		{"PipesUsed", i.PipesUsed},
		{"PipesFree", i.PipesFree},
		{"ConnRate", i.ConnRate},
		{"ConnRateLimit", i.ConnRateLimit},
		{"MaxConnRate", i.MaxConnRate},
		{"SessRate", i.SessRate},
		{"SessRateLimit", i.SessRateLimit},
		{"MaxSessRate", i.MaxSessRate},
		{"CompressBpsIn", 0},
		{"CompressBpsOut", 0},
		{"CompressBpsRateLim", 0},
		{"Tasks", i.Tasks},
		{"Run_queue", i.RunQueue},
		{"Idle_pct", i.IdlePercent},
		{"node", i.Node},
	}
	if i.Description != "" {
		list = append(list, field{"description", i.Description})
	}
	return append(
		list,
		field{"Stopping", i.Stopping},
		field{"Jobs", i.Jobs},
		field{"Unstoppable Jobs", i.UnstoppableJobs},
		field{"Listeners", i.Listeners},
		field{"ActivePeers", 0},
		field{"ConnectedPeers", 0},
		field{"DroppedLogs", i.DroppedLogs},
		field{"BusyPolling", i.BusyPolling},
		field{"FailedResolutions", i.FailedResolutions},
		field{"TotalBytesOut", i.BytesOut},
		field{"TotalSplicedBytesOut", i.SplicedBytesOut},
		field{"BytesOutRate", i.BytesOutRate},
		field{"DebugCommandsIssued", 0},
		field{"CumRecvLogs", 0},
		field{"Build info", i.BuildInfo},
		field{"Memmax_bytes", i.MemMax},
		field{"PoolAlloc_bytes", i.PoolAlloc},
		field{"PoolUsed_bytes", i.PoolUsed},
		field{"Start_time_sec", i.Started.Unix()},
		field{"Tainted", 0},
		field{"TotalWarnings", i.Warnings},
		field{"MaxconnReached", i.MaxConnReached},
		field{"BootTime_ms", i.BootTime.Milliseconds()},
		field{"Niced_tasks", 0},
		field{"CurrStreams", i.CurrStreams},
		field{"CumStreams", i.CumStreams},
		field{"BlockedTrafficWarnings", 0},
		field{"PatternsAdded", 0},
		field{"PatternsFreed", 0},
		field{"NbThreadGroups", 1},
	)
}

// WriteTo writes one "name: value" line for each field, as of now.
func (i *Info) WriteTo(w io.Writer) (int64, error) {
	var out bytes.Buffer
	i.AppendLines(&out, false, false)
	return out.WriteTo(w)
}

// AppendLines appends one "name: value" line for each field, as of now; with decimals where the value has
// some, and with a description of each when asked for.
func (i *Info) AppendLines(out *bytes.Buffer, decimals, described bool) {
	now := time.Now()
	for _, f := range i.fields(now) {
		value := f.String()
		if decimals {
			switch f.name {
			case "Uptime_sec":
				value = fmt.Sprintf("%.6f", max(now.Sub(i.Started), 0).Seconds())
			case "Start_time_sec":
				value = fmt.Sprintf("%.6f", float64(i.Started.UnixMicro())/1e6)
			}
		}
		out.WriteString(f.name + ": " + value)
		describe(out, infoFields[f.name].help, described)
		out.WriteByte('\n')
	}
}

// AppendTyped appends one line for each field, with its type.
func (i *Info) AppendTyped(out *bytes.Buffer, described bool) {
	for _, f := range i.fields(time.Now()) {
		about := infoFields[f.name]
		out.WriteString(strconv.Itoa(about.pos) + ".")
		typed(out, f.name, about.tags, about.kind.String(), f.String())
		describe(out, about.help, described)
		out.WriteByte('\n')
	}
}

// AppendJSON appends an array with an object for each field.
func (i *Info) AppendJSON(out *bytes.Buffer) {
	for n, f := range i.fields(time.Now()) {
		about := infoFields[f.name]
		if n == 0 {
			out.WriteString("[{")
		} else {
			out.WriteString(",{")
		}
		jsonValue(out, about.pos, f.name, about.tags, about.kind.String(), f.String())
	}
	out.WriteString("]\n")
}

func (f *field) String() string {
	switch v := f.value.(type) {
	case bool:
		if v {
			return "1"
		}
		return "0"
	case int:
		return strconv.FormatInt(int64(v), 10)
	case int64:
		return strconv.FormatInt(v, 10)
	case uint64:
		return strconv.FormatUint(v, 10)
	}
	return f.value.(string)
}

// uptime shows a duration as days, hours, minutes and seconds.
func uptime(d time.Duration) string {
	s := int64(d / time.Second)
	return fmt.Sprintf("%dd %dh%02dm%02ds", s/86400, s/3600%24, s/60%60, s%60)
}
