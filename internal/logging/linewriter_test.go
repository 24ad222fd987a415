package logging

import (
	"bufio"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/penstock/penstock/internal/config"
)

// mustPipe gives a pipe whose write end is a plain blocking descriptor, as stdout is.
func mustPipe(tb testing.TB) (r, w *os.File) {
	tb.Helper()
	r, w, err := os.Pipe()
	if err != nil {
		tb.Fatal(err)
	}
	if err := syscall.SetNonblock(int(w.Fd()), false); err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() {
		r.Close()
		w.Close()
	})
	return r, w
}

func rawTarget(fd int) config.LogTarget {
	return config.LogTarget{Kind: config.LogFD, FD: fd, Format: config.HeaderRaw, Level: LevelInfo}
}

// TestLineWriter_fullPipe logs into a pipe that nobody reads: Send goes on, and once the reader comes,
// what it reads and what was counted as dropped are all lines, in order and whole.
func TestLineWriter_fullPipe(t *testing.T) {
	r, w := mustPipe(t)
	outlets := NewOutlets()
	l := mustLogger(t, Options{Outlets: outlets}, rawTarget(int(w.Fd())))
	const sent = 20_000
	var s Scratch
	for i := range sent {
		s.Line = fmt.Appendf(s.Line[:0], "%06d %s", i, strings.Repeat("x", 100))
		l.Send(&s, LevelInfo, headerTime(), s.Line)
	}
	dropped := l.Dropped()
	if dropped == 0 || dropped >= sent {
		t.Fatalf("%d of %d lines dropped", dropped, sent)
	}
	if l.Flush(time.Millisecond) {
		t.Error("Flush says that a full pipe took all")
	}

	read := make(chan []string)
	go func() {
		var lines []string
		for in := bufio.NewScanner(r); in.Scan(); {
			lines = append(lines, in.Text())
		}
		read <- lines
	}()
	if !l.Flush(receiveTimeout) {
		t.Fatal("lines are not written")
	}
	outlets.Close()
	w.Close()
	lines := <-read
	if got := len(lines) + int(dropped); got != sent {
		t.Errorf("%d lines read and %d dropped, want %d", len(lines), dropped, sent)
	}
	last := ""
	for _, line := range lines {
		if len(line) != 107 || line <= last {
			t.Fatalf("line %q after %q", line, last)
		}
		last = line
	}
	if d := cmp.Diff(dropped, outlets.Dropped()); d != "" {
		t.Error(d)
	}
}

// TestLineWriter_closeCounts ends a writer that cannot write: what it held is counted as dropped.
func TestLineWriter_closeCounts(t *testing.T) {
	r, w := mustPipe(t)
	outlets := NewOutlets()
	l := mustLogger(t, Options{Outlets: outlets}, rawTarget(int(w.Fd())))
	writer := outlets.writers[int(w.Fd())]
	const sent = 5000
	var s Scratch
	for range sent {
		l.Send(&s, LevelInfo, headerTime(), []byte(strings.Repeat("y", 200)))
	}
	outlets.Close()
	if writer.put([]byte("late\n")) {
		t.Error("a closed writer takes a line")
	}
	go func() {
		<-writer.drained()
		w.Close()
	}()
	b, err := io.ReadAll(r)
	if err != nil {
		t.Fatal(err)
	}
	if got := strings.Count(string(b), "\n") + int(outlets.Dropped()); got != sent {
		t.Errorf("%d lines read or dropped, want %d", got, sent)
	}
}

// TestLineWriter_readerGone writes into a pipe without a reader: the process lives, the lines count.
func TestLineWriter_readerGone(t *testing.T) {
	r, w := mustPipe(t)
	r.Close()
	outlets := NewOutlets()
	defer outlets.Close()
	l := mustLogger(t, Options{Outlets: outlets}, rawTarget(int(w.Fd())))
	var s Scratch
	for range 10 {
		l.Send(&s, LevelInfo, headerTime(), []byte("line\nwith two"))
	}
	if !l.Flush(receiveTimeout) {
		t.Fatal("the writer hangs")
	}
	if got := outlets.Dropped(); got != 10 || l.Dropped() != 0 {
		t.Errorf("%d lines dropped, %d of them at once; want 10 and 0", got, l.Dropped())
	}
}

