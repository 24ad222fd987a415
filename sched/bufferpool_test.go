package sched

import "testing"

func TestBufferPool(t *testing.T) {
	p := NewBufferPool(100, 2)
	a, b, c := p.Get(), p.Get(), p.Get()
	if len(a) != 100 || cap(a) != 100 {
		t.Fatalf("Get = %d bytes of %d, want 100", len(a), cap(a))
	}
	p.Put(a)
	p.Put(b[:10])
	p.Put(c)
	if p.Idle() != 2 {
		t.Errorf("Idle = %d, want the limit of 2", p.Idle())
	}
	if got := p.Get(); &got[0] != &b[0] || len(got) != 100 {
		t.Errorf("Get gave %d bytes, and not those put last within the limit", len(got))
	}
	if got := p.Get(); &got[0] != &a[0] {
		t.Error("Get did not give the buffer put first last")
	}
	if p.Idle() != 0 {
		t.Errorf("Idle = %d, want 0", p.Idle())
	}
	mustPanic(t, "another size", func() { p.Put(make([]byte, 99)) })
	mustPanic(t, "another size", func() { p.Put(a[1:]) })
	mustPanic(t, "positive size", func() { NewBufferPool(0, 1) })
	mustPanic(t, "limit", func() { NewBufferPool(1, -1) })
}
