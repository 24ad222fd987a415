package engine

import (
	"errors"
	"sync"
	"time"

	"github.com/penstock/penstock/ebpf/steer"
	"github.com/penstock/penstock/internal/config"
)

// steering keeps the program in the kernel that chooses workers in step with the listeners. Its fields are
// guarded by Engine.mu; kernel is nil without steering.
//
// The program is loaded before privileges are given up, and chooses once the workers accept. A listener may be out of
// its reach for a while: after a pause it is back when its worker listens again, and one that was inherited belongs
// to the array of the old process until that one stops. Until all are there the hash chooses, or
// the program of the old process, and a goroutine tries again.
type steering struct {
	kernel   *steer.Steering
	retrying bool
	stopped  bool
	stop     chan struct{} // closed to end the goroutine
	retries  sync.WaitGroup
}

const (
	steerFirstRetry = 10 * time.Millisecond
	steerLastRetry  = time.Second
	// steerPatience is how long a listener may be missing before the others are chosen from without it. The
	// process that it was inherited from may be gone and have left its program behind, which keeps it.
	steerPatience = 5 * time.Second
)

const notSteered = "'steer ebpf' is not possible, connections are spread by hash: %v."

// loadSteering loads the program for all TCP listeners that are sockets of their own. Without it
// everything works, so that failing is a warning.
func (e *Engine) loadSteering() {
	if e.cfg.Global.Steer != config.SteerEBPF {
		return
	}
	cpus := make([]int, len(e.workers))
	var listeners []steer.Listener
	for i, w := range e.workers {
		cpus[i] = -1
		if cpu, ok := w.CPU(); ok {
			cpus[i] = cpu
		}
		for _, l := range w.Table.Listeners {
			if !l.Shared {
				listeners = append(listeners, steer.Listener{FD: l.FD, Worker: i})
			}
		}
	}
	kernel, err := steerTo(cpus, listeners)
	if err != nil {
		e.opt.Report.Warningf(notSteered, err)
		return
	}
	e.steering.kernel, e.steering.stop = kernel, make(chan struct{})
	for _, w := range e.workers {
		w.Steer(kernel)
	}
}

func steerTo(cpus []int, listeners []steer.Listener) (*steer.Steering, error) {
	kernel, err := steer.Load(cpus)
	if err != nil {
		return nil, err
	}
	added, err := kernel.Add(listeners)
	if err == nil && added == 0 {
		err = errors.New("no address has a listener for each thread")
	}
	if err != nil {
		_ = kernel.Close()
		return nil, err
	}
	return kernel, nil
}

// steer makes the program choose among the listeners, now or when all of them are there. e.mu is held, and
// the workers run.
func (e *Engine) steer() {
	s := &e.steering
	if s.kernel == nil || s.retrying || s.stopped || e.attachSteering(false) {
		return
	}
	s.retrying = true
	s.retries.Add(1)
	go e.retrySteering()
}

// attachSteering reports whether nothing is left to do.
func (e *Engine) attachSteering(force bool) bool {
	missing, err := e.steering.kernel.Attach(force)
	if err != nil {
		e.opt.Report.Warningf(notSteered, err)
		return true
	}
	return missing == 0
}

func (e *Engine) retrySteering() {
	s := &e.steering
	defer s.retries.Done()
	begun := time.Now()
	for pause := steerFirstRetry; ; pause = min(2*pause, steerLastRetry) {
		select {
		case <-s.stop:
			return
		case <-time.After(pause):
		}
		e.mu.Lock()
		if e.stopping || e.paused || e.attachSteering(time.Since(begun) > steerPatience) {
			s.retrying = false
			e.mu.Unlock()
			return
		}
		e.mu.Unlock()
	}
}

// releaseSteering gives the listeners up, which are closed here and may live on in another process. e.mu is held.
func (e *Engine) releaseSteering() {
	if e.steering.kernel == nil {
		return
	}
	if err := e.steering.kernel.Release(); err != nil {
		e.opt.Report.Warningf("'steer ebpf': %v.", err)
	}
}

// stopSteering ends the goroutine. The workers' slots stay until closeSteering.
func (e *Engine) stopSteering() {
	s := &e.steering
	if s.kernel == nil {
		return
	}
	e.mu.Lock()
	s.stopped = true
	e.mu.Unlock()
	close(s.stop)
	s.retries.Wait()
}

// closeSteering unloads the program; the workers have ended.
func (e *Engine) closeSteering() {
	if e.steering.kernel != nil {
		_ = e.steering.kernel.Close()
	}
}
