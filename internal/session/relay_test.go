package session

import (
	"fmt"
	"os"
	"runtime"
	"strconv"
	"strings"
	"syscall"
	"testing"
)

// way is one way for bytes through the relay.
type way struct {
	name string
	o    rigOptions
	few  bool // not every order is worth its time
}

var ways = []way{
	{"copy", rigOptions{}, false},
	{"adaptive", rigOptions{splice: true}, true},
	{"splice", rigOptions{force: true}, false},
	{"small copy", rigOptions{smallBufs: true, bufSize: 4096}, true},
	{"small splice", rigOptions{smallBufs: true, force: true}, true},
	{"no pipe left", rigOptions{force: true, maxPipes: -1}, true},
	{"copy, moving", rigOptions{moves: true}, true},
	{"splice, moving", rigOptions{force: true, moves: true}, true},
	{"small splice, moving", rigOptions{smallBufs: true, force: true, moves: true}, true},
}

// A script is what one end does, one letter each: d sends a little, D as much as the kernel takes,
// F ends its stream, R resets. interleave lists every order of two scripts.
func interleave(a, b string) []string {
	if a == "" && b == "" {
		return []string{""}
	}
	var list []string
	if a != "" {
		for _, rest := range interleave(a[1:], b) {
			list = append(list, "c"+a[:1]+rest)
		}
	}
	if b != "" {
		for _, rest := range interleave(a, b[1:]) {
			list = append(list, "s"+b[:1]+rest)
		}
	}
	return list
}

// Every order of data, FIN and RST of both sides, with the table learning of each at once or of several
// together: bytes that the proxy has read arrive, before the end; the end has the right name; nothing is left.
func TestOrders(t *testing.T) {
	scripts := []string{"F", "dF", "R", "dR", "DF", "DR"}
	for _, w := range ways {
		t.Run(w.name, func(t *testing.T) {
			o := w.o
			r := mustRig(t, o)
			for _, client := range scripts {
				for _, server := range scripts {
					for _, order := range interleave(client, server) {
						// A bit of the mask says whether the table sees the step before the next one.
						masks := 1 << (len(order)/2 - 1)
						for mask := range masks {
							if w.few && mask != 0 && mask != masks-1 {
								continue
							}
							playOrder(r, order, mask)
							if t.Failed() {
								t.Fatalf("order %s, seen %b", order, mask)
							}
						}
					}
				}
			}
		})
	}
}

func playOrder(r *rig, order string, mask int) {
	r.tb.Helper()
	c, s := r.pair()
	ends := map[byte]*peer{'c': c, 's': s}
	first := byte(0) // who resets first
	unseen := false  // a step of the other side may come first for the table
	for i := 0; i < len(order); i += 2 {
		p := ends[order[i]]
		switch order[i+1] {
		case 'd':
			p.send(100)
		case 'D':
			p.send(1 << 17)
		case 'F':
			p.fin()
		case 'R':
			p.rst()
			if first == 0 {
				first = order[i]
			} else {
				unseen = true
			}
		}
		if mask>>(i/2)&1 != 0 {
			r.settle()
		}
		r.move()
	}
	// Whoever still lives reads to the end, slowly at first, and closes when the other has.
	r.until("the end of the session", func() bool {
		for _, p := range ends {
			p.drain(1 << 13)
			if (p.eof && p.shut || p.reset) && !p.closed {
				p.close()
			}
		}
		return r.table.Live() == 0
	})
	for _, p := range ends {
		if !p.closed {
			p.expectEnd()
		}
	}
	fields := strings.Fields(r.line())
	code := fields[0]
	in, _ := strconv.Atoi(fields[1])
	out, _ := strconv.Atoi(fields[2])
	fail := func(format string, args ...any) {
		r.tb.Helper()
		r.tb.Errorf(format+" (line %q)", append(args, fields)...)
	}

	// Who sends to a proxy that has closed the connection gets a reset, at the cost of what was on its way.
	late := strings.LastIndexAny(order, "dD") > strings.Index(order, "R")
	cReset, sReset := strings.Contains(order, "cR"), strings.Contains(order, "sR")
	if !cReset && !sReset {
		if code != "--" {
			fail("code %s, want --", code)
		}
		if s.got != c.sent || c.got != s.sent || in != c.sent || out != s.sent {
			fail("server got %d of %d bytes, client %d of %d", s.got, c.sent, c.got, s.sent)
		}
		if !c.eof || !s.eof {
			fail("no end of stream: client %v, server %v", c.eof, s.eof)
		}
	} else {
		want := map[byte]string{'c': "C", 's': "S"}[first]
		if (code[:1] != want && !(unseen && (code[0] == 'C' || code[0] == 'S'))) || !strings.Contains("DL", code[1:]) {
			fail("code %s, want %s", code, want)
		}
	}
	// What was read from a side reaches the other, if that one did not leave by itself.
	if cReset && !sReset && !late {
		if s.got != in {
			fail("server got %d bytes of the %d that were read from the client before its reset", s.got, in)
		}
		if !strings.Contains(order, "cD") && s.got != c.sent {
			fail("server got %d of the %d bytes that the client sent before its reset", s.got, c.sent)
		}
	}
	if sReset && !cReset && !late {
		if c.got != out {
			fail("client got %d bytes of the %d that were read from the server before its reset", c.got, out)
		}
		if !strings.Contains(order, "sD") && c.got != s.sent {
			fail("client got %d of the %d bytes that the server sent before its reset", c.got, s.sent)
		}
	}
	c.close()
	s.close()
	r.clean()
}

