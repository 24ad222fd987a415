package logging

import "github.com/penstock/penstock/netio"

// The syslog levels, most severe first.
const (
	LevelEmerg = iota
	LevelAlert
	LevelCrit
	LevelErr
	LevelWarning
	LevelNotice
	LevelInfo
	LevelDebug
)

// Record is everything that a log line can tell about one session. It belongs to one worker, which
// fills it anew for each line; its strings are those of the configuration, so filling it does not
// allocate. Times are in milliseconds, -1 for a milestone that was not reached.
type Record struct {
	ClientAddr netio.Addr // where the client is (after a PROXY header: whom it names)
	BindAddr   netio.Addr // where the client connected to
	LocalAddr  netio.Addr // our end of the server connection
	ServerAddr netio.Addr

	FrontendName string
	BackendName  string // empty: no backend was chosen, the frontend's name stands in
	ServerName   string // empty: printed as <NOSRV>
	ListenerName string // name of the bind line; empty: the listener's id stands in
	FrontendID   int
	BackendID    int
	ServerID     int
	ListenerID   int

	AcceptTimeNs int64 // wall clock at accept, Unix nanoseconds

	HandshakeMs int64 // %Th
	QueueMs     int64 // %Tw
	ConnectMs   int64 // %Tc
	DataMs      int64 // %Td
	TotalMs     int64 // %Tt
	UserMs      int64 // %Tu

	BytesIn  uint64 // client to server, %U
	BytesOut uint64 // server to client, %B

	Term [2]byte // termination state; a zero byte is printed as '-'

	ActConn int // sessions of the process, %ac
	FeConn  int
	BeConn  int
	SrvConn int

	Retries      int
	Redispatched bool
	SrvQueue     int
	BackendQueue int

	// ASAP marks a line written at the server connection (option logasap): times and sizes that still
	// grow are printed with a '+'.
	ASAP bool

	Origin   Origin // what caused the line
	Counter  uint64 // number of the session in the process, %rt
	LogCount uint64 // number of the line in the frontend, %lc
	UniqueID string
	Pid      int
	Hostname string

	dates acceptDates
}

// Reset clears the record for the next session; timers become "not reached". What the process
// always answers alike (Pid, Hostname) is kept, and so is the cache of the last date.
func (r *Record) Reset() {
	pid, host, dates := r.Pid, r.Hostname, r.dates
	*r = Record{
		HandshakeMs: -1, QueueMs: -1, ConnectMs: -1, DataMs: -1, TotalMs: -1, UserMs: -1,
		Pid: pid, Hostname: host, dates: dates,
	}
}

// Origin is the step of a session that caused a log line. The zero value is the usual one, its end.
type Origin uint8

// The origins.
const (
	OriginClose Origin = iota
	OriginAccept
	OriginRequest
	OriginConnect
	OriginResponse
	OriginSessionError
	OriginSessionKilled
	OriginUnspecified
)

var originNames = [...]string{
	OriginClose:         "txn_close",
	OriginAccept:        "txn_accept",
	OriginRequest:       "txn_request",
	OriginConnect:       "txn_connect",
	OriginResponse:      "txn_response",
	OriginSessionError:  "sess_error",
	OriginSessionKilled: "sess_killed",
	OriginUnspecified:   "unspec",
}

// String is the name that the alias %OG prints.
func (o Origin) String() string {
	if int(o) < len(originNames) {
		return originNames[o]
	}
	return originNames[OriginUnspecified]
}
