package steer

import (
	"errors"
	"fmt"
	"syscall"

	"github.com/cilium/ebpf"
)

// Answer is the outcome of a probe.
type Answer uint8

// The answers.
const (
	Unknown Answer = iota // it could not be found out
	Yes
	No
)

func (a Answer) String() string {
	return [...]string{Unknown: "unknown", Yes: "yes", No: "no"}[a]
}

// Result is what a probe found.
type Result struct {
	Answer Answer
	Reason string // why the answer is not yes
}

// Probe loads the program, as for one worker without listeners, and unloads it.
func Probe() Result {
	s, err := Load([]int{-1})
	if err == nil {
		err = s.Close()
	}
	return judge(err)
}

func judge(err error) Result {
	var r *refusal
	switch {
	case err == nil:
		return Result{Answer: Yes}
	case errors.As(err, &r):
		return Result{No, r.needs}
	}
	return Result{Unknown, err.Error()}
}

// refusal is an error whose cause is known.
type refusal struct {
	needs string
	err   error
}

func (r *refusal) Error() string { return "load steering program: " + r.needs }
func (r *refusal) Unwrap() error { return r.err }

// explain finds the cause of a failure to load.
func explain(err error) error {
	var errno syscall.Errno
	var rejected *ebpf.VerifierError
	switch {
	case errors.Is(err, syscall.EPERM):
		return &refusal{"needs CAP_BPF, or root: " + syscall.EPERM.Error(), err}
	case errors.Is(err, syscall.ENOSYS):
		return &refusal{"the kernel was built without eBPF", err}
	case errors.As(err, &rejected) && len(rejected.Log) > 0:
		return &refusal{"the kernel's verifier rejects the program: " + err.Error(), err}
	case errors.Is(err, ebpf.ErrNotSupported), errors.Is(err, syscall.EINVAL):
		return &refusal{"needs Linux 5.14 or later", err}
	case errors.As(err, &errno):
		return fmt.Errorf("load steering program: %w", errno)
	}
	return fmt.Errorf("load steering program: %w", err)
}
