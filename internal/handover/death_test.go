package handover

import (
	"bufio"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/penstock/penstock/internal/session"
	"github.com/penstock/penstock/internal/testutil"
	"github.com/penstock/penstock/netio"
	"golang.org/x/sys/unix"
)

// The processes of these tests write a letter to the client of every session that they hold as its owner, at once: G for
// the giver, T for the taker. In the end the test reads what a client got: one letter at most.

const (
	argVariable = "HANDOVER_TEST_ARG"
	dieVariable = "HANDOVER_TEST_DIE" // the callback in which the process kills itself
)

const (
	deathSessions = 3
	deathChunk    = 2
)

// die ends the process without a trace when its script says so.
func die(at string) {
	if os.Getenv(dieVariable) == at {
		unix.Kill(os.Getpid(), unix.SIGKILL)
	}
}

// tell writes a line for each session.
func tell(what string, list []session.Snapshot) {
	for _, s := range list {
		fmt.Println(what, s.Number)
	}
}

// touch marks sessions as this process's.
func touch(letter string, list []session.Snapshot) {
	for _, s := range list {
		if _, err := unix.Write(s.Client.FD, []byte(letter)); err != nil {
			fmt.Println("fault: write to session", s.Number, err)
		}
	}
}

// childConn is the control connection that a child was started with.
func childConn() *net.UnixConn {
	file := os.NewFile(3, "control")
	conn, err := net.FileConn(file)
	file.Close()
	if err != nil {
		fmt.Println("fault:", err)
		os.Exit(98)
	}
	return conn.(*net.UnixConn)
}

func countFDs() int {
	entries, err := os.ReadDir("/proc/self/fd")
	if err != nil {
		fmt.Println("fault:", err)
	}
	return len(entries)
}

// finish checks that no descriptor is left, and ends a child.
func finish(want int) {
	if n := countFDs(); n != want {
		fmt.Println("fault:", n, "descriptors open, not", want)
	}
	fmt.Println("end")
	os.Exit(0)
}

func playGiver() {
	conn := childConn()
	var waiting, live []session.Snapshot
	for i := range deathSessions {
		waiting = append(waiting, session.Snapshot{
			Number: uint64(i), Client: session.SideSnapshot{FD: 4 + 2*i}, Far: session.SideSnapshot{FD: 5 + 2*i},
			Up:   session.FlowSnapshot{PipeRead: -1, PipeWrite: -1},
			Down: session.FlowSnapshot{PipeRead: -1, PipeWrite: -1},
		})
	}
	own := countFDs() - 1 - 2*deathSessions
	newGiver(Offer{
		Sessions:  true,
		Count:     func() int { return len(waiting) },
		Listeners: func() []Socket { die("listeners"); return nil },
		Topology:  func() ([]byte, error) { return nil, nil },
		Drain:     func([]bool) error { fmt.Println("drain"); die("drain"); return nil },
		Resume:    func() { fmt.Println("resume") },
		Finish:    func() { fmt.Println("finish") },
		Next: func(most int) ([]session.Snapshot, int, int) {
			n := min(most, deathChunk, len(waiting))
			list := slices.Clone(waiting[:n])
			waiting = waiting[n:]
			if n < deathChunk {
				die("next")
			}
			return list, len(waiting), len(live)
		},
		Commit: func(list []session.Snapshot) {
			tell("commit", list)
			closeSessions(list)
			die("commit")
		},
		Restore: func(list []session.Snapshot) {
			touch("G", list)
			tell("restore", list)
			live = append(live, list...)
		},
		Lost: func(list []session.Snapshot) {
			tell("lost", list)
			closeSessions(list)
		},
	}, func(format string, args ...any) { fmt.Fprintf(os.Stderr, format+"\n", args...) }, defaultLimits).serve(conn)
	conn.Close()
	touch("G", waiting)
	tell("keep", waiting)
	closeSessions(waiting)
	closeSessions(live)
	finish(own)
}

func playTaker() {
	conn := childConn()
	own := countFDs() - 1
	pid, _ := strconv.Atoi(os.Getenv(argVariable))
	var live []session.Snapshot
	err := func() error {
		t, err := newTaker(&wire{conn: conn}, pid, true, defaultLimits)
		if err != nil {
			return err
		}
		defer t.Close()
		if _, err := t.Sockets(); err != nil {
			return err
		}
		if err := t.Ready(nil); err != nil {
			return err
		}
		_, err = t.Sessions(func([]session.Snapshot) []int { die("accept"); return nil }, func(list []session.Snapshot) {
			touch("T", list)
			tell("adopt", list)
			live = append(live, list...)
			die("adopt")
		})
		return err
	}()
	fmt.Fprintln(os.Stderr, "taker:", err)
	closeSessions(live)
	finish(own)
}

