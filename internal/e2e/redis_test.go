package e2e

import (
	"bytes"
	"crypto/rand"
	"os/exec"
	"strconv"
	"strings"
	"testing"

	"github.com/gomodule/redigo/redis"

	"github.com/penstock/penstock/internal/testutil"
)

func startRedisProxy(t *testing.T) (p *proxy, port int) {
	t.Helper()
	server := testutil.StartRedis(t)
	port = testutil.FreePort(t)
	p = start(t, `
global
    nbthread 2
listen redis
    bind 127.0.0.1:{port}
    server r1 {server}
`, "port", port, "server", server)
	return p, port
}

func dialRedis(t *testing.T, port int) redis.Conn {
	t.Helper()
	c, err := redis.Dial("tcp", testutil.Loopback(port), redis.DialReadTimeout(testutil.Deadline),
		redis.DialWriteTimeout(testutil.Deadline))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	return c
}

func mustDo(t *testing.T, c redis.Conn, command string, args ...any) any {
	t.Helper()
	reply, err := c.Do(command, args...)
	if err != nil {
		t.Fatalf("%s: %v", command, err)
	}
	return reply
}

func TestRedis(t *testing.T) {
	t.Parallel()
	_, port := startRedisProxy(t)

	t.Run("values of 1 MB", func(t *testing.T) {
		c := dialRedis(t, port)
		value := make([]byte, 1<<20)
		rand.Read(value)
		for i := range 8 {
			key := "big" + strconv.Itoa(i)
			mustDo(t, c, "SET", key, value)
			if got, err := redis.Bytes(c.Do("GET", key)); err != nil || !bytes.Equal(got, value) {
				t.Fatalf("GET %s: %d bytes, %v; not what was SET", key, len(got), err)
			}
		}
	})

	t.Run("pipeline in one connection", func(t *testing.T) {
		c := dialRedis(t, port)
		const n = 20000
		mustDo(t, c, "DEL", "counter")
		go func() {
			for range n {
				c.Send("INCR", "counter")
			}
			c.Flush()
		}()
		for i := range n {
			if got, err := redis.Int(c.Receive()); err != nil || got != i+1 {
				t.Fatalf("reply %d is %d, %v", i+1, got, err)
			}
		}
	})

	t.Run("publish and subscribe", func(t *testing.T) {
		subscriber := redis.PubSubConn{Conn: dialRedis(t, port)}
		if err := subscriber.Subscribe("news"); err != nil {
			t.Fatal(err)
		}
		if _, ok := subscriber.Receive().(redis.Subscription); !ok {
			t.Fatal("not subscribed")
		}
		publisher := dialRedis(t, port)
		for i := range 100 {
			if n, err := redis.Int(publisher.Do("PUBLISH", "news", i)); err != nil || n != 1 {
				t.Fatalf("PUBLISH reached %d, %v", n, err)
			}
		}
		for i := range 100 {
			message, ok := subscriber.Receive().(redis.Message)
			if !ok || string(message.Data) != strconv.Itoa(i) {
				t.Fatalf("message %d is %q", i, message.Data)
			}
		}
	})

	t.Run("blocking pop", func(t *testing.T) {
		waiting := dialRedis(t, port)
		if err := waiting.Send("BLPOP", "queue", 0); err != nil {
			t.Fatal(err)
		}
		waiting.Flush()
		pusher := dialRedis(t, port)
		testutil.Eventually(t, "the pop blocks", func() bool {
			info, err := redis.String(pusher.Do("INFO", "clients"))
			return err == nil && strings.Contains(info, "blocked_clients:1")
		})
		mustDo(t, pusher, "RPUSH", "queue", "task")
		reply, err := redis.Strings(waiting.Receive())
		if err != nil || len(reply) != 2 || reply[1] != "task" {
			t.Fatalf("BLPOP: %q, %v", reply, err)
		}
	})

	t.Run("reconnects", func(t *testing.T) {
		for i := range 300 {
			c, err := redis.Dial("tcp", testutil.Loopback(port), redis.DialReadTimeout(testutil.Deadline))
			if err != nil {
				t.Fatal(err)
			}
			if got, err := redis.String(c.Do("ECHO", i)); err != nil || got != strconv.Itoa(i) {
				t.Fatalf("connection %d: %q, %v", i, got, err)
			}
			c.Close()
		}
	})

	t.Run("QUIT closes from the server's side", func(t *testing.T) {
		c := dial(t, port)
		c.Send("QUIT\r\n")
		c.Expect("+OK\r\n")
		c.ExpectEOF()
	})
}

func TestRedisBenchmark(t *testing.T) {
	t.Parallel()
	p, port := startRedisProxy(t)
	stdout, _ := testutil.Run(t, 0, exec.Command(testutil.Need(t, "redis-benchmark"), "-p", strconv.Itoa(port),
		"-P", "16", "-n", "50000", "-c", "20", "-d", "64", "-t", "set,get,lpush,lrange_100", "-q"))
	for _, name := range []string{"SET", "GET", "LPUSH", "LRANGE_100"} {
		mustMatch(t, "redis-benchmark's report", stdout, `(?m)^(?:.*\r)?`+name+`[^:\r]*: [0-9.]+ requests per second`)
	}
	if p.Exited() {
		t.Fatal("the program ended")
	}
}

// A server that goes away ends its own sessions only.
func TestRedisServerGone(t *testing.T) {
	t.Parallel()
	port, otherPort := testutil.FreePort(t), testutil.FreePort(t)
	p := start(t, `
global
    nbthread 2
listen redis
    bind 127.0.0.1:{port}
    retries 0
    server r1 {r1}
listen other
    bind 127.0.0.1:{other}
    server r2 {r2}
`, "port", port, "r1", testutil.StartRedis(t), "r2", testutil.StartRedis(t), "other", otherPort)
	other := dialRedis(t, otherPort)
	mustDo(t, other, "SET", "k", "v")
	subscriber := redis.PubSubConn{Conn: dialRedis(t, port)}
	if err := subscriber.Subscribe("news"); err != nil {
		t.Fatal(err)
	}
	subscriber.Receive()
	if _, err := dialRedis(t, port).Do("SHUTDOWN", "NOSAVE"); err == nil {
		t.Fatal("the server did not go away")
	}
	if err, ok := subscriber.Receive().(error); !ok {
		t.Fatalf("the subscriber of a dead server received %v", err)
	}
	late := dial(t, port)
	late.ExpectClosed()
	p.logged(late, `redis redis/r1 .* SC .*`)
	if got, err := redis.String(other.Do("GET", "k")); err != nil || got != "v" {
		t.Fatalf("GET at another server: %q, %v", got, err)
	}
}
