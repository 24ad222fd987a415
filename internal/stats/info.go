package stats

import (
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
	var text []byte
	for _, f := range i.fields(time.Now()) {
		text = append(text, f.name...)
		text = append(text, ": "...)
		switch v := f.value.(type) {
		case string:
			text = append(text, v...)
		case bool:
			text = append(text, '0')
			if v {
				text[len(text)-1] = '1'
			}
		case int:
			text = strconv.AppendInt(text, int64(v), 10)
		case int64:
			text = strconv.AppendInt(text, v, 10)
		case uint64:
			text = strconv.AppendUint(text, v, 10)
		}
		text = append(text, '\n')
	}
	n, err := w.Write(text)
	return int64(n), err
}

// uptime shows a duration as days, hours, minutes and seconds.
func uptime(d time.Duration) string {
	s := int64(d / time.Second)
	return fmt.Sprintf("%dd %dh%02dm%02ds", s/86400, s/3600%24, s/60%60, s%60)
}
