package engine

import (
	"fmt"
	"net/netip"
	"slices"

	"github.com/penstock/penstock/internal/worker"
	"github.com/penstock/penstock/netio"
)

// Listener is one listening socket, as a successor may take it over.
type Listener struct {
	FD        int    // a copy that belongs to the caller
	Proxy     string // name of the frontend
	Bind      string // the addresses of the bind line, as it writes them
	Name      string // of the bind line
	Addr      netip.AddrPort
	Path      string // of a UNIX socket; a leading NUL byte is an abstract name
	Interface string
	Worker    int // that accepts on it, -1: all of the bind line
}

// socket is a listening socket and who holds it.
type socket struct {
	opening *opening
	worker  int
	members []member
}

// member is a copy of a socket in the hands of a worker.
type member struct {
	worker   *worker.Worker
	listener int // in Table.Listeners
}

// export makes a socket one that a successor may take.
func (e *Engine) export(o *opening, worker int, members []member) {
	e.sockets = append(e.sockets, socket{o, worker, members})
}

// addMember notes a further holder of the socket that first holds.
func (e *Engine) addMember(first, further member) {
	for i := range e.sockets {
		if s := &e.sockets[i]; s.members[0] == first {
			s.members = append(s.members, further)
			s.worker = -1
		}
	}
}

// Listeners lists the listening sockets, always in the same order, with a copy of each descriptor that the
// caller closes. Sockets that the process was started with (fd@) are not among them: who starts a
// successor gives them to it. Once the listeners are closed or being closed, there are none.
func (e *Engine) Listeners() (list []Listener, err error) {
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.stopping || e.left {
		return nil, nil
	}
	defer func() {
		if err != nil {
			for _, l := range list {
				netio.Close(l.FD)
			}
			list = nil
		}
	}()
	for _, s := range e.sockets {
		o := s.opening
		held := s.members[0].worker.Table.Listeners[s.members[0].listener]
		fd, errno := netio.Dup(held.FD)
		if errno != 0 {
			return list, fmt.Errorf("copy listener of %s: %w", o.proxy.Name, errno)
		}
		list = append(list, Listener{
			FD: fd, Proxy: o.proxy.Name, Bind: o.bind.Words, Name: o.bind.Name,
			Addr: held.Addr.AddrPort(), Path: o.sa.Path(), Interface: o.bind.Interface, Worker: s.worker,
		})
	}
	return list, nil
}

// StopAccepting leaves listeners alone without closing them, and returns when no worker accepts from them any
// more: connections wait in the queues for the successor. taken tells for each of Listeners whether it has it; from
// the others the workers go on to accept, because nobody else does. AcceptAgain takes it back.
func (e *Engine) StopAccepting(taken []bool) {
	e.mu.Lock()
	defer e.mu.Unlock()
	if !e.running || e.stopping || e.left {
		return
	}
	e.held = slices.Clone(taken)
	abandoned := e.abandoned(taken)
	for _, w := range e.workers {
		w.StopAccepting(abandoned[w])
	}
}

// AcceptAgain takes StopAccepting back.
func (e *Engine) AcceptAgain() {
	e.mu.Lock()
	defer e.mu.Unlock()
	if !e.running || e.stopping || e.left {
		return
	}
	e.held = nil
	for _, w := range e.workers {
		w.AcceptAgain()
	}
}

// Kick makes every worker look for connections on its listeners, now and for two seconds; see
// [worker.Worker.Kick]. It is for the time after another process closed its listeners of the same addresses.
func (e *Engine) Kick() {
	for _, w := range e.workers {
		w.Kick()
	}
}

// DrainListeners closes the listeners for good, and returns when they are closed; sessions go on. taken tells for
// each of Listeners whether a successor has it. What waits in the queues of the others is accepted before.
func (e *Engine) DrainListeners(taken []bool) {
	e.mu.Lock()
	defer e.mu.Unlock()
	if !e.running || e.stopping || e.left {
		return
	}
	e.left = true
	e.leaveListeners(taken)
}

// abandoned tells for the listeners of each worker whether the successor lacks them.
func (e *Engine) abandoned(taken []bool) map[*worker.Worker][]bool {
	abandoned := map[*worker.Worker][]bool{}
	for _, w := range e.workers {
		abandoned[w] = slices.Repeat([]bool{true}, len(w.Table.Listeners))
	}
	for i, s := range e.sockets {
		if i >= len(taken) || !taken[i] {
			continue
		}
		for _, m := range s.members {
			abandoned[m.worker][m.listener] = false
		}
	}
	return abandoned
}

// leaveListeners makes the workers close their listeners; e.mu is held.
func (e *Engine) leaveListeners(taken []bool) {
	abandoned := e.abandoned(taken)
	for _, w := range e.workers {
		w.LeaveListeners(abandoned[w])
	}
	e.releaseSteering()
}
