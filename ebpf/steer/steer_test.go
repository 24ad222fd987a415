package steer

import (
	"errors"
	"fmt"
	"net"
	"os"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/cilium/ebpf"
	"github.com/google/go-cmp/cmp"

	"github.com/penstock/penstock/internal/testutil"
	"github.com/penstock/penstock/netio"
)

// The worker on the CPU of the SYN is chosen, unless the other one is clearly lighter or it hangs itself.
func TestChoose(t *testing.T) {
	mustSteer(t)
	cpu := mustCPUs(t)[0]
	const (
		fresh = iota
		stale
		sleeping // and stale
	)
	type state struct{ sessions, loop int }
	for _, test := range []struct {
		name         string
		local, other state
		wantOther    bool
	}{
		{"equal", state{100, fresh}, state{100, fresh}, false},
		{"idle", state{0, fresh}, state{0, fresh}, false},
		{"a little heavier", state{110, fresh}, state{100, fresh}, false},
		{"clearly heavier", state{120, fresh}, state{100, fresh}, true},
		{"one session against none", state{1, fresh}, state{0, fresh}, true},
		{"hangs", state{0, stale}, state{100, fresh}, true},
		{"hangs while the other sleeps", state{0, stale}, state{100, sleeping}, true},
		{"sleeps", state{100, sleeping}, state{100, fresh}, false},
		{"the other hangs", state{100, fresh}, state{0, stale}, false},
		{"both hang", state{0, stale}, state{100, stale}, false},
		{"both hang, the other is lighter", state{100, stale}, state{0, stale}, true},
	} {
		t.Run(test.name, func(t *testing.T) {
			address := testutil.Loopback(testutil.FreePort(t))
			m := mustOpen(t, address, netio.ListenOptions{}, cpu, -1)
			m.mustAttach(false, 0)
			publish := func() {
				for i, s := range []state{test.local, test.other} {
					at := awake()
					if s.loop != fresh {
						at = monotonicNs() - int64(time.Second)
					}
					m.slots[i].Publish(s.sessions, at, s.loop == sleeping)
				}
			}
			var err error
			onCPU(t, cpu, func() {
				for range 8 {
					publish()
					var c net.Conn
					if c, err = net.DialTimeout("tcp", address, testutil.Deadline); err != nil {
						return
					}
					t.Cleanup(func() { _ = c.Close() })
				}
			})
			if err != nil {
				t.Fatal(err)
			}
			if test.wantOther {
				m.mustAccept("other", 0, 8)
			} else {
				m.mustAccept("local", 8, 0)
			}
		})
	}
}

// Each CPU has its own worker.
func TestChooseByCPU(t *testing.T) {
	mustSteer(t)
	cpus := mustCPUs(t)
	if len(cpus) < 2 {
		t.Skip("needs two CPUs")
	}
	address := testutil.Loopback(testutil.FreePort(t))
	m := mustOpen(t, address, netio.ListenOptions{}, cpus[0], cpus[1])
	m.mustAttach(false, 0)
	for i, want := range [][]int{{8, 0}, {0, 8}} {
		var err error
		onCPU(t, cpus[i], func() {
			for range 8 {
				m.slots[0].Publish(0, awake(), false)
				m.slots[1].Publish(0, awake(), false)
				var c net.Conn
				if c, err = net.DialTimeout("tcp", address, testutil.Deadline); err != nil {
					return
				}
				t.Cleanup(func() { _ = c.Close() })
			}
		})
		if err != nil {
			t.Fatal(err)
		}
		m.mustAccept(fmt.Sprintf("from CPU %d", cpus[i]), want...)
	}
}

// A burst is spread before any worker has published what it got of it.
func TestBurst(t *testing.T) {
	mustSteer(t)
	address := testutil.Loopback(testutil.FreePort(t))
	m := mustOpen(t, address, netio.ListenOptions{}, -1, -1)
	m.mustAttach(false, 0)
	m.slots[0].Publish(10, awake(), false)
	m.slots[1].Publish(20, awake(), false)
	mustDial(t, address, 50, nil)
	m.mustAccept("burst", 30, 20)
}

