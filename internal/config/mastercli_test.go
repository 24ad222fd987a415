package config

import (
	"net/netip"
	"strings"
	"testing"

	gocmp "github.com/google/go-cmp/cmp"
)

func TestParseMasterCLI(t *testing.T) {
	env := func(name string) (string, bool) { return "7", name == "cli" }
	pos := Pos{File: "-S"}
	for _, test := range []struct {
		text string
		want *Bind
	}{
		{"/run/m.sock", &Bind{
			Pos: pos, Words: "/run/m.sock", Addrs: []Address{{Kind: AddrUnix, Path: "/run/m.sock"}},
			Mode: -1, UID: -1, GID: -1, Level: "admin",
		}},
		{"abns@m,level,operator,mode,600,uid,5", &Bind{
			Pos: pos, Words: "abns@m", Addrs: []Address{{Kind: AddrAbstract, Path: "m"}},
			Mode: 0o600, UID: 5, GID: -1, Level: "operator",
		}},
		{"127.0.0.1:99,user,root", &Bind{
			Pos: pos, Words: "127.0.0.1:99", Addrs: []Address{{Kind: AddrTCP, IP: netip.MustParseAddr("127.0.0.1"), Port: 99}},
			Mode: -1, UID: 0, GID: -1, Level: "admin",
		}},
		{"fd@${cli}", &Bind{
			Pos: pos, Words: "fd@${cli}", Addrs: []Address{{Kind: AddrFD, FD: 7}}, Mode: -1, UID: -1, GID: -1, Level: "admin",
		}},
	} {
		got, err := ParseMasterCLI(test.text, env)
		if err != nil {
			t.Errorf("%s: %v", test.text, err)
			continue
		}
		if diff := gocmp.Diff(test.want, got, gocmp.Comparer(func(a, b netip.Addr) bool { return a == b })); diff != "" {
			t.Errorf("%s: %s", test.text, diff)
		}
	}
	for text, want := range map[string]string{
		"":                    "'-S ' : ",
		"127.0.0.1":           "missing port specification",
		"/m,levle,admin":      "unknown keyword 'levle'",
		"/m,level":            "missing level",
		"/m,level,root":       "'level' only supports",
		"/m,mode,9":           "invalid mode '9'",
		"/m,user,no-such-one": "unknown user name 'no-such-one'",
		"udp@127.0.0.1:5":     "dgram-type address not acceptable",
	} {
		if b, err := ParseMasterCLI(text, env); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: %+v, %v, want an error with %q", text, b, err, want)
		}
	}
}

func FuzzParseMasterCLI(f *testing.F) {
	for _, seed := range []string{"/run/m.sock,level,admin", "abns@x,mode,600", "fd@$X", "127.0.0.1:1-5,backlog,3", ",,,", "ipv6@[::1]:5,ssl,crt,x"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, text string) {
		b, err := ParseMasterCLI(text, nil)
		if (b == nil) == (err == nil) {
			t.Fatalf("%q: %+v, %v", text, b, err)
		}
		if b != nil && (len(b.Addrs) == 0 || b.Level == "") {
			t.Fatalf("%q: %+v", text, b)
		}
	})
}
