package check

import (
	"fmt"
	"io"
	"os"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/penstock/penstock/internal/backend"
	"github.com/penstock/penstock/internal/config"
	"github.com/penstock/penstock/internal/testutil"
)

const testSecret = "s3cret-password"

// withSecret is the words of an option for a password in a file.
func withSecret(tb testing.TB, secret string) string {
	tb.Helper()
	return " password-file " + testutil.WriteFile(tb, testutil.TempDir(tb), "secret", secret+"\n")
}

func infoReply(lines ...string) string {
	text := "# Replication\r\n" + strings.Join(lines, "\r\n") + "\r\n"
	return fmt.Sprintf("+PONG\r\n$%d\r\n%s\r\n", len(text), text)
}

// What a check of the role makes of an answer of Redis.
func TestRedisRole(t *testing.T) {
	ask := string(redisCommands([]string{"PING"}, []string{"INFO", "replication"}))
	auth := func(words ...string) string { return string(redisCommands(append([]string{"AUTH"}, words...))) }
	slave := func(more ...string) string { return infoReply(append([]string{"role:slave"}, more...)...) }
	const lag = "role replica max-lag 10s"
	for _, c := range []struct {
		name, words string
		server      func(*testutil.Conn)
		want        string
	}{
		{"a master", "role master", strict.holds(ask, infoReply("role:master", "connected_slaves:0")), "L7OK/0 role is master"},
		{"a master, asked for as primary", "role primary", strict.holds(ask, infoReply("role:master")), "L7OK/0 role is master"},
		{"a replica", "role replica", strict.holds(ask, slave("master_link_status:down")), "L7OK/0 role is replica"},
		{"not a master", "role master", strict.holds(ask, slave()), "L7STS/0 role is replica, wanted master"},
		{"not a replica", "role replica", strict.holds(ask, infoReply("role:master")), "L7STS/0 role is master, wanted replica"},
		{"a password", "role master" + withSecret(t, testSecret), strict.holds(auth(testSecret)+ask, "+OK\r\n"+infoReply("role:master")), "L7OK/0 role is master"},
		{"a user", "role master user u" + withSecret(t, testSecret), strict.holds(auth("u", testSecret)+ask, "+OK\r\n"+infoReply("role:master")), "L7OK/0 role is master"},
		{"a wrong password", "role master" + withSecret(t, testSecret), strict.holds("", "-WRONGPASS no\r\n"), "L7STS/0 WRONGPASS no"},
		{
			"a server that repeats the password", "role master" + withSecret(t, testSecret),
			strict.holds("", "-ERR unknown command 'AUTH', with args beginning with: '"+testSecret[:9]), "L7TOUT",
		},
		{
			"an error that repeats the password", "role master" + withSecret(t, testSecret),
			strict.holds("", "-ERR unknown command 'AUTH', with args beginning with: '"+testSecret[:9]+"\r\n"), "L7STS/0 ERR unknown command 'AUTH'",
		},
		{"a password in another error", "role master" + withSecret(t, testSecret), strict.holds("", "-ERR <"+testSecret+">\r\n"), "L7STS/0 ERR <***>"},
		{"no password", "role master", strict.holds(ask, "-NOAUTH Authentication required.\r\n"), "L7STS/0 NOAUTH Authentication required."},
		{"loading", "role master", strict.holds(ask, "-LOADING Redis is loading\r\n"), "L7STS/0 LOADING Redis is loading"},
		{"no right", "role master", strict.holds(ask, "+PONG\r\n-NOPERM no permissions\r\n"), "L7STS/0 NOPERM no permissions"},
		{"a small lag", lag, strict.holds(ask, slave("master_link_status:up", "master_last_io_seconds_ago:3", "master_sync_in_progress:0")), "L7OK/0 role is replica, lag 3s"},
		{"a big lag", lag, strict.holds(ask, slave("master_link_status:up", "master_last_io_seconds_ago:11", "master_sync_in_progress:0")), "L7STS/0 lag is 11s, wanted at most 10s"},
		{"shortly without a primary", lag, strict.holds(ask, slave("master_link_status:down", "master_last_io_seconds_ago:-1", "master_link_down_since_seconds:2")), "L7OK/0 role is replica, lag 2s"},
		{"long without a primary", lag, strict.holds(ask, slave("master_link_status:down", "master_link_down_since_seconds:99")), "L7STS/0 lag is 1m39s, wanted at most 10s"},
		{"never had a primary", lag, strict.holds(ask, slave("master_link_status:down", "master_link_down_since_seconds:-1")), "L7STS/0 it was never connected to its primary"},
		{"a sync", lag, strict.holds(ask, slave("master_link_status:down", "master_sync_in_progress:1")), "L7STS/0 it gets a copy of the primary's data"},
		{"no role", "role master", strict.holds(ask, "+PONG\r\n$0\r\n\r\n"), "L7RSP INFO does not tell the role"},
		{"TLS", "role master", strict.holds("", "\x15\x03\x03\x00\x02\x02\x46"), "L7RSP not a reply of Redis: the server speaks TLS"},
		{"HTTP", "role master", strict.holds("", "HTTP/1.1 400 Bad Request\r\n\r\n"), "L7RSP not a reply of Redis: the server speaks HTTP"},
		{"a long INFO", "role master", strict.holds("", "+PONG\r\n$1073741824\r\n"), "L7RSP INFO is too long"},
		{"half an answer", "role master", strict.replies("", "+PONG\r\n$100\r\n# Repl"), "L7RSP the answer is cut short"},
		{"nothing", "role master", strict.replies(), "L7RSP the server ended the connection"},
		{"no end", "role master", endless("x"), "L7RSP not a reply of Redis"},
		{"no end of lines", "role replica", func(c *testutil.Conn) { c.Send("+PONG\r\n$500000\r\n"); endless("a:b\r\n")(c) }, "L7RSP INFO does not tell the role"},
	} {
		t.Run(c.name, func(t *testing.T) {
			checkRole(t, "option redis-check "+c.words, c.server, c.want)
		})
	}
}

