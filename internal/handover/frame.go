package handover

import (
	"bytes"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"syscall"
	"time"

	"github.com/penstock/penstock/netio"
)

// The frame. Integers are big-endian; the descriptors travel with the first byte.
//
//	0           4      5         6             8             12
//	┌───────────┬──────┬─────────┬─────────────┬─────────────┬────────────┐
//	│ P N S H   │ type │ version │ descriptors │ body length │ JSON body  │
//	└───────────┴──────┴─────────┴─────────────┴─────────────┴────────────┘
//
// HELLO, REFUSE and the two of STATUS are the same in all versions and carry version 0, so that any two
// programs can tell each other that they do not understand each other. WELCOME names the version that
// both speak, and it and everything after it carry that one. Fields of a body that a reader does not know are skipped;
// whatever cannot be skipped needs another version.
const (
	magic      = "PNSH"
	headerSize = 12
	maxBody    = 16 << 20
	maxFDs     = 252
)

// The versions that this program speaks.
const (
	MinVersion = 1
	MaxVersion = 1
)

type kind uint8

const (
	kindHello kind = 1 + iota
	kindWelcome
	kindRefuse
	kindListeners
	kindSockets
	kindReady
	kindClosed
	kindBatch
	kindAck
	kindCommit
	kindTaken
	kindKeepalive
	kindDone
	kindStatus
	kindStatusReply
	kindEnd // the first that does not exist
)

var kindNames = [kindEnd]string{
	"", "HELLO", "WELCOME", "REFUSE", "LISTENERS", "SOCKETS", "READY", "CLOSED", "BATCH", "ACK",
	"COMMIT", "TAKEN", "KEEPALIVE", "DONE", "STATUS", "STATUS-REPLY",
}

func (k kind) String() string {
	if k == 0 || k >= kindEnd {
		return fmt.Sprintf("type %d", uint8(k))
	}
	return kindNames[k]
}

// versionless tells whether frames of this type are the same in all versions.
func (k kind) versionless() bool {
	return k == kindHello || k == kindRefuse || k == kindStatus || k == kindStatusReply
}

// frame is one that was received. Its descriptors belong to whoever has it.
type frame struct {
	kind kind
	body []byte
	fds  []int
}

// discard closes the frame's descriptors.
func (f *frame) discard() {
	netio.CloseAll(f.fds)
	f.fds = nil
}

// decode reads the body. A frame that cannot be read is discarded.
func (f *frame) decode(body any) error {
	if err := json.Unmarshal(f.body, body); err != nil {
		f.discard()
		return fmt.Errorf("read %v: %w", f.kind, err)
	}
	return nil
}

// wire is one end of a connection. It is not safe for concurrent use.
type wire struct {
	conn    *net.UnixConn
	version uint8 // agreed by WELCOME, 0 before
	ended   bool  // nothing can follow what was written: REFUSE, or part of a frame
}

// errEnded is an attempt to write behind the last frame.
var errEnded = errors.New("nothing more can be written")

// send writes one frame by the deadline. The descriptors stay the caller's. After an error the peer
// cannot have read the whole frame, nor can anything follow.
func (w *wire) send(k kind, body any, fds []int, deadline time.Time) error {
	text, err := encode(k, body)
	if err != nil {
		return err
	}
	return w.sendEncoded(k, text, fds, deadline)
}

// encode is the body of a frame; nil makes an empty one.
func encode(k kind, body any) ([]byte, error) {
	if body == nil {
		return nil, nil
	}
	text, err := json.Marshal(body)
	if err != nil {
		return nil, fmt.Errorf("write %v: %w", k, err)
	}
	return text, nil
}

