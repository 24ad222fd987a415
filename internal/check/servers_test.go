package check

import (
	"database/sql"
	"fmt"
	"strings"
	"testing"

	_ "github.com/go-sql-driver/mysql"

	"github.com/penstock/penstock/internal/testutil"
)

// often has a server checked without a pause, for as long as it answers: it is always on its way up.
const often = "inter 1h fastinter 5ms downinter 5ms rise 1000000 init-state fully-down"

func TestRedis(t *testing.T) {
	addr := testutil.StartRedis(t)
	r := mustRig(t, "option redis-check\n server s "+addr+" check inter 1h")
	if got := r.outcome(t, 0); got != "L7OK/0 Redis server is ok" {
		t.Error(got)
	}
	c := testutil.Dial(t, "tcp", addr)
	c.Send("CONFIG SET requirepass secret\r\n")
	c.Expect("+OK\r\n")
	r = mustRig(t, "option redis-check\n server s "+addr+" check inter 1h")
	if got := r.outcome(t, 0); got != "L7STS/0 -NOAUTH Authentication required." {
		t.Error(got)
	}
}

// PostgreSQL asks for a password, which is enough, and does not complain about those who leave then.
func TestPostgres(t *testing.T) {
	addr, log := testutil.StartPostgres(t)
	r := mustRig(t, "option pgsql-check user checker\n server s "+addr+" check "+often)
	if got := r.outcome(t, 0); got != "L7OK/0 PostgreSQL server is ok" {
		t.Error(got)
	}
	testutil.Eventually(t, "twenty checks", func() bool { return r.state(t, 0).Checks > 20 })
	r.Stop()
	for line := range strings.Lines(log.String()) {
		if strings.Contains(line, "FATAL") || strings.Contains(line, "ERROR") || strings.Contains(line, "could not") {
			t.Errorf("the server says: %s", line)
		}
	}
}

// mustExec opens a MariaDB as root and runs statements.
func mustExec(tb testing.TB, db *testutil.MariaDB, statements ...string) *sql.DB {
	tb.Helper()
	c, err := sql.Open("mysql", "root@unix("+db.Socket+")/")
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() { c.Close() })
	for _, s := range statements {
		if _, err := c.Exec(s); err != nil {
			tb.Fatalf("%s: %v", s, err)
		}
	}
	return c
}

// status is a counter of the database.
func status(tb testing.TB, c *sql.DB, name string) int {
	tb.Helper()
	var key string
	var n int
	if err := c.QueryRow("SHOW GLOBAL STATUS LIKE '"+name+"'").Scan(&key, &n); err != nil {
		tb.Fatalf("%s: %v", name, err)
	}
	return n
}

// A hundred checks of each sort do not make MariaDB block the host that they come from.
func TestMariaDBDoesNotBlockTheHost(t *testing.T) {
	// It remembers hosts by name only, and not the one that it calls localhost.
	const host = "127.0.0.9"
	db := testutil.StartMariaDB(t, "--max-connect-errors=3", "--skip-name-resolve=0", "--bind-address=0.0.0.0")
	c := mustExec(t, db, "CREATE USER 'checker'@'%'")
	start := func(option, params string) *rig {
		return mustRig(t, fmt.Sprintf("%s\n timeout check 20s\n server s %s check source %s %s", option, db.Addr, host, params))
	}
	const user = "option mysql-check user checker"
	for _, s := range []struct{ name, option, want string }{
		{"a user", user, "L7OK/0 "},
		{"a user, pre-41", user + " pre-41", "L7OK/0 "},
		{"no user", "option mysql-check", "L7OK/0 "},
		{"a user that does not exist", "option mysql-check user nobody", "L7STS/1045 "},
	} {
		before := status(t, c, "Connections")
		r := start(s.option, often)
		if got := r.outcome(t, 0); !strings.HasPrefix(got, s.want) {
			t.Errorf("%s: %s", s.name, got)
		}
		testutil.Eventually(t, "a hundred checks", func() bool { return status(t, c, "Connections") >= before+100 })
		r.Stop()
		if got := r.outcome(t, 0); !strings.HasPrefix(got, s.want) {
			t.Errorf("%s: after a hundred checks: %s", s.name, got)
		}
		if got := start(user, "inter 1h").outcome(t, 0); !strings.HasPrefix(got, "L7OK/0 ") {
			t.Errorf("%s: a login afterwards: %s", s.name, got)
		}
	}
	// Stop may cut one session of each rig.
	if n := status(t, c, "Aborted_clients"); n > 4 {
		t.Errorf("%d sessions ended without COM_QUIT", n)
	}
	// The test would notice: connections without a login do block the host.
	cut := start("option tcp-check", often)
	testutil.Eventually(t, "the host is blocked", func() bool {
		return strings.HasPrefix(start(user, "inter 1h").outcome(t, 0), "L7STS/1129 ")
	})
	cut.Stop()
}
