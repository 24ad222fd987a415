package testutil

import (
	"bytes"
	"errors"
	"io"
	"net"
	"os"
	"runtime"
	"strconv"
	"sync"
	"syscall"
	"testing"
	"time"
)

// Conn is one end of a connection that follows a script: each step that does not go as written
// ends the test. The steps of one Conn belong to one goroutine.
type Conn struct {
	net.Conn
	tb    testing.TB
	fatal func(format string, args ...any)
}

func newConn(tb testing.TB, c net.Conn, own bool) *Conn {
	conn := &Conn{Conn: c, tb: tb, fatal: tb.Fatalf}
	if own { // in a goroutine of its own, where Fatalf must not be called
		conn.fatal = func(format string, args ...any) {
			tb.Errorf(format, args...)
			runtime.Goexit()
		}
	}
	return conn
}

// Fatalf fails the test and ends the goroutine that follows the script.
func (c *Conn) Fatalf(format string, args ...any) { c.tb.Helper(); c.fatal(format, args...) }

// Dial connects to addr. The connection is closed when the test ends.
func Dial(tb testing.TB, network, addr string) *Conn {
	tb.Helper()
	c, err := net.DialTimeout(network, addr, Deadline)
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() { c.Close() })
	return newConn(tb, c, false)
}

// Send writes text.
func (c *Conn) Send(text string) {
	c.tb.Helper()
	c.SetWriteDeadline(time.Now().Add(Deadline))
	if _, err := io.WriteString(c.Conn, text); err != nil {
		c.fatal("send: %v", err)
	}
}

// Expect reads exactly text.
func (c *Conn) Expect(text string) {
	c.tb.Helper()
	c.SetReadDeadline(time.Now().Add(Deadline))
	got := make([]byte, len(text))
	if n, err := io.ReadFull(c.Conn, got); err != nil || !bytes.Equal(got, []byte(text)) {
		c.fatal("received %q (%v), want %q", got[:n], err, text)
	}
}

// ExpectEOF reads the end of the stream, with nothing before it.
func (c *Conn) ExpectEOF() {
	c.tb.Helper()
	c.SetReadDeadline(time.Now().Add(Deadline))
	if rest, err := io.ReadAll(c.Conn); err != nil || len(rest) > 0 {
		c.fatal("received %q (%v), want the end of the stream", rest, err)
	}
}

// ExpectReset reads until the connection is reset.
func (c *Conn) ExpectReset() {
	c.tb.Helper()
	c.SetReadDeadline(time.Now().Add(Deadline))
	if _, err := io.Copy(io.Discard, c.Conn); !errors.Is(err, syscall.ECONNRESET) {
		c.fatal("the connection ended with %v, want a reset", err)
	}
}

// ExpectClosed reads until the connection has ended, in whatever way.
func (c *Conn) ExpectClosed() {
	c.tb.Helper()
	c.SetReadDeadline(time.Now().Add(Deadline))
	if _, err := io.Copy(io.Discard, c.Conn); errors.Is(err, os.ErrDeadlineExceeded) {
		c.fatal("the connection does not end")
	}
}

// Silent tells whether nothing arrives for d: no byte, no end.
func (c *Conn) Silent(d time.Duration) bool {
	c.SetReadDeadline(time.Now().Add(d))
	_, err := c.Read(make([]byte, 1))
	return errors.Is(err, os.ErrDeadlineExceeded)
}

// CloseWrite sends a FIN.
func (c *Conn) CloseWrite() {
	c.tb.Helper()
	if err := c.Conn.(interface{ CloseWrite() error }).CloseWrite(); err != nil {
		c.fatal("shutdown: %v", err)
	}
}

// Reset closes the connection with a RST.
func (c *Conn) Reset() {
	c.tb.Helper()
	if err := c.Conn.(*net.TCPConn).SetLinger(0); err != nil {
		c.fatal("linger: %v", err)
	}
	c.Close()
}

// Port returns the local port.
func (c *Conn) Port() int {
	return c.LocalAddr().(*net.TCPAddr).Port
}

// Listener is a server that follows a script.
type Listener struct {
	Addr string // as a server line takes it
	Port int    // 0 for a Unix socket

	tb       testing.TB
	listener net.Listener
	mu       sync.Mutex
	accepted int
	conns    map[net.Conn]bool
}

// Listen listens on a free port of 127.0.0.1. The script takes the connections with Accept.
func Listen(tb testing.TB) *Listener {
	tb.Helper()
	for range 20 {
		listener, err := net.Listen("tcp", Loopback(FreePort(tb)))
		if err == nil {
			return newListener(tb, listener)
		}
		if !errors.Is(err, syscall.EADDRINUSE) { // another process may have taken the port meanwhile
			tb.Fatal(err)
		}
	}
	tb.Fatal("every free port is taken at once")
	return nil
}

