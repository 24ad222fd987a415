package sched

import "testing"

// TestSteadyStateAllocatesNothing runs every operation of a loop that has reached its size.
func TestSteadyStateAllocatesNothing(t *testing.T) {
	const ids = 256
	timers, clock := NewTimers(), NewClock()
	timers.Grow(ids)
	queue := NewRunQueue()
	queue.Grow(ids)
	slab := NewSlab[testSession](ids)
	slab.Alloc()
	mailbox := NewMailbox[uint64](ids)
	now := clock.Now()
	i := uint32(0)

	for _, tt := range []struct {
		name string
		run  func()
	}{
		{"Timers insert and move", func() {
			timers.Schedule(i%ids, now+1000+Tick(i*7919%5000))
			timers.Schedule(i%ids, now+1000+Tick(i*31%900))
		}},
		{"Timers re-arm", func() { timers.Schedule(i%ids, now+10_000) }},
		{"Timers cancel", func() { timers.Cancel(i % ids); timers.Schedule(i%ids, now+500) }},
		{"Timers expire", func() {
			now += 3
			timers.Next()
			for {
				id, ok := timers.Expire(now)
				if !ok {
					break
				}
				timers.Schedule(id, now+300)
			}
		}},
		{"Timers grow to the same size", func() { timers.Grow(ids) }},
		{"RunQueue", func() { queue.Push(i % ids); queue.Push(i * 7 % ids); queue.Remove(i % ids); queue.Pop() }},
		{"Slab", func() {
			id, p := slab.Alloc()
			p.id = uint64(slab.Gen(id))
			slab.Free(id)
		}},
		{"Mailbox", func() { mailbox.Push(1); mailbox.Pop(); mailbox.Empty() }},
		{"Clock", func() { clock.Update(); clock.readWall() }},
	} {
		if n := testing.AllocsPerRun(2000, func() { i++; tt.run() }); n != 0 {
			t.Errorf("%s: %g allocations", tt.name, n)
		}
	}
}
