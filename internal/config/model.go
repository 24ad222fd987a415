package config

import (
	"net/netip"
	"time"
)

// This file is the model: what a configuration means, once every file was read, every
// default applied and every reference resolved. It holds plain values; nothing in it is
// shared with the lexer but positions, and nothing refers to a socket. A zero duration or
// count means "not set" unless the field says otherwise.

// Pos is where a word stood: Line and columns count from 1; EndCol is one past the last column.
type Pos struct {
	File   string
	Line   int
	Col    int
	EndCol int
}

// Config is one complete configuration.
type Config struct {
	Global  Global
	Proxies []*Proxy // frontends, backends and listens, in declaration order
	Files   []string // the files read, in order
}

// DefaultMaxReloads is how many reloads a worker may outlive when nothing is configured.
const DefaultMaxReloads = 50

// Global is the merged content of all global sections (and of the command line that overrides them).
type Global struct {
	Daemon       bool
	Chroot       string
	User, Group  string // names as written; UID and GID hold their numbers
	UID, GID     int    // -1 when not set
	PidFile      string
	MaxConn      int // 0: computed from the limits
	MaxConnRate  int
	MaxSessRate  int
	MaxPipes     int
	NbThread     int // 0: one per usable CPU
	CPUMap       []CPUMap
	ULimitN      int
	FDHardLimit  int
	StrictLimits bool // default true
	NoSplice     bool
	NoReusePort  bool
	NoEpoll      bool
	ZeroWarning  bool
	Quiet        bool
	BusyPolling  bool
	Steer        Steer // how a new connection finds its worker
	Node         string
	Description  string
	LocalPeer    string

	CABase         string // where a ca-file is that has no absolute path
	NoServerVerify bool   // ssl-server-verify none

	NoSessionHandover bool          // a new process gets the listeners, not the sessions
	DrainDeparted     time.Duration // how long sessions live whose proxy or server is gone; 0: as they like

	HardStopAfter time.Duration
	Grace         time.Duration

	SpreadChecks    int           // percent of an interval by which checks are moved at random, 0..50
	MaxSpreadChecks time.Duration // the longest wait before a first check; 0: unlimited

	ExternalCheck       bool // programs may check servers
	ExternalPreserveEnv bool // they get the environment of the process
	InsecureFork        bool // the process may start others

	MasterWorker    bool
	NoExitOnFailure bool // the master outlives a worker that crashed, while others are left
	MaxReloads      int  // reloads that a worker may outlive, default DefaultMaxReloads

	Logs            []LogTarget
	LogSendHostname bool
	LogHostname     string // given to log-send-hostname; empty: the system's
	LogTag          string

	StatsSockets []*Bind
	StatsTimeout time.Duration // default 10 s
	StatsMaxConn int           // default 10

	BufSize                                                int // tune.bufsize, default 16384
	MaxAccept                                              int // tune.maxaccept, default 4; -1: unlimited
	MaxPollEvts                                            int // tune.maxpollevents, default 200
	PipeSize                                               int // tune.pipesize, 0: ours
	IdleTimer                                              time.Duration
	RcvBufClient, SndBufClient, RcvBufServer, SndBufServer int
	NotSentLowatClient, NotSentLowatServer                 int

	ServerStateBase string // the directory of server state files that are not absolute; empty: the working directory
	ServerStateFile string // of all backends with StatesGlobal

	DefaultPath       DefaultPath
	DefaultPathOrigin string // the directory of DefaultPathOrigin; empty otherwise
}

// DefaultPath says where relative file names inside the configuration start from.
type DefaultPath uint8

// The values of default-path.
const (
	PathCurrent DefaultPath = iota // the working directory of the process
	PathConfig                     // the directory of the configuration file
	PathParent                     // the directory above that
	PathOrigin                     // a directory named in the configuration
)

// LoadStates says where a backend finds the states that its servers had in a former process.
type LoadStates uint8

// The values of load-server-state-from-file.
const (
	StatesNone   LoadStates = iota
	StatesGlobal            // in the file of the global section
	StatesLocal             // in a file of its own
)

// Steer is how the kernel chooses the worker of a new connection. The keyword is Penstock's own.
type Steer uint8

