package statefile

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"net/netip"
	"strconv"
	"strings"
)

// header is the line of names.
const header = "# be_id be_name srv_id srv_name srv_addr srv_op_state srv_admin_state srv_uweight srv_iweight " +
	"srv_time_since_last_change srv_check_status srv_check_result srv_check_health srv_check_state srv_agent_state " +
	"bk_f_forced_id srv_f_forced_id srv_fqdn srv_port srvrecord srv_use_ssl srv_check_port srv_check_addr srv_agent_addr srv_agent_port"

// Server is one line.
type Server struct {
	BackendID       int
	Backend         string
	ID              int
	Name            string
	Addr            netip.Addr // invalid: none
	Operation       int        // 0 … 3
	Admin           int
	Weight          int // 0 … 256
	InitialWeight   int
	SinceChange     int // s
	CheckStatus     int
	CheckResult     int // 0 … 4
	CheckHealth     int
	CheckState      int
	AgentState      int
	BackendIDForced bool
	IDForced        bool
	FQDN            string // empty: none
	Port            int
	CheckPort       int
	CheckAddr       netip.Addr // invalid: that of the server
	AgentAddr       netip.Addr // invalid: that of the server
	AgentPort       int

	Problem string // what is wrong with the line; empty: nothing
}

// Write writes servers in their order, with version and header.
func Write(w io.Writer, servers []Server) error {
	b := bufio.NewWriter(w)
	fmt.Fprintf(b, "1\n%s\n", header)
	for i := range servers {
		s := &servers[i]
		fmt.Fprintf(b, "%d %s %d %s %s %d %d %d %d %d %d %d %d %d %d %d %d %s %d - 0 %d %s %s %d\n",
			s.BackendID, s.Backend, s.ID, s.Name, addr(s.Addr), s.Operation, s.Admin, s.Weight, s.InitialWeight,
			s.SinceChange, s.CheckStatus, s.CheckResult, s.CheckHealth, s.CheckState, s.AgentState,
			number(s.BackendIDForced), number(s.IDForced), dash(s.FQDN), s.Port, s.CheckPort, addr(s.CheckAddr),
			addr(s.AgentAddr), s.AgentPort)
	}
	return b.Flush()
}

func addr(a netip.Addr) string {
	if !a.IsValid() {
		return "-"
	}
	return a.String()
}

func dash(s string) string {
	if s == "" {
		return "-"
	}
	return s
}

func number(b bool) int {
	if b {
		return 1
	}
	return 0
}

// ErrVersion says that a file does not begin with a version that is known.
var ErrVersion = errors.New("no version 1")

// CorruptError says that a line has not the form of one; nothing of the file is to be used.
type CorruptError struct{ Line int }

func (e *CorruptError) Error() string { return fmt.Sprintf("line %d is corrupted", e.Line) }

// forcedBoth is forced maintenance and forced drain, which exclude each other.
const forcedBoth = 1 | 8

// A line has so many fields: the last five came with later versions of HAProxy.
const (
	fewest      = 20
	most        = 25
	longestLine = 2000
)

// Read reads a file. A line whose fields are bad is returned with its Problem; of a server named twice the first
// counts.
func Read(r io.Reader) ([]Server, error) {
	in := bufio.NewScanner(r)
	in.Buffer(make([]byte, 0, longestLine), longestLine)
	if !in.Scan() || strings.TrimSpace(in.Text()) != "1" {
		if err := in.Err(); err != nil && !errors.Is(err, bufio.ErrTooLong) {
			return nil, err
		}
		return nil, ErrVersion
	}
	var list []Server
	named := map[[2]string]bool{}
	at := 1
	for in.Scan() {
		at++
		fields := strings.Fields(in.Text())
		if len(fields) == 0 || strings.HasPrefix(fields[0], "#") {
			continue
		}
		if len(fields) < fewest || len(fields) > most {
			return nil, &CorruptError{Line: at}
		}
		s := parse(fields)
		if key := [2]string{s.Backend, s.Name}; !named[key] {
			named[key] = true
			list = append(list, s)
		}
	}
	if err := in.Err(); errors.Is(err, bufio.ErrTooLong) {
		return nil, &CorruptError{Line: at + 1}
	} else if err != nil {
		return nil, err
	}
	return list, nil
}

// parse reads the fields of a line, at least the fewest.
func parse(fields []string) Server {
	s := Server{Backend: fields[1], Name: fields[3], FQDN: undash(fields[17])}
	s.Addr, _ = netip.ParseAddr(fields[4]) // what is no address is none
	integer := func(at int, name string, low, high int) int {
		n, err := strconv.Atoi(fields[at])
		if err != nil || n < low || n > high {
			s.Problem += fmt.Sprintf(", invalid %s value '%s'", name, fields[at])
			return 0
		}
		return n
	}
	const large = 1<<31 - 1
	s.BackendID, _ = strconv.Atoi(fields[0]) // the names tell who is meant
	s.ID, _ = strconv.Atoi(fields[2])
	s.Operation = integer(5, "srv_op_state", 0, 3)
	if s.Admin = integer(6, "srv_admin_state", 0, 0x7f); s.Admin&forcedBoth == forcedBoth {
		s.Problem += fmt.Sprintf(", invalid srv_admin_state value '%s'", fields[6])
	}
	s.Weight = integer(7, "srv_uweight", 0, 256)
	s.InitialWeight = integer(8, "srv_iweight", 0, 256)
	s.SinceChange = integer(9, "srv_last_time_change", 0, large)
	s.CheckStatus = integer(10, "srv_check_status", 0, 23)
	s.CheckResult = integer(11, "srv_check_result", 0, 4)
	s.CheckHealth = integer(12, "srv_check_health", 0, large)
	s.CheckState = integer(13, "srv_check_state", 0, 0x1f)
	s.AgentState = integer(14, "srv_agent_state", 0, 0x1f)
	s.BackendIDForced = integer(15, "bk_f_forced_id", 0, 1) == 1
	s.IDForced = integer(16, "srv_f_forced_id", 0, 1) == 1
	s.Port = integer(18, "srv_port", 0, 65535)
	if len(fields) > 22 {
		s.CheckPort = integer(21, "srv_check_port", 0, 65535)
		s.CheckAddr, _ = netip.ParseAddr(fields[22])
	}
	if len(fields) == most {
		s.AgentAddr, _ = netip.ParseAddr(fields[23])
		s.AgentPort = integer(24, "srv_agent_port", 0, 65535)
	}
	return s
}

func undash(s string) string {
	if s == "-" {
		return ""
	}
	return s
}
