package engine

import (
	"fmt"
	"net"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/penstock/penstock/internal/config"
	"github.com/penstock/penstock/internal/testutil"
	"github.com/penstock/penstock/netio"
)

// mustBuild makes an engine that does not run yet, with what another one left.
func mustBuild(tb testing.TB, text string, inherited ...Inherited) *Engine {
	tb.Helper()
	out := &testutil.Output{}
	report := &config.Reporter{W: out}
	cfg, found := config.LoadText("test.cfg", text, config.Options{})
	if found.Fatal() {
		found.Print(report)
		tb.Fatal(out)
	}
	e, err := New(cfg, Options{Report: report, Program: "test", Inherited: inherited})
	if err != nil {
		tb.Fatalf("%v: %s", err, out)
	}
	procs := runtime.GOMAXPROCS(0)
	tb.Cleanup(func() { e.Close(); runtime.GOMAXPROCS(procs) })
	return e
}

// mustLeave hands the listeners of an engine over.
func mustLeave(tb testing.TB, e *Engine) []Inherited {
	tb.Helper()
	list := mustList(tb, e)
	inherited := make([]Inherited, len(list))
	for i, l := range list {
		inherited[i] = Inherited{FD: l.FD, Index: l.Worker}
	}
	return inherited
}

func mustList(tb testing.TB, e *Engine) []Listener {
	tb.Helper()
	list, err := e.Listeners()
	if err != nil {
		tb.Fatal(err)
	}
	return list
}

func closeAll(list []Listener) {
	for _, l := range list {
		netio.Close(l.FD)
	}
}

// dialMany opens connections that each have sent a byte.
func dialMany(tb testing.TB, n int, network, addr string) []*testutil.Conn {
	tb.Helper()
	var conns []*testutil.Conn
	for range n {
		c := testutil.Dial(tb, network, addr)
		c.Send("x")
		conns = append(conns, c)
	}
	return conns
}

func expectEchoes(tb testing.TB, conns []*testutil.Conn) {
	tb.Helper()
	for _, c := range conns {
		c.Expect("x")
		c.Close()
	}
}

// Connections that wait in the queues of an engine's listeners are served by the engine that takes the
// listeners over, with more workers, with fewer and in whatever form.
func TestInheritWithWaitingConnections(t *testing.T) {
	for _, test := range []struct {
		name    string
		globals []string // one for each generation
	}{
		{"2 1 2", []string{"nbthread 2", "nbthread 1", "nbthread 2", "nbthread 2"}},
		{"1 3 1", []string{"nbthread 1", "nbthread 3", "nbthread 1"}},
		{"shared", []string{"nbthread 2\nnoreuseport", "nbthread 1\nnoreuseport", "nbthread 2\nnoreuseport"}},
		{"shared and back", []string{"nbthread 2", "nbthread 2\nnoreuseport", "nbthread 2", "nbthread 1\nnoreuseport"}},
	} {
		for _, bind := range []string{"", "defer-accept"} {
			t.Run(strings.TrimSpace(test.name+" "+bind), func(t *testing.T) {
				server := testutil.Serve(t, testutil.Echo)
				addr := testutil.Loopback(testutil.FreePort(t))
				text := func(n int) string {
					return fmt.Sprintf("global\n%s\nlisten l\nbind %s %s\nserver s1 %s\n", test.globals[n], addr, bind, server.Addr)
				}
				old := mustBuild(t, text(0))
				for n := 1; n < len(test.globals); n++ {
					old.StopAccepting(all(old))
					waiting := dialMany(t, 20, "tcp", addr)
					silent := testutil.Dial(t, "tcp", addr) // in a deferred handshake, perhaps
					next := mustBuild(t, text(n), mustLeave(t, old)...)
					waiting = append(waiting, dialMany(t, 20, "tcp", addr)...)
					for i, taken := range next.Taken() {
						if !taken {
							t.Errorf("generation %d did not take listener %d", n, i)
						}
					}
					old.Close()
					next.Start()
					next.Kick()
					silent.Send("x")
					expectEchoes(t, append(waiting, silent))
					expectEchoes(t, dialMany(t, 20, "tcp", addr))
					old = next
				}
			})
		}
	}
}

