package engine

import (
	"context"
	"errors"
	"net"
	"net/netip"
	"slices"
	"sync/atomic"
	"time"

	"github.com/penstock/penstock/internal/backend"
	"github.com/penstock/penstock/internal/config"
	"github.com/penstock/penstock/internal/logging"
	"github.com/penstock/penstock/internal/session"
	"github.com/penstock/penstock/internal/worker"
	"github.com/penstock/penstock/netio"
)

// buildProxies makes what the sessions need of every proxy. It reports every mistake, and whether
// there was none.
func (e *Engine) buildProxies(hostname string) bool {
	if n := len(e.cfg.Proxies); n > session.MaxProxies {
		e.opt.Report.Alertf("config : %d proxies are more than the %d that one process can have.", n, session.MaxProxies)
		return false
	}
	ok := true
	e.servers = make([]atomic.Pointer[[]*config.Server], len(e.cfg.Proxies))
	byName := map[string]int{}
	for i, c := range e.cfg.Proxies {
		p := &session.Proxy{Name: c.Name, ID: c.ID, Departed: c.Departed, DefaultBackend: -1}
		e.servers[i].Store(&c.Servers)
		e.proxies = append(e.proxies, p)
		if c.Kind.HasBackend() {
			byName[c.Name] = i
			ok = e.buildBackend(i, c, p) && ok
		}
		ok = e.buildFrontend(c, p, hostname) && ok
	}
	for i, c := range e.cfg.Proxies {
		target := c.DefaultBackend.Name
		if c.UseBackend.Name != "" {
			target = c.UseBackend.Name
		}
		switch {
		case target != "":
			if b, found := byName[target]; found && !e.cfg.Proxies[b].Disabled {
				e.proxies[i].DefaultBackend = b
			}
		case c.Kind == config.Listen:
			e.proxies[i].DefaultBackend = i
		}
	}
	e.shared.Proxies = e.proxies
	return ok
}

func (e *Engine) buildFrontend(c *config.Proxy, p *session.Proxy, hostname string) bool {
	p.ClientMs, p.ClientFinMs = ms(c.Timeouts.Client), ms(c.Timeouts.ClientFin)
	if c.Kind.HasFrontend() {
		p.Conns.SetMax(c.MaxConn)
		p.SessRate.SetMax(c.RateLimitSessions)
		p.NoLinger, p.Independent = c.NoLinger, c.IndependentStreams
	}
	splice := c.SpliceAuto != config.Off && !e.cfg.Global.NoSplice
	p.SpliceUp = session.InitialMode(splice, c.SpliceRequest && !e.cfg.Global.NoSplice)
	p.SpliceDown = session.InitialMode(splice, c.SpliceResponse && !e.cfg.Global.NoSplice)
	p.ContStats = c.ContStats
	p.DontLogNull, p.DontLogNormal, p.LogASAP, p.LogSepErrors = c.DontLogNull, c.DontLogNormal, c.LogASAP, c.LogSeparateErrors

	format := c.LogFormat
	switch {
	case format != "":
	case c.TCPLogCLF:
		format = logging.TCPLogCLFFormat
	case c.TCPLog:
		format = logging.TCPLogFormat
	}
	ok := true
	if format != "" {
		p.Format, ok = e.compile(c, "log-format", format)
	}
	if c.LogFormatSD != "" {
		var good bool
		p.SDFormat, good = e.compile(c, "log-format-sd", c.LogFormatSD)
		ok = ok && good
	}
	if len(c.Logs) == 0 || e.checking {
		return ok
	}
	g := &e.cfg.Global
	tag := c.LogTag
	if tag == "" {
		tag = g.LogTag
	}
	if tag == "" {
		tag = e.opt.Program
	}
	if g.LogHostname != "" {
		hostname = g.LogHostname
	}
	logger, err := logging.NewLogger(c.Logs, logging.Options{
		Tag: tag, Hostname: hostname, SendHostname: g.LogSendHostname, Outlets: e.outlets,
	})
	if err != nil {
		e.opt.Report.Alertf("config : %s : proxy '%s' : %v", place(c.Logs[0].Pos), c.Name, err)
		return false
	}
	p.Logger = logger
	return ok
}

func (e *Engine) compile(c *config.Proxy, keyword, text string) (*logging.Format, bool) {
	f, err := logging.Compile(text)
	if err != nil {
		pos := c.LogFormatPos
		if pos.Line == 0 {
			pos = c.Pos
		}
		e.opt.Report.Alertf("config : parsing %s : failed to parse %s : %v", place(pos), keyword, err)
		return nil, false
	}
	for _, w := range f.Warnings() {
		e.opt.Report.Warningf("config : parsing %s : %s : %s", place(c.LogFormatPos), keyword, w.Msg)
	}
	return f, true
}

// ms gives a timeout in milliseconds; what is less than one counts as one.
func ms(d time.Duration) uint32 {
	return uint32((d + time.Millisecond - 1) / time.Millisecond)
}

