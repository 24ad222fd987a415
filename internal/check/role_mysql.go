package check

import (
	"encoding/binary"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/penstock/penstock/internal/config"
)

// The role of a MySQL or MariaDB.
//
//	greeting ─> login ─> role primary, replica      SHOW GLOBAL VARIABLES   read_only, …
//	                │      ├─ in a group            members of the group    ONLINE? PRIMARY? the majority?
//	                │      └─ replica, max-lag      status of the replica   both threads? how far behind?
//	                └──> role galera-synced         SHOW GLOBAL STATUS      wsrep_…
//	                                                     └──> COM_QUIT
//
// A server that is read-only is a replica, any other is a primary. So each of them is exactly one of the two, and a
// failover needs no more than what its tools do anyway. The end is always COM_QUIT, so that the server neither counts nor
// notes an aborted connection.

// mysqlRole is one conversation.
type mysqlRole struct {
	*roleCheck
	state    mysqlState
	greeting mysqlGreeting
	plugin   string
	wantsKey bool

	query     mysqlQuery
	variables map[string]string
	form      int // of the question for the status of a replica

	columns []string
	toCome  int // definitions of columns
	rows    []map[string]string
}

type mysqlState uint8

const (
	mysqlGreeted mysqlState = iota
	mysqlLoggingIn
	mysqlCount   // of columns
	mysqlColumns // their names
	mysqlRows
)

type mysqlQuery uint8

const (
	mysqlAskVariables mysqlQuery = iota
	mysqlAskMembers
	mysqlAskReplica
	mysqlAskGalera
)

// mysqlNull stands for NULL.
const mysqlNull = "NULL"

// What the check keeps of an answer at most; an honest one is far below.
const (
	mysqlMostColumns = 256
	mysqlMostRows    = 256
	mysqlMostText    = 256 // bytes of one value
)

var mysqlQuit = []byte{1, 0, 0, 0, 1}

// mysqlReplicaQueries ask for the status of a replica, in the order in which they are tried.
var mysqlReplicaQueries = []string{"SHOW ALL SLAVES STATUS", "SHOW REPLICA STATUS", "SHOW SLAVE STATUS"}

// judge reads one packet.
func (c *mysqlRole) judge(in []byte, last bool) verdict {
	const header = 4
	if len(in) < header {
		return verdict{}
	}
	n := int(in[0]) | int(in[1])<<8 | int(in[2])<<16
	switch {
	case c.state == mysqlGreeted && (in[3] != 0 || n == 0 || n > 1024): // garbage need not be waited for
		return alien("a greeting of MySQL", in)
	case n == 0:
		return c.leave(alien("a packet of MySQL", in))
	case len(in) < header+n:
		return verdict{}
	}
	v := c.packet(in[3], in[header:header+n])
	v.drop = header + n
	return v
}

// packet judges one packet, which is not empty.
func (c *mysqlRole) packet(number byte, packet []byte) verdict {
	if packet[0] == mysqlErr && c.state != mysqlColumns {
		return c.refused(packet)
	}
	switch c.state {
	case mysqlGreeted:
		return c.greet(number, packet)
	case mysqlLoggingIn:
		return c.logIn(number, packet)
	case mysqlCount:
		n, _, ok := lengthEncoded(packet)
		if !ok || n == 0 || n > mysqlMostColumns {
			return c.leave(alien("an answer of MySQL to a query", nil))
		}
		c.toCome, c.columns, c.rows = n, c.columns[:0], nil
		c.state = mysqlColumns
	case mysqlColumns:
		if c.toCome == 0 { // the end of the definitions
			c.state = mysqlRows
			break
		}
		name, ok := mysqlColumnName(packet)
		if !ok {
			return c.leave(alien("a column of MySQL", nil))
		}
		c.columns = append(c.columns, name)
		c.toCome--
	case mysqlRows:
		if packet[0] == mysqlSwitch && len(packet) < 9 { // the end of the rows
			return c.answered()
		}
		row, ok := c.row(packet)
		if !ok || len(c.rows) >= mysqlMostRows {
			return c.leave(alien("a row of MySQL", nil))
		}
		c.rows = append(c.rows, row)
	}
	return verdict{}
}