// The ways of steering.
const (
	SteerHash Steer = iota // by a hash of the addresses
	SteerCPU               // by the CPU that received the SYN
	SteerEBPF              // by a program in the kernel that knows the workers' load
)

// CPUMap is one cpu-map line: thread numbers (from 1) and the CPUs they may use.
type CPUMap struct {
	Auto    bool
	Threads []int
	CPUs    []int
	Pos     Pos
}

// Kind tells the three proxy sections apart.
type Kind uint8

// The kinds of proxies.
const (
	Frontend Kind = iota + 1
	Backend
	Listen
)

// HasFrontend reports whether the section accepts connections.
func (k Kind) HasFrontend() bool { return k == Frontend || k == Listen }

// HasBackend reports whether the section has servers.
func (k Kind) HasBackend() bool { return k == Backend || k == Listen }

// String is the section keyword.
func (k Kind) String() string {
	switch k {
	case Frontend:
		return "frontend"
	case Backend:
		return "backend"
	case Listen:
		return "listen"
	}
	return "proxy"
}

// Timeouts are the timeouts of one proxy; zero means infinite. Queue is preset from Connect when unset.
type Timeouts struct {
	Client, Server, Connect, Queue, Check, Tunnel, ClientFin, ServerFin, ClientHS time.Duration
}

// Ref names another proxy and remembers where it was named.
type Ref struct {
	Name string
	Pos  Pos
}

// Tristate is a boolean that knows whether it was set.
type Tristate int8

// The values of a Tristate.
const (
	Unset Tristate = iota
	Off
	On
)

// KeepAlive holds TCP keep-alive settings of one side; zero values are the kernel's.
type KeepAlive struct {
	Enabled     bool
	Count       int
	Idle, Intvl time.Duration
}

// Proxy is one frontend, backend or listen section, complete with what it inherits.
type Proxy struct {
	Name        string
	Kind        Kind
	Pos         Pos
	ID          int // ≥ 2 unless forced
	IDForced    bool
	Disabled    bool
	Departed    bool // only sessions of a former process have it; never read from a file
	Description string
	Timeouts    Timeouts

	// Frontend side.
	Binds             []*Bind
	MaxConn           int // 0: the global one (or -N)
	Backlog           int // 0: MaxConn
	RateLimitSessions int
	DefaultBackend    Ref
	UseBackend        Ref // an unconditional use_backend; wins over DefaultBackend
	ClientKeepAlive   KeepAlive

	// Backend side.
	Servers            []*Server
	Balance            Balance
	FullConn           int
	Retries            int // default 3
	Redispatch         bool
	RedispatchInterval int // default -1
	AllBackups         bool
	AbortOnClose       bool
	Source             *Source
	ServerKeepAlive    KeepAlive
	Check              Check
	LogHealthChecks    bool
	ExternalCommand    string // external-check command
	ExternalPath       string // external-check path: folders with colons between
	LoadStates         LoadStates
	StateFileName      string // of StatesLocal; empty: the name of the backend

	// Both.
	NoLinger           bool
	IndependentStreams bool
	SpliceAuto         Tristate // option splice-auto; Unset is on
	SpliceRequest      bool
	SpliceResponse     bool
	SmartAccept        bool
	SmartConnect       bool
	HTTP               bool // it serves Web, and nothing else
	Web                Web
	SocketStats        bool
	ContStats          bool

	// Logging.
	Logs              []LogTarget // with "log global" already expanded
	LogFormat         string      // the log-format given; with TCPLog and no format, HAProxy's
	LogFormatPos      Pos
	TCPLog            bool
	TCPLogCLF         bool
	LogFormatSD       string
	ErrorLogFormat    string
	LogTag            string
	DontLogNull       bool
	DontLogNormal     bool
	LogASAP           bool
	LogSeparateErrors bool
}

// Balance is the balance line with hash-type.
type Balance struct {
	Algorithm  Algorithm // default RoundRobin
	Draws      int       // random(draws), default 2
	Consistent bool      // hash-type consistent
	HashFunc   HashFunc
	Avalanche  bool
	Factor     int // hash-balance-factor, percent; 0: off
	Pos        Pos
}

// Algorithm is a balance algorithm.
type Algorithm uint8