// checkRole looks at the outcome of one check.
func checkRole(t *testing.T, option string, server func(*testutil.Conn), want string) {
	t.Helper()
	lines := option
	if strings.HasPrefix(want, "L7TOUT") {
		lines += "\n timeout check 50ms"
	}
	r := mustRig(t, lines+"\n server s "+testutil.Serve(t, server).Addr+" check inter 1h")
	got := r.outcome(t, 0)
	if got != want && !(strings.HasSuffix(want, "cut short") && strings.HasPrefix(got, want)) {
		t.Errorf("got  %s\nwant %s", got, want)
	}
	if up := r.backend.State.Server(0).Up(); up != strings.HasPrefix(want, "L7OK") {
		t.Errorf("up: %v", up)
	}
	if strings.Contains(r.said()+got, testSecret[:9]) {
		t.Errorf("the password is told: %s %s", got, r.said())
	}
}

// endless sends a text until the other side has had enough.
func endless(text string) func(*testutil.Conn) {
	return func(c *testutil.Conn) {
		block := strings.Repeat(text, 1<<14/len(text))
		for {
			if _, err := io.WriteString(c.Conn, block); err != nil {
				return
			}
		}
	}
}

// A server that tells another role is down at once, whatever fall says, and comes back by rise. Its sessions are ended
// each time, but not without end.
func TestDemotion(t *testing.T) {
	ask := string(redisCommands([]string{"PING"}, []string{"INFO", "replication"}))
	role := make(chan string, 1)
	role <- "master"
	server := testutil.Serve(t, func(c *testutil.Conn) {
		if _, err := io.ReadFull(c.Conn, make([]byte, len(ask))); err != nil { // the test is over
			return
		}
		r := <-role
		role <- r
		io.WriteString(c.Conn, infoReply("role:"+r))
		io.Copy(io.Discard, c)
	})
	set := func(r string) { <-role; role <- r }
	r := mustRig(t, "option redis-check role master\n timeout check 20s\n server s "+server.Addr+" check inter 5ms fall 1000 rise 3 on-marked-down shutdown-sessions")
	const down = `W Server be/s is DOWN, reason: Layer7 wrong status, code: 0, info: "role is replica, wanted master", check duration: 0ms. ` +
		"0 active and 0 backup servers left. 0 sessions active, 0 requeued, 0 remaining in queue.\nA backend 'be' has no server available!"
	const up = `W Server be/s is UP, reason: Layer7 check passed, code: 0, info: "role is master", check duration: 0ms. ` +
		"1 active and 0 backup servers online. 0 sessions requeued, 0 total in queue."
	r.waitSaid(t, up)
	for i := range flapMost {
		set("slave")
		r.waitSaid(t, down)
		set("master")
		if i < flapMost-1 {
			r.waitSaid(t, up)
		}
	}
	testutil.Eventually(t, "it has to wait", func() bool {
		return strings.Contains(r.said(), "W Server be/s lost its role 3 times within 1m0s: it stays DOWN for another ")
	})
	checks := r.state(t, 0).Checks
	testutil.Eventually(t, "more checks", func() bool { return r.state(t, 0).Checks > checks+10 })
	if s := r.state(t, 0); s.Health.String() != "DOWN 2/3" || s.Status != L7OK {
		t.Errorf("%s %s", s.Status, s.Health)
	}
	r.Stop()
	if got := len(r.shutdowns); got != flapMost {
		t.Errorf("sessions were ended %d times", got)
	}
	if n := strings.Count(r.said(), "lost its role"); n != 1 {
		t.Errorf("said %d times", n)
	}
}

