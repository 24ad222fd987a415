package live

import (
	"encoding/binary"
	"fmt"
	"math/bits"
)

// Each end of each session sends a text of its own, endless and different from all others at every
// position. Word i (of 8 bytes) of text t is mix(t<<36 + i + seed), where mix is a bijection
// of 64-bit words that looks random:
//
//	 63           36 35            0
//	+---------------+---------------+  + seed  -- mix -->  8 bytes on the wire
//	| session, way  | word          |          <-- unmix --
//	+---------------+---------------+
//
// So any piece of any text can be made without what stands before it, at about a nanosecond for each word, and
// nothing has to be kept in order to compare. And since mix can be undone, 24 bytes found anywhere
// (two whole words, even when the first byte is damaged) tell which session sent them, in which direction
// and from which position: the difference between "wrong" and "4096 bytes are missing".
//
// A text holds 2^36 words, 512 GiB; there are 2^28 texts.
const wordBits = 36

// recognisable is how many bytes tell where they come from.
const recognisable = 24

// texts are all that one load sends.
type texts struct{ seed uint64 }

// text is what one end of one session sends.
type text struct{ first uint64 } // its first word, before mix

// The ways of a session: from client to server, and back.
const (
	upwards   = 0
	downwards = 1
)

func (t texts) of(session, way int) text {
	return text{first: t.seed + uint64(2*session+way)<<wordBits}
}

func mix(x uint64) uint64 {
	x ^= x >> 30
	x *= 0xbf58476d1ce4e5b9
	x ^= x >> 27
	x *= 0x94d049bb133111eb
	return x ^ x>>31
}

// unmix undoes mix: the factors are the inverses modulo 2^64.
func unmix(x uint64) uint64 {
	x ^= x>>31 ^ x>>62
	x *= 0x319642b2d24d8ec3
	x ^= x>>27 ^ x>>54
	x *= 0x96de1b173f119089
	return x ^ x>>30 ^ x>>60
}

// fill writes the piece of the text that begins at a position.
func (t text) fill(buf []byte, at uint64) {
	var word [8]byte
	for len(buf) > 0 {
		skip := at % 8
		x := mix(t.first + at/8)
		if skip == 0 && len(buf) >= 8 {
			binary.LittleEndian.PutUint64(buf, x)
			buf, at = buf[8:], at+8
			continue
		}
		binary.LittleEndian.PutUint64(word[:], x)
		n := copy(buf, word[skip:])
		buf, at = buf[n:], at+uint64(n)
	}
}

// differs returns the index of the first byte that is not the text's, which begins at a position, and
// -1 when all are right.
func (t text) differs(got []byte, at uint64) int {
	var word [8]byte
	for i := 0; i < len(got); {
		skip := at % 8
		x := mix(t.first + at/8)
		if skip == 0 && len(got)-i >= 8 {
			if diff := x ^ binary.LittleEndian.Uint64(got[i:]); diff != 0 {
				return i + bits.TrailingZeros64(diff)/8
			}
			i, at = i+8, at+8
			continue
		}
		binary.LittleEndian.PutUint64(word[:], x)
		for _, b := range word[skip:] {
			if i == len(got) {
				break
			}
			if got[i] != b {
				return i
			}
			i, at = i+1, at+1
		}
	}
	return -1
}

// place is a position in one of the texts.
type place struct {
	session, way int
	at           uint64
}

// find tells where bytes come from, if two whole words of one text are among the first 24.
func (t texts) find(got []byte) (place, bool) {
	for off := 0; off <= 8 && off+16 <= len(got); off++ {
		x := unmix(binary.LittleEndian.Uint64(got[off:]))
		if unmix(binary.LittleEndian.Uint64(got[off+8:])) != x+1 {
			continue
		}
		x -= t.seed
		at := x & (1<<wordBits - 1) * 8
		if at < uint64(off) {
			continue
		}
		return place{session: int(x >> wordBits / 2), way: int(x >> wordBits % 2), at: at - uint64(off)}, true
	}
	return place{}, false
}

// explain says what stands in place of the text of a session's way from a position on.
func (t texts) explain(want place, got []byte) string {
	is, known := t.find(got)
	switch {
	case !known && len(got) < recognisable:
		return fmt.Sprintf("%d bytes that are too few to be recognised", len(got))
	case !known:
		return "bytes that nobody sent"
	case is.session != want.session:
		return fmt.Sprintf("bytes of session %d, way %d, from position %d", is.session, is.way, is.at)
	case is.way != want.way:
		return fmt.Sprintf("the reader's own bytes from position %d", is.at)
	case is.at == want.at:
		return "some bytes are changed, and the text goes on"
	case is.at > want.at:
		return fmt.Sprintf("the text goes on at position %d: %d bytes are missing or come later", is.at, is.at-want.at)
	default:
		return fmt.Sprintf("position %d again: %d bytes are doubled or come late", is.at, want.at-is.at)
	}
}
