package check

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"fmt"
	"io"
	"math/big"
	"net"
	"os/exec"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/penstock/penstock/internal/testutil"
)

// mustCertificate makes a certificate for a name that vouches for itself, and a file with it.
func mustCertificate(tb testing.TB, name string) (c tls.Certificate, file string) {
	tb.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		tb.Fatal(err)
	}
	text := x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: name}, DNSNames: []string{name}, IsCA: true, BasicConstraintsValid: true,
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
	}
	der, err := x509.CreateCertificate(rand.Reader, &text, &text, &key.PublicKey, key)
	if err != nil {
		tb.Fatal(err)
	}
	block := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})
	return tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key}, testutil.WriteFile(tb, tb.TempDir(), "ca.pem", string(block))
}

// secureServer answers PING in TLS, and notes how it was spoken to.
type secureServer struct {
	addr string
	mu   sync.Mutex
	said []string
}

func (s *secureServer) heard() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return strings.Join(s.said, "\n")
}

func mustSecureServer(tb testing.TB, c tls.Certificate, header bool) *secureServer {
	tb.Helper()
	s := &secureServer{}
	s.addr = testutil.Serve(tb, func(conn *testutil.Conn) {
		conn.SetDeadline(time.Now().Add(testutil.Deadline))
		line := ""
		for b := make([]byte, 1); header && !strings.HasSuffix(line, "\r\n"); line += string(b) {
			if _, err := io.ReadFull(conn, b); err != nil {
				return
			}
		}
		t := tls.Server(conn, &tls.Config{Certificates: []tls.Certificate{c}, NextProtos: []string{"h2", "redis"}})
		if t.Handshake() != nil {
			return
		}
		fields := strings.Fields(line)
		state := t.ConnectionState()
		s.mu.Lock()
		s.said = append(s.said, fmt.Sprintf("header %d, SNI %q, ALPN %q", len(fields), state.ServerName, state.NegotiatedProtocol))
		s.mu.Unlock()
		if b := make([]byte, len(redisPing)); true {
			if _, err := io.ReadFull(t, b); err == nil {
				_, _ = io.WriteString(t, "+PO")
				_, _ = io.WriteString(t, "NG\r\n")
			}
		}
		io.Copy(io.Discard, t)
	}).Addr
	return s
}

// What a check in TLS finds is what HAProxy finds, but for the reason behind a handshake that failed.
func TestSecureOutcomes(t *testing.T) {
	certificate, file := mustCertificate(t, "db.test")
	_, other := mustCertificate(t, "db.test")
	good := mustSecureServer(t, certificate, false).addr
	headed := mustSecureServer(t, certificate, true).addr
	plain := testutil.Serve(t, strict.holds("", "HTTP/1.0 400 no\r\n\r\n")).Addr
	silent := testutil.Serve(t, func(c *testutil.Conn) { io.Copy(io.Discard, c) }).Addr
	breaking := testutil.Serve(t, func(c *testutil.Conn) {
		_, _ = c.Read(make([]byte, 1))
		_ = c.Conn.(*net.TCPConn).SetLinger(0)
	}).Addr
	const ping = "\n tcp-check send " + `*1\r\n$4\r\nPING\r\n` + "\n tcp-check expect string +PONG"
	secure, trusted := " check-ssl verify none", " check-ssl verify required ca-file "+file
	cases := []struct {
		name, lines, server, want string
	}{
		{"connect", "", good + secure, "L6OK"},
		{"protocol", "option redis-check", good + secure + " check-sni db.test check-alpn redis", "L7OK/0 Redis server is ok"},
		{"by rule", "option tcp-check\n tcp-check connect ssl sni a.b alpn h2,redis" + ping, good + " verify none", "L7OK/0 (tcp-check)"},
		{"by rule and nothing more", "option tcp-check\n tcp-check connect ssl", good + " verify none", "L6OK (tcp-check)"},
		{"by default", "option tcp-check\n tcp-check connect default linger" + ping, good + secure, "L7OK/0 (tcp-check)"},
		{"header and TLS", "option redis-check", headed + secure + " check-send-proxy", "L7OK/0 Redis server is ok"},
		{"header and TLS by rule", "option tcp-check\n tcp-check connect send-proxy ssl" + ping, headed + " verify none", "L7OK/0 (tcp-check)"},
		{"trusted", "", good + trusted, "L6OK"},
		{"trusted by name", "", good + trusted + " check-sni db.test", "L6OK"},
		{"trusted by another name", "", good + trusted + " check-sni db.test verifyhost web.test", "L6OK"},
		{"not the configured name", "", good + trusted + " verifyhost web.test", "L6RSP Server presented an SSL certificate different from the configured one"},
		{"not the name", "", good + trusted + " check-sni web.test", "L6RSP Server presented an SSL certificate different from the expected one"},
		{"the name is another", "", good + trusted + " check-sni web.test verifyhost db.test", "L6RSP Server presented an SSL certificate different from the expected one"},
		{"not trusted", "", good + " check-ssl verify required ca-file " + other, "L6RSP SSL handshake failure (x509: certificate signed by unknown authority"},
		{"no TLS", "", plain + secure, "L6RSP SSL handshake failure (first record does not look like a TLS handshake)"},
		{
			"reset", "option tcp-check\n tcp-check connect ssl comment zz", breaking + " verify none",
			"L6RSP SSL handshake failure (read: connection reset by peer) at step 1 of tcp-check (connect) comment: 'zz'",
		},
		{"silent", "timeout connect 1s\n timeout check 1s", silent + secure, "L6TOUT"},
		{
			"silent at a step", "timeout connect 1s\n timeout check 1s\n option tcp-check\n tcp-check connect ssl comment zz", silent + " verify none",
			"L6TOUT  at step 1 of tcp-check (connect) comment: 'zz'",
		},
		{"silent behind the handshake", "timeout check 1s\n option tcp-check\n tcp-check expect string x", good + secure, "L7TOUT  at step 1 of tcp-check (expect string 'x')"},
		{"refused", "", refusing(t) + secure, "L4CON ECONNREFUSED returned by OS (Connection refused)"},
	}
	var text strings.Builder
	text.WriteString("global\n max-spread-checks 10ms\ndefaults\n mode tcp\n timeout connect 30s\n timeout server 30s\n timeout client 30s\n" +
		" option log-health-checks\nfrontend f\n bind " + refusing(t) + "\n")
	ours, rigs := make([]string, len(cases)), make([]*rig, len(cases))
	for i, c := range cases {
		lines := fmt.Sprintf("%s\n server s %s check inter 1h", c.lines, c.server)
		fmt.Fprintf(&text, "backend b%d\n %s\n", i, lines)
		rigs[i] = mustRig(t, "option log-health-checks\n "+lines)
	}
	for i, c := range cases {
		r := rigs[i]
		if got := r.outcome(t, 0); !strings.HasPrefix(got, c.want) {
			t.Errorf("%s\ngot  %s\nwant %s", c.name, got, c.want)
		}
		testutil.Eventually(t, "it is said", func() bool { return r.said() != "" })
		if m := healthReport.FindStringSubmatch(strings.Replace(r.said(), "server be/", "server b0/", 1)); m != nil {
			ours[i] = m[2] + ", " + m[3]
		}
		r.Stop()
	}
	haproxy, err := exec.LookPath("haproxy")
	if err != nil {
		t.Skip("haproxy is not installed: not compared")
	}
	theirs := mustHAProxyReports(t, haproxy, text.String(), len(cases))
	for i, c := range cases {
		got, want := systemError.ReplaceAllString(withoutReason(ours[i]), `"$1`), theirs[i]
		if got != want {
			t.Errorf("%s\nhaproxy %s\nours    %s", c.name, want, ours[i])
		}
	}
}

