package check

import (
	"fmt"
	"io"
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/penstock/penstock/internal/backend"
	"github.com/penstock/penstock/internal/testutil"
)

var durations = regexp.MustCompile(`duration: \d+ms`)

// waitSaid waits until the last lines are these; durations count as 0 ms.
func (r *rig) waitSaid(tb testing.TB, want string) {
	tb.Helper()
	got := ""
	testutil.Eventually(tb, "the checker says\n"+want, func() bool {
		got = durations.ReplaceAllString(r.said(), "duration: 0ms")
		// So ends a check that was connecting when its listener closed.
		got = strings.ReplaceAll(got, "ECONNRESET returned by OS (Connection reset by peer)", "ECONNREFUSED returned by OS (Connection refused)")
		return strings.HasSuffix(got, want)
	})
}

// serveOn answers connections on an address until it is closed.
func serveOn(tb testing.TB, addr string) (stop func()) {
	tb.Helper()
	l := testutil.ListenOn(tb, "tcp", addr)
	return l.Close
}

// Two servers go and come, with the words of HAProxy.
func TestStates(t *testing.T) {
	active, spare := refusing(t), refusing(t)
	stopActive, stopSpare := serveOn(t, active), serveOn(t, spare)
	r := mustRig(t, fmt.Sprintf("server s1 %s check inter 20ms on-marked-down shutdown-sessions on-marked-up shutdown-backup-sessions\n"+
		" server s2 %s check inter 20ms backup", active, spare))
	testutil.Eventually(t, "both are up", func() bool { return r.state(t, 0).Status == L4OK && r.state(t, 1).Status == L4OK })
	const refused = `, reason: Layer4 connection problem, info: "ECONNREFUSED returned by OS (Connection refused)", check duration: 0ms. `
	const passed = `, reason: Layer4 check passed, check duration: 0ms. `

	stopActive()
	r.waitSaid(t, "W Server be/s1 is DOWN"+refused+"0 active and 1 backup servers left. Running on backup. 0 sessions active, 0 requeued, 0 remaining in queue.")
	if r.backend.State.Server(0).Up() || !r.backend.State.Server(1).Up() {
		t.Error("the backend does not know")
	}
	stopSpare()
	r.waitSaid(t, "W Backup Server be/s2 is DOWN"+refused+"0 active and 0 backup servers left. 0 sessions active, 0 requeued, 0 remaining in queue.\n"+
		"A backend 'be' has no server available!")
	stopSpare = serveOn(t, spare)
	r.waitSaid(t, "W Backup Server be/s2 is UP"+passed+"0 active and 1 backup servers online. Running on backup. 0 sessions requeued, 0 total in queue.")
	stopActive = serveOn(t, active)
	r.waitSaid(t, "W Server be/s1 is UP"+passed+"1 active and 1 backup servers online. 0 sessions requeued, 0 total in queue.")
	stopActive()
	stopSpare()
	r.Stop()
	r.mu.Lock()
	defer r.mu.Unlock()
	if len(r.shutdowns) < 2 || !slices.Equal(r.shutdowns[:2], []int{0, -1}) {
		t.Errorf("sessions were ended on %v, want those of server 0, then those of backups", r.shutdowns)
	}
}

func TestLogHealthChecks(t *testing.T) {
	addr := refusing(t)
	stop := serveOn(t, addr)
	r := mustRig(t, "option log-health-checks\n server s1 "+addr+" check inter 20ms rise 2 fall 2 weight 0")
	r.waitSaid(t, "W Health check for server be/s1 succeeded, reason: Layer4 check passed, check duration: 0ms, status: 2/2 DRAIN.")
	stop()
	const failed = `W Health check for server be/s1 failed, reason: Layer4 connection problem, info: "ECONNREFUSED returned by OS (Connection refused)", check duration: 0ms, `
	r.waitSaid(t, failed+"status: 1/2 DRAIN.\n"+failed+"status: 0/2 DOWN.\n"+
		"W Server be/s1 is DOWN. 0 active and 0 backup servers left. 0 sessions active, 0 requeued, 0 remaining in queue.")
	stop = serveOn(t, addr)
	defer stop()
	const ok = `W Health check for server be/s1 succeeded, reason: Layer4 check passed, check duration: 0ms, `
	r.waitSaid(t, ok+"status: 1/2 DOWN.\n"+ok+"status: 2/2 DRAIN.\n"+
		"W Server be/s1 is UP. 0 active and 0 backup servers online. 0 sessions requeued, 0 total in queue.")
}

