package master

import (
	"encoding/json"
	"fmt"
	"os"
	"slices"
	"time"

	"github.com/penstock/penstock/internal/process"
)

// stateVariable carries a master's state to the program that takes its place. Programs of different
// versions read each other's: a field that is not known is left out, one that is missing is zero.
const stateVariable = "PENSTOCK_MASTER"

// worker is one child.
type worker struct {
	Pid     int          `json:"pid"`
	Link    process.Link `json:"link"`
	Reloads int          `json:"reloads"` // since it was started
	Started time.Time    `json:"started"`
	Version string       `json:"version"`
	Former  bool         `json:"former"` // replaced; it finishes

	startup *outcome // how the start went; nil while it goes on
	ended   bool     // it is a zombie
}

// state is what outlives the program of a master.
type state struct {
	Pid     int       `json:"pid"` // of the master; whoever else finds the state has no use for it
	Started time.Time `json:"started"`
	Reloads int       `json:"reloads"`
	Failed  int       `json:"failed"`  // reloads since the last that went well
	Hard    bool      `json:"hard"`    // the reload under way terminates the old workers
	PIDFile string    `json:"pidfile"` // that was written
	Workers []*worker `json:"workers"` // the newest first
	Sockets []int     `json:"sockets"` // of the command line
	Waiting []int     `json:"waiting"` // clients that wait for the outcome of the reload
	Signals []int     `json:"signals"` // that came before the change of program and were not obeyed yet
}

func (s *state) encode() (string, error) {
	text, err := json.Marshal(s)
	if err != nil {
		return "", fmt.Errorf("write state of master: %w", err)
	}
	return stateVariable + "=" + string(text), nil
}

// decode reads the state that a process with this id left for itself; nil is none.
func decode(text string, pid int) *state {
	var s state
	if json.Unmarshal([]byte(text), &s) != nil || s.Pid != pid || pid <= 0 {
		return nil
	}
	s.Workers = slices.DeleteFunc(s.Workers, func(w *worker) bool { return w == nil || w.Pid <= 1 || w.Link <= 2 })
	isStandard := func(fd int) bool { return fd <= 2 }
	s.Sockets = slices.DeleteFunc(s.Sockets, isStandard)
	s.Waiting = slices.DeleteFunc(s.Waiting, isStandard)
	return &s
}

// keep lists the descriptors that the next program needs.
func (s *state) keep() []int {
	fds := slices.Concat(s.Sockets, s.Waiting)
	for _, w := range s.Workers {
		fds = append(fds, int(w.Link))
	}
	return fds
}

// Continues tells whether this program took the place of an earlier one of the same master.
func Continues() bool {
	return decode(os.Getenv(stateVariable), os.Getpid()) != nil
}
