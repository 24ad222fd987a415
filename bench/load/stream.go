package load

const (
	// streamPeriod is odd and unlike any buffer size, so that a lost or doubled buffer shifts the bytes.
	streamPeriod = 1<<20 + 4093
	streamChunk  = 256 << 10
)

// stream is one period and a chunk more of the endless stream that bulk servers send.
var stream = func() []byte {
	b := make([]byte, streamPeriod+streamChunk)
	x := uint64(0x9e3779b97f4a7c15)
	for i := range b[:streamPeriod] {
		x ^= x << 13
		x ^= x >> 7
		x ^= x << 17
		b[i] = byte(x)
	}
	copy(b[streamPeriod:], b)
	return b
}()

// streamAt is n bytes, at most streamChunk, of the stream from off on.
func streamAt(off uint64, n int) []byte {
	at := int(off % streamPeriod)
	return stream[at : at+n]
}
