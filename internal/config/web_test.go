package config

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

func TestWeb(t *testing.T) {
	cfg, found := LoadText("test.cfg", `defaults
 mode http
 timeout client 1s
 timeout connect 1s
 timeout server 1s
 stats auth a:b
listen s
 bind :1
 stats uri /stats
 stats auth c:d:e
 stats refresh 5s
 stats realm Some\ place
 stats hide-version
 stats show-legends
 stats show-node here
 stats show-desc two words
 stats scope .
 stats scope b
frontend m
 bind :2
 http-request use-service prometheus-exporter if { path /metrics /m }
 http-request use-service prometheus-exporter
`, Options{})
	if found.Fatal() {
		t.Fatal(found)
	}
	want := []Web{
		{
			Stats: true, URI: "/stats", Realm: "Some place", Users: []WebUser{{"a", "b"}, {"c", "d:e"}}, Refresh: 5 * time.Second,
			HideVersion: true, ShowNode: true, Node: "here", ShowDesc: true, Desc: "two words", ShowLegends: true, Scope: []string{".", "b"},
		},
		{
			Stats: true, URI: "/haproxy?stats", Realm: "HAProxy Statistics", Users: []WebUser{{"a", "b"}}, Metrics: []string{"/metrics", "/m", ""},
		},
	}
	var got []Web
	for _, p := range cfg.Proxies {
		if !p.HTTP {
			t.Errorf("%s is not in HTTP mode", p.Name)
		}
		got = append(got, p.Web)
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
}

// A section that would have to do more than to serve statistics is refused.
func TestWebRefused(t *testing.T) {
	for _, lines := range []string{
		"", " server s 127.0.0.1:1\n stats enable\n", " stats enable\n http-request deny\n", " stats admin if x\n", " stats admin\n",
		" stats http-request auth\n", " stats http-request deny if x\n", " stats http-request wat\n", " stats http-request deny\n stats auth a:b\n", " stats enable\n default_backend b\nbackend b\n mode tcp\n", " stats uri\n", " stats refresh x\n",
		" http-request use-service prometheus-exporter if { path -i /metrics }\n", " stats auth\n", " stats scope\n", " stats realm\n",
		" http-request use-service prometheus-exporter unless { path /metrics }\n", " stats enable\n monitor-uri /up\n",
	} {
		if _, found := LoadText("test.cfg", "listen l\n mode http\n bind :1\n"+lines, Options{}); !found.Fatal() {
			t.Errorf("%q is accepted", lines)
		}
	}
}
