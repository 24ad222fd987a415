package check

import (
	"bytes"
	"crypto/sha256"
	"encoding/base64"
	"encoding/binary"
	"fmt"
	"io"
	"os"
	"strings"
	"testing"

	"github.com/penstock/penstock/internal/testutil"
)

// A hundred checks of each sort, good and bad, do not make MariaDB block the host that they come from.
func TestMariaDBDoesNotBlockRoleChecks(t *testing.T) {
	const host = "127.0.0.10"
	db := testutil.StartMariaDB(t, "--max-connect-errors=3", "--skip-name-resolve=0", "--bind-address=0.0.0.0")
	c := mustExec(t, db, "CREATE USER checker@'%' IDENTIFIED BY '"+testSecret+"'")
	for _, s := range []struct{ name, option, secret, want string }{
		{"the role", "role primary user checker", testSecret, "L7OK/0 role is primary (read_only is OFF)"},
		{"another role", "role replica user checker", testSecret, "L7STS/0 role is primary, wanted replica (read_only is OFF)"},
		{"no cluster", "role galera-synced user checker", testSecret, "L7STS/0 the server is not in a Galera cluster"},
		{"a wrong password", "role primary user checker", "wrong-password", "L7STS/1045 Access denied for user 'checker'@'127.0.0.10' (using password: YES)"},
		{"no such user", "role primary user nobody", testSecret, "L7STS/1045 Access denied for user 'nobody'@'127.0.0.10' (using password: YES)"},
	} {
		before := status(t, c, "Connections")
		r := mustRig(t, fmt.Sprintf("option mysql-check %s%s\n timeout check 20s\n server s %s check inter 5ms source %s", s.option, withSecret(t, s.secret), db.Addr, host))
		if got := r.outcome(t, 0); got != s.want {
			t.Errorf("%s: %s", s.name, got)
		}
		testutil.Eventually(t, "a hundred checks", func() bool { return status(t, c, "Connections") >= before+100 })
		testutil.Eventually(t, "no check is under way", func() bool { return !r.state(t, 0).Running })
		r.Stop()
		if got := r.outcome(t, 0); got != s.want {
			t.Errorf("%s: after a hundred checks: %s", s.name, got)
		}
	}
	good := mustRig(t, fmt.Sprintf("option mysql-check role primary user checker%s\n server s %s check inter 1h source %s", withSecret(t, testSecret), db.Addr, host))
	if got := good.outcome(t, 0); !strings.HasPrefix(got, "L7OK/0 ") {
		t.Errorf("a login afterwards: %s", got)
	}
	// Stop may cut a session of each rig, at any point.
	if n := status(t, c, "Aborted_clients"); n > 5 {
		t.Errorf("%d sessions ended without COM_QUIT", n)
	}
}

// MariaDB tells of what is wrong with a user.
func TestMariaDBUsers(t *testing.T) {
	db := testutil.StartMariaDB(t)
	mustExec(t, db, "CREATE USER expired@'%' IDENTIFIED BY '"+testSecret+"' PASSWORD EXPIRE", "CREATE USER secure@'%' IDENTIFIED BY '"+testSecret+"' REQUIRE SSL",
		"CREATE USER poor@'%' IDENTIFIED BY '"+testSecret+"'", "SET GLOBAL read_only=1", "SET GLOBAL disconnect_on_expired_password=1")
	for _, c := range []struct{ words, want string }{
		{"role primary user expired", "L7STS/1862 Your password has expired."},
		{"role primary user secure", "L7STS/1045 Access denied for user 'secure'@'"},
		{"role replica user poor max-lag 1s", "L7STS/1227 Access denied; you need (at least one of) the SUPER, SLAVE MONITOR privilege(s)"},
		{"role replica user poor", "L7OK/0 role is replica (read_only is ON)"},
	} {
		r := mustRig(t, fmt.Sprintf("option mysql-check %s%s\n timeout check 20s\n server s %s check inter 1h", c.words, withSecret(t, testSecret), db.Addr))
		if got := r.outcome(t, 0); !strings.HasPrefix(got, c.want) {
			t.Errorf("%s: %s", c.words, got)
		}
	}
}