// The workers of several listeners each share the load of all of theirs.
func TestSeveralListenersOfOneWorker(t *testing.T) {
	mustSteer(t)
	address := testutil.Loopback(testutil.FreePort(t))
	m := mustOpen(t, address, netio.ListenOptions{}, -1, -1, -1)
	if err := m.Release(); err != nil {
		t.Fatal(err)
	}
	if _, err := m.Add([]Listener{{m.fds[0], 0}, {m.fds[1], 1}, {m.fds[2], 0}}); err != nil {
		t.Fatal(err)
	}
	m.mustAttach(false, 0)
	for range 20 {
		mustDial(t, address, 1, func() {
			m.slots[0].Publish(0, awake(), false)
			m.slots[1].Publish(100, awake(), false)
		})
	}
	// With the candidates 0 and 2, of one worker, the random one is taken; 1 never against one of them.
	if got := m.mustAcceptAll("two of worker 0", 20); got[1] != 0 {
		t.Errorf("accepted by listener: %v, want none by the second", got)
	}
}

// A listener that is gone is not chosen; when all are, the hash serves whoever else listens.
func TestMissingListener(t *testing.T) {
	mustSteer(t)
	address := testutil.Loopback(testutil.FreePort(t))
	m := mustOpen(t, address, netio.ListenOptions{}, -1, -1)
	outside := mustOpen(t, address, netio.ListenOptions{}, -1)
	m.mustAttach(false, 0)
	publish := func() {
		m.slots[0].Publish(0, awake(), false)
		m.slots[1].Publish(100, awake(), false)
	}
	mustDial(t, address, 8, publish)
	m.mustAccept("both are there", 8, 0)
	m.closeListener(0)
	mustDial(t, address, 8, publish)
	m.mustAccept("one is gone", 0, 8)
	outside.mustAccept("one is gone, outside", 0)
	m.closeListener(1)
	conns := mustDial(t, address, 8, publish)
	outside.mustAccept("both are gone", 8)
	mustAnswer(t, conns)
}

// The successor attaches: from that moment all new connections are its own. What the predecessor has not
// accepted when it closes moves to the successor.
func TestAttachSwap(t *testing.T) {
	mustSteer(t)
	address := testutil.Loopback(testutil.FreePort(t))
	old := mustOpen(t, address, netio.ListenOptions{}, -1, -1)
	old.mustAttach(false, 0)
	conns := mustDial(t, address, 20, nil)
	next := mustOpen(t, address, netio.ListenOptions{}, -1, -1)
	conns = append(conns, mustDial(t, address, 20, nil)...)
	next.mustAccept("before it attached", 0, 0)

	next.mustAttach(false, 0)
	taken := mustDial(t, address, 20, nil)
	next.mustAcceptAll("new ones, by the successor", 20)
	mustAnswer(t, taken)

	epoll, err := netio.NewEpoll()
	if err != nil {
		t.Fatal(err)
	}
	defer epoll.Close()
	for _, fd := range next.fds {
		if e := epoll.Add(fd, netio.Readable, 0); e != 0 {
			t.Fatal(e)
		}
	}
	old.closeListeners()
	events := make([]netio.Event, 4)
	woken, _ := epoll.Poll(events)
	t.Logf("epoll reports %d of the successor's 2 listeners after connections moved to them (0 on kernels with CVE-2026-46015)", woken)
	next.mustAcceptAll("those that its predecessor had not", 40)
	mustAnswer(t, conns)
}

// The successor is killed with connections in its queues: they go back to the predecessor, and so do new ones.
func TestCrashOfSuccessor(t *testing.T) {
	mustSteer(t)
	address := testutil.Loopback(testutil.FreePort(t))
	old := mustOpen(t, address, netio.ListenOptions{}, -1, -1)
	old.mustAttach(false, 0)
	next := mustPlay(t, "crash", address)
	next.Stdout.Wait(t, "attached")
	conns := mustDial(t, address, 20, nil)
	old.mustAccept("while the successor lives", 0, 0)
	next.Signal(t, os.Kill)
	next.Wait(t)
	old.mustAcceptAll("those that waited in the killed successor", 20)
	conns = append(conns, mustDial(t, address, 20, nil)...)
	old.mustAcceptAll("new ones, by the predecessor", 20)
	mustAnswer(t, conns)
}

