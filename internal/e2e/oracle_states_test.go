package e2e

import (
	"regexp"
	"testing"
)

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

// Backups come and go with the active servers, trackers with the one they track; sessions end where the line says so.
func TestOracleBackupsAndTracks(t *testing.T) {
	t.Parallel()
	const checks = "inter 400ms fastinter 30ms downinter 30ms rise 1 fall 1"
	d := startDuet(t, marked+`
frontend f
    bind {f1}
    default_backend b
frontend g
    bind {f2}
    default_backend all
frontend h
    bind {f3}
    default_backend chain
backend b
    option tcp-check
    tcp-check expect string UP
    server s1 {s1} check port {c1} `+checks+` on-marked-down shutdown-sessions on-marked-up shutdown-backup-sessions
    server s2 {s2} backup
    server s3 {s3} backup check port {c3} `+checks+`
backend all
    option allbackups
    server s1 {s1} track b/s1 weight 5
    server s2 {s2} backup weight 2
    server s3 {s3} backup weight 3
backend chain
    server s1 {s1} track all/s1
    server s4 {s4} backup track b/s3 on-marked-down shutdown-sessions
`)
	d.open("a", "b@f2", "c@f3", "d@f3")
	d.checked("c3", "UP")
	d.held("c3", "b/s3 status=UP")
	d.held("c1")
	d.answer("c1", "no")
	d.ended("a") // its server was marked down
	d.says("Server chain/s1 is DOWN via all/s1")
	d.held("c1", "b/s1 status=DOWN", "all/s1 status=DOWN", "chain/s1 status=DOWN", "all/BACKEND bck=2")
	d.open("e", "f@f2", "g@f3", "g2@f3")
	d.stat()
	d.answer("c1", "UP")
	d.ended("e") // the backup has done its work
	d.says("Server chain/s1 is UP via all/s1")
	d.held("c1", "b/s1 status=UP", "chain/s1 status=UP") // till the end of the test
	d.open("h", "i@f2", "j@f3")
	d.leave("b@f2", "c@f3", "f@f2", "g@f3", "g2@f3", "h", "i@f2", "j@f3")

	// Administrators: what is tracked hands it on.
	d.order("set server b/s1 state maint")
	d.says("Server chain/s1 is going DOWN for maintenance via all/s1")
	d.stat("chain/s1 status=MAINT (via all/s1)")
	d.states()
	d.open("k", "l@f2", "m@f3")
	d.order("set server b/s1 state ready") // the backup has done its work
	d.ended("k")
	d.order("set server b/s1 state drain")
	d.says("Server chain/s1 enters drain state via all/s1")
	d.stat("chain/s1 status=DRAIN")
	d.states()
	d.order("set server chain/s1 state drain", "set server b/s1 state ready", "set server chain/s1 state ready")
	d.says("Server chain/s1 is UP (leaving forced drain)")
	d.stat("chain/s1 status=UP")

	// All of them.
	d.order("set server b/s2 state maint", "set server b/s3 state maint")
	d.says("Server chain/s4 is going DOWN for maintenance via b/s3")
	d.ended("m@f3")
	d.order("set server b/s1 state maint")
	d.says("backend chain has no server available!")
	d.stat("b/BACKEND status=DOWN", "chain/BACKEND status=DOWN")
	d.dial("n")
	d.ended("n")
	d.order("set server b/s3 state ready")
	d.says("Server chain/s4 is UP/READY (leaving maintenance)")
	d.stat("b/BACKEND status=UP bck=1", "chain/BACKEND status=UP bck=1")
	d.open("o")
	d.leave("o", "l@f2", "d@f3")
	d.stat()
	d.states()
	d.end("mark/m")
}