func TestRedisRoleReal(t *testing.T) {
	addr := testutil.StartRedis(t)
	c := testutil.Dial(t, "tcp", addr)
	for _, line := range []string{"CONFIG SET requirepass " + testSecret, "AUTH " + testSecret, "ACL SETUSER checker on >" + testSecret + " +ping"} {
		c.Send(line + "\r\n")
		c.Expect("+OK\r\n")
	}
	for _, s := range []struct{ words, secret, want string }{
		{"role master", testSecret, "L7OK/0 role is master"},
		{"role replica", testSecret, "L7STS/0 role is master, wanted replica"},
		{"role master", "wrong", "L7STS/0 WRONGPASS invalid username-password pair or user is disabled."},
		{"role master user checker", testSecret, "L7STS/0 NOPERM "},
		{"role master", "", "L7STS/0 NOAUTH Authentication required."},
	} {
		words := s.words
		if s.secret != "" {
			words += withSecret(t, s.secret)
		}
		r := mustRig(t, "option redis-check "+words+"\n server s "+addr+" check inter 1h")
		if got := r.outcome(t, 0); !strings.HasPrefix(got, s.want) {
			t.Errorf("%s %s: %s", s.words, s.secret, got)
		}
	}
}

func TestPostgresRoleReal(t *testing.T) {
	addr, log := testutil.StartPostgres(t)
	for _, s := range []struct{ words, secret, want string }{
		{"role primary user admin", "secret", "L7OK/0 role is primary"},
		{"role replica user admin database template1", "secret", "L7STS/0 role is primary, wanted replica"},
		{"role primary user admin", "wrong", `L7STS/0 FATAL: password authentication failed for user "admin" (28P01)`},
		{"role primary user nobody", "secret", `L7STS/0 FATAL: password authentication failed for user "nobody" (28P01)`},
		{"role primary user admin database none", "secret", `L7STS/0 FATAL: database "none" does not exist (3D000)`},
	} {
		r := mustRig(t, "option pgsql-check "+s.words+withSecret(t, s.secret)+"\n timeout check 20s\n server s "+addr+" check inter 5ms")
		testutil.Eventually(t, "ten checks", func() bool { return r.state(t, 0).Checks > 10 })
		if got := r.outcome(t, 0); got != s.want {
			t.Errorf("%s %s: %s", s.words, s.secret, got)
		}
	}
	for line := range strings.Lines(log.String()) {
		if strings.Contains(line, "unexpected EOF") || strings.Contains(line, "could not") {
			t.Errorf("the server says: %s", line)
		}
	}
}

