package testutil

import (
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
)

// PostgresProgram finds a program of PostgreSQL, which Debian keeps out of the path, and skips the test when it is not
// installed.
func PostgresProgram(tb testing.TB, name string) string {
	tb.Helper()
	if found, err := filepath.Glob("/usr/lib/postgresql/*/bin/" + name); err == nil && len(found) > 0 {
		return slices.Max(found)
	}
	return Need(tb, name)
}

// Postgres is a running PostgreSQL. Its superuser is "admin", with the password "secret".
type Postgres struct {
	*Process
	tb   testing.TB
	Addr string
	data string
}

// asNobody makes a command run as nobody: PostgreSQL refuses to run as root.
func asNobody(cmd *exec.Cmd) *exec.Cmd {
	const nobody = 65534
	cmd.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: nobody, Gid: nobody}}
	cmd.Dir = "/"
	return cmd
}

// nobodyDir is a temporary directory of nobody.
func nobodyDir(tb testing.TB) string {
	tb.Helper()
	dir := TempDir(tb)
	if err := os.Chown(dir, 65534, 65534); err != nil {
		tb.Fatal(err)
	}
	return dir
}

// StartPostgresPair starts a primary and a standby that follows it, and returns once both answer.
func StartPostgresPair(tb testing.TB) (primary, standby *Postgres) {
	tb.Helper()
	NeedRoot(tb)
	install, backup := PostgresProgram(tb, "initdb"), PostgresProgram(tb, "pg_basebackup")
	PostgresProgram(tb, "psql")
	dir := nobodyDir(tb)
	password := WriteFile(tb, dir, "password", "secret\n")
	data := filepath.Join(dir, "primary")
	Run(tb, 0, asNobody(exec.Command(install, "-D", data, "-U", "admin", "-A", "scram-sha-256", "--pwfile="+password, "--no-sync")))
	primary = startPostgres(tb, data)
	host, port, err := net.SplitHostPort(primary.Addr)
	if err != nil {
		tb.Fatal(err)
	}
	copied := filepath.Join(dir, "standby")
	cmd := asNobody(exec.Command(backup, "-D", copied, "-R", "-X", "stream", "-c", "fast", "--no-sync", "-h", host, "-p", port, "-U", "admin"))
	cmd.Env = append(os.Environ(), "PGPASSWORD=secret")
	Run(tb, 0, cmd)
	return primary, startPostgres(tb, copied)
}

func startPostgres(tb testing.TB, data string) *Postgres {
	tb.Helper()
	daemon := PostgresProgram(tb, "postgres")
	p := &Postgres{tb: tb, data: data, Addr: Loopback(FreePort(tb))}
	_, port, err := net.SplitHostPort(p.Addr)
	if err != nil {
		tb.Fatal(err)
	}
	p.Process = Start(tb, asNobody(exec.Command(daemon, "-D", data, "-p", port, "-k", filepath.Dir(data),
		"-c", "listen_addresses=127.0.0.1", "-c", "fsync=off", "-c", "max_connections=50")))
	Eventually(tb, "postgres answers", func() bool {
		if p.Exited() {
			tb.Fatalf("postgres ended: %s%s", p.Stdout, p.Stderr)
		}
		return strings.Contains(p.Stderr.String(), "ready to accept")
	})
	return p
}

// SQL runs a statement as superuser and returns the values that it gives.
func (p *Postgres) SQL(statement string) string {
	p.tb.Helper()
	out, err := PostgresSQL(p.tb, p.Addr, "admin", "secret", statement)
	if err != nil {
		p.tb.Fatalf("%s: %v: %s", statement, err, out)
	}
	return out
}

// PostgresSQL runs a statement at an address and returns the values that it gives, or what psql says.
func PostgresSQL(tb testing.TB, addr, user, password, statement string) (string, error) {
	tb.Helper()
	host, port, err := net.SplitHostPort(addr)
	if err != nil {
		tb.Fatal(err)
	}
	cmd := exec.Command(PostgresProgram(tb, "psql"), "-h", host, "-p", port, "-U", user, "-d", "postgres", "-XAtqw", "-c", statement)
	cmd.Env = append(os.Environ(), "PGPASSWORD="+password, "PGCONNECT_TIMEOUT=10")
	out, err := cmd.CombinedOutput()
	return strings.TrimSpace(string(out)), err
}

// StartMariaDBPair starts a primary and a replica that follows it.
func StartMariaDBPair(tb testing.TB) (primary, replica *MariaDB) {
	tb.Helper()
	Need(tb, "mariadb")
	start := func(id int, more ...string) *MariaDB {
		return StartMariaDB(tb, append([]string{
			fmt.Sprintf("--server-id=%d", id), "--log-bin=" + filepath.Join(TempDir(tb), "bin"), "--binlog-format=ROW", "--slave-net-timeout=10",
		}, more...)...)
	}
	primary, replica = start(1), start(2, "--read-only")
	_, port, err := net.SplitHostPort(primary.Addr)
	if err != nil {
		tb.Fatal(err)
	}
	primary.SQL(tb, "CREATE USER repl@'%' IDENTIFIED BY 'repl'; GRANT REPLICATION SLAVE ON *.* TO repl@'%'")
	replica.SQL(tb, "CHANGE MASTER TO MASTER_HOST='127.0.0.1', MASTER_PORT="+port+", MASTER_USER='repl', MASTER_PASSWORD='repl', "+
		"MASTER_CONNECT_RETRY=1, MASTER_USE_GTID=slave_pos; START SLAVE")
	return primary, replica
}

// SQL runs statements as root and returns the values that they give.
func (db *MariaDB) SQL(tb testing.TB, statements string) string {
	tb.Helper()
	out, _ := Run(tb, 0, exec.Command(Need(tb, "mariadb"), "--no-defaults", "--socket="+db.Socket, "-uroot", "-BNe", statements))
	return strings.TrimSpace(out)
}
