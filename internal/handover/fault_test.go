package handover

import (
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/penstock/penstock/internal/session"
)

// crossing is a frame of a handover that went well.
type crossing struct {
	fromGiver bool
	kind      kind
	size      int
}

// faultWorld is what the handovers of this file move: three batches, one of them with a refused session.
func faultWorld(tb testing.TB) (*world, *keeper, *adopter) {
	tb.Helper()
	w := mustWorld(tb, 8)
	k := newKeeper(slices.Clone(w.sessions))
	k.chunk = 3
	tb.Cleanup(k.close)
	return w, k, &adopter{refuse: func(s session.Snapshot) bool { return s.Number == 4 }}
}

// mustRecord returns the frames of a handover without faults, and its bytes in each direction.
func mustRecord(tb testing.TB) (frames []crossing, toTaker, toGiver []byte) {
	tb.Helper()
	w, k, a := faultWorld(tb)
	giver, taker, done := mustProxyDone(tb, func(f *passing) bool {
		frames = append(frames, crossing{f.fromGiver, f.kind, len(f.bytes)})
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

// The connection is cut before, within and behind every frame.
func TestCut(t *testing.T) {
	frames, _, _ := mustRecord(t)
	for i, c := range frames {
		for _, at := range []int{0, 1, headerSize / 2, headerSize, headerSize + 1, c.size / 2, c.size - 1, c.size} {
			if at > c.size {
				continue
			}
			t.Run(fmt.Sprintf("%d %v at %d", i, c.kind, at), func(t *testing.T) {
				checkLeaks(t)
				w, k, a := faultWorld(t)
				seen := 0
				giver, taker := mustProxy(t, func(f *passing) bool {
					seen++
					if seen <= i {
						f.forward(len(f.bytes))
						return true
					}
					if at == c.size {
						at = len(f.bytes) // numbers in it may be of another length than at the first time
					}
					f.forward(min(at, len(f.bytes)))
					return false
				})
				_, err := handoverBetween(k, a, giver, taker, quick)
				defer closeSessions(a.adopted)
				whole := c.kind == kindDone && at >= c.size
				if err == nil && !whole {
					t.Error("the taker noticed nothing")
				}
				mustAddUp(t, w, k, a)
				if reached := slices.IndexFunc(frames, func(c crossing) bool { return c.kind == kindReady }); i < reached && k.resumed > 0 {
					t.Error("the giver was drained before READY")
				}
			})
		}
	}
}

// The connection stays open and nothing comes, from every frame on: both sides run out of patience at about the same
// time, in any order.
func TestSilence(t *testing.T) {
	frames, _, _ := mustRecord(t)
	for i, c := range frames {
		for _, at := range []int{0, headerSize, c.size / 2} {
			t.Run(fmt.Sprintf("%d %v at %d", i, c.kind, at), func(t *testing.T) {
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
						f.forward(at)
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
	frames, _, _ := mustRecord(t)
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
