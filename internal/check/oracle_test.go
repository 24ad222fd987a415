package check

import (
	"fmt"
	"os/exec"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/penstock/penstock/internal/testutil"
)

// differences are the outcomes that are not those of HAProxy 2.6, and why.
var differences = map[string]string{
	"redis wants a password": "HAProxy waits for the rest of a line that is there",
	"mysql, no such user":    "the SQLSTATE says nothing that the code does not",
	"mysql, no greeting":     "HAProxy gives no text",
	"mysql, another packet":  "HAProxy gives no text",
	"postgres, refused":      "HAProxy gives the severity only",
	"postgres, what":         "HAProxy waits for more of an answer that is none",
	"http, provisional":      "HAProxy 2.6 takes the provisional response for the answer",
}

// newer are configurations that HAProxy 2.6 does not know.
var newer = []string{"http, a request"}

var (
	healthReport = regexp.MustCompile(`Health check for server b(\d+)/s ((?:conditionally )?succeeded|failed), (reason: .*), check duration: \d+ms, status: `)
	systemError  = regexp.MustCompile(`"E[A-Z]+ returned by OS \(([^)]*)\)`)
)

// Every kind of check gives the reason, the code and the text that HAProxy gives, but for the differences listed.
func TestOutcomesEqualHAProxy(t *testing.T) {
	haproxy, err := exec.LookPath("haproxy")
	if err != nil {
		t.Skip("haproxy is not installed")
	}
	// HAProxy may say something else than we do.
	cases := outcomeCases(script{func(c *testutil.Conn, _ string) {
		c.SetReadDeadline(time.Now().Add(testutil.Deadline))
		_, _ = c.Read(make([]byte, 4096))
	}})
	cases = slices.DeleteFunc(cases, func(c outcomeCase) bool { return slices.Contains(newer, c.name) })
	var text strings.Builder
	text.WriteString("global\n max-spread-checks 10ms\ndefaults\n mode tcp\n timeout connect 30s\n timeout server 30s\n timeout client 30s\n" +
		" timeout check 3s\n option log-health-checks\n")
	fmt.Fprintf(&text, "frontend f\n bind %s\n", refusing(t))
	ours := make([]*rig, len(cases))
	for i, c := range cases {
		server := testutil.Serve(t, c.server)
		fmt.Fprintf(&text, "backend b%d\n %s\n server s %s check inter 1h\n", i, c.lines, server.Addr)
		ours[i] = mustRig(t, fmt.Sprintf("option log-health-checks\n timeout check 3s\n %s\n server s %s check inter 1h", c.lines, server.Addr))
	}
	theirs := mustHAProxyReports(t, haproxy, text.String(), len(cases))
	for i, c := range cases {
		ours[i].outcome(t, 0)
		testutil.Eventually(t, "it is said", func() bool { return ours[i].said() != "" })
		m := healthReport.FindStringSubmatch(strings.Replace(ours[i].said(), "server be/", "server b0/", 1))
		if m == nil {
			t.Errorf("%s: %s", c.name, ours[i].said())
			continue
		}
		got, want := systemError.ReplaceAllString(m[2]+", "+m[3], `"$1`), theirs[i]
		why, differs := differences[c.name]
		switch {
		case got != want && !differs:
			t.Errorf("%s\nhaproxy %s\nours    %s", c.name, want, got)
		case got == want && differs:
			t.Errorf("%s: no difference any more (%s)", c.name, why)
		}
	}
}

// mustHAProxyReports runs HAProxy until it has checked the servers of n backends, b0 and on, and returns what it says
// of each.
func mustHAProxyReports(tb testing.TB, haproxy, cfg string, n int) map[int]string {
	tb.Helper()
	path := testutil.WriteFile(tb, tb.TempDir(), "haproxy.cfg", cfg)
	p := testutil.Start(tb, exec.Command(haproxy, "-db", "-f", path))
	reports := map[int]string{}
	testutil.Eventually(tb, "haproxy has checked all", func() bool {
		for _, m := range healthReport.FindAllStringSubmatch(p.Stderr.String(), -1) {
			i, _ := strconv.Atoi(m[1])
			reports[i] = m[2] + ", " + m[3]
		}
		if p.Exited() {
			tb.Fatalf("haproxy: %s", p.Stderr)
		}
		return len(reports) == n
	})
	return reports
}
