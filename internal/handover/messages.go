package handover

import (
	"encoding/json"
	"fmt"
	"net/netip"

	"github.com/penstock/penstock/netio"
)

// hello opens a handover.
type hello struct {
	Min      int  `json:"min"` // versions that the taker speaks
	Max      int  `json:"max"`
	PID      int  `json:"pid"`
	Sessions bool `json:"sessions"` // they are wanted
}

// Welcome is what the giver says about itself.
type Welcome struct {
	Version    int             `json:"version"` // of the protocol
	PID        int             `json:"pid"`
	Generation int             `json:"generation"`
	Listeners  int             `json:"listeners"`         // sockets that will come
	Sessions   int             `json:"sessions"`          // that exist now
	Moves      bool            `json:"moves"`             // sessions will be handed over
	Topology   json.RawMessage `json:"topology,omitzero"` // as Offer.Topology gave it
}

// refusal is the body of REFUSE.
type refusal struct {
	Reason string `json:"reason"`
}

// Refusal is the giver's no. It keeps what was not committed by then.
type Refusal struct {
	Reason string
}

func (r *Refusal) Error() string { return "the old process refuses: " + r.Reason }

// Socket is one listening socket with what is known of it, so that the taker finds its bind line. What does
// not apply is zero.
type Socket struct {
	FD        int            `json:"-"` // comes with the frame
	Proxy     string         `json:"proxy"`
	Bind      string         `json:"bind"`                // the address as written
	Addr      netip.AddrPort `json:"addr,omitzero"`       // what it is bound to
	Path      string         `json:"path,omitempty"`      // of a UNIX socket; an abstract name begins with @
	Interface string         `json:"interface,omitempty"` // that it is restricted to
	Netns     string         `json:"netns,omitempty"`     // name of its network namespace
	Index     int            `json:"index"`               // worker of the old process
	Shared    bool           `json:"shared,omitempty"`    // all workers accept from it
}

// sockets is the body of SOCKETS; the descriptors come in the same order.
type sockets struct {
	Sockets []Socket `json:"sockets"`
	Last    bool     `json:"last"`
}

// readSockets joins a frame's sockets with its descriptors, which the result owns.
func readSockets(f *frame) (s sockets, err error) {
	if err := f.decode(&s); err != nil {
		return s, err
	}
	if len(s.Sockets) != len(f.fds) {
		f.discard()
		return s, fmt.Errorf("%v names %d sockets and brings %d descriptors", f.kind, len(s.Sockets), len(f.fds))
	}
	for i := range s.Sockets {
		s.Sockets[i].FD = f.fds[i]
	}
	f.fds = nil
	return s, nil
}

func closeSockets(list []Socket) {
	for i := range list {
		netio.Close(list[i].FD)
	}
}

// ready says, for each socket in the order of SOCKETS, whether it was taken.
type ready struct {
	Taken []bool `json:"taken"`
}

// ack answers BATCH.
type ack struct {
	Seq     int   `json:"seq"`
	Refused []int `json:"refused,omitempty"` // places in the batch
}

// turn is the body of COMMIT and TAKEN.
type turn struct {
	Seq int `json:"seq"`
}

// done is the end of a handover.
type done struct {
	Moved int   `json:"moved"`
	Left  int   `json:"left"` // sessions that the giver keeps
	Ms    int64 `json:"ms"`   // since READY
}
