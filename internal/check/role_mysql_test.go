package check

import (
	"bytes"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha1"
	"crypto/sha256"
	"crypto/x509"
	"encoding/binary"
	"encoding/pem"
	"io"
	"strings"
	"testing"

	"github.com/penstock/penstock/internal/testutil"
)

const testSalt = "0123456789abcdefghij"

// testGreeting is the body of a greeting.
func testGreeting(version, plugin string) []byte {
	body := append([]byte("\x0a"+version+"\x00\x01\x00\x00\x00"), testSalt[:8]...)
	body = append(body, 0, 0xff, 0xff, 0x21, 2, 0, 0xff, 0xff, saltLength+1)
	body = append(append(body, make([]byte, 10)...), testSalt[8:]...)
	return append(append(body, 0), plugin+"\x00"...)
}

// testRows is an answer to a query.
func testRows(columns []string, rows ...[]string) (out []byte) {
	number := byte(0)
	add := func(body []byte) { number++; out = append(out, mysqlPacket(number, body)...) }
	text := func(body []byte, s string) []byte {
		if s == mysqlNull {
			return append(body, 0xfb)
		}
		if len(s) > 250 {
			body = append(binary.LittleEndian.AppendUint16(append(body, 0xfc), uint16(len(s))), s...)
			return body
		}
		return append(append(body, byte(len(s))), s...)
	}
	end := []byte{mysqlSwitch, 0, 0, 2, 0}
	add([]byte{byte(len(columns))})
	for _, c := range columns {
		body := []byte("\x03def\x00\x00\x00")
		add(append(text(body, c), make([]byte, 14)...))
	}
	add(end)
	for _, r := range rows {
		var body []byte
		for _, v := range r {
			body = text(body, v)
		}
		add(body)
	}
	add(end)
	return out
}

// fakeMySQL answers the queries of a check.
type fakeMySQL struct {
	version string
	plugin  string // of the user
	greets  string // of the server
	key     *rsa.PrivateKey
	secret  string
	answers map[string][]byte // by the begin of the query
	quit    chan bool         // told whether the end was COM_QUIT; may be nil
}

func readMySQL(c *testutil.Conn) (number byte, body []byte, ok bool) {
	head := make([]byte, 4)
	if _, err := io.ReadFull(c.Conn, head); err != nil {
		return 0, nil, false
	}
	body = make([]byte, int(head[0])|int(head[1])<<8)
	_, err := io.ReadFull(c.Conn, body)
	return head[3], body, err == nil
}

func (f *fakeMySQL) serve(c *testutil.Conn) {
	send := func(number byte, body string) { say(c, string(mysqlPacket(number, []byte(body)))) }
	say(c, string(mysqlPacket(0, testGreeting(f.version, f.greets))))
	_, login, ok := readMySQL(c)
	if !ok {
		return
	}
	user, rest, _ := bytes.Cut(login[32:], []byte{0})
	answer, plugin := rest[1:1+rest[0]], string(bytes.TrimSuffix(rest[1+rest[0]:], []byte{0}))
	number := byte(2)
	if plugin != f.plugin {
		send(2, "\xfe"+f.plugin+"\x00"+testSalt+"\x00")
		if _, answer, ok = readMySQL(c); !ok {
			return
		}
		number = 4
	}
	if !f.accepts(c, &number, string(user), answer) {
		send(number, "\xff\x15\x04#28000Access denied for user 'u' (using password: YES)")
		return
	}
	send(number, "\x00\x00\x00\x02\x00\x00\x00")
	for {
		_, query, ok := readMySQL(c)
		if !ok || len(query) == 1 {
			if f.quit != nil {
				f.quit <- ok
			}
			return
		}
		reply := mysqlPacket(1, []byte("\xff\x28\x04#42000You have an error in your SQL syntax"))
		for begin, rows := range f.answers {
			if strings.HasPrefix(string(query[1:]), begin) {
				reply = rows
			}
		}
		say(c, string(reply))
	}
}

