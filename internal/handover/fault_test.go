package handover

import (
	"bytes"
	"errors"
	"fmt"
	"net"
	"os"
	"slices"
	"sync/atomic"
	"testing"
	"time"

	"github.com/penstock/penstock/internal/session"
	"github.com/penstock/penstock/netio"
	"golang.org/x/sys/unix"
)

// crossing is a frame of a handover that went well.
type crossing struct {
	kind kind
	size int
}

// faultWorld is what the handovers of this file move: three times two or three sessions. Of the second time one is refused.
func faultWorld(tb testing.TB) (*world, *keeper, *adopter) {
	tb.Helper()
	w := mustWorld(tb, 8)
	k := newKeeper(slices.Clone(w.sessions))
	k.chunk = 3
	tb.Cleanup(k.close)
	return w, k, &adopter{refuse: func(s session.Snapshot) bool { return s.Number == 3 }}
}

// enlarge makes a session so large that it needs a batch of its own, which does not fit the connection's buffer either.
func (w *world) enlarge(k *keeper) {
	w.sessions[4].Down.Unsent = bytes.Repeat(unsentOf(4), 20_000)
	k.waiting[4] = w.sessions[4]
}

// mustRecord returns the frames of a handover without faults, and its bytes in each direction.
func mustRecord(tb testing.TB, large bool) (frames []crossing, toTaker, toGiver []byte) {
	tb.Helper()
	w, k, a := faultWorld(tb)
	if large {
		w.enlarge(k)
	}
	giver, taker, done := mustProxyDone(tb, func(f *passing) bool {
		frames = append(frames, crossing{f.kind, len(f.bytes)})
		if f.fromGiver {
			toTaker = append(toTaker, f.bytes...)
		} else {
			toGiver = append(toGiver, f.bytes...)
		}
		f.forward(len(f.bytes))
		return true
	})
	report, err := handoverBetween(k, a, giver, taker, quick)
	<-done
	defer closeSessions(a.adopted)
	if err != nil || report.Moved != 7 || report.Refused != 1 || report.Left != 1 {
		tb.Fatalf("%+v, %v", report, err)
	}
	mustAddUp(tb, w, k, a)
	return frames, toTaker, toGiver
}

// places are where a frame is cut.
var places = []struct {
	name string
	of   func(size int) int
}{
	{"before", func(int) int { return 0 }},
	{"first byte", func(int) int { return 1 }},
	{"in header", func(int) int { return headerSize / 2 }},
	{"behind header", func(int) int { return headerSize }},
	{"in body", func(size int) int { return (headerSize + size) / 2 }},
	{"last byte", func(size int) int { return size - 1 }},
	{"behind", func(size int) int { return size }},
}

// The connection is cut before, within and behind every frame.
func TestCut(t *testing.T) {
	frames, _, _ := mustRecord(t, true)
	ready := slices.IndexFunc(frames, func(c crossing) bool { return c.kind == kindReady })
	for i, c := range frames {
		for _, place := range places {
			t.Run(fmt.Sprintf("%d %v %s", i, c.kind, place.name), func(t *testing.T) {
				checkLeaks(t)
				w, k, a := faultWorld(t)
				w.enlarge(k)
				seen := 0
				giver, taker := mustProxy(t, func(f *passing) bool {
					seen++
					if seen <= i {
						f.forward(len(f.bytes))
						return true
					}
					f.forward(place.of(len(f.bytes)))
					return false
				})
				_, err := handoverBetween(k, a, giver, taker, quick)
				defer closeSessions(a.adopted)
				if whole := c.kind == kindDone && place.of(c.size) == c.size; err == nil && !whole {
					t.Error("the taker noticed nothing")
				}
				mustAddUp(t, w, k, a)
				if i < ready && k.resumed > 0 {
					t.Error("the giver was drained before READY")
				}
			})
		}
	}
}

// The connection stays open and nothing comes, from every frame on: both sides run out of patience at about the same
// time, in any order.
func TestSilence(t *testing.T) {
	frames, _, _ := mustRecord(t, false)
	for i, c := range frames {
		for _, place := range []int{0, 3, 4} {
			place := places[place]
			t.Run(fmt.Sprintf("%d %v %s", i, c.kind, place.name), func(t *testing.T) {
				t.Parallel()
				w, k, a := faultWorld(t)
				l := quick
				l.frame, l.ready = 50*time.Millisecond, 50*time.Millisecond
				seen := 0
				giver, taker := mustProxy(t, func(f *passing) bool {
					seen++
					switch {
					case seen <= i:
						f.forward(len(f.bytes))
					case seen == i+1:
						f.forward(place.of(len(f.bytes)))
					}
					return true
				})
				_, err := handoverBetween(k, a, giver, taker, l)
				defer closeSessions(a.adopted)
				if err == nil {
					t.Error("the taker noticed nothing")
				}
				mustAddUp(t, w, k, a)
			})
		}
	}
}

// A frame comes when one side, or both, have given up: what it says is not believed.
func TestLate(t *testing.T) {
	frames, _, _ := mustRecord(t, false)
	for i, c := range frames {
		for _, factor := range []int{1, 2} {
			t.Run(fmt.Sprintf("%d %v %d", i, c.kind, factor), func(t *testing.T) {
				t.Parallel()
				w, k, a := faultWorld(t)
				l := quick
				l.frame, l.ready = 50*time.Millisecond, 50*time.Millisecond
				seen := 0
				giver, taker := mustProxy(t, func(f *passing) bool {
					seen++
					if seen == i+1 {
						time.Sleep(time.Duration(factor) * l.frame) // not to wait for something: to be late
					}
					f.forward(len(f.bytes))
					return true
				})
				handoverBetween(k, a, giver, taker, l)
				defer closeSessions(a.adopted)
				mustAddUp(t, w, k, a)
			})
		}
	}
}

