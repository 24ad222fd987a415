package top

import (
	"encoding/csv"
	"strconv"
	"strings"
	"time"
)

// Sample is what the process said at one moment.
type Sample struct {
	Taken    time.Time
	Info     Info
	Rows     []Row
	Sessions []Session
	Listed   bool     // sessions were asked for
	Detail   []string // what was asked about one session
	Cut      bool     // there were more sessions than fit
	Refusal  string   // why there are no sessions
}

// Info is the state of the process: names and values of "show info".
type Info map[string]string

// Number is the value of a field, 0 when there is none.
func (i Info) Number(name string) int64 {
	n, err := strconv.ParseInt(i[name], 10, 64)
	if err != nil {
		return 0
	}
	return n
}

// Kind is what a row is about, by the number that the process uses.
type Kind int

// The kinds of rows.
const (
	Frontend Kind = 0
	Backend  Kind = 1
	Server   Kind = 2
)

// Row is a line of "show stat".
type Row struct {
	Proxy, Name string
	Kind        Kind
	Status      string
	CheckStatus string // L4OK; with "* " in front while a check is under way
	CheckDesc   string // that in words
	LastCheck   string // what the server said or the system did
	Address     string
	Algorithm   string
	Tracked     string
	n           [numbers]int64
}

// number is a column with numbers.
type number int

const (
	queued number = iota
	queuedMax
	current
	currentMax
	limit
	total
	bytesIn
	bytesOut
	deniedIn
	deniedOut
	requestErrors
	connectErrors
	responseErrors
	retries
	redispatches
	weight
	userWeight
	active
	backups
	checksFailed
	downs
	changed
	downtime
	queueLimit
	throttle
	chosen
	rate
	rateMax
	checkCode
	checkDuration
	clientAborts
	serverAborts
	lastSession
	queueTime
	connectTime
	totalTime
	rise
	fall
	health
	deniedConnections
	deniedSessions
	kind
	numbers
)

var numberNames = map[string]number{
	"qcur": queued, "qmax": queuedMax, "scur": current, "smax": currentMax, "slim": limit, "stot": total, "bin": bytesIn, "bout": bytesOut,
	"dreq": deniedIn, "dresp": deniedOut, "ereq": requestErrors, "econ": connectErrors, "eresp": responseErrors, "wretr": retries, "wredis": redispatches,
	"weight": weight, "uweight": userWeight, "act": active, "bck": backups, "chkfail": checksFailed, "chkdown": downs, "lastchg": changed,
	"downtime": downtime, "qlimit": queueLimit, "throttle": throttle, "lbtot": chosen, "rate": rate, "rate_max": rateMax,
	"check_code": checkCode, "check_duration": checkDuration, "cli_abrt": clientAborts, "srv_abrt": serverAborts, "lastsess": lastSession,
	"qtime": queueTime, "ctime": connectTime, "ttime": totalTime, "check_rise": rise, "check_fall": fall, "check_health": health,
	"dcon": deniedConnections, "dses": deniedSessions, "type": kind,
}

// none is the value of a number that the process did not tell.
const none = -1

// sum adds values of which some may not be there.
func (r *Row) sum(which ...number) int64 {
	all := int64(none)
	for _, w := range which {
		if v := r.n[w]; v != none {
			all = max(all, 0) + v
		}
	}
	return all
}

// ParseInfo reads lines of a name and a value.
func ParseInfo(text string) Info {
	info := Info{}
	for line := range strings.Lines(text) {
		if name, value, ok := strings.Cut(clean(strings.TrimRight(line, "\r\n")), ": "); ok {
			info[name] = value
		}
	}
	return info
}

// ParseStat reads the table of "show stat". What is no line of it is passed over.
func ParseStat(text string) []Row {
	header, _, _ := strings.Cut(text, "\n")
	if !strings.HasPrefix(header, "# ") {
		return nil
	}
	reader := csv.NewReader(strings.NewReader(text[2:]))
	reader.FieldsPerRecord, reader.LazyQuotes, reader.ReuseRecord = -1, true, true
	names, err := reader.Read()
	if err != nil {
		return nil
	}
	set := make([]func(*Row, string), len(names))
	for i, name := range names {
		set[i] = setter(name)
	}
	var rows []Row
	for {
		fields, err := reader.Read()
		if err != nil {
			return rows
		}
		var r Row
		for i := range r.n {
			r.n[i] = none
		}
		for i, text := range fields {
			if i < len(set) && set[i] != nil && text != "" {
				set[i](&r, text)
			}
		}
		if r.Kind = Kind(r.n[kind]); r.Proxy != "" && r.Name != "" && r.Kind >= Frontend && r.Kind <= Server {
			rows = append(rows, r)
		}
	}
}

