package config

import (
	"cmp"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"reflect"
	"runtime"
	"slices"
	"strings"
	"testing"

	gocmp "github.com/google/go-cmp/cmp"
)

// docs/keywords.md is made from the tables that the parser itself obeys. What the tables cannot know is
// said here: which keywords are accepted and change nothing, and remarks. The words that stand behind
// another keyword in no table (timeouts, algorithms) are classified by asking the parser.

var updateKeywords = flag.Bool("update-keywords", false, "write docs/keywords.md")

const keywordsFile = "../../docs/keywords.md"

// docClass is a class as users see it: Implemented is split by whether anything happens.
type docClass string

const (
	docImplemented docClass = "implemented"
	docAccepted    docClass = "accepted"
	docIgnored     docClass = "ignored"
	docNotYet      docClass = "not yet"
	docRemoved     docClass = "removed"
)

var docClasses = []docClass{docImplemented, docAccepted, docIgnored, docNotYet, docRemoved}

// withoutEffect are the keywords of class Implemented that are read and checked and change nothing. Those
// that the tables show to do nothing need no entry.
var withoutEffect = map[string][]string{
	"global": {
		"noepoll", "busy-polling", "thread-groups", "default-path", "profiling.tasks", "set-dumpable",
	},
	"proxy": {
		"hash-preserve-affinity", "max-session-srv-conns", "retry-on", "guid", "description",
		"error-log-format",
	},
	"option": {
		"tcp-smart-accept", "tcp-smart-connect", "contstats", "socket-stats", "use-small-buffers",
	},
	"timeout": {"client-hs", "handshake", "http-request", "http-keep-alive", "tarpit"},
	"bind": {
		"nice", "shards", "proto", "label", "guid-prefix", "idle-ping", "nbconn",
	},
	"server": {
		"tfo", "no-tfo", "check-pool-conn-name",
		"check-proto", "proxy-v2-options", "resolve-prefer", "resolve-net", "resolve-opts", "proto", "guid",
		"ws", "max-reuse", "pool-max-conn", "pool-low-conn", "pool-purge-delay", "pool-conn-name", "idle-ping", "log-proto",
		"log-bufsize",
	},
}

// keywordRemarks are what a class alone does not say.
var keywordRemarks = map[string]string{
	"global stats": "`socket`, `timeout`, `maxconn`",
	"global log":   "to UDP, UNIX datagram, `stdout`, `stderr`, `fd@`; not to rings or over TCP",
	"global harden.reject-privileged-ports.tcp": "`off` is accepted",
	"proxy mode":             "`tcp`; `http` where a section serves `stats` or metrics and nothing else",
	"proxy use_backend":      "one, without condition and with a plain name",
	"proxy source":           "an IP address, ports, `interface`; not `usesrc`",
	"proxy error-log-format": "no session can fail before its log format applies",
	"proxy log":              "as in `global`",
	"proxy stats":            "a warning in TCP mode; in `mode http` all but `admin` and `http-request`",
	"proxy hash-type":        "`balance source` uses the address itself: the hash function makes no difference, `avalanche` does",
	"proxy tcp-check":        "log-format strings and variables with the [values of checks](health-checks.md#values)",
	"proxy http-check":       "log-format strings and variables with the [values of checks](health-checks.md#values)",
	"option httplog":         "warning: falls back to `option tcplog`",
	"option httpslog":        "warning: falls back to `option tcplog`",
	"bind process":           "warning: use `thread`",
	"bind level":             "of a `stats socket`",
	"bind severity-output":   "of a `stats socket`",
	"server source":          "an IP address, ports, `interface`; not `usesrc`",
	"server verify":          "of health checks; sessions pass through unchanged",
	"server verifyhost":      "of health checks",
	"server ca-file":         "of health checks; a file or `@system-ca`",
	"server redir":           "an error in TCP mode, as in HAProxy",
	"server hash-key":        "`id` is accepted",
	"balance uri":            "warning: falls back to `roundrobin`",
	"balance url_param":      "warning: falls back to `roundrobin`",
	"balance hdr(name)":      "warning: falls back to `roundrobin`",
	"balance log-hash":       "warning: falls back to `roundrobin`",
	"balance roundrobin":     "the default",
}

// docRow is one keyword of a table of the document.
type docRow struct {
	name   string
	where  string
	class  docClass
	remark string
}

// docTable is one part of the document.
type docTable struct {
	key, title, intro string
	rows              []docRow
}

