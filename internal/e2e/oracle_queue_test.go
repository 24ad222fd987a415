package e2e

import (
	"fmt"
	"testing"

	"github.com/penstock/penstock/internal/testutil"
)

// queued waits until so many wait.
func queuedIn(row string, n string) string { return row + " qcur=" + n }

// Places in the queues, who is served when, and what ends the wait.
func TestOracleQueues(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		lines string
		run   func(d *duet)
	}{
		"in the order of arrival": {`
    server s1 {s1} maxconn 1
    server s2 {s2} maxconn 1`, func(d *duet) {
			d.open("a", "b")
			for i, c := range []string{"c", "d", "e", "f"} {
				d.dial(c)
				d.stat(queuedIn("b/BACKEND", string(rune('1'+i))))
			}
			d.leave("b")
			d.greeted("c")
			d.leave("a")
			d.greeted("d")
			d.leave("d")
			d.greeted("e")
			d.leave("c", "e")
			d.greeted("f")
			d.leave("f")
			d.stat()
		}},
		"of one server, with maxqueue": {`
    balance source
    server s1 {s1} maxconn 1 maxqueue 2`, func(d *duet) {
			d.open("a")
			d.dial("b")
			d.stat(queuedIn("b/s1", "1"))
			d.dial("c")
			d.stat(queuedIn("b/s1", "2"))
			d.dial("d")
			d.ended("d") // no place in the queue of the only server that it may have
			d.stat(queuedIn("b/s1", "2"))
			d.leave("a")
			d.greeted("b")
			d.leave("b")
			d.greeted("c")
			d.leave("c")
			d.stat()
		}},
		"timeout queue of one server": {`
    balance source
    timeout queue 100ms
    server s1 {s1} maxconn 1`, func(d *duet) {
			d.open("a")
			d.dial("b")
			d.ended("b")
			d.leave("a")
			d.stat()
		}},
		"after a redispatch": {`
    option redispatch
    server x1 {x1} weight 2
    server s1 {s1} maxconn 1`, func(d *duet) {
			d.open("a")
			d.dial("b") // the only one with a slot is the one that refuses
			d.ended("b")
			d.leave("a")
			d.stat()
		}},
		"minconn grows with the load": {`
    fullconn 10
    server s1 {s1} minconn 1 maxconn 5`, func(d *duet) {
			// Ours serves more at once when there are more, HAProxy's when one leaves.
			var all []string
			for i := range 12 {
				all = append(all, string(rune('a'+i)))
				d.dial(all[i])
				d.shows(fmt.Sprintf("b/BACKEND scur=%d", i+1))
			}
			d.greeted("a")
			for _, s := range d.sides {
				s.clients["a"].Close()
			}
			d.greeted("b", "c", "d", "e", "f")
			d.order("set maxconn server b/s1 20")
			d.greeted(all[6:]...)
		}},
		"timeout queue": {`
    timeout queue 100ms
    server s1 {s1} maxconn 1`, func(d *duet) {
			d.open("a")
			d.dial("b")
			d.ended("b")
			d.leave("a")
			d.stat()
		}},
		"the client leaves": {`
    server s1 {s1} maxconn 1`, func(d *duet) {
			d.open("a")
			d.dial("b")
			d.stat(queuedIn("b/BACKEND", "1"))
			d.dial("c")
			d.stat(queuedIn("b/BACKEND", "2"))
			d.dial("e")
			d.stat(queuedIn("b/BACKEND", "3"))
			for _, s := range d.sides {
				s.clients["b"].Reset()
			}
			d.logged("b")
			d.stat(queuedIn("b/BACKEND", "2"))
			for _, s := range d.sides { // half a close: it still waits
				s.clients["c"].CloseWrite()
			}
			d.leave("a")
			d.ended("c")
			d.greeted("e")
			d.leave("e")
			d.stat()
		}},
		"the client leaves with abortonclose": {`
    option abortonclose
    server s1 {s1} maxconn 1`, func(d *duet) {
			d.open("a")
			d.dial("b")
			d.stat(queuedIn("b/BACKEND", "1"))
			d.dial("c")
			d.stat(queuedIn("b/BACKEND", "2"))
			for _, s := range d.sides {
				s.clients["b"].CloseWrite()
			}
			d.ended("b")
			d.leave("a")
			d.greeted("c")
			d.leave("c")
		}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			d := startDuet(t, marked+`
frontend f
    bind {f1}
    default_backend b
backend b`+test.lines)
			test.run(d)
			d.end("mark/m")
		})
	}
}

