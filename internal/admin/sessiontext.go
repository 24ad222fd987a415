package admin

import (
	"bytes"
	"fmt"
	"strconv"
	"time"

	"github.com/penstock/penstock/internal/session"
	"github.com/penstock/penstock/netio"
)

// The text of sessions. The first fields of a line and of a dump are those that scripts know, in their places. What
// is told there of buffers and tasks of another program has no counterpart here: such fields are empty or zero.
// Behind them come our own.

// appendShort writes one session on one line.
func appendShort(text *bytes.Buffer, v *session.View) {
	fmt.Fprintf(text, "0x%x: proto=%s src=%s fe=%s be=%s srv=%s ts=00 epoch=0 age=%s calls=0 rate=0 cpu=0 lat=0",
		uint64(v.ID), proto(&v.Peer), address(&v.Peer), v.Frontend, orNone(v.Backend, "<NONE>"), orNone(v.Server, "<none>"), span(v.AgeMs))
	fmt.Fprintf(text, " rq[f=0h,i=%d,an=00h,ax=] rp[f=0h,i=%d,an=00h,ax=]", v.Up.Waiting, v.Down.Waiting)
	fmt.Fprintf(text, " scf=[8,%xh,fd=%d,rex=%s,wex=] scb=[%d,%xh,fd=%d,rex=%s,wex=] exp=%s rc=%d c_exp=",
		v.Client.Flags, v.Client.FD, left(v.Client.ExpiresMs), farState(v), v.Far.Flags, v.Far.FD, left(v.Far.ExpiresMs), left(v.ExpiresMs), v.Retries)
	fmt.Fprintf(text, " worker=%d state=%s mode=%s/%s bytes=%d/%d idle=%s queue=%s\n",
		v.Worker+1, v.State, mode(&v.Up), mode(&v.Down), v.Up.Bytes, v.Down.Bytes, span(v.IdleMs), queueTime(v))
}

// appendLong writes everything about one session.
func appendLong(text *bytes.Buffer, v *session.View) {
	line := func(format string, args ...any) { fmt.Fprintf(text, format+"\n", args...) }
	line("0x%x: [%s] id=%d proto=%s source=%s", uint64(v.ID), v.Accepted.Format("02/Jan/2006:15:04:05.000000"), v.Number, proto(&v.Peer), address(&v.Peer))
	line("  flags=0x0, conn_retries=%d, state=%s, term=%s, age=%s, idle=%s, queue=%s, connect=%s, redispatched=%d",
		v.Retries, v.State, orNone(v.Term, "--"), span(v.AgeMs), span(v.IdleMs), queueTime(v), milliseconds(v.ConnectMs), number(v.Redispatched))
	local := v.Bound
	if v.Client.Local.Family != 0 {
		local = v.Client.Local
	}
	line("  frontend=%s (id=%d mode=tcp), listener=%s (id=%d) addr=%s", v.Frontend, v.FrontendID, orNone(v.Listener, "?"), v.ListenerID, address(&local))
	if v.Backend == "" {
		line("  backend=<NONE> (id=-1 mode=-)")
	} else {
		line("  backend=%s (id=%d mode=tcp)%s", v.Backend, v.BackendID, optionalAddress(&v.Far.Local))
	}
	if v.Server == "" {
		line("  server=<NONE> (id=-1)")
	} else {
		line("  server=%s (id=%d)%s", v.Server, v.ServerID, optionalAddress(&v.ServerAddr))
	}
	line("  worker=%d (exp=%s)", v.Worker+1, orNever(v.ExpiresMs))
	appendSide(text, "scf", &v.Client, "EST")
	appendSide(text, "scb", &v.Far, farStateName(v))
	appendFlow(text, "req", &v.Up)
	appendFlow(text, "res", &v.Down)
}

func appendSide(text *bytes.Buffer, name string, s *session.SideView, state string) {
	fmt.Fprintf(text, "  %s=%s flags=0x%04x fd=%d eof=%d shut=%d blocked=%d exp=%s\n",
		name, state, s.Flags, s.FD, number(s.EOF), number(s.Shut), number(s.Blocked), orNever(s.ExpiresMs))
	if i := s.TCP; i != nil {
		fmt.Fprintf(text, "      tcp=%s rtt=%s rttvar=%s retrans=%d lost=%d cwnd=%d unacked=%d unsent=%d delivery_rate=%d\n",
			i.State, milliFraction(i.RTT), milliFraction(i.RTTVar), i.Retransmits, i.Lost, i.Congestion, i.Unacked, i.Unsent, i.DeliveryRate)
	}
}

func appendFlow(text *bytes.Buffer, name string, f *session.FlowView) {
	fmt.Fprintf(text, "  %s=%s total=%d waiting=%d done=%d\n", name, mode(f), f.Bytes, f.Waiting, number(f.Done))
}

func mode(f *session.FlowView) string {
	if f.Splice {
		return "splice"
	}
	return "copy"
}

// The numbers and names of the states of a server connection.
func farState(v *session.View) int {
	return map[string]int{"queued": 2, "turnaround": 3, "connecting": 5, "relay": 8, "leaving": 8}[v.State]
}

func farStateName(v *session.View) string {
	return map[string]string{"queued": "QUE", "turnaround": "TAR", "connecting": "CON", "relay": "EST", "leaving": "EST"}[v.State]
}

func proto(a *netio.Addr) string {
	switch a.Family {
	case netio.FamilyInet:
		return "tcpv4"
	case netio.FamilyIn6:
		return "tcpv6"
	}
	return "unix_stream"
}

// address writes IPv6 without brackets, as its readers expect.
func address(a *netio.Addr) string {
	ap := a.AddrPort()
	if !ap.IsValid() {
		return "unix:1"
	}
	return fmt.Sprintf("%s:%d", ap.Addr(), ap.Port())
}

func optionalAddress(a *netio.Addr) string {
	if a.Family == 0 {
		return ""
	}
	return " addr=" + address(a)
}

// span writes a time in seconds, by its two largest units that are not zero.
func span(ms int64) string {
	rest, text := max(ms, 0)/1000, ""
	most := 2
	for _, unit := range []struct {
		letter  string
		seconds int64
	}{{"d", 86400}, {"h", 3600}, {"m", 60}, {"s", 1}} {
		if n := rest / unit.seconds; n > 0 && most > 0 {
			text += strconv.FormatInt(n, 10) + unit.letter
			most--
		}
		rest %= unit.seconds
	}
	return orNone(text, "0s")
}

func left(ms int64) string {
	if ms < 0 {
		return ""
	}
	return span(ms)
}

func orNever(ms int64) string { return orNone(left(ms), "<NEVER>") }

func milliseconds(ms int64) string {
	if ms < 0 {
		return "-"
	}
	return fmt.Sprintf("%dms", ms)
}

// queueTime is the time until a server was chosen, or for as long as that has not happened the time so far.
func queueTime(v *session.View) string {
	if v.QueueMs < 0 {
		return milliseconds(v.AgeMs)
	}
	return milliseconds(v.QueueMs)
}

func milliFraction(d time.Duration) string {
	return fmt.Sprintf("%.3fms", float64(d.Microseconds())/1000)
}

func number(b bool) int {
	if b {
		return 1
	}
	return 0
}

func orNone(name, none string) string {
	if name == "" {
		return none
	}
	return name
}
