package config

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"flag"
	"fmt"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	gocmp "github.com/google/go-cmp/cmp"
)

// The corpus is a folder of configurations, good and bad, with the verdict of a real HAProxy on each:
//
//	NNN-topic.cfg        one file
//	NNN-topic/           a folder given to -f as it is, or, with a file named order, the files named there, in that order
//	verdicts.txt         "NNN-topic: exit status [line or file:line …]", written by go test -run TestCorpus -update-verdicts
//	differences.txt      "NNN-topic: reason" where our verdict differs, "NNN-topic lines: reason" where the mistakes
//	                     of a case that both refuse stand on other lines
//
// A difference that no longer exists is a failure too, so that the list stays true.

var updateVerdicts = flag.Bool("update-verdicts", false, "ask the installed haproxy for the verdict on every case of the corpus")

const (
	corpusDir       = "testdata/corpus"
	oracleVersion   = "HAProxy version 2.6.12" // the one that wrote verdicts.txt
	oracleTimeLimit = time.Minute
)

// corpusEnv is the environment that every case sees.
var corpusEnv = map[string]string{"DB_HOST": "127.0.0.1", "DB_PORT": "3306", "EMPTY": "", "BIND_WORDS": "name split maxconn 5"}

// verdict is what a program says of a case: its exit status, and the places of the mistakes, sorted.
type verdict struct {
	Status int
	Places []string
}

func (v verdict) String() string {
	return strings.Join(append([]string{strconv.Itoa(v.Status)}, v.Places...), " ")
}

// refused reports whether the configuration was found wrong. Status 2 is a right one without listener.
func (v verdict) refused() bool { return v.Status == 1 }