// UNIX listeners go on under their path, which is not made anew, and under their abstract name, which could not be.
func TestInheritUnix(t *testing.T) {
	server := testutil.Serve(t, testutil.Echo)
	dir := testutil.TempDir(t)
	path, name := filepath.Join(dir, "front"), fmt.Sprintf("penstock-inherit-%d", os.Getpid())
	text := func(threads int, mode string) string {
		return fmt.Sprintf("global\nnbthread %d\nlisten l\nbind %s mode %s\nbind abns@%s\nserver s1 %s\n", threads, path, mode, name, server.Addr)
	}
	abstract := "@" + name + strings.Repeat("\x00", 107-len(name))
	old := mustBuild(t, text(2, "600"))
	before := mustStat(t, path)
	waiting := append(dialMany(t, 5, "unix", path), dialMany(t, 5, "unix", abstract)...)
	next := mustBuild(t, text(3, "666"), mustLeave(t, old)...)
	after := mustStat(t, path)
	if !os.SameFile(before, after) {
		t.Error("the socket's file is another one")
	}
	if after.Mode().Perm() != 0o666 {
		t.Errorf("the socket's file has mode %v", after.Mode())
	}
	old.Close()
	next.Start()
	expectEchoes(t, waiting)

	// A listener whose file is gone would serve nobody.
	if err := os.Remove(path); err != nil {
		t.Fatal(err)
	}
	last := mustBuild(t, text(1, "600"), mustLeave(t, next)...)
	if taken := last.Taken(); taken[0] || !taken[1] {
		t.Errorf("taken: %v", taken)
	}
	next.Close()
	last.Start()
	expectEchoes(t, dialMany(t, 5, "unix", path))
}

func mustStat(tb testing.TB, path string) os.FileInfo {
	tb.Helper()
	st, err := os.Stat(path)
	if err != nil {
		tb.Fatal(err)
	}
	return st
}

// What no bind line uses is closed, whatever it is, and what cannot be a listener disturbs nobody.
func TestInheritUnused(t *testing.T) {
	server := testutil.Serve(t, testutil.Echo)
	addr := testutil.Loopback(testutil.FreePort(t))
	other := testutil.Loopback(testutil.FreePort(t))
	text := "global\nnbthread 1\nlisten l\nbind %s\nserver s1 " + server.Addr + "\n"
	old := mustBuild(t, fmt.Sprintf(text, other))
	connected := testutil.Dial(t, "tcp", server.Addr)
	testutil.Eventually(t, "the server has its end", func() bool { return server.Accepted() == 1 })
	before := len(testutil.FDs(t, os.Getpid()))

	inherited := append(mustLeave(t, old),
		Inherited{FD: -1}, Inherited{FD: 1 << 20}, Inherited{FD: mustFD(t, connected.Conn)}, Inherited{FD: mustDatagram(t)})
	list := mustLeave(t, old)
	list[0].Netns = "blue"
	inherited = append(inherited, list...)
	next := mustBuild(t, fmt.Sprintf(text, addr), inherited...)
	for i, taken := range next.Taken() {
		if taken {
			t.Errorf("socket %d is taken", i)
		}
	}
	next.Close()
	if after := len(testutil.FDs(t, os.Getpid())); after != before {
		t.Errorf("%d descriptors before, %d after", before, after)
	}

	// So they are when the engine cannot start.
	held := testutil.Loopback(testutil.HoldPort(t))
	cfg, _ := config.LoadText("test.cfg", fmt.Sprintf(text, other+"\nbind "+held), config.Options{})
	if e, err := New(cfg, Options{Report: &config.Reporter{W: &testutil.Output{}}, Inherited: mustLeave(t, old)}); err == nil {
		e.Close()
		t.Error("bound an address that is in use")
	}
	before++ // the held port
	if after := len(testutil.FDs(t, os.Getpid())); after != before {
		t.Errorf("%d descriptors before a failure, %d after", before, after)
	}
}

func mustFD(tb testing.TB, c net.Conn) int {
	tb.Helper()
	raw, err := c.(syscall.Conn).SyscallConn()
	if err != nil {
		tb.Fatal(err)
	}
	var fd int
	var errno netio.Errno
	if err := raw.Control(func(own uintptr) { fd, errno = netio.Dup(int(own)) }); err != nil || errno != 0 {
		tb.Fatal(err, errno)
	}
	return fd
}

func mustDatagram(tb testing.TB) int {
	tb.Helper()
	fd, err := netio.NewDatagram("udp4")
	if err != nil {
		tb.Fatal(err)
	}
	return fd
}

