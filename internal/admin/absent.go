package admin

import (
	"strings"

	"github.com/penstock/penstock/internal/config"
	"github.com/penstock/penstock/internal/engine"
	"github.com/penstock/penstock/internal/runtimeapi"
)

// Commands about what no configuration can have yet: tables, ACLs, maps, resolvers, peers, certificates, variables. Programs
// that ask for these get HAProxy's answers of a process that has none.

func absentCommands(e func() *engine.Engine) []runtimeapi.Command {
	list := append(tableCommands(), foreignCommands(e)...)
	for _, p := range []patterns{{"acl", "ACL"}, {"map", "map"}} {
		list = append(list, p.commands()...)
	}
	return list
}

// patterns are ACLs or maps.
type patterns struct{ word, name string }

func (p patterns) commands() []runtimeapi.Command {
	w := p.word
	list := []runtimeapi.Command{
		{Words: []string{"add", w}, Usage: "add acl [@<ver>] <acl> <pattern>", Help: "add a pattern to an ACL; there are none", Example: "add acl #0 10.0.0.1", Run: p.add},
		{Words: []string{"clear", w}, Usage: "clear " + w + " [@<ver>] <" + w + ">", Help: "empty one; there are none", Example: "clear " + w + " #0", Run: p.clear},
		{Words: []string{"commit", w}, Usage: "commit " + w + " @<ver> <" + w + ">", Help: "make a version the current one; there are none", Example: "commit " + w + " @1 #0", Run: p.commit},
		{Words: []string{"del", w}, Usage: "del " + w + " <" + w + "> [<key>|#<ref>]", Help: "delete an entry; there are none", Example: "del " + w + " #0 key", Run: p.del},
		{Words: []string{"get", w}, Usage: "get " + w + " <" + w + "> <value>", Help: "look a value up; there are none", Example: "get " + w + " #0 key", Run: p.get},
		{Words: []string{"prepare", w}, Usage: "prepare " + w + " <" + w + ">", Help: "make a new version; there are none", Example: "prepare " + w + " #0", Run: func(r *runtimeapi.Request) { p.unknown(r) }},
		{Words: []string{"show", w}, Usage: "show " + w + " [@<ver>] [<" + w + ">]", Help: "list, or show one; there are none", Run: p.show},
	}
	if w == "map" {
		list[0].Usage, list[0].Help, list[0].Example = "add map [@<ver>] <map> <key> <val>", "add an entry to a map; there are none", "add map #0 key value"
		list = append(list, runtimeapi.Command{
			Words: []string{"set", w}, Usage: "set map <map> [<key>|#<ref>] <value>", Help: "change an entry of a map; there are none", Example: "set map #0 key value", Run: p.set,
		})
	}
	return list
}

// unknown is the answer for one that does not exist.
func (p patterns) unknown(r *runtimeapi.Request) {
	r.Fail("Unknown %s identifier. Please use #<id> or <file>.", p.name)
}

// versioned is the arguments without a version in front.
func versioned(r *runtimeapi.Request) (args []string, version bool) {
	if strings.HasPrefix(arg(r, 0), "@") {
		return r.Args[1:], true
	}
	return r.Args, false
}

func (p patterns) show(r *runtimeapi.Request) {
	if len(r.Args) > 0 {
		p.unknown(r)
		return
	}
	r.Reply("# id (file) description")
}

func (p patterns) get(r *runtimeapi.Request) {
	if len(r.Args) < 2 {
		r.Fail("Missing %s identifier and/or key.", p.name)
		return
	}
	p.unknown(r)
}

func (p patterns) set(r *runtimeapi.Request) {
	if len(r.Args) < 3 {
		r.Fail("'set map' expects three parameters: map identifier, key and value.")
		return
	}
	p.unknown(r)
}

func (p patterns) add(r *runtimeapi.Request) {
	args, _ := versioned(r)
	switch enough := len(args) >= 3 || len(args) >= 2 && p.word == "acl" || len(args) >= 1 && r.Payload != ""; {
	case enough:
		p.unknown(r)
	case p.word == "acl":
		r.Fail("'add acl' expects two parameters: ACL identifier and pattern.")
	default:
		r.Fail("'add map' expects three parameters (map identifier, key and value) or one parameter (map identifier) and a payload")
	}
}

func (p patterns) del(r *runtimeapi.Request) {
	if len(r.Args) < 2 {
		r.Fail("This command expects two parameters: %s identifier and key.", p.name)
		return
	}
	patterns{"map", "map"}.unknown(r) // HAProxy says so of both
}

func (p patterns) clear(r *runtimeapi.Request) {
	if args, _ := versioned(r); len(args) == 0 {
		r.Fail("Missing %s identifier.", p.name)
		return
	}
	p.unknown(r)
}

