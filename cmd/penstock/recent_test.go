package main

import (
	"testing"
	"time"
)

func TestRecent(t *testing.T) {
	begin := time.Unix(1000, 0)
	at := func(ms int, cpuMs int, bytes uint64) moment {
		return moment{begin.Add(time.Duration(ms) * time.Millisecond), time.Duration(cpuMs) * time.Millisecond, bytes}
	}
	var r recent
	for _, step := range []struct {
		now, from moment
		idle      int
		rate      uint64
	}{
		{at(0, 0, 5), at(0, 0, 5), 100, 0},
		{at(500, 250, 15), at(0, 0, 5), 75, 20},
		{at(2000, 4000, 5), at(0, 0, 5), 0, 0},
		{at(2500, 4250, 1005), at(0, 0, 5), 15, 400},
		{at(3000, 4500, 2005), at(2000, 4000, 5), 75, 2000},
		{at(4000, 9500, 1), at(3000, 4500, 2005), 0, 0},
		{at(4100, 0, 1), at(3000, 4500, 2005), 100, 0},
	} {
		from := r.since(step.now, at(0, 0, 5))
		if idle, rate := idlePercent(from, step.now, 2), perSecond(from, step.now); from != step.from || idle != step.idle || rate != step.rate {
			t.Errorf("at %v: since %v, idle %d%%, %d bytes/s", step.now, from, idle, rate)
		}
	}
	if cpuTime() <= 0 {
		t.Error("no CPU time was used")
	}
}
