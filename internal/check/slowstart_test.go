package check

import (
	"fmt"
	"io"
	"testing"
	"time"

	"github.com/penstock/penstock/internal/backend"
	"github.com/penstock/penstock/internal/testutil"
)

func TestSlowStartShare(t *testing.T) {
	for _, c := range []struct {
		gone, all time.Duration
		want      int
	}{
		{0, 10 * time.Second, 0},
		{999 * time.Millisecond, 10 * time.Second, 0},
		{time.Second, 10 * time.Second, 10},
		{9900 * time.Millisecond, 10 * time.Second, 90},
		{time.Second, time.Second, 99},
		{20 * time.Minute, 24 * time.Hour, 1},
	} {
		if got := slowStartShare(c.gone, c.all); got != c.want {
			t.Errorf("after %v of %v: %d %%, want %d", c.gone, c.all, got, c.want)
		}
	}
}

// A server that comes back begins with little and ends with all; one that was there from the start does not.
func TestSlowStart(t *testing.T) {
	addr := refusing(t)
	quiet := testutil.Serve(t, func(c *testutil.Conn) { io.Copy(io.Discard, c) })
	r := mustRig(t, fmt.Sprintf("server s1 %s check inter 10ms slowstart 2s\n server s2 %s check inter 10ms slowstart 1h\n server s3 127.0.0.1:1 track s1 slowstart 1h",
		addr, quiet.Addr))
	r.waitSaid(t, "left. 0 sessions active, 0 requeued, 0 remaining in queue.")
	testutil.Eventually(t, "the other one is up", func() bool { return r.state(t, 1).Health.String() == "UP" })
	if got := r.backend.State.Server(1).Throttled(); got != 100 {
		t.Errorf("at the start of the process: %d %%", got)
	}
	stop := serveOn(t, addr)
	defer stop()
	testutil.Eventually(t, "it is up", func() bool { return r.backend.State.Server(0).Up() })
	share := r.backend.State.Server(0).Throttled
	seen := share()
	testutil.Eventually(t, "it has all", func() bool {
		now := share()
		if now < seen {
			t.Errorf("%d %% after %d %%", now, seen)
		}
		seen = now
		return now == 100
	})
}

// A server that leaves maintenance starts slowly; one that was drained does not.
func TestSlowStartAfterMaintenance(t *testing.T) {
	quiet := testutil.Serve(t, func(c *testutil.Conn) { io.Copy(io.Discard, c) })
	r := mustRig(t, fmt.Sprintf("server s1 %s check inter 10ms slowstart 1h", quiet.Addr))
	testutil.Eventually(t, "it is up", func() bool { return r.state(t, 0).Health.String() == "UP" })
	s, id := r.backend.State.Server(0), r.backend.State.ID
	r.SetDrain(id, 0)
	r.SetReady(id, 0)
	if s.Operation() != backend.Running || s.Throttled() != 100 {
		t.Errorf("drained before: operation %d, %d %%", s.Operation(), s.Throttled())
	}
	r.SetMaintenance(id, 0)
	r.SetReady(id, 0)
	if s.Operation() != backend.Starting || s.Throttled() == 100 {
		t.Errorf("in maintenance before: operation %d, %d %%", s.Operation(), s.Throttled())
	}
}