// withoutReason takes out what crypto/tls said.
func withoutReason(line string) string {
	const begin = "SSL handshake failure ("
	from := strings.Index(line, begin)
	if from < 0 {
		return line
	}
	from += len(begin) - 2
	if to := strings.LastIndex(line, ")"); strings.Contains(line, " at step ") {
		to = strings.Index(line, ") at step ")
		return line[:from] + line[to+1:]
	} else if to > from {
		return line[:from] + line[to+1:]
	}
	return line[:from] + `"` // cut
}

// The server is told the name, the protocols and who it is talking to.
func TestSecureServerHears(t *testing.T) {
	certificate, _ := mustCertificate(t, "db.test")
	s := mustSecureServer(t, certificate, true)
	r := mustRig(t, "option redis-check\n server s "+s.addr+" check inter 1h check-ssl verify none check-sni db.test check-alpn x,redis check-send-proxy")
	if got := r.outcome(t, 0); got != "L7OK/0 Redis server is ok" {
		t.Fatal(got)
	}
	if got, want := s.heard(), `header 6, SNI "db.test", ALPN "redis"`; got != want {
		t.Errorf("the server heard %s, want %s", got, want)
	}
}

// A check that is stopped in the middle of a handshake leaves nothing behind; the leak check of TestMain looks.
func TestSecureStopped(t *testing.T) {
	reached := make(chan struct{}, 1)
	silent := testutil.Serve(t, func(c *testutil.Conn) {
		if _, err := io.ReadFull(c, make([]byte, 1)); err == nil {
			reached <- struct{}{}
		}
		io.Copy(io.Discard, c)
	})
	r := mustRig(t, "server s "+silent.Addr+" check inter 1h check-ssl verify none")
	<-reached
	r.Stop()
}

func TestNewTLSErrors(t *testing.T) {
	for file, want := range map[string]string{
		"/nowhere/ca.pem": "ca-file: open /nowhere/ca.pem: no such file or directory",
		testutil.WriteFile(t, t.TempDir(), "ca.pem", "nothing"): "no certificate in it",
	} {
		p := mustRead(t, "server s 127.0.0.1:1 check check-ssl ca-file "+file)
		if _, err := NewTLS(&p.Servers[0].Check); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%v, want %s", err, want)
		}
	}
}

// HAProxy understands the header, and sees the address of the check.
func TestHeaderReadByHAProxy(t *testing.T) {
	haproxy, err := exec.LookPath("haproxy")
	if err != nil {
		t.Skip("haproxy is not installed")
	}
	addr := refusing(t)
	path := testutil.WriteFile(t, t.TempDir(), "haproxy.cfg", "defaults\n mode http\n timeout connect 1m\n timeout server 1m\n timeout client 1m\n"+
		"frontend f\n bind "+addr+" accept-proxy\n http-request return status 200 content-type text/plain lf-string \"%[src] %[dst]:%[dst_port]\"\n")
	p := testutil.Start(t, exec.Command(haproxy, "-db", "-f", path))
	r := mustRig(t, "option httpchk\n http-check expect string \"127.0.0.1 "+addr+"\"\n timeout check 1m\n"+
		" server s "+addr+" check inter 100ms check-send-proxy\n server t "+addr+" check inter 100ms")
	testutil.Eventually(t, "the header is understood", func() bool {
		if p.Exited() {
			t.Fatalf("haproxy: %s", p.Stderr)
		}
		return r.state(t, 0).Status == L7OK
	})
	testutil.Eventually(t, "no header is missed", func() bool { s := r.state(t, 1).Status; return s != Initial && s != L4Con })
	if s := r.state(t, 1).Status; s.Passed() {
		t.Errorf("without a header: %s", s)
	}
}
