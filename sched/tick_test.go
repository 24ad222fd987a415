package sched

import (
	"math"
	"testing"
	"time"
)

func TestTickAdd(t *testing.T) {
	for _, tt := range []struct {
		from Tick
		d    time.Duration
		want Tick
	}{
		{100, 0, 100},
		{100, -time.Hour, 100},
		{100, 1, 101},
		{100, time.Millisecond, 101},
		{100, time.Millisecond + 1, 102},
		{100, time.Second, 1100},
		{1, math.MaxInt64, 1<<31 - 1},
		{math.MaxUint32, time.Millisecond, 1},
		{math.MaxUint32, 2 * time.Millisecond, 1},
		{math.MaxUint32, 3 * time.Millisecond, 2},
		{1 << 31, math.MaxInt64, 1<<32 - 2},
		{1<<31 + 2, math.MaxInt64, 1},
	} {
		got := tt.from.Add(tt.d)
		if got != tt.want {
			t.Errorf("%d + %v = %d, want %d", tt.from, tt.d, got, tt.want)
		}
		if got.Before(tt.from) {
			t.Errorf("%d + %v = %d comes before its start", tt.from, tt.d, got)
		}
	}
}

func TestTickOrder(t *testing.T) {
	for _, tt := range []struct {
		a, b   Tick
		before bool
		sub    int32
	}{
		{1, 2, true, -1},
		{2, 2, false, 0},
		{2, 1, false, 1},
		{math.MaxUint32, 1, true, -2},
		{1, math.MaxUint32, false, 2},
		{5, 4 + 1<<31, true, -(1<<31 - 1)},
		{4 + 1<<31, 5, false, 1<<31 - 1},
	} {
		if got := tt.a.Before(tt.b); got != tt.before {
			t.Errorf("%d before %d: %t, want %t", tt.a, tt.b, got, tt.before)
		}
		if got := tt.a.Sub(tt.b); got != tt.sub {
			t.Errorf("%d - %d = %d, want %d", tt.a, tt.b, got, tt.sub)
		}
	}
}

func TestEarliest(t *testing.T) {
	for _, tt := range []struct{ a, b, want Tick }{
		{Never, Never, Never},
		{Never, 7, 7},
		{7, 8, 7},
		{math.MaxUint32, 1, math.MaxUint32},
		{math.MaxUint32, Never, math.MaxUint32},
	} {
		if got := Earliest(tt.a, tt.b); got != tt.want {
			t.Errorf("Earliest(%d, %d) = %d, want %d", tt.a, tt.b, got, tt.want)
		}
		if got := Earliest(tt.b, tt.a); got != tt.want {
			t.Errorf("Earliest(%d, %d) = %d, want %d", tt.b, tt.a, got, tt.want)
		}
	}
}