// setter returns what takes the value of a column, nil when nobody wants it.
func setter(name string) func(*Row, string) {
	if which, ok := numberNames[name]; ok {
		return func(r *Row, text string) {
			if n, err := strconv.ParseInt(text, 10, 64); err == nil && n >= 0 {
				r.n[which] = n
			}
		}
	}
	switch name {
	case "pxname":
		return func(r *Row, text string) { r.Proxy = clean(text) }
	case "svname":
		return func(r *Row, text string) { r.Name = clean(text) }
	case "status":
		return func(r *Row, text string) { r.Status = clean(text) }
	case "check_status":
		return func(r *Row, text string) { r.CheckStatus = clean(text) }
	case "check_desc":
		return func(r *Row, text string) { r.CheckDesc = clean(text) }
	case "last_chk":
		return func(r *Row, text string) { r.LastCheck = clean(text) }
	case "addr":
		return func(r *Row, text string) { r.Address = clean(text) }
	case "algo":
		return func(r *Row, text string) { r.Algorithm = clean(text) }
	case "tracked":
		return func(r *Row, text string) { r.Tracked = clean(text) }
	}
	return nil
}

// Session is a line of "show sess".
type Session struct {
	ID                          string
	Client                      string
	Frontend, Backend, Server   string
	State, Mode, Worker, Queued string // empty when not told
	Age, Idle                   int64  // seconds; none when not told
	Up, Down                    int64  // bytes from the client and to it; none when not told
}

// ParseSessions reads the list of "show sess".
func ParseSessions(text string) []Session {
	var sessions []Session
	for line := range strings.Lines(text) {
		id, rest, ok := strings.Cut(strings.TrimRight(line, "\r\n"), ": ")
		if !ok || !plainID(id) {
			continue
		}
		s := Session{ID: id, Age: none, Idle: none, Up: none, Down: none}
		for field := range strings.FieldsSeq(rest) {
			name, value, _ := strings.Cut(field, "=")
			value = clean(value)
			switch name {
			case "src":
				s.Client = value
			case "fe":
				s.Frontend = value
			case "be":
				s.Backend = value
			case "srv":
				s.Server = value
			case "state":
				s.State = value
			case "mode":
				s.Mode = value
			case "worker":
				s.Worker = value
			case "queue":
				s.Queued = value
			case "age":
				s.Age = seconds(value)
			case "idle":
				s.Idle = seconds(value)
			case "bytes":
				up, down, _ := strings.Cut(value, "/")
				s.Up, s.Down = natural(up), natural(down)
			}
		}
		sessions = append(sessions, s)
	}
	return sessions
}

// plainID tells whether a text is what sessions are called.
func plainID(text string) bool {
	digits, ok := strings.CutPrefix(text, "0x")
	return ok && digits != "" && len(digits) <= 16 && strings.Trim(digits, "0123456789abcdef") == ""
}

// plainName tells whether a text is a name as configurations have them, which means nothing else in a command.
func plainName(text string) bool {
	return text != "" && !strings.ContainsFunc(text, func(r rune) bool {
		return !('a' <= r && r <= 'z' || 'A' <= r && r <= 'Z' || '0' <= r && r <= '9' || strings.ContainsRune("-_.:", r))
	})
}

func natural(text string) int64 {
	n, err := strconv.ParseInt(text, 10, 64)
	if err != nil || n < 0 {
		return none
	}
	return n
}

// seconds reads a time like 1d2h or 5s.
func seconds(text string) int64 {
	units := map[byte]int64{'d': 86400, 'h': 3600, 'm': 60, 's': 1}
	sum, digits := int64(none), 0
	for i := range len(text) {
		if c := text[i]; c >= '0' && c <= '9' {
			continue
		}
		n, unit := natural(text[digits:i]), units[text[i]]
		if n == none || unit == 0 || n > 1<<30 || sum > 1<<50 {
			return none
		}
		sum = max(sum, 0) + n*unit
		digits = i + 1
	}
	if digits != len(text) {
		return none
	}
	return sum
}

// clean makes a text from outside harmless on a terminal: what is not printable ASCII becomes a question mark.
func clean(text string) string {
	ugly := func(r rune) bool { return r < ' ' || r > '~' }
	if !strings.ContainsFunc(text, ugly) {
		return text
	}
	return strings.Map(func(r rune) rune {
		if ugly(r) {
			return '?'
		}
		return r
	}, text)
}
