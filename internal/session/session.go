package session

import (
	"github.com/penstock/penstock/internal/backend"
	"github.com/penstock/penstock/netio"
	"github.com/penstock/penstock/sched"
)

// state is where a session stands.
//
//	            ┌────────────── a slot is granted ─────────────┐
//	            │                                              v
//	accept ─> assign ── all servers full ──> queued        connecting ── established ──> relay ──> end
//	            ^  │                            │            │      ^                      │
//	            │  └── a server has a slot ─────┼────────────┘      │ delay over           │
//	            │                               │      refused, timed out                  │
//	            │                               v            v      │                      v
//	            └─ redispatch ──────────── turnaround <──────┴──────┘                     end
//
// A session in the relay may also be leaving for another owner, see Handover.
//
// Every state ends at once when the session is killed; queued, connecting and turnaround hold a
// deadline, relay holds the dates of the last activity of both sides.
type state uint8

const (
	stateFree state = iota
	stateQueued
	stateConnecting
	stateTurnaround
	stateRelay
	stateLeaving
)

// The two sides of a session, and the two directions named after the side that they read from:
// flow[client] carries client → server.
const (
	client = 0
	server = 1
)

// Flags of a side.
const (
	readable   uint16 = 1 << iota // a read may find something; cleared by a short read or EAGAIN
	writable                      // a write may succeed; cleared by a short write or EAGAIN
	peerClosed                    // the kernel said that a FIN lies behind the data (EPOLLRDHUP)
	atEOF                         // nothing more will be read from this side
	shutDone                      // FIN was sent to this side
	broken                        // this side was reset or cannot be written
	urgent                        // it sent urgent data, at which reads stop short
	watched                       // epoll reports when it can be written again
)

// side is one socket of a session.
type side struct {
	fd      int32
	flags   uint16
	last    sched.Tick // last byte read from or written to this side
	blocked sched.Tick // since when bytes wait for this side to take them; Never when none do
}

// How a direction moves bytes.
const (
	modeCopy        uint8 = iota // by the shared buffer, until the stream has proved itself
	modeSplice                   // by a pipe, until the stream calms down
	modeCopyOnly                 // splice is off, or the kernel refused it here
	modeForceSplice              // option splice-request or splice-response
)

// flow is one direction: bytes read from one side and still to be written to the other. Bytes wait in
// the buffer or in the pipe, never in both, and nothing is read while any wait.
type flow struct {
	bytes  uint64 // read so far
	buf    uint32 // handle of a buffer that holds bytes buf[off:end]; 0: none
	off    uint32
	end    uint32
	pipe   int32 // handle of a pipe that holds bytes; 0: none
	mode   uint8
	streak uint8 // consecutive full reads in copy mode, small moves in splice mode
	heavy  bool  // since its last pause it moved a chunk that others should not wait for
	done   bool  // EOF was passed on, or the direction is dead
}

func (f *flow) pending() bool { return f.buf != 0 || f.pipe != 0 }

// Flags of a session.
const (
	slotHeld          uint16 = 1 << iota // a slot of server srv is ours
	beCounted                            // counted in the backend's sessions
	redispatched                         // moved away from the first server
	clientFin                            // the client closed, with nothing to send, before the server was there
	resetSides                           // the end goes to the surviving side as a reset
	logged                               // the line went out already (logasap)
	timedOut                             // the last connection attempt ended by timeout connect
	noResource                           // the last attempt failed for want of ports, descriptors or memory
	independent                          // option independent-streams on the client side
	independentServer                    // and on the server side; the bit next to it
	continuous                           // option contstats
	stays                                // it came back from a handover
)

// Session is one accepted connection and its server connection. It belongs to one worker for life,
// lies in memory that the garbage collector does not scan, and holds no pointer.
type Session struct {
	side [2]side
	flow [2]flow

	counted      [2]uint64 // of the bytes of both directions, see countBytes
	number       uint64    // of the session in the process
	acceptWallNs int64
	acceptNs     int64 // monotonic

	queueMs   int32 // accept → server chosen, -1 before
	connectMs int32 // accept → connected, -1 before
	deadline  sched.Tick

	peer   netio.Addr
	ticket backend.Ticket
	srv    int32  // the server in use or last tried, -1: none
	lis    uint32 // see Table.listener
	fe     uint16
	be     int16 // index of the backend, -1: none

	state   state
	attempt uint8 // counts server sockets; part of the event word
	flags   uint16
	retries uint16
	term    [2]byte // termination code, zero until something ends the session
	avoid   int32   // a server that a redispatch should not choose, -1: none

	queuedOn     int32  // the server whose queue the ticket is for, or backend.None
	serverQueue  uint32 // places had in servers' queues, as the log shows them
	backendQueue uint32 // and in the backend's
}

// fail names the cause of the end; the first cause stays.
func (s *Session) fail(cause byte) {
	if s.term[0] != 0 {
		return
	}
	s.term[0] = cause
	switch {
	case s.state == stateQueued:
		s.term[1] = 'Q'
	case s.state == stateConnecting || s.state == stateTurnaround || s.be < 0 || s.connectMs < 0:
		s.term[1] = 'C'
	case s.side[server].flags&atEOF != 0 && s.flow[client].done:
		s.term[1] = 'L'
	default:
		s.term[1] = 'D'
	}
}

// The event word: what a readiness report is about.
//
//	 63            38 37      32 31 30 29                    0
//	┌────────────────┬──────────┬─────┬───────────────────────┐
//	│ generation     │ attempt  │kind │ slot or listener      │
//	└────────────────┴──────────┴─────┴───────────────────────┘
//
// The generation tells a slot's lives apart, the attempt its server sockets: an event of a socket
// that was closed earlier in the same batch matches neither and is dropped.
const (
	KindClient   = 0
	KindServer   = 1
	KindListener = 2
	KindWaker    = 3

	kindShift    = 30
	slotMask     = 1<<kindShift - 1
	attemptMask  = 63
	attemptShift = 32
	genShift     = 38
)

// Word packs an event word.
func Word(kind int, slot, gen uint32, attempt uint8) uint64 {
	return uint64(gen)<<genShift | uint64(attempt&attemptMask)<<attemptShift | uint64(kind)<<kindShift | uint64(slot&slotMask)
}

// WordKind is the kind of an event word, WordSlot its slot or listener.
func WordKind(w uint64) int { return int(w>>kindShift) & 3 }

// WordSlot is the slot or listener index of an event word.
func WordSlot(w uint64) uint32 { return uint32(w) & slotMask }
