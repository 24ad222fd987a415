package handover

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/penstock/penstock/internal/session"
	"github.com/penstock/penstock/netio"
)

// rawFrame is a frame with any header.
func rawFrame(k kind, version uint8, body string) []byte {
	b := append([]byte(magic), uint8(k), version, 0, 0, byte(len(body)>>24), byte(len(body)>>16), byte(len(body)>>8), byte(len(body)))
	return append(b, body...)
}

// What a giver is told, and how it says no. Nothing has changed after it.
func TestGiverRefuses(t *testing.T) {
	const greeting = `{"min":1,"max":1,"pid":1,"sessions":true}`
	helloFrame := string(rawFrame(kindHello, 0, greeting))
	for _, tc := range []struct {
		name string
		in   string
		want string // part of the reason; "" when the giver says nothing
	}{
		{"another protocol", "GET / HTTP/1.0\r\n\r\n", `this is no handover: the frame begins with "GET "`},
		{"a newer program", string(rawFrame(kindHello, 0, `{"min":2,"max":3}`)), "the new process speaks versions 2 to 3 of the handover, this one 1 to 1"},
		{"an older program", string(rawFrame(kindHello, 0, `{"min":0,"max":0}`)), "the new process speaks versions 0 to 0"},
		{"versions upside down", string(rawFrame(kindHello, 0, `{"min":2,"max":1}`)), "the new process speaks versions 2 to 1"},
		{"an unknown type first", string(rawFrame(kindEnd, 0, "")), "frames of type 16 are not known"},
		{"no HELLO", string(rawFrame(kindRefuse, 0, `{}`)), "a conversation begins with HELLO, not with REFUSE"},
		{"a frame before HELLO", string(rawFrame(kindReady, 1, `{}`)), "READY has version 1, not 0"},
		{"a body that is no JSON", string(rawFrame(kindHello, 0, `{"min"`)), "read HELLO: unexpected end of JSON input"},
		{"a field of another type", string(rawFrame(kindHello, 0, `{"min":"one"}`)), "cannot unmarshal string"},
		{"too large", string(rawFrame(kindHello, 0, "")[:8]) + "\xff\xff\xff\xff", "more than a frame may have"},
		{"descriptors that did not come", magic + "\x01\x00\x00\x02\x00\x00\x00\x00", "came with 0 descriptors and announces 2"},
		{"HELLO twice", helloFrame + helloFrame, "sends HELLO with 0 descriptors instead of LISTENERS"},
		{"READY too early", helloFrame + string(rawFrame(kindReady, 1, `{"taken":[]}`)), "sends READY with 0 descriptors instead of LISTENERS"},
		{"another version afterwards", helloFrame + string(rawFrame(kindListeners, 2, "")), "LISTENERS has version 2, not 1"},
		{"an unknown type afterwards", helloFrame + string(rawFrame(99, 1, "")), "frames of type 99 are not known"},
		{"too many sockets taken", helloFrame + string(rawFrame(kindListeners, 1, "")) + string(rawFrame(kindReady, 1, `{"taken":[true]}`)), "READY speaks of 1 sockets, not 0"},
		{"nothing", "", ""},
		{"half a header", helloFrame[:5], ""},
	} {
		t.Run(tc.name, func(t *testing.T) {
			checkLeaks(t)
			w := mustWorld(t, 2)
			k := newKeeper(slices.Clone(w.sessions))
			t.Cleanup(k.close)
			giver, peer := mustControl(t)
			var work sync.WaitGroup
			work.Go(func() {
				defer giver.Close()
				newGiver(k.offer(), t.Logf, quick).serve(giver)
			})
			if _, err := peer.Write([]byte(tc.in)); err != nil {
				t.Fatal(err)
			}
			if tc.want == "" {
				peer.CloseWrite()
			}
			got := lastRefusal(t, &wire{conn: peer})
			peer.Close()
			work.Wait()
			if !strings.Contains(got, tc.want) || (got == "") != (tc.want == "") {
				t.Errorf("refused with %q, want %q", got, tc.want)
			}
			if k.resumed > 0 || k.draining {
				t.Error("something was changed")
			}
			mustAddUp(t, w, k, &adopter{})
		})
	}
}

// lastRefusal reads frames up to the end and returns the reason of the last one, if it is a refusal.
func lastRefusal(tb testing.TB, w *wire) string {
	tb.Helper()
	reason := ""
	for {
		f, err := w.receive(time.Now().Add(patience))
		if err != nil {
			return reason
		}
		f.discard()
		reason = ""
		switch f.kind {
		case kindWelcome:
			w.version = MaxVersion
		case kindRefuse:
			var r refusal
			if err := f.decode(&r); err != nil {
				tb.Fatal(err)
			}
			reason = r.Reason
		}
	}
}

