package e2e

import (
	"database/sql"
	"fmt"
	"os"
	"regexp"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/gomodule/redigo/redis"

	"github.com/penstock/penstock/internal/testutil"
)

// checkPassword is the password of the checks' user.
const checkPassword = "pass-of-the-checks"

// startExample starts the program on an example, with other addresses in it.
func startExample(t *testing.T, name string, replace ...string) *proxy {
	t.Helper()
	skipForeign(t, "has no checks of the role")
	p := prepare(t, "")
	password := testutil.WriteFile(t, p.dir, "password", checkPassword+"\n")
	example := mustRead(t, "../../examples/"+name)
	example = regexp.MustCompile(`/etc/penstock/\w+\.password`).ReplaceAllString(example, password)
	example = strings.Replace(example, "global\n", "global\n    stats socket "+p.stats+" level admin mode 666\n    nbthread 1\n", 1)
	example = strings.ReplaceAll(example, " inter 1s ", " inter 100ms ")
	example = strings.NewReplacer(replace...).Replace(example)
	if err := os.WriteFile(p.cfg, []byte(example), 0o600); err != nil {
		t.Fatal(err)
	}
	p.launch(nil)
	t.Cleanup(func() {
		if said := p.Stdout.String() + p.Stderr.String(); strings.Contains(said, checkPassword) {
			t.Error("the program tells the password")
		}
	})
	return p
}

// writer writes through the proxy as long as the test lasts, and connects again when a session ends.
type writer struct {
	done   atomic.Int64 // writes that were acknowledged
	failed atomic.Int64
}

// write begins; step makes one session and writes until it fails.
func write(t *testing.T, session func(w *writer, stop <-chan struct{})) *writer {
	t.Helper()
	w := &writer{}
	stop := make(chan struct{})
	var all sync.WaitGroup
	all.Go(func() {
		for {
			select {
			case <-stop:
				return
			default:
				session(w, stop)
			}
		}
	})
	t.Cleanup(func() { close(stop); all.Wait() })
	return w
}

// goesOn waits for more writes.
func (w *writer) goesOn(t *testing.T) {
	t.Helper()
	before := w.done.Load()
	testutil.Eventually(t, "writing goes on", func() bool { return w.done.Load() > before+5 })
}

