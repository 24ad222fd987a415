package session

import (
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/penstock/penstock/internal/backend"
)

// timeless is what a test can know of the totals.
var timeless = cmpopts.IgnoreFields(Totals{}, "LastNs", "TotalMs", "MaxTotalMs", "ConnectMs", "MaxConnectMs")

func wantTotals(tb testing.TB, what string, list []*Traffic, want Totals) {
	tb.Helper()
	if diff := cmp.Diff(want, Sum(list), timeless); diff != "" {
		tb.Errorf("%s (-want +got):\n%s", what, diff)
	}
}

// A session is counted when it ends, with contstats at once, and once only, also when it changes its owner.
func TestTraffic(t *testing.T) {
	for name, o := range map[string]rigOptions{
		"at the end":      {},
		"at once":         {configure: func(p *Proxy) { p.ContStats = true }},
		"moving":          {moves: true},
		"moving, at once": {moves: true, configure: func(p *Proxy) { p.ContStats = true }},
	} {
		t.Run(name, func(t *testing.T) {
			r := mustRig(t, o)
			c, s := r.pair()
			c.send(100)
			s.receive(100)
			s.send(30)
			c.receive(30)
			moved := Totals{}
			if r.proxy.ContStats {
				moved = Totals{BytesIn: 100, BytesOut: 30}
			} else if o.moves {
				moved = Sum(r.proxy.Front) // what was moved before the last change of owner
			}
			wantTotals(t, "present", r.proxy.Front, moved)
			c.fin()
			s.expectEOF()
			s.fin()
			c.expectEnd()
			r.line()
			wantTotals(t, "frontend", r.proxy.Front, Totals{BytesIn: 100, BytesOut: 30})
			wantTotals(t, "backend", r.proxy.Back, Totals{BytesIn: 100, BytesOut: 30, Attempts: 1})
			wantTotals(t, "server", r.proxy.Server(0).Traffic, Totals{BytesIn: 100, BytesOut: 30, Attempts: 1})
			if n := r.proxy.Server(0).Traffic[0].samples.Load(); n != 1 {
				t.Errorf("%d sessions in the means, want 1", n)
			}
			// Two tables of one process both hold a session that moves.
			if !o.moves && (r.proxy.Conns.Most() != 1 || r.proxy.MaxBeConns() != 1 || r.proxy.Accepted.Max() != 1 || r.proxy.Server(0).Assigned.Max() != 1) {
				t.Error("a highest value is not 1")
			}
			r.table.ClearCounters()
			r.proxy.ClearMaxima()
			wantTotals(t, "cleared", r.proxy.Back, Totals{})
			if r.proxy.Conns.Most() != 0 || r.proxy.MaxBeConns() != 0 || r.proxy.Accepted.Max() != 0 {
				t.Error("a highest value is left")
			}
			r.clean()
		})
	}
}

func TestTrafficCountsHowSessionsEnd(t *testing.T) {
	for name, test := range map[string]struct {
		end  func(c, s *peer)
		want Totals
	}{
		"the client breaks": {func(c, _ *peer) { c.rst() }, Totals{Attempts: 1, CliAborts: 1}},
		"the server breaks": {func(_, s *peer) { s.rst() }, Totals{Attempts: 1, SrvAborts: 1, RespErrors: 1}},
	} {
		t.Run(name, func(t *testing.T) {
			r := mustRig(t, rigOptions{})
			c, s := r.pair()
			test.end(c, s)
			r.line()
			wantTotals(t, "backend", r.proxy.Back, test.want)
			wantTotals(t, "server", r.proxy.Server(0).Traffic, test.want)
			test.want.Attempts, test.want.RespErrors = 0, 0
			wantTotals(t, "frontend", r.proxy.Front, test.want)
		})
	}
	t.Run("no server", func(t *testing.T) {
		r := mustRig(t, rigOptions{configure: func(p *Proxy) { p.Backend.SetAdmin(0, backend.ForcedMaint) }})
		r.dial()
		r.line()
		wantTotals(t, "backend", r.proxy.Back, Totals{ConnErrors: 1})
		wantTotals(t, "server", r.proxy.Server(0).Traffic, Totals{})
	})
}

func TestAverage(t *testing.T) {
	var c Traffic
	for n := range uint64(2000) {
		c.samples.Store(n + 1)
		v := uint64(10)
		if n >= 1000 {
			v = 30
		}
		c.times[timeTotal].note(v, n+1)
		switch n {
		case 0, 99, 511, 999:
			if got := Sum([]*Traffic{&c}).TotalMs; got != 10 {
				t.Errorf("after %d: %d, want 10", n+1, got)
			}
		}
	}
	got := Sum([]*Traffic{&c, new(Traffic)})
	if got.TotalMs < 26 || got.TotalMs > 30 || got.MaxTotalMs != 30 {
		t.Errorf("the mean forgets to %d, the longest is %d", got.TotalMs, got.MaxTotalMs)
	}
}
