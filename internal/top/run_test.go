package top

import (
	"bufio"
	"context"
	"errors"
	"io"
	"net"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/penstock/penstock/internal/testutil"
)

// process is a stats socket that answers from files and notes what it is told to do.
type process struct {
	path string
	mu   sync.Mutex
	pid  string
	deny bool
	told []string
}

func mustProcess(t *testing.T) *process {
	t.Helper()
	return &process{path: filepath.Join(testutil.TempDir(t), "s"), pid: "4001"}
}

// serve answers until stop is called.
func (p *process) serve(t *testing.T) (stop func()) {
	t.Helper()
	l, err := net.Listen("unix", p.path)
	if err != nil {
		t.Fatal(err)
	}
	info, stat, sess := mustRead(t, "info.txt"), mustRead(t, "stat.csv"), mustRead(t, "sess.txt")
	var served sync.WaitGroup
	served.Go(func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			served.Go(func() {
				defer c.Close()
				line, err := bufio.NewReader(c).ReadString('\n')
				if err != nil {
					return
				}
				for command := range strings.SplitSeq(strings.TrimSpace(line), ";") {
					io.WriteString(c, p.answer(command, info, stat, sess)+"\n")
				}
			})
		}
	})
	return func() { l.Close(); served.Wait() }
}

func (p *process) answer(command, info, stat, sess string) string {
	p.mu.Lock()
	defer p.mu.Unlock()
	switch {
	case command == marked:
		return ""
	case command == "show info":
		return strings.Replace(info, "Pid: 4001", "Pid: "+p.pid, 1)
	case command == "show stat":
		return stat
	case strings.HasPrefix(command, "show sess 0x"):
		return oneSession
	case strings.HasPrefix(command, "show sess"):
		return sess + "\n"
	case p.deny:
		return "[3]: Permission denied\n"
	}
	p.told = append(p.told, command)
	return ""
}

const oneSession = "0x1: the whole of it\n"

func (p *process) orders() string {
	p.mu.Lock()
	defer p.mu.Unlock()
	return strings.Join(p.told, ";")
}

// rig is a loop with a keyboard and a screen that are none.
type rig struct {
	t    *testing.T
	keys *io.PipeWriter
	out  *testutil.Output
	done chan error
}

func mustLoop(t *testing.T, p *process) *rig {
	t.Helper()
	in, keys := io.Pipe()
	r := &rig{t: t, keys: keys, out: &testutil.Output{}, done: make(chan error, 1)}
	s := newScreen(r.out, false)
	s.size = func() (int, int) { return 100, 20 }
	m := NewModel(Overview, nil)
	m.Target = p.path
	l := &loop{Options: Options{Client: Client{"unix", p.path}, Model: m, Interval: 10 * time.Millisecond}, screen: s}
	ctx, cancel := context.WithCancel(context.Background())
	go func() {
		defer func() {
			if p := recover(); p != nil {
				r.done <- p.(error)
			}
		}()
		r.done <- l.run(ctx, in)
	}()
	t.Cleanup(func() { cancel(); in.Close() })
	return r
}

func (r *rig) press(keys string) {
	r.t.Helper()
	if _, err := io.WriteString(r.keys, keys); err != nil {
		r.t.Fatal(err)
	}
}

func TestLoop(t *testing.T) {
	p := mustProcess(t)
	stop := p.serve(t)
	r := mustLoop(t, p)
	r.out.Wait(t, `process 4001`)
	r.press("4dy")
	r.out.Wait(t, `drain redis/r1 - done`)
	if got := p.orders(); got != "set server redis/r1 state drain" {
		t.Errorf("told %q", got)
	}
	p.mu.Lock()
	p.deny = true
	p.mu.Unlock()
	r.press("my")
	r.out.Wait(t, `maint redis/r1: Permission denied`)
	r.press("5")
	r.out.Wait(t, `0x40000001`)
	r.press("\r")
	r.out.Wait(t, `the whole of it`)
	r.press("\x1b") // nothing follows it
	r.out.Wait(t, `(?s)the whole of it.*CLIENT`)
	stop()
	r.out.Wait(t, `no connection, trying again: dial unix`)
	p.mu.Lock()
	p.pid = "4002"
	p.mu.Unlock()
	defer p.serve(t)()
	r.out.Wait(t, `process 4002`)
	r.press("q")
	if err := <-r.done; err != nil {
		t.Error(err)
	}
}

// The end of the keyboard is the end; what panics elsewhere panics where the terminal is restored.
func TestLoopEnds(t *testing.T) {
	p := mustProcess(t)
	r := mustLoop(t, p)
	r.keys.Close()
	if err := <-r.done; err != nil {
		t.Error(err)
	}
	l := &loop{screen: newScreen(io.Discard, true), Options: Options{Model: NewModel(Overview, nil)}}
	l.screen.size = func() (int, int) { return 10, 5 }
	defer func() {
		if err, ok := recover().(error); !ok || !strings.Contains(err.Error(), "no keyboard") {
			t.Errorf("no panic: %v", err)
		}
	}()
	l.run(context.Background(), panicking{})
}

type panicking struct{}

func (panicking) Read([]byte) (int, error) { panic("no keyboard") }

func TestBatch(t *testing.T) {
	p := mustProcess(t)
	o := Options{Client: Client{"unix", p.path}, Model: NewModel(Sessions, nil), Interval: time.Millisecond}
	var out, errs strings.Builder
	if err := Batch(context.Background(), o, &out, &errs, 1, 0); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("without a process: %v", err)
	}
	defer p.serve(t)()
	if err := Batch(context.Background(), o, &out, &errs, 2, 0); err != nil || strings.Count(out.String(), "0x40000001 ") != 2 || strings.Contains(out.String(), "\x1b") {
		t.Errorf("%v:\n%s", err, &out)
	}
	if err := Batch(context.Background(), o, broken{}, &errs, 0, 0); !errors.Is(err, io.ErrClosedPipe) {
		t.Errorf("nobody reads: %v", err)
	}
}

type broken struct{}

func (broken) Write([]byte) (int, error) { return 0, io.ErrClosedPipe }

// Only what changed is painted.
func TestScreen(t *testing.T) {
	var out strings.Builder
	s := newScreen(&out, true)
	step := func(want string, lines ...Line) {
		t.Helper()
		out.Reset()
		if s.show(lines); out.String() != want {
			t.Errorf("painted %q, want %q", out.String(), want)
		}
	}
	step("\x1b[2J\x1b[1;1Ha\x1b[K\x1b[2;1H\x1b[1;31mb\x1b[0m\x1b[K", plain("a"), Line{{Bad, "b"}})
	step("", plain("a"), Line{{Bad, "b"}})
	step("\x1b[2;1Hb\x1b[K", plain("a"), plain("b"))
	step("\x1b[2J\x1b[1;1Ha\x1b[K", plain("a"))
	s.forget()
	step("\x1b[2J\x1b[1;1Ha\x1b[K", plain("a"))
	step("\x1b[1;1H\x1b[K", nil)
}