func (t *docTable) add(name, where string, class Class, effect bool, remark string) {
	doc := map[Class]docClass{Implemented: docImplemented, HTTPOnly: docIgnored, NotYet: docNotYet, Removed: docRemoved}[class]
	if class == Implemented && (!effect || slices.Contains(withoutEffect[t.key], name)) {
		doc = docAccepted
	}
	if r, ok := keywordRemarks[t.key+" "+name]; ok {
		remark = r
	}
	t.rows = append(t.rows, docRow{name, where, doc, remark})
}

// removedRemark shortens the message about a removed keyword to what to do.
func removedRemark(note, hint string) string {
	if hint != "" {
		return hint
	}
	return note
}

func (in where) sections() string {
	var names []string
	for _, s := range []struct {
		in   where
		name string
	}{{inD, "defaults"}, {inN, "named defaults"}, {inF, "frontend"}, {inL, "listen"}, {inB, "backend"}} {
		if in&s.in != 0 {
			names = append(names, s.name)
		}
	}
	if in&inFB == 0 {
		return "all proxies"
	}
	return strings.Join(names, ", ")
}

// fileOf is the file that a function is written in.
func fileOf(f func(*parser, *stmt)) string {
	pc := reflect.ValueOf(f).Pointer()
	file, _ := runtime.FuncForPC(pc).FileLine(pc)
	return filepath.Base(file)
}

// askParser classifies the words behind a keyword of a listen section by what the parser says of the line.
func askParser(tb testing.TB, line string) Class {
	tb.Helper()
	cfg := "listen l\n    bind 127.0.0.1:1\n    timeout client 1s\n    timeout connect 1s\n    timeout server 1s\n    " + line + "\n"
	_, found := LoadText("word.cfg", cfg, Options{})
	class := Implemented
	for _, d := range found.List {
		switch {
		case d.Code == codeNotImplemented:
			return NotYet
		case d.Code == codeHTTPOnly:
			class = HTTPOnly
		case d.Severity == Alert && d.place != placeContinue:
			tb.Fatalf("%s: %s", line, d.Message)
		}
	}
	return class
}

func keywordTables(tb testing.TB) []docTable {
	tb.Helper()
	section := docTable{key: "section", title: "Sections", intro: "Words that open a section. The lines of an ignored section are skipped."}
	for _, name := range sortedKeys(sections) {
		_, found := LoadText("section.cfg", name+" x\n", Options{})
		class := Implemented
		for _, d := range found.List {
			switch d.Code {
			case codeNotImplemented:
				class = NotYet
			case "section-ignored":
				class = HTTPOnly
			}
		}
		section.add(name, "", class, true, "")
	}

	global := docTable{key: "global", title: "global"}
	for _, name := range sortedKeys(globalKeywords) {
		k := globalKeywords[name]
		remark := k.note
		if k.class == HTTPOnly && remark != "" {
			remark = "warning: " + remark
		}
		global.add(name, "", k.class, k.parse != nil && fileOf(k.parse) != "keywords_ignored.go", remark)
	}

	proxy := docTable{
		key: "proxy", title: "defaults, frontend, listen, backend",
		intro: "The words behind `option`, `timeout`, `balance`, `bind` and `server` have tables of their own below.",
	}
	for _, name := range sortedKeys(proxyKeywords) {
		k := proxyKeywords[name]
		remark := notYetHints[name]
		if k.class == Removed {
			remark = removedRemark(k.note, k.hint)
		}
		proxy.add(name, k.in.sections(), k.class, true, remark)
	}

	option := docTable{key: "option", title: "option"}
	for _, name := range sortedKeys(optionKeywords) {
		o := optionKeywords[name]
		remark := ""
		if o.class == Removed {
			remark = removedRemark(o.note, o.hint)
		}
		option.add(name, o.in.sections(), o.class, o.flag != nil || o.parse != nil, remark)
	}

	timeout := docTable{key: "timeout", title: "timeout"}
	for _, name := range []string{
		"check", "client", "client-fin", "client-hs", "connect", "handshake", "http-keep-alive", "http-request", "queue",
		"server", "server-fin", "tarpit", "tunnel",
	} {
		timeout.add(name, "", askParser(tb, "timeout "+name+" 1s"), true, "")
	}

	balance := docTable{key: "balance", title: "balance"}
	for _, a := range []struct{ name, line string }{
		{"first", ""},
		{"hash", "hash src"},
		{"hdr(name)", ""},
		{"leastconn", ""},
		{"log-hash", ""},
		{"random", ""},
		{"random(draws)", "random(3)"},
		{"rdp-cookie", ""},
		{"roundrobin", ""},
		{"source", ""},
		{"static-rr", ""},
		{"sticky", ""},
		{"uri", ""},
		{"url_param", "url_param x"},
	} {
		balance.add(a.name, "", askParser(tb, "balance "+cmp.Or(a.line, a.name)), true, "")
	}

	const tls = "TLS is not handled"
	bind := docTable{key: "bind", title: "bind", intro: "Parameters of `bind` and `stats socket` lines."}
	for _, name := range sortedKeys(bindKeywords) {
		remark := ""
		if _, ok := bindTLS[name]; ok {
			remark = tls
		}
		bind.add(name, "", bindKeywords[name], true, remark)
	}
	server := docTable{key: "server", title: "server", intro: "Parameters of `server` and `default-server` lines."}
	for _, name := range sortedKeys(serverKeywords) {
		remark := ""
		if _, ok := serverTLS[name]; ok {
			remark = tls
		}
		k, inTable := serverParams[name]
		server.add(name, "", serverKeywords[name], !inTable || k.set != nil, remark)
	}
	return []docTable{section, global, proxy, option, timeout, balance, bind, server}
}

