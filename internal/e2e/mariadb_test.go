package e2e

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"database/sql"
	"encoding/hex"
	"fmt"
	"os/exec"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/go-sql-driver/mysql"

	"github.com/penstock/penstock/internal/testutil"
)

// openMariaDB returns a pool of connections of the user "tester" through addr.
func openMariaDB(t *testing.T, network, user, addr, database string) *sql.DB {
	t.Helper()
	config := mysql.NewConfig()
	config.Net, config.User, config.Addr, config.DBName = network, user, addr, database
	config.MaxAllowedPacket = 0 // ask the server
	config.Timeout = testutil.Deadline
	config.Logger = &mysql.NopLogger{}
	connector, err := mysql.NewConnector(config)
	if err != nil {
		t.Fatal(err)
	}
	db := sql.OpenDB(connector)
	t.Cleanup(func() { db.Close() })
	return db
}

func mustExec(t *testing.T, db *sql.DB, query string, args ...any) {
	t.Helper()
	if _, err := db.Exec(query, args...); err != nil {
		t.Fatalf("%s: %v", query, err)
	}
}

func mustConn(t *testing.T, db *sql.DB) *sql.Conn {
	t.Helper()
	c, err := db.Conn(context.Background())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	return c
}

func TestMariaDB(t *testing.T) {
	server := testutil.StartMariaDB(t)
	root := openMariaDB(t, "unix", "root", server.Socket, "")
	mustExec(t, root, "CREATE DATABASE test")
	mustExec(t, root, "CREATE USER tester@'%'")
	mustExec(t, root, "GRANT ALL ON *.* TO tester@'%'")
	port := testutil.FreePort(t)
	p := start(t, `
global
    nbthread 2
listen mariadb
    bind 127.0.0.1:{port}
    server m1 {m1}
`, "port", port, "m1", server.Addr)
	db := openMariaDB(t, "tcp", "tester", testutil.Loopback(port), "test")

	t.Run("sysbench", func(t *testing.T) {
		sysbench := testutil.Need(t, "sysbench")
		oltp := func(action string) string {
			stdout, _ := testutil.Run(t, 0, exec.Command(sysbench, "oltp_read_write", "--db-driver=mysql",
				"--mysql-host=127.0.0.1", "--mysql-port="+strconv.Itoa(port), "--mysql-user=tester", "--mysql-db=test",
				"--tables=2", "--table-size=2000", "--threads=4", "--time=5", action))
			return stdout
		}
		oltp("prepare")
		report := oltp("run")
		if n := mustInt(t, mustMatch(t, "sysbench's report", report, `transactions:\s+(\d+)`)[1]); n < 10 {
			t.Errorf("only %d transactions in 5 s", n)
		}
		// Deadlocks between the threads are the database's; connections that break are not.
		mustMatch(t, "sysbench's report", report, `reconnects:\s+0\s`)
		oltp("cleanup")
	})

	t.Run("BLOB of 64 MB", func(t *testing.T) {
		mustExec(t, db, "CREATE TABLE big (id INT PRIMARY KEY, data LONGBLOB)")
		data := make([]byte, 64<<20)
		rand.Read(data)
		sent := sha256.Sum256(data)
		mustExec(t, db, "INSERT INTO big VALUES (1, ?)", data)
		var stored string
		if err := db.QueryRow("SELECT SHA2(data, 256) FROM big").Scan(&stored); err != nil {
			t.Fatal(err)
		}
		if want := hex.EncodeToString(sent[:]); stored != want {
			t.Errorf("the server stored a BLOB of hash %s, want %s", stored, want)
		}
		var back []byte
		if err := db.QueryRow("SELECT data FROM big").Scan(&back); err != nil {
			t.Fatal(err)
		}
		if got := sha256.Sum256(back); got != sent {
			t.Errorf("received a BLOB of %d bytes with another hash", len(back))
		}
		mustExec(t, db, "DROP TABLE big")
	})

	t.Run("KILL", func(t *testing.T) {
		ctx := context.Background()
		bystander := mustConn(t, db)
		if _, err := bystander.ExecContext(ctx, "SET @mine = 42"); err != nil {
			t.Fatal(err)
		}
		victim := mustConn(t, db)
		var id int
		if err := victim.QueryRowContext(ctx, "SELECT CONNECTION_ID()").Scan(&id); err != nil {
			t.Fatal(err)
		}
		ended := make(chan error, 1)
		go func() {
			_, err := victim.ExecContext(ctx, "SELECT SLEEP(300)")
			ended <- err
		}()
		testutil.Eventually(t, "the victim sleeps", func() bool {
			var state string
			err := root.QueryRow("SELECT STATE FROM information_schema.PROCESSLIST WHERE ID = ?", id).Scan(&state)
			return err == nil && state == "User sleep"
		})
		mustExec(t, root, fmt.Sprintf("KILL %d", id))
		select {
		case err := <-ended:
			if err == nil {
				t.Error("a query on a killed connection succeeded")
			}
		case <-time.After(testutil.Deadline):
			t.Error("a query on a killed connection hangs")
		}
		var mine int
		if err := bystander.QueryRowContext(ctx, "SELECT @mine").Scan(&mine); err != nil || mine != 42 {
			t.Errorf("another connection lost its session: %d, %v", mine, err)
		}
		if err := db.Ping(); err != nil {
			t.Errorf("a new connection: %v", err)
		}
	})

	t.Run("new connections", func(t *testing.T) {
		for range 100 {
			db := openMariaDB(t, "tcp", "tester", testutil.Loopback(port), "test")
			if err := db.Ping(); err != nil {
				t.Fatal(err)
			}
			db.Close()
		}
	})

	for _, line := range p.log.Lines() {
		if !strings.Contains(line, " -- ") {
			t.Errorf("a session ended otherwise than by a close: %s", line)
		}
	}
}
