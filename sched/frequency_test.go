package sched

import (
	"sync"
	"sync/atomic"
	"testing"
)

func TestFrequency(t *testing.T) {
	var f Frequency
	n := uint64(0)
	at := func(ms int64, events int) {
		for range events {
			n++
			f.Note(ms*1e6, n)
		}
	}
	want := func(ms int64, rate, most uint32) {
		t.Helper()
		if got := f.Rate(ms*1e6, n); got != rate || f.Max() != most {
			t.Errorf("at %d ms: rate %d, most %d, want %d and %d", ms, got, f.Max(), rate, most)
		}
	}
	want(0, 0, 0)
	at(5000, 10)
	want(5000, 10, 10)
	want(5900, 10, 10)
	want(6500, 5, 10)
	want(7000, 0, 10)
	at(6600, 4)
	want(6750, 7, 10) // 4, and a quarter of 10
	at(9000, 12)
	want(9000, 12, 12)
	f.Reset()
	at(9100, 1)
	want(9100, 13, 13)
	at(8000, 1) // a thread whose clock is late
	want(9100, 14, 14)
}

func TestFrequencyIsSafe(t *testing.T) {
	var f Frequency
	var n atomic.Uint64
	var wait sync.WaitGroup
	for range 4 {
		wait.Go(func() {
			for i := range int64(10000) {
				f.Note(i*1e6, n.Add(1))
				f.Rate(i*1e6, n.Load())
			}
		})
	}
	wait.Wait()
	if f.Max() == 0 {
		t.Error("nothing was noted")
	}
}