// A start that fails leaves the process that runs as it was: nobody connected to the one that failed, and its
// options did not reach the listeners of the other.
func TestFailedStartDisturbsNobody(t *testing.T) {
	server := testutil.Serve(t, testutil.Echo)
	addr, held := testutil.Loopback(testutil.FreePort(t)), testutil.Loopback(testutil.HoldPort(t))
	path := filepath.Join(testutil.TempDir(t), "front")
	text := "global\nnbthread %d\nlisten l\nbind %s %s\nbind " + path + "\nserver s1 " + server.Addr + "\n"
	e, _ := mustStart(t, fmt.Sprintf(text, 2, addr, ""))
	before := mustStat(t, path)
	for _, inherit := range []bool{true, false} {
		var inherited []Inherited
		if inherit {
			inherited = mustLeave(t, e)
		}
		cfg, _ := config.LoadText("test.cfg", fmt.Sprintf(text, 3, addr, "defer-accept")+"bind "+held+"\n", config.Options{})
		if failed, err := New(cfg, Options{Report: &config.Reporter{W: &testutil.Output{}}, Inherited: inherited}); err == nil {
			failed.Close()
			t.Fatal("bound an address that is in use")
		}
		if !os.SameFile(before, mustStat(t, path)) {
			t.Error("the UNIX socket is another file")
		}
		if files, err := os.ReadDir(filepath.Dir(path)); err != nil || len(files) != 1 {
			t.Errorf("files left behind: %v, %v", files, err)
		}
		// Without a byte from the client, a listener that defers would not accept.
		accepted := server.Accepted()
		testutil.Dial(t, "tcp", addr)
		testutil.Eventually(t, "a silent client is accepted", func() bool { return server.Accepted() == accepted+1 })
		expectEchoes(t, dialMany(t, 5, "unix", path))
		expectEchoes(t, dialMany(t, 20, "tcp", addr))
	}
}

// A listener of another user cannot be joined, so all workers share it.
func TestInheritFromAnotherUser(t *testing.T) {
	testutil.NeedRoot(t)
	server := testutil.Serve(t, testutil.Echo)
	addr := testutil.Loopback(testutil.FreePort(t))
	text := fmt.Sprintf("global\nnbthread %%d\nlisten l\nbind %s\nserver s1 %s\n", addr, server.Addr)
	var old *Engine
	done := make(chan struct{})
	go func() {
		defer close(done)
		runtime.LockOSThread() // the thread ends with the goroutine
		if _, _, errno := syscall.RawSyscall(syscall.SYS_SETFSUID, 65534, 0, 0); errno != 0 {
			t.Error(errno)
		}
		old = mustBuild(t, fmt.Sprintf(text, 1))
	}()
	<-done
	waiting := dialMany(t, 10, "tcp", addr)
	e := mustBuild(t, fmt.Sprintf(text, 3), mustLeave(t, old)...)
	old.Close()
	list := mustList(t, e)
	closeAll(list)
	if len(list) != 1 || list[0].Worker != -1 {
		t.Errorf("listeners: %+v", list)
	}
	e.Start()
	expectEchoes(t, waiting)
	expectEchoes(t, dialMany(t, 30, "tcp", addr))
}

// Listeners are told with what belongs to them.
func TestListeners(t *testing.T) {
	server := testutil.Serve(t, testutil.Echo)
	addr := testutil.Loopback(testutil.FreePort(t))
	path := filepath.Join(testutil.TempDir(t), "front")
	e := mustBuild(t, fmt.Sprintf("global\nnbthread 2\nlisten l\nbind %s name tcp\nbind %s\nserver s1 %s\n", addr, path, server.Addr))
	list := mustList(t, e)
	closeAll(list)
	var got []string
	for _, l := range list {
		got = append(got, fmt.Sprintf("%s %s %q %v %s %d", l.Proxy, l.Bind, l.Name, l.Addr, l.Path, l.Worker))
	}
	want := fmt.Sprintf("l %[1]s \"tcp\" %[1]s  0\nl %[1]s \"tcp\" %[1]s  1\nl %[2]s \"\" invalid AddrPort %[2]s -1", addr, path)
	if text := strings.Join(got, "\n"); text != want {
		t.Errorf("listeners:\n%s\nwant:\n%s", text, want)
	}
	e.Start()
	e.SoftStop()
	if list := mustList(t, e); len(list) > 0 {
		t.Errorf("%d listeners after the end", len(list))
	}
}

// all says that a successor has every listener.
func all(e *Engine) []bool { return slices.Repeat([]bool{true}, len(e.sockets)) }

