package e2e

import (
	"encoding/csv"
	"fmt"
	"os/exec"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/penstock/penstock/internal/testutil"
)

// statSections have a server of each kind of state.
const statSections = `
listen both
    bind {both} name l1
    bind {second}
    option socket-stats
    maxconn 50
    rate-limit sessions 1000
    server a {server} maxconn 5 maxqueue 7 check inter 500ms
    server b {server} weight 5 backup
frontend fe
    bind {fe}
    maxconn 60
    default_backend be
backend be
    balance leastconn
    retries 2
    server x {nobody} check inter 100ms fall 1
    server y {server} disabled
    server z {server} track both/a
backend broken
    fullconn 10
    retries 1
    timeout connect 50ms
    server s {nobody}
    server s2 {nobody} disabled
frontend tobroken
    bind {tobroken}
    maxconn 10
    default_backend broken
`

// timed are the columns whose values depend on time, or on how a program works inside.
var timed = strings.Fields(`rate rate_max conn_rate conn_rate_max lastchg downtime lastsess check_duration
	qtime ctime rtime ttime qtime_max ctime_max rtime_max ttime_max last_chk need_conn_est used_conn_cur chkfail`)

// mustCSV reads an answer of "show stat" into the columns that all versions have, up to "-", in each row.
func mustCSV(tb testing.TB, answer string) (columns []string, rows []map[string]string) {
	tb.Helper()
	text, found := strings.CutPrefix(answer, "# ")
	records, err := csv.NewReader(strings.NewReader(text)).ReadAll()
	if !found || err != nil || len(records) == 0 {
		tb.Fatalf("not a table: %v in %q", err, answer)
	}
	columns = records[0][:slices.Index(records[0], "-")]
	for _, record := range records[1:] {
		row := map[string]string{}
		for i, c := range columns {
			row[c] = record[i]
		}
		rows = append(rows, row)
	}
	return columns, rows
}

// showing is a program with statSections and a script, and what its tables show.
type showing struct {
	*proxy
	columns []string // to compare
	ports   *strings.Replacer
	seen    []string
}

func (s *showing) table(command string) []map[string]string {
	s.tb.Helper()
	answer, err := s.ask(command)
	if err != nil {
		s.tb.Fatal(err)
	}
	columns, rows := mustCSV(s.tb, answer)
	if s.columns == nil {
		s.columns = columns
	}
	return rows
}

// await waits for a value in a row.
func (s *showing) await(row, column, value string) {
	s.tb.Helper()
	testutil.Eventually(s.tb, fmt.Sprintf("%s of %s is %s", column, row, value), func() bool {
		for _, r := range s.table("show stat") {
			if r["pxname"]+"/"+r["svname"] == row {
				return r[column] == value
			}
		}
		return false
	})
}

// see notes all values of a table but those that depend on time.
func (s *showing) see(command string) {
	s.tb.Helper()
	s.seen = append(s.seen, command)
	for _, r := range s.table(command) {
		for _, c := range s.columns {
			if value := strings.TrimPrefix(s.ports.Replace(r[c]), "* "); value != "" && !slices.Contains(timed, c) {
				s.seen = append(s.seen, fmt.Sprintf("%s/%s %s=%s", r["pxname"], r["svname"], c, value))
			}
		}
	}
}

// What "show stat" shows is the same as HAProxy's, for the columns that the installed one has.
func TestStatAgreesWithHAProxy(t *testing.T) {
	t.Parallel()
	skipForeign(t, "is compared with another program")
	haproxy := testutil.Need(t, "haproxy")
	server := testutil.Serve(t, func(c *testutil.Conn) {
		_, _ = c.Write([]byte("1")) // a check does not wait for it
		_, _ = c.Read(make([]byte, 1))
	}).Addr
	nobody := testutil.Loopback(testutil.FreePort(t))
	script := func(path string, columns []string) *showing {
		both, second, fe, broken := testutil.FreePort(t), testutil.FreePort(t), testutil.FreePort(t), testutil.FreePort(t)
		s := &showing{columns: columns, ports: strings.NewReplacer(fmt.Sprint(both), "BOTH", fmt.Sprint(second), "SECOND")}
		s.proxy = prepare(
			t, statSections, "server", server, "nobody", nobody, "both", testutil.Loopback(both),
			"second", testutil.Loopback(second), "fe", testutil.Loopback(fe), "tobroken", testutil.Loopback(broken),
		)
		cmd := exec.Command(path, "-db", "-f", s.cfg)
		cmd.Dir = s.dir
		s.run(cmd)
		s.await("both/a", "check_status", "L4OK")
		s.await("be/x", "status", "DOWN")
		for _, port := range []int{both, both, second, fe} {
			c, _ := greeted(t, port)
			c.Close()
			s.logged(c, `.*`)
		}
		c := dial(t, broken)
		c.ExpectClosed()
		s.logged(c, `.*`)
		for _, row := range []string{"both/FRONTEND", "both/a", "be/z", "broken/BACKEND"} {
			s.await(row, "scur", "0")
		}
		for _, command := range []string{"show stat", "show stat no-maint", "show stat up", "show stat both 4 1", "show stat -1 8 -1"} {
			s.see(command)
		}
		for _, command := range []string{"clear counters", "clear counters all"} {
			if answer, _ := s.ask(command); answer != "\n" {
				t.Errorf("%s: %q", command, answer)
			}
			s.see("show stat")
		}
		for _, command := range []string{"show stat nope 1 1", "show stat 0 1 1"} {
			answer, _ := s.ask(command)
			s.seen = append(s.seen, command, answer)
		}
		return s
	}
	want := script(haproxy, nil)
	got := script(program.path, want.columns)
	if diff := cmp.Diff(want.seen, got.seen); diff != "" {
		t.Errorf("(-haproxy +penstock):\n%s", diff)
	}
}
