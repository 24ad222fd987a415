package top

import (
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

func TestSplit(t *testing.T) {
	for _, test := range []struct {
		text string
		want []string
	}{
		{"\nPid: 1\nName: x\n\n# a,\nb,\n\n0x1: \n\n\n", []string{"Pid: 1\nName: x", "# a,\nb,", "0x1: "}},
		{"\n\n[3]: Permission denied\n\n\n", []string{"", "[3]: Permission denied", ""}},
		{"Unknown command: 'set'\n  help: x\n\nPid: 1\n", []string{"Pid: 1\n", "", ""}},
		{"", []string{"", "", ""}},
	} {
		if diff := cmp.Diff(test.want, split(test.text, 3)); diff != "" {
			t.Errorf("%q (-want +got):\n%s", test.text, diff)
		}
	}
	for answer, want := range map[string]string{
		"": "", "done\n": "", "[3]: No such server.\n": "No such server.", "[5]: x\n[3]: y\x1b\n": "y?", "Unknown command: 'x'": "unknown command", "[6]: Unknown command: 'x'": "unknown command",
	} {
		if got := complaint(answer); got != want {
			t.Errorf("the complaint of %q is %q", answer, got)
		}
	}
	if got := said("[6]: well\n"); got != "well" {
		t.Errorf("said %q", got)
	}
}

func TestParse(t *testing.T) {
	s := mustSample(t, 0)
	if s.Info.Number("Pid") == 0 || s.Info["node"] != "lb1" || s.Info.Number("node") != 0 {
		t.Errorf("info %v", s.Info)
	}
	if len(s.Rows) != 8 || len(s.Sessions) != 2 {
		t.Fatalf("%d rows, %d sessions", len(s.Rows), len(s.Sessions))
	}
	r2 := s.Rows[2]
	if r2.Name != "r2" || r2.Kind != Server || r2.Status != "DOWN" || r2.n[backups] != 1 || r2.n[limit] != none || r2.n[current] != 0 ||
		reason(&r2) != "Layer4 connection problem: ECONNREFUSED returned by OS (Connection refused)" {
		t.Errorf("row %+v", r2)
	}
	want := Session{
		ID: "0x40000001", Client: s.Sessions[1].Client, Frontend: "fe", Backend: "be", Server: "s1", State: "relay", Mode: "copy/copy", Worker: "1",
		Queued: "0ms", Age: 2, Up: 174, Down: 174,
	}
	if diff := cmp.Diff(want, s.Sessions[1]); diff != "" {
		t.Errorf("session (-want +got):\n%s", diff)
	}
	rows := ParseStat("# pxname,svname,status,type,bin,x\n\"a,b\",\"c\x1b[2J\",UP,2,-1\nshort\n,,,\np,q,UP,4\n")
	if len(rows) != 1 || rows[0].Proxy != "a,b" || rows[0].Name != "c?[2J" || rows[0].n[bytesIn] != none {
		t.Errorf("rows %+v", rows)
	}
	for text, want := range map[string]int64{
		"0s": 0, "1d2h": 93600, "5m": 300, "": none, "x": none, "5": none, "5x": none, "h": none, strings.Repeat("1073741824d", 1000): none,
	} {
		if got := seconds(text); got != want {
			t.Errorf("%q is %d s, want %d", text, got, want)
		}
	}
}

// Rates need two samples of one process with counters that grew.
func TestRates(t *testing.T) {
	m := NewModel(Servers, nil)
	rate := func() int64 {
		for _, i := range m.all(Servers) {
			if i.key == "2 be/s1" {
				return i.in
			}
		}
		t.Fatal("no such server")
		return 0
	}
	step := func(at time.Duration, pid string, bytes int64, want int64) {
		t.Helper()
		s := mustSample(t, 0)
		s.Taken, s.Info["Pid"] = s.Taken.Add(at), pid
		for i := range s.Rows {
			s.Rows[i].n[bytesIn] = bytes
		}
		m.Update(s)
		if got := rate(); got != want {
			t.Errorf("at %v: %d, want %d", at, got, want)
		}
	}
	step(0, "1", 1000, none)
	step(2*time.Second, "1", 5000, 2000)
	step(2*time.Second, "1", 6000, none)
	step(3*time.Second, "2", 9000, none) // a reload
	step(4*time.Second, "2", 9500, 500)
	step(5*time.Second, "2", 100, none) // cleared
}

// While one session is looked at, the list stays.
func TestListStays(t *testing.T) {
	m := mustModel(t, Sessions)
	if e := typed(m, "\r"); !e.refresh || m.questions()[2] != "show sess 0x40000000" {
		t.Fatalf("%+v, %q", e, m.questions())
	}
	s := mustSample(t, 3)
	s.Sessions, s.Listed = nil, false
	m.Update(s)
	if len(m.all(Sessions)) != 2 {
		t.Error("the list is gone")
	}
	if shown := text(m.Render(80, 24)); !strings.Contains(shown, "it has ended") {
		t.Errorf("a session without details:\n%s", shown)
	}
	typed(m, "\r3")
	s = mustSample(t, 4)
	s.Sessions, s.Listed = nil, false
	m.Update(s)
	if len(m.all(Sessions)) != 0 {
		t.Error("the list outlives its view")
	}
}

// Whatever the socket says, nothing but printable characters reach the terminal, in lines that fit.
func FuzzAnswers(f *testing.F) {
	f.Add("\n" + mustRead(f, "info.txt") + "\n" + mustRead(f, "stat.csv") + "\n" + mustRead(f, "sess.txt") + "\n\n")
	f.Add("\nPid: 1\n\n# pxname,svname,type,status\n\x1b]0;x\x07,\xff,2,\"DOWN\n 1/2\"\n\n0x1: src=\x1b[2J age=9d\n")
	f.Add("")
	f.Fuzz(func(t *testing.T, answer string) {
		answers := split(answer, 3)
		for view := range views {
			m := NewModel(view, nil)
			m.Plain = true
			for i := range 2 {
				m.Update(&Sample{
					Taken: time.Unix(int64(i), 0), Info: ParseInfo(answers[0]), Rows: ParseStat(answers[1]), Sessions: ParseSessions(answers[2]), Listed: true,
					Refusal: complaint(answers[2]), Detail: []string{said(answers[0])},
				})
			}
			m.Say(said(answers[0])+complaint(answers[1]), true)
			for _, keys := range []string{"", ">", "\r"} {
				typed(m, keys)
				lines := m.Render(90, 30)
				checkFits(t, lines, 90, 30)
				if all := text(append(lines, m.Page(0)...)); strings.ContainsFunc(all, func(r rune) bool { return r != '\n' && (r < ' ' || r > '~') }) {
					t.Fatalf("not printable: %q", all)
				}
			}
		}
	})
}