// Connections that fail count as failed checks, as far as the line says so.
func TestOracleObserve(t *testing.T) {
	t.Parallel()
	for _, mode := range []string{"fastinter", "fail-check", "sudden-death", "mark-down"} {
		t.Run(mode, func(t *testing.T) {
			t.Parallel()
			d := startDuet(t, marked+`
frontend f
    bind {f1}
    default_backend b
backend b
    retries 0
    option tcp-check
    tcp-check expect string UP
    server s1 {s1} check port {c1} inter 1h fastinter 20ms downinter 20ms rise 2 fall 3 observe layer4 error-limit 2 on-error {mode}
    server s2 {s2} backup
`, "mode", mode)
			for _, s := range d.sides { // the session that saw the last failure ends meanwhile
				s.mask = regexp.MustCompile(`\d+ sessions active`)
			}
			d.checked("c1", "UP")
			d.stat("b/s1 status=UP")
			d.open("a")
			d.refuse("s1")
			d.dial("b")
			d.ended("b")
			d.stat()
			d.dial("c")
			d.ended("c") // the limit
			if mode == "mark-down" {
				d.says("Server b/s1 is DOWN")
			}
			d.held("c1")
			d.answer("c1", "no")
			d.held("c1")
			d.serve("s1")
			d.answer("c1", "UP")
			d.leave("a")
			if mode == "sudden-death" || mode == "mark-down" {
				d.checked("c1", "UP")
				d.says("Server b/s1 is UP")
			}
			d.stat("b/s1 status=UP")
			d.open("d")
			d.leave("d")
			d.stat()
			d.end("mark/m")
		})
	}
}

// What operators order, and what is shown of it.
func TestOracleOrders(t *testing.T) {
	t.Parallel()
	const checks = "check inter 400ms fastinter 30ms downinter 30ms rise 2 fall 2"
	d := startDuet(t, marked+`
frontend f
    bind {f1}
    default_backend b
backend b
    option tcp-check
    tcp-check expect string UP
    server s1 {s1} port {c1} weight 10 `+checks+`
    server s2 {s2} weight 20
    server s3 {s3} weight 30 disabled
    server s4 {s4} backup weight 7
backend static
    balance static-rr
    server s1 {s1} weight 6
    server s2 {s2} weight 9
backend none
`)
	d.checked("c1", "UP")
	d.held("c1", "b/s1 status=UP") // one check waits all the time
	d.states()
	for _, step := range []string{
		"set server b/s1 state drain", "set server b/s1 state maint", "set server b/s1 state drain", "set server b/s1 state ready",
		"!check", "set server b/s2 state drain", "set server b/s2 state drain", "set server b/s1 state drain", "set server b/s4 state maint",
		"set server b/s2 state ready", "set server b/s3 state ready", "set server b/s4 state ready", "set server b/s1 state ready",
		"set server b/s1 health down", "!check", "!check",
		"set server b/s1 health stopping", "set server b/s1 health up", "set server b/s2 health down", "set server b/s2 health stopping",
		"set server b/s2 state drain", "set server b/s2 state ready", "set server b/s2 health up",
		"set server b/s1 health up", "disable health b/s1", "set server b/s1 health down", "enable health b/s1", "!check", "!check",
		"set weight b/s1 50%", "set weight b/s2 0", "set weight b/s1 100%", "set weight b/s2 0%", "set weight b/s3 256", "set weight b/s3 257",
		"set weight b/s3 -1", "set weight b/s3 x", "set weight b/s2 3", "get weight b/s2", "get weight b/s3", "set server b/s1 weight 0",
		"set server b/s1 state drain", "set server b/s1 state ready", "set server b/s1 weight 10",
		"set weight static/s1 0", "set weight static/s1 5", "set weight static/s1 100%", "set weight static/s2 9",
		"disable server b/s2", "disable server b/s2", "enable server b/s2", "set server b/s2 state maint", "disable server b/s2", "enable server b/s2",
		"set server b/s1 state maint", "set server b/s2 state maint", "set server b/s3 state maint", "set server b/s4 state maint",
		"set server b/s4 state drain", "set server b/s4 state ready", "set server b/s1 state drain",
		"set server b/s1 state ready", "set maxconn server b/s2 4", "set server b/s2 check-port 1", "set server b/s1 state x", "set server b/x state ready",
		"show servers state none", "show servers state nothing",
	} {
		if step == "!check" {
			d.answer("c1", "UP")
			d.held("c1")
			continue
		}
		d.order(step)
		d.agree("after "+step, (*side).rows, nil)
		d.states()
	}
	d.stat()
	d.end("mark/m")
}
