package load

import (
	"net/netip"
	"testing"
	"time"

	"github.com/penstock/penstock/bench/place"
	"github.com/penstock/penstock/netio"
)

var localhost = netip.AddrFrom4([4]byte{127, 0, 0, 1})

func party(cpus []int) place.Party { return place.Party{CPUs: cpus, Addr: localhost} }

func mustRig(tb testing.TB, client, server []int) *Rig {
	tb.Helper()
	r, err := NewRig(party(client), party(server))
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
			plan.Rate = 5000
			for what, drive := range map[string]func(Plan) (Window, error){
				"round trips": r.RoundTrips, "connects": r.Connects, "open loop": r.OpenLoop, "storm": r.Storm,
			} {
				w, err := drive(plan)
				if err != nil {
					t.Fatalf("%s: %v", what, err)
				}
				if w.Ops == 0 || w.Latency.TotalCount() != int64(w.Ops) || w.Latency.Min() <= 0 || w.Elapsed <= 0 {
					t.Errorf("%s: %+v", what, w)
				}
			}
			batches := plan
			batches.Batch = 16
			if w, err := r.RoundTrips(batches); err != nil || w.Ops == 0 || w.Latency.TotalCount() != int64(w.Ops/16) || w.Ops%16 != 0 {
				t.Errorf("batches: %+v, %v", w, err)
			}
			mix := plan
			mix.Source, mix.Streams = r.Source, 2
			if w, err := r.Mix(mix); err != nil || w.Ops == 0 || w.Bytes == 0 || w.Latency.TotalCount() != int64(w.Ops) {
				t.Errorf("mix: %+v, %v", w, err)
			}
			stream := plan
			stream.To, stream.Rate = r.Source, 0
			if w, err := r.Streams(stream); err != nil || w.Bytes == 0 || w.Latency != nil {
				t.Errorf("streams: %+v, %v", w, err)
			}
			stream.To = r.Exchange
			if w, err := r.Exchanges(stream); err != nil || w.Bytes == 0 || r.exchange.taken.Load() == 0 {
				t.Errorf("exchanges: %+v, %v", w, err)
			}
			stream.To, stream.Rate = r.Source, 1e6
			// What a tick takes is bounded; only late ticks are lost, so it is never more.
			if w, err := r.SlowStreams(stream); err != nil || w.Bytes == 0 || float64(w.Bytes) > 3*1e6*(w.Elapsed+slowTick).Seconds() {
				t.Errorf("slow streams: %+v, %v", w, err)
			}
			idle := plan
			idle.Conns = 200
			if err := r.Idle(idle); err != nil {
				t.Errorf("idle: %v", err)
			}
			if edges != 110 {
				t.Errorf("edges of windows: %d, want 110", edges)
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
	nobody := party([]int{0})
	port, err := nobody.FreePort()
	if err != nil {
		t.Fatal(err)
	}
	if w, err := r.RoundTrips(Plan{To: netip.AddrPortFrom(localhost, port), Conns: 1, Size: 1, Measure: time.Millisecond}); err == nil {
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
			sa, err := listen(r.server, localhost, &liar{r.server, answer}, netio.Readable)
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

// staller echoes, but stops for a while once.
type staller struct {
	echo
	served int
	pause  time.Duration
}

func (s *staller) ready(c *conn, mask uint32) error {
	if s.served++; s.served == 20 {
		time.Sleep(s.pause)
	}
	return s.echo.ready(c, mask)
}

// TestNoCoordinatedOmission: messages that were due while the server stood still count with the time
// that they waited, although they were sent only afterwards.
func TestNoCoordinatedOmission(t *testing.T) {
	r := mustRig(t, []int{0}, []int{0})
	const pause = 100 * time.Millisecond
	sa, err := listen(r.server, localhost, &staller{echo: echo{r.server}, pause: pause}, netio.Readable|netio.PeerClosed|netio.Edge)
	if err != nil {
		t.Fatal(err)
	}
	w, err := r.OpenLoop(Plan{To: addrPort(&sa), Conns: 2, Size: 8, Rate: 1000, Measure: 200 * time.Millisecond})
	if err != nil {
		t.Fatal(err)
	}
	late := int64(0)
	for _, b := range w.Latency.Distribution() {
		if b.From >= int64(pause/4) {
			late += b.Count
		}
	}
	// 100 were due in the pause, 75 of them more than a quarter of it before its end.
	if late < 50 {
		t.Errorf("%d of %d messages were late; the pause of %v is not seen", late, w.Latency.TotalCount(), pause)
	}
}

// TestExchangeChecksTheClient: bytes changed on the way to the server are found there.
func TestExchangeChecksTheClient(t *testing.T) {
	r := mustRig(t, []int{0}, []int{0})
	err := r.do(func(l *Loop) error {
		c, _, err := l.connect(r.Exchange, &liar{l, []byte("not the stream")}, netio.Readable|netio.PeerClosed)
		if err != nil {
			return err
		}
		return l.runUntil("error", patience, func() bool { return c.role == nil })
	})
	if err == nil {
		t.Error("wrong bytes went unnoticed")
	}
}