// A client writes through the proxy while the primary moves. The user may write to a server that is read-only, so that
// only the end of its sessions keeps it from doing so.
func TestExampleMySQLRoles(t *testing.T) {
	primary, replica := testutil.StartMariaDBPair(t)
	primary.SQL(t, "CREATE USER penstock@'%' IDENTIFIED BY '"+checkPassword+"'; GRANT REPLICA MONITOR ON *.* TO penstock@'%'; "+
		"CREATE USER app@'%'; GRANT ALL ON *.* TO app@'%'; CREATE DATABASE d; CREATE TABLE d.w (id BIGINT AUTO_INCREMENT PRIMARY KEY, server INT)")
	writePort, readPort := testutil.FreePort(t), testutil.FreePort(t)
	p := startExample(t, "mysql-roles.cfg", "bind :3306", fmt.Sprintf("bind 127.0.0.1:%d", writePort), "bind :3307", fmt.Sprintf("bind 127.0.0.1:%d", readPort),
		"10.0.0.1:3306", primary.Addr, "10.0.0.2:3306", replica.Addr, "10.0.0.3:3306", testutil.Loopback(testutil.HoldPort(t)))
	p.Stderr.Wait(t, `Server mysql-write/db1 is UP, reason: Layer7 check passed, code: 0, info: "role is primary \(read_only is OFF\)"`)
	p.Stderr.Wait(t, `Server mysql-read/db2 is UP, reason: Layer7 check passed, code: 0, info: "role is replica, lag \d+s"`)

	db := openMariaDB(t, "tcp", "app", testutil.Loopback(writePort), "")
	db.SetMaxOpenConns(1)
	w := write(t, func(w *writer, stop <-chan struct{}) {
		if _, err := db.Exec("INSERT INTO d.w (server) VALUES (@@server_id)"); err != nil {
			w.failed.Add(1)
		} else {
			w.done.Add(1)
		}
	})
	w.goesOn(t)
	read := openMariaDB(t, "tcp", "app", testutil.Loopback(readPort), "")
	read.SetMaxIdleConns(-1)
	if got := serverID(t, read); got != 2 {
		t.Errorf("server %d reads", got)
	}

	// The lag counts against fall, and ends no session of the primary.
	replica.SQL(t, "STOP SLAVE SQL_THREAD")
	p.Stderr.Wait(t, `Server mysql-read/db2 is DOWN, reason: Layer7 wrong status, code: 0, info: "the replication does not apply \(SQL thread: No\)"`)
	if got := serverID(t, read); got != 1 {
		t.Errorf("without a replica, server %d reads", got)
	}
	replica.SQL(t, "START SLAVE SQL_THREAD")
	p.Stderr.Wait(t, `(?s)mysql-read/db2 is DOWN.*Server mysql-read/db2 is UP`)
	if w.failed.Load() > 0 {
		t.Errorf("%d writes failed before the failover", w.failed.Load())
	}

	primary.SQL(t, "SET GLOBAL read_only=1")
	p.Stderr.Wait(t, `Server mysql-write/db1 is DOWN, reason: Layer7 wrong status, code: 0, info: "role is replica, wanted primary \(read_only is ON\)"`)
	testutil.Eventually(t, "the demoted primary has no session of the client", func() bool {
		return primary.SQL(t, "SELECT COUNT(*) FROM information_schema.processlist WHERE user='app'") == "0"
	})
	const written = "SELECT COUNT(*) FROM d.w WHERE server="
	before := primary.SQL(t, written+"1")
	testutil.Eventually(t, "the replica has all", func() bool { return replica.SQL(t, written+"1") == before })
	replica.SQL(t, "STOP SLAVE; SET GLOBAL read_only=0")
	p.Stderr.Wait(t, `Server mysql-write/db2 is UP`)
	w.goesOn(t)
	if after := primary.SQL(t, written+"1"); after != before {
		t.Errorf("the demoted primary took %s rows, %s before", after, before)
	}
	if n := replica.SQL(t, written+"2"); n == "0" {
		t.Error("nothing was written to the new primary")
	}
	p.Stderr.Wait(t, `Server mysql-read/db2 is DOWN, .*"role is primary, wanted replica`)
	testutil.Eventually(t, "the new primary reads", func() bool { return serverID(t, read) == 2 })
}

func serverID(t *testing.T, db *sql.DB) (id int) {
	t.Helper()
	if err := db.QueryRow("SELECT @@server_id").Scan(&id); err != nil {
		t.Error(err)
	}
	return id
}