// The algorithms.
const (
	RoundRobin Algorithm = iota
	StaticRR
	LeastConn
	First
	SourceHash
	Random
)

// HashFunc is the function of a hash-type line.
type HashFunc uint8

// The hash functions.
const (
	HashSDBM HashFunc = iota
	HashDJB2
	HashWT6
	HashCRC32
	HashNone
)

// AddrKind is the kind of an address.
type AddrKind uint8

// The kinds of addresses.
const (
	AddrTCP      AddrKind = iota + 1 // IP, or Host still to be resolved
	AddrUnix                         // Path is a file
	AddrAbstract                     // Path is an abstract name (abns@)
	AddrFD                           // FD is an inherited descriptor (fd@)
)

// Address is one address of a bind or server line. IP is invalid while Host waits for resolution.
type Address struct {
	Kind       AddrKind
	IP         netip.Addr
	Host       string // a name to resolve, when it is not a literal
	Family     int    // 0, 4 or 6: what a prefix (ipv4@, ipv6@) asked for
	Port       int
	PortOffset bool // Port is relative to the client's port (+N, -N, or absent: +0)
	Path       string
	FD         int
}

// Bind is one bind line (or stats socket line). Addrs are its listeners in order, port ranges expanded.
type Bind struct {
	Pos   Pos
	Addrs []Address
	Words string // the address words as written, for messages

	Name           string
	ID             int   // forced with id; 0: none
	ListenerIDs    []int // one per address of Addrs: ID when forced, else the next free ones from 1
	MaxConn        int
	Backlog        int
	Interface      string
	Transparent    bool
	V4V6, V6Only   bool
	MSS            int
	DeferAccept    bool
	TFO            bool
	TCPUserTimeout time.Duration
	CC             string
	Threads        []int // thread restricts the bind line to these threads (from 1); empty: all
	Mode           int   // octal permissions of a UNIX socket; -1: umask
	UID, GID       int   // owner of a UNIX socket; -1: unchanged

	// Only on stats sockets.
	Level       string // user, operator, admin
	ExposeFD    bool
	SeverityOut string
}

// Source is a source line or server parameter.
type Source struct {
	IP        netip.Addr
	PortLow   int // 0: the kernel chooses
	PortHigh  int
	Interface string
	Pos       Pos
}

// InitAddr is one method of init-addr.
type InitAddr struct {
	Method string // last, libc, none, ip
	IP     netip.Addr
}

// Server is one server line.
type Server struct {
	Name     string
	Pos      Pos
	ID       int
	IDForced bool
	Addr     Address
	Weight   int // default 1
	Backup   bool
	MaxConn  int // 0: unlimited
	MinConn  int
	MaxQueue int
	Disabled bool
	Departed bool // as of a Proxy

	Source         *Source
	TCPUserTimeout time.Duration
	TFO            bool
	InitAddr       []InitAddr // default last,libc

	SlowStart    time.Duration // whole seconds
	Check        ServerCheck
	Agent        AgentCheck
	Track        Track
	OnMarkedDown string
	OnMarkedUp   string
	OnError      string
}

// LogTarget is one log line.
type LogTarget struct {
	Pos          Pos
	Kind         LogTargetKind
	Addr         netip.AddrPort // LogUDP
	Host         string         // LogUDP with a name to resolve (Port in Addr)
	Path         string         // LogUnix
	FD           int            // LogFD: 1 stdout, 2 stderr, or fd@N
	Len          int            // default 1024
	Format       LogHeader
	FormatSet    bool
	Facility     int    // 0..23
	Level        int    // least severe level sent, default 7
	MinLevel     int    // most severe level shown, default 0
	SampleRanges string // as written; empty: every line
	SampleSize   int
}

// LogTargetKind is where a log line goes.
type LogTargetKind uint8

// The kinds of log targets.
const (
	LogUDP LogTargetKind = iota + 1
	LogUnix
	LogFD
)

// LogHeader is a header format of the syslog line.
type LogHeader uint8

// The header formats.
const (
	HeaderLocal LogHeader = iota
	HeaderRFC3164
	HeaderRFC5424
	HeaderPriority
	HeaderShort
	HeaderTimed
	HeaderISO
	HeaderRaw
)
