package testutil

import (
	"os/exec"
	"runtime"
	"sync"
)

// A child that is to die with its parent dies with the parent's *thread* (prctl(2), PR_SET_PDEATHSIG). Threads end: a worker's
// with its worker, and the Go runtime may have forked on that one before it became the worker's. So one thread that never ends starts
// all children.

// forks are the commands to be started.
var forks = sync.OnceValue(func() chan<- fork {
	c := make(chan fork)
	go forker(c)
	return c
})

type fork struct {
	cmd *exec.Cmd
	err chan<- error
}

func forker(c <-chan fork) {
	runtime.LockOSThread()
	for f := range c {
		f.err <- f.cmd.Start()
	}
}

// begin starts cmd.
func begin(cmd *exec.Cmd) error {
	err := make(chan error, 1)
	forks() <- fork{cmd, err}
	return <-err
}
