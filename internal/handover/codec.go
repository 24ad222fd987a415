package handover

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"

	"github.com/penstock/penstock/internal/session"
	"github.com/penstock/penstock/netio"
)

// Snapshots in a frame.
//
// In JSON a snapshot's descriptors are places among the descriptors of the frame; -1, or nothing, is none.
// Each descriptor of a frame belongs to exactly one place, so that a batch which is read owns every
// descriptor that came with it, and one that cannot be read is closed whole.

// batchBytes is where a batch ends. It bounds how long sessions stand still: they do from Next to TAKEN.
const batchBytes = 256 << 10

// maxBatch is the number of sessions that Next is asked for: as many as fit a frame when none has a pipe.
const maxBatch = maxFDs / 2

// batch is the body of BATCH.
type batch struct {
	Seq      int       `json:"seq"`
	Until    int64     `json:"until"` // ns of CLOCK_MONOTONIC: the taker inherits from a giver that died before
	Sessions []element `json:"sessions"`
}

// element is a snapshot on its way. What is not there must not be descriptor 0.
type element struct {
	session.Snapshot
}

func (e *element) UnmarshalJSON(text []byte) error {
	for _, fd := range e.Descriptors() {
		*fd = -1
	}
	return json.Unmarshal(text, &e.Snapshot)
}

// errTooBig is a session that no frame can carry.
var errTooBig = errors.New("more unsent bytes than a frame can carry")

// encodeBatch writes as many of the sessions as one frame should carry, at least one, and returns how many
// that are. The descriptors stay the owner's.
func encodeBatch(seq int, until int64, list []session.Snapshot) (body []byte, fds []int, n int, err error) {
	var text bytes.Buffer
	fmt.Fprintf(&text, `{"seq":%d,"until":%d,"sessions":[`, seq, until)
	for ; n < len(list); n++ {
		s := list[n]
		places := s.Descriptors()
		var own []int
		for _, fd := range places {
			if *fd >= 0 {
				own = append(own, *fd)
				*fd = len(fds) + len(own) - 1
			}
		}
		if len(fds)+len(own) > maxFDs {
			break
		}
		one, err := json.Marshal(&s)
		if err == nil && len(one) > maxBody-1024 {
			err = errTooBig
		}
		if err != nil && n == 0 {
			return nil, nil, 1, fmt.Errorf("write session of %s: %w", s.Frontend, err)
		}
		if err != nil || n > 0 && text.Len()+len(one) > batchBytes {
			break
		}
		if n > 0 {
			text.WriteByte(',')
		}
		text.Write(one)
		fds = append(fds, own...)
	}
	text.WriteString("]}")
	return text.Bytes(), fds, n, nil
}

// readBatch gives the sessions of a frame their descriptors. The result owns them; with an error they are closed.
func readBatch(f *frame) (b batch, list []session.Snapshot, err error) {
	if err := f.decode(&b); err != nil {
		return b, nil, err
	}
	fds := f.fds
	used := 0
	seen := make([]bool, len(fds))
	for i := range b.Sessions {
		for _, fd := range b.Sessions[i].Descriptors() {
			switch {
			case *fd == -1:
				continue
			case *fd < 0 || *fd >= len(fds) || seen[*fd]:
				f.discard()
				return b, nil, fmt.Errorf("session %d of %v uses descriptor %d, which is not its own", i, f.kind, *fd)
			}
			seen[*fd] = true
			used++
			*fd = fds[*fd]
		}
	}
	if used != len(fds) {
		f.discard()
		return b, nil, fmt.Errorf("%v brings %d descriptors for %d places", f.kind, len(fds), used)
	}
	f.fds = nil
	list = make([]session.Snapshot, len(b.Sessions))
	for i := range b.Sessions {
		list[i] = b.Sessions[i].Snapshot
	}
	b.Sessions = nil
	return b, list, nil
}

// closeSessions closes the descriptors of sessions, and ends nothing that another process holds.
func closeSessions(list []session.Snapshot) {
	for i := range list {
		for _, fd := range list[i].Descriptors() {
			if *fd >= 0 {
				netio.Close(*fd)
				*fd = -1
			}
		}
	}
}

// split divides sessions by the places that were refused; places that do not exist are an error.
func split(list []session.Snapshot, refused []int) (kept, dropped []session.Snapshot, err error) {
	out := make([]bool, len(list))
	for _, i := range refused {
		if i < 0 || i >= len(list) || out[i] {
			return nil, nil, fmt.Errorf("session %d of %d cannot be refused", i, len(list))
		}
		out[i] = true
	}
	for i := range list {
		if out[i] {
			dropped = append(dropped, list[i])
		} else {
			kept = append(kept, list[i])
		}
	}
	return kept, dropped, nil
}
