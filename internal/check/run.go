package check

import (
	"cmp"
	"fmt"
	"strings"

	"github.com/penstock/penstock/internal/config"
	"github.com/penstock/penstock/internal/proxyproto"
	"github.com/penstock/penstock/netio"
	"github.com/penstock/penstock/sched"
)

// run is one check under way: a program, the step where it stands, and at most one socket.
//
//	          established       open           sent               passed
//	connect ─────────────> open ─────> send ─────────> expect ──────────────> … end of the program: success
//	   │                     │           │               │  ^
//	   │                     │           │               └──┘ more
//	   v                     v           v               v
//	 failure: refused, reset, too late, wrong answer
//
// To open a connection takes a header of the PROXY protocol, a handshake in TLS, both or nothing.
//
// The socket is registered with epoll once for all events, edge-triggered, so every step goes on until the kernel
// says EAGAIN.
type run struct {
	fd        int // -1: none
	at        int // step
	began     int64
	deadline  sched.Tick
	connected bool
	opening   bool    // the header and the handshake are under way
	tls       *secure // nil: plain
	to        netio.Sockaddr
	mustRead  bool // the step wants bytes that were not looked for yet
	eof       bool
	linger    bool
	sending   bool
	out       []byte // what the step has still to send
	in        []byte // what came since the last send; nil until something is expected
	info      string
	own       bool // info was made by on-success of its step, and belongs to that alone
	code      int
	status    Status            // of an answer that passed; Unknown: as the step has it
	vars      map[string]string // of the scope check
	talk      judge             // of a conversation; nil: none yet
	program   *program          // of an external check; nil: none
}

// result is how a check ended.
type result struct {
	status   Status
	code     int
	info     string
	duration int64 // ms; -1: none
	decisive bool  // the server is down at once
}

// start begins a check of one server.
func (c *Checker) start(k *Check) {
	k.run = run{fd: -1, began: c.clock.MonoNs(), linger: true}
	k.running = true
	if r, ended := c.advance(k); ended {
		c.finish(k, r)
	}
}

// event goes on with a check whose socket something happened to.
func (c *Checker) event(k *Check, events uint32) {
	r := &k.run
	if !r.connected {
		if e := netio.SocketError(r.fd); e != 0 {
			c.finish(k, c.broken(k, e, L4Con))
			return
		}
		if events&(netio.Writable|netio.Hangup) == 0 {
			return
		}
		c.established(k)
	}
	if res, ended := c.advance(k); ended {
		c.finish(k, res)
	}
}

// established begins to open a connection that the kernel has made.
func (c *Checker) established(k *Check) {
	r, s := &k.run, &k.program().steps[k.run.at]
	r.connected, r.opening = true, true
	if s.sendProxy || s.usual && k.checking.SendProxy {
		var from netio.Sockaddr
		netio.LocalAddr(r.fd, &from)
		src, dst := from.Addr(), r.to.Addr()
		r.out = proxyproto.AppendV1(nil, src.AddrPort(), dst.AddrPort())
	}
	if s.tls || s.usual && k.checking.TLS {
		sni, alpn := s.sni, s.alpn
		if s.usual {
			sni = cmp.Or(sni, k.checking.SNI)
			if alpn == nil {
				alpn = k.checking.ALPN
			}
		}
		r.tls = newSecure(r.fd, k.tls.config(sni, alpn))
	}
}

// open goes on with what comes before a connection can be used, and moves behind the connect step. More says that it has
// to wait.
func (c *Checker) open(k *Check) (result, outcome) {
	r, p := &k.run, k.program()
	for len(r.out) > 0 {
		n, e := netio.Send(r.fd, r.out)
		if e == netio.EAGAIN {
			return result{}, more
		}
		if e != 0 {
			return c.broken(k, e, L6Rsp), failed
		}
		r.out = r.out[n:]
	}
	if r.tls != nil {
		over, err := r.tls.handshake()
		if err != nil {
			return result{status: L6Rsp, info: handshakeText(err) + p.where(r.at)}, failed
		}
		if !over {
			return result{}, more
		}
	}
	r.opening, r.mustRead = false, true
	r.at++
	if d := k.backend.CheckTimeout; d > 0 {
		r.deadline = c.clock.Now().Add(d)
		c.schedule(k, r.deadline)
	}
	return result{}, passed
}