// Bytes of a server in a log line are made harmless.
func TestReasonIsPrintable(t *testing.T) {
	s := State{Status: L7Sts, Code: 7, Info: "a\"b<c>\x01\xffd", Duration: 3}
	const want = `, reason: Layer7 wrong status, code: 7, info: "a<22>b<3C>c<3E><01><FF>d", check duration: 3ms`
	if got := reason(&s); got != want {
		t.Errorf("got  %s\nwant %s", got, want)
	}
	if got := clip("ab\x00c"); got != "ab" {
		t.Errorf("clip: %q", got)
	}
	if got := clip(strings.Repeat("x", 1000)); len(got) != 127 {
		t.Errorf("clip leaves %d bytes", len(got))
	}
}

// A server in maintenance is not looked at; it begins anew when it comes back.
func TestMaintenance(t *testing.T) {
	silent := func(c *testutil.Conn) { io.Copy(io.Discard, c) }
	server, other := testutil.Serve(t, silent), testutil.Serve(t, silent)
	r := mustRig(t, fmt.Sprintf("server s1 %s check inter 10ms disabled\n server s2 %s check inter 10ms", server.Addr, other.Addr))
	testutil.Eventually(t, "the other one is checked", func() bool { return r.state(t, 1).Checks > 5 })
	if n := server.Accepted(); n > 0 {
		t.Errorf("checked %d times in maintenance", n)
	}
	r.SetReady(0, 0)
	testutil.Eventually(t, "it is checked", func() bool { return r.state(t, 0).Health.String() == "UP" && r.state(t, 0).Status == L4OK })
	r.SetMaintenance(0, 0)
	seen := r.state(t, 1).Checks
	testutil.Eventually(t, "the other one is checked on", func() bool { return r.state(t, 1).Checks > seen+2 })
	if r.backend.State.Server(0).Up() {
		t.Error("a good check brings a server out of maintenance")
	}
}

// A server that begins as down gets no session before a check has passed.
func TestInitState(t *testing.T) {
	addr := refusing(t)
	r := mustRig(t, "server s1 "+addr+" check inter 10ms init-state down")
	if r.backend.State.Server(0).Up() {
		t.Error("it is up")
	}
	if v := mustAssign(r.backend.State); v != backend.NoServer {
		t.Errorf("a session got %v", v)
	}
	stop := serveOn(t, addr)
	defer stop()
	r.waitSaid(t, "W Server be/s1 is UP, reason: Layer4 check passed, check duration: 0ms. 1 active and 0 backup servers online. 0 sessions requeued, 0 total in queue.")
	if v := mustAssign(r.backend.State); v != backend.Assigned {
		t.Errorf("a session got %v", v)
	}
}

func mustAssign(b *backend.Backend) backend.Verdict {
	_, v := b.Assign(backend.Request{Avoid: backend.None})
	return v
}

// However long a server is silent, its check holds one socket.
func TestOneSocket(t *testing.T) {
	sockets := func() int {
		n := 0
		for _, what := range testutil.FDs(t, os.Getpid()) {
			if strings.HasPrefix(what, "socket:") {
				n++
			}
		}
		return n
	}
	t.Run("never connects", func(t *testing.T) {
		addr := testutil.FullBacklog(t)
		before := sockets()
		r := mustRig(t, "server s1 "+addr+" check inter 20ms")
		most := 0
		testutil.Eventually(t, "ten checks have failed", func() bool {
			most = max(most, sockets()-before)
			return r.state(t, 0).Checks >= 10
		})
		if got := r.outcome(t, 0); got != "L4TOUT" || most > 1 {
			t.Errorf("%s, %d sockets at a time", got, most)
		}
	})
	t.Run("never answers", func(t *testing.T) {
		r := mustRig(t, "option redis-check\n server s1 "+testutil.Listen(t).Addr+" check inter 20ms")
		before := sockets()
		most := 0
		testutil.Eventually(t, "ten checks have failed", func() bool {
			most = max(most, sockets()-before)
			return r.state(t, 0).Checks >= 10
		})
		if got := r.outcome(t, 0); got != "L7TOUT" || most > 1 {
			t.Errorf("%s, %d sockets at a time", got, most)
		}
	})
}
