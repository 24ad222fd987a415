package check

import (
	"fmt"
	"os/exec"
	"regexp"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/penstock/penstock/internal/backend"
	"github.com/penstock/penstock/internal/testutil"
)

// statusServer answers every request with a status that can be changed, and keeps what it was asked.
type statusServer struct {
	addr  string
	code  atomic.Int32
	mu    sync.Mutex
	asked []string
}

func mustStatusServer(tb testing.TB, code int) *statusServer {
	tb.Helper()
	s := &statusServer{}
	s.code.Store(int32(code))
	server := testutil.Serve(tb, func(c *testutil.Conn) {
		c.SetReadDeadline(time.Now().Add(testutil.Deadline))
		b := make([]byte, 4096)
		n, _ := c.Read(b)
		s.mu.Lock()
		s.asked = append(s.asked, string(b[:n]))
		s.mu.Unlock()
		code := s.code.Load()
		if strings.Contains(strings.ToLower(string(b[:n])), "server-state: down") {
			code = 200 // a check was late; it is up, and asks again
		}
		fmt.Fprintf(c, "HTTP/1.1 %d x\r\nContent-Length: 0\r\n\r\n", code) // the check may have left
		_, _ = c.Read(b)
	})
	s.addr = server.Addr
	return s
}

// first is the first line of the requests so far that begins so, without that.
func (s *statusServer) first(begin string) string {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, text := range s.asked {
		for line := range strings.SplitSeq(text, "\r\n") {
			if len(line) > len(begin) && strings.EqualFold(line[:len(begin)], begin) {
				return line[len(begin):]
			}
		}
	}
	return ""
}

// A server that answers 404 keeps its sessions and gets no more; one that is down does not come up by that.
func TestDisableOn404(t *testing.T) {
	s := mustStatusServer(t, 200)
	r := mustRig(t, "option httpchk\n http-check disable-on-404\n timeout check 1m\n server s "+s.addr+" check inter 100ms fall 2 rise 1")
	server := r.backend.State.Server(0)
	testutil.Eventually(t, "the server is checked", func() bool { return r.state(t, 0).Status == L7OK })
	s.code.Store(404)
	r.waitSaid(t, "W Server be/s is stopping, reason: Layer7 check conditionally passed, code: 404, check duration: 0ms. "+
		"0 active and 0 backup servers online. 0 sessions requeued, 0 total in queue.\nA backend 'be' has no server available!")
	if !server.Up() || server.Usable() || server.Operation() != backend.Stopping {
		t.Errorf("up %v, usable %v, operation %v", server.Up(), server.Usable(), server.Operation())
	}
	s.code.Store(200)
	r.waitSaid(t, "W Server be/s is UP, reason: Layer7 check passed, code: 200, check duration: 0ms. "+
		"1 active and 0 backup servers online. 0 sessions requeued, 0 total in queue.")
	s.code.Store(404)
	testutil.Eventually(t, "the server is stopping again", func() bool { return server.Operation() == backend.Stopping })
	s.code.Store(503)
	const down = `W Server be/s is DOWN, reason: Layer7 wrong status, code: 503, info: "x", check duration: 0ms. ` +
		"0 active and 0 backup servers left. 0 sessions active, 0 requeued, 0 remaining in queue."
	r.waitSaid(t, down)
	s.code.Store(404)
	testutil.Eventually(t, "404 is seen", func() bool { st := r.state(t, 0); return st.Status == L7Sts && st.Code == 404 })
	if server.Up() {
		t.Error("a server came up by 404")
	}
}

// The server hears of its state what HAProxy says.
func TestSendStateEqualsHAProxy(t *testing.T) {
	haproxy, err := exec.LookPath("haproxy")
	if err != nil {
		t.Skip("haproxy is not installed")
	}
	const header = "X-Haproxy-Server-State: "
	s, theirs := mustStatusServer(t, 404), mustStatusServer(t, 404)
	lines := func(addr string) string {
		return "option httpchk\n http-check send-state\n http-check disable-on-404\n http-check expect status 200\n timeout check 1m\n server s " + addr +
			" check inter 100ms weight 3\n server t " + addr + " weight 2\n"
	}
	mustRig(t, lines(s.addr))
	path := testutil.WriteFile(t, t.TempDir(), "haproxy.cfg", "global\n node n1\n max-spread-checks 10ms\ndefaults\n mode tcp\n timeout connect 30s\n"+
		" timeout server 30s\n timeout client 30s\nfrontend f\n bind "+refusing(t)+"\nbackend be\n"+lines(theirs.addr))
	p := testutil.Start(t, exec.Command(haproxy, "-db", "-f", path))
	port := regexp.MustCompile(`port=\d+`)
	for _, begin := range []string{header + "UP", header + "NOLB"} {
		testutil.Eventually(t, begin, func() bool {
			if p.Exited() {
				t.Fatalf("haproxy: %s", p.Stderr)
			}
			return s.first(begin) != "" && theirs.first(begin) != ""
		})
		got, want := port.ReplaceAllString(s.first(begin), "port=0"), port.ReplaceAllString(theirs.first(begin), "port=0")
		if got != want {
			t.Errorf("%s\nhaproxy %s\nours    %s", begin, want, got)
		}
	}
}