func (e *Engine) buildBackend(i int, c *config.Proxy, p *session.Proxy) bool {
	t := &c.Timeouts
	p.ConnectMs, p.QueueMs, p.ServerMs = ms(t.Connect), ms(t.Queue), ms(t.Server)
	p.ServerFinMs, p.TunnelMs = ms(t.ServerFin), ms(t.Tunnel)
	p.Retries, p.Redispatch, p.RedispatchInterval = c.Retries, c.Redispatch, c.RedispatchInterval
	p.AbortOnClose, p.NoLingerServer, p.IndependentServer = c.AbortOnClose, c.NoLinger, c.IndependentStreams
	if c.FullConn == 0 {
		c.FullConn = e.fullConn(c)
	}
	p.Backend = backend.New(c, i)
	p.Backend.SetDeliver(func(w backend.Waiter, server int32) {
		e.workers[w.Worker].Post(worker.Grant{Waiter: w, Backend: int32(i), Server: server})
	})
	servers := make([]session.Server, len(c.Servers))
	ok := true
	for n, s := range c.Servers {
		usable, good := e.buildServer(c, s, &servers[n])
		ok = ok && good
		if good && !usable {
			p.Backend.SetAdmin(n, p.Backend.Server(n).Admin()|backend.Unresolved)
		}
	}
	p.SetServers(servers)
	if !ok {
		e.opt.Report.Alertf("Failed to initialize server(s) addr.")
	}
	return ok
}

// fullConn is a tenth of the connections that all frontends in front of a backend may have, at least one.
func (e *Engine) fullConn(c *config.Proxy) int {
	total := 0
	for _, p := range e.cfg.Proxies {
		if p == c && p.Kind == config.Listen || p.DefaultBackend.Name == c.Name || p.UseBackend.Name == c.Name {
			n := p.MaxConn
			if n == 0 {
				n = e.cfg.Global.MaxConn
			}
			total += n
		}
	}
	return max((total+9)/10, 1)
}

// buildServer fills in where a server is and how to connect. A server without an address, by
// configuration or because its name does not resolve yet, is not usable.
func (e *Engine) buildServer(c *config.Proxy, s *config.Server, out *session.Server) (usable, ok bool) {
	g := &e.cfg.Global
	out.Name, out.Departed = s.Name, c.Departed || s.Departed
	options := netio.ConnOptions{
		NoDelay:      true,
		KeepAlive:    keepAlive(c.ServerKeepAlive),
		UserTimeout:  s.TCPUserTimeout,
		RcvBuf:       g.RcvBufServer,
		SndBuf:       g.SndBufServer,
		NotSentLowat: g.NotSentLowatServer,
	}
	out.Options = options.Compile()
	src := s.Source
	if src == nil {
		src = c.Source
	}
	if src != nil {
		out.Interface = src.Interface
		if src.IP.IsValid() && !src.IP.IsUnspecified() || src.PortLow > 0 {
			out.HasSource = true
			out.Source = netio.SockaddrFrom(netip.AddrPortFrom(src.IP, 0))
			out.SourceLow, out.SourceHigh = uint16(src.PortLow), uint16(max(src.PortLow, src.PortHigh))
		}
	}
	a := &s.Addr
	switch a.Kind {
	case config.AddrUnix, config.AddrAbstract:
		sa, err := unixAddr(a)
		if err != nil {
			e.opt.Report.Alertf("%s : 'server %s/%s' : %v", place(s.Pos), c.Name, s.Name, err)
			return false, false
		}
		out.SetDestination(session.Destination{Addr: sa})
		return true, true
	}
	ip := a.IP
	if !ip.IsValid() {
		if ip = e.resolve(c, s); !ip.IsValid() {
			return e.unresolved(c, s)
		}
	}
	d := session.Destination{FollowPort: a.PortOffset, Transparent: ip.IsUnspecified()}
	port := a.Port
	if a.PortOffset {
		d.PortOffset, port = a.Port, 0
	}
	d.Addr = netio.SockaddrFrom(netip.AddrPortFrom(ip, uint16(port)))
	out.SetDestination(d)
	return true, true
}

func keepAlive(k config.KeepAlive) netio.KeepAlive {
	return netio.KeepAlive{Enabled: k.Enabled, Count: k.Count, Idle: k.Idle, Intvl: k.Intvl}
}

func (e *Engine) unresolved(c *config.Proxy, s *config.Server) (usable, ok bool) {
	tolerated := e.opt.NoResolveFail || slices.ContainsFunc(s.InitAddr, func(m config.InitAddr) bool { return m.Method == "none" })
	if tolerated {
		e.opt.Report.Warningf("%s : 'server %s/%s' : could not resolve address '%s', disabling server.", place(s.Pos), c.Name, s.Name, s.Addr.Host)
		return false, true
	}
	e.opt.Report.Alertf("%s : 'server %s/%s' : could not resolve address '%s'.", place(s.Pos), c.Name, s.Name, s.Addr.Host)
	return false, false
}

// resolveTimeout bounds one look-up at start.
const resolveTimeout = 10 * time.Second

// resolve tries the methods of init-addr in order. The zero address means that none gave one.
func (e *Engine) resolve(c *config.Proxy, s *config.Server) netip.Addr {
	methods := s.InitAddr
	if len(methods) == 0 {
		methods = []config.InitAddr{{Method: "last"}, {Method: "libc"}}
	}
	for _, m := range methods {
		switch m.Method {
		case "last":
			if ip := e.lastAddr(c, s); ip.IsValid() {
				return ip
			}
		case "ip":
			return m.IP
		case "none":
			return netip.Addr{}
		case "libc":
			if ip, err := lookUp(s.Addr.Host, s.Addr.Family); err == nil {
				return ip
			}
		}
	}
	return netip.Addr{}
}

func lookUp(host string, family int) (netip.Addr, error) {
	ctx, cancel := context.WithTimeout(context.Background(), resolveTimeout)
	defer cancel()
	network := map[int]string{0: "ip", 4: "ip4", 6: "ip6"}[family]
	ips, err := net.DefaultResolver.LookupNetIP(ctx, network, host)
	if err != nil {
		return netip.Addr{}, err
	}
	if len(ips) == 0 {
		return netip.Addr{}, errors.New("no address")
	}
	return ips[0].Unmap(), nil
}
