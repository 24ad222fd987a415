package netio

import (
	"testing"

	"golang.org/x/sys/unix"
)

func TestPipePoolLimit(t *testing.T) {
	checkLeaks(t)
	p := mustPool(t, 0, 3)
	if p.Size() != DefaultPipeSize {
		t.Errorf("size %d, want %d", p.Size(), DefaultPipeSize)
	}
	seen := map[int32]bool{}
	var handles []int32
	for range 3 {
		h := p.Get()
		if h <= 0 || seen[h] {
			t.Fatalf("handle %d after %v", h, handles)
		}
		seen[h] = true
		handles = append(handles, h)
	}
	if h := p.Get(); h != 0 {
		t.Fatalf("handle %d beyond the limit", h)
	}
	if p.Lent() != 3 || p.Idle() != 0 {
		t.Errorf("lent %d, idle %d, want 3, 0", p.Lent(), p.Idle())
	}
	for _, h := range handles {
		p.Put(h)
	}
	if p.Lent() != 0 || p.Idle() != 3 {
		t.Errorf("lent %d, idle %d, want 0, 3", p.Lent(), p.Idle())
	}
	if h := p.Get(); h != handles[2] {
		t.Errorf("handle %d, want %d: the pipe given back last is the warm one", h, handles[2])
	}
}

func TestPipePoolWithoutPipes(t *testing.T) {
	for _, limit := range []int{0, -1} {
		p := mustPool(t, 0, limit)
		if h := p.Get(); h != 0 {
			t.Errorf("limit %d: handle %d", limit, h)
		}
	}
}

func TestPipePoolDescriptors(t *testing.T) {
	checkLeaks(t)
	const size = 128 << 10
	p := mustPool(t, size, 1)
	pp := *p.At(p.Get())
	if got, err := unix.FcntlInt(uintptr(pp.W), unix.F_GETPIPE_SZ, 0); err != nil || got != size {
		t.Errorf("pipe of %d bytes (%v), want %d", got, err, size)
	}
	for _, fd := range []int32{pp.R, pp.W} {
		if fl, err := unix.FcntlInt(uintptr(fd), unix.F_GETFL, 0); err != nil || fl&unix.O_NONBLOCK == 0 {
			t.Errorf("flags %#x, error %v: want O_NONBLOCK", fl, err)
		}
		if fl, err := unix.FcntlInt(uintptr(fd), unix.F_GETFD, 0); err != nil || fl&unix.FD_CLOEXEC == 0 {
			t.Errorf("descriptor flags %#x, error %v: want FD_CLOEXEC", fl, err)
		}
	}
}

// TestPipePoolDirty: the bytes of a dead session must never reach another.
func TestPipePoolDirty(t *testing.T) {
	checkLeaks(t)
	p := mustPool(t, 0, 2)
	clean, dirty := p.Get(), p.Get()
	old := *p.At(dirty)
	if n, err := unix.Write(int(old.W), []byte("secret")); n != 6 || err != nil {
		t.Fatal(n, err)
	}
	p.At(dirty).Data = 6
	p.Put(dirty)
	if !isClosed(old.R) || !isClosed(old.W) {
		t.Error("a pipe with bytes inside was not closed")
	}
	if p.Idle() != 0 || p.Lent() != 1 {
		t.Errorf("idle %d, lent %d, want 0, 1", p.Idle(), p.Lent())
	}
	h := p.Get()
	if h == 0 {
		t.Fatal("the closed pipe still counts against the limit")
	}
	fresh := p.At(h)
	if fresh.Data != 0 {
		t.Errorf("%d bytes in a fresh pipe", fresh.Data)
	}
	if n, err := unix.Read(int(fresh.R), make([]byte, 8)); err != unix.EAGAIN {
		t.Errorf("read %d bytes, error %v: want an empty pipe", n, err)
	}
	p.Put(h)
	p.Put(clean)
}

// TestPipePoolStable: a pointer from At survives later calls of Get.
func TestPipePoolStable(t *testing.T) {
	checkLeaks(t)
	p := mustPool(t, 0, 64)
	first := p.Get()
	pp := p.At(first)
	for range 63 {
		if p.Get() == 0 {
			t.Skip("no more descriptors: ulimit -n")
		}
	}
	pp.Data = 42
	if got := p.At(first).Data; got != 42 {
		t.Errorf("a pipe's count written through an older pointer is %d, want 42", got)
	}
}

func TestPipePoolClose(t *testing.T) {
	checkLeaks(t)
	p := NewPipePool(0, 4)
	lent := *p.At(p.Get())
	p.Put(p.Get())
	p.Close()
	if !isClosed(lent.R) || p.Lent() != 0 || p.Idle() != 0 {
		t.Error("Close left pipes open")
	}
}

func TestPipePoolAllocations(t *testing.T) {
	checkLeaks(t)
	p := mustPool(t, 0, 8)
	for range 8 {
		defer p.Put(p.Get())
	}
	warm := mustPool(t, 0, 8)
	if n := testing.AllocsPerRun(100, func() { warm.Put(warm.Get()) }); n != 0 {
		t.Errorf("%v allocations for a warm pipe", n)
	}
	cold := mustPool(t, 0, 200)
	if n := testing.AllocsPerRun(100, func() { cold.Get() }); n != 0 {
		t.Errorf("%v allocations for a new pipe", n)
	}
}
