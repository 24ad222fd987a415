package config

import (
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

var dynamicProxy = &Proxy{Name: "be", Kind: Backend}

func TestParseDynamicServer(t *testing.T) {
	for _, test := range []struct {
		words string
		ready bool
		err   string
	}{
		{words: "s1 127.0.0.1:1"},
		{words: "s1 127.0.0.1:1 enabled", ready: true},
		{words: "s1 127.0.0.1:1 enabled disabled"},
		{words: "s1 127.0.0.1:1 check inter 1s weight 5 source 127.0.0.5 maxconn 3 backup"},
		{words: "s1 127.0.0.1:1 source 127.0.0.5 interface lo no-check", err: "'no-check' option is not accepted for dynamic server"},
		{words: "s1 host.example:1"},
		{words: "s1", err: "'server' expects <name> and <addr>[:<port>] as arguments."},
		{words: "", err: "'server' expects <name> and <addr>[:<port>] as arguments."},
		{words: "s1 127.0.0.1:1 blah", err: "unknown keyword 'blah'."},
		{words: "s1 127.0.0.1:1 wieght 1", err: "unknown keyword 'wieght'; did you mean 'weight' maybe ?"},
		{words: "s1 127.0.0.1:1 resolvers x", err: "'resolvers' option is not accepted for dynamic server"},
		{words: "s1 127.0.0.1:1 ssl", err: "'ssl' option is not accepted for dynamic server"},
		{words: "s1 127.0.0.1:+1 check", err: "config: backend 'be': server 's1' has neither service port nor check port."},
		{words: "s1 127.0.0.1:1 check addr host.example", err: "'addr' : a name is not resolved at run time ('host.example')."},
	} {
		s, ready, err := ParseDynamicServer(dynamicProxy, strings.Fields(test.words))
		text := ""
		if err != nil {
			text = err.Error()
		}
		if diff := cmp.Diff(test.err, text); diff != "" || ready != test.ready || (s == nil) != (err != nil) {
			t.Errorf("%s: ready %v, %v: %s", test.words, ready, s, diff)
		}
	}
}

// What help names can be used.
func TestDynamicServerParams(t *testing.T) {
	list := DynamicServerParams()
	if !slices.Contains(list, "weight") || !slices.Contains(list, "check") || slices.Contains(list, "init-addr") || !slices.IsSorted(list) {
		t.Errorf("%v", list)
	}
}

func FuzzDynamicServer(f *testing.F) {
	for _, seed := range []string{
		"s1 127.0.0.1:1", "s1 :80 check port 5 track be/s2", "s1 unix@/x source 0.0.0.0 usesrc client", "s1 a:+1 check addr b:2",
		"s1 1.2.3.4:5 set-proxy-v2-tlv-fmt(0x20) x enabled", "s1 fd@3 weight", "s1 1.2.3.4:5 source", "é 1.2.3.4:99999 id -1",
	} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, line string) {
		s, _, err := ParseDynamicServer(dynamicProxy, strings.Fields(line))
		switch {
		case err != nil && (s != nil || err.Error() == ""):
			t.Errorf("%q: %v, error %q", line, s, err)
		case err != nil:
		case s == nil || s.Name == "" || s.Weight < 0 || s.Weight > maxWeight || s.ID < 0:
			t.Errorf("%q gives %+v", line, s)
		}
	})
}
