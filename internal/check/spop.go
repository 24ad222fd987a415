package check

import (
	"encoding/binary"
	"strings"
)

// The greeting of the protocol that HAProxy speaks with its agents (SPOP): we say hello, and that it is only a check; the
// agent says hello, or that it leaves. A frame is its length, a type, flags, two identifiers that are 0 here, and
// a list of names with typed values.

// Types of frames.
const (
	spopHaproxyHello    = 1
	spopAgentHello      = 101
	spopAgentDisconnect = 102
)

// spopMaxFrame is the longest frame, bytes without its length; spopMinFrame is what an agent has to take at least.
const (
	spopMaxFrame = 16380
	spopMinFrame = 256
)

// spopFin is the flag of a frame that is whole.
const spopFin = 1

// Why a conversation ends. The numbers are those of the protocol.
const (
	spopInvalid        = 4
	spopNoVersion      = 5
	spopNoFrameSize    = 6
	spopBadVersion     = 8
	spopBadFrameSize   = 9
	spopFragments      = 10
	spopUnknownFailure = 99
)

var spopReasons = map[uint64]string{
	0: "normal", 1: "I/O error", 2: "a timeout occurred", 3: "frame is too big", spopInvalid: "invalid frame received",
	spopNoVersion: "version value not found", spopNoFrameSize: "max-frame-size value not found", 7: "capabilities value not found",
	spopBadVersion: "unsupported version", spopBadFrameSize: "max-frame-size too big or too small",
	spopFragments: "fragmentation not supported", 11: "invalid interlaced frames",
	12: "frame-id not found (it does not match any referenced frame)", 13: "resource allocation error",
	spopUnknownFailure: "an unknown error occurred",
}

// Types of values; more in the upper half of the byte.
const (
	spopBool   = 1
	spopUint64 = 5
	spopIPv4   = 6
	spopIPv6   = 7
	spopString = 8
	spopBinary = 9
	spopTrue   = 0x10
)

// spopHello is the first frame.
func spopHello() []byte {
	b := []byte{spopHaproxyHello, 0, 0, 0, spopFin, 0, 0}
	b = appendSPOPText(append(appendSPOPText(b, "supported-versions"), spopString), "2.0")
	b = appendVarint(append(appendSPOPText(b, "max-frame-size"), 3), spopMaxFrame)
	b = appendSPOPText(append(appendSPOPText(b, "capabilities"), spopString), "")
	b = append(appendSPOPText(b, "healthcheck"), spopBool|spopTrue)
	return append(binary.BigEndian.AppendUint32(nil, uint32(len(b))), b...)
}

func appendSPOPText(b []byte, text string) []byte {
	return append(appendVarint(b, uint64(len(text))), text...)
}

// appendVarint appends a number as the protocol has it: below 240 one byte; else four bits in the first, seven in each
// other.
func appendVarint(b []byte, n uint64) []byte {
	if n < 240 {
		return append(b, byte(n))
	}
	b = append(b, byte(n)|240)
	for n = (n - 240) >> 4; n >= 128; n = (n - 128) >> 7 {
		b = append(b, byte(n)|128)
	}
	return append(b, byte(n))
}

// spopReader takes a frame apart. Once something is missing, bad stays true.
type spopReader struct {
	in  []byte
	bad bool
}

func (r *spopReader) take(n uint64) []byte {
	if r.bad || n > uint64(len(r.in)) {
		r.bad = true
		return nil
	}
	b := r.in[:n]
	r.in = r.in[n:]
	return b
}

func (r *spopReader) byte() byte {
	if b := r.take(1); b != nil {
		return b[0]
	}
	return 0
}

func (r *spopReader) varint() uint64 {
	b := r.byte()
	n := uint64(b)
	if b < 240 {
		return n
	}
	for shift := 4; ; shift += 7 {
		b = r.byte()
		if r.bad || shift > 60 {
			r.bad = true
			return 0
		}
		n += uint64(b) << shift
		if b < 128 {
			return n
		}
	}
}

func (r *spopReader) text() string { return string(r.take(r.varint())) }

// value reads a value of any type: text is what a string says, number what an integer is.
func (r *spopReader) value() (kind byte, text string, number uint64) {
	kind = r.byte() & 0x0f
	switch {
	case kind <= spopBool:
	case kind <= spopUint64:
		number = r.varint()
	case kind == spopIPv4:
		r.take(4)
	case kind == spopIPv6:
		r.take(16)
	case kind == spopString || kind == spopBinary:
		text = r.text()
	default:
		r.bad = true
	}
	return kind, text, number
}

// judgeSPOP reads what an agent answers to the first frame.
func judgeSPOP(in []byte, last bool) verdict {
	failure := func(code uint64) verdict {
		text, known := spopReasons[code]
		if !known {
			text = spopReasons[spopUnknownFailure]
		}
		return verdict{outcome: failed, status: L7Rsp, info: text}
	}
	const header = 4
	if len(in) < header {
		if last {
			return failure(spopInvalid)
		}
		return verdict{}
	}
	n := binary.BigEndian.Uint32(in)
	switch whole := uint32(len(in)-header) >= n; {
	case !whole && !last:
		return verdict{}
	case !whole:
		return failure(spopInvalid)
	}
	r := spopReader{in: in[header : header+n]}
	kind := r.byte()
	flags := r.take(4)
	switch {
	case r.bad || kind != spopAgentHello && kind != spopAgentDisconnect:
		return failure(spopInvalid)
	case flags[3]&spopFin == 0:
		return failure(spopFragments)
	}
	if stream, frame := r.varint(), r.varint(); r.bad || stream != 0 || frame != 0 {
		return failure(spopInvalid)
	}
	version, size, code := "", uint64(0), uint64(0)
	hasVersion, hasSize := false, false
	for len(r.in) > 0 && !r.bad {
		name := r.text()
		kind, text, number := r.value()
		isNumber := kind > spopBool && kind <= spopUint64
		switch name {
		case "version":
			version, hasVersion = text, true
			r.bad = r.bad || kind != spopString
		case "max-frame-size":
			size, hasSize = number, true
			r.bad = r.bad || !isNumber
		case "capabilities", "message":
			r.bad = r.bad || kind != spopString
		case "status-code":
			code = number
			r.bad = r.bad || !isNumber
		}
	}
	switch {
	case r.bad:
		return failure(spopInvalid)
	case kind == spopAgentDisconnect:
		return failure(code)
	case !hasVersion:
		return failure(spopNoVersion)
	case strings.TrimSpace(version) != "2.0":
		return failure(spopBadVersion)
	case !hasSize:
		return failure(spopNoFrameSize)
	case size < spopMinFrame || size > spopMaxFrame:
		return failure(spopBadFrameSize)
	}
	return verdict{outcome: passed, info: "SPOA server is ok"}
}
