package admin

import (
	"strings"
	"testing"

	"github.com/penstock/penstock/internal/session"
)

// A dump of all sessions takes the workers piece by piece: between two pieces, whose size is bounded, a worker goes
// round its loop and serves everybody else.
func TestDumpGivesWay(t *testing.T) {
	const sessions = 5 * session.ExamineMost
	s, _ := mustSessions(t, sessions)
	rounds := func() (sum uint32) {
		for _, w := range s.engine.Resources() {
			sum += w.Rounds
		}
		return sum
	}
	before := rounds()
	dump := s.ask("operator", "show sess all")
	if n := strings.Count(dump, "tcp=ESTABLISHED"); n != 2*sessions {
		t.Errorf("%d sides in the dump, want %d", n, 2*sessions)
	}
	if n := rounds() - before; n < sessions/session.ExamineMost {
		t.Errorf("the workers went round %d times during a dump of %d pieces", n, sessions/session.ExamineMost)
	}
}