// Connections that wait for the client's first bytes are not in any queue yet, and move too.
func TestDeferAccept(t *testing.T) {
	mustSteer(t)
	address := testutil.Loopback(testutil.FreePort(t))
	options := netio.ListenOptions{DeferAccept: true}
	old := mustOpen(t, address, options, -1, -1)
	old.mustAttach(false, 0)
	conns := mustDial(t, address, 10, nil)
	old.mustAccept("before the clients spoke", 0, 0)
	next := mustOpen(t, address, options, -1, -1)
	next.mustAttach(false, 0)
	old.closeListeners()
	for _, c := range conns {
		if _, err := c.Write([]byte("y")); err != nil {
			t.Fatal(err)
		}
	}
	next.mustAcceptAll("by the successor", len(conns))
	mustAnswer(t, conns)
}

// Paused listeners leave the group and the array. Once they listen again, attaching again restores both.
func TestPause(t *testing.T) {
	mustSteer(t)
	address := testutil.Loopback(testutil.FreePort(t))
	m := mustOpen(t, address, netio.ListenOptions{}, -1, -1)
	m.mustAttach(false, 0)
	for range 3 {
		for _, fd := range m.fds {
			if err := netio.Pause(fd); err != nil {
				t.Fatal(err)
			}
		}
		m.mustAttach(false, 2)
		m.mustAttach(true, 2)
		if err := netio.Resume(m.fds[0], 256); err != nil {
			t.Fatal(err)
		}
		m.mustAttach(false, 1)
		if err := netio.Resume(m.fds[1], 256); err != nil {
			t.Fatal(err)
		}
		m.mustAttach(false, 0)
		mustDial(t, address, 8, func() {
			m.slots[0].Publish(100, awake(), false)
			m.slots[1].Publish(0, awake(), false)
		})
		m.mustAccept("after the pause", 0, 8)
	}
}

// mustInherit opens copies of another process's listeners, as if they had come through a socket.
func mustInherit(t *testing.T, from *member) *member {
	t.Helper()
	s, err := Load([]int{-1, -1})
	if err != nil {
		t.Fatal(err)
	}
	m := &member{Steering: s, tb: t}
	t.Cleanup(func() {
		m.closeListeners()
		if err := m.Close(); err != nil {
			t.Error(err)
		}
	})
	var listeners []Listener
	for i, fd := range from.fds {
		own, e := netio.Dup(fd)
		if e != 0 {
			t.Fatal(e)
		}
		m.fds = append(m.fds, own)
		m.slots = append(m.slots, m.Slot(i, monotonicNs()))
		listeners = append(listeners, Listener{own, i})
	}
	if _, err := m.Add(listeners); err != nil {
		t.Fatal(err)
	}
	return m
}

// Inherited listeners belong to the predecessor's array until it lets go; its program chooses so long.
func TestInherited(t *testing.T) {
	mustSteer(t)
	address := testutil.Loopback(testutil.FreePort(t))
	old := mustOpen(t, address, netio.ListenOptions{}, -1, -1)
	old.mustAttach(false, 0)
	next := mustInherit(t, old)
	next.mustAttach(false, 2)
	old.slots[0].Publish(100, awake(), false)
	old.slots[1].Publish(0, awake(), false)
	mustDial(t, address, 8, nil)
	next.mustAccept("by the predecessor's figures", 0, 8)

	old.closeListeners()
	if err := old.Release(); err != nil {
		t.Fatal(err)
	}
	next.mustAttach(false, 0)
	next.slots[0].Publish(0, awake(), false)
	next.slots[1].Publish(100, awake(), false)
	mustDial(t, address, 8, nil)
	next.mustAccept("by its own figures", 8, 0)
}