func TestFlaps(t *testing.T) {
	var f flaps
	const s = int64(1e9)
	for i, c := range []struct{ at, wait int64 }{{1 * s, 0}, {2 * s, 0}, {11 * s, 50}, {62 * s, 0}, {63 * s, 8}, {200 * s, 0}} {
		f.lose(c.at)
		if got := int64(f.wait(c.at).Seconds()); got != c.wait {
			t.Errorf("loss %d: waits %d s, want %d", i, got, c.wait)
		}
	}
}

// A server gets no session before it has told its role, unless the line says so.
func TestRoleIsUnknownAtFirst(t *testing.T) {
	silent := testutil.Listen(t).Addr
	r := mustRig(t, "option redis-check role master\n server s "+silent+" check inter 1h\n server t "+silent+" check inter 1h init-state up")
	if r.backend.State.Server(0).Up() || !r.backend.State.Server(1).Up() {
		t.Error("s is up or t is down")
	}
}

// Why a server has no role is said at first, and again when the reason is another one.
func TestRoleIsRefused(t *testing.T) {
	var answer atomic.Value
	answer.Store("-WRONGPASS no\r\n")
	server := testutil.Serve(t, func(c *testutil.Conn) {
		if _, err := c.Read(make([]byte, 512)); err == nil {
			io.WriteString(c.Conn, answer.Load().(string))
		}
		io.Copy(io.Discard, c)
	})
	r := mustRig(t, "option redis-check role master"+withSecret(t, testSecret)+"\n timeout check 20s\n server s "+server.Addr+" check inter 10ms")
	const failed = `W Health check for server be/s failed, reason: Layer7 wrong status, code: 0, info: "`
	r.waitSaid(t, failed+`WRONGPASS no", check duration: 0ms, status: 0/2 DOWN.`)
	for _, lag := range []string{"1", "2", "3"} {
		seen := r.state(t, 0).Checks
		answer.Store("-LOADING " + lag + " s to go\r\n")
		testutil.Eventually(t, "it is asked again", func() bool { return r.state(t, 0).Checks > seen+1 })
	}
	r.waitSaid(t, failed+`WRONGPASS no", check duration: 0ms, status: 0/2 DOWN.`+"\n"+
		failed+`LOADING 1 s to go", check duration: 0ms, status: 0/2 DOWN.`)
}

