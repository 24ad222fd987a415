package stats

import (
	"bytes"
	"encoding/csv"
	"encoding/json"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

const header = `pxname,svname,qcur,qmax,scur,smax,slim,stot,bin,bout,dreq,dresp,ereq,econ,eresp,wretr,wredis,status,weight,act,bck,chkfail,chkdown,lastchg,downtime,qlimit,pid,iid,sid,throttle,lbtot,tracked,type,rate,rate_lim,rate_max,check_status,check_code,check_duration,hrsp_1xx,hrsp_2xx,hrsp_3xx,hrsp_4xx,hrsp_5xx,hrsp_other,hanafail,req_rate,req_rate_max,req_tot,cli_abrt,srv_abrt,comp_in,comp_out,comp_byp,comp_rsp,lastsess,last_chk,last_agt,qtime,ctime,rtime,ttime,agent_status,agent_code,agent_duration,check_desc,agent_desc,check_rise,check_fall,check_health,agent_rise,agent_fall,agent_health,addr,cookie,mode,algo,conn_rate,conn_rate_max,conn_tot,intercepted,dcon,dses,wrew,connect,reuse,cache_lookups,cache_hits,srv_icur,src_ilim,qtime_max,ctime_max,rtime_max,ttime_max,eint,idle_conn_cur,safe_conn_cur,used_conn_cur,need_conn_est,uweight,agg_server_status,agg_server_check_status,agg_check_status,srid,sess_other,h1sess,h2sess,h3sess,req_other,h1req,h2req,h3req,proto,priv_idle_cur,reqbin,reqbout,resbin,resbout,cache_hint_hits`

func rowsOf(name string) []Row {
	r := Row{Object: Server, ProxyID: 3, ID: 2}
	r.SetText(PxName, "be")
	r.SetText(SvName, "s")
	r.SetText(LastChk, name)
	r.Count(BytesIn, 1<<63+1)
	r.Set(Lastsess, -1)
	r.Set(Act, 1)
	r.SetText(Status, "MAINT (via a/b)")
	return []Row{r, {Object: Backend}}
}

func TestCSV(t *testing.T) {
	var out bytes.Buffer
	AppendCSV(&out, rowsOf(`a,"b"`))
	text := out.String()
	first, rest, _ := strings.Cut(text, "\n")
	if first != "# "+header+",-," {
		t.Errorf("header:\n%s\nwant\n# %s", first, header)
	}
	if !strings.Contains(rest, `,"a,""b""",`) {
		t.Errorf("not quoted: %s", rest)
	}
	second := strings.Split(rest, "\n")[1]
	if want := strings.Repeat(",", int(NumColumns)) + "-,"; second != want {
		t.Errorf("an empty row is %q", second)
	}
}

func TestTyped(t *testing.T) {
	var out bytes.Buffer
	AppendTyped(&out, rowsOf("x"), false)
	want := `S.3.2.0.pxname.1:KNSV:str:be
S.3.2.1.svname.1:KNSV:str:s
S.3.2.8.bin.1:MCPV:u64:9223372036854775809
S.3.2.17.status.1:SGPV:str:MAINT (via a/b)
S.3.2.19.act.1:SGPV:u32:1
S.3.2.55.lastsess.1:MAPV:s32:-1
S.3.2.56.last_chk.1:MOPV:str:x
`
	if diff := cmp.Diff(want, out.String()); diff != "" {
		t.Error(diff)
	}
	out.Reset()
	AppendTyped(&out, rowsOf("x"), true)
	if first, _, _ := strings.Cut(out.String(), "\n"); first != `S.3.2.0.pxname.1:KNSV:str:be:"name of the proxy"` {
		t.Error(first)
	}
}

// Every column and field has letters that JSON has words for.
func TestTags(t *testing.T) {
	check := func(name, tags, help string) {
		t.Helper()
		if len(tags) != 3 || origins[tags[0]] == "" || natures[tags[1]] == "" || scopes[tags[2]] == "" || help == "" {
			t.Errorf("%s has the letters %q and the text %q", name, tags, help)
		}
	}
	for _, c := range columns {
		check(c.name, c.tags, c.help)
	}
	for _, f := range (&Info{Description: "x"}).fields(time.Now()) {
		about := infoFields[f.name]
		check(f.name, about.tags, about.help)
	}
}

func TestState(t *testing.T) {
	for status, want := range map[string]string{
		"UP": "UP", "UP 1/3": "UP", "no check": "UP", "DOWN 1/2": "DOWN", "MAINT (via a/b)": "MAINT", "DRAIN": "DRAIN", "NOLB 1/2": "NOLB",
	} {
		r := Row{Object: Server}
		r.SetText(Status, status)
		if got := r.state(); got != want {
			t.Errorf("%s is %s, want %s", status, got, want)
		}
	}
}

// Whatever a server answers to its check, all forms can be read, and say the same.
func FuzzForms(f *testing.F) {
	for _, s := range []string{"", "plain", `a,"b"`, "two\nlines\r\n", "\x00\x1f\x7f", "\xff\xfe", "\u2028", `\`} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, text string) {
		var out bytes.Buffer
		AppendCSV(&out, rowsOf(text))
		records, err := csv.NewReader(&out).ReadAll()
		if err != nil || len(records) != 3 {
			t.Fatalf("%d records, %v", len(records), err)
		}
		if got := records[1][LastChk]; got != strings.ReplaceAll(text, "\r\n", "\n") {
			t.Errorf("CSV says %q", got)
		}
		out.Reset()
		AppendJSON(&out, rowsOf(text))
		var objects [][]struct {
			Field struct{ Pos int }
			Value struct{ Value any }
		}
		if err := json.Unmarshal(out.Bytes(), &objects); err != nil {
			t.Fatal(err)
		}
		for _, o := range objects[0] {
			if Column(o.Field.Pos) == LastChk && o.Value.Value != string([]rune(text)) {
				t.Errorf("JSON says %q", o.Value.Value)
			}
		}
		out.Reset()
		rows := rowsOf("x")
		rows[0].SetText(SvName, text)
		AppendMetrics(&out, rows)
		for line := range strings.Lines(out.String()) {
			if !strings.HasPrefix(line, "# ") && !strings.HasPrefix(line, "haproxy_") {
				t.Errorf("a line of its own: %q", line)
			}
		}
	})
}