// send gives the kernel what it takes.
func (r *run) send(b []byte) (int, netio.Errno) {
	if r.tls != nil {
		return r.tls.send(b)
	}
	return netio.Send(r.fd, b)
}

// recv reads what is there.
func (r *run) recv(b []byte) (int, netio.Errno) {
	if r.tls != nil {
		return r.tls.recv(b)
	}
	return netio.Recv(r.fd, b)
}

// expired ends a check that took too long.
func (c *Checker) expired(k *Check) {
	r := &k.run
	if r.program != nil {
		c.overdue(k)
		return
	}
	status := L4Tout
	switch {
	case r.opening:
		status = L6Tout
	case r.connected:
		status = L7Tout
		if s := &k.program().steps[r.at]; s.action == config.CheckExpects {
			status = s.expect.late
		}
	}
	c.finish(k, result{status: status, info: k.program().where(r.at)})
}

// advance does what can be done without waiting, and reports how the check ended if it did.
func (c *Checker) advance(k *Check) (result, bool) {
	r, p := &k.run, k.program()
	for r.at < len(p.steps) {
		s := &p.steps[r.at]
		switch s.action {
		case config.CheckConnect:
			if !r.opening {
				if why := c.connect(k, s); why.status != Unknown {
					return result{status: why.status, info: why.text + p.where(r.at)}, true
				}
			}
			if !r.connected {
				return result{}, false
			}
			if res, state := c.open(k); state != passed {
				return res, state == failed
			}
		case config.CheckSend:
			if r.own {
				r.info, r.own = "", false
			}
			if !r.sending {
				data, ok := s.data(c, k)
				if !ok {
					return result{status: L7Rsp, info: fmt.Sprintf("tcp-check send : failed to build log-format string at step %d", s.number)}, true
				}
				r.out, r.sending, r.mustRead = data, true, true
				r.in = r.in[:0]
			}
			for len(r.out) > 0 {
				n, e := r.send(r.out)
				if e == netio.EAGAIN {
					return result{}, false
				}
				if e != 0 {
					return c.broken(k, e, SockErr), true
				}
				r.out = r.out[n:]
			}
			r.sending = false
			r.at++
		case config.CheckSet:
			c.assign(k, s)
			r.at++
		case config.CheckExpects:
			res, state := c.expect(k, s)
			if state != passed {
				return res, state == failed
			}
			r.at++
		}
	}
	status, info := p.success(r.info, r.status, r.tls != nil)
	return result{status: status, code: r.code, info: info}, true
}

// connect opens the connection of step s, instead of the one that there may be.
func (c *Checker) connect(k *Check, s *step) refusal {
	r := &k.run
	c.hangUp(k)
	r.connected, r.opening, r.eof, r.linger, r.in, r.out = false, false, false, s.linger, r.in[:0], nil
	now := c.clock.Now()
	r.deadline = now.Add(k.intervals.Inter)
	if b := k.backend; b.CheckTimeout > 0 && b.ConnectTimeout > 0 {
		r.deadline = sched.Earliest(r.deadline, now.Add(b.ConnectTimeout))
	}
	c.schedule(k, r.deadline)
	to, ok := c.destination(k, s)
	if !ok {
		return refusal{SockErr, "no valid port"}
	}
	fd, done, why := k.target.dial(to)
	if fd < 0 {
		return why
	}
	r.fd, r.to = fd, to
	k.gen++
	if e := c.epoll.Add(fd, netio.Readable|netio.Writable|netio.PeerClosed|netio.Edge, k.word()); e != 0 {
		return refused(SockErr, "General socket error", e)
	}
	if done { // a UNIX socket
		c.established(k)
	}
	return refusal{}
}