// A master and two replicas; the first replica takes over.
func TestExampleRedisFailover(t *testing.T) {
	var addrs [3]string
	var admin [3]redis.Conn
	for i := range addrs {
		addrs[i] = testutil.StartRedis(t)
		c, err := redis.Dial("tcp", addrs[i])
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { c.Close() })
		admin[i] = c
		mustDo(t, c, "ACL", "SETUSER", "penstock", "on", ">"+checkPassword, "+ping", "+info")
	}
	follow := func(i, of int) {
		host, port, _ := strings.Cut(addrs[of], ":")
		mustDo(t, admin[i], "REPLICAOF", host, port)
	}
	follow(1, 0)
	follow(2, 0)
	writePort, readPort := testutil.FreePort(t), testutil.FreePort(t)
	p := startExample(t, "redis-failover.cfg", "bind :6379", fmt.Sprintf("bind 127.0.0.1:%d", writePort), "bind :6380", fmt.Sprintf("bind 127.0.0.1:%d", readPort),
		"10.0.0.1:6379", addrs[0], "10.0.0.2:6379", addrs[1], "10.0.0.3:6379", addrs[2])
	p.Stderr.Wait(t, `Server redis/r1 is UP, reason: Layer7 check passed, code: 0, info: "role is master"`)
	p.Stderr.Wait(t, `Server redis-read/r2 is UP, .*"role is replica, lag \d+s"`)
	p.Stderr.Wait(t, `Server redis-read/r3 is UP`)
	w := write(t, func(w *writer, stop <-chan struct{}) {
		c, err := redis.Dial("tcp", testutil.Loopback(writePort))
		if err != nil {
			return
		}
		defer c.Close()
		if _, err := c.Do("CLIENT", "SETNAME", "app"); err != nil {
			return
		}
		for {
			select {
			case <-stop:
				return
			default:
			}
			if _, err := c.Do("INCR", "n"); err != nil {
				w.failed.Add(1)
				return
			}
			w.done.Add(1)
		}
	})
	w.goesOn(t)
	reading := func() string {
		c := dialRedis(t, readPort)
		role, err := redis.Values(c.Do("ROLE"))
		if err != nil {
			t.Fatal(err)
		}
		return fmt.Sprintf("%s", role[0])
	}
	if got := reading(); got != "slave" {
		t.Errorf("a %s reads", got)
	}

	// The demoted master would take writes.
	mustDo(t, admin[0], "CONFIG", "SET", "replica-read-only", "no")
	mustDo(t, admin[1], "REPLICAOF", "NO", "ONE")
	follow(0, 1)
	follow(2, 1)
	p.Stderr.Wait(t, `Server redis/r1 is DOWN, reason: Layer7 wrong status, code: 0, info: "role is replica, wanted master"`)
	p.Stderr.Wait(t, `Server redis/r2 is UP`)
	clients := func(i int) bool {
		return strings.Contains(fmt.Sprintf("%s", mustDo(t, admin[i], "CLIENT", "LIST")), "name=app")
	}
	testutil.Eventually(t, "the demoted master has no session of the client", func() bool { return !clients(0) })
	w.goesOn(t)
	if clients(0) || !clients(1) {
		t.Error("the client does not write to the new master")
	}
	p.Stderr.Wait(t, `Server redis-read/r1 is UP, .*"role is replica, lag \d+s"`)
	if got := reading(); got != "slave" {
		t.Errorf("a %s reads", got)
	}
}

// Two of three nodes; the one that is written to is cut off from its cluster, and cannot tell its clients from others.
func TestExampleGalera(t *testing.T) {
	nodes := testutil.StartGalera(t, 3)
	nodes[0].SQL(t, "CREATE USER penstock@'%' IDENTIFIED BY '"+checkPassword+"'; CREATE USER app@'%'; GRANT ALL ON *.* TO app@'%'; "+
		"CREATE DATABASE d; CREATE TABLE d.w (id BIGINT AUTO_INCREMENT PRIMARY KEY, server INT)")
	writePort, readPort := testutil.FreePort(t), testutil.FreePort(t)
	p := startExample(t, "galera.cfg", "bind :3306", fmt.Sprintf("bind 127.0.0.1:%d", writePort), "bind :3307", fmt.Sprintf("bind 127.0.0.1:%d", readPort),
		"10.0.0.1:3306", nodes[0].Addr, "10.0.0.2:3306", nodes[1].Addr, "10.0.0.3:3306", nodes[2].Addr)
	for i := range nodes {
		p.Stderr.Wait(t, fmt.Sprintf(`Server galera-write/node%d is UP, reason: Layer7 check passed, code: 0, info: "role is galera-synced"`, i+1))
	}
	db := openMariaDB(t, "tcp", "app", testutil.Loopback(writePort), "")
	db.SetMaxOpenConns(1)
	w := write(t, func(w *writer, stop <-chan struct{}) {
		if _, err := db.Exec("INSERT INTO d.w (server) VALUES (@@server_id)"); err != nil {
			w.failed.Add(1)
		} else {
			w.done.Add(1)
		}
	})
	w.goesOn(t)
	nodes[0].SQL(t, "SET GLOBAL wsrep_provider_options='gmcast.isolate=1'")
	p.Stderr.Wait(t, `Server galera-write/node1 is DOWN, reason: Layer7 wrong status, code: 0, info: "the node is in a component that is non-Primary, wanted Primary"`)
	p.Stderr.Wait(t, `Server galera-read/node1 is DOWN via galera-write/node1`)
	w.goesOn(t)
	if n := nodes[1].SQL(t, "SELECT COUNT(*) FROM d.w WHERE server=2"); n == "0" {
		t.Error("nothing was written to the second node")
	}
	nodes[0].SQL(t, "SET GLOBAL wsrep_provider_options='gmcast.isolate=0'")
	p.Stderr.Wait(t, `(?s)node1 is DOWN.*Server galera-write/node1 is UP`)
	w.goesOn(t)
}

