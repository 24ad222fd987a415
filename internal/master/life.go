package master

import (
	"fmt"
	"slices"
	"strings"
	"syscall"
	"time"

	"github.com/penstock/penstock/internal/process"
	"github.com/penstock/penstock/internal/runtimeapi"
)

// load starts a worker that replaces those there are.
func (m *Master) load() {
	var finish, terminate []int
	for _, w := range m.state.Workers {
		switch {
		case m.state.Hard:
			terminate = append(terminate, w.Pid)
		case !w.Former: // the others were told already
			finish = append(finish, w.Pid)
		}
	}
	child, err := process.StartWorker(m.opt.Own, m.opt.WorkerArgs(m.first, finish, terminate), m.workerEnviron(), m.opt.Dir, m.opt.Background && m.first)
	if err != nil {
		m.opt.Report.Alertf("Cannot %v.", err)
		m.loadFailed(failure)
		return
	}
	w := &worker{Pid: child.Pid, Link: child.Link, Started: time.Now(), Version: m.opt.Version}
	m.state.Workers = slices.Insert(m.state.Workers, 0, w)
	m.loading = w
	m.opt.Report.Noticef("Initializing new worker (%d)", w.Pid)
	m.observe(w)
	go func() {
		defer child.Startup.Close()
		text, ready := process.ReadStartup(child.Startup)
		m.call(func() {
			w.startup = &outcome{ready: ready, text: text}
			m.settle(w)
		})
	}()
}

// failure is the exit code of a master that could not start a worker.
const failure = 1

// workerEnviron is the environment of the master, without what the service manager wants from the master
// alone, and with what programs look for.
func (m *Master) workerEnviron() []string {
	environ := slices.DeleteFunc(slices.Clone(m.opt.Environ), func(entry string) bool {
		name, _, _ := strings.Cut(entry, "=")
		return slices.Contains([]string{"NOTIFY_SOCKET", "HAPROXY_MWORKER", "HAPROXY_MASTER_CLI"}, name)
	})
	var names []string
	for _, bind := range m.opt.CLI {
		for i := range bind.Addrs {
			names = append(names, runtimeapi.Name(&bind.Addrs[i]))
		}
	}
	environ = append(environ, "HAPROXY_MWORKER=1")
	if len(names) > 0 {
		environ = append(environ, "HAPROXY_MASTER_CLI="+strings.Join(names, ";"))
	}
	return environ
}

// observe waits for the end of a worker.
func (m *Master) observe(w *worker) {
	go func() {
		_ = process.Gone(w.Pid) // what is no child is gone too
		m.call(func() {
			w.ended = true
			m.settle(w)
		})
	}()
}

// settle looks at what has become of a worker. Both of its ends, of the start and of the process, are told apart
// from each other, and come in any order.
func (m *Master) settle(w *worker) {
	if w == m.loading {
		switch {
		case w.startup == nil, !w.startup.ready && !w.ended:
			return // more is to come
		case w.startup.ready:
			m.loading = nil
			m.loaded(w)
		default:
			m.loading = nil
			_, _ = m.opt.Logs.Write(w.startup.text)
			status := m.release(w)
			m.opt.Report.Warningf("Failed to load worker (%d) exited with code %d (%s)", w.Pid, status, describe(status))
			m.loadFailed(status)
			return
		}
	}
	if w.ended {
		m.lost(w)
	}
}

// loaded makes a worker the current one.
func (m *Master) loaded(w *worker) {
	_, _ = m.opt.Logs.Write(w.startup.text) // a buffer takes everything
	for _, old := range m.state.Workers {
		old.Former = old != w
	}
	m.state.Failed, m.state.Hard = 0, false
	m.writePIDFile()
	m.opt.Report.Noticef("Loading success.")
	m.opt.Logs.Stop()
	if m.first {
		m.first = false
		if err := m.opt.Ready(); err != nil {
			m.opt.Report.Alertf("Cannot become a background process: %v", err)
			m.crash(failure)
			return
		}
	}
	if m.stopped {
		process.Tell([]int{w.Pid}, m.stopBy)
	} else {
		m.notify("READY=1", fmt.Sprintf("MAINPID=%d", m.state.Pid), "STATUS=Ready.")
	}
	m.answerWaiting(true)
	for _, old := range m.state.Workers {
		if old.Former && !old.ended && old.Reloads > m.settings.MaxReloads {
			process.Tell([]int{old.Pid}, syscall.SIGTERM)
		}
	}
	m.reloadAgain()
}

