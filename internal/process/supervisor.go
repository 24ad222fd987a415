package process

import (
	"fmt"
	"net"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

// Supervisor is the service manager that started the process and wants to know how it fares. A nil
// Supervisor listens to nothing.
type Supervisor struct {
	conn *net.UnixConn
}

// FindSupervisor connects to the datagram socket that a service manager names in NOTIFY_SOCKET; a
// leading @ makes the name abstract. It returns nil without a name. The connection outlives a change of the root directory.
func FindSupervisor(name string) (*Supervisor, error) {
	if name == "" {
		return nil, nil
	}
	conn, err := net.DialUnix("unixgram", nil, &net.UnixAddr{Net: "unixgram", Name: name})
	if err != nil {
		return nil, fmt.Errorf("connect to service manager: %w", err)
	}
	return &Supervisor{conn: conn}, nil
}

// Tell sends assignments such as READY=1 in one message.
func (s *Supervisor) Tell(assignments ...string) error {
	if s == nil {
		return nil
	}
	if _, err := s.conn.Write([]byte(strings.Join(assignments, "\n") + "\n")); err != nil {
		return fmt.Errorf("notify service manager: %w", err)
	}
	return nil
}

// Close ends the connection.
func (s *Supervisor) Close() {
	if s != nil {
		s.conn.Close()
	}
}

// Monotonic is the time of the clock that a service manager compares the beginning of a reload with.
func Monotonic() time.Duration {
	var now unix.Timespec
	_ = unix.ClockGettime(unix.CLOCK_MONOTONIC, &now) // this clock is always there
	return time.Duration(now.Nano())
}