// What a check of the role makes of servers that ask for other things, break off, or are no PostgreSQL.
func TestPostgresRoleStrange(t *testing.T) {
	message := func(kind byte, body string) string { return string(postgresMessage(kind, []byte(body))) }
	const salt = "salt"
	const trusted = "\x00\x00\x00\x00"
	ready := message('R', trusted) + message('S', "a\x00b\x00") + message('K', "12345678") + message('Z', "I")
	row := func(recovery, readOnly string) string {
		body := []byte{0, 2}
		for _, v := range []string{recovery, readOnly} {
			body = append(binary.BigEndian.AppendUint32(body, uint32(len(v))), v...)
		}
		return message('T', "\x00\x00") + message('D', string(body)) + message('C', "SELECT 1\x00") + message('Z', "I")
	}
	read := func(c *testutil.Conn) string {
		head := make([]byte, 5)
		if _, err := io.ReadFull(c.Conn, head); err != nil {
			return ""
		}
		body := make([]byte, binary.BigEndian.Uint32(head[1:])-4)
		io.ReadFull(c.Conn, body)
		return string(body)
	}
	startup := func(c *testutil.Conn) {
		size := make([]byte, 4)
		io.ReadFull(c.Conn, size)
		io.CopyN(io.Discard, c.Conn, int64(binary.BigEndian.Uint32(size)-4))
	}
	scram := func(final func(c *testutil.Conn, first, last string)) func(*testutil.Conn) {
		return func(c *testutil.Conn) {
			startup(c)
			c.Send(message('R', "\x00\x00\x00\x0aSCRAM-SHA-256-PLUS\x00SCRAM-SHA-256\x00\x00"))
			_, nonce, _ := strings.Cut(read(c), ",,n=,r=")
			first := "r=" + nonce + "server,s=" + base64.StdEncoding.EncodeToString([]byte(salt)) + ",i=4096"
			c.Send(message('R', "\x00\x00\x00\x0b"+first))
			final(c, "n=,r="+nonce+","+first, read(c))
			io.Copy(io.Discard, c)
		}
	}
	for _, s := range []struct {
		name   string
		server func(*testutil.Conn)
		want   string
	}{
		{"no password wanted", strict.holds("", ready+row("f", "off")), "L7OK/0 role is primary"},
		{"a standby", strict.holds("", ready+row("t", "off")), "L7STS/0 role is replica, wanted primary"},
		{"read-only", strict.holds("", ready+row("f", "on")), "L7STS/0 role is primary, but transactions are read-only (default_transaction_read_only)"},
		{"MD5", func(c *testutil.Conn) {
			startup(c)
			c.Send(message('R', "\x00\x00\x00\x05abcd"))
			if got := read(c); got != "md5"+md5Hex(md5Hex(testSecret+"u")+"abcd")+"\x00" {
				c.Send(message('E', "SFATAL\x00C28P01\x00Mwrong\x00\x00"))
			} else {
				c.Send(ready + row("f", "off"))
			}
			io.Copy(io.Discard, c)
		}, "L7OK/0 role is primary"},
		{"clear text", strict.holds("", message('R', "\x00\x00\x00\x03")), "L7STS/0 the server wants the password in clear text, and does not get it"},
		{"GSS", strict.holds("", message('R', "\x00\x00\x00\x07")), "L7STS/0 the user's authentication is not one that checks know"},
		{"another mechanism", strict.holds("", message('R', "\x00\x00\x00\x0aOTHER\x00\x00")), "L7STS/0 the server does not offer SCRAM-SHA-256"},
		{"starting", strict.holds("", message('E', "SFATAL\x00VFATAL\x00C57P03\x00Mthe database system is starting up\x00\x00")), "L7STS/0 FATAL: the database system is starting up (57P03)"},
		{"no TLS", strict.holds("", message('E', "SFATAL\x00C28000\x00Mno pg_hba.conf entry for host, no encryption\x00\x00")), "L7STS/0 FATAL: no pg_hba.conf entry for host, no encryption (28000)"},
		{"an impostor", scram(func(c *testutil.Conn, first, last string) { c.Send(message('R', trusted) + message('Z', "I")) }), "L7STS/0 the server does not prove that it knows the password"},
		{"a wrong proof", scram(func(c *testutil.Conn, first, last string) { c.Send(message('R', "\x00\x00\x00\x0cv=AAAA")) }), "L7STS/0 the server does not prove that it knows the password"},
		{"a right proof", scram(func(c *testutil.Conn, first, last string) {
			without, _, _ := strings.Cut(last, ",p=")
			salted, _ := (&scramCache{}).salt(testSecret, []byte(salt), 4096)
			proof := mac(mac(salted, []byte("Server Key")), []byte(first+","+without))
			c.Send(message('R', "\x00\x00\x00\x0cv="+base64.StdEncoding.EncodeToString(proof)) + ready + row("f", "off"))
		}), "L7OK/0 role is primary"},
		{"many iterations", func(c *testutil.Conn) {
			startup(c)
			c.Send(message('R', "\x00\x00\x00\x0aSCRAM-SHA-256\x00\x00"))
			_, nonce, _ := strings.Cut(read(c), ",,n=,r=")
			c.Send(message('R', "\x00\x00\x00\x0br="+nonce+"x,s=AAAA,i=2000000000"))
			io.Copy(io.Discard, c)
		}, "L7STS/0 the server wants 2000000000 iterations of SCRAM, more than a check makes"},
		{"TLS", strict.holds("", "\x15\x03\x03\x00\x02\x02\x46"), "L7RSP not an answer of PostgreSQL: the server speaks TLS"},
		{"HTTP", strict.holds("", "HTTP/1.1 400 Bad Request\r\n\r\n"), "L7RSP not an answer of PostgreSQL: the server speaks HTTP"},
		{"half an answer", strict.replies("", message('R', trusted)+"S\x00\x00"), "L7RSP the answer is cut short or too long"},
		{"nothing", strict.replies(), "L7RSP the server ended the connection"},
		{"notices without end", endless(message('N', "S\x00")), "L7RSP the answer is too long"},
		{"a long message", func(c *testutil.Conn) { c.Send("S\x00\x01\x00\x00"); endless("x")(c) }, "L7RSP the answer is cut short or too long"},
		{"a gigabyte", func(c *testutil.Conn) { c.Send("S\x40\x00\x00\x00"); endless("x")(c) }, "L7RSP not an answer of PostgreSQL"},
	} {
		t.Run(s.name, func(t *testing.T) {
			checkRole(t, "option pgsql-check role primary user u"+withSecret(t, testSecret), s.server, s.want)
		})
	}
}

