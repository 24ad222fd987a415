package check

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"iter"
	"net"
	"os"
	"strings"
	"time"

	"github.com/penstock/penstock/internal/config"
	"github.com/penstock/penstock/netio"
)

// TLS for checks, on the checker's goroutine.
//
// crypto/tls wants a connection that it can wait on, and the checker must not wait. A handshake therefore runs in a
// coroutine of its own: where it would have to wait for the server it yields, and the checker resumes it when epoll says
// that the socket has something. There is no second thread of control at any moment, and a check that ends early stops
// the coroutine where it stands.
//
//	           checker                           coroutine
//	event ──> resume ───────────────────────> Read: EAGAIN? ──> yield
//	          <────────────────────────────────────────────────┘
//	          … handshake done, or failed <── return
//
// After the handshake nothing has to wait: a read that finds nothing fails with an error that crypto/tls calls temporary,
// and can be repeated; what is written is kept until the kernel takes it. The price of a check is that of its handshake,
// some hundred microseconds of the checker's time.

// TLS is how the certificate of a server is verified.
type TLS struct {
	roots *x509.CertPool // nil: it is not
	host  string         // verifyhost, for a server that was not asked for by a name; empty: any
}

// NewTLS reads what a server line names.
func NewTLS(c *config.ServerCheck) (*TLS, error) {
	t := &TLS{host: c.VerifyHost}
	if c.Verify != "required" {
		return t, nil
	}
	if c.CAFile == "@system-ca" {
		roots, err := x509.SystemCertPool()
		if err != nil {
			return nil, fmt.Errorf("ca-file %s: %w", c.CAFile, err)
		}
		t.roots = roots
		return t, nil
	}
	text, err := os.ReadFile(c.CAFile)
	if err != nil {
		return nil, fmt.Errorf("ca-file: %w", err)
	}
	t.roots = x509.NewCertPool()
	if !t.roots.AppendCertsFromPEM(text) {
		return nil, fmt.Errorf("ca-file %s: no certificate in it", c.CAFile)
	}
	return t, nil
}

// Certificates of somebody else: not of the name that was asked for, not of verifyhost.
var (
	errUnexpected   = errors.New("not the certificate of the server that was asked for")
	errUnconfigured = errors.New("not the certificate of verifyhost")
)

// handshakeText is in HAProxy's words why there is no connection in TLS, with what crypto/tls says.
func handshakeText(err error) string {
	switch {
	case errors.Is(err, errUnexpected):
		return "Server presented an SSL certificate different from the expected one"
	case errors.Is(err, errUnconfigured):
		return "Server presented an SSL certificate different from the configured one"
	}
	return "SSL handshake failure (" + strings.TrimPrefix(err.Error(), "tls: ") + ")"
}

// config is how to speak to a server that is asked for by a name, or not.
func (t *TLS) config(sni string, alpn []string) *tls.Config {
	return &tls.Config{
		ServerName: sni, NextProtos: alpn,
		InsecureSkipVerify: true, // VerifyConnection does it: without a name, any is good
		VerifyConnection: func(s tls.ConnectionState) error {
			if t.roots == nil {
				return nil
			}
			o := x509.VerifyOptions{Roots: t.roots, Intermediates: x509.NewCertPool()}
			for _, c := range s.PeerCertificates[1:] {
				o.Intermediates.AddCert(c)
			}
			if _, err := s.PeerCertificates[0].Verify(o); err != nil {
				return err
			}
			switch c := s.PeerCertificates[0]; {
			case sni != "" && c.VerifyHostname(sni) != nil:
				return errUnexpected
			case sni == "" && t.host != "" && c.VerifyHostname(t.host) != nil:
				return errUnconfigured
			}
			return nil
		},
	}
}

// secure is a connection in TLS. It does not own the descriptor.
type secure struct {
	conn   *tls.Conn
	fd     int
	resume func() (struct{}, bool) // goes on with the handshake
	stop   func()
	yield  func(struct{}) bool // during the handshake
	err    error               // of the handshake
	out    []byte              // what the kernel did not take yet
	sealed bool                // what is being sent lies in out
	broken netio.Errno         // what the kernel last said of the socket
}