func TestCorpus(t *testing.T) {
	t.Chdir(corpusDir)
	cases := mustCases(t)
	if *updateVerdicts {
		mustOracle(t)
		var out strings.Builder
		for _, name := range cases {
			fmt.Fprintf(&out, "%s: %s\n", name, mustAsk(t, name))
		}
		if err := os.WriteFile("verdicts.txt", []byte(out.String()), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	verdicts := mustTable(t, "verdicts.txt")
	reasons := mustTable(t, "differences.txt")
	for name := range verdicts {
		if !slices.Contains(cases, name) {
			t.Errorf("verdicts.txt: no case %s", name)
		}
	}
	agreements, refusedByBoth := 0, 0
	for _, name := range cases {
		recorded, err := parseVerdict(verdicts[name])
		if err != nil {
			t.Errorf("%s: no recorded verdict: %v", name, err)
			continue
		}
		ours, text := load(name)
		switch {
		case ours.refused() != recorded.refused():
			if reasons[name] == "" {
				t.Errorf("%s: HAProxy exits with %d, we say:\n%s", name, recorded.Status, text)
			}
			delete(reasons, name)
			continue
		case ours.refused():
			refusedByBoth++
			if !slices.Equal(ours.Places, recorded.Places) {
				if reasons[name+" lines"] == "" {
					t.Errorf("%s: places of the mistakes (-HAProxy +ours):\n%s\n%s", name, gocmp.Diff(recorded.Places, ours.Places), text)
				}
				delete(reasons, name+" lines")
			}
		}
		agreements++
	}
	for _, name := range slices.Sorted(maps.Keys(reasons)) {
		t.Errorf("differences.txt: %s agrees, or is no case", name)
	}
	t.Logf("%d cases, %d agreements (%d of them refusals), %d differences", len(cases), agreements, refusedByBoth, len(cases)-agreements)
}

// TestCorpusOracle compares the recorded verdicts with those of the installed haproxy.
func TestCorpusOracle(t *testing.T) {
	if testing.Short() {
		t.Skip("runs haproxy once for every case")
	}
	t.Chdir(corpusDir)
	mustOracle(t)
	verdicts := mustTable(t, "verdicts.txt")
	for _, name := range mustCases(t) {
		if live := mustAsk(t, name).String(); live != verdicts[name] {
			t.Errorf("%s: recorded %q, haproxy says %q; run go test -run 'TestCorpus$' -update-verdicts", name, verdicts[name], live)
		}
	}
}

// mustCases lists the names of all cases.
func mustCases(tb testing.TB) []string {
	tb.Helper()
	entries, err := os.ReadDir(".")
	if err != nil {
		tb.Fatal(err)
	}
	var names []string
	for _, e := range entries {
		if e.IsDir() || strings.HasSuffix(e.Name(), ".cfg") {
			names = append(names, strings.TrimSuffix(e.Name(), ".cfg"))
		}
	}
	if len(names) == 0 {
		tb.Fatal("the corpus is empty")
	}
	return names
}

// caseFiles are the arguments of -f for a case.
func caseFiles(name string) []string {
	info, err := os.Stat(name)
	if err != nil || !info.IsDir() {
		return []string{name + ".cfg"}
	}
	order, err := os.ReadFile(filepath.Join(name, "order"))
	if err != nil {
		return []string{name}
	}
	var files []string
	for _, file := range strings.Fields(string(order)) {
		files = append(files, filepath.Join(name, file))
	}
	return files
}

// load gives our verdict on a case and all that we say about it.
func load(name string) (verdict, string) {
	_, diags := Load(Options{Files: caseFiles(name), Env: func(name string) (string, bool) {
		v, ok := corpusEnv[name]
		return v, ok
	}})
	var v verdict
	if diags.Fatal() {
		v.Status = 1
	}
	var text strings.Builder
	for _, d := range diags.List {
		fmt.Fprintf(&text, "\t%s: %s\n", d.Severity, d.Text())
		if d.Severity == Alert && d.Line > 0 {
			v.Places = append(v.Places, shortPlace(name, d.File, strconv.Itoa(d.Line)))
		}
	}
	v.Places = distinct(v.Places)
	return v, text.String()
}

// mustOracle skips the test when the haproxy that wrote the verdicts is not installed.
func mustOracle(tb testing.TB) {
	tb.Helper()
	path, err := exec.LookPath("haproxy")
	if err != nil {
		tb.Skip("haproxy is not installed")
	}
	out, err := exec.CommandContext(tb.Context(), path, "-v").Output()
	if err != nil {
		tb.Skipf("haproxy -v: %v", err)
	}
	if !strings.HasPrefix(string(out), oracleVersion) {
		first, _, _ := strings.Cut(string(out), "\n")
		tb.Skipf("the verdicts are those of %s; installed is %s", oracleVersion, first)
	}
}

var alertPlace = regexp.MustCompile(`(?m)^\[ALERT\].*?arsing \[([^\]]+):(\d+)\]|^\[ALERT\].*?config : \[([^\]]+):(\d+)\]`)

// mustAsk runs haproxy -c on a case.
func mustAsk(tb testing.TB, name string) verdict {
	tb.Helper()
	ctx, cancel := context.WithTimeout(tb.Context(), oracleTimeLimit)
	defer cancel()
	args := []string{"-c"}
	for _, file := range caseFiles(name) {
		args = append(args, "-f", file)
	}
	cmd := exec.CommandContext(ctx, "haproxy", args...)
	for key, value := range corpusEnv {
		cmd.Env = append(cmd.Env, key+"="+value)
	}
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	err := cmd.Run()
	var exit *exec.ExitError
	if err != nil && !errors.As(err, &exit) {
		tb.Fatalf("haproxy -c on %s: %v", name, err)
	}
	v := verdict{Status: cmd.ProcessState.ExitCode()}
	for _, m := range alertPlace.FindAllStringSubmatch(stderr.String(), -1) {
		v.Places = append(v.Places, shortPlace(name, m[1]+m[3], m[2]+m[4]))
	}
	v.Places = distinct(v.Places)
	return v
}

// shortPlace is the line alone in the one file of a case, and file:line in a folder.
func shortPlace(name, file, line string) string {
	if base := filepath.Base(file); base != name+".cfg" {
		return base + ":" + line
	}
	return line
}

// distinct sorts places by file and line and drops repetitions.
func distinct(places []string) []string {
	slices.SortFunc(places, func(a, b string) int {
		i, j := strings.IndexByte(a, ':')+1, strings.IndexByte(b, ':')+1
		return cmp.Or(strings.Compare(a[:i], b[:j]), parseAtol(a[i:])-parseAtol(b[j:]))
	})
	return slices.Compact(places)
}

// parseVerdict reads what verdict.String wrote.
func parseVerdict(s string) (verdict, error) {
	status, places, _ := strings.Cut(s, " ")
	n, err := strconv.Atoi(status)
	if err != nil {
		return verdict{}, fmt.Errorf("verdict %q: %w", s, err)
	}
	return verdict{Status: n, Places: strings.Fields(places)}, nil
}

// mustTable reads "key: value" lines; a line that begins with # is a comment.
func mustTable(tb testing.TB, file string) map[string]string {
	tb.Helper()
	data, err := os.ReadFile(file)
	if err != nil {
		tb.Fatal(err)
	}
	table := map[string]string{}
	for line := range strings.Lines(string(data)) {
		line = strings.TrimSpace(line)
		if line == "" || line[0] == '#' {
			continue
		}
		key, value, ok := strings.Cut(line, ": ")
		if _, twice := table[key]; !ok || twice {
			tb.Fatalf("%s: bad or repeated line %q", file, line)
		}
		table[key] = value
	}
	return table
}