const keywordsHead = `# Keywords

Every keyword that the configuration parser knows, with its class. This file is generated from the parser's tables:
do not edit it; run ` + "`go test ./internal/config -run TestKeywordsDoc -update-keywords`" + `. A test fails when it is stale.

| class | what happens |
|---|---|
| implemented | it is obeyed |
| accepted | it is read, and it changes nothing: Penstock has its own way, or what it tunes does not exist here |
| ignored | it concerns HTTP, TLS or a script language; most of these give a warning |
| not yet | an error that says so: HAProxy obeys it, Penstock does not |
| removed | an error that says what replaced it: HAProxy dropped it |

A word in none of these tables is an error that names the nearest known word.
`

// keywordsDoc renders the document.
func keywordsDoc(tables []docTable) string {
	var b strings.Builder
	b.WriteString(keywordsHead)
	b.WriteString("\n| |")
	for _, c := range docClasses {
		fmt.Fprintf(&b, " %s |", c)
	}
	b.WriteString("\n|---|")
	b.WriteString(strings.Repeat("--:|", len(docClasses)))
	b.WriteString("\n")
	for _, t := range tables {
		fmt.Fprintf(&b, "| %s |", t.title)
		for _, c := range docClasses {
			n := 0
			for _, r := range t.rows {
				if r.class == c {
					n++
				}
			}
			fmt.Fprintf(&b, " %d |", n)
		}
		b.WriteString("\n")
	}
	for _, t := range tables {
		fmt.Fprintf(&b, "\n## %s\n\n", t.title)
		if t.intro != "" {
			b.WriteString(t.intro + "\n\n")
		}
		placed := slices.ContainsFunc(t.rows, func(r docRow) bool { return r.where != "" })
		b.WriteString("| keyword |")
		if placed {
			b.WriteString(" sections |")
		}
		b.WriteString(" class | remark |\n|---|---|---|")
		if placed {
			b.WriteString("---|")
		}
		b.WriteString("\n")
		for _, r := range t.rows {
			fmt.Fprintf(&b, "| `%s` |", r.name)
			if placed {
				fmt.Fprintf(&b, " %s |", r.where)
			}
			fmt.Fprintf(&b, " %s | %s |\n", r.class, r.remark)
		}
	}
	return b.String()
}

// TestKeywordsDoc fails when docs/keywords.md is stale, or when what is said here of a keyword has no
// keyword to be said of.
func TestKeywordsDoc(t *testing.T) {
	tables := keywordTables(t)
	classes := make(map[string]docClass)
	for _, table := range tables {
		for _, r := range table.rows {
			classes[table.key+" "+r.name] = r.class
		}
	}
	for key, names := range withoutEffect {
		for _, name := range names {
			if c := classes[key+" "+name]; c != docAccepted {
				t.Errorf("withoutEffect: %s %s is %q", key, name, c)
			}
		}
	}
	for name := range keywordRemarks {
		if classes[name] == "" {
			t.Errorf("keywordRemarks: no keyword %s", name)
		}
	}
	want := keywordsDoc(tables)
	if *updateKeywords {
		if err := os.WriteFile(keywordsFile, []byte(want), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	got, err := os.ReadFile(keywordsFile)
	if err != nil {
		t.Fatal(err)
	}
	if diff := gocmp.Diff(want, string(got)); diff != "" {
		t.Errorf("docs/keywords.md is stale; run go test ./internal/config -run TestKeywordsDoc -update-keywords\n(-want +got):\n%s", diff)
	}
}
