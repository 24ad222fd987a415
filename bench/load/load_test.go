package load

import (
	"testing"
	"time"

	"github.com/penstock/penstock/netio"
)

func mustRig(tb testing.TB, client, server []int) *Rig {
	tb.Helper()
	r, err := NewRig(client, server)
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(r.Close)
	return r
}

// TestDirect sends every kind of traffic from the client to the servers, with nothing between them.
func TestDirect(t *testing.T) {
	cpus, err := netio.UsableCPUs()
	if err != nil {
		t.Fatal(err)
	}
	for _, tc := range []struct {
		name           string
		client, server []int
	}{
		{"one thread", cpus[:1], cpus[:1]},
		{"two threads", cpus[:1], cpus},
	} {
		if tc.name == "two threads" && len(cpus) == 1 {
			t.Logf("%s: skipped: one CPU", tc.name)
			continue
		}
		t.Run(tc.name, func(t *testing.T) {
			r := mustRig(t, tc.client, tc.server)
			edges := 0
			plan := Plan{
				To: r.Echo, Conns: 3, Size: 64, Measure: 20 * time.Millisecond,
				Begin: func() { edges++ }, End: func() { edges += 10 },
			}
			for what, drive := range map[string]func(Plan) (Window, error){"round trips": r.RoundTrips, "connects": r.Connects} {
				w, err := drive(plan)
				if err != nil {
					t.Fatalf("%s: %v", what, err)
				}
				if w.Ops == 0 || w.Latency.TotalCount() != int64(w.Ops) || w.Latency.Min() <= 0 || w.Elapsed < plan.Measure {
					t.Errorf("%s: %+v", what, w)
				}
			}
			stream := plan
			stream.To = r.Source
			if w, err := r.Streams(stream); err != nil || w.Bytes == 0 || w.Latency != nil {
				t.Errorf("streams: %+v, %v", w, err)
			}
			idle := plan
			idle.Conns = 200
			if err := r.Idle(idle); err != nil {
				t.Errorf("idle: %v", err)
			}
			if edges != 44 {
				t.Errorf("edges of windows: %d, want 44", edges)
			}
		})
	}
}

func TestMessageSizes(t *testing.T) {
	r := mustRig(t, []int{0}, []int{0})
	for _, size := range []int{1, 64, 1000, 16 << 10} {
		if w, err := r.RoundTrips(Plan{To: r.Echo, Conns: 2, Size: size, Measure: 5 * time.Millisecond}); err != nil || w.Ops == 0 {
			t.Errorf("%d bytes: %+v, %v", size, w, err)
		}
	}
}

func TestRefused(t *testing.T) {
	r := mustRig(t, []int{0}, []int{0})
	port, err := FreePort()
	if err != nil {
		t.Fatal(err)
	}
	sa := loopback(port)
	if w, err := r.RoundTrips(Plan{To: addrPort(&sa), Conns: 1, Size: 1, Measure: time.Millisecond}); err == nil {
		t.Errorf("traffic to nobody: %+v", w)
	}
}

// liar answers with what nobody sent.
type liar struct {
	loop   *Loop
	answer []byte
}

func (s *liar) ready(c *conn, _ uint32) error {
	if n, e := netio.Recv(c.fd, s.loop.buf); e != 0 || n == 0 {
		s.loop.drop(c)
		return nil
	}
	netio.Send(c.fd, s.answer)
	return nil
}

// TestWrongBytes: a proxy that changes, adds or keeps bytes must not pass for a fast one.
func TestWrongBytes(t *testing.T) {
	right := streamAt(0, 64)
	flipped := append([]byte(nil), right...)
	flipped[63] ^= 1
	for what, answer := range map[string][]byte{
		"flipped": flipped,
		"longer":  streamAt(0, 65),
	} {
		t.Run(what, func(t *testing.T) {
			r := mustRig(t, []int{0}, []int{0})
			sa, err := listen(r.server, &liar{r.server, answer}, netio.Readable)
			if err != nil {
				t.Fatal(err)
			}
			d := &rest{client{loop: r.client, plan: &Plan{To: addrPort(&sa), Size: 64}}}
			err = r.do(func(l *Loop) error {
				c, up, err := l.connect(d.plan.To, d, clientEvents)
				if err != nil {
					return err
				}
				c.slot = 0 // whose first message is what the server answers
				if up {
					err = l.ask(c, 64)
				}
				if err != nil {
					return err
				}
				return l.runUntil("answer", patience, func() bool { return c.stage == resting })
			})
			if err == nil {
				t.Error("wrong bytes went unnoticed")
			}
		})
	}
}

func TestStreamIsPeriodic(t *testing.T) {
	for _, off := range []uint64{0, 1, streamPeriod - 1, streamPeriod, 12345678901} {
		a, b := streamAt(off, streamChunk), streamAt(off+streamPeriod, streamChunk)
		if string(a) != string(b) {
			t.Errorf("offset %d: differs one period later", off)
		}
		if c := streamAt(off+4096, streamChunk); string(a) == string(c) {
			t.Errorf("offset %d: a page lost goes unnoticed", off)
		}
	}
	seen := map[string]bool{}
	for slot := range uint32(50) {
		for seq := range uint64(50) {
			seen[string(message(&conn{slot: slot, seq: seq}, 64))] = true
		}
	}
	if len(seen) != 2500 {
		t.Errorf("%d different messages of 2500", len(seen))
	}
}
