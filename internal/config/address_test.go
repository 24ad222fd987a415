package config

import (
	"errors"
	"net/netip"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
)

var compareAddresses = cmp.Options{cmpopts.EquateEmpty(), cmp.Comparer(func(a, b netip.Addr) bool { return a == b })}

// testEnv is the environment that the tests see.
func testEnv(name string) (string, bool) {
	v, ok := map[string]string{"ADDR": "127.0.0.3", "fe1": "7", "EMPTY": ""}[name]
	return v, ok
}

func tcp(ip string, port int) Address {
	return Address{Kind: AddrTCP, IP: netip.MustParseAddr(ip), Port: port}
}

func TestParseBindAddresses(t *testing.T) {
	v6any := tcp("::", 80)
	v6any.Family = 6
	v4any := tcp("0.0.0.0", 80)
	v4any.Family = 4
	for in, want := range map[string][]Address{
		"127.0.0.1:80":                    {tcp("127.0.0.1", 80)},
		":80":                             {tcp("0.0.0.0", 80)},
		"*:80":                            {tcp("0.0.0.0", 80)},
		"0:80":                            {tcp("0.0.0.0", 80)},
		":::80":                           {tcp("::", 80)},
		"::1:80":                          {tcp("::1", 80)},
		"[::1]:80":                        {tcp("::1", 80)},
		"[127.0.0.1]:80":                  {tcp("127.0.0.1", 80)},
		"1.2.3:80":                        {tcp("1.2.0.3", 80)},
		"0x7f.1:80":                       {tcp("127.0.0.1", 80)},
		"010.0.0.1:80":                    {tcp("8.0.0.1", 80)},
		":80abc":                          {tcp("0.0.0.0", 80)},
		":80,":                            {tcp("0.0.0.0", 80)},
		"*:80-82,127.0.0.1:90":            {tcp("0.0.0.0", 80), tcp("0.0.0.0", 81), tcp("0.0.0.0", 82), tcp("127.0.0.1", 90)},
		"ipv4@:80":                        {v4any},
		"tcp4@*:80":                       {v4any},
		"ipv6@:80":                        {v6any},
		"tcp6@*:80":                       {v6any},
		"ip@:80":                          {tcp("0.0.0.0", 80)},
		"stream+tcp@:80":                  {tcp("0.0.0.0", 80)},
		"localhost:80":                    {{Kind: AddrTCP, Host: "localhost", Port: 80}},
		"[localhost]:80":                  {{Kind: AddrTCP, Host: "localhost", Port: 80}},
		"db_1.internal.:80":               {{Kind: AddrTCP, Host: "db_1.internal.", Port: 80}},
		"/run/a.sock":                     {{Kind: AddrUnix, Path: "/run/a.sock"}},
		"unix@rel.sock":                   {{Kind: AddrUnix, Path: "rel.sock"}},
		"uxst@/run/a.sock,abns@b":         {{Kind: AddrUnix, Path: "/run/a.sock"}, {Kind: AddrAbstract, Path: "b"}},
		"fd@5":                            {{Kind: AddrFD, FD: 5}},
		"fd@${fe1}":                       {{Kind: AddrFD, FD: 7}},
		"$ADDR:80":                        {tcp("127.0.0.3", 80)},
		"${ADDR}:80":                      {tcp("127.0.0.3", 80)},
		"$NOTHING:80":                     {tcp("0.0.0.0", 80)},
		"unix@" + strings.Repeat("a", 97): {{Kind: AddrUnix, Path: strings.Repeat("a", 97)}},
	} {
		got, err := parseAddresses(in, true, testEnv)
		if err != nil {
			t.Errorf("%s: %v", in, err)
		} else if diff := cmp.Diff(want, got, compareAddresses); diff != "" {
			t.Errorf("%s (-want +got):\n%s", in, diff)
		}
	}
}

