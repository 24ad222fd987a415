package stats

import (
	"bytes"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

const infoOrder = `Name Version Release_date Nbthread Nbproc Process_num Pid Uptime Uptime_sec
Memmax_MB PoolAlloc_MB PoolUsed_MB PoolFailed
Ulimit-n Maxsock Maxconn Hard_maxconn CurrConns CumConns CumReq Maxpipes PipesUsed PipesFree
ConnRate ConnRateLimit MaxConnRate SessRate SessRateLimit MaxSessRate
CompressBpsIn CompressBpsOut CompressBpsRateLim
Tasks Run_queue Idle_pct node description Stopping Jobs Unstoppable_Jobs Listeners
ActivePeers ConnectedPeers DroppedLogs BusyPolling FailedResolutions
TotalBytesOut TotalSplicedBytesOut BytesOutRate DebugCommandsIssued CumRecvLogs Build_info
Memmax_bytes PoolAlloc_bytes PoolUsed_bytes Start_time_sec Tainted TotalWarnings MaxconnReached BootTime_ms
Niced_tasks CurrStreams CumStreams BlockedTrafficWarnings PatternsAdded PatternsFreed NbThreadGroups`

func mustWrite(tb testing.TB, info *Info) map[string]string {
	tb.Helper()
	var b bytes.Buffer
	if n, err := info.WriteTo(&b); err != nil || n != int64(b.Len()) {
		tb.Fatalf("WriteTo gave %d, %v for %d bytes", n, err, b.Len())
	}
	values := map[string]string{}
	for line := range strings.Lines(b.String()) {
		name, value, found := strings.Cut(strings.TrimSuffix(line, "\n"), ": ")
		if !found {
			tb.Errorf("line %q has no value", line)
		}
		values[name] = value
	}
	return values
}

func TestInfoOrder(t *testing.T) {
	var names []string
	for _, f := range (&Info{Description: "x"}).fields(time.Now()) {
		names = append(names, strings.ReplaceAll(f.name, " ", "_"))
	}
	if diff := cmp.Diff(strings.Fields(infoOrder), names); diff != "" {
		t.Error(diff)
	}
	if _, found := mustWrite(t, &Info{})["description"]; found {
		t.Error("an empty description is shown")
	}
}

// Every field of the structure reaches the text: a number of its own is found in it again.
func TestInfoShowsEveryField(t *testing.T) {
	typ := reflect.TypeFor[Info]()
	empty := mustWrite(t, &Info{Started: time.Now()})
	for n := range typ.NumField() {
		info := Info{Started: time.Now()}
		v := reflect.ValueOf(&info).Elem().Field(n)
		switch v.Interface().(type) {
		case string:
			v.SetString("text")
		case bool:
			v.SetBool(true)
		case int:
			v.SetInt(12345678)
		case uint64:
			v.SetUint(12345678)
		case time.Duration:
			v.SetInt(int64(time.Hour))
		case time.Time:
			v.Set(reflect.ValueOf(time.Unix(1, 0)))
		default:
			t.Fatalf("%s has a type that this test does not know", typ.Field(n).Name)
		}
		if cmp.Equal(empty, mustWrite(t, &info)) {
			t.Errorf("%s is not shown", typ.Field(n).Name)
		}
	}
}

func TestInfoValues(t *testing.T) {
	got := mustWrite(t, &Info{
		Name:     "HAProxy",
		MemMax:   5<<20 + 1,
		BootTime: 1500 * time.Microsecond,
		Stopping: true,
		Started:  time.Unix(1, 0),
	})
	for name, want := range map[string]string{
		"Name":           "HAProxy",
		"Memmax_MB":      "5",
		"Memmax_bytes":   "5242881",
		"BootTime_ms":    "1",
		"Stopping":       "1",
		"BusyPolling":    "0",
		"Start_time_sec": "1",
		"Nbproc":         "1",
	} {
		if got[name] != want {
			t.Errorf("%s: %s, want %s", name, got[name], want)
		}
	}
}

func TestUptime(t *testing.T) {
	for d, want := range map[time.Duration]string{
		0:                       "0d 0h00m00s",
		time.Second:             "0d 0h00m01s",
		59*time.Minute + 999999: "0d 0h59m00s",
		50*time.Hour + 61*time.Second + time.Millisecond: "2d 2h01m01s",
	} {
		if got := uptime(d); got != want {
			t.Errorf("%v: %s, want %s", d, got, want)
		}
	}
}
