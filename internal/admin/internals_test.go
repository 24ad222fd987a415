package admin

import (
	"regexp"
	"strings"
	"testing"
)

func TestInternals(t *testing.T) {
	s, _ := mustSessions(t, 2)
	for line, want := range map[string]string{
		"show activity":              `^thread_id: 1 \(1\.\.2\)\ndate_now: \d+\.\d{6}\nloops: \d+ \[ \d+ \d+ \]\nsessions: 2 \[ \d \d \]\nrunnable: 0 \[ 0 0 \]\ntimers: 2 \[ \d \d \]\nbytes_out: 20 \[.*\]\nspliced_bytes_out: 0 \[ 0 0 \]\n\n$`,
		"show errors":                `^Total events captured on \[\d\d/\w{3}/\d{4}:\d\d:\d\d:\d\d\.\d{3}\] : 0\n\n$`,
		"show errors fe request":     `^Total events captured on .* : 0\n\n$`,
		"show errors nope":           `^No such proxy\.\n\n$`,
		"show events":                `^Supported events sinks are listed below\. .*\n\n$`,
		"show events buf0":           `^No such event sink\n\n$`,
		"show fd":                    `^( +\d+ : listener worker=[12] fe=fe name=in id=1 addr=127\.0\.0\.1:\d+\n){2}( +\d+ : (client worker=[12] sess=0x[0-9a-f]+ fe=fe peer=127\.0\.0\.1:\d+|server worker=[12] sess=0x[0-9a-f]+ sv=be/s[12]) state=relay\n){4}\n$`,
		"show fd 99999":              `^\n$`,
		"show fd x":                  `^'show fd' expects the number of a descriptor, not 'x'\.\n\n$`,
		"show libs":                  `^go\d`,
		"show pools":                 `^Dumping pools usage\.\n  - Pool session \(\d+ bytes\) : \d+ allocated \(\d+ bytes\), 2 used\n  - Pool buffer .*\n  - Pool pipe .*\nTotal: 3 pools, \d+ bytes allocated, \d+ used\.\n\n$`,
		"show threads":               `^  Thread 1 : .* loops=\d+ .*\n  Thread 2 : .*\n\n$`,
		"show startup-logs":          `^\n$`,
		"wait":                       `^Expects a duration in milliseconds\.\n\n$`,
		"wait x":                     `^Invalid duration\.\n\n$`,
		"wait 1":                     `^Done\.\n\n$`,
		"wait 1 that":                `^Unknown condition 'that', expecting srv-removable`,
		"wait 1 srv-removable":       `^Missing server name \(<backend>/<server>\)\.\n\n$`,
		"wait 1 srv-removable x":     `^Require 'backend/server'\.\n\n$`,
		"wait 1 srv-removable be/s1": `^Failed\. Only servers in maintenance mode can be deleted\.\n\n$`,
	} {
		if got := s.ask("operator", "%s", line); !regexp.MustCompile(want).MatchString(got) {
			t.Errorf("%s: %q does not match %s", line, got, want)
		}
	}
	if got := s.ask("user", "set severity-output number;wait 1"); got != "\n[6]: Done.\n\n" {
		t.Errorf("with severity: %q", got)
	}
	var fd string
	if m := regexp.MustCompile(`(?m)^ +(\d+) : client`).FindStringSubmatch(s.ask("operator", "show fd")); m != nil {
		fd = m[1]
	}
	if got := s.ask("operator", "show fd %s", fd); strings.Count(got, "\n") != 2 || !strings.Contains(got, fd+" : client") {
		t.Errorf("show fd %s: %q", fd, got)
	}
}