// A predecessor that was killed leaves its program behind, with the listeners in the array. Attaching by force
// removes both.
func TestInheritedFromTheDead(t *testing.T) {
	mustSteer(t)
	address := testutil.Loopback(testutil.FreePort(t))
	old := mustOpen(t, address, netio.ListenOptions{}, -1, -1)
	old.mustAttach(false, 0)
	next := mustInherit(t, old)
	old.closeListeners()
	for _, x := range old.sets { // what the kernel does for a process that dies
		if err := errors.Join(x.program.Close(), x.sockets.Close()); err != nil {
			t.Fatal(err)
		}
	}
	old.sets = nil
	next.mustAttach(false, 2)
	mustDial(t, address, 4, nil)
	next.mustAcceptAll("by the program that was left behind", 4)
	next.mustAttach(true, 2)
	mustDial(t, address, 4, nil)
	next.mustAcceptAll("by hash", 4)
	testutil.Eventually(t, "the old array is gone", func() bool {
		missing, err := next.Attach(false)
		if err != nil {
			t.Fatal(err)
		}
		return missing == 0
	})
	next.slots[0].Publish(100, awake(), false)
	next.slots[1].Publish(0, awake(), false)
	mustDial(t, address, 8, nil)
	next.mustAccept("by its own figures", 0, 8)
}

// Privileges are needed to load only.
func TestAfterPrivileges(t *testing.T) {
	mustSteer(t)
	testutil.NeedRoot(t)
	p := mustPlay(t, "setuid", testutil.Loopback(testutil.FreePort(t)))
	p.WaitCode(t, 0)
	t.Logf("%s", p.Stdout)
	switch got := p.Stdout.String(); got {
	case "attached again: 0 missing, <nil>\n":
	default:
		if strings.Contains(got, syscall.EPERM.Error()) {
			t.Skip("after a pause: before Linux 5.19 a process without CAP_BPF may not change its maps")
		}
		t.Errorf("without privileges: %s", got)
	}
}

// Who may not load is told what is missing.
func TestWithoutPrivileges(t *testing.T) {
	testutil.NeedRoot(t)
	p := mustPlay(t, "unprivileged", testutil.Loopback(testutil.FreePort(t)))
	p.WaitCode(t, 0)
	want := "refused: load steering program: needs CAP_BPF, or root: operation not permitted\n" +
		"probe: {Answer:no Reason:needs CAP_BPF, or root: operation not permitted}\n"
	if Probe().Answer == Unknown {
		t.Skip("this kernel does not say")
	}
	if diff := cmp.Diff(want, p.Stdout.String()); diff != "" {
		t.Error(diff)
	}
}

func TestAddRefuses(t *testing.T) {
	mustSteer(t)
	m := mustOpen(t, testutil.Loopback(testutil.FreePort(t)), netio.ListenOptions{}, -1)
	if _, err := m.Add([]Listener{{m.fds[0], 1}}); err == nil {
		t.Error("a listener of a worker that is not there was added")
	}
	if _, err := m.Add([]Listener{{-1, 0}}); !errors.Is(err, syscall.EBADF) {
		t.Errorf("no descriptor: %v, want EBADF", err)
	}
	many := make([]Listener, maxListeners+1)
	for i := range many {
		many[i].FD = m.fds[0]
	}
	if _, err := m.Add(many); err == nil {
		t.Error("more listeners than the program holds were added")
	}
	if len(m.sets) != 1 {
		t.Errorf("%d sets after failures, want the first only", len(m.sets))
	}
}

func TestProbe(t *testing.T) {
	r := Probe()
	t.Logf("%v %s", r.Answer, r.Reason)
	if (r.Answer == Yes) != (r.Reason == "") {
		t.Errorf("answer %v with reason %q", r.Answer, r.Reason)
	}
}

func TestJudge(t *testing.T) {
	for _, test := range []struct {
		err  error
		want Answer
	}{
		{nil, Yes},
		{explain(fmt.Errorf("map create: %w", syscall.EPERM)), No},
		{explain(syscall.ENOSYS), No},
		{explain(fmt.Errorf("load: %w", syscall.EINVAL)), No},
		{explain(ebpf.ErrNotSupported), No},
		{explain(syscall.ENOMEM), Unknown},
		{errors.New("else"), Unknown},
	} {
		if got := judge(test.err).Answer; got != test.want {
			t.Errorf("judge(%v) = %v, want %v", test.err, got, test.want)
		}
	}
}
