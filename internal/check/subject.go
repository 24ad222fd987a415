package check

import (
	"cmp"
	"sync"
	"sync/atomic"
	"time"

	"github.com/penstock/penstock/internal/backend"
	"github.com/penstock/penstock/internal/config"
	"github.com/penstock/penstock/internal/logging"
	"github.com/penstock/penstock/netio"
	"github.com/penstock/penstock/sched"
)

// Backend is what the checks of all servers of one backend share. It must not change once the checker runs.
type Backend struct {
	Name           string
	ID             int
	Kind           config.Kind
	State          *backend.Backend
	Logger         *logging.Logger // nil: none
	Program        *Program
	CheckTimeout   time.Duration // timeout check; 0: none
	ConnectTimeout time.Duration // timeout connect; 0: none
	LogChecks      bool          // option log-health-checks
	Command        *Command      // of option external-check; nil: none
}

// Server is one server to be checked.
type Server struct {
	Backend *Backend
	Index   int // in the backend
	Config  *config.Server
	Target  Target
	TLS     *TLS                  // nil: no check of it speaks TLS
	Address func() netio.Sockaddr // where sessions connect to, at this moment
}

// Tracker is a server that is not checked itself: it goes up and down with another one.
type Tracker struct {
	Backend *Backend
	Index   int
	Config  *config.Server
	Of      *Backend // where the other one is
	OfIndex int
}

// subject is a server whose state is followed.
type subject struct {
	server   int
	name     string
	backend  *Backend
	backup   bool
	onDown   bool       // on-marked-down shutdown-sessions
	onUp     bool       // on-marked-up shutdown-backup-sessions
	of       *subject   // the server that it tracks; nil: none
	trackers []*subject // those that track it
	check    *Check     // nil: it is not checked
	agent    *Check     // nil: it has no agent

	slowStart time.Duration // 0: it starts at once
	warmID    uint32        // of its timer while it starts
	upSince   sched.Tick
	gone      time.Duration // of its slow start before upSince, in another process
}

// shared is what the backend knows of the server.
func (s *subject) shared() *backend.Server { return s.backend.State.Server(s.server) }

// begin sets the state without a word.
func (s *subject) begin(up bool) {
	s.backend.State.SetRunning(s.server, up)
	for _, t := range s.trackers {
		t.begin(up)
	}
}

func newSubject(b *Backend, index int, s *config.Server) *subject {
	return &subject{
		server: index, name: s.Name, backend: b, backup: s.Backup, onDown: s.OnMarkedDown != "", onUp: s.OnMarkedUp != "",
		slowStart: s.SlowStart,
	}
}

// Check is the health check of one server, or the one by its agent. But for what mu guards it belongs to the checker's goroutine.
type Check struct {
	*subject
	id        uint32
	gen       uint32 // of the socket, to tell late reports
	initState string
	onError   string // fastinter, fail-check, sudden-death or mark-down
	intervals Intervals
	target    Target
	asks      *Program // of an agent; nil: the backend's is the one
	asking    *Program // of an agent, from the next time on
	checking  *config.ServerCheck
	tls       *TLS
	address   func() netio.Sockaddr // of the server itself

	run     run
	running bool
	off     atomic.Bool // no check is made, by order
	fast    bool        // the next check comes after fastinter
	queued  bool        // it waits for its turn to start a program
	next    sched.Tick

	mu    sync.Mutex
	state State
	flaps flaps
}

// State is what is known of the health of a server.
type State struct {
	Status   Status // of the last check that ended
	Code     int
	Info     string
	Duration int64 // of that check, ms
	Health   Health
	Running  bool   // a check is under way
	Off      bool   // by order, no check is made
	Checks   uint64 // checks that ended
	Failures uint64 // those that failed, but for those of a server that was down already
	Downs    uint64 // times that the server went down
	Observed uint64 // times that too many sessions failed to connect in a row
}

func (k *Check) program() *Program { return cmp.Or(k.asks, k.backend.Program) }

func (k *Check) word() uint64 { return uint64(k.gen)<<32 | uint64(k.id) }
