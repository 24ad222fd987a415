package e2e

import (
	"fmt"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"syscall"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/penstock/penstock/internal/testutil"
)

// kept is a master, of Penstock or of HAProxy, that is driven from outside.
type kept struct {
	*testutil.Process
	tb   testing.TB
	dir  string
	cli  string
	port int
}

func (k *kept) configure(section string) {
	k.tb.Helper()
	testutil.WriteFile(k.tb, k.dir, "cfg", fmt.Sprintf(
		"global\n    maxconn 100\n    nbthread 1\n    grace 1h\ndefaults\n    mode tcp\n    timeout connect 5s\n    timeout client 5s\n    timeout server 5s\n"+
			"%s\n    bind 127.0.0.1:%d\n    server s 127.0.0.1:%d\n", section, k.port, k.port))
}

func keep(tb testing.TB, path string) *kept {
	tb.Helper()
	k := &kept{tb: tb, dir: testutil.TempDir(tb), port: testutil.FreePort(tb)}
	k.cli = filepath.Join(k.dir, "master")
	k.configure("listen l")
	k.Process = testutil.Start(tb, exec.Command(path, "-W", "-S", k.cli, "-f", filepath.Join(k.dir, "cfg")))
	k.Stderr.Wait(tb, `Loading success\.`)
	// Before it answers HAProxy may not watch its signals yet.
	testutil.Eventually(tb, "the command line answers", func() bool { return workerLine.MatchString(k.ask("show proc")) })
	return k
}

// ask sends a line to the master.
func (k *kept) ask(line string) string {
	return testutil.Ask(k.tb, k.cli, line)
}

var (
	workerLine = regexp.MustCompile(`(?m)^(\d+) +worker`)
	variable   = regexp.MustCompile(`\b\d+d\d\dh\d\dm\d\ds +\S+ *`)
	process    = regexp.MustCompile(`(?m)^\d+ +`)
	programs   = regexp.MustCompile(`(?m)^# programs *\n`)
)

// table is show proc without what differs from one process to the next.
func (k *kept) table() string {
	text := process.ReplaceAllString(variable.ReplaceAllString(k.ask("show proc"), "..."), "PID ")
	return programs.ReplaceAllString(text, "")
}

// reload asks for a reload and returns the table after it.
func (k *kept) reload(n, failed int) string {
	k.tb.Helper()
	k.Signal(k.tb, syscall.SIGUSR2)
	outcome := regexp.MustCompile(`Loading success\.|Loading failure!|Failed to load worker`)
	testutil.Eventually(k.tb, fmt.Sprintf("reload %d is over", n), func() bool {
		return len(outcome.FindAllString(k.Stderr.String(), -1)) == n+1 && strings.Contains(k.table(), fmt.Sprintf(" %d [failed: %d]", n, failed))
	})
	return k.table()
}

var masterLine = regexp.MustCompile(`^(\[\w+\] +)\((\d+)\) : (.*)`)

// said is what the master itself said since its start, with the names of its processes in the order in which they came.
func (k *kept) said() string {
	names := map[string]string{fmt.Sprint(k.Pid): "MASTER"}
	number := regexp.MustCompile(`\((\d+)\)`)
	var out strings.Builder
	for line := range strings.Lines(k.Stderr.String()) {
		match := masterLine.FindStringSubmatch(line)
		if match == nil || match[2] != fmt.Sprint(k.Pid) {
			continue // a worker's, or more of a line above
		}
		message := match[3]
		if strings.Contains(message, "version is") || strings.Contains(message, "path to executable") ||
			strings.Contains(message, "config : ") || strings.HasPrefix(message, "A worker process") {
			continue
		}
		if forked := regexp.MustCompile(`^New worker (\(\d+\)) forked`).FindStringSubmatch(message); forked != nil {
			message = "Initializing new worker " + forked[1] // as newer versions say
		}
		message = number.ReplaceAllStringFunc(message, func(text string) string {
			pid := strings.Trim(text, "()")
			if len(pid) < 4 {
				return text // a status
			}
			if names[pid] == "" {
				names[pid] = fmt.Sprintf("WORKER%d", len(names))
			}
			return "(" + names[pid] + ")"
		})
		fmt.Fprintf(&out, "%s%s\n", match[1], message)
	}
	return out.String()
}

// What a master says and shows, and how it ends, is the same as HAProxy's.
func TestMasterAgreesWithHAProxy(t *testing.T) {
	t.Parallel()
	skipForeign(t, "is compared with another program")
	haproxy := testutil.Need(t, "haproxy")
	for _, test := range []struct {
		name string
		do   func(k *kept) (seen string)
	}{
		{"reloads", func(k *kept) string {
			seen := k.table() + k.reload(1, 0)
			k.configure("lisent l")
			seen += k.reload(2, 1) + k.reload(3, 2)
			k.configure("listen l")
			return seen + k.reload(4, 0) + k.reload(5, 0)
		}},
		{"SIGTERM", func(k *kept) string { k.Signal(k.tb, syscall.SIGTERM); return "" }},
		{"SIGINT", func(k *kept) string { k.Signal(k.tb, syscall.SIGINT); return "" }},
		{"crash", func(k *kept) string {
			worker, err := strconv.Atoi(workerLine.FindStringSubmatch(k.ask("show proc"))[1])
			if err == nil {
				err = syscall.Kill(worker, syscall.SIGKILL)
			}
			if err != nil {
				k.tb.Error(err)
			}
			return ""
		}},
		{"commands", func(k *kept) string {
			var seen string
			for _, line := range []string{
				"@9 x", "@!1 x", "@1 show cli level", "show cli level", "user;reload;@1 show env", "prompt\n@master\nprompt",
				"operator;@1;show cli level", "@1",
			} {
				// HAProxy 2.6 forgets the empty line behind some answers.
				seen += line + ": " + strings.TrimRight(k.ask(line), "\n") + "\n"
			}
			return seen
		}},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			outcome := func(path string) string {
				k := keep(t, path)
				seen := test.do(k)
				if test.name == "reloads" || test.name == "commands" {
					k.Signal(t, syscall.SIGTERM)
				}
				code := k.Wait(t).ExitCode()
				seen += fmt.Sprintf("exit code %d\n", code)
				if test.name != "reloads" { // there the workers end in any order
					seen += k.said()
				}
				return seen
			}
			want, got := outcome(haproxy), outcome(program.path)
			if diff := cmp.Diff(want, got); diff != "" {
				t.Errorf("(-haproxy +penstock):\n%s", diff)
			}
		})
	}
}
