package admin

import (
	"fmt"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/penstock/penstock/internal/testutil"
)

const absentScript = `
show table
show table foo
show table foo data.gpc0 gt 1
clear table
clear table foo
clear table foo key 1
set table
set table foo
set table foo key 1 data.gpc0 1
show acl foo
show acl @1 foo
show acl @x
show map
show map foo
show map #0
show map @1 foo
get acl
get acl foo
get acl foo 1
get map
get map foo
get map foo x
set map
set map foo
set map foo x
set map foo x y
add acl
add acl foo
add acl foo x
add acl @1 foo x
add map
add map foo
add map foo x
add map foo x y
add map @1 foo x y
del acl
del acl foo
del acl foo x
del map
del map foo
del map foo x
clear acl
clear acl foo
clear acl @1 foo
clear map
clear map foo
prepare acl
prepare acl foo
prepare map
prepare map foo
commit acl
commit acl foo
commit acl @1
commit acl @1 foo
commit map
commit map foo
commit map @1 foo
show resolvers nope
show peers
show peers dict
show peers foo
show tls-keys
get var
get var proc.x
get var foo
set dynamic-cookie-key backend
set dynamic-cookie-key backend be
set dynamic-cookie-key backend be foo
set dynamic-cookie-key backend nope foo
enable dynamic-cookie backend
enable dynamic-cookie backend be
enable dynamic-cookie backend nope
disable dynamic-cookie backend be
disable dynamic-cookie backend
show cache
show profiling memory
set profiling
set profiling tasks
set profiling tasks foo
set profiling tasks off
set profiling memory on
show env NOPE
show events nope
`

// Commands about what is not there get the answers of a HAProxy that has none of it, at each level.
func TestAbsentLikeHAProxy(t *testing.T) {
	haproxy := testutil.Need(t, "haproxy")
	dir := testutil.TempDir(t)
	levels := []string{"user", "operator", "admin"}
	var sockets strings.Builder
	for _, level := range levels {
		fmt.Fprintf(&sockets, "    stats socket %s level %s\n", filepath.Join(dir, level), level)
	}
	text := func(sockets string) string {
		return fmt.Sprintf(`
global
%sdefaults
    mode tcp
    timeout connect 5s
    timeout server 5s
    timeout client 5s
frontend fe
    bind 127.0.0.1:%d
    default_backend be
backend be
    server s1 127.0.0.1:1
`, sockets, testutil.FreePort(t))
	}
	r := mustStage(t, text(""))
	testutil.Start(t, exec.Command(haproxy, "-db", "-f", testutil.WriteFile(t, dir, "h.cfg", text(sockets.String()))))
	for _, level := range levels { // it resets who comes while it starts
		testutil.Eventually(t, "HAProxy is there", func() bool { return testutil.Ask(t, filepath.Join(dir, level), "show version") != "" })
	}
	for _, level := range levels {
		for line := range strings.Lines(strings.TrimSpace(absentScript)) {
			line = strings.TrimSpace(line)
			want, ours := mustAsk(t, filepath.Join(dir, level), line), r.ask(level, "%s", line)
			if diff := cmp.Diff(strings.TrimRight(want, "\n"), strings.TrimRight(ours, "\n")); diff != "" {
				t.Errorf("%s: %s (-haproxy +ours):\n%s", level, line, diff)
			}
		}
	}
}