func TestParseServerAddress(t *testing.T) {
	offset := func(a Address) Address { a.PortOffset = true; return a }
	for in, want := range map[string]Address{
		"127.0.0.1:80":       tcp("127.0.0.1", 80),
		"127.0.0.1":          offset(tcp("127.0.0.1", 0)),
		"127.0.0.1:":         offset(tcp("127.0.0.1", 0)),
		"127.0.0.1:0":        offset(tcp("127.0.0.1", 0)),
		"127.0.0.1:+10":      offset(tcp("127.0.0.1", 10)),
		"127.0.0.1:-10":      offset(tcp("127.0.0.1", -10)),
		"[::1]":              offset(tcp("::1", 0)),
		"*:80":               tcp("0.0.0.0", 80),
		":80":                tcp("0.0.0.0", 80),
		"ipv4@localhost:80":  {Kind: AddrTCP, Family: 4, Host: "localhost", Port: 80},
		"/run/x":             {Kind: AddrUnix, Path: "/run/x"},
		"abns@x":             {Kind: AddrAbstract, Path: "x"},
		"db.example.com:+1":  {Kind: AddrTCP, Host: "db.example.com", Port: 1, PortOffset: true},
		"check":              {Kind: AddrTCP, Host: "check", PortOffset: true},
		"ipv6@[2001:db8::1]": offset(Address{Kind: AddrTCP, Family: 6, IP: netip.MustParseAddr("2001:db8::1")}),
	} {
		got, err := parseAddresses(in, false, testEnv)
		if err != nil {
			t.Errorf("%s: %v", in, err)
		} else if diff := cmp.Diff([]Address{want}, got, compareAddresses); diff != "" {
			t.Errorf("%s (-want +got):\n%s", in, diff)
		}
	}
}

func TestParseAddressErrors(t *testing.T) {
	long := "unix@/" + strings.Repeat("a", 97)
	for _, c := range []struct {
		in   string
		bind bool
		code string
		want string
	}{
		{"127.0.0.1", true, codeInvalidAddress, "missing port specification in '127.0.0.1'"},
		{"::", true, codeInvalidAddress, "missing port specification in '::'"},
		{"[::1]", true, codeInvalidAddress, "missing port specification in '[::1]'"},
		{":0", true, codeInvalidAddress, "invalid port '0'"},
		{":70000", true, codeInvalidAddress, "invalid port '70000'"},
		{":80-70", true, codeInvalidAddress, "invalid port range '80-70'"},
		{":80-", true, codeInvalidAddress, "invalid port ''"},
		{":+80", true, codeInvalidAddress, "port offset not permitted here in ':+80'"},
		{":-80", true, codeInvalidAddress, "port offset not permitted here in ':-80'"},
		{":x", true, codeInvalidAddress, "invalid character 'x' in port number 'x' in ':x'"},
		{"", true, codeInvalidAddress, "'' resolves to an empty address (environment variable missing?)"},
		{",:80", true, codeInvalidAddress, "'' resolves to an empty address (environment variable missing?)"},
		{":80,,:81", true, codeInvalidAddress, "'' resolves to an empty address (environment variable missing?)"},
		{"$NOTHING", true, codeInvalidAddress, "'$NOTHING' resolves to an empty address (environment variable missing?)"},
		{"fd@", true, codeInvalidAddress, "file descriptor '' is not a valid integer in 'fd@'"},
		{"fd@-1", true, codeInvalidAddress, "file descriptor '-1' is not a valid integer in 'fd@-1'"},
		{"udp@:80", true, codeInvalidAddress, "dgram-type address not acceptable in 'udp@:80'"},
		{"dgram+ipv4@:80", true, codeInvalidAddress, "dgram-type address not acceptable in 'dgram+ipv4@:80'"},
		{"uxdg@/tmp/x", true, codeInvalidAddress, "dgram-type address not acceptable in 'uxdg@/tmp/x'"},
		{"foo@:80", true, codeInvalidAddress, "invalid address: 'foo@' in 'foo@:80'"},
		{"10.0.0.256:80", true, codeInvalidAddress, "invalid address: '10.0.0.256' in '10.0.0.256:80'"},
		{"127.0.0.1:80:81", true, codeInvalidAddress, "invalid address: '127.0.0.1:80' in '127.0.0.1:80:81'"},
		{"ipv4@[::1]:80", true, codeInvalidAddress, "invalid address: '[::1]' in 'ipv4@[::1]:80'"},
		{"ipv6@127.0.0.1:80", true, codeInvalidAddress, "invalid address: '127.0.0.1' in 'ipv6@127.0.0.1:80'"},
		{"fe80::1%lo:80", true, codeInvalidAddress, "invalid address: 'fe80::1%lo' in 'fe80::1%lo:80'"},
		{"${ADDR-1}:80", true, codeInvalidAddress, "invalid address: '127.0.0.3-1}' in '${ADDR-1}:80'"},
		{long, true, codeInvalidAddress, "socket path '" + long + "' too long (max 97)"},
		{"-:80", true, codeInvalidAddress, "invalid address: '-' in '-:80'"},
		{"a..b:80", true, codeInvalidAddress, "invalid address: 'a..b' in 'a..b:80'"},
		{"_srv:80", false, codeInvalidAddress, "could not resolve address '_srv'."},
		{"[a,b]:80", false, codeInvalidAddress, "could not resolve address '[a,b]'."},
		{"sockpair@3", true, codeNotImplemented, "address prefix 'sockpair@' is not implemented yet in 'sockpair@3'"},
		{"mptcp@:80", true, codeNotImplemented, "address prefix 'mptcp@' is not implemented yet in 'mptcp@:80'"},
		{"127.0.0.1:70000", false, codeInvalidAddress, "invalid port '70000'"},
		{"127.0.0.1:+70000", false, codeInvalidAddress, "invalid port '+70000'"},
		{"127.0.0.1:80-90", false, codeInvalidAddress, "port range not permitted here in '127.0.0.1:80-90'"},
		{"127.0.0.1:abc", false, codeInvalidAddress, "invalid character 'a' in port number 'abc' in '127.0.0.1:abc'"},
		{"10.0.0.256:80", false, codeInvalidAddress, "could not resolve address '10.0.0.256'."},
		{"::1", false, codeInvalidAddress, "could not resolve address ':'."},
		{"fd@3", false, codeInvalidAddress, "a file descriptor is not acceptable here in 'fd@3'"},
		{"udp@127.0.0.1:80", false, codeInvalidAddress, "dgram-type address not acceptable in 'udp@127.0.0.1:80'"},
	} {
		got, err := parseAddresses(c.in, c.bind, testEnv)
		var we *wordError
		if !errors.As(err, &we) || got != nil || we.msg != c.want || we.code != c.code {
			t.Errorf("%q: got %v, %v; want %s: %s", c.in, got, err, c.code, c.want)
		}
	}
}