// An offer that cannot be made leaves everything as it was.
func TestOfferFails(t *testing.T) {
	broken := errors.New("no paper left")
	for _, tc := range []struct {
		name   string
		change func(o *Offer)
	}{
		{"topology", func(o *Offer) { o.Topology = func() ([]byte, error) { return nil, broken } }},
		{"drain", func(o *Offer) { o.Drain = func([]bool) error { return broken } }},
	} {
		t.Run(tc.name, func(t *testing.T) {
			checkLeaks(t)
			w := mustWorld(t, 2)
			k := newKeeper(slices.Clone(w.sessions))
			t.Cleanup(k.close)
			offer := k.offer()
			tc.change(&offer)
			giver, err := Serve(offer, t.Logf)
			if err != nil {
				t.Fatal(err)
			}
			defer giver.Close()
			wire, err := dial(os.Getpid())
			if err != nil {
				t.Fatal(err)
			}
			a := &adopter{}
			_, err = a.take(wire.conn, os.Getpid(), quick)
			var no *Refusal
			if !errors.As(err, &no) || !strings.Contains(no.Reason, broken.Error()) {
				t.Errorf("%v, want a refusal for %q", err, broken)
			}
			mustAddUp(t, w, k, a)
		})
	}
}

func TestStatusFails(t *testing.T) {
	checkLeaks(t)
	offer := newKeeper(nil).offer()
	offer.Status = func() ([]byte, error) { return nil, errors.New("it is a secret") }
	giver, err := Serve(offer, t.Logf)
	if err != nil {
		t.Fatal(err)
	}
	defer giver.Close()
	_, err = Status(os.Getpid())
	var no *Refusal
	if !errors.As(err, &no) || no.Reason != "it is a secret" {
		t.Errorf("%v, want a refusal", err)
	}
}

// What a taker is told that it cannot believe.
func TestTakerRefuses(t *testing.T) {
	const welcome = `{"version":1,"pid":1,"generation":1,"listeners":0,"sessions":2,"moves":true,"unheard":{"of":[1]}}`
	start := string(rawFrame(kindWelcome, 1, welcome)) + string(rawFrame(kindSockets, 1, `{"last":true}`)) + string(rawFrame(kindClosed, 1, ""))
	for _, tc := range []struct {
		name string
		in   string
		want string
	}{
		{"another version", string(rawFrame(kindWelcome, 7, `{"version":7}`)), "it speaks version 7 of the handover, this program 1 to 1"},
		{"no version", string(rawFrame(kindWelcome, 1, `{}`)), "it speaks version 0"},
		{"a refusal", string(rawFrame(kindRefuse, 0, `{"reason":"not today"}`)), "the old process refuses: not today"},
		{"a refusal later", start + string(rawFrame(kindRefuse, 0, `{"reason":"not today"}`)), "the old process refuses: not today"},
		{"more sockets than announced", string(rawFrame(kindWelcome, 1, `{"version":1,"listeners":1}`)) + string(rawFrame(kindSockets, 1, `{"last":true}`)), "1 sockets announced, 0 sent"},
		{"sockets without end", string(rawFrame(kindWelcome, 1, welcome)) + string(rawFrame(kindSockets, 1, `{}`)), "0 sockets announced, 0 sent"},
		{"sockets without descriptors", string(rawFrame(kindWelcome, 1, welcome)) + string(rawFrame(kindSockets, 1, `{"sockets":[{}]}`)), "names 1 sockets and brings 0 descriptors"},
		{"COMMIT of nothing", start + string(rawFrame(kindCommit, 1, `{}`)), "sends COMMIT instead of BATCH"},
		{"a descriptor from nowhere", start + string(rawFrame(kindBatch, 1, `{"sessions":[{"client":{"fd":0}}]}`)), "uses descriptor 0, which is not its own"},
		{"a negative descriptor", start + string(rawFrame(kindBatch, 1, `{"sessions":[{"client":{"fd":-2}}]}`)), "uses descriptor -2"},
		{"another batch committed", start + string(rawFrame(kindBatch, 1, `{"seq":1,"sessions":[{}]}`)) + string(rawFrame(kindCommit, 1, `{"seq":2}`)), "is for batch 2, not 1"},
		{"the end", start, "the connection is closed"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			checkLeaks(t)
			taker, peer := mustControl(t)
			var work sync.WaitGroup
			work.Go(func() {
				defer peer.Close()
				peer.Write([]byte(tc.in))
				peer.CloseWrite()
				drain(peer)
			})
			a := &adopter{}
			_, err := a.take(taker, os.Getpid(), quick)
			work.Wait()
			if err == nil || !strings.Contains(err.Error(), tc.want) {
				t.Errorf("%v, want %q", err, tc.want)
			}
			if len(a.adopted) > 0 {
				t.Errorf("adopted %d sessions", len(a.adopted))
			}
		})
	}
}

// drain reads to the end.
func drain(c interface{ Read([]byte) (int, error) }) {
	buf := make([]byte, 4096)
	for {
		if _, err := c.Read(buf); err != nil {
			return
		}
	}
}