func (f *fakeMySQL) accepts(c *testutil.Conn, number *byte, user string, answer []byte) bool {
	if user != "u" {
		return false
	}
	if f.plugin == mysqlNative {
		once := sha1.Sum([]byte(f.secret))
		stored := sha1.Sum(once[:])
		mask := sha1.Sum(append([]byte(testSalt), stored[:]...))
		return sha1.Sum(xor(answer, mask[:])) == stored && len(answer) == sha1.Size
	}
	once := sha256.Sum256([]byte(f.secret))
	stored := sha256.Sum256(once[:])
	mask := sha256.Sum256(append(stored[:], testSalt...))
	if len(answer) != sha256.Size || sha256.Sum256(xor(answer, mask[:])) != stored {
		return false
	}
	send := func(body []byte) { say(c, string(mysqlPacket(*number, body))); *number += 2 }
	if f.key == nil {
		say(c, string(mysqlPacket(*number, []byte{mysqlMore, 3})))
		*number++
		return true
	}
	send([]byte{mysqlMore, 4})
	if _, ask, ok := readMySQL(c); !ok || string(ask) != "\x02" {
		return false
	}
	der, _ := x509.MarshalPKIXPublicKey(&f.key.PublicKey)
	send(append([]byte{mysqlMore}, pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: der})...))
	_, sealed, ok := readMySQL(c)
	if !ok {
		return false
	}
	plain, err := rsa.DecryptOAEP(sha1.New(), nil, f.key, sealed, nil)
	return err == nil && string(xor(plain, []byte(testSalt))) == f.secret+"\x00"
}

func variables(pairs ...string) []byte { return twoColumns(pairs...) }

func twoColumns(pairs ...string) []byte {
	var rows [][]string
	for i := 0; i < len(pairs); i += 2 {
		rows = append(rows, pairs[i:i+2])
	}
	return testRows([]string{"Variable_name", "Value"}, rows...)
}