func FuzzAddress(f *testing.F) {
	for _, s := range []string{
		":80", "127.0.0.1:80-90,[::1]:80", "abns@x", "fd@3", "unix@/a", "localhost:+3", "$ADDR:80", "ipv6@::80", "0x7f.1:1", "udp@:1",
	} {
		f.Add(s, true)
		f.Add(s, false)
	}
	f.Fuzz(func(t *testing.T, s string, bind bool) {
		got, err := parseAddresses(s, bind, testEnv)
		if (err == nil) == (len(got) == 0) {
			t.Fatalf("%q: %d addresses and error %v", s, len(got), err)
		}
		if !bind && len(got) > 1 {
			t.Fatalf("%q: %d addresses for a server", s, len(got))
		}
		for _, a := range got {
			checkAddressRange(t, a, bind)
		}
	})
}

// checkAddressRange fails when an address is none of the things that it may be.
func checkAddressRange(t *testing.T, a Address, bind bool) {
	t.Helper()
	low := 1
	if a.PortOffset {
		low = -65535
	}
	switch {
	case a.Kind == AddrTCP && (a.Port < low || a.Port > 65535):
		t.Fatalf("port out of range: %+v", a)
	case a.Kind == AddrTCP && a.IP.IsValid() == (a.Host != ""):
		t.Fatalf("an IP xor a host: %+v", a)
	case a.Kind == AddrFD && (a.FD < 0 || !bind):
		t.Fatalf("bad descriptor: %+v", a)
	case a.Kind < AddrTCP || a.Kind > AddrFD:
		t.Fatalf("no kind: %+v", a)
	}
}
