package testutil

import (
	"bufio"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"
)

// StartRedis starts a redis-server and returns its address, once it answers.
func StartRedis(tb testing.TB) string {
	tb.Helper()
	port := FreePort(tb)
	p := Start(tb, exec.Command(Need(tb, "redis-server"), "--port", strconv.Itoa(port), "--bind", "127.0.0.1",
		"--save", "", "--appendonly", "no", "--dir", TempDir(tb)))
	addr := Loopback(port)
	Eventually(tb, "redis-server answers", func() bool {
		if p.Exited() {
			tb.Fatalf("redis-server ended: %s%s", p.Stdout, p.Stderr)
		}
		c, err := net.DialTimeout("tcp", addr, time.Second)
		if err != nil {
			return false
		}
		defer c.Close()
		c.SetDeadline(time.Now().Add(time.Second))
		fmt.Fprint(c, "PING\r\n")
		line, _ := bufio.NewReader(c).ReadString('\n')
		return strings.HasPrefix(line, "+PONG")
	})
	return addr
}

// MariaDB is a running mariadbd with an empty data directory.
type MariaDB struct {
	Addr   string // TCP
	Socket string // Unix; root has no password
}

// StartMariaDB starts a mariadbd that takes packets of up to 128 MB, with more options, and returns once it listens.
func StartMariaDB(tb testing.TB, options ...string) *MariaDB {
	tb.Helper()
	daemon := Need(tb, "mariadbd")
	install := Need(tb, "mariadb-install-db")
	NeedRoot(tb)
	dir := TempDir(tb)
	data := filepath.Join(dir, "data")
	// Each that starts removes what it takes for its own temporary tables of an earlier life, in the folder for these.
	command := func(name string, args ...string) *exec.Cmd {
		cmd := exec.Command(name, args...)
		cmd.Env = append(os.Environ(), "TMPDIR="+dir)
		return cmd
	}
	Run(tb, 0, command(install, "--no-defaults", "--user=root", "--datadir="+data,
		"--auth-root-authentication-method=normal", "--skip-test-db"))
	port := FreePort(tb)
	db := &MariaDB{Addr: Loopback(port), Socket: filepath.Join(dir, "sock")}
	args := []string{
		"--no-defaults", "--user=root", "--datadir=" + data, "--socket=" + db.Socket,
		"--port=" + strconv.Itoa(port), "--bind-address=127.0.0.1", "--skip-name-resolve", "--skip-log-bin",
		"--max-allowed-packet=128M", "--innodb-log-file-size=256M", "--innodb-flush-log-at-trx-commit=0",
		"--pid-file=" + filepath.Join(dir, "pid"),
	}
	p := Start(tb, command(daemon, append(args, options...)...))
	Eventually(tb, "mariadbd listens", func() bool {
		if p.Exited() {
			tb.Fatalf("mariadbd ended: %s%s", p.Stdout, p.Stderr)
		}
		return accepts("tcp", db.Addr) && accepts("unix", db.Socket)
	})
	return db
}

// accepts tells whether somebody takes connections at addr.
func accepts(network, addr string) bool {
	c, err := net.DialTimeout(network, addr, time.Second)
	if err != nil {
		return false
	}
	c.Close()
	return true
}

// StartPostgres starts a PostgreSQL with an empty data directory, whose users need passwords, and returns its address
// once it answers. It runs as nobody, since it refuses to run as root.
func StartPostgres(tb testing.TB) (addr string, log *Output) {
	tb.Helper()
	daemon, install := PostgresProgram(tb, "postgres"), PostgresProgram(tb, "initdb")
	NeedRoot(tb)
	const nobody = 65534
	as := func(cmd *exec.Cmd) *exec.Cmd {
		cmd.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: nobody, Gid: nobody}}
		cmd.Dir = "/"
		return cmd
	}
	dir := TempDir(tb)
	if err := os.Chown(dir, nobody, nobody); err != nil {
		tb.Fatal(err)
	}
	data, password := filepath.Join(dir, "data"), WriteFile(tb, dir, "password", "secret\n")
	Run(tb, 0, as(exec.Command(install, "-D", data, "-U", "admin", "-A", "scram-sha-256", "--pwfile="+password, "--no-sync")))
	addr = Loopback(FreePort(tb))
	_, port, err := net.SplitHostPort(addr)
	if err != nil {
		tb.Fatal(err)
	}
	p := Start(tb, as(exec.Command(daemon, "-D", data, "-p", port, "-k", dir, "-c", "listen_addresses=127.0.0.1", "-c", "fsync=off")))
	Eventually(tb, "postgres answers", func() bool {
		if p.Exited() {
			tb.Fatalf("postgres ended: %s%s", p.Stdout, p.Stderr)
		}
		return strings.Contains(p.Stderr.String(), "ready to accept connections")
	})
	return addr, p.Stderr
}