// refused judges an error.
func (c *mysqlRole) refused(packet []byte) verdict {
	v := mysqlRefused(packet)
	const syntax = 1064
	if c.state == mysqlCount && c.query == mysqlAskReplica && v.code == syntax && c.form+1 < len(mysqlReplicaQueries) {
		c.form++
		return c.send(mysqlAskReplica, mysqlReplicaQueries[c.form])
	}
	if c.state < mysqlCount {
		return v // it has ended the connection
	}
	return c.leave(v)
}

// leave ends the conversation with a verdict.
func (c *mysqlRole) leave(v verdict) verdict {
	if c.state >= mysqlCount {
		v.answer = mysqlQuit
	}
	return v
}

// send asks a question.
func (c *mysqlRole) send(q mysqlQuery, text string) verdict {
	const comQuery = 3
	c.query, c.state = q, mysqlCount
	return verdict{answer: mysqlPacket(0, append([]byte{comQuery}, text...))}
}

// ask asks the first question.
func (c *mysqlRole) ask() verdict {
	if c.Role == config.RoleGaleraSynced {
		return c.send(mysqlAskGalera,
			"SHOW GLOBAL STATUS WHERE Variable_name IN ('wsrep_local_state','wsrep_local_state_comment','wsrep_cluster_status','wsrep_ready')")
	}
	return c.send(mysqlAskVariables,
		"SHOW GLOBAL VARIABLES WHERE Variable_name IN ('read_only','super_read_only','innodb_read_only','group_replication_group_name')")
}

// answered judges the rows that came.
func (c *mysqlRole) answered() verdict {
	c.state = mysqlCount // no answer is under way
	switch c.query {
	case mysqlAskVariables:
		c.variables = c.pairs()
		if c.variables["read_only"] == "" {
			return c.leave(refusedBy(0, "the server does not tell read_only"))
		}
		if c.grouped() {
			return c.send(mysqlAskMembers, "SELECT MEMBER_ID = @@server_uuid, MEMBER_STATE, MEMBER_ROLE FROM performance_schema.replication_group_members")
		}
		return c.decide()
	case mysqlAskMembers:
		if v := c.member(); v.outcome != more {
			return c.leave(v)
		}
		return c.decide()
	case mysqlAskReplica:
		return c.leave(c.lag())
	}
	return c.leave(c.galera())
}

// pairs is an answer of rows with a name and a value.
func (c *mysqlRole) pairs() map[string]string {
	out := map[string]string{}
	if len(c.columns) != 2 {
		return out
	}
	for _, row := range c.rows {
		out[strings.ToLower(row[c.columns[0]])] = row[c.columns[1]]
	}
	return out
}

// grouped tells whether the server is meant to be in a group.
func (c *mysqlRole) grouped() bool {
	return c.variables["group_replication_group_name"] != "" && c.variables["group_replication_group_name"] != mysqlNull
}

// readOnly is the first variable that forbids writing.
func (c *mysqlRole) readOnly() string {
	for _, name := range []string{"super_read_only", "read_only", "innodb_read_only"} {
		switch strings.ToUpper(c.variables[name]) {
		case "", "OFF", "0":
		default:
			return name
		}
	}
	return ""
}

// decide judges by what may be written.
func (c *mysqlRole) decide() verdict {
	role, why := config.RolePrimary, "read_only is OFF"
	if name := c.readOnly(); name != "" {
		role, why = config.RoleReplica, name+" is "+c.variables[name]
	}
	v := c.roleVerdict(role)
	v.info += " (" + why + ")"
	if v.outcome == passed && c.MaxLag > 0 {
		if !strings.Contains(c.greeting.version, "MariaDB") {
			c.form = 1
		}
		return c.send(mysqlAskReplica, mysqlReplicaQueries[c.form])
	}
	return c.leave(v)
}

// member judges the server by its group; an outcome of more leaves it to the variables.
func (c *mysqlRole) member() verdict {
	if len(c.columns) != 3 {
		return refusedBy(0, "the members of the group are not told")
	}
	var state, role string
	unreachable := 0
	for _, row := range c.rows {
		if row[c.columns[0]] == "1" {
			state, role = row[c.columns[1]], row[c.columns[2]]
		}
		if row[c.columns[1]] == "UNREACHABLE" {
			unreachable++
		}
	}
	switch {
	case state == "" || state == "OFFLINE": // it has left the group, or never joined
		if c.isPrimary() {
			return wrongRole("the server is not in its group")
		}
		return refusedBy(0, "the server is not in its group")
	case state != "ONLINE":
		return wrongRole("the server is " + state + " in its group")
	case 2*unreachable >= len(c.rows):
		return wrongRole("the server has lost the majority of its group")
	case c.isPrimary() && role != "PRIMARY":
		return wrongRole("role is " + strings.ToLower(role) + " of its group, wanted primary")
	}
	return verdict{}
}

