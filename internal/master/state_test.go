package master

import (
	"os"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
)

var sameState = cmp.Options{cmpopts.IgnoreUnexported(worker{}), cmpopts.EquateEmpty()}

func TestStateSurvives(t *testing.T) {
	want := state{
		Pid: 42, Started: time.Unix(1700000000, 5).UTC(), Reloads: 3, Failed: 1, Hard: true, PIDFile: "/run/p.pid",
		Workers: []*worker{
			{Pid: 50, Link: 9, Started: time.Unix(1700000100, 0).UTC(), Version: "3.4.0-x"},
			{Pid: 49, Link: 7, Reloads: 2, Version: "with \"quotes\" = and \n lines", Former: true},
		},
		Sockets: []int{3, 4},
		Waiting: []int{11},
	}
	entry, err := want.encode()
	if err != nil {
		t.Fatal(err)
	}
	text, found := strings.CutPrefix(entry, stateVariable+"=")
	if !found || strings.Contains(text, "\x00") {
		t.Fatalf("no variable: %q", entry)
	}
	got := decode(text, 42)
	if got == nil {
		t.Fatalf("not read: %s", text)
	}
	if diff := cmp.Diff(want, *got, sameState); diff != "" {
		t.Error(diff)
	}
	if diff := cmp.Diff([]int{3, 4, 11, 9, 7}, got.keep()); diff != "" {
		t.Error(diff)
	}
	if decode(text, 43) != nil {
		t.Error("another process believes it")
	}
}

// A field that this version does not know means nothing, one that it misses is zero.
func TestStateOfOtherVersions(t *testing.T) {
	got := decode(`{"pid":42,"reloads":1,"workers":[{"pid":50,"link":9,"colour":"red"},null,{"pid":1,"link":9},{"pid":51,"link":2}],"sockets":[0,-1,5],"waiting":[2],"mood":[1]}`, 42)
	want := &state{Pid: 42, Reloads: 1, Workers: []*worker{{Pid: 50, Link: 9}}, Sockets: []int{5}}
	if diff := cmp.Diff(want, got, sameState); diff != "" {
		t.Error(diff)
	}
}

func TestContinues(t *testing.T) {
	for text, want := range map[string]bool{
		"": false, "x": false, "{}": false, `{"pid":1}`: false, "[]": false, "null": false,
	} {
		t.Setenv(stateVariable, text)
		if Continues() != want {
			t.Errorf("%q: %v", text, !want)
		}
	}
	entry, err := (&state{Pid: os.Getpid()}).encode()
	if err != nil {
		t.Fatal(err)
	}
	t.Setenv(stateVariable, strings.TrimPrefix(entry, stateVariable+"="))
	if !Continues() {
		t.Error("its own state is not found")
	}
}

func FuzzState(f *testing.F) {
	for _, seed := range []string{
		"", "{}", `{"pid":42}`, `{"pid":42,"workers":[{"pid":5,"link":7,"former":true}],"sockets":[3]}`, `{"pid":42,"workers":[null,{}]}`,
		`{"pid":42,"started":"2026-01-01T00:00:00Z","waiting":[-5,99999999999]}`,
	} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, text string) {
		s := decode(text, 42)
		if s == nil {
			return
		}
		for _, fd := range s.keep() {
			if fd <= 2 {
				t.Fatalf("%q keeps descriptor %d", text, fd)
			}
		}
		for _, w := range s.Workers {
			if w == nil || w.Pid <= 1 {
				t.Fatalf("%q has worker %+v", text, w)
			}
		}
		entry, err := s.encode()
		if err != nil {
			t.Fatalf("%q: %v", text, err)
		}
		again := decode(strings.TrimPrefix(entry, stateVariable+"="), 42)
		if diff := cmp.Diff(s, again, sameState); diff != "" {
			t.Fatalf("%q: %s", text, diff)
		}
	})
}

func TestDescribe(t *testing.T) {
	for status, want := range map[int]string{
		0: "Exit", 1: "Exit", 127: "Exit", 255: "Exit", 130: "Interrupt", 137: "Killed", 139: "Segmentation fault", 143: "Terminated",
	} {
		if diff := cmp.Diff(want, describe(status)); diff != "" {
			t.Errorf("%d: %s", status, diff)
		}
	}
}

func TestLogsStop(t *testing.T) {
	var l Logs
	for _, text := range []string{"a\n", "b\n"} {
		if n, err := l.Write([]byte(text)); n != 2 || err != nil {
			t.Errorf("wrote %d, %v", n, err)
		}
	}
	l.Stop()
	if n, err := l.Write([]byte("later\n")); n != 6 || err != nil {
		t.Errorf("wrote %d, %v", n, err)
	}
	if diff := cmp.Diff("a\nb\n", l.String()); diff != "" {
		t.Error(diff)
	}
}
