package runtimeapi

import (
	"fmt"
	"strings"
	"testing"
)

func TestRun(t *testing.T) {
	opt := testOptions
	opt.Commands = []Command{
		{Words: []string{"big"}, Level: LevelOperator, Run: func(r *Request) { r.Reply("%s", strings.Repeat("x", 3*sendAt)) }},
		{Words: []string{"quiet"}, Run: func(*Request) {}},
		{Words: []string{"fall"}, Run: func(*Request) { panic("over") }},
	}
	told := ""
	opt.Bug = func(command string, panicked any, stack []byte) {
		told = fmt.Sprint(command, ": ", panicked, strings.Contains(string(stack), "TestRun"))
	}
	s, err := Open(nil, opt)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(s.Close)
	for _, test := range []struct {
		level Level
		words []string
		want  string
	}{
		{LevelUser, []string{"show", "version"}, "3.4.0-test"},
		{LevelUser, []string{"quiet", "a b;c"}, ""},
		{LevelUser, []string{"big"}, "Permission denied"},
		{LevelOperator, []string{"big"}, strings.Repeat("x", 3*sendAt)},
		{LevelAdmin, []string{"echo", "a  b", "\n"}, "a  b"},
		{LevelAdmin, nil, ""},
		{LevelUser, []string{"fall", "down"}, "Internal error: this is a bug of the program, which its log describes."},
	} {
		if got := strings.TrimSpace(s.Run(test.level, test.words...)); got != test.want {
			t.Errorf("%q: %.100q", test.words, got)
		}
	}
	if told != "fall down: overtrue" {
		t.Errorf("the bug is told as %q", told)
	}
}