// lag judges how far a replica is behind; of several sources the worst counts.
func (c *mysqlRole) lag() verdict {
	sources, worst := 0, time.Duration(0)
	for _, row := range c.rows {
		either := func(a, b string) string {
			if v, ok := row[a]; ok {
				return v
			}
			return row[b]
		}
		if strings.HasPrefix(row["Channel_Name"], "group_replication_") {
			continue
		}
		sources++
		if v := either("Slave_IO_Running", "Replica_IO_Running"); v != "Yes" {
			return refusedBy(0, "the replication does not receive (IO thread: "+v+")")
		}
		if v := either("Slave_SQL_Running", "Replica_SQL_Running"); v != "Yes" {
			return refusedBy(0, "the replication does not apply (SQL thread: "+v+")")
		}
		n, err := strconv.ParseInt(either("Seconds_Behind_Master", "Seconds_Behind_Source"), 10, 32)
		if err != nil {
			return refusedBy(0, "the lag is not known")
		}
		worst = max(worst, time.Duration(n)*time.Second)
	}
	switch {
	case sources == 0 && !c.grouped():
		return refusedBy(0, "the server does not replicate")
	case worst > c.MaxLag:
		return refusedBy(0, fmt.Sprintf("lag is %v, wanted at most %v", worst, c.MaxLag))
	}
	return verdict{outcome: passed, info: fmt.Sprintf("role is replica, lag %v", worst)}
}

// galera judges a node of a cluster.
func (c *mysqlRole) galera() verdict {
	const synced = "4"
	s := c.pairs()
	switch {
	case s["wsrep_local_state"] == "" || s["wsrep_cluster_status"] == "Disconnected":
		return wrongRole("the server is not in a Galera cluster")
	case s["wsrep_cluster_status"] != "Primary":
		return wrongRole("the node is in a component that is " + s["wsrep_cluster_status"] + ", wanted Primary")
	case s["wsrep_local_state"] != synced: // may be over soon
		return refusedBy(0, fmt.Sprintf("wsrep_local_state is %s (%s), wanted 4 (Synced)", s["wsrep_local_state"], s["wsrep_local_state_comment"]))
	case s["wsrep_ready"] != "ON":
		return wrongRole("wsrep_ready is " + s["wsrep_ready"])
	}
	return verdict{outcome: passed, info: "role is galera-synced"}
}

// row reads one row: a value for each column.
func (c *mysqlRole) row(packet []byte) (map[string]string, bool) {
	const null = 0xfb
	row := make(map[string]string, len(c.columns))
	for _, name := range c.columns {
		if len(packet) > 0 && packet[0] == null {
			row[name], packet = mysqlNull, packet[1:]
			continue
		}
		text, rest, ok := lengthEncodedText(packet)
		if !ok {
			return nil, false
		}
		row[name], packet = string(text[:min(len(text), mysqlMostText)]), rest
	}
	return row, len(packet) == 0
}

// mysqlColumnName reads the definition of a column: catalogue, schema, two names of the table, name.
func mysqlColumnName(packet []byte) (string, bool) {
	var text []byte
	for range 5 {
		var ok bool
		if text, packet, ok = lengthEncodedText(packet); !ok {
			return "", false
		}
	}
	return string(text), true
}

// lengthEncoded reads a number of one, three, four or nine bytes.
func lengthEncoded(in []byte) (n int, rest []byte, ok bool) {
	if len(in) == 0 {
		return 0, nil, false
	}
	width := 0
	switch in[0] {
	case 0xfc:
		width = 2
	case 0xfd:
		width = 3
	case 0xfb, 0xfe, 0xff: // nothing that long is expected
		return 0, nil, false
	default:
		return int(in[0]), in[1:], true
	}
	if len(in) < 1+width {
		return 0, nil, false
	}
	var b [4]byte
	copy(b[:], in[1:1+width])
	return int(binary.LittleEndian.Uint32(b[:])), in[1+width:], true
}

// lengthEncodedText reads a text with its length before it.
func lengthEncodedText(in []byte) (text, rest []byte, ok bool) {
	n, rest, ok := lengthEncoded(in)
	if !ok || n > len(rest) {
		return nil, nil, false
	}
	return rest[:n], rest[n:], true
}