// Batches end where a frame is full, of descriptors or of bytes.
func TestBatchSizes(t *testing.T) {
	plain := func(i, unsent int) session.Snapshot {
		return session.Snapshot{
			Number: uint64(i), Client: session.SideSnapshot{FD: 10}, Far: session.SideSnapshot{FD: 11},
			Up:   session.FlowSnapshot{PipeRead: -1, PipeWrite: -1, Unsent: make([]byte, unsent)},
			Down: session.FlowSnapshot{PipeRead: -1, PipeWrite: -1},
		}
	}
	piped := plain(0, 0)
	piped.Up.PipeRead, piped.Up.PipeWrite, piped.Down.PipeRead, piped.Down.PipeWrite = 12, 13, 14, 15
	for _, tc := range []struct {
		name string
		one  session.Snapshot
		want int
		err  error
	}{
		{"two descriptors each", plain(0, 0), maxFDs / 2, nil},
		{"six descriptors each", piped, maxFDs / 6, nil},
		{"60 KiB each", plain(0, 60<<10), 3, nil},
		{"larger than a batch", plain(0, batchBytes), 1, nil},
		{"larger than a frame", plain(0, maxBody), 1, errTooBig},
	} {
		t.Run(tc.name, func(t *testing.T) {
			list := slices.Repeat([]session.Snapshot{tc.one}, 300)
			body, fds, n, err := encodeBatch(1, 2, list)
			if n != tc.want || !errors.Is(err, tc.err) {
				t.Fatalf("%d sessions, %v; want %d, %v", n, err, tc.want, tc.err)
			}
			if err == nil && (len(body) > maxBody || len(fds) > maxFDs || !json.Valid(body)) {
				t.Errorf("%d bytes, %d descriptors", len(body), len(fds))
			}
			if *list[0].Descriptors()[0] != 10 {
				t.Error("the list was changed")
			}
		})
	}
}

// A session that no frame can carry stays, and the others move.
func TestTooBigStays(t *testing.T) {
	checkLeaks(t)
	w := mustWorld(t, 4)
	w.sessions[1].Up.Unsent = make([]byte, maxBody)
	k := newKeeper(slices.Clone(w.sessions))
	t.Cleanup(k.close)
	giver, taker := mustControl(t)
	a := &adopter{}
	report, err := handoverBetween(k, a, giver, taker, quick)
	defer closeSessions(a.adopted)
	if err != nil || report.Moved != 3 || report.Left != 1 || k.fate[1] != "restore" {
		t.Errorf("%+v, %v, session 1: %q", report, err, k.fate[1])
	}
	mustAddUp(t, w, k, a)
}

// Each descriptor has one place, and each place one descriptor.
func TestReadBatchDescriptors(t *testing.T) {
	for _, tc := range []struct {
		name string
		fds  int
		body string
		good bool
	}{
		{"in any order", 3, `{"sessions":[{"client":{"fd":2},"server":{"fd":0}},{"client":{"fd":1}}]}`, true},
		{"none", 0, `{"sessions":[{},{}]}`, true},
		{"closed side", 1, `{"sessions":[{"client":{"fd":-1},"server":{"fd":0}}]}`, true},
		{"one twice", 1, `{"sessions":[{"client":{"fd":0},"server":{"fd":0}}]}`, false},
		{"one too few", 1, `{"sessions":[{"client":{"fd":0},"server":{"fd":1}}]}`, false},
		{"one too many", 2, `{"sessions":[{"client":{"fd":0}}]}`, false},
		{"a number too large", 1, `{"sessions":[{"client":{"fd":99999999999999999999}}]}`, false},
		{"no JSON", 2, `{"sessions":[{"client"`, false},
		{"null", 1, `null`, false},
		{"a null session", 1, `{"sessions":[null]}`, false},
	} {
		t.Run(tc.name, func(t *testing.T) {
			checkLeaks(t)
			f := frame{kind: kindBatch, body: []byte(tc.body)}
			for range tc.fds {
				pair := mustPair(t)
				netio.Close(pair[1])
				f.fds = append(f.fds, pair[0])
			}
			_, list, err := readBatch(&f)
			if (err == nil) != tc.good || f.fds != nil {
				t.Fatalf("%v, %d descriptors left", err, len(f.fds))
			}
			closeSessions(list)
		})
	}
}

func TestSplit(t *testing.T) {
	list := []session.Snapshot{{Number: 0}, {Number: 1}, {Number: 2}}
	kept, dropped, err := split(list, []int{2, 0})
	if err != nil || len(kept) != 1 || kept[0].Number != 1 || len(dropped) != 2 {
		t.Errorf("%v, %v, %v", kept, dropped, err)
	}
	for _, bad := range [][]int{{3}, {-1}, {1, 1}} {
		if _, _, err := split(list, bad); err == nil {
			t.Errorf("%v was accepted", bad)
		}
	}
}

func TestKindNames(t *testing.T) {
	for k := kindHello; k < kindEnd; k++ {
		if k.String() == "" || strings.HasPrefix(k.String(), "type") {
			t.Errorf("type %d has no name", uint8(k))
		}
	}
	if got := fmt.Sprint(kindEnd); got != "type 16" {
		t.Errorf("%q", got)
	}
}
