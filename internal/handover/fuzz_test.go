package handover

import (
	"encoding/binary"
	"net"
	"os"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/penstock/penstock/internal/session"
	"github.com/penstock/penstock/internal/testutil"
	"github.com/penstock/penstock/netio"
)

// feed writes a script, with as many descriptors at each frame as its header announces, and ends the conversation.
// What cannot be a frame goes as it is.
func feed(tb testing.TB, c *net.UnixConn, script []byte) {
	tb.Helper()
	file, err := os.Open(os.DevNull)
	if err != nil {
		tb.Fatal(err)
	}
	defer file.Close()
	for len(script) > 0 {
		n, count := len(script), 0
		if len(script) >= headerSize && string(script[:4]) == magic {
			n = headerSize + int(min(binary.BigEndian.Uint32(script[8:]), uint32(len(script)-headerSize)))
			count = min(int(binary.BigEndian.Uint16(script[6:])), netio.MaxPassed)
		}
		if netio.SendDescriptors(c, script[:n], slices.Repeat([]int{int(file.Fd())}, count)) != nil {
			break
		}
		script = script[n:]
	}
	c.CloseWrite()
	drain(c)
	c.Close()
}

// fuzzLimits let a side that hears nothing end soon. Nothing waits for them: the connection ends first.
var fuzzLimits = limits{frame: patience, ready: patience, death: 0, pause: time.Millisecond, alive: time.Millisecond}

func mustSameFDs(tb testing.TB, before int) {
	tb.Helper()
	if after := len(testutil.FDs(tb, os.Getpid())); after != before {
		tb.Fatalf("%d descriptors before, %d after", before, after)
	}
}

// FuzzFrame reads arbitrary bytes as frames: no panic, and no descriptor stays open.
func FuzzFrame(f *testing.F) {
	_, toTaker, toGiver := mustRecord(f, false)
	f.Add(toTaker, true)
	f.Add(toGiver, true)
	f.Add(rawFrame(kindHello, 0, `{"min":1}`), false)
	f.Add([]byte("PNSH"), false)
	f.Fuzz(func(t *testing.T, script []byte, agreed bool) {
		before := len(testutil.FDs(t, os.Getpid()))
		near, far := mustControl(t)
		var work sync.WaitGroup
		work.Go(func() { feed(t, far, script) })
		w := &wire{conn: near}
		if agreed {
			w.version = MaxVersion
		}
		total := 0
		for {
			got, err := w.receive(time.Now().Add(patience))
			if err != nil {
				break
			}
			total += headerSize + len(got.body)
			if len(got.fds) > maxFDs || len(got.body) > maxBody {
				t.Errorf("a frame with %d bytes and %d descriptors", len(got.body), len(got.fds))
			}
			switch got.kind {
			case kindBatch:
				_, list, err := readBatch(&got)
				if err == nil {
					closeSessions(list)
				}
			case kindSockets:
				s, err := readSockets(&got)
				if err == nil {
					closeSockets(s.Sockets)
				}
			default:
				got.discard()
			}
		}
		near.Close()
		work.Wait()
		if total > len(script) {
			t.Errorf("read %d of %d bytes", total, len(script))
		}
		mustSameFDs(t, before)
	})
}

// FuzzGiver hands over to arbitrary bytes: every session finds an owner, and the listeners too.
func FuzzGiver(f *testing.F) {
	_, _, toGiver := mustRecord(f, false)
	f.Add(toGiver)
	f.Add(toGiver[:len(toGiver)/2])
	f.Add(rawFrame(kindHello, 0, `{"min":1,"max":1,"sessions":true}`))
	f.Add(rawFrame(kindStatus, 0, ``))
	f.Fuzz(func(t *testing.T, script []byte) {
		before := len(testutil.FDs(t, os.Getpid()))
		w, k, a := faultWorld(t)
		giver, far := mustControl(t)
		var work sync.WaitGroup
		work.Go(func() { feed(t, far, script) })
		newGiver(k.offer(), quietLog, fuzzLimits).serve(giver)
		giver.Close()
		work.Wait()
		for number, fate := range k.fate {
			if fate == "commit" || fate == "lost" {
				a.adopted = append(a.adopted, session.Snapshot{Number: number})
			}
		}
		for _, fault := range k.faults {
			t.Error(fault)
		}
		if len(k.frozen) > 0 || k.draining && !k.finished {
			t.Errorf("%d sessions are frozen, draining: %v", len(k.frozen), k.draining)
		}
		if gone, kept := len(a.adopted), len(k.waiting)+len(k.restored); gone+kept != len(w.sessions) {
			t.Errorf("%d sessions gone and %d kept of %d", gone, kept, len(w.sessions))
		}
		k.close()
		k.waiting, k.restored = nil, nil
		for i := range w.outer {
			w.mustBeOver(t, i)
			netio.CloseAll(w.outer[i][:])
		}
		w.outer = nil
		mustSameFDs(t, before)
	})
}

// FuzzTaker takes over from arbitrary bytes: no panic, and no descriptor stays open that was not adopted.
func FuzzTaker(f *testing.F) {
	_, toTaker, _ := mustRecord(f, false)
	f.Add(toTaker)
	f.Add(toTaker[:len(toTaker)/2])
	f.Add(toTaker[:len(toTaker)-1])
	f.Add(rawFrame(kindRefuse, 0, `{"reason":"no"}`))
	f.Fuzz(func(t *testing.T, script []byte) {
		before := len(testutil.FDs(t, os.Getpid()))
		taker, far := mustControl(t)
		var work sync.WaitGroup
		work.Go(func() { feed(t, far, script) })
		a := &adopter{refuse: func(s session.Snapshot) bool { return s.Number == 3 }}
		report, err := a.take(taker, os.Getpid(), fuzzLimits)
		work.Wait()
		if report.Moved != len(a.adopted) || report.Inherited > 0 {
			t.Errorf("report %+v with %d sessions adopted, %v", report, len(a.adopted), err)
		}
		closeSessions(a.adopted)
		mustSameFDs(t, before)
	})
}
