package e2e

import "testing"

// marked is a backend that no session uses: the last line of a test is about its server.
const marked = `
backend mark
    server m {x9}
`

// Every step of rise and fall, its counters and its lines. A check that comes after the wrong interval comes in an hour.
func TestOracleRiseAndFall(t *testing.T) {
	t.Parallel()
	d := startDuet(t, marked+`
backend b
    option tcp-check
    tcp-check expect string UP
    server soon {x1} check port {c1} inter 1h fastinter 50ms downinter 50ms rise 3 fall 2
    server settled {x1} check port {c2} inter 200ms fastinter 1h downinter 1h rise 2 fall 3
    server down {x1} check port {c3} inter 1h fastinter 1h downinter 50ms rise 2 fall 2
    server spare {x1} backup check port {c4} inter 1h fastinter 50ms downinter 1h fall 2
`)
	// The first failure of a server that was never checked is enough.
	d.held("c1", "b/soon status=UP")
	d.held("c2", "b/settled status=UP")
	d.held("c3", "b/down status=UP")
	d.held("c4", "b/spare status=UP")
	d.answer("c1", "no")
	d.says("Server b/soon is DOWN")
	for _, status := range []string{"DOWN", "DOWN 1/3", "DOWN 2/3"} {
		d.checked("c1", "UP", "b/soon status="+status)
	}
	d.says("Server b/soon is UP")
	d.stat("b/soon status=UP")

	d.answer("c2", "UP")
	d.checked("c2", "no", "b/settled status=UP")
	d.stat("b/settled status=UP 2/3") // and the next check comes in an hour

	d.answer("c3", "no")
	d.says("Server b/down is DOWN")
	d.checked("c3", "no", "b/down status=DOWN chkfail=1")
	d.checked("c3", "UP", "b/down status=DOWN chkfail=1")
	d.stat("b/down status=DOWN 1/2")

	d.answer("c4", "no")
	d.says("Server b/spare is DOWN")
	d.states()
	d.end("mark/m")
}
