package session

import "net/netip"

// Snapshot is a session between two owners: all that a table needs to go on where another one, of this
// or of another process, stopped. It names things instead of numbering them, so that the new owner
// may have another configuration; what a reader does not know it skips, what a writer did not know is zero.
//
// Descriptors are those of whoever holds the snapshot. Until one of both owners has let go they are
// open twice.
type Snapshot struct {
	Worker int    `json:"worker"` // of the former owner
	Slot   uint32 `json:"slot"`   // in its table
	Gen    uint32 `json:"gen"`

	Frontend string         `json:"fe"`
	Backend  string         `json:"be"`
	Server   string         `json:"srv"`
	Bound    netip.AddrPort `json:"bound,omitzero"` // what its listener is bound to; none for a UNIX socket
	Listener int            `json:"lis"`            // id of the bind line

	Client SideSnapshot `json:"client"`
	Far    SideSnapshot `json:"server"`
	Up     FlowSnapshot `json:"up"`   // client → server
	Down   FlowSnapshot `json:"down"` // server → client

	Peer         netip.AddrPort `json:"peer,omitzero"` // none for a UNIX client
	Number       uint64         `json:"number"`        // of the session, as %rt shows it
	AcceptWallNs int64          `json:"acceptWall"`
	AcceptNs     int64          `json:"accept"` // of CLOCK_MONOTONIC, which all processes share
	QueueMs      int32          `json:"queueMs"`
	ConnectMs    int32          `json:"connectMs"`
	Retries      uint16         `json:"retries,omitempty"`
	ServerQueue  uint32         `json:"srvQueue,omitempty"`
	BackendQueue uint32         `json:"beQueue,omitempty"`
	Term         string         `json:"term,omitempty"` // termination code, once something has ended the session

	Redispatched bool `json:"redispatched,omitempty"`
	Logged       bool `json:"logged,omitempty"`     // the line went out already
	ResetSides   bool `json:"resetSides,omitempty"` // the end goes to the surviving side as a reset
}

// SideSnapshot is one socket of a session.
type SideSnapshot struct {
	FD         int    `json:"fd"`                // -1: closed
	IdleMs     uint32 `json:"idleMs"`            // since it last sent or took a byte
	Blocked    bool   `json:"blocked,omitempty"` // bytes wait for it
	BlockedMs  uint32 `json:"blockedMs,omitempty"`
	AtEOF      bool   `json:"eof,omitempty"`    // nothing more will be read from it
	PeerClosed bool   `json:"fin,omitempty"`    // a FIN lies behind what can be read
	ShutDone   bool   `json:"shut,omitempty"`   // FIN was sent to it
	Broken     bool   `json:"broken,omitempty"` // it was reset or cannot be written
	Urgent     bool   `json:"urgent,omitempty"` // it sent urgent data
}

// FlowSnapshot is one direction of a session, with the bytes that were read and not yet written: in Unsent
// or in the pipe, never in both.
type FlowSnapshot struct {
	Bytes     uint64 `json:"bytes"` // read so far
	Done      bool   `json:"done,omitempty"`
	CopyOnly  bool   `json:"copyOnly,omitempty"` // splicing was refused here
	Stream    bool   `json:"stream,omitempty"`   // it had proved itself a stream
	Unsent    []byte `json:"unsent,omitempty"`
	PipeRead  int    `json:"pipeRead"` // -1: no pipe; the kernel tells what is in it
	PipeWrite int    `json:"pipeWrite"`
}

// Descriptors are the places of all descriptors that a snapshot can hold; some may be -1.
func (s *Snapshot) Descriptors() [6]*int {
	return [6]*int{&s.Client.FD, &s.Far.FD, &s.Up.PipeRead, &s.Up.PipeWrite, &s.Down.PipeRead, &s.Down.PipeWrite}
}