// What a check of the role makes of the rows of a server.
func TestMySQLRole(t *testing.T) {
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	const asks = "SHOW GLOBAL VARIABLES"
	writable, readOnly := variables("read_only", "OFF"), variables("read_only", "ON")
	mariadb := []string{"Connection_name", "Slave_IO_Running", "Slave_SQL_Running", "Seconds_Behind_Master", "Last_Error"}
	mysql := []string{"Replica_IO_Running", "Replica_SQL_Running", "Seconds_Behind_Source", "Channel_Name"}
	const lag = "role replica max-lag 10s"
	replica := func(begin string, rows []byte) map[string][]byte {
		return map[string][]byte{asks: readOnly, begin: rows}
	}
	group := func(read string, members ...[]string) map[string][]byte {
		return map[string][]byte{
			asks:               variables("group_replication_group_name", "g", "read_only", read, "super_read_only", read),
			"SELECT MEMBER_ID": testRows([]string{"me", "MEMBER_STATE", "MEMBER_ROLE"}, members...),
		}
	}
	galera := func(pairs ...string) map[string][]byte {
		return map[string][]byte{"SHOW GLOBAL STATUS": twoColumns(pairs...)}
	}
	for _, c := range []struct {
		name, words string
		fake        fakeMySQL
		want        string
	}{
		{"a primary", "role primary", fakeMySQL{answers: map[string][]byte{asks: writable}}, "L7OK/0 role is primary (read_only is OFF)"},
		{"a master", "role master", fakeMySQL{answers: map[string][]byte{asks: writable}}, "L7OK/0 role is primary (read_only is OFF)"},
		{"a replica", "role replica", fakeMySQL{answers: map[string][]byte{asks: readOnly}}, "L7OK/0 role is replica (read_only is ON)"},
		{"not a primary", "role primary", fakeMySQL{answers: map[string][]byte{asks: readOnly}}, "L7STS/0 role is replica, wanted primary (read_only is ON)"},
		{"not a replica", "role replica", fakeMySQL{answers: map[string][]byte{asks: writable}}, "L7STS/0 role is primary, wanted replica (read_only is OFF)"},
		{
			"super_read_only", "role primary",
			fakeMySQL{answers: map[string][]byte{asks: variables("read_only", "ON", "super_read_only", "ON")}},
			"L7STS/0 role is replica, wanted primary (super_read_only is ON)",
		},
		{
			"a kind of read-only", "role primary",
			fakeMySQL{answers: map[string][]byte{asks: variables("read_only", "NO_LOCK")}},
			"L7STS/0 role is replica, wanted primary (read_only is NO_LOCK)",
		},
		{"no variables", "role primary", fakeMySQL{answers: map[string][]byte{asks: variables()}}, "L7STS/0 the server does not tell read_only"},
		{"no query", "role primary", fakeMySQL{}, "L7STS/1064 You have an error in your SQL syntax"},

		{"MariaDB, no lag", lag, fakeMySQL{answers: replica("SHOW ALL", testRows(mariadb, []string{"", "Yes", "Yes", "0", strings.Repeat("x", 600)}))}, "L7OK/0 role is replica, lag 0s"},
		{"MariaDB, the worst of two", lag, fakeMySQL{answers: replica("SHOW ALL", testRows(mariadb, []string{"a", "Yes", "Yes", "0", ""}, []string{"b", "Yes", "Yes", "11", ""}))}, "L7STS/0 lag is 11s, wanted at most 10s"},
		{"MariaDB, no IO thread", lag, fakeMySQL{answers: replica("SHOW ALL", testRows(mariadb, []string{"", "Connecting", "Yes", mysqlNull, ""}))}, "L7STS/0 the replication does not receive (IO thread: Connecting)"},
		{"MariaDB, no SQL thread", lag, fakeMySQL{answers: replica("SHOW ALL", testRows(mariadb, []string{"", "Yes", "No", mysqlNull, ""}))}, "L7STS/0 the replication does not apply (SQL thread: No)"},
		{"MariaDB, unknown lag", lag, fakeMySQL{answers: replica("SHOW ALL", testRows(mariadb, []string{"", "Yes", "Yes", mysqlNull, ""}))}, "L7STS/0 the lag is not known"},
		{"MariaDB, no replica", lag, fakeMySQL{answers: replica("SHOW ALL", testRows(mariadb))}, "L7STS/0 the server does not replicate"},
		{"MySQL", lag, fakeMySQL{version: "8.4.2", answers: replica("SHOW REPLICA", testRows(mysql, []string{"Yes", "Yes", "3", ""}))}, "L7OK/0 role is replica, lag 3s"},
		{"MySQL 5.7", lag, fakeMySQL{version: "5.7.44", answers: replica("SHOW SLAVE", testRows(mariadb, []string{"", "Yes", "Yes", "1", ""}))}, "L7OK/0 role is replica, lag 1s"},

		{"first of its group", "role primary", fakeMySQL{version: "8.4", answers: group("OFF", []string{"0", "ONLINE", "SECONDARY"}, []string{"1", "ONLINE", "PRIMARY"})}, "L7OK/0 role is primary (read_only is OFF)"},
		{"second of its group", "role primary", fakeMySQL{version: "8.4", answers: group("ON", []string{"1", "ONLINE", "SECONDARY"}, []string{"0", "ONLINE", "PRIMARY"})}, "L7STS/0 role is secondary of its group, wanted primary"},
		{"second of its group is a replica", lag, fakeMySQL{version: "8.4", answers: map[string][]byte{
			asks: group("ON")[asks], "SELECT": testRows([]string{"a", "b", "c"}, []string{"1", "ONLINE", "SECONDARY"}), "SHOW REPLICA": testRows(mysql, []string{"No", "Yes", "0", "group_replication_applier"}),
		}}, "L7OK/0 role is replica, lag 0s"},
		{"recovering", "role replica", fakeMySQL{version: "8.4", answers: group("ON", []string{"1", "RECOVERING", "SECONDARY"}, []string{"0", "ONLINE", "PRIMARY"})}, "L7STS/0 the server is RECOVERING in its group"},
		{"alone", "role primary", fakeMySQL{version: "8.4", answers: group("OFF", []string{"1", "ONLINE", "PRIMARY"}, []string{"0", "UNREACHABLE", "SECONDARY"})}, "L7STS/0 the server has lost the majority of its group"},
		{"left", "role primary", fakeMySQL{version: "8.4", answers: group("OFF", []string{"1", "OFFLINE", ""})}, "L7STS/0 the server is not in its group"},

		{"a synced node", "role galera-synced", fakeMySQL{answers: galera("wsrep_local_state", "4", "wsrep_cluster_status", "Primary", "wsrep_ready", "ON")}, "L7OK/0 role is galera-synced"},
		{"a donor", "role galera-synced", fakeMySQL{answers: galera("wsrep_local_state", "2", "wsrep_local_state_comment", "Donor/Desynced", "wsrep_cluster_status", "Primary", "wsrep_ready", "ON")}, "L7STS/0 wsrep_local_state is 2 (Donor/Desynced), wanted 4 (Synced)"},
		{"cut off", "role galera-synced", fakeMySQL{answers: galera("wsrep_local_state", "0", "wsrep_local_state_comment", "Initialized", "wsrep_cluster_status", "non-Primary", "wsrep_ready", "OFF")}, "L7STS/0 the node is in a component that is non-Primary, wanted Primary"},
		{"not ready", "role galera-synced", fakeMySQL{answers: galera("wsrep_local_state", "4", "wsrep_cluster_status", "Primary", "wsrep_ready", "OFF")}, "L7STS/0 wsrep_ready is OFF"},
		{"no cluster", "role galera-synced", fakeMySQL{answers: galera()}, "L7STS/0 the server is not in a Galera cluster"},

		{"caching_sha2_password, cached", "role primary", fakeMySQL{plugin: mysqlSHA2, greets: mysqlSHA2, answers: map[string][]byte{asks: writable}}, "L7OK/0 role is primary (read_only is OFF)"},
		{"caching_sha2_password, not cached", "role primary", fakeMySQL{plugin: mysqlSHA2, greets: mysqlSHA2, key: key, answers: map[string][]byte{asks: writable}}, "L7OK/0 role is primary (read_only is OFF)"},
		{"caching_sha2_password by switch", "role primary", fakeMySQL{plugin: mysqlSHA2, key: key, answers: map[string][]byte{asks: writable}}, "L7OK/0 role is primary (read_only is OFF)"},
		{"native by switch", "role primary", fakeMySQL{greets: mysqlSHA2, answers: map[string][]byte{asks: writable}}, "L7OK/0 role is primary (read_only is OFF)"},
		{"another way", "role primary", fakeMySQL{plugin: "client_ed25519"}, "L7STS/0 the user's authentication 'client_ed25519' is not one that checks know"},
		{"clear text", "role primary", fakeMySQL{plugin: mysqlClear}, "L7STS/0 the server wants the password in clear text, and does not get it"},
		{"a wrong password", "role primary", fakeMySQL{secret: "another"}, "L7STS/1045 Access denied for user 'u' (using password: YES)"},
	} {
		t.Run(c.name, func(t *testing.T) {
			f := c.fake
			for _, d := range []struct {
				at *string
				to string
			}{{&f.version, "10.11.6-MariaDB"}, {&f.plugin, mysqlNative}, {&f.greets, mysqlNative}, {&f.secret, testSecret}} {
				if *d.at == "" {
					*d.at = d.to
				}
			}
			f.quit = make(chan bool, 1)
			checkRole(t, "option mysql-check "+c.words+" user u"+withSecret(t, testSecret), f.serve, c.want)
			if f.secret == testSecret && (f.plugin == mysqlNative || f.plugin == mysqlSHA2) && !<-f.quit {
				t.Error("the session ended without COM_QUIT")
			}
		})
	}
}

