package config

import (
	"net/netip"
	"strings"
	"testing"
)

var webConditions = []struct {
	text       string
	yes, no    string // clients
	good, ours bool   // a condition; one that can be tested
}{
	{"if TRUE", "10.0.0.1 ::1 -", "", true, true},
	{"if FALSE", "", "127.0.0.1 -", true, true},
	{"unless TRUE", "", "127.0.0.1 -", true, true},
	{"if LOCALHOST", "127.0.0.1 127.9.0.1 ::1 ::ffff:127.0.0.1", "10.0.0.1 :: fe80::1 -", true, true},
	{"if ! LOCALHOST", "10.0.0.1 -", "127.0.0.1", true, true},
	{"if !LOCALHOST", "10.0.0.1", "127.0.0.1", true, true},
	{"if ! !LOCALHOST", "127.0.0.1", "10.0.0.1", true, true},
	{"unless LOCALHOST || { src 10.0.0.0/8 }", "11.0.0.1", "127.0.0.1 10.255.0.1", true, true},
	{"if { src 10.0.0.0/8 192.168.1.7 2001:db8::/32 }", "10.1.1.1 192.168.1.7 2001:db8::9", "192.168.1.8 ::1 -", true, true},
	{"if { src 10.0.0.0/8 } !{ src 10.1.0.0/16 } or LOCALHOST", "10.0.0.1 127.0.0.1", "10.1.0.1 11.0.0.1", true, true},
	{"if { src fe80::/10 }", "fe80::1%7", "", true, true},
	{"if mine", "", "", true, false},
	{"if { path /x }", "", "", true, false},
	{"if { src -f /x }", "", "", true, false},
	{"if { src 10.0.0.0/33 }", "", "", false, false},
	{"if { src", "", "", false, false},
	{"if", "", "", false, false},
	{"", "", "", false, false},
	{"when TRUE", "", "", false, false},
	{"if TRUE ||", "", "", false, false},
	{"if || TRUE", "", "", false, false},
	{"if TRUE !", "", "", false, false},
}

func TestWebCondition(t *testing.T) {
	for _, test := range webConditions {
		c, err := parseWebCondition(strings.Fields(test.text))
		if (err == nil) != test.ours || (err == errNeedsRules) != (test.good && !test.ours) {
			t.Errorf("%q: %v", test.text, err)
			continue
		}
		for want, clients := range map[bool]string{true: test.yes, false: test.no} {
			for _, client := range strings.Fields(clients) {
				a, _ := netip.ParseAddr(client) // "-" is none
				if got := c.Holds(a); got != want {
					t.Errorf("%q for %s is %t", test.text, client, got)
				}
			}
		}
	}
}

func FuzzWebCondition(f *testing.F) {
	for _, test := range webConditions {
		f.Add(test.text)
	}
	f.Fuzz(func(t *testing.T, text string) {
		c, err := parseWebCondition(strings.Fields(text))
		if err == nil && len(c.Any) == 0 {
			t.Errorf("%q has no test", text)
		}
		c.Holds(netip.Addr{})
	})
}
