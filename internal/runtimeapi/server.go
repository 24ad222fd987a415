package runtimeapi

import (
	"errors"
	"net"
	"sync"
	"time"

	"github.com/penstock/penstock/internal/config"
	"github.com/penstock/penstock/internal/stats"
	"github.com/penstock/penstock/netio"
)

// Options say what a server answers, and how patiently.
type Options struct {
	Version   string
	Info      func() stats.Info // called by several sessions at once
	Environ   []string          // what show env shows
	Timeout   time.Duration     // inactivity that ends a session; 0: 10 s
	MaxConn   int               // sessions at once; 0: 10
	LineLimit int               // bytes of one line; 0: 16384

	// Master is set when this is the command line of a master. Its sessions are interactive from the
	// start and may idle for ever.
	Master *Master
	// Sockets are listening descriptors that Server.Sockets returned in an earlier life of this process. They
	// are used instead of opening the addresses, in their order, and belong to Listen.
	Sockets []int
}

// The defaults of the configuration language.
const (
	defaultTimeout   = 10 * time.Second
	defaultMaxConn   = 10
	defaultLineLimit = 16384
)

// Server listens on the stats sockets of a process.
type Server struct {
	opt       Options
	endpoints []*endpoint
	started   time.Time
	slots     chan struct{} // one token for each session
	stopped   chan struct{}
	stop      sync.Once
	accepting sync.WaitGroup
}

// Listen opens every address of the binds. It accepts nothing yet. On error all is closed again; the
// error joins a BindError for each address that failed.
func Listen(binds []*config.Bind, opt Options) (*Server, error) {
	if opt.Timeout <= 0 && opt.Master == nil {
		opt.Timeout = defaultTimeout
	}
	if opt.MaxConn <= 0 {
		opt.MaxConn = defaultMaxConn
	}
	if opt.LineLimit <= 0 {
		opt.LineLimit = defaultLineLimit
	}
	s := &Server{opt: opt, started: time.Now(), slots: make(chan struct{}, opt.MaxConn), stopped: make(chan struct{})}
	var failures []error
	for _, b := range binds {
		for i := range b.Addrs {
			e, err := opt.open(b, &b.Addrs[i])
			if err != nil {
				failures = append(failures, bindError(b, &b.Addrs[i], err))
				continue
			}
			s.endpoints = append(s.endpoints, e)
		}
	}
	for _, surplus := range opt.Sockets {
		netio.Close(surplus)
	}
	s.opt.Sockets = nil
	if len(failures) > 0 {
		s.Close()
		return nil, errors.Join(failures...)
	}
	return s, nil
}

// Listeners is the number of sockets that the server listens on.
func (s *Server) Listeners() int { return len(s.endpoints) }

// Serve begins to accept sessions. Inherited descriptors are closed: the server has its own copies.
func (s *Server) Serve() {
	release(s.endpoints)
	for _, e := range s.endpoints {
		s.accepting.Add(1)
		go s.accept(e)
	}
}

// acceptPause is how long an endpoint rests after an error, most likely for want of descriptors.
const acceptPause = 100 * time.Millisecond

// accept takes a slot first, so that clients above the limit wait in the backlog.
func (s *Server) accept(e *endpoint) {
	defer s.accepting.Done()
	for {
		select {
		case s.slots <- struct{}{}:
		case <-s.stopped:
			return
		}
		conn, err := e.listener.Accept()
		if err != nil {
			<-s.slots
			if errors.Is(err, net.ErrClosed) {
				return
			}
			select {
			case <-time.After(acceptPause):
				continue
			case <-s.stopped:
				return
			}
		}
		go func() {
			defer func() { <-s.slots }()
			client := &session{server: s, level: e.level, severity: e.severity, timeout: s.opt.Timeout}
			client.interactive = s.opt.Master != nil
			client.talk(conn)
		}()
	}
}

// Close stops listening. Sessions end by themselves; the files of UNIX sockets stay, for a successor
// may have put its own there.
func (s *Server) Close() {
	s.stop.Do(func() {
		close(s.stopped)
		for _, e := range s.endpoints {
			e.listener.Close()
		}
		s.accepting.Wait()
	})
}
