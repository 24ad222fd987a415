// Command bare is the smallest relay that the netio package allows: accept, connect, copy through one
// buffer or splice, pass the end on. No limit, no timeout, no log, no statistics. What it costs is what
// a relay of this kind cannot do without.
package main

import (
	"fmt"
	"os"
	"runtime"

	"github.com/penstock/penstock/bench/peers/relayargs"
	"github.com/penstock/penstock/netio"
)

func main() {
	a, err := relayargs.Parse("bare", os.Args[1:])
	if err == nil {
		err = run(a)
	}
	fmt.Fprintln(os.Stderr, err)
	os.Exit(1)
}

// run relays on the given number of threads, each bound to a CPU, until one fails.
func run(a relayargs.Args) error {
	cpus, err := netio.UsableCPUs()
	if err != nil {
		return err
	}
	ended := make(chan error)
	for i := range a.Threads {
		r, err := newRelay(a)
		if err != nil {
			return err
		}
		go func() {
			runtime.LockOSThread()
			if err := netio.PinThread(cpus[i%len(cpus) : i%len(cpus)+1]); err != nil {
				ended <- err
				return
			}
			ended <- r.loop()
		}()
	}
	return <-ended
}
