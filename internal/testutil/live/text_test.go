package live

import (
	"bytes"
	"math/rand/v2"
	"testing"
)

func TestMixIsABijection(t *testing.T) {
	for range 10000 {
		if x := rand.Uint64(); unmix(mix(x)) != x {
			t.Fatalf("unmix(mix(%#x)) = %#x", x, unmix(mix(x)))
		}
	}
}

// A piece is the same however it is cut.
func TestFill(t *testing.T) {
	text := texts{seed: rand.Uint64()}.of(3, downwards)
	whole := make([]byte, 200)
	text.fill(whole, 0)
	for from := range 40 {
		for to := from; to < len(whole); to += 1 + to%3 {
			piece := make([]byte, to-from)
			text.fill(piece, uint64(from))
			if !bytes.Equal(piece, whole[from:to]) {
				t.Fatalf("the piece from %d to %d differs", from, to)
			}
			if i := text.differs(piece, uint64(from)); i >= 0 {
				t.Fatalf("the piece from %d to %d is said to differ at %d", from, to, i)
			}
		}
	}
}

func TestDiffers(t *testing.T) {
	text := texts{seed: 1}.of(0, upwards)
	const from = 1<<33 + 3
	piece := make([]byte, 50)
	text.fill(piece, from)
	for i := range piece {
		piece[i] ^= 0x10
		if got := text.differs(piece, from); got != i {
			t.Errorf("byte %d is wrong, not %d", i, got)
		}
		piece[i] ^= 0x10
	}
}

func TestFind(t *testing.T) {
	all := texts{seed: rand.Uint64()}
	piece := make([]byte, 64)
	for range 1000 {
		want := place{session: rand.IntN(1 << 25), way: rand.IntN(2), at: rand.Uint64N(1 << 38)}
		all.of(want.session, want.way).fill(piece, want.at)
		if got, ok := all.find(piece[:recognisable]); !ok || got != want {
			t.Fatalf("found %+v, %v instead of %+v", got, ok, want)
		}
		if got, ok := all.find(piece[:15]); ok {
			t.Fatalf("found %+v in 15 bytes", got)
		}
	}
	for range 1000 {
		for i := range piece {
			piece[i] = byte(rand.Uint32())
		}
		if got, ok := all.find(piece); ok {
			t.Fatalf("found %+v in noise", got)
		}
	}
}

func BenchmarkDiffers(b *testing.B) {
	text := texts{}.of(1, upwards)
	buf := make([]byte, 16<<10)
	text.fill(buf, 5)
	b.SetBytes(int64(len(buf)))
	for b.Loop() {
		text.differs(buf, 5)
	}
}