func (p patterns) commit(r *runtimeapi.Request) {
	switch args, version := versioned(r); {
	case !version:
		r.Fail("Missing version number.")
	case len(args) == 0:
		r.Fail("Missing %s identifier.", p.name)
	default:
		p.unknown(r)
	}
}

// tableCommands are those about stick tables.
func tableCommands() []runtimeapi.Command {
	command := func(verb, usage, help, example, without string) runtimeapi.Command {
		return runtimeapi.Command{Words: []string{verb, "table"}, Usage: verb + " table " + usage, Help: help + "; there are none", Example: example, Run: func(r *runtimeapi.Request) {
			switch {
			case len(r.Args) > 0:
				r.Fail("No such table")
			case without != "":
				r.Fail("%s", without)
			}
		}}
	}
	return []runtimeapi.Command{
		command("clear", "<table> [<filter>]*", "remove entries of a table", "clear table fe",
			`Required arguments: <table> "data.<store_data_type>" <operator> <value> or <table> key <key>`),
		command("set", "<table> key <k> [data.* <v>]*", "change or make an entry of a table", "set table fe key 10.0.0.1",
			"Required arguments: <table> key <key> [data.<store_data_type> <value>]*"),
		command("show", "[<table> [<filter>]*]", "list the tables, or the entries of one", "show table", ""),
	}
}

// foreignCommands are those about what this program leaves to others, or has in another form.
func foreignCommands(e func() *engine.Engine) []runtimeapi.Command {
	show := func(level runtimeapi.Level, usage, help, answer, otherwise string) runtimeapi.Command {
		return runtimeapi.Command{Words: keywords(usage), Usage: usage, Help: help + "; there are none", Level: level, Run: func(r *runtimeapi.Request) {
			switch {
			case len(r.Args) > 0 && otherwise != "":
				r.Fail("%s", otherwise)
			case answer != "":
				r.Reply("%s", answer)
			}
		}}
	}
	const user, operator, admin = runtimeapi.LevelUser, runtimeapi.LevelOperator, runtimeapi.LevelAdmin
	cookie := func(usage, help string, needsKey bool) runtimeapi.Command {
		return runtimeapi.Command{Words: keywords(usage), Usage: usage, Help: help + "; it has no effect in TCP", Level: admin, Example: strings.NewReplacer("<bk>", "be", "<k>", "key").Replace(usage), Run: func(r *runtimeapi.Request) {
			switch {
			case arg(r, 0) == "":
				r.Fail("A backend name is expected.")
			case findProxy(e(), r.Args[0], config.Kind.HasBackend) < 0:
				r.Fail(noBackend)
			case needsKey && arg(r, 1) == "":
				r.Fail("String value expected.")
			}
		}}
	}
	return []runtimeapi.Command{
		cookie("disable dynamic-cookie backend <bk>", "no cookies for servers", false),
		cookie("enable dynamic-cookie backend <bk>", "cookies for servers", false),
		cookie("set dynamic-cookie-key backend <bk> <k>", "the key of cookies for servers", true),
		{Words: []string{"get", "var"}, Usage: "get var <name>", Help: "show a variable of the process; there are none", Example: "get var proc.x", Level: operator, Run: func(r *runtimeapi.Request) {
			if len(r.Args) == 0 {
				r.Fail("Missing process-wide variable identifier.")
				return
			}
			r.Fail("Variable not found.")
		}},
		show(admin, "show cache", "show the caches", "", ""),
		{Words: []string{"show", "peers"}, Usage: "show peers [dict|-] [<section>]", Help: "show the peers; there are none", Run: func(r *runtimeapi.Request) {
			if len(r.Args) > 0 && r.Args[0] != "dict" && r.Args[0] != "-" {
				r.Fail("No such peers")
			}
		}},
		show(user, "show resolvers [<id>]", "show the resolvers", "No resolvers found", "Can't find that resolvers section"),
		show(operator, "show ssl ca-file [<cafile>]", "list the files of certificate authorities", "# filename", ""),
		show(operator, "show ssl cert [<certfile>]", "list the certificates", "# filename", "Can't display the certificate: Not found or the certificate is a bundle!"),
		show(operator, "show ssl crl-file [<crlfile>]", "list the revocation lists", "# filename", ""),
		show(operator, "show ssl crt-list [<list>]", "list the lists of certificates", "", ""),
		show(operator, "show ssl ocsp-response [<id>]", "list the OCSP responses", "", ""),
		show(user, "show tls-keys [<id>|*]", "list the keys of TLS tickets", "# id (file)", ""),
	}
}

// keywords are the words of a usage before the first that stands for something.
func keywords(usage string) []string {
	usage, _, _ = strings.Cut(usage, "[")
	usage, _, _ = strings.Cut(usage, "<")
	return strings.Fields(usage)
}