// mustChild starts the test program in a role, with descriptors from 3 on that it takes over.
func mustChild(tb testing.TB, role, arg, die string, fds ...int) *testutil.Process {
	tb.Helper()
	cmd := exec.Command("/proc/self/exe")
	cmd.Env = append(os.Environ(), roleVariable+"="+role, argVariable+"="+arg, dieVariable+"="+die,
		"GORACE=atexit_sleep_ms=0") // the race detector makes every exit wait for a second
	for _, fd := range fds {
		file := os.NewFile(uintptr(fd), "passed")
		defer file.Close()
		cmd.ExtraFiles = append(cmd.ExtraFiles, file)
	}
	return testutil.Start(tb, cmd)
}

// story is what a process said that it did.
type story struct {
	fates   map[int][]string // by session
	said    []string
	died    bool
	process *testutil.Process
}

func mustStory(tb testing.TB, p *testutil.Process) story {
	tb.Helper()
	state := p.Wait(tb)
	s := story{fates: map[int][]string{}, process: p}
	status, _ := state.Sys().(syscall.WaitStatus)
	s.died = status.Signaled()
	lines := bufio.NewScanner(strings.NewReader(p.Stdout.String()))
	for lines.Scan() {
		what, number, found := strings.Cut(lines.Text(), " ")
		i, err := strconv.Atoi(number)
		if !found || err != nil {
			s.said = append(s.said, lines.Text())
			continue
		}
		s.fates[i] = append(s.fates[i], what)
	}
	for _, line := range s.said {
		if strings.HasPrefix(line, "fault") {
			tb.Error(line)
		}
	}
	if !s.died && (state.ExitCode() != 0 || !slices.Contains(s.said, "end")) {
		tb.Errorf("a process ended early: %v", state)
	}
	return s
}

// deathScene is the sessions and the connections of two children.
type deathScene struct {
	outer        [deathSessions][2]int
	inner        []int // for the giver
	giver, taker *testutil.Process
}

func mustScene(tb testing.TB) *deathScene {
	tb.Helper()
	s := &deathScene{}
	for i := range s.outer {
		client, server := mustPair(tb), mustPair(tb)
		s.outer[i] = [2]int{client[1], server[1]}
		s.inner = append(s.inner, client[0], server[0])
		tb.Cleanup(func() {
			netio.Close(client[1])
			netio.Close(server[1])
		})
	}
	return s
}

// mustEndWell waits for both children and examines every session. heir are the sessions of batches that had reached
// the taker whole when the giver died.
func (s *deathScene) mustEndWell(tb testing.TB, heir []int) {
	tb.Helper()
	giver, taker := mustStory(tb, s.giver), mustStory(tb, s.taker)
	for i := range s.outer {
		letters := mustReadToEnd(tb, s.outer[i][0])
		if rest := mustReadToEnd(tb, s.outer[i][1]); rest != "" {
			tb.Errorf("session %d: server's side: %q", i, rest)
		}
		if len(letters) > 1 {
			tb.Errorf("session %d has had the owners %q", i, letters)
		}
		if adopted := taker.fates[i]; len(adopted) > 1 || (len(adopted) == 1) != (letters == "T") && !taker.died {
			tb.Errorf("session %d: the taker says %v, the letters are %q", i, adopted, letters)
		}
		fates := giver.fates[i]
		if giver.died {
			if len(fates) > 1 || len(fates) == 1 && letters != "T" || letters == "G" {
				tb.Errorf("session %d: the dead giver said %v, the letters are %q", i, fates, letters)
			}
			if slices.Contains(heir, i) && letters != "T" {
				tb.Errorf("session %d was left to the taker, which did not take it", i)
			}
			continue
		}
		want := map[string][]string{"commit": {"T"}, "restore": {"G"}, "keep": {"G"}, "lost": {"", "T"}}
		if len(fates) != 1 || !slices.Contains(want[fates[0]], letters) {
			tb.Errorf("session %d: the giver says %v, the letters are %q", i, fates, letters)
		}
	}
	drained, over := slices.Contains(giver.said, "drain"), 0
	for _, line := range giver.said {
		if line == "resume" || line == "finish" {
			over++
		}
	}
	if want := map[bool]int{true: 1}[drained]; !giver.died && over != want {
		tb.Errorf("the giver says %v", giver.said)
	}
}

// mustReadToEnd reads until nobody holds the other end. A child of another test has copies of it between fork
// and exec.
func mustReadToEnd(tb testing.TB, fd int) (text string) {
	tb.Helper()
	testutil.Eventually(tb, "the end of a session", func() bool {
		more, err := readAll(fd)
		text += more
		return err == nil
	})
	return text
}

