package admin

import (
	"strings"
	"testing"

	"github.com/penstock/penstock/internal/session"
)

// Whatever an operator writes as a filter is read to its end or refused in words.
func FuzzFilter(f *testing.F) {
	s := mustStage(f, "listen l\n bind unix@"+f.TempDir()+"/l\n server s1 127.0.0.1:1\n")
	for _, seed := range []string{
		"server l/s1 older 5m", "client 10.0.0.0/8 idle 1h", "client ::1 susp", "backend #1", "frontend l worker 2", "state relay", "server #2/#1", "older", "x y", "client ::ffff:1.2.3.4/100",
	} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, text string) {
		var wanted filter
		for args := strings.Fields(text); len(args) > 0; {
			rest, known, err := wanted.read(s.engine, args)
			if err != nil {
				if err.Error() == "" {
					t.Errorf("%q is refused without a word", text)
				}
				return
			}
			if !known {
				return
			}
			if len(rest) >= len(args) {
				t.Fatalf("%q: nothing is read of %q", text, args)
			}
			args = rest
		}
		wanted.match(&session.View{})
		parseID(text)
	})
}
