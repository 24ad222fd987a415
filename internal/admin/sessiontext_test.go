package admin

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/penstock/penstock/internal/session"
	"github.com/penstock/penstock/netio"
)

func testView() session.View {
	addr := func(ip byte, port uint16) netio.Addr {
		return netio.Addr{IP: [16]byte{10, 0, 0, ip}, Port: port, Family: netio.FamilyInet}
	}
	return session.View{
		ID: 0x1_2000_0003, Number: 77, Worker: 1, State: "relay", Accepted: time.Date(2026, 11, 20, 8, 9, 10, 123456789, time.Local),
		Frontend: "fe", FrontendID: 2, Listener: "tcp", ListenerID: 3, Bound: addr(1, 3306), Peer: addr(2, 40000),
		Backend: "be", BackendID: 4, Server: "s1", ServerID: 1, ServerAddr: addr(3, 3306),
		AgeMs: 90_061_000, IdleMs: 59_999, QueueMs: 0, ConnectMs: 12, ExpiresMs: 3_600_000, Retries: 1, Redispatched: true,
		Client: session.SideView{FD: 17, Flags: 0x2a, ExpiresMs: -1, EOF: true, Local: addr(1, 3306), TCP: &netio.TCPInfo{
			State: "ESTABLISHED", RTT: 1234 * time.Microsecond, RTTVar: 50 * time.Microsecond, Congestion: 10, Retransmits: 2, DeliveryRate: 1 << 40,
		}},
		Far:  session.SideView{FD: -1, Flags: 0x1002, ExpiresMs: 1000, Blocked: true},
		Up:   session.FlowView{Bytes: 5, Waiting: 3},
		Down: session.FlowView{Bytes: 1 << 40, Splice: true, Done: true},
	}
}

func TestSessionText(t *testing.T) {
	v := testView()
	waiting := session.View{ID: 1, State: "queued", Frontend: "fe", Bound: netio.Addr{}, AgeMs: 250, QueueMs: -1, ConnectMs: -1, ExpiresMs: -1}
	waiting.Client = session.SideView{FD: 5, ExpiresMs: -1}
	waiting.Far = session.SideView{FD: -1, ExpiresMs: -1}
	var out sheet
	out.short(&v)
	out.short(&waiting)
	out.long(&v)
	out.long(&waiting)
	const want = `0x120000003: proto=tcpv4 src=10.0.0.2:40000 fe=fe be=be srv=s1 ts=00 epoch=0 age=1d1h calls=0 rate=0 cpu=0 lat=0 rq[f=0h,i=3,an=00h,ax=] rp[f=0h,i=0,an=00h,ax=] scf=[8,2ah,fd=17,rex=,wex=] scb=[8,1002h,fd=-1,rex=1s,wex=] exp=1h rc=1 c_exp= worker=2 state=relay mode=copy/splice bytes=5/1099511627776 idle=59s queue=0ms
0x1: proto=unix_stream src=unix:1 fe=fe be=<NONE> srv=<none> ts=00 epoch=0 age=0s calls=0 rate=0 cpu=0 lat=0 rq[f=0h,i=0,an=00h,ax=] rp[f=0h,i=0,an=00h,ax=] scf=[8,0h,fd=5,rex=,wex=] scb=[2,0h,fd=-1,rex=,wex=] exp= rc=0 c_exp= worker=1 state=queued mode=copy/copy bytes=0/0 idle=0s queue=250ms
0x120000003: [20/Nov/2026:08:09:10.123456] id=77 proto=tcpv4 source=10.0.0.2:40000
  flags=0x0, conn_retries=1, state=relay, term=--, age=1d1h, idle=59s, queue=0ms, connect=12ms, redispatched=1
  frontend=fe (id=2 mode=tcp), listener=tcp (id=3) addr=10.0.0.1:3306
  backend=be (id=4 mode=tcp)
  server=s1 (id=1) addr=10.0.0.3:3306
  worker=2 (exp=1h)
  scf=EST flags=0x002a fd=17 eof=1 shut=0 blocked=0 exp=<NEVER>
      tcp=ESTABLISHED rtt=1.234ms rttvar=0.050ms retrans=2 lost=0 cwnd=10 unacked=0 unsent=0 delivery_rate=1099511627776
  scb=EST flags=0x1002 fd=-1 eof=0 shut=0 blocked=1 exp=1s
  req=copy total=5 waiting=3 done=0
  res=splice total=1099511627776 waiting=0 done=1
0x1: [01/Jan/0001:00:00:00.000000] id=0 proto=unix_stream source=unix:1
  flags=0x0, conn_retries=0, state=queued, term=--, age=0s, idle=0s, queue=250ms, connect=-, redispatched=0
  frontend=fe (id=0 mode=tcp), listener=? (id=0) addr=unix:1
  backend=<NONE> (id=-1 mode=-)
  server=<NONE> (id=-1)
  worker=1 (exp=<NEVER>)
  scf=EST flags=0x0000 fd=5 eof=0 shut=0 blocked=0 exp=<NEVER>
  scb=QUE flags=0x0000 fd=-1 eof=0 shut=0 blocked=0 exp=<NEVER>
  req=copy total=0 waiting=0 done=0
  res=copy total=0 waiting=0 done=0
`
	if diff := cmp.Diff(want, string(out.b)); diff != "" {
		t.Error(diff)
	}
}

// Thousands of sessions are shown without an allocation for one.
func TestSessionTextAllocates(t *testing.T) {
	v := testView()
	out := sheet{b: make([]byte, 0, 4096)}
	if n := testing.AllocsPerRun(100, func() {
		out.b = out.b[:0]
		out.short(&v)
		out.long(&v)
	}); n > 0 {
		t.Errorf("%v allocations", n)
	}
}

func BenchmarkSessionText(b *testing.B) {
	v := testView()
	var out sheet
	for b.Loop() {
		out.b = out.b[:0]
		out.long(&v)
	}
}