// Sessions are taken back only when the taker would not inherit them any more: it was told, it is gone, or it is too late.
func TestTakesBackWhenSafe(t *testing.T) {
	for _, tc := range []struct {
		name string
		say  func(side *Taker)
		safe func(refused bool, left time.Duration) bool
	}{
		{
			"a wrong answer", func(side *Taker) { side.send(kindAck, ack{Seq: 9}) },
			func(refused bool, _ time.Duration) bool { return refused },
		},
		{
			"a refusal of what is not there", func(side *Taker) { side.send(kindAck, ack{Seq: 1, Refused: []int{3}}) },
			func(refused bool, _ time.Duration) bool { return refused },
		},
		{
			"another frame", func(side *Taker) { side.send(kindTaken, turn{1}) },
			func(refused bool, _ time.Duration) bool { return refused },
		},
		{
			"silence", func(*Taker) {},
			func(refused bool, left time.Duration) bool { return refused || left <= 0 },
		},
		{
			"a closed connection", func(side *Taker) { side.wire.conn.CloseWrite() },
			func(refused bool, left time.Duration) bool { return !refused && left > 0 }, // at once
		},
	} {
		t.Run(tc.name, func(t *testing.T) {
			checkLeaks(t)
			w, k, _ := faultWorld(t)
			l := quick
			if tc.name == "silence" {
				l.frame = 50 * time.Millisecond
			}
			var until atomic.Int64
			taker := make(chan *net.UnixConn, 1)
			restored := 0
			offer := k.offer()
			keep := offer.Restore
			offer.Restore = func(list []session.Snapshot) {
				restored++
				refused, left := unread(<-taker) > 0, time.Duration(until.Load()-netio.MonotonicNs())
				if !tc.safe(refused, left) {
					t.Errorf("taken back %v before the end, refused: %v", left, refused)
				}
				keep(list)
			}
			side, end := mustStart(t, offer, l)
			taker <- side.wire.conn
			b, list := mustBatch(t, side)
			until.Store(b.Until)
			closeSessions(list)
			tc.say(side)
			end()
			side.Close()
			if restored != 1 {
				t.Errorf("restored %d times", restored)
			}
			mustAddUp(t, w, k, &adopter{})
		})
	}
}

// unread is the number of bytes that a connection has to read.
func unread(c *net.UnixConn) (n int) {
	raw, err := c.SyscallConn()
	if err == nil {
		err = raw.Control(func(fd uintptr) { n, _ = unix.IoctlGetInt(int(fd), unix.TIOCINQ) })
	}
	if err != nil {
		return -1
	}
	return n
}

// A giver that closes in the middle of a batch cannot say so any more: it waits until the taker would not inherit.
func TestCloseDuringBatch(t *testing.T) {
	checkLeaks(t)
	w, k, _ := faultWorld(t)
	l := quick
	l.frame = 200 * time.Millisecond
	listener, err := netio.ListenAbstract(socketName(os.Getpid()))
	if err != nil {
		t.Fatal(err)
	}
	g := newGiver(k.offer(), quietLog, l)
	g.listener = listener
	g.work.Go(g.accept)
	side, err := Dial(os.Getpid(), true)
	if err != nil {
		t.Fatal(err)
	}
	defer side.Close()
	mustBeReady(t, side)
	b, list := mustBatch(t, side)
	closeSessions(list)
	g.Close()
	if left := b.Until - netio.MonotonicNs(); left > 0 {
		t.Errorf("taken back %v before the end", time.Duration(left))
	}
	if k.resumed != 1 {
		t.Errorf("resumed %d times", k.resumed)
	}
	mustAddUp(t, w, k, &adopter{})
}

// An adopter that refuses what it was not shown breaks the handover, and nothing else.
func TestAcceptRefusesTooMuch(t *testing.T) {
	checkLeaks(t)
	w, k, _ := faultWorld(t)
	side, end := mustStart(t, k.offer(), quick)
	_, err := side.Sessions(func([]session.Snapshot) []int { return []int{99} }, func([]session.Snapshot) { t.Error("adopted") })
	if err == nil {
		t.Error("no error")
	}
	side.Close()
	end()
	mustAddUp(t, w, k, &adopter{})
}

// Nothing is written behind a part of a frame: the reader would take it for the rest.
func TestNothingFollowsPartOfAFrame(t *testing.T) {
	checkLeaks(t)
	near, far := mustControl(t)
	defer near.Close()
	defer far.Close()
	w := &wire{conn: near}
	big := refusal{string(make([]byte, 1<<20))}
	if err := w.send(kindSockets, big, nil, time.Now().Add(10*time.Millisecond)); !isLate(err) {
		t.Fatalf("%v, want a passed deadline", err)
	}
	if err := w.send(kindRefuse, refusal{"enough"}, nil, time.Now().Add(patience)); !errors.Is(err, errEnded) {
		t.Errorf("%v, want %v", err, errEnded)
	}
}
