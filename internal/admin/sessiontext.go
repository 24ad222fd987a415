package admin

import (
	"strconv"
	"time"

	"github.com/penstock/penstock/internal/session"
	"github.com/penstock/penstock/netio"
)

// The text of sessions. The first fields of a line and of a dump are those that scripts know, in their places. What
// is told there of buffers and tasks of another program has no counterpart here: such fields are empty or zero.
// Behind them come our own.
//
// Programs ask for thousands of sessions each second, on the CPUs that the workers need: nothing is allocated for one.

// sheet is a text that grows by fields. A method takes what stands before its value, so that a line of code reads like what it writes.
type sheet struct{ b []byte }

func (t *sheet) put(before, word string) *sheet {
	t.b = append(append(t.b, before...), word...)
	return t
}

func (t *sheet) num(before string, n int64) *sheet {
	t.b = strconv.AppendInt(append(t.b, before...), n, 10)
	return t
}

func (t *sheet) count(before string, n uint64) *sheet {
	t.b = strconv.AppendUint(append(t.b, before...), n, 10)
	return t
}

// hex writes at least so many digits.
func (t *sheet) hex(before string, n uint64, digits int) *sheet {
	t.b = append(t.b, before...)
	for d := digits - 1; d > 0 && n>>(4*d) == 0; d-- {
		t.b = append(t.b, '0')
	}
	t.b = strconv.AppendUint(t.b, n, 16)
	return t
}

func (t *sheet) flag(before string, is bool) *sheet {
	if is {
		return t.put(before, "1")
	}
	return t.put(before, "0")
}

// addr writes IPv6 without brackets, as its readers expect.
func (t *sheet) addr(before string, a *netio.Addr) *sheet {
	ap := a.AddrPort()
	if !ap.IsValid() {
		return t.put(before, "unix:1")
	}
	t.b = ap.Addr().AppendTo(append(t.b, before...))
	return t.num(":", int64(ap.Port()))
}

// known writes an address, or nothing when there is none.
func (t *sheet) known(before string, a *netio.Addr) *sheet {
	if a.Family == 0 {
		return t
	}
	return t.addr(before, a)
}

// span writes a time in seconds, by its two largest units that are not zero.
func (t *sheet) span(before string, ms int64) *sheet {
	t.b = append(t.b, before...)
	rest, most := max(ms, 0)/1000, 2
	if rest == 0 {
		return t.put("", "0s")
	}
	for _, unit := range [...]struct {
		letter  byte
		seconds int64
	}{{'d', 86400}, {'h', 3600}, {'m', 60}, {'s', 1}} {
		if n := rest / unit.seconds; n > 0 && most > 0 {
			t.b = append(strconv.AppendInt(t.b, n, 10), unit.letter)
			most--
		}
		rest %= unit.seconds
	}
	return t
}

// left writes the time until something, or what stands for never.
func (t *sheet) left(before string, ms int64, never string) *sheet {
	if ms < 0 {
		return t.put(before, never)
	}
	return t.span(before, ms)
}

func (t *sheet) millis(before string, ms int64) *sheet {
	if ms < 0 {
		return t.put(before, "-")
	}
	return t.num(before, ms).put("", "ms")
}

// micros writes milliseconds with three places.
func (t *sheet) micros(before string, d time.Duration) *sheet {
	us := d.Microseconds()
	t.num(before, us/1000).put(".", "")
	for place := int64(100); place > 0; place /= 10 {
		t.b = append(t.b, byte('0'+us/place%10))
	}
	return t.put("", "ms")
}

// short writes one session on one line.
func (t *sheet) short(v *session.View) {
	t.hex("0x", uint64(v.ID), 1).put(": proto=", proto(&v.Peer)).addr(" src=", &v.Peer).put(" fe=", v.Frontend)
	t.put(" be=", orNone(v.Backend, "<NONE>")).put(" srv=", orNone(v.Server, "<none>"))
	t.span(" ts=00 epoch=0 age=", v.AgeMs).num(" calls=0 rate=0 cpu=0 lat=0 rq[f=0h,i=", int64(v.Up.Waiting)).num(",an=00h,ax=] rp[f=0h,i=", int64(v.Down.Waiting))
	t.hex(",an=00h,ax=] scf=[8,", uint64(v.Client.Flags), 1).num("h,fd=", int64(v.Client.FD)).left(",rex=", v.Client.ExpiresMs, "")
	number, _ := farState(v)
	t.num(",wex=] scb=[", number).hex(",", uint64(v.Far.Flags), 1).num("h,fd=", int64(v.Far.FD)).left(",rex=", v.Far.ExpiresMs, "")
	t.left(",wex=] exp=", v.ExpiresMs, "").num(" rc=", int64(v.Retries)).num(" c_exp= worker=", int64(v.Worker+1)).put(" state=", v.State)
	t.put(" mode=", mode(&v.Up)).put("/", mode(&v.Down)).count(" bytes=", v.Up.Bytes).count("/", v.Down.Bytes)
	t.span(" idle=", v.IdleMs).millis(" queue=", queueMs(v)).put("\n", "")
}

