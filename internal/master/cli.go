package master

import (
	"bytes"
	"errors"
	"net"
	"sync"

	"github.com/penstock/penstock/internal/runtimeapi"
)

var (
	errStopping = errors.New("the master is stopping")
	errNoWorker = errors.New("no such worker")
)

// commandLine is what the sessions of the command line ask for. They run in goroutines of their own.
func (m *Master) commandLine() *runtimeapi.Master {
	return &runtimeapi.Master{
		Processes: func() (self runtimeapi.Process, workers []runtimeapi.Process) {
			m.call(func() { self, workers = m.processes() })
			return self, workers
		},
		Connect: func(pid int, allowed byte) (conn net.Conn, err error) {
			err = errNoWorker
			m.call(func() {
				for _, w := range m.state.Workers {
					if w.Pid == pid && !w.ended {
						conn, err = w.Link.Connect(allowed)
					}
				}
			})
			return conn, err
		},
		Reload: func(client int, hard bool) (err error) {
			err = errStopping
			m.call(func() {
				if m.stopped || m.over {
					return
				}
				err = nil
				m.state.Waiting = append(m.state.Waiting, client)
				m.reload(hard)
			})
			return err
		},
		StartupLogs: m.opt.Logs.String,
	}
}

func (m *Master) processes() (self runtimeapi.Process, workers []runtimeapi.Process) {
	self = runtimeapi.Process{
		Pid: m.state.Pid, Reloads: m.state.Reloads, Failed: m.state.Failed, Started: m.state.Started, Version: m.opt.Version, Link: -1,
	}
	for _, w := range m.state.Workers {
		if w == m.loading {
			continue // it is none yet
		}
		workers = append(workers, runtimeapi.Process{
			Pid: w.Pid, Reloads: w.Reloads, Started: w.Started, Version: w.Version, Former: w.Former, Link: int(w.Link),
		})
	}
	return self, workers
}

// Logs keeps the messages of a start or reload: those of the master, until Stop, and those of the worker.
type Logs struct {
	mu      sync.Mutex
	text    bytes.Buffer
	stopped bool
}

// Write adds to the messages until Stop.
func (l *Logs) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.stopped {
		return len(p), nil
	}
	return l.text.Write(p)
}

// Stop ends the collection.
func (l *Logs) Stop() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.stopped = true
}

// String is what was collected.
func (l *Logs) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.String()
}
