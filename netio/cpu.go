package netio

import "golang.org/x/sys/unix"

// UsableCPUs lists the CPUs that the calling thread may run on.
func UsableCPUs() ([]int, error) {
	var set unix.CPUSet
	if err := unix.SchedGetaffinity(0, &set); err != nil {
		return nil, &OpError{"read", "CPU affinity", err}
	}
	cpus := make([]int, 0, set.Count())
	for c := 0; len(cpus) < set.Count(); c++ {
		if set.IsSet(c) {
			cpus = append(cpus, c)
		}
	}
	return cpus, nil
}

// PinThread binds the calling thread to the given CPUs. The goroutine must be locked to it.
func PinThread(cpus []int) error {
	var set unix.CPUSet
	for _, c := range cpus {
		set.Set(c)
	}
	if err := unix.SchedSetaffinity(0, &set); err != nil {
		return &OpError{"set", "CPU affinity", err}
	}
	return nil
}