// While an engine does not accept, connections wait; then it serves them, or leaves them to its successor. Those
// that a successor does not have are served as ever.
func TestStopAccepting(t *testing.T) {
	server := testutil.Serve(t, testutil.Echo)
	addr := testutil.Loopback(testutil.FreePort(t))
	e, _ := mustStart(t, fmt.Sprintf("global\nnbthread 2\nlisten l\nbind %s\nserver s1 %s\n", addr, server.Addr))
	if !echoes(addr) {
		t.Fatal("no echo")
	}
	for range 3 {
		e.StopAccepting(all(e))
		before := server.Accepted()
		waiting := dialMany(t, 10, "tcp", addr)
		if waiting[0].Silent(10 * time.Millisecond); server.Accepted() != before {
			t.Error("a worker accepted")
		}
		e.AcceptAgain()
		expectEchoes(t, waiting)
	}
	e.StopAccepting(nil)
	if !echoes(addr) {
		t.Error("a listener that the successor lacks does not accept")
	}
	e.AcceptAgain()
	// A pause in between is a pause afterwards.
	e.StopAccepting(all(e))
	e.Pause()
	e.AcceptAgain()
	if _, err := net.Dial("tcp", addr); err == nil {
		t.Error("a paused listener accepts")
	}
	e.StopAccepting(all(e))
	e.Resume()
	var waiting []*testutil.Conn
	testutil.Eventually(t, "it listens again", func() bool {
		c, err := net.Dial("tcp", addr)
		if err == nil {
			c.Close()
			waiting = dialMany(t, 5, "tcp", addr)
		}
		return err == nil
	})
	e.AcceptAgain()
	expectEchoes(t, waiting)
}

// What waits at listeners that nobody took is served before they are closed.
func TestDrainListeners(t *testing.T) {
	server := testutil.Serve(t, testutil.Echo)
	kept, dropped := testutil.Loopback(testutil.FreePort(t)), testutil.Loopback(testutil.FreePort(t))
	e, _ := mustStart(t, fmt.Sprintf("global\nnbthread 2\nlisten a\nbind %s\nserver s1 %s\nlisten b\nbind %s\nserver s1 %[2]s\n", kept, server.Addr, dropped))
	e.StopAccepting(all(e))
	left, waiting := dialMany(t, 10, "tcp", kept), dialMany(t, 10, "tcp", dropped)
	list := mustList(t, e)
	taken := make([]bool, len(list))
	var inherited []Inherited
	for i, l := range list {
		if l.Addr.String() == kept {
			taken[i] = true
			inherited = append(inherited, Inherited{FD: l.FD, Index: l.Worker})
		} else {
			netio.Close(l.FD)
		}
	}
	e.DrainListeners(taken)
	expectEchoes(t, waiting)
	if _, err := net.Dial("tcp", dropped); err == nil {
		t.Error("a closed listener accepts")
	}
	if list := mustList(t, e); len(list) > 0 {
		t.Errorf("%d listeners after the end", len(list))
	}
	next := mustBuild(t, fmt.Sprintf("global\nnbthread 2\nlisten a\nbind %s\nserver s1 %s\n", kept, server.Addr), inherited...)
	next.Start()
	expectEchoes(t, left)
	e.SoftStop()
	<-e.Done()
}

// A soft stop serves what has come before it.
func TestSoftStopServesTheQueue(t *testing.T) {
	server := testutil.Serve(t, testutil.Echo)
	addr := testutil.Loopback(testutil.FreePort(t))
	e, _ := mustStart(t, fmt.Sprintf("global\nnbthread 2\nlisten l\nbind %s\nserver s1 %s\n", addr, server.Addr))
	waiting := dialMany(t, 30, "tcp", addr)
	e.SoftStop()
	expectEchoes(t, waiting)
	<-e.Done()
}

// An address in use is asked for until there is room or no hope.
func TestMakeRoom(t *testing.T) {
	held, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer held.Close()
	text := fmt.Sprintf("global\nnbthread 2\nlisten l\nbind %s\nserver s1 127.0.0.1:1\n", held.Addr())
	cfg, _ := config.LoadText("test.cfg", text, config.Options{})
	asked := 0
	options := Options{Report: &config.Reporter{W: &testutil.Output{}}, MakeRoom: func() bool { asked++; return asked < 3 }}
	if e, err := New(cfg, options); err == nil {
		e.Close()
		t.Error("bound an address that is in use")
	}
	if asked != 3 {
		t.Errorf("asked %d times", asked)
	}
	options.MakeRoom = func() bool { held.Close(); return true }
	e, err := New(cfg, options)
	if err != nil {
		t.Fatal(err)
	}
	e.Close()
}
