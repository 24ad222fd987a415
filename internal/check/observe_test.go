package check

import (
	"fmt"
	"io"
	"testing"

	"github.com/penstock/penstock/internal/testutil"
)

// What on-error makes of sessions that cannot connect.
func TestObserve(t *testing.T) {
	server := testutil.Serve(t, func(c *testutil.Conn) { io.Copy(io.Discard, c) })
	const detected = `, reason: Health analyze, info: "Detected 10 consecutive errors, last one was: L4 unsuccessful connection"`
	for _, c := range []struct {
		mode string
		want []string // after each observation
	}{
		{"", []string{"UP 2/3", "UP 1/3", "DOWN"}},
		{"on-error fail-check", []string{"UP 2/3"}},
		{"on-error fastinter", []string{"UP"}},
		{"on-error sudden-death", []string{"UP 1/3", "DOWN"}},
		{"on-error mark-down", []string{"DOWN"}},
	} {
		t.Run(c.mode, func(t *testing.T) {
			r := mustRig(t, fmt.Sprintf("server s1 %s check inter 1h observe layer4 %s", server.Addr, c.mode))
			testutil.Eventually(t, "it is up", func() bool { return r.state(t, 0).Health.String() == "UP" })
			for n, want := range c.want {
				r.Observe(0, 0, 10)
				testutil.Eventually(t, "it was told", func() bool { return r.state(t, 0).Observed == uint64(n+1) })
				if want == "DOWN" {
					r.waitSaid(t, "W Server be/s1 is DOWN"+detected+". 0 active and 0 backup servers left. 0 sessions active, 0 requeued, 0 remaining in queue.\n"+
						"A backend 'be' has no server available!")
				}
				testutil.Eventually(t, "it is "+want, func() bool { return r.state(t, 0).Health.String() == want })
			}
			r.Stop()
			r.Observe(0, 0, 10)
		})
	}
	t.Run("the next check comes soon", func(t *testing.T) {
		r := mustRig(t, fmt.Sprintf("server s1 %s check inter 1h fastinter 10ms observe layer4 on-error fastinter", server.Addr))
		testutil.Eventually(t, "it is up", func() bool { return r.state(t, 0).Health.String() == "UP" })
		before := r.state(t, 0).Checks
		r.Observe(0, 0, 10)
		testutil.Eventually(t, "it is checked again", func() bool { return r.state(t, 0).Checks == before+1 })
	})
}