// What becomes of those who wait when servers go and come.
func TestOracleQueuesOfServersThatGo(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		lines string
		run   func(d *duet)
	}{
		"one of two goes into drain": {`
    server s1 {s1} maxconn 1
    server s2 {s2} maxconn 1`, func(d *duet) {
			d.open("a", "b")
			d.dial("c")
			d.stat(queuedIn("b/BACKEND", "1"))
			d.order("set server b/s1 state drain")
			d.stat("b/s1 status=DRAIN")
			d.leave("a") // its slot is for nobody
			d.stat(queuedIn("b/BACKEND", "1"))
			d.leave("b")
			d.greeted("c")
			d.leave("c")
			d.stat()
		}},
		"one comes back": {`
    server s1 {s1} maxconn 1
    server s2 {s2} maxconn 1 disabled`, func(d *duet) {
			d.open("a")
			d.dial("b")
			d.stat(queuedIn("b/BACKEND", "1"))
			d.order("set server b/s2 state ready")
			d.greeted("b")
			d.leave("a", "b")
			d.stat()
		}},
		"the one that a hash chose goes down": {`
    balance source
    option redispatch
    server s1 {s1} maxconn 1
    server s2 {s2} maxconn 1`, func(d *duet) {
			first := d.open("a")[0]
			d.dial("b")
			d.stat(queuedIn("b/"+first, "1"))
			d.order("set server b/" + first + " state maint")
			d.greeted("b")
			d.leave("a", "b")
			d.order("set server b/" + first + " state ready")
			d.stat()
		}},
		"maxconn changes": {`
    server s1 {s1} maxconn 1`, func(d *duet) {
			d.open("a")
			d.dial("b")
			d.stat(queuedIn("b/BACKEND", "1"))
			d.dial("c")
			d.stat(queuedIn("b/BACKEND", "2"))
			d.order("set maxconn server b/s1 3")
			d.greeted("b", "c")
			d.leave("a", "b", "c")
			d.stat()
		}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			d := startDuet(t, marked+`
frontend f
    bind {f1}
    default_backend b
backend b`+test.lines)
			test.run(d)
			d.end("mark/m")
		})
	}
}

// Another try, here or elsewhere, and what the line and the counters say about it.
func TestOracleRedispatch(t *testing.T) {
	t.Parallel()
	mute := testutil.FullBacklog(t)
	for name, test := range map[string]struct {
		lines string
		run   func(d *duet)
	}{
		"no redispatch": {`
    retries 2
    timeout connect 100ms
    server x1 {x1}
    server s1 {s1}`, func(d *duet) {
			d.dial("a")
			d.ended("a")
			d.open("b")
			d.leave("b")
			d.stat()
		}},
		"at once, with two active": {`
    option redispatch
    server x1 {x1}
    server s1 {s1}`, func(d *duet) {
			d.open("a", "b", "c")
			d.leave("a", "b", "c")
			d.stat()
		}},
		"on the last of one active and a backup": {`
    option redispatch
    timeout connect 50ms
    server x1 {x1}
    server s1 {s1} backup`, func(d *duet) {
			d.dial("a")
			d.ended("a")
			d.stat()
		}},
		"with a hash, on the last": {`
    balance source
    option redispatch
    retries 2
    timeout connect 50ms
    server x1 {x1}
    server x2 {x2}
    server x3 {x3}`, func(d *duet) {
			d.dial("a")
			d.ended("a")
			d.stat()
		}},
		"with a hash, every second": {`
    balance source
    option redispatch 2
    retries 5
    timeout connect 20ms
    server x1 {x1}
    server x2 {x2}
    server x3 {x3}`, func(d *duet) {
			d.dial("a")
			d.ended("a")
			d.stat()
		}},
		"with a hash, on the last but one": {`
    balance source
    option redispatch -2
    retries 3
    timeout connect 20ms
    server x1 {x1}
    server x2 {x2}
    server x3 {x3}`, func(d *duet) {
			d.dial("a")
			d.ended("a")
			d.stat()
		}},
		"static-rr, never": {`
    balance static-rr
    retries 0
    option redispatch
    server x1 {x1}
    server s1 {s1}`, func(d *duet) {
			d.dial("a")
			d.ended("a")
			d.open("b")
			d.leave("b")
			d.stat()
		}},
		"leastconn": {`
    balance leastconn
    option redispatch
    retries 2
    timeout connect 300ms
    server x1 {x1} weight 100
    server x2 {x2} weight 50
    server s1 {s1} weight 1`, func(d *duet) {
			d.open("a")
			d.leave("a")
			d.stat()
		}},
		"all refuse": {`
    option redispatch
    timeout connect 50ms
    server x1 {x1}
    server x2 {x2}`, func(d *duet) {
			d.dial("a")
			d.ended("a")
			d.stat()
		}},
		"one does not answer": {`
    option redispatch
    timeout connect 300ms
    server mute {mute}
    server s1 {s1}`, func(d *duet) {
			d.open("a")
			d.leave("a")
			d.stat()
		}},
		"the only one does not answer": {`
    option redispatch
    retries 2
    timeout connect 60ms
    server mute {mute}`, func(d *duet) {
			d.dial("a")
			d.ended("a")
			d.stat()
		}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			d := startDuet(t, marked+`
frontend f
    bind {f1}
    default_backend b
backend b`+test.lines, "mute", mute)
			test.run(d)
			d.end("mark/m")
		})
	}
}