// A process is killed at every frame, when it was sent and when it has arrived.
func TestDeathAtFrame(t *testing.T) {
	kinds := []kind{
		kindHello, kindWelcome, kindListeners, kindSockets, kindReady, kindClosed,
		kindBatch, kindAck, kindCommit, kindTaken, kindBatch, kindAck, kindCommit, kindTaken, kindDone,
	}
	for i, c := range kinds {
		for _, victim := range []string{"giver", "taker"} {
			for _, when := range []string{"sent", "arrived"} {
				if c == kindDone && (victim == "giver" || when == "arrived") {
					continue // it may have ended by itself
				}
				t.Run(fmt.Sprintf("%d %v %s, %s dies", i, c, when, victim), func(t *testing.T) {
					t.Parallel()
					s := mustScene(t)
					seen, started := 0, make(chan struct{})
					var heir []int
					kill := func() {
						p := map[string]*testutil.Process{"giver": s.giver, "taker": s.taker}[victim]
						p.Signal(t, syscall.SIGKILL)
						p.Wait(t)
					}
					p := &proxy{handle: func(f *passing) bool {
						<-started
						seen++
						if seen == i+1 && f.kind != c {
							t.Errorf("frame %d is %v, not %v", i, f.kind, c)
						}
						if seen <= i+1 && f.kind == kindBatch {
							heir = append(heir, sessionsOf(f)...)
						}
						if seen == i+1 && when == "sent" {
							kill()
						}
						f.forward(len(f.bytes))
						if seen == i+1 && when == "arrived" {
							kill()
						}
						return true
					}}
					giver, taker := mustPair(t), mustPair(t)
					p.giver, p.taker = asConn(t, giver[0]), asConn(t, taker[0])
					done := p.start()
					s.giver = mustChild(t, "giver", "", "", append([]int{giver[1]}, s.inner...)...)
					s.taker = mustChild(t, "taker", strconv.Itoa(s.giver.Pid), "", taker[1])
					close(started)
					<-done
					s.mustEndWell(t, heir)
				})
			}
		}
	}
}

// sessionsOf are the numbers of the sessions in a batch.
func sessionsOf(f *passing) (numbers []int) {
	var b struct {
		Sessions []struct{ Number int }
	}
	if err := json.Unmarshal(f.bytes[headerSize:], &b); err != nil {
		panic(err)
	}
	for _, s := range b.Sessions {
		numbers = append(numbers, s.Number)
	}
	return numbers
}

// A process kills itself in one of its callbacks; nothing stands between the two.
func TestDeathInCallback(t *testing.T) {
	for _, tc := range []struct{ victim, at string }{
		{"nobody", ""},
		{"giver", "listeners"},
		{"giver", "drain"},
		{"giver", "next"},
		{"giver", "commit"},
		{"taker", "accept"},
		{"taker", "adopt"},
	} {
		t.Run(tc.victim+" "+tc.at, func(t *testing.T) {
			t.Parallel()
			s := mustScene(t)
			control := mustPair(t)
			script := map[string]string{tc.victim: tc.at}
			s.giver = mustChild(t, "giver", "", script["giver"], append([]int{control[0]}, s.inner...)...)
			s.taker = mustChild(t, "taker", strconv.Itoa(s.giver.Pid), script["taker"], control[1])
			s.mustEndWell(t, nil)
			for name, p := range map[string]*testutil.Process{"giver": s.giver, "taker": s.taker} {
				if died := !p.Wait(t).Exited(); died != (name == tc.victim) {
					t.Errorf("the %s died: %v", name, died)
				}
			}
		})
	}
}

// A taker inherits from a giver that died before the moment that it had named, and in no other case.
func TestInherits(t *testing.T) {
	checkLeaks(t)
	p := mustChild(t, "impostor", "", "")
	handle, err := netio.OpenProcess(p.Pid)
	if err != nil {
		t.Fatal(err)
	}
	defer handle.Close()
	alive, err := netio.OpenProcess(os.Getpid())
	if err != nil {
		t.Fatal(err)
	}
	defer alive.Close()
	p.Signal(t, syscall.SIGKILL)
	p.Wait(t)
	for _, tc := range []struct {
		name  string
		giver *netio.Process
		cause error
		left  time.Duration
		want  bool
	}{
		{"died in time", handle, io.EOF, time.Hour, true},
		{"in the middle of a frame", handle, fmt.Errorf("read: %w", io.ErrUnexpectedEOF), time.Hour, true},
		{"did not read our answer", handle, syscall.ECONNRESET, time.Hour, true},
		{"cannot take our answer", handle, syscall.EPIPE, time.Hour, true},
		{"died, who knows when", handle, io.EOF, -time.Nanosecond, false},
		{"refused before", handle, &Refusal{}, time.Hour, false},
		{"was late", handle, os.ErrDeadlineExceeded, time.Hour, false},
		{"lives", alive, io.EOF, time.Hour, false},
	} {
		side := &Taker{giver: tc.giver, limits: quick}
		if got := side.inherits(tc.cause, netio.MonotonicNs()+tc.left.Nanoseconds()); got != tc.want {
			t.Errorf("%s: %v, want %v", tc.name, got, tc.want)
		}
	}
}