func newSecure(fd int, c *tls.Config) *secure {
	t := &secure{fd: fd}
	t.conn = tls.Client(socket{t}, c)
	t.resume, t.stop = iter.Pull(func(yield func(struct{}) bool) {
		t.yield = yield
		t.err = t.conn.Handshake()
		t.yield = nil
	})
	return t
}

// handshake does what can be done without waiting, and reports whether it is over.
func (t *secure) handshake() (over bool, err error) {
	_, waits := t.resume()
	if e := t.flush(); e != 0 && e != netio.EAGAIN {
		return true, e
	}
	return !waits, t.err
}

// send takes all of b or nothing: with EAGAIN it wants the same bytes again.
func (t *secure) send(b []byte) (int, netio.Errno) {
	if !t.sealed {
		if _, err := t.conn.Write(b); err != nil {
			return 0, t.errno()
		}
		t.sealed = true
	}
	if e := t.flush(); e != 0 {
		return 0, e
	}
	t.sealed = false
	return len(b), 0
}

// recv is a read from the socket: 0 bytes without an error are the end.
func (t *secure) recv(b []byte) (int, netio.Errno) {
	t.broken = 0
	n, err := t.conn.Read(b)
	if e := t.flush(); e != 0 && e != netio.EAGAIN {
		return 0, e
	}
	switch {
	case n > 0, err == nil, errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF):
		return n, 0
	case errors.Is(err, errAgain):
		return 0, netio.EAGAIN
	}
	return 0, t.errno()
}

// errno is why the connection cannot be used any more.
func (t *secure) errno() netio.Errno {
	if t.broken != 0 {
		return t.broken
	}
	return netio.EPROTO
}

// flush gives the kernel what it takes.
func (t *secure) flush() netio.Errno {
	for len(t.out) > 0 {
		n, e := netio.Send(t.fd, t.out)
		if e != 0 {
			return e
		}
		t.out = t.out[n:]
	}
	return 0
}

// farewell tells the server that nothing more comes.
func (t *secure) farewell() {
	if t.conn.CloseWrite() == nil {
		t.flush()
	}
}

// close ends a handshake under way.
func (t *secure) close() { t.stop() }

// socket is the connection as crypto/tls sees it.
type socket struct{ t *secure }

// againError says that nothing is there yet.
type againError struct{}

func (againError) Error() string   { return "nothing to read" }
func (againError) Timeout() bool   { return true }
func (againError) Temporary() bool { return true }

var (
	errAgain   error = againError{}
	errStopped       = errors.New("the check is over")
)

// Read waits only during the handshake, by giving way.
func (s socket) Read(b []byte) (int, error) {
	t := s.t
	for {
		n, e := netio.Recv(t.fd, b)
		switch {
		case e == 0 && n == 0:
			return 0, io.EOF
		case e == 0:
			return n, nil
		case e != netio.EAGAIN:
			t.broken = e
			return 0, fmt.Errorf("read: %w", e)
		case t.yield == nil:
			return 0, errAgain
		case !t.yield(struct{}{}):
			return 0, errStopped
		}
	}
}

// Write keeps what the kernel does not take.
func (s socket) Write(b []byte) (int, error) {
	t := s.t
	t.out = append(t.out, b...)
	if e := t.flush(); e != 0 && e != netio.EAGAIN {
		t.broken = e
		return 0, fmt.Errorf("write: %w", e)
	}
	return len(b), nil
}

func (socket) Close() error                     { return nil }
func (socket) LocalAddr() net.Addr              { return nil }
func (socket) RemoteAddr() net.Addr             { return nil }
func (socket) SetDeadline(time.Time) error      { return nil }
func (socket) SetReadDeadline(time.Time) error  { return nil }
func (socket) SetWriteDeadline(time.Time) error { return nil }