// ListenOn is Listen on a given address.
func ListenOn(tb testing.TB, network, addr string) *Listener {
	tb.Helper()
	listener, err := net.Listen(network, addr)
	if err != nil {
		tb.Fatal(err)
	}
	return newListener(tb, listener)
}

func newListener(tb testing.TB, listener net.Listener) *Listener {
	l := &Listener{Addr: listener.Addr().String(), tb: tb, listener: listener, conns: map[net.Conn]bool{}}
	if tcp, ok := listener.Addr().(*net.TCPAddr); ok {
		l.Port = tcp.Port
	}
	tb.Cleanup(func() { listener.Close() })
	return l
}

// Accept takes the next connection. It is closed when the test ends.
func (l *Listener) Accept() *Conn {
	l.tb.Helper()
	c, ok := l.AcceptWithin(Deadline)
	if !ok {
		l.tb.Fatalf("no connection reached %s", l.Addr)
	}
	return c
}

// AcceptWithin takes the next connection if there is one before d has passed.
func (l *Listener) AcceptWithin(d time.Duration) (*Conn, bool) {
	l.tb.Helper()
	l.listener.(interface{ SetDeadline(time.Time) error }).SetDeadline(time.Now().Add(d))
	c, err := l.listener.Accept()
	if errors.Is(err, os.ErrDeadlineExceeded) {
		return nil, false
	}
	if err != nil {
		l.tb.Fatal(err)
	}
	l.mu.Lock()
	l.accepted++
	l.mu.Unlock()
	l.tb.Cleanup(func() { c.Close() })
	return newConn(l.tb, c, false), true
}

// Close stops listening: further connections are refused.
func (l *Listener) Close() {
	l.listener.Close()
}

// Accepted returns how many connections were taken.
func (l *Listener) Accepted() int {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.accepted
}

// Serve listens on a free port of 127.0.0.1 and runs handler on each connection, in a goroutine of
// its own, and closes the connection when it returns. All are gone when the test ends.
func Serve(tb testing.TB, handler func(*Conn)) *Listener {
	tb.Helper()
	return serve(tb, Listen(tb), handler)
}

// ServeOn is Serve on a given TCP address.
func ServeOn(tb testing.TB, addr string, handler func(*Conn)) *Listener {
	tb.Helper()
	return serve(tb, ListenOn(tb, "tcp", addr), handler)
}

func serve(tb testing.TB, l *Listener, handler func(*Conn)) *Listener {
	var running sync.WaitGroup
	running.Go(func() {
		for {
			c, err := l.listener.Accept()
			if err != nil {
				return // closed by the end of the test
			}
			l.mu.Lock()
			l.accepted++
			l.conns[c] = true
			l.mu.Unlock()
			running.Go(func() {
				defer func() {
					c.Close()
					l.mu.Lock()
					delete(l.conns, c)
					l.mu.Unlock()
				}()
				handler(newConn(tb, c, true))
			})
		}
	})
	tb.Cleanup(func() {
		l.listener.Close()
		l.mu.Lock()
		for c := range l.conns {
			c.Close()
		}
		l.mu.Unlock()
		running.Wait()
	})
	return l
}

// Echo returns what it receives until the client's end of stream.
func Echo(c *Conn) {
	io.Copy(c.Conn, c.Conn)
}

// FullBacklog returns the address of a listener whose accept queue is full and stays so: the
// kernel drops further connection requests, so that a connect to it neither succeeds nor fails.
func FullBacklog(tb testing.TB) string {
	tb.Helper()
	fd, err := syscall.Socket(syscall.AF_INET, syscall.SOCK_STREAM|syscall.SOCK_CLOEXEC, 0)
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() { syscall.Close(fd) })
	if err := syscall.SetsockoptInt(fd, syscall.SOL_SOCKET, syscall.SO_REUSEADDR, 1); err != nil { // the port may have been used lately
		tb.Fatal(err)
	}
	port := FreePort(tb)
	if err := syscall.Bind(fd, &syscall.SockaddrInet4{Port: port, Addr: [4]byte{127, 0, 0, 1}}); err != nil {
		tb.Fatal(err)
	}
	if err := syscall.Listen(fd, 0); err != nil {
		tb.Fatal(err)
	}
	addr := "127.0.0.1:" + strconv.Itoa(port)
	for range 16 {
		c, err := net.DialTimeout("tcp", addr, 300*time.Millisecond)
		if err != nil {
			return addr
		}
		tb.Cleanup(func() { c.Close() })
	}
	tb.Skip("the kernel lets connections into a full accept queue")
	return ""
}