// TestLineWriter_nonBlockingDescriptor logs into a descriptor that somebody else made non-blocking:
// the writer waits for room and changes nothing about it.
func TestLineWriter_nonBlockingDescriptor(t *testing.T) {
	r, w := mustPipe(t)
	fd := int(w.Fd())
	if err := syscall.SetNonblock(fd, true); err != nil {
		t.Fatal(err)
	}
	outlets := NewOutlets()
	l := mustLogger(t, Options{Outlets: outlets}, rawTarget(fd))
	const sent = 2000
	var s Scratch
	for i := range sent {
		l.Send(&s, LevelInfo, headerTime(), fmt.Appendf(nil, "%04d %s", i, strings.Repeat("z", 90)))
	}
	if l.Flush(time.Millisecond) {
		t.Error("Flush says that a full pipe took all")
	}
	read := make(chan int)
	go func() {
		n := 0
		for in := bufio.NewScanner(r); in.Scan(); n++ {
			if want := fmt.Sprintf("%04d %s", n, strings.Repeat("z", 90)); in.Text() != want {
				t.Errorf("line %q, want %q", in.Text(), want)
			}
		}
		read <- n
	}()
	if !l.Flush(receiveTimeout) {
		t.Fatal("lines are not written")
	}
	outlets.Close()
	w.Close()
	if n := <-read; n != sent || l.Dropped() != 0 {
		t.Errorf("%d lines read, %d dropped; want %d and 0", n, l.Dropped(), sent)
	}
}

// TestLineWriter_writesWholeLines looks at the single writes, which a datagram socket keeps apart: each
// holds whole lines, and more than one line only as far as a pipe would take them atomically.
func TestLineWriter_writesWholeLines(t *testing.T) {
	fds, err := syscall.Socketpair(syscall.AF_UNIX, syscall.SOCK_DGRAM, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer syscall.Close(fds[0])
	defer syscall.Close(fds[1])
	var lost atomic.Uint64
	w := newLineWriter(fds[0], &lost)
	var want strings.Builder
	for _, size := range []int{10, 4000, 86, 87, 4095, 4096, 9000, 1, 1, 4094, 5} {
		line := strings.Repeat("l", size-1) + "\n"
		want.WriteString(line)
		if !w.put([]byte(line)) {
			t.Fatal("no room")
		}
	}
	go w.run()
	<-w.drained()
	w.close()
	var sizes []int
	var got strings.Builder
	b := make([]byte, 10_000)
	for got.Len() < want.Len() {
		n, err := syscall.Read(fds[1], b)
		if err != nil {
			t.Fatal(err)
		}
		sizes = append(sizes, n)
		got.Write(b[:n])
	}
	if got.String() != want.String() || lost.Load() != 0 {
		t.Errorf("lines changed on their way, or %d were lost", lost.Load())
	}
	if d := cmp.Diff([]int{4096, 87, 4095, 4096, 9000, 4096, 5}, sizes); d != "" {
		t.Error(d)
	}
}

func TestLineWriter_boundedLines(t *testing.T) {
	var lost atomic.Uint64
	w := newLineWriter(-1, &lost)
	n := 0
	for ; w.put([]byte("\n")); n++ {
	}
	if n != pendingLines {
		t.Errorf("%d lines taken, want %d", n, pendingLines)
	}
	w = newLineWriter(-1, &lost)
	for n = 0; w.put(make([]byte, 1024)); n++ {
	}
	if n != pendingBytes/1024 {
		t.Errorf("%d KiB taken, want %d", n, pendingBytes/1024)
	}
}

// TestLineWriter_descriptorStaysBlocking sees to it that nothing here touches a flag that is shared
// with other processes.
func TestLineWriter_descriptorStaysBlocking(t *testing.T) {
	file, err := os.Create(filepath.Join(t.TempDir(), "log"))
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	fd := int(file.Fd())
	flagsOf := func() uintptr {
		fl, _, errno := syscall.Syscall(syscall.SYS_FCNTL, uintptr(fd), syscall.F_GETFL, 0)
		if errno != 0 {
			t.Fatal(errno)
		}
		return fl
	}
	before := flagsOf()
	outlets := NewOutlets()
	l := mustLogger(t, Options{Outlets: outlets}, rawTarget(fd))
	l.Send(&Scratch{}, LevelInfo, headerTime(), []byte("x"))
	l.Flush(receiveTimeout)
	outlets.Close()
	if after := flagsOf(); after != before || after&syscall.O_NONBLOCK != 0 {
		t.Errorf("flags were %#x, are %#x", before, after)
	}
}
