package main

import (
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/alicebob/miniredis/v2"
)

// stage is all that stands while the demo runs: the servers, the balancer, and the receiver of its
// log.
type stage struct {
	dir      string
	config   string // path
	stats    string // path of the stats socket
	servers  []*miniredis.Miniredis
	ports    [2]int // of the frontends: roundrobin, leastconn
	claims   []io.Closer
	log      *net.UDPConn
	logDone  chan struct{}
	logLine  atomic.Pointer[string] // the last session's
	stopping chan struct{}          // closed when the balancer logs that it stops

	process *exec.Cmd
	output  strings.Builder
	exited  chan struct{}
	exit    error // valid once exited is closed
}

const serverCount = 3

// patience is for a balancer that starts or stops, on a machine with other work.
const patience = 30 * time.Second

var frontends = [2]string{"roundrobin", "leastconn"}

func newStage(program string) (_ *stage, err error) {
	program, err = exec.LookPath(program)
	if err != nil {
		return nil, fmt.Errorf("find the balancer: %w (make build)", err)
	}
	if program, err = filepath.Abs(program); err != nil {
		return nil, err
	}
	s := &stage{stopping: make(chan struct{}), logDone: make(chan struct{}), exited: make(chan struct{})}
	defer func() {
		if err != nil {
			s.close()
		}
	}()
	if s.dir, err = os.MkdirTemp("", "penstock-demo"); err != nil {
		return nil, err
	}
	for i := range serverCount {
		server := miniredis.NewMiniRedis()
		if err := server.Start(); err != nil {
			return nil, fmt.Errorf("start server %d: %w", i+1, err)
		}
		s.servers = append(s.servers, server)
		server.Set("server", fmt.Sprintf("redis%d", i+1))
	}
	for i := range s.ports {
		port, claim, err := claimPort(firstPort + i)
		if err != nil {
			return nil, err
		}
		s.ports[i], s.claims = port, append(s.claims, claim)
	}
	if s.log, err = net.ListenUDP("udp", &net.UDPAddr{IP: net.IPv4(127, 0, 0, 1)}); err != nil {
		return nil, err
	}
	go s.receiveLog()
	s.stats = filepath.Join(s.dir, "stats.sock")
	s.config = filepath.Join(s.dir, "haproxy.cfg")
	if err := os.WriteFile(s.config, []byte(s.configuration()), 0o644); err != nil {
		return nil, err
	}
	return s, s.start(program)
}

const (
	firstPort = 16379
	portTries = 50
)

// claimPort returns the wanted port of 127.0.0.1, or one after it when somebody has that. The balancer binds it
// later, and would share it with that of another demo: the claim, which the caller closes, keeps other demos off it.
func claimPort(wanted int) (port int, claim io.Closer, err error) {
	for try := range portTries {
		port = wanted + 2*try // of two frontends
		claim, err := net.Listen("unix", fmt.Sprintf("@penstock-demo-%d", port))
		if err != nil {
			continue
		}
		l, err := net.Listen("tcp", fmt.Sprintf("127.0.0.1:%d", port))
		if err != nil {
			claim.Close()
			continue
		}
		l.Close()
		return port, claim, nil
	}
	return 0, nil, fmt.Errorf("found no free port from %d to %d", wanted, port)
}

func (s *stage) configuration() string {
	var b strings.Builder
	fmt.Fprintf(&b, `global
    maxconn 1000
    stats socket %s level admin
    log %s local0

defaults
    mode tcp
    log global
    option tcplog
    timeout connect 5s
    timeout client 1m
    timeout server 1m
`, s.stats, s.log.LocalAddr())
	for i, name := range frontends {
		fmt.Fprintf(&b, "\nlisten %s\n    bind 127.0.0.1:%d\n    balance %s\n", name, s.ports[i], name)
		for j, server := range s.servers {
			fmt.Fprintf(&b, "    server redis%d %s\n", j+1, server.Addr())
		}
	}
	return b.String()
}

// start starts the balancer and waits until it serves.
func (s *stage) start(program string) error {
	s.process = exec.Command(program, "-db", "-f", s.config)
	// Ctrl-C is for the demo, which then tells the balancer to stop.
	s.process.SysProcAttr = &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGTERM}
	s.process.Stdout, s.process.Stderr = &s.output, &s.output
	if err := s.process.Start(); err != nil {
		s.process = nil
		return fmt.Errorf("start the balancer: %w", err)
	}
	go func() {
		s.exit = s.process.Wait()
		close(s.exited)
	}()
	for end := time.Now().Add(patience); time.Now().Before(end); time.Sleep(10 * time.Millisecond) {
		select {
		case <-s.exited:
			return fmt.Errorf("the balancer does not start: %v\n%s", s.exit, s.output.String())
		default:
		}
		if c, err := net.Dial("unix", s.stats); err == nil {
			c.Close()
			return nil
		}
	}
	return fmt.Errorf("the balancer does not come up within %v", patience)
}

func (s *stage) pid() int { return s.process.Process.Pid }

var (
	sessionLine = regexp.MustCompile(`: (\S+ \[[^]]+\] \S+ \S+/\S+ .*)\n$`)
	stoppedLine = regexp.MustCompile(`: Proxy \S+ stopped `)
)

// receiveLog keeps the last session's line and watches for the balancer's stop.
func (s *stage) receiveLog() {
	defer close(s.logDone)
	var stopped sync.Once
	buf := make([]byte, 65536)
	for {
		n, err := s.log.Read(buf)
		if err != nil {
			return // closed at the end
		}
		line := string(buf[:n])
		if match := sessionLine.FindStringSubmatch(line); match != nil {
			s.logLine.Store(&match[1])
		} else if stoppedLine.MatchString(line) {
			stopped.Do(func() { close(s.stopping) })
		}
	}
}

// close stops the balancer softly, which it must do without an error, and the servers.
func (s *stage) close() error {
	var err error
	if s.process != nil {
		err = s.stop()
	}
	for _, server := range s.servers {
		server.Close()
	}
	for _, claim := range s.claims {
		claim.Close()
	}
	if s.log != nil {
		s.log.Close()
		<-s.logDone
	}
	if s.dir != "" {
		err = errors.Join(err, os.RemoveAll(s.dir))
	}
	return err
}

func (s *stage) stop() error {
	select {
	case <-s.stopping: // somebody was faster, and a second signal could kill it
	default:
		s.process.Process.Signal(syscall.SIGUSR1)
	}
	select {
	case <-s.exited:
	case <-time.After(patience):
		s.process.Process.Kill()
		<-s.exited
		return fmt.Errorf("the balancer did not stop softly within %v", patience)
	}
	if s.exit != nil {
		return fmt.Errorf("the balancer ended with %w\n%s", s.exit, s.output.String())
	}
	return nil
}
