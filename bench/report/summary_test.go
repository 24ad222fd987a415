package report

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func TestPutSummary(t *testing.T) {
	r := example()
	r.Summarise()
	summaryBegin, summaryEnd := marks("bench")
	file := filepath.Join(t.TempDir(), "README.md")
	if err := os.WriteFile(file, []byte("before\n"+summaryBegin+"old figures\n"+summaryEnd+"after\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	for range 2 { // putting it again replaces it
		if err := r.PutSummary(file); err != nil {
			t.Fatal(err)
		}
	}
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	got := string(text)
	if !strings.HasPrefix(got, "before\n"+summaryBegin) || !strings.HasSuffix(got, summaryEnd+"after\n") || strings.Contains(got, "old figures") {
		t.Errorf("the document became:\n%s", got)
	}
	if n := strings.Count(got, "| round trips "); n != 1 {
		t.Errorf("the scenario stands %d times in:\n%s", n, got)
	}
}

func TestPutSummaryNeedsMarks(t *testing.T) {
	file := filepath.Join(t.TempDir(), "README.md")
	if err := os.WriteFile(file, []byte("no marks\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := example().PutSummary(file); err == nil {
		t.Error("a document without marks was changed")
	}
}
