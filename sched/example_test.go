package sched_test

import (
	"fmt"
	"time"

	"github.com/penstock/penstock/sched"
)

// A session that is active only stores its new date. Its timer comes due at the old one, and is then
// scheduled again.
func Example() {
	type session struct{ expires sched.Tick }
	now := sched.Tick(1<<32 - 1500) // 1.5 s before the wrap

	sessions := sched.NewSlab[session](1024)
	timers := sched.NewTimers()
	timers.Expire(now)

	id, s := sessions.Alloc()
	timers.Grow(sessions.Cap())
	s.expires = now.Add(time.Second)
	timers.Schedule(id, s.expires)

	now += 700
	s.expires = now.Add(time.Second) // activity

	for {
		at, ok := timers.Next()
		if !ok {
			break
		}
		fmt.Printf("sleep %d ms\n", at.Sub(now))
		now = at
		for {
			id, ok := timers.Expire(now)
			if !ok {
				break
			}
			if s := sessions.At(id); now.Before(s.expires) {
				timers.Schedule(id, s.expires)
				continue
			}
			sessions.Free(id)
			fmt.Println("timeout")
		}
	}
	// Output:
	// sleep 300 ms
	// sleep 700 ms
	// timeout
}
