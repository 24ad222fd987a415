package config

import (
	"slices"
	"strings"
	"time"
)

// The roles that checks know. "primary" and "master" are the same; the model has RolePrimary.
const (
	RolePrimary      = "primary"
	RoleReplica      = "replica"
	RoleGaleraSynced = "galera-synced"
)

// RoleCheck is which role a database server must have to be in service, and what the check needs to ask. It has no
// password, only where to find it, because descriptions of proxies travel and are shown.
type RoleCheck struct {
	Role         string        // RolePrimary, RoleReplica or RoleGaleraSynced
	PasswordFile string        // its first line is the password; empty: none
	PasswordEnv  string        // the variable of the process that holds the password; empty: none
	Database     string        // of pgsql-check; empty: postgres
	MaxLag       time.Duration // of a replica; 0: any
}

// SecretVariables are the names of the variables of the environment that hold passwords.
func (c *Config) SecretVariables() (names []string) {
	for _, px := range c.Proxies {
		if r := px.Check.Role; r != nil && r.PasswordEnv != "" && !slices.Contains(names, r.PasswordEnv) {
			names = append(names, r.PasswordEnv)
		}
	}
	return names
}

// roleWords is what the role check of one protocol takes.
type roleWords struct {
	kind     CheckKind
	option   string
	roles    []string // as written
	user     bool     // it must be given
	database bool
	maxLag   bool
}

var (
	redisRole    = roleWords{kind: CheckRedis, option: "redis-check", roles: []string{"master", "primary", "replica"}, maxLag: true}
	mysqlRole    = roleWords{kind: CheckMySQL, option: "mysql-check", roles: []string{"primary", "master", "replica", "galera-synced"}, user: true, maxLag: true}
	postgresRole = roleWords{kind: CheckPostgres, option: "pgsql-check", roles: []string{"primary", "master", "replica"}, user: true, database: true}
)

// withRole reads an option that asks for a role, and leaves any other to parse.
func withRole(words roleWords, parse func(*parser, *stmt)) func(*parser, *stmt) {
	return func(p *parser, s *stmt) {
		for i := 2; i < len(s.words); i += 2 { // a user may have any name
			if word := s.arg(i); word == "role" || word == "password" {
				p.parseRole(s, words)
				return
			}
		}
		parse(p, s)
	}
}

// parseRole reads pairs of a word and its value. The first mistake ends it.
func (p *parser) parseRole(s *stmt, known roleWords) {
	p.hidePassword(s)
	c, role := Check{Kind: known.kind}, &RoleCheck{}
	fail := func(i int, code, format string, args ...any) {
		p.alert(s, i, code, "'option "+known.option+"' : "+format, args...)
	}
	seen := map[string]bool{}
	for i := 2; i < len(s.words); i += 2 {
		word, value := s.arg(i), s.arg(i+1)
		switch {
		case word == "password":
			fail(i, "literal-password", "a password does not belong into a configuration; name a file with 'password-file' or a variable with 'password-env'.")
			return
		case !known.takes(word):
			fail(i, codeUnknownKeyword, "expects %s but got '%s'.", known.list(), word)
			return
		case seen[word]:
			fail(i, codeUnexpectedWord, "'%s' is there already.", word)
			return
		case value == "":
			fail(i+1, codeMissingValue, "'%s' expects a value.", word)
			return
		}
		seen[word] = true
		switch word {
		case "role":
			if !slices.Contains(known.roles, value) {
				fail(i+1, codeInvalidValue, "'role' expects one of '%s' but got '%s'.", strings.Join(known.roles, "', '"), value)
				return
			}
			if role.Role = value; value == "master" {
				role.Role = RolePrimary
			}
		case "user":
			c.User = value
		case "password-file":
			role.PasswordFile = value
		case "password-env":
			role.PasswordEnv = value
		case "database":
			role.Database = value
		case "max-lag":
			lag, err := parseTime(value, time.Millisecond)
			if err != nil || lag <= 0 {
				fail(i+1, codeInvalidValue, "'max-lag' expects a time above 0 but got '%s'.", value)
				return
			}
			role.MaxLag = lag
		}
	}
	switch {
	case role.Role == "":
		fail(2, codeMissingValue, "expects 'role'.")
	case known.user && c.User == "":
		fail(len(s.words), codeMissingValue, "a check of the role expects 'user'.")
	case seen["password-file"] && seen["password-env"]:
		fail(len(s.words), codeNotAllowedHere, "'password-file' and 'password-env' exclude each other.")
	case seen["max-lag"] && role.Role != RoleReplica:
		fail(len(s.words), codeNotAllowedHere, "'max-lag' needs 'role replica'.")
	case strings.ContainsRune(c.User+role.Database, 0):
		fail(len(s.words), codeInvalidValue, "a name contains a zero byte.")
	default:
		c.Role = role
		p.px.setCheck(c)
	}
}

// hidePassword keeps a password that somebody wrote down out of the findings about its line.
func (p *parser) hidePassword(s *stmt) {
	for i := range s.words[:len(s.words)-1] {
		if secret := s.arg(i + 1); s.arg(i) == "password" && secret != "" {
			p.source = strings.ReplaceAll(p.source, secret, strings.Repeat("*", len(secret)))
		}
	}
}

func (w *roleWords) takes(word string) bool {
	switch word {
	case "role", "user", "password-file", "password-env":
		return true
	case "max-lag":
		return w.maxLag
	case "database":
		return w.database
	}
	return false
}

func (w *roleWords) list() string {
	list := "'role', 'user', 'password-file', 'password-env'"
	if w.maxLag {
		list += ", 'max-lag'"
	}
	if w.database {
		list += ", 'database'"
	}
	return list
}
