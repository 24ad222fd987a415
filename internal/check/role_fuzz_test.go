package check

import (
	"testing"

	"github.com/penstock/penstock/internal/config"
)

// fuzzTalk feeds bytes to a conversation, in two pieces and to the end, as the checker does.
func fuzzTalk(f *testing.F, fresh func() judge, seeds ...string) {
	f.Helper()
	guarded := (&roleCheck{secret: testSecret}).guard
	for _, s := range seeds {
		f.Add([]byte(s), len(s)/2)
	}
	f.Add([]byte{}, 0)
	f.Add([]byte{0xff}, 1)
	f.Fuzz(func(t *testing.T, in []byte, at int) {
		at = max(0, min(at, len(in)))
		talk := guarded(fresh())
		rest := in
		for end := at; end > 0; {
			v := talk(rest[:end:end], false)
			if v.drop < 0 || v.drop > end {
				t.Fatalf("drops %d of %d bytes", v.drop, end)
			}
			if v.outcome != more {
				return
			}
			if v.drop == 0 {
				break
			}
			rest, end = rest[v.drop:], end-v.drop
		}
		for len(rest) > 0 {
			v := talk(rest, true)
			if v.outcome != more {
				return
			}
			if v.drop <= 0 || v.drop > len(rest) {
				t.Fatalf("no verdict on %q at the end", rest)
			}
			rest = rest[v.drop:]
		}
	})
}

func fuzzRole(role string) *roleCheck {
	return &roleCheck{RoleCheck: &config.RoleCheck{Role: role, MaxLag: 1}, user: "u", secret: testSecret}
}

func FuzzRedisRole(f *testing.F) {
	fuzzTalk(f, func() judge {
		return (&redisRole{roleCheck: fuzzRole(config.RoleReplica), info: map[string]string{}}).judge
	}, "+OK\r\n"+infoReply("role:slave", "master_link_status:up", "master_last_io_seconds_ago:1"), "+OK\r\n"+infoReply("role:master"),
		"-ERR x\r\n", "+OK\r\n+PONG\r\n$-1\r\n", "\x15\x03")
}

func FuzzMySQLRole(f *testing.F) {
	greeting := string(mysqlPacket(0, testGreeting("10.11.6-MariaDB", mysqlNative)))
	login := "\x07\x00\x00\x02\x00\x00\x00\x02\x00\x00\x00"
	fuzzTalk(f, func() judge { return (&mysqlRole{roleCheck: fuzzRole(config.RoleReplica)}).judge },
		greeting+login+string(testRows([]string{"Variable_name", "Value"}, []string{"read_only", "ON"}))+
			string(testRows([]string{"Slave_IO_Running", "Slave_SQL_Running", "Seconds_Behind_Master"}, []string{"Yes", "Yes", "0"})),
		greeting+login+string(testRows([]string{"a", "b"}, []string{"group_replication_group_name", "g"}, []string{"read_only", "ON"}))+
			string(testRows([]string{"a", "b", "c"}, []string{"1", "ONLINE", "SECONDARY"})),
		greeting+"\x06\x00\x00\x02\xfesha2\x00", greeting+"\x02\x00\x00\x02\x01\x04\x02\x00\x00\x04\x01\x04", "\x03\x00\x00\x02\xff\x15\x04")
}

func FuzzMySQLGalera(f *testing.F) {
	login := string(mysqlPacket(0, testGreeting("8", mysqlSHA2))) + "\x07\x00\x00\x02\x00\x00\x00\x02\x00\x00\x00"
	fuzzTalk(f, func() judge { return (&mysqlRole{roleCheck: fuzzRole(config.RoleGaleraSynced)}).judge },
		login+string(testRows([]string{"Variable_name", "Value"}, []string{"wsrep_local_state", "4"}, []string{"wsrep_cluster_status", "Primary"})))
}

func FuzzPostgresRole(f *testing.F) {
	message := func(kind byte, body string) string { return string(postgresMessage(kind, []byte(body))) }
	fuzzTalk(f, func() judge {
		return (&postgresRole{roleCheck: fuzzRole(config.RolePrimary), cache: &scramCache{}}).judge
	},
		message('R', "\x00\x00\x00\x00")+message('Z', "I")+message('D', "\x00\x02\x00\x00\x00\x01f\x00\x00\x00\x03off")+message('Z', "I"),
		message('R', "\x00\x00\x00\x0aSCRAM-SHA-256\x00\x00")+message('R', "\x00\x00\x00\x0br=x,s=AAAA,i=1"),
		message('R', "\x00\x00\x00\x05salt"), message('E', "SFATAL\x00C28P01\x00Mno\x00\x00"), "E\xff\xff\xff\xffS")
}

func FuzzSCRAM(f *testing.F) {
	f.Add([]byte("r=abc,s=AAAA,i=4096"), []byte("v=AAAA"))
	f.Add([]byte("r=nonce+,s=AAAA,i=99999999"), []byte("e=no"))
	f.Fuzz(func(t *testing.T, first, final []byte) {
		s := &scram{nonce: "nonce"}
		s.proceed(first, testSecret, &scramCache{})
		if v := s.finish(final); v.outcome == more {
			t.Errorf("%q proves that the server knows the password", final)
		}
	})
}

func FuzzRSAKey(f *testing.F) {
	f.Add([]byte("-----BEGIN PUBLIC KEY-----\nMFwwDQYJKoZIhvcNAQEBBQADSwAwSAJBAKj34GkxFhD90vcNLYLInFEX6Ppy1tPf\n9Cnzj4p4WGeKLs1Pt8QuKUpRKfFLfRYC9AIKjbJTWit+CqvjWYzvQwECAwEAAQ==\n-----END PUBLIC KEY-----\n"))
	f.Fuzz(func(t *testing.T, key []byte) {
		if sealed, err := mysqlEncrypt(testSecret, []byte(testSalt), key); err == nil && len(sealed) < len(testSecret) {
			t.Errorf("sealed in %d bytes", len(sealed))
		}
	})
}