// long writes everything about one session.
func (t *sheet) long(v *session.View) {
	t.hex("0x", uint64(v.ID), 1).put(": [", "")
	t.b = v.Accepted.AppendFormat(t.b, "02/Jan/2006:15:04:05.000000")
	t.count("] id=", v.Number).put(" proto=", proto(&v.Peer)).addr(" source=", &v.Peer)
	t.num("\n  flags=0x0, conn_retries=", int64(v.Retries)).put(", state=", v.State).put(", term=", orNone(v.Term, "--"))
	t.span(", age=", v.AgeMs).span(", idle=", v.IdleMs).millis(", queue=", queueMs(v)).millis(", connect=", v.ConnectMs).flag(", redispatched=", v.Redispatched)
	local := &v.Bound
	if v.Client.Local.Family != 0 {
		local = &v.Client.Local
	}
	t.put("\n  frontend=", v.Frontend).num(" (id=", int64(v.FrontendID)).put(" mode=tcp), listener=", orNone(v.Listener, "?"))
	t.num(" (id=", int64(v.ListenerID)).addr(") addr=", local)
	if v.Backend == "" {
		t.put("\n  backend=<NONE> (id=-1 mode=-)", "")
	} else {
		t.put("\n  backend=", v.Backend).num(" (id=", int64(v.BackendID)).put(" mode=tcp)", "").known(" addr=", &v.Far.Local)
	}
	if v.Server == "" {
		t.put("\n  server=<NONE> (id=-1)", "")
	} else {
		t.put("\n  server=", v.Server).num(" (id=", int64(v.ServerID)).put(")", "").known(" addr=", &v.ServerAddr)
	}
	t.num("\n  worker=", int64(v.Worker+1)).left(" (exp=", v.ExpiresMs, "<NEVER>").put(")\n", "")
	_, state := farState(v)
	t.side("scf", &v.Client, "EST")
	t.side("scb", &v.Far, state)
	t.flow("req", &v.Up)
	t.flow("res", &v.Down)
}

func (t *sheet) side(name string, s *session.SideView, state string) {
	t.put("  ", name).put("=", state).hex(" flags=0x", uint64(s.Flags), 4).num(" fd=", int64(s.FD))
	t.flag(" eof=", s.EOF).flag(" shut=", s.Shut).flag(" blocked=", s.Blocked).left(" exp=", s.ExpiresMs, "<NEVER>").put("\n", "")
	if i := s.TCP; i != nil {
		t.put("      tcp=", i.State).micros(" rtt=", i.RTT).micros(" rttvar=", i.RTTVar).count(" retrans=", uint64(i.Retransmits)).count(" lost=", uint64(i.Lost))
		t.count(" cwnd=", uint64(i.Congestion)).count(" unacked=", uint64(i.Unacked)).count(" unsent=", uint64(i.Unsent)).count(" delivery_rate=", i.DeliveryRate).put("\n", "")
	}
}

func (t *sheet) flow(name string, f *session.FlowView) {
	t.put("  ", name).put("=", mode(f)).count(" total=", f.Bytes).num(" waiting=", int64(f.Waiting)).flag(" done=", f.Done).put("\n", "")
}

func mode(f *session.FlowView) string {
	if f.Splice {
		return "splice"
	}
	return "copy"
}

// farState is the number and the name of the state of a server connection.
func farState(v *session.View) (number int64, name string) {
	switch v.State {
	case "queued":
		return 2, "QUE"
	case "turnaround":
		return 3, "TAR"
	case "connecting":
		return 5, "CON"
	}
	return 8, "EST"
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

// queueMs is the time until a server was chosen, or for as long as that has not happened the time so far.
func queueMs(v *session.View) int64 {
	if v.QueueMs < 0 {
		return v.AgeMs
	}
	return v.QueueMs
}

func orNone(name, none string) string {
	if name == "" {
		return none
	}
	return name
}
