package admin

import (
	"fmt"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/penstock/penstock/internal/testutil"
)

// dynamicScene is the configuration to which servers are added.
const dynamicScene = `
global
    stats socket %s level admin
defaults
    mode tcp
    timeout connect 5s
    timeout server 5s
    timeout client 5s
frontend fe
    bind 127.0.0.1:%d
    default_backend be
backend be
    balance roundrobin
    default-server weight 77
    server s1 %[3]s weight 10
    server s2 %[3]s id 9
backend tr
    balance leastconn
    server t1 %[3]s check inter 10s
    server t2 %[3]s track t1
backend st
    balance static-rr
    server a %[3]s weight 2
backend off
    disabled
    server a %[3]s
`

// dynamicScript is what both are told.
const dynamicScript = `
add server
add server be
add server be/
add server /x
add server be/x
add server nope/x 127.0.0.1:1
add server fe/x 127.0.0.1:1
add server off/x 127.0.0.1:1
add server st/x 127.0.0.1:1
add server be/s1 127.0.0.1:1
add server be/x 127.0.0.1
add server be/y 127.0.0.1:9
show servers state be
get weight be/y
add server be/n3 127.0.0.1:9 wieght 3
add server be/n3 127.0.0.1:9 blah
add server be/n3 127.0.0.1:9 weight 999
add server be/n3 127.0.0.1:9 weight -1
add server be/n3 127.0.0.1:9 id 1
add server be/n3 127.0.0.1:9 id 9
add server be/n3 127.0.0.1:9 id 0
add server be/n3 127.0.0.1:9 id x
add server be/n3 127.0.0.1:9 id 50 weight 7 maxconn 4
get weight be/n3
add server be/n4 127.0.0.1:9 enabled
show servers state be
add server be/n5 127.0.0.1:9 track be/nope
add server be/n5 127.0.0.1:9 track nope/s1
add server be/n5 127.0.0.1:9 track s1
add server be/n5 127.0.0.1:9 init-addr none
add server be/n5 127.0.0.1:9 resolvers x
add server be/n5 127.0.0.1:9 no-check
add server be/n5 127.0.0.1:9 redir http://x
add server be/n5 127.0.0.1:9 tcp-ut 5s
add server be/n5 127.0.0.1:9 stick
add server be/n5 127.0.0.1:9 on-error mark-down
add server be/n5 127.0.0.1:9 check
add server be/n6 127.0.0.1:9 check inter 10s port 10 rise 2 fall 3
enable health be/n5
enable health be/n6
add server be/n7 127.0.0.1:+1 check
add server be/m1 127.0.0.1:9 disabled
add server be/m2 127.0.0.1:9 backup
add server be/m4 127.0.0.1:9-10
add server be/m!4 127.0.0.1:9
add server be/m5 127.0.0.1:9 slowstart 5s
add server be/m7 127.0.0.1:9 check inter 10s on-marked-down shutdown-sessions observe layer4 error-limit 2
add server be/k3 127.0.0.1:9 minconn 5 maxconn 10 maxqueue 2
add server be/k9 127.0.0.1:99999
add server tr/d1 127.0.0.1:9 track tr/t1
show servers state be
enable server be/y
show servers state be
del server
del server be
del server be/nope
del server nope/x
del server off/nope
del server be/y
disable server be/y
del server be/y
del server be/y
add server be/z 127.0.0.1:10
show servers state be
del server tr/t1
disable server tr/t1
del server tr/t1
del server tr/d1
disable server st/a
del server st/a
show servers state st
del server #3/n3
del server be/s1
disable server be/s1
del server be/s1
show servers state be
add server be/s1 127.0.0.1:11 weight 3
show servers state be
`

// Servers come and go with the answers that HAProxy gives, and look the same.
func TestDynamicLikeHAProxy(t *testing.T) {
	haproxy := testutil.Need(t, "haproxy")
	server := testutil.Serve(t, func(*testutil.Conn) {})
	dir := testutil.TempDir(t)
	theirs := filepath.Join(dir, "h")
	text := func(path string) string { return fmt.Sprintf(dynamicScene, path, testutil.FreePort(t), server.Addr) }
	r := mustStage(t, text("/unused"))
	testutil.Start(t, exec.Command(haproxy, "-db", "-f", testutil.WriteFile(t, dir, "h.cfg", text(theirs))))
	const checked = " 6 3 4 6 0 "
	testutil.Eventually(t, "both have checked", func() bool {
		return strings.Contains(r.ask("admin", "show servers state tr"), checked) &&
			strings.Contains(testutil.Ask(t, theirs, "show servers state tr"), checked)
	})
	// A check without rules has none to name, and messages end once.
	file := strings.NewReplacer("h.cfg", "test.cfg", dir+"/", "", " nor tcp_check rule 'connect' with port information", "", "..", ".")
	for line := range strings.Lines(strings.TrimSpace(dynamicScript)) {
		line = strings.TrimSpace(line)
		ours, want := normal(r.ask("admin", "%s", line)), normal(file.Replace(mustAsk(t, theirs, line)))
		want, ours = sorted(want), sorted(ours)
		if diff := cmp.Diff(want, ours); diff != "" {
			t.Errorf("%s (-haproxy +ours):\n%s", line, diff)
		}
	}
}

// lastColumn is, of a line of states, the port of an agent that is not there.
var lastColumn = regexp.MustCompile(`\d+$`)

// sorted has the lines in order: a new server takes the place of one that is gone, while HAProxy shows it last.
func sorted(answer string) string {
	lines := strings.Split(answer, "\n")
	for i, line := range lines {
		if words := strings.Fields(line); len(words) > 20 && words[0] != "#" {
			// That its check pauses HAProxy says only of a server that entered maintenance.
			words[11] = strings.NewReplacer("14", "6", "10", "2").Replace(words[11])
			lines[i] = lastColumn.ReplaceAllString(strings.Join(words, " "), "-")
		}
	}
	slices.Sort(lines)
	return strings.Join(lines, "\n")
}
