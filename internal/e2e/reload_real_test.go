package e2e

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"regexp"
	"strconv"
	"strings"
	"testing"

	"github.com/gomodule/redigo/redis"

	"github.com/penstock/penstock/internal/testutil"
)

func mustRead(tb testing.TB, path string) string {
	tb.Helper()
	content, err := os.ReadFile(path)
	if err != nil {
		tb.Fatal(err)
	}
	return string(content)
}

// realReloads is how often real clients live through a reload.
func realReloads() int {
	if raceEnabled || testing.Short() {
		return 5
	}
	return 20
}

// A benchmark of a database does not notice reloads: no error, no reconnect.
func TestReloadMariaDB(t *testing.T) {
	needHandover(t)
	sysbench := testutil.Need(t, "sysbench")
	server := testutil.StartMariaDB(t)
	root := openMariaDB(t, "unix", "root", server.Socket, "")
	mustExec(t, root, "CREATE DATABASE test")
	mustExec(t, root, "CREATE USER tester@'%'")
	mustExec(t, root, "GRANT ALL ON *.* TO tester@'%'")
	port := testutil.FreePort(t)
	g := startLineage(t, `
global
    nbthread 2
listen mariadb
    bind 127.0.0.1:{port}
    server s1 {server}
`, "port", port, "server", server.Addr)
	for _, script := range []string{"oltp_point_select", "oltp_read_write"} {
		g.reloadUnderSysbench(script, sysbench, port)
	}
}

// reloadUnderSysbench reloads while 8 threads run a script.
func (g *lineage) reloadUnderSysbench(script, sysbench string, port int) {
	t := g.tb
	command := func(action string) *exec.Cmd {
		// It runs until it is stopped; the time is a guard.
		return exec.Command(sysbench, script, "--db-driver=mysql", "--mysql-host=127.0.0.1", "--mysql-port="+strconv.Itoa(port),
			"--mysql-user=tester", "--mysql-db=test", "--tables=2", "--table-size=1000", "--threads=8", "--time=300",
			"--report-interval=1", action)
	}
	testutil.Run(t, 0, command("prepare"))
	run := testutil.Start(t, command("run"))
	run.Stdout.Wait(t, `\[ 1s \] thds: 8 `)
	for range realReloads() {
		g.reload()
		if run.Exited() {
			t.Fatalf("%s gave up:\n%s%s", script, run.Stdout, run.Stderr)
		}
	}
	// What was under way at the last reload is in one of the next two lines.
	last := len(interval.FindAllString(run.Stdout.String(), -1))
	testutil.Eventually(t, "two more reports", func() bool {
		return run.Exited() || len(interval.FindAllString(run.Stdout.String(), -1)) >= last+2
	})
	if run.Exited() {
		t.Fatalf("%s gave up:\n%s%s", script, run.Stdout, run.Stderr)
	}
	transactions := 0.0
	for _, line := range interval.FindAllStringSubmatch(run.Stdout.String(), -1) {
		tps, err := strconv.ParseFloat(line[1], 64)
		if err != nil {
			t.Fatal(err)
		}
		transactions += tps
		// Deadlocks between the threads are the database's; connections that break are not.
		if line[3] != "0.00" || script == "oltp_point_select" && line[2] != "0.00" {
			t.Errorf("%s: an error during the reloads: %s", script, line[0])
		}
	}
	if out := run.Stdout.String() + run.Stderr.String(); strings.Contains(out, "FATAL") {
		t.Errorf("%s: an error during the reloads:\n%s", script, out)
	}
	t.Logf("%s: %d reloads, about %.0f transactions of 8 threads", script, realReloads(), transactions)
	run.Signal(t, os.Kill)
	run.Wait(t)
	testutil.Run(t, 0, command("cleanup"))
}

// interval is a line of sysbench's report: transactions, errors and reconnects a second.
var interval = regexp.MustCompile(`\[ \d+s \] thds: 8 tps: ([0-9.]+) .* err/s: ([0-9.]+) reconn/s: ([0-9.]+)`)

// A subscriber gets every message in order, whatever is reloaded between it and the server, and who waits for
// an element waits on.
func TestReloadRedis(t *testing.T) {
	needHandover(t)
	port := testutil.FreePort(t)
	g := startLineage(t, `
global
    nbthread 2
listen redis
    bind 127.0.0.1:{port}
    server s1 {server}
`, "port", port, "server", testutil.StartRedis(t))
	subscriber := redis.PubSubConn{Conn: dialRedis(t, port)}
	if err := subscriber.Subscribe("news"); err != nil {
		t.Fatal(err)
	}
	if _, ok := subscriber.Receive().(redis.Subscription); !ok {
		t.Fatal("not subscribed")
	}
	waiting := dialRedis(t, port)
	if err := waiting.Send("BLPOP", "queue", 0); err != nil {
		t.Fatal(err)
	}
	waiting.Flush()
	transaction := dialRedis(t, port)
	mustDo(t, transaction, "MULTI")
	mustDo(t, transaction, "INCR", "counter")

	publisher := dialRedis(t, port)
	stop, published, received := make(chan struct{}), make(chan result, 1), make(chan result, 1)
	go func() { published <- publish(publisher, stop) }()
	go func() { received <- receive(subscriber) }()
	for range realReloads() {
		g.reload()
		mustDo(t, transaction, "INCR", "counter")
	}
	close(stop)
	sent, got := <-published, <-received
	if sent.err != nil || got.err != nil || sent.messages != got.messages {
		t.Errorf("sent %d messages (%v), received %d (%v)", sent.messages, sent.err, got.messages, got.err)
	}
	if replies, err := redis.Ints(transaction.Do("EXEC")); err != nil || len(replies) != realReloads()+1 || replies[realReloads()] != realReloads()+1 {
		t.Errorf("EXEC: %v, %v", replies, err)
	}
	mustDo(t, publisher, "RPUSH", "queue", "task")
	if reply, err := redis.Strings(waiting.Receive()); err != nil || len(reply) != 2 || reply[1] != "task" {
		t.Errorf("BLPOP: %q, %v", reply, err)
	}
	t.Logf("%d reloads, %d messages", realReloads(), got.messages)
}

// result is what became of a sequence of messages.
type result struct {
	messages int
	err      error
}

// publish publishes numbers until it is stopped, and then the word "end".
func publish(c redis.Conn, stop <-chan struct{}) (r result) {
	for {
		message := strconv.Itoa(r.messages)
		select {
		case <-stop:
			message = "end"
		default:
		}
		n, err := redis.Int(c.Do("PUBLISH", "news", message))
		if err == nil && n != 1 {
			err = fmt.Errorf("message %s reached %d subscribers", message, n)
		}
		if err != nil || message == "end" {
			r.err = err
			return r
		}
		r.messages++
	}
}

// receive receives numbers to the word "end".
func receive(c redis.PubSubConn) (r result) {
	for {
		switch message := c.Receive().(type) {
		case error:
			r.err = message
			return r
		case redis.Message:
			if string(message.Data) == "end" {
				return r
			}
			if string(message.Data) != strconv.Itoa(r.messages) {
				r.err = errors.New("message " + strconv.Itoa(r.messages) + " is " + strconv.Quote(string(message.Data)))
				return r
			}
			r.messages++
		}
	}
}
