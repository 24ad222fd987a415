package steer

import (
	"fmt"
	"os"
	"unsafe"

	"github.com/cilium/ebpf"
	"golang.org/x/sys/unix"
)

// Slot is where one worker shows its state to the program: 64 bytes of memory that the kernel reads. Stores are
// plain, because only one worker writes, and the program can live with a figure that is a moment old. It is
// valid until the Steering is closed.
type Slot struct {
	at       *programSlot
	offsetNs int64 // from the worker's clock to CLOCK_MONOTONIC
}

// Publish stores the worker's state, once per round: the number of its sessions, the time, and whether it is
// about to wait for events. A worker that neither sleeps nor publishes for 50 ms counts as hanging.
func (s *Slot) Publish(sessions int, monoNs int64, sleeping bool) {
	s.at.Conns = uint32(sessions)
	s.at.Chosen = 0
	s.at.LastLoopNs = uint64(monoNs + s.offsetNs)
	s.at.Sleeping = 0
	if sleeping {
		s.at.Sleeping = 1
	}
}

// Wake stores that the worker sleeps no longer.
func (s *Slot) Wake(monoNs int64) {
	s.at.LastLoopNs = uint64(monoNs + s.offsetNs)
	s.at.Sleeping = 0
}

// slots is the array of all workers' slots, mapped.
type slots struct {
	shared *ebpf.Map
	memory []byte
}

const slotSize = int(unsafe.Sizeof(programSlot{}))

func newSlots(spec *ebpf.MapSpec) (*slots, error) {
	shared, err := ebpf.NewMap(spec)
	if err != nil {
		return nil, err
	}
	page := os.Getpagesize()
	size := (int(spec.MaxEntries)*slotSize + page - 1) / page * page
	memory, err := unix.Mmap(shared.FD(), 0, size, unix.PROT_READ|unix.PROT_WRITE, unix.MAP_SHARED)
	if err != nil {
		_ = shared.Close()
		return nil, fmt.Errorf("map steering slots: %w", err)
	}
	return &slots{shared: shared, memory: memory}, nil
}

func (s *slots) at(worker int) *programSlot {
	return (*programSlot)(unsafe.Pointer(&s.memory[worker*slotSize : (worker+1)*slotSize][0]))
}

func (s *slots) close() error {
	err := unix.Munmap(s.memory)
	if closeErr := s.shared.Close(); err == nil {
		err = closeErr
	}
	return err
}

// monotonicNs is the clock that the program reads.
func monotonicNs() int64 {
	var t unix.Timespec
	if unix.ClockGettime(unix.CLOCK_MONOTONIC, &t) != nil {
		return 0 // the clock is always there
	}
	return t.Nano()
}