// expect reads and looks at what came.
func (c *Checker) expect(k *Check, s *step) (result, outcome) {
	r := &k.run
	if r.mustRead {
		if res, ok := c.receive(k, s); !ok {
			return res, failed
		}
		r.mustRead = false
	}
	for {
		if len(r.in) == 0 && !r.eof {
			r.mustRead, r.at = true, s.head
			return result{}, more
		}
		if s.expect.fresh != nil && r.talk == nil {
			r.talk = s.expect.fresh()
		}
		full := len(r.in) == cap(r.in)
		v := c.examine(k, s, r.in, r.eof || full)
		if v.outcome != more && len(v.answer) > 0 {
			r.send(v.answer) // a farewell
		}
		switch v.outcome {
		case passed:
			if v.info != "" || len(s.expect.good) > 0 || r.own {
				r.info, r.own = v.info, len(s.expect.good) > 0
			}
			r.code, r.status = v.code, v.status
			return result{}, passed
		case failed:
			return result{status: v.status, code: v.code, info: v.info, decisive: v.decisive}, failed
		}
		if v.drop > 0 {
			r.in = append(r.in[:0], r.in[v.drop:]...)
			if len(v.answer) > 0 {
				// A few bytes into a buffer that holds nothing: what does not fit is a broken connection.
				if n, e := r.send(v.answer); e != 0 || n != len(v.answer) {
					return c.broken(k, e, SockErr), failed
				}
			}
			if full && !r.eof { // what did not fit may be there already, and is not reported again
				if res, ok := c.receive(k, s); !ok {
					return res, failed
				}
			}
			if len(r.in) > 0 {
				continue
			}
		}
		if r.eof {
			return result{status: L7Rsp}, failed
		}
		r.mustRead, r.at = true, s.head
		return result{}, more
	}
}

// receive reads what is there. It reports false, with the result, when nothing is and nothing can come.
func (c *Checker) receive(k *Check, s *step) (result, bool) {
	r := &k.run
	if r.in == nil {
		r.in = c.buffer()
	}
	var broken netio.Errno
	for !r.eof && len(r.in) < cap(r.in) {
		n, e := r.recv(r.in[len(r.in):cap(r.in)])
		if e == netio.EAGAIN {
			break
		}
		if e != 0 {
			broken, r.eof = e, true
			break
		}
		if n == 0 {
			r.eof = true
		}
		r.in = r.in[:len(r.in)+n]
	}
	switch {
	case len(r.in) > 0 || !r.eof:
		return result{}, true
	case broken != 0:
		return c.broken(k, broken, SockErr), false
	}
	info := fmt.Sprintf("TCPCHK got an empty response at step %d", s.number)
	if s.expect.fresh != nil {
		info = "the server ended the connection"
	}
	if s.comment != "" {
		info += " comment: '" + s.comment + "'"
	}
	status := s.expect.failed
	if status == Unknown {
		status = L7Rsp
	}
	return result{status: status, info: info}, false
}

// broken is the result of a connection that failed or was cut.
func (c *Checker) broken(k *Check, e netio.Errno, status Status) result {
	return result{status: status, info: errorText(e) + k.program().where(min(k.run.at, len(k.program().steps)-1))}
}

// hangUp closes the socket: with a reset, which leaves nothing behind on either host, unless the step said otherwise.
func (c *Checker) hangUp(k *Check) {
	r := &k.run
	if r.fd < 0 {
		return
	}
	if t := r.tls; t != nil {
		t.close()
		if !r.opening && r.linger {
			t.farewell()
		}
		r.tls = nil
	}
	if r.connected && r.linger {
		c.drain(r.fd)
	} else {
		netio.SetLinger0(r.fd)
	}
	netio.Close(r.fd)
	r.fd = -1
	k.gen++
}

// drainReads bounds the work for a server that sends without end.
const drainReads = 4

// drain reads what the server sent and nobody asked for: bytes that nobody read would turn the FIN into a reset.
func (c *Checker) drain(fd int) {
	for range drainReads {
		if n, e := netio.Recv(fd, c.waste[:]); e != 0 || n <= 0 {
			return
		}
	}
}

// osText is an error of the kernel in the words of the C library.
func osText(e netio.Errno) string {
	text := e.Error()
	if text == "" {
		return ""
	}
	return strings.ToUpper(text[:1]) + text[1:]
}

// errorText is an error of a connection in HAProxy's words.
func errorText(e netio.Errno) string {
	text := osText(e)
	if name := errorNames[e]; name != "" {
		return fmt.Sprintf("%s returned by OS (%s)", name, text)
	}
	return text
}