func (w *wire) sendEncoded(k kind, body []byte, fds []int, deadline time.Time) error {
	if len(body) > maxBody || len(fds) > maxFDs {
		return fmt.Errorf("write %v: %d bytes with %d descriptors exceed a frame", k, len(body), len(fds))
	}
	version := w.version
	if k.versionless() {
		version = 0
	}
	message := make([]byte, 0, headerSize+len(body))
	message = append(message, magic...)
	message = append(message, uint8(k), version)
	message = binary.BigEndian.AppendUint16(message, uint16(len(fds)))
	message = binary.BigEndian.AppendUint32(message, uint32(len(body)))
	message = append(message, body...)
	if w.ended {
		return fmt.Errorf("write %v: %w", k, errEnded)
	}
	err := w.conn.SetWriteDeadline(deadline)
	if err == nil {
		err = netio.SendDescriptors(w.conn, message, fds)
	}
	w.ended = err != nil || k == kindRefuse
	if err != nil {
		return fmt.Errorf("write %v: %w", k, err)
	}
	return nil
}

// receive reads one frame by the deadline. At the end of the connection the error is io.EOF, in the middle of
// a frame io.ErrUnexpectedEOF. With any error no descriptor stays open.
func (w *wire) receive(deadline time.Time) (f frame, err error) {
	defer func() {
		if err != nil {
			f.discard()
			err = fmt.Errorf("read frame: %w", err)
		}
	}()
	if err := w.conn.SetReadDeadline(deadline); err != nil {
		return f, err
	}
	var header [headerSize]byte
	for have := 0; have < headerSize; {
		n, fds, err := netio.ReceiveDescriptors(w.conn, header[have:])
		f.fds = append(f.fds, fds...)
		if err == io.EOF && have > 0 {
			err = io.ErrUnexpectedEOF
		} else if err == io.EOF {
			err = fmt.Errorf("the connection is closed: %w", err)
		}
		if err != nil {
			return f, err
		}
		have += n
	}
	length, err := w.check(&f, &header)
	if err != nil || length == 0 {
		return f, err
	}
	// The buffer grows with what arrives and not with what a header promises. A plain read drops descriptors that come
	// with the body, where none belong.
	var body bytes.Buffer
	n, err := io.CopyN(&body, w.conn, length)
	if err == io.EOF && n < length {
		err = io.ErrUnexpectedEOF
	}
	f.body = body.Bytes()
	return f, err
}

// check examines a header and returns the length of the body.
func (w *wire) check(f *frame, header *[headerSize]byte) (int64, error) {
	if string(header[:4]) != magic {
		return 0, fmt.Errorf("this is no handover: the frame begins with %q", header[:4])
	}
	f.kind = kind(header[4])
	version := header[5]
	fds := int(binary.BigEndian.Uint16(header[6:]))
	length := int64(binary.BigEndian.Uint32(header[8:]))
	want := w.version
	if f.kind.versionless() {
		want = 0
	}
	switch {
	case f.kind == 0 || f.kind >= kindEnd:
		return 0, fmt.Errorf("frames of %v are not known", f.kind)
	case want == 0 && f.kind == kindWelcome:
		// The answer to HELLO brings the version; the taker compares it with the body.
	case version != want:
		return 0, fmt.Errorf("%v has version %d, not %d", f.kind, version, want)
	}
	switch {
	case length > maxBody || fds > maxFDs:
		return 0, fmt.Errorf("%v announces %d bytes with %d descriptors, more than a frame may have", f.kind, length, fds)
	case fds != len(f.fds):
		return 0, fmt.Errorf("%v came with %d descriptors and announces %d", f.kind, len(f.fds), fds)
	}
	return length, nil
}

// isGone tells whether an error means that the peer's end is closed.
func isGone(err error) bool {
	return errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) ||
		errors.Is(err, syscall.ECONNRESET) || errors.Is(err, syscall.EPIPE)
}

// isLate tells whether an error means that a deadline has passed.
func isLate(err error) bool { return errors.Is(err, os.ErrDeadlineExceeded) }

// quiet waits for pause and returns an error when the peer closes or speaks meanwhile, which it must not.
func (w *wire) quiet(pause time.Duration) error {
	if err := w.conn.SetReadDeadline(time.Now().Add(pause)); err != nil {
		return err
	}
	switch _, err := w.conn.Read(make([]byte, 1)); {
	case err == nil:
		return errors.New("the new process speaks out of turn")
	case isLate(err):
		return nil
	default:
		return fmt.Errorf("wait: %w", err)
	}
}