func TestPasswords(t *testing.T) {
	t.Setenv("PENSTOCK_TEST_SECRET", "from env")
	dir := testutil.TempDir(t)
	file := func(name, text string) string { return testutil.WriteFile(t, dir, name, text) }
	for _, c := range []struct {
		name   string
		role   config.RoleCheck
		secret string
		err    string
	}{
		{"none", config.RoleCheck{}, "", ""},
		{"a line", config.RoleCheck{PasswordFile: file("a", "x y \nz")}, "x y ", ""},
		{"CR LF", config.RoleCheck{PasswordFile: file("b", "x\r\n")}, "x", ""},
		{"the environment", config.RoleCheck{PasswordEnv: "PENSTOCK_TEST_SECRET"}, "from env", ""},
		{"empty", config.RoleCheck{PasswordFile: file("c", "\nx")}, "", "the first line is empty"},
		{"no file", config.RoleCheck{PasswordFile: dir + "/none"}, "", "no such file"},
		{"a directory", config.RoleCheck{PasswordFile: dir}, "", "is a directory"},
		{"no variable", config.RoleCheck{PasswordEnv: "PENSTOCK_TEST_NONE"}, "", "the variable PENSTOCK_TEST_NONE is not set"},
		{"too long", config.RoleCheck{PasswordFile: file("d", strings.Repeat("x", 5000))}, "", "longer than 1024 bytes"},
		{"zero", config.RoleCheck{PasswordFile: file("e", "a\x00b")}, "", "zero byte"},
	} {
		r, err := newRoleCheck(&config.Check{Role: &c.role})
		switch {
		case c.err != "":
			if err == nil || !strings.Contains(err.Error(), c.err) {
				t.Errorf("%s: %v, want %s", c.name, err, c.err)
			}
		case err != nil || r.secret != c.secret:
			t.Errorf("%s: %v, %v", c.name, r, err)
		}
	}
}

// Those who wait for the roles wait until each backend has a server that is up, or until all have answered, and not for ever.
func TestAwaitRoles(t *testing.T) {
	silent := testutil.Listen(t).Addr
	answer := func(role string) string {
		return testutil.Serve(t, strict.holds("", infoReply("role:"+role))).Addr
	}
	const option = "option redis-check role master\n timeout check 20s\n"
	for _, c := range []struct {
		name, lines string
		wait        time.Duration
		up          bool
	}{
		{"no role", " server a " + silent + " check inter 1h\n", time.Hour, true},
		{"one is up", option + " server a " + silent + " check inter 1h\n server b " + answer("master") + " check inter 1h\n", time.Hour, false},
		{"none is up", option + " server a " + answer("slave") + " check inter 1h\n server b " + answer("slave") + " check inter 1h\n", time.Hour, false},
		{"in maintenance", option + " server a " + silent + " check inter 1h disabled\n server b " + answer("slave") + " check inter 1h\n", time.Hour, false},
		{"one is silent", option + " server a " + silent + " check inter 1h\n server b " + answer("slave") + " check inter 1h\n", time.Millisecond, false},
	} {
		t.Run(c.name, func(t *testing.T) {
			r := mustRig(t, c.lines)
			r.AwaitRoles(c.wait)
			if up := r.backend.State.Server(0).Up(); up != c.up {
				t.Errorf("up: %v", up)
			}
		})
	}
}

// However long a server is silent in the middle of a conversation, its check holds one socket.
func TestRoleOneSocket(t *testing.T) {
	sockets := func() (n int) {
		for _, what := range testutil.FDs(t, os.Getpid()) {
			if strings.HasPrefix(what, "socket:") {
				n++
			}
		}
		return n
	}
	silent := testutil.Listen(t).Addr // the kernel accepts for it
	for _, option := range []string{"redis-check role master", "mysql-check role primary user u", "pgsql-check role primary user u"} {
		before := sockets()
		r := mustRig(t, "option "+option+"\n server s "+silent+" check inter 20ms init-state up")
		most := 0
		testutil.Eventually(t, "ten checks have failed", func() bool {
			most = max(most, sockets()-before)
			return r.state(t, 0).Checks >= 10
		})
		if got := r.outcome(t, 0); got != "L7TOUT" || most > 1 {
			t.Errorf("%s: %s, %d sockets at a time", option, got, most)
		}
		r.Stop()
	}
}

// Sessions on a server that tells another role are ended as long as there are any, also when it is down already.
func TestEviction(t *testing.T) {
	role := make(chan bool)
	server := testutil.Serve(t, func(c *testutil.Conn) {
		<-role
		io.WriteString(c.Conn, infoReply("role:slave"))
		io.Copy(io.Discard, c)
	})
	r := mustRig(t, "option redis-check role master\n timeout check 20s\n server s "+server.Addr+" check inter 5ms init-state up on-marked-down shutdown-sessions")
	if v := mustAssign(r.backend.State); v != backend.Assigned {
		t.Fatalf("a session got %v", v)
	}
	close(role)
	testutil.Eventually(t, "sessions are ended more than once", func() bool {
		r.mu.Lock()
		defer r.mu.Unlock()
		return len(r.shutdowns) > 2
	})
}