// A write is refused because the peer has reset, and what the peer had sent before is still unread: it is
// delivered.
func TestLastBytesOfAResetPeer(t *testing.T) {
	for _, w := range ways {
		for _, server := range []bool{false, true} {
			t.Run(fmt.Sprintf("%s/server=%v", w.name, server), func(t *testing.T) {
				r := mustRig(t, w.o)
				c, s := r.pair()
				leaver, survivor, want := c, s, "CD"
				if server {
					leaver, survivor, want = s, c, "SD"
				}
				survivor.send(10)
				leaver.send(1000)
				leaver.rst()
				survivor.expectEnd()
				if survivor.got != leaver.sent {
					t.Errorf("got %d of %d bytes", survivor.got, leaver.sent)
				}
				if got := r.code(); got != want {
					t.Errorf("code %s, want %s", got, want)
				}
				r.clean()
			})
		}
	}
}

// The server answers and closes while the client still sends: the client gets the answer.
func TestServerAnswersAndLeaves(t *testing.T) {
	for _, w := range ways {
		t.Run(w.name, func(t *testing.T) {
			r := mustRig(t, w.o)
			c, s := r.pair()
			c.send(100)
			s.receive(100)
			s.send(500)
			s.close()
			r.settle()
			c.receive(500)
			c.expectEOF()
			r.quiet()
			c.send(100)
			c.expectEnd()
			if got := r.code(); got[0] != 'S' {
				t.Errorf("code %s, want S", got)
			}
			r.clean()
		})
	}
}

// A client that closes its side at once, with and without a request, gets the answer.
func TestFINBeforeTheServer(t *testing.T) {
	for _, network := range []string{"tcp", "unix"} {
		for _, w := range ways {
			for _, n := range []int{0, 100} {
				t.Run(fmt.Sprintf("%s/%s/%d", network, w.name, n), func(t *testing.T) {
					o := w.o
					o.network = network
					r := mustRig(t, o)
					c := r.dial()
					c.send(n)
					c.fin()
					s := r.accept()
					s.receive(n)
					s.expectEOF()
					s.send(300)
					s.fin()
					c.receive(300)
					c.expectEOF()
					if got, want := r.line(), fmt.Sprintf("-- %d 300 0", n); !strings.HasPrefix(got, want) {
						t.Errorf("line %q, want %q", got, want)
					}
					r.clean()
				})
			}
		}
	}
}

// UNIX sockets on both sides, each half-closed in turn, more than the socket buffers hold.
func TestUnixHalfClose(t *testing.T) {
	for _, w := range ways {
		for _, serverFirst := range []bool{false, true} {
			t.Run(fmt.Sprintf("%s/%v", w.name, serverFirst), func(t *testing.T) {
				o := w.o
				o.network = "unix"
				r := mustRig(t, o)
				c, s := r.pair()
				a, b := c, s
				if serverFirst {
					a, b = s, c
				}
				for range 20 {
					a.send(1 << 20)
					r.settle()
					b.drain(1 << 15)
				}
				a.fin()
				b.receive(a.sent)
				b.expectEOF()
				b.send(100)
				b.fin()
				a.receive(100)
				a.expectEOF()
				if got := r.code(); got != "--" {
					t.Errorf("code %s, want --", got)
				}
				r.clean()
			})
		}
	}
}

// A session that reads from a UNIX peer which leaves with bytes unread ends by the peer's name.
func TestUnixPeerLeavesUnread(t *testing.T) {
	r := mustRig(t, rigOptions{network: "unix"})
	c, s := r.pair()
	c.send(10)
	r.settle()
	s.send(20)
	s.close()
	c.receive(20)
	c.expectEnd()
	c.close()
	if got := r.code(); got != "SD" {
		t.Errorf("code %s, want SD", got)
	}
	r.clean()
}

// Urgent data stops every read short; what comes behind it arrives all the same, and so does the end.
func TestUrgentData(t *testing.T) {
	for _, w := range ways {
		for _, early := range []bool{false, true} {
			t.Run(fmt.Sprintf("%s/early=%v", w.name, early), func(t *testing.T) {
				r := mustRig(t, w.o)
				c := r.dial()
				var s *peer
				if !early {
					s = r.accept()
					r.settle()
				}
				c.send(100)
				if err := syscall.Sendto(c.fd, []byte{'!'}, syscall.MSG_OOB, nil); err != nil {
					t.Fatal(err)
				}
				c.send(100)
				if early {
					s = r.accept()
				}
				s.receive(200)
				c.send(300)
				c.fin()
				s.receive(500)
				s.expectEOF()
				s.fin()
				c.expectEOF()
				if got := r.code(); got != "--" {
					t.Errorf("code %s, want --", got)
				}
				r.clean()
			})
		}
	}
}

// A signal that is pending stops a splice short of a target that has room. No edge follows that, and
// the transfer must go on.
func TestSpliceUnderSignals(t *testing.T) {
	r := mustRig(t, rigOptions{force: true})
	c, s := r.pair()
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	tid := syscall.Gettid()
	stop, done := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(done)
		for {
			select {
			case <-stop:
				return
			default:
				// What the Go runtime sends to preempt a thread.
				_ = syscall.Tgkill(os.Getpid(), tid, syscall.SIGURG)
			}
		}
	}()
	for c.got < 4<<20 {
		for range 64 { // one fragment in the pipe for each: the kernel looks for signals every 16
			s.send(200)
		}
		r.until("what was sent", func() bool { c.drain(all); return c.got >= s.sent })
	}
	close(stop)
	<-done
	c.close()
	s.close()
	r.until("the end", func() bool { return r.table.Live() == 0 })
	r.clean()
}
