package process

import (
	"os"
	"os/signal"
	"runtime"
	"testing"

	"golang.org/x/sys/unix"
)

// Every handler that began before has left its signal behind, whatever thread it ran on.
func TestFinishHandlers(t *testing.T) {
	for range 4 { // threads that rest
		rest, locked := make(chan struct{}), make(chan struct{})
		defer close(rest)
		go func() {
			runtime.LockOSThread()
			close(locked)
			<-rest
		}()
		<-locked
	}
	arrived := make(chan os.Signal, 1)
	signal.Notify(arrived, unix.SIGWINCH)
	defer signal.Stop(arrived)
	for range 100 {
		if err := unix.Kill(os.Getpid(), unix.SIGWINCH); err != nil {
			t.Fatal(err)
		}
		if err := finishHandlers(); err != nil {
			t.Fatal(err)
		}
		<-arrived
	}
}