// A primary and a standby, which is promoted.
func TestExamplePostgreSQL(t *testing.T) {
	primary, standby := testutil.StartPostgresPair(t)
	primary.SQL("CREATE ROLE penstock LOGIN PASSWORD '" + checkPassword + "'; CREATE TABLE w (id BIGSERIAL, port TEXT)")
	writePort, readPort := testutil.FreePort(t), testutil.FreePort(t)
	p := startExample(t, "postgresql.cfg", "bind :5432", fmt.Sprintf("bind 127.0.0.1:%d", writePort), "bind :5433", fmt.Sprintf("bind 127.0.0.1:%d", readPort),
		"10.0.0.1:5432", primary.Addr, "10.0.0.2:5432", standby.Addr)
	p.Stderr.Wait(t, `Server postgres-write/pg1 is UP, reason: Layer7 check passed, code: 0, info: "role is primary"`)
	p.Stderr.Wait(t, `Server postgres-read/pg2 is UP, reason: Layer7 check passed, code: 0, info: "role is replica"`)
	ask := func(port int, statement string) (string, error) {
		return testutil.PostgresSQL(t, testutil.Loopback(port), "admin", "secret", statement)
	}
	w := write(t, func(w *writer, stop <-chan struct{}) {
		if _, err := ask(writePort, "BEGIN READ WRITE; INSERT INTO w (port) VALUES (current_setting('port')); COMMIT"); err != nil {
			w.failed.Add(1)
		} else {
			w.done.Add(1)
		}
	})
	w.goesOn(t)
	const recovery = "SELECT pg_is_in_recovery()"
	if got, err := ask(readPort, recovery); got != "t" {
		t.Errorf("not the standby reads: %s, %v", got, err)
	}
	if w.failed.Load() > 0 {
		t.Errorf("%d writes failed before the failover", w.failed.Load())
	}

	// The writes of the client override that the primary is read-only.
	primary.SQL("ALTER SYSTEM SET default_transaction_read_only=on")
	primary.SQL("SELECT pg_reload_conf()")
	p.Stderr.Wait(t, `Server postgres-write/pg1 is DOWN, reason: Layer7 wrong status, code: 0, info: "role is primary, but transactions are read-only`)
	count := func(db *testutil.Postgres, of *testutil.Postgres) string {
		_, port, _ := strings.Cut(of.Addr, ":")
		return db.SQL("SELECT count(*) FROM w WHERE port='" + port + "'")
	}
	const sessions = "SELECT count(*) FROM pg_stat_activity WHERE application_name='psql' AND pid <> pg_backend_pid()"
	testutil.Eventually(t, "the demoted primary has no session", func() bool { return primary.SQL(sessions) == "0" })
	before := count(primary, primary)
	standby.SQL("SELECT pg_promote()")
	standby.SQL("ALTER SYSTEM RESET ALL")
	p.Stderr.Wait(t, `Server postgres-write/pg2 is UP, .*"role is primary"`)
	w.goesOn(t)
	if after := count(primary, primary); after != before {
		t.Errorf("the demoted primary took %s rows, %s before", after, before)
	}
	if count(standby, standby) == "0" {
		t.Error("nothing was written to the new primary")
	}
	p.Stderr.Wait(t, `Server postgres-read/pg2 is DOWN, .*"role is primary, wanted replica"`)
}
