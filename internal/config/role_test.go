package config

import (
	"encoding/json"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

func TestRoleChecks(t *testing.T) {
	for _, c := range []struct {
		option string
		want   Check  // if err is empty
		err    string // part of the message
	}{
		{option: "redis-check role master", want: Check{Kind: CheckRedis, Role: &RoleCheck{Role: RolePrimary}}},
		{
			option: "redis-check role replica user u password-file /f max-lag 3s",
			want:   Check{Kind: CheckRedis, User: "u", Role: &RoleCheck{Role: RoleReplica, PasswordFile: "/f", MaxLag: 3 * time.Second}},
		},
		{option: "mysql-check user u role primary password-env E", want: Check{Kind: CheckMySQL, User: "u", Role: &RoleCheck{Role: RolePrimary, PasswordEnv: "E"}}},
		{option: "mysql-check role galera-synced user u", want: Check{Kind: CheckMySQL, User: "u", Role: &RoleCheck{Role: RoleGaleraSynced}}},
		{option: "mysql-check role replica user u max-lag 1500", want: Check{Kind: CheckMySQL, User: "u", Role: &RoleCheck{Role: RoleReplica, MaxLag: 1500 * time.Millisecond}}},
		{option: "pgsql-check role replica user u database d", want: Check{Kind: CheckPostgres, User: "u", Role: &RoleCheck{Role: RoleReplica, Database: "d"}}},
		{option: "pgsql-check user role", want: Check{Kind: CheckPostgres, User: "role"}},
		{option: "mysql-check user password", want: Check{Kind: CheckMySQL, User: "password"}},
		{option: "mysql-check user u", want: Check{Kind: CheckMySQL, User: "u"}},

		{option: "redis-check role", err: "'role' expects a value"},
		{option: "redis-check role slave", err: "'role' expects one of 'master', 'primary', 'replica' but got 'slave'"},
		{option: "redis-check role galera-synced", err: "'role' expects one of"},
		{option: "redis-check role master role master", err: "'role' is there already"},
		{option: "redis-check role master max-lag 3s", err: "'max-lag' needs 'role replica'"},
		{option: "redis-check role replica max-lag 0", err: "'max-lag' expects a time above 0 but got '0'"},
		{option: "redis-check role replica max-lag soon", err: "'max-lag' expects a time above 0 but got 'soon'"},
		{option: "redis-check role master database d", err: "expects 'role', 'user', 'password-file', 'password-env', 'max-lag' but got 'database'"},
		{option: "mysql-check role primary", err: "a check of the role expects 'user'"},
		{option: "pgsql-check role primary user u max-lag 3s", err: "but got 'max-lag'"},
		{option: "mysql-check role primary user u password-file f password-env E", err: "exclude each other"},
		{option: "mysql-check role primary user u password t0p-secret", err: "does not belong into a configuration"},
		{option: "mysql-check user u password t0p-secret rol primary", err: "does not belong into a configuration"},
		{option: "redis-check rol master", err: "cannot handle unexpected argument 'rol'"},
	} {
		t.Run(c.option, func(t *testing.T) {
			cfg, found := LoadText("r.cfg", checkedHead+"backend b\n option "+c.option+"\n server s 127.0.0.1:1 check\n", Options{})
			if c.err == "" {
				if found.Fatal() {
					t.Fatalf("%+v", found.List)
				}
				if diff := cmp.Diff(c.want, cfg.Proxies[0].Check); diff != "" {
					t.Errorf("(-want +got):\n%s", diff)
				}
				return
			}
			if len(found.List) == 0 || !strings.Contains(found.List[0].Text(), c.err) {
				t.Fatalf("%+v, want %s", found.List, c.err)
			}
			told, err := json.Marshal(found.List)
			if err != nil {
				t.Fatal(err)
			}
			for _, d := range found.List {
				told = append(told, d.Text()+d.Excerpt()...)
			}
			if strings.Contains(string(told), "t0p-secret") {
				t.Errorf("the password is told:\n%s", told)
			}
		})
	}
}

// A section takes the check of its defaults, and another option replaces it.
func TestRoleCheckInherited(t *testing.T) {
	cfg, found := LoadText("r.cfg", checkedHead+" option redis-check role master\nbackend a\n server s 127.0.0.1:1\nbackend b\n option redis-check\n server s 127.0.0.1:1\n", Options{})
	if found.Fatal() {
		t.Fatalf("%+v", found.List)
	}
	if a, b := cfg.Proxies[0].Check.Role, cfg.Proxies[1].Check.Role; a == nil || b != nil {
		t.Errorf("roles %v and %v", a, b)
	}
}
