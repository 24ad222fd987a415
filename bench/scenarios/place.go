package scenarios

import (
	"fmt"
	"os"
	"strconv"

	"github.com/penstock/penstock/netio"
	"golang.org/x/sys/unix"
)

// Placement says which CPUs the three parties run on.
type Placement struct{ Proxy, Client, Server []int }

// Place shares CPUs out: the proxy gets one of its own if there are two.
func Place(cpus []int) Placement {
	switch len(cpus) {
	case 1:
		return Placement{cpus, cpus, cpus}
	case 2:
		return Placement{cpus[:1], cpus[1:2], cpus[1:2]}
	default:
		return Placement{cpus[:1], cpus[1:2], cpus[2:3]}
	}
}

func (p Placement) String() string {
	if p.Proxy[0] == p.Client[0] {
		return fmt.Sprintf("Everything on CPU %d: figures per operation include the load's cache misses", p.Proxy[0])
	}
	if p.Client[0] == p.Server[0] {
		return fmt.Sprintf("Proxy on CPU %d, client and server on CPU %d", p.Proxy[0], p.Client[0])
	}
	return fmt.Sprintf("Proxy on CPU %d, client on CPU %d, server on CPU %d", p.Proxy[0], p.Client[0], p.Server[0])
}

// Confine keeps all threads of this process, present and to come, off the proxy's CPU.
func (p Placement) Confine() error {
	var set unix.CPUSet
	for _, c := range append(append([]int(nil), p.Client...), p.Server...) {
		set.Set(c)
	}
	tasks, err := os.ReadDir("/proc/self/task")
	if err != nil {
		return err
	}
	for _, t := range tasks {
		tid, err := strconv.Atoi(t.Name())
		if err != nil {
			return err
		}
		if err := unix.SchedSetaffinity(tid, &set); err != nil && err != unix.ESRCH {
			return &netio.OpError{Op: "set", Object: "CPU affinity of thread " + t.Name(), Err: err}
		}
	}
	return nil
}