// What a check of the role makes of servers that are no MySQL, or break off.
func TestMySQLRoleStrange(t *testing.T) {
	greeting := string(mysqlPacket(0, testGreeting("10.11.6-MariaDB", mysqlNative)))
	const ok = "\x07\x00\x00\x02\x00\x00\x00\x02\x00\x00\x00"
	for _, c := range []struct {
		name   string
		server func(*testutil.Conn)
		want   string
	}{
		{"too many connections", strict.replies("", string(mysqlPacket(0, []byte("\xff\x10\x04Too many connections")))), "L7STS/1040 Too many connections"},
		{"an expired password", strict.holds("", greeting+string(mysqlPacket(2, []byte("\xff\x46\x07#HY000Your password has expired.")))), "L7STS/1862 Your password has expired."},
		{"TLS only", strict.holds("", greeting+string(mysqlPacket(2, []byte("\xff\x57\x0c#08004Connections using insecure transport are prohibited")))), "L7STS/3159 Connections using insecure transport are prohibited"},
		{"TLS", strict.holds("", "\x15\x03\x03\x00\x02\x02\x46"), "L7RSP not a greeting of MySQL: the server speaks TLS"},
		{"HTTP", strict.holds("", "HTTP/1.1 400 Bad Request\r\n\r\n"), "L7RSP not a greeting of MySQL: the server speaks HTTP"},
		{"half a greeting", strict.replies("", greeting[:20]), "L7RSP the answer is cut short or too long"},
		{"a short greeting", strict.replies("", string(mysqlPacket(0, []byte("\x0a10\x00abc")))), "L7RSP not a greeting of MySQL"},
		{"nothing", strict.replies(), "L7RSP the server ended the connection"},
		{"nothing after the login", func(c *testutil.Conn) { c.Send(greeting); readMySQL(c); c.CloseWrite(); io.Copy(io.Discard, c) }, "L7RSP the server ended the connection"},
		{"no end", endless("x"), "L7RSP not a greeting of MySQL"},
		{"a long packet", func(c *testutil.Conn) { c.Send(greeting + ok + "\xff\xff\xff\x01"); endless("x")(c) }, "L7RSP the answer is cut short or too long"},
		{"rows without end", func(c *testutil.Conn) {
			c.Send(greeting + ok + "\x01\x00\x00\x01\x01\x0b\x00\x00\x01\x03def\x00\x00\x00\x00xxx\x05\x00\x00\x01\xfe\x00\x00\x02\x00")
			endless("\x02\x00\x00\x01\x01y")(c)
		}, "L7RSP not a row of MySQL"},
	} {
		t.Run(c.name, func(t *testing.T) {
			checkRole(t, "option mysql-check role primary user u"+withSecret(t, testSecret), c.server, c.want)
		})
	}
}
