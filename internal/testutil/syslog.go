package testutil

import (
	"net"
	"os"
	"regexp"
	"strings"
	"sync"
	"testing"
)

// maxShown bounds the log lines that a failed test shows.
const maxShown = 40

// Syslog receives datagrams and keeps them until a test asks for them.
type Syslog struct {
	Addr string // as a log line takes it: ip:port, or the path of a Unix socket

	conn  net.PacketConn
	mu    sync.Mutex
	lines []string
}

// ListenSyslog receives on a free UDP port of 127.0.0.1.
func ListenSyslog(tb testing.TB) *Syslog {
	tb.Helper()
	return listenSyslog(tb, "udp", "127.0.0.1:0")
}

// ListenSyslogUnix receives on a Unix datagram socket that it creates at path.
func ListenSyslogUnix(tb testing.TB, path string) *Syslog {
	tb.Helper()
	s := listenSyslog(tb, "unixgram", path)
	if err := os.Chmod(path, 0o666); err != nil {
		tb.Fatal(err)
	}
	return s
}

func listenSyslog(tb testing.TB, network, addr string) *Syslog {
	tb.Helper()
	conn, err := net.ListenPacket(network, addr)
	if err != nil {
		tb.Fatal(err)
	}
	s := &Syslog{Addr: conn.LocalAddr().String(), conn: conn}
	done := make(chan struct{})
	go func() {
		defer close(done)
		buf := make([]byte, 65536)
		for {
			n, _, err := conn.ReadFrom(buf)
			if err != nil {
				return // closed by the end of the test
			}
			s.mu.Lock()
			s.lines = append(s.lines, string(buf[:n]))
			s.mu.Unlock()
		}
	}()
	tb.Cleanup(func() {
		conn.Close()
		<-done
		if tb.Failed() {
			lines := s.Lines()
			last := lines[max(0, len(lines)-maxShown):]
			tb.Logf("log lines not asked for, %d of %d:\n%s", len(last), len(lines), strings.Join(last, ""))
		}
	})
	return s
}

// WaitLine waits for a datagram that matches pattern, takes it out, and returns the match with its
// groups. Datagrams that do not match stay for later calls.
func (s *Syslog) WaitLine(tb testing.TB, pattern string) []string {
	tb.Helper()
	re := regexp.MustCompile(pattern)
	var match []string
	if !poll(Deadline, func() bool { match = s.take(re); return match != nil }) {
		tb.Fatalf("no log line like %q in:\n%s", pattern, strings.Join(s.Lines(), ""))
	}
	return match
}

func (s *Syslog) take(re *regexp.Regexp) []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	for i, line := range s.lines {
		if match := re.FindStringSubmatch(line); match != nil {
			s.lines = append(s.lines[:i:i], s.lines[i+1:]...)
			return match
		}
	}
	return nil
}

// Lines returns the datagrams that nobody has taken yet, oldest first.
func (s *Syslog) Lines() []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return append([]string(nil), s.lines...)
}