// loadFailed leaves the old workers serving. Without one the master has nothing to do.
func (m *Master) loadFailed(status int) {
	m.state.Failed++
	m.state.Hard = false
	m.opt.Logs.Stop()
	if len(m.state.Workers) == 0 {
		if !m.stopped {
			m.code = max(status, failure)
		}
		m.over = true
	}
	if !m.stopped && !m.first {
		m.notify("READY=1", "STATUS=Reload failed!")
	}
	m.answerWaiting(false)
	m.reloadAgain()
}

// lost takes notice of the end of a worker that had served.
func (m *Master) lost(w *worker) {
	status := m.release(w)
	report := m.opt.Report
	orderly := status == 0 || status == 128+int(syscall.SIGTERM)
	switch {
	case w.Former, m.loading != nil && orderly: // the new one may have told it before it told the master
		report.Warningf("Former worker (%d) exited with code %d (%s)", w.Pid, status, describe(status))
	default:
		complain := report.Warningf
		if status >= 128 {
			complain = report.Alertf
		}
		complain("Current worker (%d) exited with code %d (%s)", w.Pid, status, describe(status))
		if orderly || m.loading != nil {
			break // there is another one soon
		}
		if m.code < 0 {
			m.code = status
		}
		if status != 128+int(syscall.SIGINT) && !m.stopped {
			report.Warningf("A worker process died unexpectedly, which only a mistake in the program can explain. Please report it, with its messages.")
			if !m.settings.NoExitOnFailure {
				report.Alertf("exit-on-failure: killing every processes with SIGTERM")
				m.crash(status)
			}
		}
	}
	if len(m.state.Workers) == 0 {
		report.Warningf("All workers exited. Exiting... (%d)", max(m.code, 0))
		m.over = true
	}
}

// crash ends every worker, and with the last one the master, with this exit code.
func (m *Master) crash(status int) {
	m.code = status
	m.end(syscall.SIGTERM)
}

// release forgets a worker that has ended and returns its status: the exit code, or 128 and the signal.
func (m *Master) release(w *worker) int {
	m.state.Workers = slices.DeleteFunc(m.state.Workers, func(other *worker) bool { return other == w })
	w.Link.Close()
	status, err := process.Reap(w.Pid)
	if err != nil {
		return unknownStatus // it was no child
	}
	return status
}

const unknownStatus = 255

// describe puts a status into words.
func describe(status int) string {
	if status < 128 || status == unknownStatus {
		return "Exit"
	}
	name := syscall.Signal(status - 128).String()
	return strings.ToUpper(name[:1]) + name[1:]
}

// reload replaces the program of the master by what is on disk now, which starts a new worker. While a
// start is under way it waits.
func (m *Master) reload(hard bool) {
	if m.stopped || m.over {
		return
	}
	if m.loading != nil {
		m.again, m.hard = true, m.hard || hard
		return
	}
	how := ""
	if hard {
		how = " (hard-reload)"
	}
	m.opt.Report.Noticef("Reloading HAProxy%s", how)
	m.notify("RELOADING=1", fmt.Sprintf("MONOTONIC_USEC=%d", process.Monotonic().Microseconds()), "STATUS=Reloading Configuration.")
	m.answers.Wait()
	m.state.Hard = hard
	m.count(1)
	err := m.next()
	m.opt.Report.Warningf("Failed to reexecute the master process [%d]: %v", m.state.Pid, err)
	m.count(-1)
	m.loadFailed(failure)
}

// next lets the program on disk go on. It returns only with an error, and all goes on as before.
func (m *Master) next() (err error) {
	if m.state.Sockets, err = m.api.Keep(); err == nil {
		left := m.signals.Defer()
		for _, request := range left {
			m.state.Signals = append(m.state.Signals, int(request.Signal))
		}
		err = m.replace(m.opt.Program, nil)
		m.signals = m.signals.Again()
		m.state.Signals = nil
		defer func() {
			for _, request := range left {
				m.obey(request)
			}
		}()
	}
	for _, fd := range m.state.Sockets {
		_ = syscall.Close(fd) // these are copies
	}
	m.state.Sockets = nil
	return err
}

func (m *Master) count(n int) {
	m.state.Reloads += n
	for _, w := range m.state.Workers {
		w.Reloads += n
	}
}

// reloadAgain makes up for the reloads that were asked for while one was under way.
func (m *Master) reloadAgain() {
	if m.again {
		hard := m.hard
		m.again, m.hard = false, false
		m.reload(hard)
	}
}

// answerWaiting tells the clients that asked for the reload how it went. Those who asked during it wait for the next.
func (m *Master) answerWaiting(success bool) {
	if m.again && !m.stopped {
		return
	}
	logs := m.opt.Logs.String()
	for _, client := range m.state.Waiting {
		m.answers.Go(func() {
			if err := runtimeapi.Answer(client, success, logs); err != nil {
				m.opt.Report.Warningf("Cannot %v.", err)
			}
		})
	}
	m.state.Waiting = nil
}
