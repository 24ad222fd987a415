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
	Commands  []Command         // besides those that the server has itself
	// StartupLogs are the messages of the start of the process. Nil: there were none.
	StartupLogs func() string

	// Bug is told of a command that panicked, which then fails. Nil: the panic goes on.
	Bug func(command string, panicked any, stack []byte)

	// PassSockets hands the listening sockets of the process to the client of a socket that exposes them. The
	// connection stays the server's. Nil: there are none.
	PassSockets func(conn *net.UnixConn) error

	// Inherited are listening sockets of a former process; they stay the caller's. The server has one of them
	// where an address is in use and cannot be shared.
	Inherited []int
	// MakeRoom is called when an address is in use, and says whether it is worth another try. Nil: it is not.
	MakeRoom func() bool

	// Master is set when this is the command line of a master. Its sessions are interactive from the
	// start and may idle for ever.
	Master *Master
	// Sockets are listening descriptors that Server.Keep returned in an earlier life of this process. They
	// are used instead of opening the addresses, in their order, and belong to Open.
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
	table     []command
	endpoints []*endpoint
	started   time.Time
	slots     chan struct{} // one token for each session
	stopped   chan struct{}
	stop      sync.Once
	accepting sync.WaitGroup
}

// Listen opens every address of the binds and publishes them.
func Listen(binds []*config.Bind, opt Options) (*Server, error) {
	s, err := Open(binds, opt)
	if err != nil {
		return nil, err
	}
	if err := s.Publish(); err != nil {
		s.Close()
		return nil, err
	}
	return s, nil
}

// Open takes every address of the binds. Nobody can connect before Publish: until then clients reach whoever
// listens there already. On error all is closed again; the error joins a BindError for each address that failed.
func Open(binds []*config.Bind, opt Options) (*Server, error) {
	if opt.Timeout <= 0 && opt.Master == nil {
		opt.Timeout = defaultTimeout
	}
	if opt.MaxConn <= 0 {
		opt.MaxConn = defaultMaxConn
	}
	if opt.LineLimit <= 0 {
		opt.LineLimit = defaultLineLimit
	}
	own := commands
	if opt.Master != nil {
		own = masterCommands
	}
	s := &Server{opt: opt, table: withOthers(own, opt.Commands), started: time.Now(), slots: make(chan struct{}, opt.MaxConn), stopped: make(chan struct{})}
	var failures []error
	for _, b := range binds {
		for i := range b.Addrs {
			e, err := s.opt.open(b, &b.Addrs[i])
			if err != nil {
				failures = append(failures, bindError(b, &b.Addrs[i], err))
				continue
			}
			s.endpoints = append(s.endpoints, e)
		}
	}
	for _, surplus := range s.opt.Sockets {
		netio.Close(surplus)
	}
	s.opt.Sockets = nil
	if len(failures) > 0 {
		s.Close()
		return nil, errors.Join(failures...)
	}
	return s, nil
}

// Publish lets clients connect; they wait until Serve. It may be called once. The error is a BindError.
func (s *Server) Publish() error {
	for _, e := range s.endpoints {
		if err := e.show(); err != nil {
			return bindError(e.line, e.addr, err)
		}
	}
	return nil
}

// Listeners is the number of sockets that the server listens on.
func (s *Server) Listeners() int { return len(s.endpoints) }

// Socket is a listening socket of the server.
type Socket struct {
	FD        int // a copy that belongs to the caller
	Interface string
}

// Sockets copies the sockets that the server opened itself. One that cannot be copied is left out.
func (s *Server) Sockets() []Socket {
	var sockets []Socket
	for _, e := range s.endpoints {
		if e.inherited >= 0 {
			continue
		}
		if own, err := copyDescriptor(e.listener); err == nil { // otherwise the server is closed
			sockets = append(sockets, Socket{own, e.device})
		}
	}
	return sockets
}

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
			client := &session{server: s, level: e.level, severity: e.severity, timeout: s.opt.Timeout, exposing: e.exposing}
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
			e.close()
		}
		s.accepting.Wait()
	})
}