// The example of RFC 7677, but for its user name, which PostgreSQL leaves out.
func TestSCRAMSalt(t *testing.T) {
	salt, _ := base64.StdEncoding.DecodeString("W22ZaJ0SNY7soEsUEjb6gQ==")
	cache := &scramCache{}
	salted, err := cache.salt("pencil", salt, 4096)
	if err != nil {
		t.Fatal(err)
	}
	const message = "n=user,r=rOprNGfwEbeRWgbNEkqO,r=rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0,s=W22ZaJ0SNY7soEsUEjb6gQ==,i=4096," +
		"c=biws,r=rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0"
	key := mac(salted, []byte("Client Key"))
	stored := sha256.Sum256(key)
	if got := base64.StdEncoding.EncodeToString(xor(key, mac(stored[:], []byte(message)))); got != "dHzbZapWIk4jUhN+Ute9ytag9zjfMHgsqmmiz7AndVQ=" {
		t.Errorf("proof %s", got)
	}
	again, _ := cache.salt("pencil", salt, 4096)
	if !bytes.Equal(salted, again) || len(cache.salts) != 1 {
		t.Error("salted twice")
	}
}

// A node of Galera tells of its state: synced, lending itself out, and without a cluster.
func TestGalera(t *testing.T) {
	const library = "/usr/lib/galera/libgalera_smm.so"
	if _, err := os.Stat(library); err != nil {
		t.Skip(library + " is not installed (package galera-4)")
	}
	port := testutil.FreePorts(t, 2)
	db := testutil.StartMariaDB(t, "--wsrep-on=1", "--wsrep-provider="+library, "--binlog-format=ROW", "--innodb-autoinc-lock-mode=2",
		"--wsrep-cluster-name=test", "--wsrep-cluster-address=gcomm://", "--wsrep-node-address=127.0.0.1",
		fmt.Sprintf("--wsrep-provider-options=gmcast.listen_addr=tcp://127.0.0.1:%d;ist.recv_addr=127.0.0.1:%d;gcache.size=16M;pc.announce_timeout=PT0.5S;pc.wait_prim_timeout=PT1S", port, port+1))
	db.SQL(t, "CREATE USER checker@'%' IDENTIFIED BY '"+testSecret+"'")
	r := mustRig(t, fmt.Sprintf("option mysql-check role galera-synced user checker%s\n timeout check 20s\n server s %s check inter 50ms rise 1 fall 1000",
		withSecret(t, testSecret), db.Addr))
	is := func(want string, up bool) {
		t.Helper()
		testutil.Eventually(t, fmt.Sprintf("the check says %s, and up is %v", want, up), func() bool {
			return strings.HasPrefix(r.outcome(t, 0), want) && r.backend.State.Server(0).Up() == up
		})
	}
	is("L7OK/0 role is galera-synced", true)
	db.SQL(t, "SET GLOBAL wsrep_desync=1")
	is("L7STS/0 wsrep_local_state is 2 (Donor/Desynced), wanted 4 (Synced)", true)
	db.SQL(t, "SET GLOBAL wsrep_desync=0")
	is("L7OK/0 role is galera-synced", true)
	db.SQL(t, fmt.Sprintf("SET GLOBAL wsrep_cluster_address='gcomm://127.0.0.1:%d'", testutil.HoldPort(t)))
	is("L7STS/0 the ", false)
}
